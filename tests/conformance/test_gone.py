"""Clients that are gone are noticed in every state, whatever they sent before (R78)."""

import asyncio
import contextlib
import os
import socket
import struct

import pytest

from gateway.config.settings.listener import TlsSettings
from gateway.http.downstream import connection as client_connection
from gateway.http.downstream.certificates import Certificates
from gateway.supervision.sockets import bind
from tests.support.certificates import Authority
from tests.support.cluster import hang
from tests.support.http import GET, Behaviour, Client, Handler, Plane, UpstreamSide

LONG = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n"
SHORT = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
MUCH = bytes(24 << 20)


async def stream(side: UpstreamSide) -> None:
    """Begin an event stream that says no more."""
    await side.request()
    await side.send(EVENTS)
    await side.ended()


async def deaf(side: UpstreamSide) -> None:
    """Read nothing of a request's body."""
    await side.request(body=False)
    side.writer.transport.pause_reading()
    # the end comes after all that it does not read
    await side.upstream.released.wait()


async def flood(side: UpstreamSide) -> None:
    """Send more than anybody takes."""
    await side.request()
    await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MUCH))
    with contextlib.suppress(ConnectionError):
        await side.send(MUCH)
    await side.ended()


STATES: dict[str, tuple[Behaviour, bytes, bool]] = {
    "waiting for a head": (hang, GET, False),
    "an event stream": (stream, GET, False),
    "a download": (flood, GET, False),
    "an upload that nobody takes": (deaf, LONG, True),
    "a short body": (hang, SHORT, False),
    "a chunked body": (hang, CHUNKED, False),
}
# the sweeps come as often as the shortest time-out needs
QUICK = {"breaker": {"delay": 0.2}}
EXTRAS = {"nothing": b"", "a byte": b"x", "a request": GET, "much": b"G" * 300_000}
WAYS = ["close", "half", "reset"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait no ten seconds."""
    monkeypatch.setattr(client_connection, "_AHEAD_SECONDS", 0.1)


def leave(client: Client, way: str) -> None:
    """End a client's side."""
    transport = client.writer.transport
    if way == "half":
        # not the transport's, which waits until everything was taken
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)
        return
    if way == "reset":
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def push(plane: Plane, client: Client) -> None:
    """Send until nothing more is read; what was sent by then has all arrived, so that an end can."""
    transport = client.writer.transport
    connection = next(iter(plane.server._connections))
    while connection.held is None:
        client.writer.write(bytes(65536))
        await plane.eventually(lambda: not transport.get_write_buffer_size())
        await asyncio.sleep(0.001)


async def gone(plane: Plane) -> None:
    """Wait until nothing is left of any client."""
    await plane.eventually(lambda: plane.server.in_flight == 0)
    await plane.eventually(lambda: not plane.server._connections)
    origin = plane.server.pools["app"]._origins[0]
    await plane.eventually(lambda: (origin.open, origin.busy) == (0, 0))
    plane.upstream.released.set()
    await plane.eventually(lambda: plane.upstream.open == 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS.keys())
@pytest.mark.parametrize("state", STATES)
async def test_r78_the_end_of_a_client_is_noticed(state, extra, way):
    """R78 [3.2]: in each state, after each kind of bytes too many, by each way to leave."""
    behaviour, request, more = STATES[state]
    async with Plane(behaviour, **QUICK) as plane:
        client = await plane.client()
        client.writer.transport.pause_reading()
        await client.send(request)
        if state != "a short body":
            await plane.eventually(lambda: plane.upstream.seen)
        if more:
            await push(plane, client)
        if extra and "body" not in state and not (more and len(extra) > 65536):
            client.writer.write(extra)
            await asyncio.sleep(0.01)
        leave(client, way)
        await gone(plane)


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS.keys())
@pytest.mark.parametrize("state", STATES)
async def test_r78_over_tls(state, extra, tmp_path):
    """R78 [3.2]: the same where bytes are read through TLS, which has buffers of its own."""
    behaviour, request, more = STATES[state]
    authority = Authority(tmp_path)
    certificates = Certificates(TlsSettings(**authority.issue("localhost").written))
    async with Plane(behaviour, **QUICK, certificates=certificates) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        client.writer.transport.pause_reading()
        await client.send(request)
        if state != "a short body":
            await plane.eventually(lambda: plane.upstream.seen)
        if more:
            await push(plane, client)
        if extra and "body" not in state and not (more and len(extra) > 65536):
            client.writer.write(extra)
            await asyncio.sleep(0.01)
        leave(client, "close")
        await gone(plane)


