"""Connections: kept, shared, bounded, retried only where nothing can happen twice, drained."""

import asyncio
import ssl

import pytest

from tests.support.http import GET, Handler, Plane, Upstream, UpstreamSide, always, echo, figures

H = b"Host: h\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def hang(side: UpstreamSide) -> None:
    """Take a request and never answer."""
    await side.request()
    await side.ended()


async def test_connections_are_kept_and_shared():
    """A hundred requests of ten clients, one after the other, use one upstream connection."""
    async with Plane() as plane:
        clients = [await plane.client() for _ in range(10)]
        for _ in range(10):
            for client in clients:
                assert (await client.ask(GET)).status == 200
        assert plane.upstream.connections == 1
        gauges = figures(plane.server)
        assert gauges["client_connections"] == 10
        assert gauges["upstream_app_idle"] == gauges["upstream_app_open"] == 1
        assert gauges["requests_in_flight"] == 0


async def test_connections_are_bounded_and_waited_for():
    """At max_connections requests wait their turn; every one is answered."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            most.append(plane.upstream.open)
            await asyncio.sleep(0.01)
            await side.send(OK)

    most: list[int] = []
    async with Plane(behave, max_connections=3) as plane:
        clients = [await plane.client() for _ in range(6)]
        answers = await asyncio.gather(*(client.ask(GET) for client in clients))
        assert {answer.status for answer in answers} == {200}
        assert max(most) <= 3


async def test_r60_the_queue_for_connections_is_bounded():
    """R60: beyond the queue, or after too long in it, a request is 503 overloaded."""
    async with Plane(hang, max_connections=1, connect_timeout=0.1) as plane:
        first, second, third = [await plane.client() for _ in range(3)]
        await first.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        await second.send(GET)
        await plane.eventually(lambda: figures(plane.server)["upstream_app_waiting"])
        answer = await third.ask(GET)
        assert (answer.status, answer.body) == (503, b"overloaded")
        answer = await second.answer()
        assert (answer.status, answer.body) == (503, b"overloaded")


async def test_a_waiting_client_that_leaves_is_forgotten():
    """Its turn is not wasted and its request is never sent."""
    async with Plane(hang, max_connections=1) as plane:
        first, second = await plane.client(), await plane.client()
        await first.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        await second.send(GET)
        await plane.eventually(lambda: figures(plane.server)["upstream_app_waiting"])
        await second.close()
        await plane.eventually(lambda: not figures(plane.server)["upstream_app_waiting"])
        await first.close()
        await plane.eventually(lambda: not figures(plane.server)["upstream_app_open"])
        assert len(plane.upstream.seen) == 1


async def test_a_server_that_is_down_is_passed_over():
    """Nothing was sent, so even a POST goes to the next server; with none left it is 502."""
    dead = Upstream()
    await dead.start()
    await dead.close()
    living = await Upstream().start()
    down = f"http://127.0.0.1:{dead.port}"
    try:
        async with Plane(servers=(down, f"http://127.0.0.1:{living.port}")) as plane:
            post = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello"
            for _ in range(4):
                client = await plane.client()
                assert (await client.ask(post)).body == b"POST / 5"
            assert len(living.seen) == 4
        async with Plane(servers=(down, down)) as plane:
            client = await plane.client()
            for _ in range(2):
                answer = await client.ask(GET)
                assert (answer.status, answer.body) == (502, b"upstream_unreachable")
            assert figures(plane.server)["upstream_app_open"] == 0
    finally:
        await living.close()


async def test_requests_are_spread_over_the_servers():
    """Parallel requests go to the least busy server."""
    servers = [await Upstream(hang).start() for _ in range(3)]
    try:
        async with Plane(servers=tuple(f"http://127.0.0.1:{each.port}" for each in servers)) as plane:
            for count in range(1, 7):
                await (await plane.client()).send(GET)
                await plane.eventually(lambda count=count: sum(len(each.seen) for each in servers) == count)
            assert [len(each.seen) for each in servers] == [2, 2, 2]
    finally:
        for each in servers:
            await each.close()


def stale(times: int, *, partial: bytes = b""):
    """Answer a connection's first request; on the first ``times`` connections die at the second."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(OK)
        while True:
            await side.request()
            if side.index < times:
                await side.send(partial) if partial else None
                return
            await side.send(OK)

    return behave


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
async def test_r63_an_idempotent_request_is_retried_once(method: bytes):
    """R63: a kept connection that dies before any response byte: once more, on a fresh one."""
    async with Plane(stale(1)) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).status == 200
        answer = await client.ask(method + b" / HTTP/1.1\r\n" + H + b"\r\n", head_only=method == b"HEAD")
        assert answer.status == 200
        assert plane.upstream.connections == 2
        assert len(plane.upstream.seen) == 3


