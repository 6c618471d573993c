"""The data plane between raw sockets: a client that sends any bytes, upstreams that misbehave on command."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.headers.kinds import FRAMING
from gateway.core.headers.lines import LineTable
from gateway.core.headers.request import Header
from gateway.core.headers.rules import plain_request_lines, plain_response_lines
from gateway.core.reasons import status_of
from gateway.http.downstream.certificates import Certificates
from gateway.http.messages.serialise import response_lines
from gateway.http.ports import Limits, Response
from gateway.http.server import Server

PATIENCE = 20.0
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclass
class Answer:
    """A response as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: str) -> str | None:
        """Return the one value of a field, or None."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


@dataclass
class Sent:
    """A request as it reached the upstream."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    raw_head: bytes

    all = Answer.all
    get = Answer.get


def figures(server: Server) -> dict[str, float]:
    """Return what a server tells of itself, the labels written into the names."""
    told = {}
    for figure, labels, value in server.readings():
        name = figure
        if "state" in labels:
            name = f"upstream_{labels['upstream']}_{labels['state']}"
        elif "server" in labels:
            last = figure.removeprefix("upstream_server_")
            name = f"upstream_{labels['upstream']}_server_{labels['server']}_{last}"
        told[name] = float(value)
    return told


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    pairs = [line.decode("latin-1").partition(":") for line in lines if line]
    return [(name, value.strip()) for name, _, value in pairs]


class Stream:
    """A reader and writer with the reading of heads and bodies, written independently of the gateway's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send each piece in a turn of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.002)

    async def head(self) -> bytes:
        """Read up to and including the blank line."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def some(self, size: int = 65536) -> bytes:
        """Read what there is; empty at the end."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(size)

    async def rest(self) -> bytes:
        """Read to the end; raises ConnectionError for a reset."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(-1)

    async def chunks(self) -> bytes:
        """Read a chunked body."""
        body = b""
        async with asyncio.timeout(PATIENCE):
            while True:
                size = int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16)
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n" or not size
                if not size:
                    return body

    async def ended(self) -> bool:
        """Wait for the end, orderly or by a reset; whatever still comes is dropped."""
        with contextlib.suppress(ConnectionError):
            while await self.some():
                pass
        return True

    async def close(self) -> None:
        """Close."""
        self.writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self.writer.wait_closed()


class Client(Stream):
    """The client's side."""

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Read one response, framed by RFC 9112 section 6.3."""
        raw = await self.head()
        first, *lines = raw[:-4].split(b"\r\n")
        answer = Answer(int(first.split(b" ")[1]), _fields(lines), b"")
        if answer.status < 200 or answer.status in (204, 304) or head_only:
            return answer
        assert len(answer.all("content-length")) + len(answer.all("transfer-encoding")) <= 1
        if answer.get("transfer-encoding") == "chunked":
            answer.body = await self.chunks()
        elif (length := answer.get("content-length")) is not None:
            answer.body = await self.exactly(int(length))
        else:
            answer.body = await self.rest()
        return answer

    async def ask(self, *pieces: bytes, head_only: bool = False) -> Answer:
        """Send, and read one response."""
        await self.send(*pieces)
        return await self.answer(head_only=head_only)


class UpstreamSide(Stream):
    """The upstream's side of one connection. ``index`` counts the connections from 0."""

    def __init__(self, upstream: "Upstream", index: int, *streams: Any) -> None:
        super().__init__(*streams)
        self.upstream = upstream
        self.index = index

    async def request(self, *, body: bool = True) -> Sent:
        """Read one request, with its body unless told not to."""
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ")
        sent = Sent(method, target, _fields(lines), b"", raw)
        self.upstream.seen.append(sent)
        if body:
            await self.body(sent)
        return sent

    async def body(self, sent: Sent) -> None:
        """Read the body of a request."""
        if sent.get("transfer-encoding"):
            sent.body = await self.chunks()
        elif length := int(sent.get("content-length") or 0):
            sent.body = await self.exactly(length)

    def reset(self) -> None:
        """Break off."""
        self.writer.transport.abort()


Behaviour = Callable[[UpstreamSide], Awaitable[None]]


async def echo(side: UpstreamSide) -> None:
    """Answer every request with what was asked, in the order asked."""
    while True:
        sent = await side.request()
        content = f"{sent.method} {sent.target} {len(sent.body)}".encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
        await side.send(head + (b"" if sent.method == "HEAD" else content))


