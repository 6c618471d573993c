"""Requests whose body is slow to come take nobody else's place (R60)."""

import asyncio
import contextlib

import pytest

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.downstream import request_body
from gateway.http.downstream.request_body import MOST_HELD
from gateway.http.ports import Limits
from gateway.http.upstream import uploads
from tests.support.http import GET, Handler, Plane, UpstreamSide, figures

H = b"Host: h\r\n"
SHORT = 0.15
LONG = MOST_HELD + 1


def post(size: int | None, more: bytes = b"") -> bytes:
    """Return the head of a POST: with a length, or chunked."""
    framing = b"Transfer-Encoding: chunked" if size is None else b"Content-Length: %d" % size
    return b"POST / HTTP/1.1\r\n" + H + more + framing + b"\r\n\r\n"


def gauge(plane: Plane, name: str) -> float:
    """Return a figure of the pool."""
    return figures(plane.server)[f"upstream_app_{name}"]


async def begin(plane: Plane, many: int, head: bytes):
    """Let so many clients begin an upload, and wait until they hold their connections."""
    clients = [await plane.client(local_addr=(f"127.0.0.{turn + 2}", 0)) for turn in range(many)]
    for client in clients:
        await client.send(head)
    await plane.eventually(lambda: plane.upstream.open == gauge(plane, "uploading") == many)
    return clients


@pytest.mark.parametrize("size", [1, 1000, MOST_HELD])
async def test_r60_a_short_body_takes_no_connection_before_it_is_whole(size: int):
    """R60: until then the upstream hears nothing of it; others do not wait."""
    async with Plane(max_connections=1) as plane:
        slow = [await plane.client() for _ in range(20)]
        for client in slow:
            await client.send(post(size) + b"x" * (size - 1))
        await plane.eventually(lambda: gauge(plane, "gathering") == len(slow))
        client = await plane.client()
        for _ in range(3):
            assert (await client.ask(GET)).status == 200
        assert len(plane.upstream.seen) == 3
        for client in slow:
            for _ in range(2):
                assert (await client.ask(b"x")).body == b"POST / %d" % size
                await client.send(post(size) + b"x" * (size - 1))
        await plane.eventually(lambda: gauge(plane, "gathering") == len(slow))
        for client in slow:
            await client.close()
        await plane.eventually(lambda: gauge(plane, "gathering") == 0 and plane.server.in_flight == 0)


@pytest.mark.parametrize("head", [post(LONG), post(None), post(5, b"Expect: 100-continue\r\n")])
async def test_r60_unfinished_uploads_hold_half_of_the_connections(head: bytes):
    """R60: those beyond wait their turn; requests without a body, or whose body is whole, do not."""
    async with Plane(max_connections=6) as plane:
        held = await begin(plane, 3, head)
        waiting = await plane.client()
        await waiting.send(post(None) + b"5\r\nhello\r\n")
        await plane.eventually(lambda: gauge(plane, "waiting") == 1)
        assert plane.upstream.open == 3
        client = await plane.client()
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(post(5) + b"hello")).body == b"POST / 5"
        assert (await client.ask(post(None), b"5\r\nhello\r\n", b"0\r\n\r\n")).body == b"POST / 5"
        assert (await waiting.ask(b"0\r\n\r\n")).body == b"POST / 5"
        assert gauge(plane, "uploading") == 3

        await waiting.send(post(LONG))
        await plane.eventually(lambda: gauge(plane, "waiting") == 1)
        await held[0].close()
        await plane.eventually(lambda: gauge(plane, "waiting") == 0)
        assert (await waiting.ask(b"x" * LONG)).body == b"POST / %d" % LONG
        for client in held[1:]:
            await client.close()
        await plane.eventually(lambda: gauge(plane, "uploading") == 0)


async def test_r60_the_queue_of_uploads_is_bounded():
    """R60: beyond the queue, or after too long in it, an upload is 503 overloaded."""
    async with Plane(max_connections=2, connect_timeout=SHORT) as plane:
        await begin(plane, 1, post(None))
        waiting = [await plane.client() for _ in range(3)]
        for client in waiting[:2]:
            await client.send(post(LONG))
        await plane.eventually(lambda: gauge(plane, "waiting") == 2)
        for client in reversed(waiting):
            answer = await (client.ask(post(LONG)) if client is waiting[2] else client.answer())
            assert (answer.status, answer.body) == (503, b"overloaded")


async def test_r60_the_upload_that_stands_still_ends_for_one_that_waits(monkeypatch):
    """R60: 408 for the one that has stood still longest, and only when somebody waits."""
    monkeypatch.setattr(uploads, "_PATIENCE", SHORT)
    async with Plane(max_connections=4, connect_timeout=20) as plane:
        (first,) = await begin(plane, 1, post(None))
        (pool,) = plane.server.pools.values()
        (exchange,) = pool.uploads._holding
        await plane.eventually(lambda: exchange.body.pace and exchange.body.pace.still > 4 * SHORT)
        second = await plane.client()
        await second.send(post(None))
        await plane.eventually(lambda: gauge(plane, "uploading") == 2)
        third = await plane.client()
        await third.send(post(LONG))
        answer = await first.answer()
        assert (answer.status, answer.get("connection")) == (408, "close")
        assert (await third.ask(b"x" * LONG)).body == b"POST / %d" % LONG
        assert (await second.ask(b"0\r\n\r\n")).body == b"POST / 0"