@pytest.mark.parametrize(
    ("behaviour", "request_", "reason"),
    [
        (stale(1), b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello", "upstream_aborted"),
        (stale(1), b"POST / HTTP/1.1\r\n" + H + b"\r\n", "upstream_aborted"),
        (stale(1), b"PATCH / HTTP/1.1\r\n" + H + b"\r\n", "upstream_aborted"),
        (
            stale(1),
            b"PUT / HTTP/1.1\r\n" + H + b"Content-Length: 300000\r\n\r\n" + bytes(300_000),
            "upstream_aborted",
        ),
        (stale(1, partial=b"HTTP"), GET, "upstream_aborted"),
    ],
    ids=["post", "post-without-body", "patch", "put-whose-body-is-gone", "answer-begun"],
)
async def test_r63_nothing_unsafe_is_retried(behaviour, request_: bytes, reason: str):
    """R63: not idempotent, body gone, or answer begun: 502, and the request was sent once."""
    async with Plane(behaviour) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).status == 200
        answer = await client.ask(request_)
        assert (answer.status, answer.body.decode()) == (502, reason)
        assert len(plane.upstream.seen) == 2
        assert (await client.ask(GET)).status == 200


async def test_r63_a_fresh_connection_that_dies_is_not_retried():
    """R63: it was no race with a kept connection's end."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()

    async with Plane(behave) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).status == 502
        assert len(plane.upstream.seen) == 1


async def test_a_retry_is_not_retried():
    """Two dead connections in a row are 502."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        if side.index == 0:
            await side.send(OK)
            await side.request()

    async with Plane(behave) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(GET)).status == 502
        assert len(plane.upstream.seen) == 3


async def test_a_client_that_leaves_ends_its_upstream_request():
    """The upstream's connection closes, and the record says who left."""
    async with Plane(hang) as plane:
        client = await plane.client()
        await client.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        await client.close()
        await plane.eventually(lambda: plane.upstream.open == 0)
        (finished,) = plane.handler.finished
        assert (finished.status, finished.fault.reason) == (499, "client_aborted")
        assert plane.handler.exchanges[0].aborted
        assert figures(plane.server)["client_connections"] == 0


async def test_a_client_that_leaves_while_the_handler_thinks():
    """A late answer is a no-op, a late forward sends nothing."""
    async with Plane(handler=Handler(lambda _: True)) as plane:
        client = await plane.client()
        await client.send(GET)
        await plane.eventually(lambda: plane.handler.exchanges)
        await client.close()
        await plane.eventually(lambda: plane.handler.finished)
        plane.handler.forward(plane.handler.exchanges[0])
        plane.handler.exchanges[0].respond(200, [])
        assert len(plane.handler.finished) == 1
        assert not plane.upstream.connections


async def test_an_exchange_is_ended_from_here():
    """``abort`` breaks an answer under way, visibly, and tells the end once."""
    begun = always(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
    async with Plane(begun) as plane:
        client = await plane.client()
        await client.send(GET)
        await client.head()
        (exchange,) = plane.server.exchanges()
        assert exchange.long_lived
        exchange.abort()
        exchange.abort()
        with pytest.raises(ConnectionError):
            await client.rest()
        assert len(plane.handler.finished) == 1
        await plane.eventually(lambda: plane.upstream.open == 0)


async def test_drain_lets_open_requests_end():
    """No new connection, idle ones closed, the open request answered with its connection's end."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await go.wait()
        await side.send(OK)

    async with Plane(behave) as plane:
        idle, busy = await plane.client(), await plane.client()
        await busy.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        drained = asyncio.ensure_future(plane.server.drain(10))
        assert await idle.ended()
        with pytest.raises(OSError):
            await plane.client()
        assert not drained.done()
        go.set()
        answer = await busy.answer()
        assert (answer.body, answer.get("connection")) == (b"ok", "close")
        assert await busy.ended()
        await drained


async def test_drain_ends_what_does_not_end():
    """At the bound an open request is broken off."""
    async with Plane(hang) as plane:
        client = await plane.client()
        await client.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        await plane.server.drain(0.05)
        assert await client.ended()
        assert len(plane.handler.finished) == 1


async def test_close_leaves_nothing_behind():
    """After ``close`` every connection of either side has ended."""
    async with Plane(hang) as plane:
        client = await plane.client()
        await client.send(GET)
        await plane.eventually(lambda: plane.upstream.seen)
        await plane.server.close()
        assert await client.ended()
        await plane.eventually(lambda: plane.upstream.open == 0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate authority of its own with a certificate for localhost."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + cert.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("host", "trusted", "status"),
    [("localhost", True, 200), ("localhost", False, 502), ("127.0.0.1", True, 502)],
)
async def test_https_upstreams_are_verified(certificate, host: str, trusted: bool, status: int):
    """CVE-2026-31923: an unknown authority or another name is 502, and nothing was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    upstream = await Upstream(echo).start(ssl=context)
    settings = {"tls": {"ca_file": str(certificate)}} if trusted else {}
    try:
        async with Plane(servers=(f"https://{host}:{upstream.port}",), **settings) as plane:
            client = await plane.client()
            for _ in range(2):
                assert (await client.ask(GET)).status == status
            assert len(upstream.seen) == (2 if status == 200 else 0)
    finally:
        await upstream.close()


@pytest.mark.parametrize(
    "server", ["h:80", "ftp://h", "http://", "http://u@h", "http://h/path", "http://h?q", "http://h:99999"]
)
async def test_a_server_that_is_no_server(server: str):
    """R55: anything but a scheme, a host and a port is an error at the start, never a surprise later."""
    with pytest.raises(ValueError):
        async with Plane(servers=(server,)):
            pass
