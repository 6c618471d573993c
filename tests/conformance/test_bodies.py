"""Request bodies on their way: streamed, never kept, ended early where the answer is early."""

import asyncio

import pytest

from gateway.core.fault import Fault
from gateway.http.ports import Limits
from tests.support.http import GET, Handler, Plane, UpstreamSide, always, echo

H = b"Host: h\r\n"
EXPECT = b"POST / HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("coding", "first", "last", "size"),
    [
        (b"Content-Length: 65537", b"hello", b"x" * 65532, 65537),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n", 10),
    ],
)
async def test_a_body_is_streamed(coding: bytes, first: bytes, last: bytes, size: int):
    """The upstream has the first bytes of a long or chunked body before the client has sent the last."""
    arrived = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        sent = await side.request(body=False)
        assert await side.exactly(len(first)) == first
        arrived.set()
        assert await side.exactly(len(last)) == last
        assert sent.method == "PUT"
        await side.send(OK)

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.send(b"PUT / HTTP/1.1\r\n" + H + coding + b"\r\n\r\n" + first)
        await arrived.wait()
        assert (await client.ask(last)).body == b"ok"
        assert plane.handler.finished[0].bytes_in == size


@pytest.mark.parametrize(
    "coding", [b"Content-Length: 20000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
async def test_an_upload_meets_back_pressure(coding: bytes):
    """An upstream that does not read stops the client; the gateway does not hold the body."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        sent = await side.request(body=False)
        await go.wait()
        await side.body(sent)
        assert sent.body == content
        await side.send(OK)

    content = bytes(range(250)) * 80_000
    data = (
        content
        if b"Length" in coding
        else b"".join(
            b"c8000\r\n" + content[at : at + 0xC8000] + b"\r\n"
            if at + 0xC8000 <= len(content)
            else b"%x\r\n%b\r\n" % (len(content) - at, content[at:])
            for at in range(0, len(content), 0xC8000)
        )
        + b"0\r\n\r\n"
    )
    async with Plane(behave) as plane:
        client = await plane.client()
        await client.send(b"POST / HTTP/1.1\r\n" + H + coding)
        client.writer.write(data)
        (connection,) = plane.server._connections
        await plane.eventually(lambda: connection.held and connection.exchange._upstream)
        assert connection.exchange._upstream._transport.get_write_buffer_size() < 1 << 20
        assert len(connection.ahead) < 1 << 20
        assert connection.exchange.body.held_size < 1 << 20
        go.set()
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(
    "coding", [b"Content-Length: 20000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n"]
)
async def test_a_slow_reader_meets_back_pressure(coding: bytes):
    """A client that does not read stops the upstream; afterwards everything arrives."""
    content = bytes(range(250)) * 80_000

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(b"HTTP/1.1 200 OK\r\n" + coding)
        data = content
        if b"chunked" in coding:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        await side.send(data)

    async with Plane(behave) as plane:
        client = await plane.client(limit=4096)
        client.reader._transport.pause_reading()
        await client.send(GET)
        (connection,) = plane.server._connections
        await plane.eventually(lambda: connection.write_paused)
        assert connection.exchange._upstream._reading_paused
        assert connection.transport.get_write_buffer_size() < 1 << 20
        client.reader._transport.resume_reading()
        assert (await client.answer()).body == content


async def test_a_body_waits_while_the_handler_thinks():
    """Before the handler has answered some kilobytes are kept and the rest waits in the socket."""

    def decide(exchange) -> bool:
        waiting.append(exchange)
        return True

    waiting: list = []
    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        await client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 20000000\r\n\r\n")
        client.writer.write(b"x" * 20_000_000)
        (connection,) = plane.server._connections
        await plane.eventually(lambda: connection.held)
        assert waiting[0].body.held_size < 1 << 20
        plane.handler.forward(waiting[0])
        assert (await client.answer()).body == b"POST / 20000000"


async def test_100_continue_comes_from_the_upstream():
    """The expectation is forwarded, and so is the upstream's 100."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            sent = await side.request(body=False)
            assert sent.get("expect") == "100-continue"
            await side.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await side.body(sent)
            await side.send(OK)

    async with Plane(behave) as plane:
        client = await plane.client()
        assert (await client.ask(EXPECT)).status == 100
        assert (await client.ask(b"hello")).status == 200
        assert (await client.ask(EXPECT)).status == 100
        assert (await client.ask(b"hello")).status == 200
        assert plane.upstream.connections == 1


async def test_100_continue_from_here_when_the_upstream_says_nothing():
    """An upstream that waits in silence does not stop a client that waits too."""
    async with Plane(limits=Limits(body_timeout=2)) as plane:
        client = await plane.client()
        assert (await client.ask(EXPECT)).status == 100
        assert (await client.ask(b"hello")).body == b"POST / 5"


async def test_an_expectation_refused():
    """An answer instead of 100 closes the connection: nobody knows whether the body follows."""
    async with Plane(always(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")) as plane:
        plane.upstream.behaviour = early(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        client = await plane.client()
        answer = await client.ask(EXPECT)
        assert (answer.status, answer.get("connection")) == (401, "close")
        assert await client.ended()


def early(response: bytes):
    """Answer at the head, whatever body follows, and stay."""

    async def behave(side: UpstreamSide) -> None:
        await side.request(body=False)
        await side.send(response)
        await side.ended()

    return behave


async def test_r63_an_early_answer_ends_the_upload_cleanly():
    """R63: the client gets the whole early answer though it is still sending; the upstream is left alone."""
    response = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge"
    async with Plane(early(response)) as plane:
        client = await plane.client()
        await client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 30000000\r\n\r\n" + b"x" * 1000)
        answer = await client.answer()
        assert (answer.status, answer.body, answer.get("connection")) == (413, b"large", "close")
        await plane.eventually(lambda: plane.upstream.open == 0)
        await client.send(*[b"x" * 10_000] * 5)
        client.writer.write_eof()
        assert await client.rest() == b""
        assert plane.handler.finished[0].fault is None


async def test_both_ways_at_once():
    """A response that begins before the upload has ended goes on beside it."""

    async def behave(side: UpstreamSide) -> None:
        await side.request(body=False)
        await side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await side.send(await side.exactly(10))
        await side.send(await side.exactly(5))

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.send(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n")
        await client.head()
        for _ in range(3):
            await client.send(b"5\r\nhello\r\n")
            assert await client.exactly(10) == b"5\r\nhello\r\n"
        await client.send(b"0\r\n\r\n")
        assert await client.exactly(5) == b"0\r\n\r\n"


@pytest.mark.parametrize("size", [10, 60_000])
@pytest.mark.parametrize("chunked", [True, False])
async def test_the_rest_of_a_small_body_is_discarded(size: int, chunked: bool):
    """After an answer of our own a small body is read to its end, and the next request is found behind it."""

    def decide(exchange) -> bool:
        exchange.respond(403, [])
        return True

    lines = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size
    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        for _ in range(2):
            assert (await client.ask(b"POST / HTTP/1.1\r\n" + H + lines, body)).status == 403
        assert (await client.ask(GET)).status == 403


@pytest.mark.parametrize(
    "lines", [b"Content-Length: 30000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1c9c380\r\n"]
)
async def test_the_rest_of_a_large_body_ends_the_connection(lines: bytes):
    """A large body is not read to its end for the sake of a connection."""

    def decide(exchange) -> bool:
        exchange.respond(403, [], b"no")
        return True

    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        answer = await client.ask(b"POST / HTTP/1.1\r\n" + H + lines)
        assert (answer.status, answer.body) == (403, b"no")
        client.writer.write(b"x" * 30_000_000)
        assert await client.ended()
        assert len(plane.handler.exchanges) == 1


async def read(data: bytes, *pieces: bytes, limit: int = 100, status: int = 200):
    """Let the handler read the body; return the answer and what became of it."""

    async def take(exchange) -> None:
        try:
            results.append(await exchange.read_body(limit))
            exchange.respond(200, [], b"read")
        except Fault as fault:
            results.append(fault)
            exchange.respond(status, [], fault.reason.encode())

    def decide(exchange) -> bool:
        tasks.append(asyncio.ensure_future(take(exchange)))
        return True

    results: list = []
    tasks: list = []
    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        answer = await client.ask(data, *pieces)
        if answer.status == 100:
            answer = await client.ask(b"hello")
        await asyncio.gather(*tasks)
        return answer, results[0]


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello", ()),
        (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\n", (b"he", b"llo")),
        (
            b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
            (b"llo\r\n0", b"\r\n\r\n"),
        ),
        (EXPECT, ()),
    ],
)
async def test_the_handler_reads_the_body(data: bytes, pieces: tuple):
    """``read_body`` returns the whole body however it comes, and says 100 where that is waited for."""
    answer, content = await read(data, *pieces)
    assert (answer.status, answer.body, content) == (200, b"read", b"hello")
    assert answer.get("connection") is None


async def test_the_handler_reads_no_body():
    """Without a body it is empty."""
    assert (await read(GET))[1] == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"Content-Length: 101\r\n\r\n", "body_too_large"),
        (b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101, "body_too_large"),
        (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", "request_malformed"),
    ],
)
async def test_the_handler_reads_a_bad_body(data: bytes, reason: str):
    """A body too large or malformed is the client's fault; it is told so, and the connection closes."""
    answer, fault = await read(b"POST / HTTP/1.1\r\n" + H, data, status=400)
    assert (answer.status, answer.body.decode(), answer.get("connection")) == (400, reason, "close")
    assert fault.source == "client"


async def test_a_client_that_leaves_while_its_body_is_read():
    """``read_body`` raises client_aborted, and the end is told once."""

    async def take(exchange) -> None:
        try:
            await exchange.read_body(100)
        except Fault as fault:
            faults.append(fault)
            exchange.respond(400, [])

    faults: list[Fault] = []
    tasks: list = []

    def decide(exchange) -> bool:
        tasks.append(asyncio.ensure_future(take(exchange)))
        return True

    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        await client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhe")
        await plane.eventually(lambda: tasks)
        await client.close()
        await plane.eventually(lambda: faults)
        assert faults[0].reason == "client_aborted"
        (finished,) = plane.handler.finished
        assert (finished.status, finished.fault.reason) == (499, "client_aborted")


async def test_echo_is_used_again_after_bodies():
    """A connection serves bodies of both framings, one after the other."""
    async with Plane(echo) as plane:
        client = await plane.client()
        for _ in range(3):
            head = b"POST / HTTP/1.1\r\n" + H
            assert (await client.ask(head + b"Content-Length: 1\r\n\r\n", b"x")).body == b"POST / 1"
            chunks = b"Transfer-Encoding: chunked\r\n\r\n2\r\nxx\r\n0\r\n\r\n"
            assert (await client.ask(head + chunks)).body == b"POST / 2"
        assert plane.upstream.connections == 1