def always(*pieces: bytes, close: bool = False) -> Behaviour:
    """Answer every request with these bytes."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await side.send(*pieces)
            if close:
                return

    return behave


class Upstream:
    """A server that behaves as told, one coroutine for each connection."""

    def __init__(self, behaviour: Behaviour = echo) -> None:
        self.behaviour = behaviour
        self.seen: list[Sent] = []
        self.connections = 0
        self.open = 0
        self.released = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, **more: Any) -> "Upstream":
        """Listen on an ephemeral port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **more)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(task := asyncio.current_task())
        self.connections += 1
        self.open += 1
        try:
            await self.behaviour(UpstreamSide(self, self.connections - 1, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        """Stop."""
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


CONNECTIONS_OWN = frozenset(FRAMING) - {b"host"} | {b"te", b"trailer", b"proxy-connection"}
"""What each connection says anew."""


@dataclass
class Finished:
    """How an exchange ended."""

    status: int
    bytes_in: int
    bytes_out: int
    upstream_seconds: float | None
    fault: Fault | None


@dataclass
class Handler:
    """Forwards everything as it came, unless ``decide`` answers; remembers how everything ended."""

    decide: Callable[[Any], bool] | None = None
    finished: list[Finished] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    exchanges: list[Any] = field(default_factory=list)
    max_body: int | None = None
    extra: list[Header] = field(default_factory=list)
    added: list[Header] = field(default_factory=list)
    long_lived: int = 0
    timeouts: tuple[float | None, float | None] = (None, None)
    request_lines: LineTable = field(default_factory=plain_request_lines)
    response_lines: LineTable = field(default_factory=plain_response_lines)

    def handle(self, exchange: Any) -> None:
        """Take one request."""
        self.exchanges.append(exchange)
        told = [value.decode() for name, value in exchange.request.headers if name.lower() == b"x-client"]
        exchange.handling = Handling(self, *told[:1])
        if self.decide is None or not self.decide(exchange):
            self.forward(exchange)

    def forward(self, exchange: Any, *, max_body: int | None = None) -> None:
        """Forward as it came."""
        request = exchange.request
        told = [each for each in request.headers if each[0].lower() not in CONNECTIONS_OWN]
        lines = [b": ".join(each) for each in (*told, *self.extra)]
        lines.sort(key=lambda line: line[:5].lower() != b"host:")
        exchange.forward("app", request.target, lines, self.max_body if max_body is None else max_body)

    def on_response(self, head: Response) -> list[bytes]:
        """Change nothing."""
        return [*head.lines, *response_lines(self.added)]

    def on_fault(self, fault: Fault) -> tuple[int, list[Header], bytes]:
        """Render the reason."""
        self.faults.append(fault)
        return status_of(fault.reason), [(b"Content-Type", b"text/plain")], fault.reason.encode()

    def on_long_lived(self) -> None:
        """Count it."""
        self.long_lived += 1

    def malformed(self, fault: Fault, peer: str) -> tuple[int, list[Header], bytes]:
        """Render the reason."""
        assert peer
        return self.on_fault(fault)


class Handling:
    """What an exchange asks of a ``Handler``."""

    def __init__(self, handler: Handler, client: str = "") -> None:
        self.timeouts = handler.timeouts
        self.client = client
        self.response_lines = handler.response_lines
        self.on_response = handler.on_response
        self.on_fault = handler.on_fault
        self.on_long_lived = handler.on_long_lived
        self._finished = handler.finished

    def finished(
        self, status: int, sizes: tuple[int, int], started: float | None, ended: float, fault: Fault | None
    ) -> None:
        """Note how it ended."""
        self._finished.append(Finished(status, *sizes, None if started is None else ended - started, fault))


class Plane:
    """A data plane before one upstream; an asynchronous context manager."""

    def __init__(
        self,
        behaviour: Behaviour = echo,
        *,
        handler: Handler | None = None,
        limits: Limits | None = None,
        servers: tuple[str, ...] | None = None,
        certificates: Certificates | None = None,
        **settings: Any,
    ) -> None:
        self.certificates = certificates
        self.upstream = Upstream(behaviour)
        self.handler = handler or Handler()
        self.limits = limits or Limits()
        self.servers = servers
        self.settings = settings
        self.clients: list[Client] = []

    async def __aenter__(self) -> Self:
        await self.upstream.start()
        servers = self.servers or (f"http://127.0.0.1:{self.upstream.port}",)
        upstreams = {"app": UpstreamSettings(servers=servers, **self.settings)}
        self.server = Server(self.handler, upstreams, self.limits, certificates=self.certificates)
        await self.server.start("127.0.0.1", 0)
        return self

    async def client(self, **more: Any) -> Client:
        """Connect another client."""
        where = () if "sock" in more else ("127.0.0.1", self.server.port)
        client = Client(*await asyncio.open_connection(*where, **more))
        self.clients.append(client)
        return client

    async def eventually(self, probe: Callable[[], Any]) -> Any:
        """Return the probe's first true value; fails after a while."""
        async with asyncio.timeout(PATIENCE):
            while not (value := probe()):  # noqa: ASYNC110 - it watches what announces nothing
                await asyncio.sleep(0.005)
        return value

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            client.writer.transport.abort()
        await self.server.close()
        await self.upstream.close()
