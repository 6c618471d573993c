"""Upgrades: a tunnel where it was asked for and agreed to, and its end from every side."""

import asyncio

import pytest

from gateway.http.downstream import exchange as client_exchange
from tests.support.http import GET, Handler, Plane, UpstreamSide, always, figures

H = b"Host: h\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def ask(protocol: bytes = b"websocket", connection: bytes = b"keep-alive, Upgrade") -> bytes:
    """Return a request for an upgrade."""
    return (
        b"GET /ws HTTP/1.1\r\n"
        + H
        + b"Connection: "
        + connection
        + b"\r\nUpgrade: "
        + protocol
        + b"\r\n"
        + KEY
        + b"\r\n"
    )


def switching(protocol: bytes = b"websocket", then: bytes = b"", *, stay: bool = True):
    """Agree, send some bytes, and echo until the client ends."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
            + protocol
            + b"\r\nX: 1\r\n\r\n"
            + then
        )
        while stay and (data := await side.some()):
            await side.send(data)

    return behave


async def test_a_tunnel():
    """The upgrade is ours to ask and to grant; then bytes pass both ways, the early ones too."""
    async with Plane(switching(then=b"\x81\x02hi")) as plane:
        client = await plane.client()
        answer = await client.ask(ask() + b"early")
        assert answer.status == 101
        assert (answer.get("connection"), answer.get("upgrade"), answer.get("x")) == (
            "upgrade",
            "websocket",
            "1",
        )
        assert await client.exactly(9) == b"\x81\x02hiearly"
        await client.send(b"more")
        assert await client.exactly(4) == b"more"
        sent = plane.upstream.seen[0]
        assert (sent.all("connection"), sent.all("upgrade")) == (["upgrade"], ["websocket"])
        assert figures(plane.server)["tunnels"] == 1
        await client.close()
        await plane.eventually(lambda: plane.handler.finished)
        finished = plane.handler.finished[0]
        assert (finished.status, finished.bytes_in, finished.bytes_out, finished.fault) == (101, 9, 13, None)
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert figures(plane.server)["requests_in_flight"] == 0


async def test_any_protocol():
    """Not only WebSocket: any token, and a version behind it."""
    async with Plane(switching(b"custom/2")) as plane:
        client = await plane.client()
        assert (await client.ask(ask(b"custom/2"))).get("upgrade") == "custom/2"
        await client.send(b"x" * 1000)
        assert await client.exactly(1000) == b"x" * 1000


@pytest.mark.parametrize(
    "protocol",
    [
        b"h2c",
        b"H2C",
        b"HTTP/2.0",
        b"h2c-14",
        b"h2-17",
        b"h3",
        b"HTTPS",
        b"TLS/1.2",
        b"websocket, h2c",
        b"a b",
        b"",
    ],
)
async def test_r55_http_inside_a_tunnel_is_never_asked_for(protocol: bytes):
    """R55: h2c and its like would carry requests past every check: the field is ignored."""
    async with Plane() as plane:
        client = await plane.client()
        assert (await client.ask(ask(protocol))).status == 200
        assert plane.upstream.seen[0].all("upgrade") == []
        assert plane.upstream.seen[0].all("connection") == []


async def test_h2c_on_a_post_is_ignored():
    """Some clients offer h2c on every request; that is no reason to refuse them."""
    async with Plane() as plane:
        client = await plane.client()
        data = ask(b"h2c").replace(b"GET", b"POST").replace(KEY, b"Content-Length: 5\r\n")
        assert (await client.ask(data + b"hello")).body == b"POST /ws 5"


@pytest.mark.parametrize(
    "data", [GET, ask(connection=b"close, x"), ask(b"other"), ask().replace(b"HTTP/1.1", b"HTTP/1.0")]
)
async def test_101_only_if_asked_for(data: bytes):
    """A 101 that nobody asked for, or of another protocol, is 502, never a tunnel."""
    async with Plane(switching()) as plane:
        client = await plane.client()
        answer = await client.ask(data)
        assert (answer.status, answer.body) == (502, b"upstream_malformed")
        await plane.eventually(lambda: plane.upstream.open == 0)


async def test_a_refused_upgrade_is_an_ordinary_response():
    """Another answer than 101 leaves an ordinary connection."""
    async with Plane(always(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")) as plane:
        client = await plane.client()
        assert (await client.ask(ask())).body == b"no"
        assert (await client.ask(GET)).body == b"no"


async def test_the_upstream_ends_a_tunnel():
    """What it sent last arrives, then the end."""
    async with Plane(switching(then=b"last", stay=False)) as plane:
        client = await plane.client()
        await client.ask(ask())
        assert await client.exactly(4) == b"last"
        assert await client.rest() == b""
        await client.close()
        await plane.eventually(lambda: plane.handler.finished)


async def test_half_closed():
    """The client's end is passed on, and what the upstream says after it still arrives."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        data = await side.rest()
        await side.send(b"got " + data)

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.ask(ask(b"x"))
        await client.send(b"all")
        client.writer.write_eof()
        assert await client.rest() == b"got all"