async def test_r78_who_waits_for_a_connection():
    """R78 [3.2]: those in the queue of an upstream leave it."""
    async with Plane(hang, **QUICK, max_connections=1) as plane:
        first = await plane.client()
        await first.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        for extra in EXTRAS.values():
            waiting = await plane.client()
            await waiting.send(GET)
            waiting.writer.write(extra)
            await plane.eventually(lambda: plane.server.pools["app"]._waiting)
            leave(waiting, "half")
            await plane.eventually(lambda: not plane.server.pools["app"]._waiting)
        leave(first, "close")
        await gone(plane)


async def test_r78_requests_without_end_and_no_reading():
    """R78 [3.2]: who pipelines, reads nothing and leaves: between two requests there is none to be ended."""
    content = bytes(40_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await side.send(answer)

    async with Plane(behave, **QUICK) as plane:
        client = await plane.client()
        client.writer.transport.pause_reading()
        client.writer.write(GET * 1500)
        await plane.eventually(
            lambda: any(each.held is not None and each.write_paused for each in plane.server._connections)
        )
        leave(client, "half")
        await plane.eventually(lambda: not plane.server._connections)
        assert plane.server.in_flight == 0


async def test_r78_three_hundred_streams():
    """R78 [3.2]: a byte more than a request, then the end: nothing is held of three hundred."""
    async with Plane(stream, **QUICK) as plane:
        for _ in range(3):
            clients = await asyncio.gather(*(plane.client() for _ in range(100)))
            for client in clients:
                client.writer.write(GET + b"x")
        await plane.eventually(lambda: plane.upstream.open == 300)
        for client in plane.clients:
            client.writer.close()
        await gone(plane)


async def test_who_stays_is_answered():
    """[3.2]: bytes for later, however many, end nothing of who is still there; all are answered in order."""
    release = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        while True:
            sent = await side.request()
            await release.wait()
            content = sent.target.encode()
            await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))

    async with Plane(behave, **QUICK) as plane:
        client = await plane.client()
        many = [f"/{turn}".encode() for turn in range(400)]
        sending = asyncio.create_task(
            client.send(b"".join(GET.replace(b" / ", b" %b " % target) for target in many))
        )
        await plane.eventually(lambda: plane.upstream.seen)
        before = plane.server.now
        await plane.eventually(lambda: plane.server.now > before + 0.3)
        release.set()
        for target in many:
            assert (await client.answer()).body == target
        await sending


async def test_r78_more_than_anybody_pipelines():
    """R78 [3.2]: what hides a client's end for too long is dropped: the answer is whole, and the last."""
    release = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await release.wait()
            await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with Plane(behave, **QUICK) as plane:
        for size, whole in ((8 << 20, True), (20 << 20, False)):
            release.clear()
            client = await plane.client()
            await client.send(GET)
            await plane.eventually(lambda: plane.server.in_flight)
            with contextlib.suppress(ConnectionError):
                await client.send(bytes(size))
            if whole:
                connection = next(iter(plane.server._connections))
                await plane.eventually(lambda each=connection: each.last_request)
                release.set()
                answer = await client.answer()
                assert (answer.body, answer.get("connection")) == (b"ok", "close")
            assert await client.ended()
            await plane.eventually(lambda: plane.server.in_flight == 0)
        assert len(plane.upstream.seen) == 2


async def test_r78_an_end_behind_what_is_not_read():
    """R78 [3.2]: the kernel cannot tell of an end that it has no room for; reading on finds it."""
    async with Plane(stream, **QUICK) as plane:
        client = await plane.client()
        await client.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        await push(plane, client)
        client.writer.write(bytes(8 << 20))
        leave(client, "close")
        await gone(plane)


