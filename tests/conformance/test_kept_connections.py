"""Connections that a server closes as a request is written: what is repeated, and what closes first (R63)."""

import asyncio

import pytest

from tests.support.cluster import OK, Cluster, get
from tests.support.http import Plane, UpstreamSide

BODY = b"hello"


def ask(method: str, body: bytes = BODY, *, chunked: bool = False) -> bytes:
    """Return a request with a body."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return b"%b / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n%b" % (method.encode(), framing, content)


async def closing(side: UpstreamSide) -> None:
    """Answer once on the first connection, and end it as the second request comes; answer on others."""
    while True:
        sent = await side.request()
        if side.index == 0 and len(side.upstream.seen) > 1:
            return
        await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(sent.body), sent.body))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY"])
async def test_r63_a_body_that_is_wholly_held_goes_again(method, chunked):
    """R63 [3.11]: an idempotent request on a kept connection that ends without a byte, with its body."""
    async with Plane(closing) as plane:
        client = await plane.client()
        assert (await client.ask(get())).status == 200
        for body in (BODY, b"x" * 60_000):
            answer = await client.ask(ask(method, body, chunked=chunked))
            assert (answer.status, answer.body) == (200, body)
        assert plane.upstream.connections == 2
        assert [sent.method for sent in plane.upstream.seen] == ["GET", method, method, method]


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
async def test_r63_what_must_not_be_sent_twice_is_not(method):
    """R63 [3.11]: it was written, so it is 502; its body being held does not matter."""
    async with Plane(closing) as plane:
        client = await plane.client()
        assert (await client.ask(get())).status == 200
        assert (await client.ask(ask(method))).status == 502
        assert len(plane.upstream.seen) == 2


async def test_r63_a_long_body_is_not_held():
    """R63 [3.11]: what has gone to the upstream and is here no more is not repeated, whatever the method."""
    async with Plane(closing) as plane:
        client = await plane.client()
        assert (await client.ask(get())).status == 200
        assert (await client.ask(ask("PUT", b"x" * 300_000))).status == 502
        assert len(plane.upstream.seen) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("size", [5, 300_000])
@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 408 Too Late\r\nConnection: close\r\n\r\n"])
async def test_r63_an_end_that_has_come_is_seen_before_a_byte_is_written(method, size, last):
    """R63 [3.11]: also one of which the loop has not told yet: the request goes on a new connection."""
    end = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(OK)
        if side.index == 0:
            await end.wait()
            if last:
                await side.send(last)
            return
        await side.ended()

    async with Plane(behave) as plane:
        client = await plane.client()
        assert (await client.ask(get())).status == 200
        (connection,) = plane.server.pools["app"]._connections
        # as where the end comes in the same turn of the loop as the request
        connection._transport.pause_reading()
        end.set()
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert (await client.ask(ask(method, b"x" * size))).status == 200
        assert [sent.method for sent in plane.upstream.seen] == ["GET", method]
        assert plane.upstream.connections == 2


async def test_r63_whoever_waited_gets_no_connection_that_has_ended():
    """R63 [3.11]: a connection that is handed on to the next in the queue is looked at as well."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await go.wait()
        await side.send(OK)

    async with Plane(behave, max_connections=1) as plane:
        clients = [await plane.client() for _ in range(2)]
        for client in clients:
            await client.send(ask("POST"))
            await plane.eventually(lambda: plane.upstream.seen)
        await plane.eventually(lambda: len(plane.server.pools["app"]._waiting) == 1)
        go.set()
        for client in clients:
            assert (await client.answer()).status in (200, 502)
        await plane.eventually(lambda: plane.server.in_flight == 0)


def telling(*fields: bytes):
    """Answer with these fields."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await side.send(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % b"".join(fields))

    return behave


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ((), 4.0),
        ((b"Keep-Alive: timeout=5\r\n",), 4.0),
        ((b"Keep-Alive: timeout=5, max=100\r\n",), 4.0),
        ((b"keep-alive: max=3,  TIMEOUT = 72\r\n",), 71.0),
        ((b"Keep-Alive: max=3\r\n", b"Keep-Alive: timeout=2\r\n"), 1.0),
        ((b"Keep-Alive: timeout=1\r\n",), 0.0),
        ((b"Keep-Alive: xtimeout=9, timeout=, timeout=-1, timeout=9999999999\r\n",), 4.0),
        ((b"Connection: keep-alive, keep-alive\r\nKeep-Alive: timeout=11\r\n",), 10.0),
    ],
)
async def test_keepalive_by_what_the_server_tells(fields, kept):
    """[3.11]: with ``auto``, the default, a second less than ``Keep-Alive: timeout=``, else four seconds."""
    async with Plane(telling(*fields)) as plane:
        client = await plane.client()
        for _ in range(3):
            answer = await client.ask(get())
            assert (answer.status, answer.get("keep-alive")) == (200, None)
        pool = plane.server.pools["app"]
        assert {each._kept_for for each in pool._connections} <= {kept}
    async with Plane(telling(*fields), keepalive="9s") as plane:
        client = await plane.client()
        assert (await client.ask(get())).status == 200
        assert {each._kept_for for each in plane.server.pools["app"]._connections} == {9.0}


async def test_a_connection_is_closed_before_its_server_would():
    """[3.11]: never as late as the server's own time-out; at 0 it is not kept at all."""
    async with Cluster(1, telling(b"Keep-Alive: timeout=2\r\n")) as cluster:
        client = await cluster.client()
        assert (await client.ask(get())).status == 200
        start = cluster.server.now
        await cluster.eventually(lambda: cluster.members[0].open == 0)
        assert cluster.server.now - start < 2
    async with Cluster(1, telling(b"Keep-Alive: timeout=0\r\n")) as cluster:
        client = await cluster.client()
        for _ in range(3):
            assert (await client.ask(get())).status == 200
        assert cluster.members[0].connections == 3