async def test_r49_a_websocket_is_told_why_it_ends():
    """R49: 1008 at a frame boundary, then the end; the upstream's connection ends too."""
    async with Plane(switching(then=b"\x81\x02hi")) as plane:
        client = await plane.client()
        await client.ask(ask())
        assert await client.exactly(4) == b"\x81\x02hi"
        (exchange,) = plane.server.exchanges()
        exchange.abort(1008)
        assert await client.rest() == b"\x88\x02\x03\xf0"
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert plane.handler.finished[0].status == 101


async def test_r49_never_inside_a_frame():
    """R49: a frame under way is sent to its end first, and what follows it is not."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        await side.send(b"\x81\x05he")
        await go.wait()
        await side.send(b"llo\x81\x01x")
        await side.ended()

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.ask(ask())
        assert await client.exactly(4) == b"\x81\x05he"
        (exchange,) = plane.server.exchanges()
        exchange.abort()
        go.set()
        assert await client.rest() == b"llo\x88\x02\x03\xf0"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"\x81\x82\1\2\3\4ab", True),
        (b"\x81\xfe\x00\x80" + bytes(4 + 128) + b"\x89\x80" + bytes(4), True),
        (b"\x81\x82\1\2\3\4a", False),
        (b"\x81", False),
        (b"\x81\xfe\x00", False),
    ],
)
async def test_r49_the_upstream_is_told_as_well(sent: bytes, told: bool):
    """R49: 1001 in a masked frame, as a client that goes away; not within a frame, and nothing after it."""
    rest = []

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert await side.exactly(len(sent)) == sent
        await side.send(b"\x81\x00")
        rest.append(await side.rest())

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.ask(ask())
        await client.send(sent)
        assert await client.exactly(2) == b"\x81\x00"
        (exchange,) = plane.server.exchanges()
        exchange.abort()
        await client.send(b"x")
        assert await client.rest() == b"\x88\x02\x03\xf0"
        await plane.eventually(lambda: rest)
        (last,) = rest
        if not told:
            assert last == b""
            return
        head, mask, code = last[:2], last[2:6], last[6:]
        assert head == b"\x88\x82"
        assert bytes(one ^ other for one, other in zip(code, mask, strict=False)) == b"\x03\xe9"


async def test_r49_nothing_of_the_client_is_passed_on_any_more():
    """R49: while a frame of the upstream is still being sent to its end, the client is not heard."""
    go = asyncio.Event()
    rest = []

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05he"
        )
        await go.wait()
        await side.send(b"llo")
        rest.append(await side.rest())

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.ask(ask())
        assert await client.exactly(4) == b"\x81\x05he"
        (exchange,) = plane.server.exchanges()
        exchange.abort()
        await client.send(b"\x81\x81" + bytes(4) + b"x")
        await asyncio.sleep(0.01)
        go.set()
        assert await client.rest() == b"llo\x88\x02\x03\xf0"
        await plane.eventually(lambda: rest)
        assert len(rest[0]) == 8
        assert rest[0][:2] == b"\x88\x82"


async def test_who_is_told_of_long_lives(monkeypatch: pytest.MonkeyPatch):
    """Tunnels and event streams at once, what is slow after a while, and nothing else."""
    monkeypatch.setattr(client_exchange, "_LONG_SECONDS", 3600.0)
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        sent = await side.request()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        if sent.get("upgrade"):
            await side.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi"
            )
        elif sent.target == "/events":
            await side.send(head + b"Content-Type: text/event-stream\r\n\r\n2\r\nhi\r\n")
        elif sent.target == "/slow":
            await side.send(head + b"\r\n2\r\nhi\r\n")
        else:
            await side.send(head + b"\r\n2\r\nhi\r\n", b"0\r\n\r\n")
            return
        await go.wait()

    async with Plane(behave, keepalive=0.2) as plane:
        handler = plane.handler

        async def begin(data: bytes) -> None:
            client = await plane.client()
            await client.send(data)
            head = await client.head()
            # a chunk's size stands before its content
            await client.exactly(2 if b" 101 " in head else 7)

        assert (await (await plane.client()).ask(GET)).body == b"hi"
        assert handler.long_lived == 0
        await begin(ask(b"x"))
        assert handler.long_lived == 1
        await begin(GET.replace(b"GET /", b"GET /events"))
        assert handler.long_lived == 2
        await begin(GET.replace(b"GET /", b"GET /slow"))
        assert handler.long_lived == 2
        monkeypatch.setattr(client_exchange, "_LONG_SECONDS", 0.0)
        await plane.eventually(lambda: handler.long_lived > 3)
        go.set()


async def test_r49_a_frame_that_never_ends():
    """R49: after a while the tunnel ends all the same."""
    async with Plane(switching(then=b"\x81\x05he"), keepalive=0.2) as plane:
        client = await plane.client()
        await client.ask(ask())
        await client.exactly(4)
        (exchange,) = plane.server.exchanges()
        exchange.abort()
        assert await client.ended()
        await plane.eventually(lambda: plane.handler.finished)


async def test_another_tunnel_is_just_ended():
    """What is no WebSocket gets no frame."""
    async with Plane(switching(b"x", then=b"hi")) as plane:
        client = await plane.client()
        await client.ask(ask(b"x"))
        assert await client.exactly(2) == b"hi"
        (exchange,) = plane.server.exchanges()
        exchange.abort()
        with pytest.raises(ConnectionError):
            await client.rest()


async def test_drain_says_going_away():
    """When the drain begins a WebSocket is told 1001, not only at its bound."""
    async with Plane(switching(then=b"\x81\x02hi")) as plane:
        client = await plane.client()
        await client.ask(ask())
        await client.exactly(4)
        await plane.server.drain(0.05)
        assert await client.rest() == b"\x88\x02\x03\xe9"


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_tunnel_meets_back_pressure(who: str):
    """Whoever does not read stops the other; afterwards everything arrives."""
    content = bytes(range(250)) * 60_000
    go, done = asyncio.Event(), asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        if who == "client":
            await side.send(content)
        else:
            side.reader._transport.pause_reading()
            await go.wait()
            side.reader._transport.resume_reading()
            assert await side.exactly(len(content)) == content
        done.set()
        await side.ended()

    async with Plane(behave) as plane:
        client = await plane.client(limit=4096)
        await client.ask(ask(b"x"))
        (connection,) = plane.server._connections
        upstream = connection.exchange._upstream
        if who == "client":
            client.reader._transport.pause_reading()
            await plane.eventually(lambda: connection.write_paused and upstream._reading_paused)
            assert connection.transport.get_write_buffer_size() < 1 << 20
            client.reader._transport.resume_reading()
            assert await client.exactly(len(content)) == content
        else:
            client.writer.write(content)
            await plane.eventually(lambda: upstream.write_paused and connection.held)
            assert upstream._transport.get_write_buffer_size() < 1 << 20
            go.set()
        await done.wait()


async def test_an_upgrade_that_the_handler_refuses():
    """The handler's answer is an ordinary one."""

    def decide(exchange) -> bool:
        exchange.respond(403, [], b"no")
        return True

    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        for _ in range(2):
            assert (await client.ask(ask())).body == b"no"