async def test_r60_it_ends_for_a_request_that_waits_too(monkeypatch):
    """R60: where there is only one connection, half of it is all of it."""
    monkeypatch.setattr(uploads, "_PATIENCE", SHORT)
    async with Plane(max_connections=1, connect_timeout=20) as plane:
        (slow,) = await begin(plane, 1, post(LONG))
        client = await plane.client()
        assert (await client.ask(GET)).status == 200
        assert (await slow.answer()).status == 408


async def test_an_upload_that_is_being_answered_does_not_end_for_others(monkeypatch):
    """Its client may be waiting for more of the answer before it goes on."""
    monkeypatch.setattr(uploads, "_PATIENCE", SHORT)

    async def behave(side: UpstreamSide) -> None:
        await side.request(body=False)
        await side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await side.send(await side.exactly(5))

    async with Plane(behave, max_connections=2, connect_timeout=4 * SHORT) as plane:
        client = await plane.client()
        await client.send(post(None))
        assert b" 200 " in await client.head()
        other = await plane.client()
        assert (await other.ask(post(LONG))).status == 503
        await client.send(b"0\r\n\r\n")
        assert await client.exactly(5) == b"0\r\n\r\n"


@contextlib.asynccontextmanager
async def pouring(client, piece: bytes):
    """Send a piece again and again beside what the test does, far more often than any time-out."""

    async def pour() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(piece)
                await asyncio.sleep(SHORT / 4)

    task = asyncio.create_task(pour())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.parametrize("size", [60_000, 100_000_000])
async def test_r60_a_body_below_the_least_rate_is_cut(monkeypatch, size: int):
    """R60: progress within each time-out is not enough where it makes no rate in the end."""
    monkeypatch.setattr(request_body, "_LEAST_RATE", 1 << 30)
    async with Plane(limits=Limits(body_timeout=SHORT)) as plane:
        client = await plane.client()
        await client.send(post(size))
        async with pouring(client, b"x" * 300):
            answer = await client.answer()
            assert (answer.status, answer.body, answer.get("connection")) == (
                408,
                b"request_timeout",
                "close",
            )
        await plane.eventually(lambda: plane.upstream.open == plane.server.in_flight == 0)


async def test_a_chunked_body_has_no_least_rate(monkeypatch):
    """Whoever sends it may be making it; only silence ends it."""
    monkeypatch.setattr(request_body, "_LEAST_RATE", 1 << 30)
    async with Plane(limits=Limits(body_timeout=SHORT)) as plane:
        client = await plane.client()
        await client.send(post(None))
        async with pouring(client, b"12c\r\n" + b"x" * 300 + b"\r\n"):
            start = plane.server.now
            await plane.eventually(lambda: plane.server.now - start > 4 * SHORT)
        assert (await client.ask(b"0\r\n\r\n")).status == 200


async def test_an_upstream_that_does_not_read_makes_no_client_slow(monkeypatch):
    """What the client cannot send is not held against it."""
    monkeypatch.setattr(request_body, "_LEAST_RATE", 1 << 30)
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        sent = await side.request(body=False)
        side.reader._transport.pause_reading()
        await go.wait()
        side.reader._transport.resume_reading()
        await side.body(sent)
        await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with Plane(behave, limits=Limits(body_timeout=3)) as plane:
        client = await plane.client()
        await client.send(post(20_000_000))
        client.writer.write(b"x" * 20_000_000)
        (connection,) = plane.server._connections
        await plane.eventually(lambda: connection.is_held)
        body = connection.exchange.body
        start = plane.server.now
        await plane.eventually(lambda: plane.server.now - start > 2)
        assert body.pace.still < 2
        assert body.pace.seconds < 2
        go.set()
        assert (await client.answer()).body == b"ok"


async def test_a_body_that_is_awaited_outlives_its_pool():
    """After a reload has replaced the pool it is still sent there, and the pool then ends."""
    async with Plane() as plane:
        client = await plane.client()
        await client.send(post(5) + b"hell")
        await plane.eventually(lambda: gauge(plane, "gathering") == 1)
        server, (old,) = plane.server, plane.server.pools.values()
        other = UpstreamSettings(servers=old.settings.servers, max_connections=7)
        server.configure(server.build_pools({"app": other}), server.limits)
        start = server.now
        await plane.eventually(lambda: server.now - start > 1)
        assert old in server.pools._retired
        assert (await client.ask(b"o")).body == b"POST / 5"
        await plane.eventually(lambda: not server.pools._retired)


async def test_a_body_that_turns_out_too_large_or_malformed_while_it_is_awaited():
    """It is refused, and nothing of it reaches the upstream."""
    async with Plane(handler=Handler(max_body=10)) as plane:
        for data, status in ((post(11), 413), (post(None) + b"5\r\nhello\r\nx\r\n", 400)):
            client = await plane.client()
            assert (await client.ask(data)).status == status
            assert await client.ended()
        assert gauge(plane, "uploading") == gauge(plane, "gathering") == 0


async def test_an_upstream_that_is_down_when_the_body_is_whole():
    """502, and the client's connection goes on."""
    async with Plane() as plane:
        client = await plane.client()
        await client.send(post(5) + b"hell")
        await plane.eventually(lambda: gauge(plane, "gathering") == 1)
        await plane.upstream.close()
        for _ in range(2):
            assert (await client.ask(b"o")).status == 502
            await client.send(post(5) + b"hell")
        assert (await client.ask(b"o")).status == 502
        assert plane.server.in_flight == 0
