"""Who is slow is cut (R60); asserted on the outcome, never on how long it took."""

import asyncio
import contextlib

import pytest

from gateway.http.ports import Limits
from tests.support.http import GET, Handler, Plane, UpstreamSide, always, figures

H = b"Host: h\r\n"
SHORT = 0.15


async def hang(side: UpstreamSide) -> None:
    """Take a request and never answer."""
    await side.request()
    await side.ended()


@contextlib.asynccontextmanager
async def dripping(client, pieces):
    """Drip beside what the test does."""
    task = asyncio.create_task(drip(client, pieces))
    try:
        yield
    finally:
        task.cancel()


async def drip(client, pieces) -> None:
    """Send a piece a little before each time-out would end, until the other side ends."""
    try:
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(SHORT / 4)
    except ConnectionError:
        return


async def test_r60_a_slow_head_is_cut():
    """R60: 408, counted from the head's first byte, however steadily it drips."""
    async with Plane(limits=Limits(head_timeout=SHORT)) as plane:
        client = await plane.client()
        async with dripping(client, [GET[:5], *(b"x" for _ in range(400))]):
            answer = await client.answer()
            assert (answer.status, answer.body) == (408, b"request_timeout")
            assert await client.ended()
        assert not plane.handler.exchanges


async def test_r60_a_stopped_body_is_cut():
    """R60: before an answer it is 408, the upstream's connection ends, and so does the client's."""
    async with Plane(limits=Limits(body_timeout=SHORT)) as plane:
        client = await plane.client()
        answer = await client.ask(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhe")
        assert (answer.status, answer.body, answer.get("connection")) == (408, b"request_timeout", "close")
        assert await client.ended()
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert plane.handler.finished[0].fault.source == "client"


async def test_r60_a_dripping_body_is_cut():
    """R60: a byte now and then is no progress."""
    async with Plane(limits=Limits(body_timeout=SHORT)) as plane:
        client = await plane.client()
        head = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 500\r\n\r\n"
        async with dripping(client, [head, *(b"x" for _ in range(400))]):
            assert (await client.answer()).status == 408
            assert await client.ended()


async def test_a_steady_body_is_not_cut():
    """Progress keeps an upload alive for many times the time-out."""
    async with Plane(limits=Limits(body_timeout=SHORT), response_timeout=SHORT) as plane:
        client = await plane.client()
        head = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 15000\r\n\r\n"
        await drip(client, [head, *(b"x" * 1000 for _ in range(15))])
        assert (await client.answer()).body == b"POST / 15000"


async def test_a_body_that_stops_while_the_handler_thinks():
    """The handler's own answer still counts, and ends the connection."""
    async with Plane(handler=Handler(lambda _: True), limits=Limits(body_timeout=SHORT)) as plane:
        client = await plane.client()
        await client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhe")
        await plane.eventually(lambda: plane.handler.exchanges)
        await plane.eventually(lambda: plane.handler.exchanges[0].body.fault)
        plane.handler.exchanges[0].respond(403, [])
        answer = await client.answer()
        assert (answer.status, answer.get("connection")) == (403, "close")


@pytest.mark.parametrize("before", [b"", GET])
async def test_idle_connections_are_closed(before: bytes):
    """New or kept, a connection without a request is closed without a word."""
    async with Plane(limits=Limits(idle_timeout=SHORT)) as plane:
        client = await plane.client()
        if before:
            assert (await client.ask(before)).status == 200
        assert await client.rest() == b""


async def test_an_open_request_is_not_idle():
    """A long poll outlives the idle, head and body time-outs."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await go.wait()
        await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    limits = Limits(idle_timeout=SHORT, head_timeout=SHORT, body_timeout=SHORT, write_timeout=SHORT)
    async with Plane(behave, limits=limits) as plane:
        client = await plane.client()
        await client.send(GET)
        start = plane.server.now
        await plane.eventually(lambda: plane.server.now - start > 4 * SHORT)
        go.set()
        assert (await client.answer()).body == b"ok"


async def test_an_upstream_that_does_not_answer():
    """504, its connection ends, the client's is kept."""
    async with Plane(hang, response_timeout=SHORT) as plane:
        client = await plane.client()
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (504, b"upstream_timeout")
        await plane.eventually(lambda: plane.upstream.open == 0)


async def test_an_upstream_that_stops_in_the_middle():
    """R63: the client's connection is reset."""
    async with Plane(
        always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), idle_timeout=SHORT
    ) as plane:
        client = await plane.client()
        await client.send(GET)
        with pytest.raises(ConnectionError):
            await client.rest()
        assert plane.handler.finished[0].fault.reason == "upstream_timeout"


async def test_an_upstream_that_does_not_read():
    """An upload that the upstream does not take is 504."""

    async def behave(side: UpstreamSide) -> None:
        side.reader._transport.pause_reading()
        await asyncio.Event().wait()

    async with Plane(behave, response_timeout=SHORT) as plane:
        client = await plane.client()
        client.writer.write(
            b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
        )
        assert (await client.answer()).status == 504


async def test_idle_upstream_connections_are_closed():
    """After ``keepalive`` a connection is not kept."""
    async with Plane(keepalive=SHORT) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).status == 200
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert figures(plane.server)["upstream_app_open"] == 0
        assert (await client.ask(GET)).status == 200


async def test_r60_a_client_that_does_not_read_is_cut():
    """R60: its connection and the upstream's end."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
    async with Plane(always(big), limits=Limits(write_timeout=SHORT)) as plane:
        client = await plane.client(limit=4096)
        client.reader._transport.pause_reading()
        await client.send(GET)
        await plane.eventually(lambda: plane.handler.finished)
        assert plane.handler.finished[0].fault.reason == "client_aborted"
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 0)
        await plane.eventually(lambda: figures(plane.server)["upstream_app_open"] == 0)
