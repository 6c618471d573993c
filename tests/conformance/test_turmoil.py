"""Clients and servers that do anything at any time: whatever happened, nothing is left of it (R63, R78)."""

import asyncio
import contextlib
import random
import traceback

import pytest

from gateway.http.ports import Limits
from tests.support.cluster import Cluster
from tests.support.http import Client, UpstreamSide

SEEDS = range(2)
OK = b"HTTP/1.1 200 OK\r\n"
NTLM = b"WWW-Authenticate: NTLM\r\n"


def serve(draw: random.Random):
    """Behave in some way for each request."""

    async def answer(side: UpstreamSide, method: str) -> bool:
        """Answer once; tell whether the connection goes on."""
        kind = draw.randrange(14)
        size = draw.choice([0, 5, 3000, 300_000])
        plain = OK + b"Content-Length: %d\r\n" % size
        body = b"" if method == "HEAD" else bytes(size)
        if kind < 4:
            await side.send(plain + b"\r\n" + body)
        elif kind == 4:
            await side.send(plain + NTLM + b"\r\n" + body)
        elif kind == 5:
            await side.send(plain + b"Keep-Alive: timeout=1\r\n\r\n" + body)
            return False
        elif kind == 6:
            await side.send(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await asyncio.sleep(draw.random() / 50)
            await side.send(b"0\r\n\r\n")
        elif kind == 7:
            await side.send(OK + b"Content-Type: text/event-stream\r\n\r\ndata: x\n\n")
            await asyncio.sleep(draw.random() / 10)
            return False
        elif kind == 8:
            await side.send(OK + b"Content-Length: 50\r\n\r\nhalf")
            return False
        elif kind == 9:
            side.reset()
            return False
        elif kind == 10:
            await side.send(b"garbage\r\n\r\n")
            return False
        elif kind == 11:
            await asyncio.sleep(draw.random() / 4)
            return False
        elif kind == 12:
            await side.send(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await side.rest()
            return False
        else:
            await side.send(b"HTTP/1.1 401 No\r\n" + NTLM + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        return True

    async def behave(side: UpstreamSide) -> None:
        while True:
            try:
                sent = await side.request(body=False)
                if draw.random() < 0.8:
                    await side.body(sent)
            except (ValueError, asyncio.LimitOverrunError):
                # what was not read of the body before is no request
                return
            if not await answer(side, sent.method):
                return

    return behave


def request(draw: random.Random) -> bytes:
    """Return some request, whole or not."""
    method = draw.choice([b"GET", b"GET", b"HEAD", b"POST", b"PUT"])
    head = method + b" / HTTP/1.1\r\nHost: h\r\n"
    if draw.random() < 0.2:
        head += b"Authorization: NTLM abc\r\n"
    if method == b"GET" and draw.random() < 0.2:
        head += b"Connection: upgrade\r\nUpgrade: raw\r\n"
    if method in (b"POST", b"PUT"):
        size = draw.choice([1, 1000, 60_000, 400_000])
        if draw.random() < 0.5:
            head += b"Expect: 100-continue\r\n" * (draw.random() < 0.2)
            head += b"Content-Length: %d\r\n\r\n" % size + bytes(size)
        else:
            head += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size))
    else:
        head += b"\r\n"
    if draw.random() < 0.15:
        return head[: draw.randrange(len(head))]
    return head + draw.choice([b"", b"", b"", b"x", head, bytes(5000)])


async def behave_somehow(client: Client, draw: random.Random) -> None:
    """Send and read in some way, and leave in some way."""
    transport = client.writer.transport
    with contextlib.suppress(OSError, TimeoutError, RuntimeError, asyncio.IncompleteReadError):
        for _ in range(draw.randrange(1, 5)):
            data = request(draw)
            while data:
                at = draw.choice([1, 100, 10_000, 1_000_000])
                client.writer.write(data[:at])
                data = data[at:]
                if draw.random() < 0.1:
                    await asyncio.sleep(draw.random() / 100)
                if transport.get_write_buffer_size() > 1_000_000:
                    break
            kind = draw.randrange(6)
            if kind < 3:
                async with asyncio.timeout(0.1):
                    await client.some()
            elif kind == 3:
                await asyncio.sleep(draw.random() / 20)
            elif kind == 4 and transport.can_write_eof():
                transport.write_eof()
                return
    if draw.random() < 0.5:
        transport.abort()
    else:
        client.writer.close()


@pytest.mark.parametrize("seed", SEEDS)
async def test_r63_r78_nothing_is_left(seed: int):
    """R63, R78 [3.2] [3.14] [3.1]: every connection, share, place in a queue and kept one is given back."""
    draw = random.Random(seed)
    broken: list[str] = []

    def note(_: object, context: dict) -> None:
        told = "".join(traceback.format_exception(context.get("exception")))
        if "/gateway/" in told or "exception" not in context:
            broken.append(f"{context} {told}")

    asyncio.get_running_loop().set_exception_handler(note)
    limits = Limits(write_timeout=1, body_timeout=1, idle_timeout=1, head_timeout=1, connections=60)
    async with Cluster(
        1 + seed % 3,
        serve(draw),
        limits=limits,
        max_connections=8,
        response_timeout=1,
        idle_timeout=1,
        connect_timeout=0.5,
        breaker={"failures": 3, "delay": 0.1},
    ) as cluster:
        for turn in range(12):
            addresses = [f"127.0.0.{draw.choice([2, 2, 2, 3, 4, 5])}" for _ in range(20)]
            with contextlib.suppress(ConnectionError):
                clients = await asyncio.gather(*(cluster.client(local_addr=(each, 0)) for each in addresses))
            await asyncio.gather(*(behave_somehow(each, draw) for each in clients))
            if turn == 6:
                old = cluster.server.pools["app"]
                changed = {"app": old.settings.model_copy(update={"max_idle": 7})}
                cluster.server.configure(cluster.server.build_pools(changed), cluster.limits)
        server = cluster.server
        await cluster.eventually(lambda: not server.in_flight)
        await cluster.eventually(lambda: not server._connections)
        assert not server.crowd._closing
        assert len(server.admission) == 0
        for pool in (server.pools["app"], old):
            pool.close_idle()
            await cluster.eventually(lambda pool=pool: not any(each.open for each in pool._origins))
            assert [each.busy for each in pool._origins] == [0] * len(pool._origins)
            assert pool.is_done
            assert pool.shares.is_empty
            assert not pool.shares.is_counting
            assert not len(pool.shares._tally)
            assert not pool.bound._idle
            assert not pool.uploads._holding._names
            assert not pool.uploads._gathering
            assert not pool._opening
        assert not broken, broken[0]