DOCKER_EXEC = (
    b"POST /v1.47/exec/5ad9e2f1c0/start HTTP/1.1\r\n"
    b"Host: docker.example:2375\r\n"
    b"User-Agent: docker-sdk-python/7.1.0\r\n"
    b"Accept-Encoding: gzip, deflate\r\n"
    b"Accept: */*\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: tcp\r\n"
    b"Content-Length: 31\r\n"
    b"Content-Type: application/json\r\n"
    b"\r\n"
    b'{"Tty": false, "Detach": false}'
)
"""What docker-py sends for ``exec_start(socket=True)``."""

DOCKER_ATTACH = (
    b"POST /v1.47/containers/web/attach?logs=0&stdout=1&stderr=1&stream=1&stdin=1 HTTP/1.1\r\n"
    b"Host: docker.example:2375\r\n"
    b"User-Agent: docker-sdk-python/7.1.0\r\n"
    b"Accept-Encoding: gzip, deflate\r\n"
    b"Accept: */*\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: tcp\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)

KUBECTL_EXEC = (
    b"POST /api/v1/namespaces/default/pods/web/exec?command=sh&stdin=true&stdout=true&tty=true HTTP/1.1\r\n"
    b"Host: kubernetes.example\r\n"
    b"User-Agent: kubectl/v1.29.0 (linux/amd64) kubernetes/3f7a50f\r\n"
    b"Content-Length: 0\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: SPDY/3.1\r\n"
    b"X-Stream-Protocol-Version: v5.channel.k8s.io\r\n"
    b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
    b"Accept-Encoding: gzip\r\n"
    b"\r\n"
)


@pytest.mark.parametrize(
    "data", [DOCKER_EXEC, DOCKER_ATTACH, KUBECTL_EXEC], ids=["exec", "attach", "kubectl"]
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_an_upgrade_by_post(data: bytes, pieces: int):
    """[3.5]: it is forwarded with its body, and becomes a tunnel where the upstream answers 101."""
    protocol = b"SPDY/3.1" if b"SPDY" in data else b"tcp"
    body = data.partition(b"\r\n\r\n")[2]

    async def behave(side: UpstreamSide) -> None:
        sent = await side.request()
        assert sent.body == body
        await side.send(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\nhello"
        )
        while received := await side.some():
            await side.send(received)

    async with Plane(behave) as plane:
        client = await plane.client()
        step = len(data) // pieces + 1
        answer = await client.ask(*[data[at : at + step] for at in range(0, len(data), step)])
        assert (answer.status, answer.get("upgrade")) == (101, protocol.decode())
        assert await client.exactly(5) == b"hello"
        await client.send(b"\x00GET / HTTP/1.1\r\n\r\n")
        assert await client.exactly(19) == b"\x00GET / HTTP/1.1\r\n\r\n"
        client.writer.write_eof()
        assert await client.rest() == b""
        sent = plane.upstream.seen[0]
        assert (sent.get("connection"), sent.get("upgrade")) == ("upgrade", protocol.decode())
        assert sent.get("content-length") == str(len(body))
        await plane.eventually(lambda: plane.handler.finished)
        assert plane.handler.finished[0].bytes_in == len(body) + 19
        await plane.eventually(lambda: plane.upstream.open == plane.server.in_flight == 0)


LONG = b"x" * 200_000


@pytest.mark.parametrize(
    ("framing", "first", "last"),
    [
        (b"Content-Length: 200004\r\n", LONG, b"last"),
        (b"Transfer-Encoding: chunked\r\n", b"30d40\r\n" + LONG + b"\r\n", b"4\r\nlast\r\n0\r\n\r\n"),
    ],
)
async def test_a_tunnel_begins_after_the_body(framing: bytes, first: bytes, last: bytes):
    """[3.5]: 101 may come while the body does: it ends in its framing, and the tunnel begins behind it."""

    async def behave(side: UpstreamSide) -> None:
        sent = await side.request(body=False)
        await side.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly")
        await side.body(sent)
        assert sent.body == LONG + b"last"
        await side.send(b"whole")
        while received := await side.some():
            await side.send(received)

    async with Plane(behave) as plane:
        client = await plane.client()
        head = ask(b"tcp").replace(b"GET", b"POST").replace(KEY, framing)
        assert (await client.ask(head, first)).status == 101
        assert await client.exactly(5) == b"early"
        await client.send(last + b"ping")
        assert await client.exactly(9) == b"wholeping"
        client.writer.write_eof()
        assert await client.rest() == b""
        await plane.eventually(lambda: plane.upstream.open == plane.server.in_flight == 0)


async def test_a_body_that_breaks_while_the_tunnel_waits():
    """[3.5]: what follows a broken body is passed on to nobody: the tunnel is cut."""

    async def behave(side: UpstreamSide) -> None:
        await side.request(body=False)
        await side.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        side.upstream.got = await side.rest()

    async with Plane(behave) as plane:
        client = await plane.client()
        head = ask(b"tcp").replace(b"GET", b"POST").replace(KEY, b"Transfer-Encoding: chunked\r\n")
        assert (await client.ask(head + b"1\r\nx\r\n")).status == 101
        await client.send(b"nonsense\r\n")
        assert await client.ended()
        await plane.eventually(lambda: plane.upstream.open == plane.server.in_flight == 0)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"GET"])
@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: keep-alive\r\nUpgrade: tcp\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: tcp, websocket\r\n",
        b"Connection: Upgrade\r\nUpgrade: tcp\r\nUpgrade: tcp\r\n",
        b"Connection: Upgrade\r\nUpgrade:\r\n",
    ],
)
async def test_an_upgrade_that_can_be_no_tunnel_is_ignored(method: bytes, lines: bytes):
    """[3.5]: RFC 9110 section 7.8: the request goes on with its body, as if the field were not there."""
    async with Plane() as plane:
        client = await plane.client()
        data = method + b" /x HTTP/1.1\r\n" + H + lines + b"Content-Length: 5\r\n\r\nhello"
        for _ in range(2):
            assert (await client.ask(data)).body == method + b" /x 5"
        assert plane.upstream.seen[0].all("upgrade") == plane.upstream.seen[0].all("connection") == []


async def test_a_refused_upgrade_by_post_is_an_ordinary_response():
    """[3.5]: both connections serve again where the upstream answers something else than 101."""
    async with Plane() as plane:
        client = await plane.client()
        for _ in range(2):
            assert (await client.ask(DOCKER_EXEC)).body == b"POST /v1.47/exec/5ad9e2f1c0/start 31"
        assert plane.upstream.connections == 1