async def test_a_tunnel_s_half_close_is_delivered():
    """[3.2]: in a tunnel the end of one direction is no end: what was sent before arrives, however late."""
    content = bytes(range(256)) * 16384
    go = asyncio.Event()
    found = []

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n")
        side.writer.transport.pause_reading()
        await go.wait()
        side.writer.transport.resume_reading()
        found.append(await side.rest())
        await side.send(b"bye")

    upgrade = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"
    async with Plane(behave, **QUICK) as plane:
        client = await plane.client()
        assert (await client.ask(upgrade)).status == 101
        client.writer.write(content)
        client.writer.write_eof()
        held = next(iter(plane.server._connections))
        await plane.eventually(lambda: held.held is not None)
        before = plane.server.now
        await plane.eventually(lambda: plane.server.now > before + 0.3)
        go.set()
        assert await client.rest() == b"bye"
        assert found == [content]
        # the upstream, then the gateway, have ended
        await gone(plane)


async def test_r78_a_tunnel_that_is_broken_off():
    """R78 [3.2]: a reset ends a tunnel at once, though its upstream takes nothing."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n")
        side.writer.transport.pause_reading()
        await side.upstream.released.wait()

    upgrade = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"
    async with Plane(behave, **QUICK) as plane:
        client = await plane.client()
        assert (await client.ask(upgrade)).status == 101
        await push(plane, client)
        held = next(iter(plane.server._connections))
        await plane.eventually(lambda: held.held is not None)
        leave(client, "reset")
        await plane.eventually(lambda: not plane.server._connections)
        assert plane.server.in_flight == 0


def finds_out(sock: socket.socket) -> bool:
    """Tell whether the kernel finds out on this socket that a silent peer is dead."""
    kept = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    return kept and [
        sock.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    ] == [60, 15, 4, 120_000]


@pytest.mark.parametrize("tls", [False, True])
async def test_r78_peers_that_are_dead_without_a_word(tls, tmp_path):
    """R78 [3.2]: where no end ever comes, keep-alive finds out, and a bound on what is not acknowledged."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("no such option here")
    authority = Authority(tmp_path)
    certificates = Certificates(TlsSettings(**authority.issue("localhost").written)) if tls else None
    more = {"ssl": authority.trusting(), "server_hostname": "localhost"} if tls else {}
    async with Plane(hang, **QUICK, certificates=certificates) as plane:
        client = await plane.client(**more)
        await client.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        (connection,), (upstream,) = plane.server._connections, plane.server.pools["app"]._connections
        for transport in (connection.transport, upstream._transport):
            assert finds_out(transport.get_extra_info("socket"))


def test_r78_who_came_before_anybody_served():
    """R78 [3.2]: the same for a client that queued on a socket which is kept from one process to the next."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("no such option here")
    ((listener,),) = bind("127.0.0.1:0", 1)
    with listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert finds_out(accepted)


@pytest.mark.parametrize("sent", [GET, LONG, SHORT, CHUNKED, b"nonsense\r\n\r\n", b"GET"])
async def test_r78_nobody_is_served_who_is_gone_before_he_is_seen(sent):
    """R78 [3.2]: who resets one before it is taken in has no address, and is not served."""
    async with Plane() as plane:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", plane.server.port)) as sock:
                sock.sendall(sent)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert (await (await plane.client()).ask(GET)).status == 200
        assert {each.request.peer for each in plane.handler.exchanges} == {"127.0.0.1"}
        await plane.eventually(lambda: len(plane.server._connections) == len(plane.server.admission) == 1)


async def test_r78_a_client_gone_unseen_stops_no_sweep():
    """R78 [3.2]: an end that is said to who has reset the connection a moment ago is nobody's error."""

    def answer(exchange) -> bool:
        exchange.respond(200, [])
        return True

    async with Plane(handler=Handler(answer)) as plane:
        with socket.create_connection(("127.0.0.1", plane.server.port)) as sock:
            sock.sendall(SHORT)
            await plane.eventually(lambda: plane.handler.finished)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for each in tuple(plane.server._connections):
            each.sweep(plane.server.now + 3600)
        await plane.eventually(lambda: not plane.server._connections)
