"""Slow and greedy clients: they keep nobody else from being served, and are cut in the end (R60)."""

import asyncio
import resource
import socket
from dataclasses import replace

import pytest

from gateway.config.settings.listener import TlsSettings
from gateway.http.downstream.certificates import Certificates
from gateway.http.ports import Limits
from tests.support.certificates import Authority
from tests.support.http import GET, Plane, always, figures

# each takes two descriptors of this process, and four run at once
MANY = max(50, min(1500, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 10))

SLOW = {
    "silent": b"",
    "head": b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ",
    "body": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10,
    "chunk": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 10,
}


async def hang(plane, start, many):
    """Open many connections that begin like this and then hang."""
    found = []
    for _ in range(0, many, 100):
        found += await asyncio.gather(*(plane.client() for _ in range(100)))
    for client in found:
        client.writer.write(start)
    await plane.eventually(lambda: figures(plane.server)["client_connections"] >= many)
    return found


@pytest.mark.parametrize("kind", SLOW)
async def test_slow_clients_keep_nobody_waiting(kind):
    """Hundreds hang at every stage of a request: each request of others is answered, and all are cut."""
    many = MANY // 100 * 100 if kind == "head" else 200
    async with Plane(limits=Limits(connections=2 * many)) as plane:
        slow = await hang(plane, SLOW[kind], many)
        client = await plane.client()
        for _ in range(50):
            assert (await client.ask(GET)).status == 200
        assert (await (await plane.client()).ask(GET)).status == 200
        # the time-outs of the default are not waited for
        plane.server.limits = replace(
            plane.server.limits, head_timeout=0.1, body_timeout=0.1, idle_timeout=0.1
        )
        await asyncio.gather(*(each.ended() for each in slow))
        for each in (*slow, *plane.clients):
            each.writer.close()
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 0)
        assert plane.server.in_flight == 0
        assert len(plane.server.admission) == 0


async def test_drip_feeding_buys_no_time():
    """A client that sends one byte of its head now and then is cut when the head's time is over."""
    async with Plane(limits=Limits(head_timeout=0.5)) as plane:
        client = await plane.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n")

        async def drip():
            while True:
                client.writer.write(b"a")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        try:
            assert (await client.answer()).status == 408
            assert await client.ended()
        finally:
            dripping.cancel()
        assert plane.handler.exchanges == []


def narrow(plane):
    """Return a connected socket into which the kernel takes little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", plane.server.port))
    return sock


async def test_readers_that_stall_keep_nobody_waiting():
    """Clients that ask for much and take nothing hold a bounded amount of memory, and are cut."""
    content = bytes(8 << 20)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    limits = Limits(write_timeout=1.0)
    async with Plane(always(answer), limits=limits) as plane:
        slow = [await plane.client(sock=narrow(plane)) for _ in range(8)]
        for client in slow:
            client.writer.transport.pause_reading()
            await client.send(GET)
        await plane.eventually(lambda: plane.server.in_flight == 8)
        client = await plane.client()
        assert len((await client.ask(GET)).body) == len(content)
        unsent = sum(each.transport.get_write_buffer_size() for each in plane.server._connections)
        assert unsent < 8 * (1 << 20)
        await plane.eventually(lambda: len(plane.handler.finished) == 9)
        assert sum(each.fault is not None for each in plane.handler.finished) == 8


async def test_connections_of_one_address():
    """Beyond the limit an address gets 503, others and what it has open go on; a free place is usable."""
    async with Plane(limits=Limits(connections_per_address=3)) as plane:
        first = [await plane.client() for _ in range(3)]
        for client in first:
            assert (await client.ask(GET)).status == 200
        beyond = await plane.client()
        assert (await beyond.answer()).status == 503
        assert await beyond.ended()
        await beyond.close()
        other = await plane.client(local_addr=("127.0.0.9", 0))
        assert (await other.ask(GET)).status == 200
        assert (await first[0].ask(GET)).status == 200
        await first[0].close()
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 3)
        assert (await (await plane.client()).ask(GET)).status == 200
        assert figures(plane.server)["connections_refused_per_address"] == 1


async def test_far_beyond_the_limit():
    """Whoever goes on gets no answer any more: refusing costs nothing that could be filled up."""
    async with Plane(limits=Limits(connections_per_address=1)) as plane:
        await plane.client()
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 1)
        greedy = [await plane.client() for _ in range(150)]
        await asyncio.gather(*(client.ended() for client in greedy))
        other = await plane.client(local_addr=("127.0.0.9", 0))
        assert (await other.ask(GET)).status == 200
        assert figures(plane.server)["connections_refused_per_address"] == 150


async def test_trusted_proxies_have_any_number():
    """The limit is for clients; a proxy in front opens as many connections as it needs."""
    async with Plane(limits=Limits(connections_per_address=1)) as plane:
        plane.server.admission.exempt(["127.0.0.0/8"])
        for _ in range(5):
            assert (await (await plane.client()).ask(GET)).status == 200


async def test_connections_of_one_address_over_tls(tmp_path):
    """Over TLS who is beyond the limit is cut before any handshake; handshakes take places too."""
    authority = Authority(tmp_path)
    certificates = Certificates(TlsSettings(**authority.issue("localhost").written))
    limits = Limits(connections_per_address=2)
    async with Plane(limits=limits, certificates=certificates) as plane:
        secure = {"ssl": authority.trusting(), "server_hostname": "localhost"}
        await plane.client()
        client = await plane.client(**secure)
        assert (await client.ask(GET)).status == 200
        beyond = await plane.client()
        assert await beyond.ended()
        other = await plane.client(local_addr=("127.0.0.9", 0), **secure)
        assert (await other.ask(GET)).status == 200
        assert figures(plane.server)["connections_refused_per_address"] == 1
        await client.close()
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 1)
        assert (await (await plane.client(**secure)).ask(GET)).status == 200


async def test_many_silent_clients_over_tls(tmp_path):
    """Hundreds that never shake hands keep nobody from a handshake, and are cut."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    certificates = Certificates(TlsSettings(**pair.written, handshake_timeout="1s"))
    async with Plane(certificates=certificates) as plane:
        silent = [await plane.client() for _ in range(300)]
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        for _ in range(20):
            assert (await client.ask(GET)).status == 200
        await asyncio.gather(*(each.ended() for each in silent))
        await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 0)
        assert plane.server.handshakes_failed == 300
        assert (await client.ask(GET)).status == 200
