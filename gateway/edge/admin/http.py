"""Requests and answers of the admin listener, on the data plane of the public one: bounded alike (R60)."""

import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from gateway.core.fault import Fault
from gateway.core.headers.request import Header
from gateway.core.headers.rules import plain_request_lines
from gateway.edge.tasks import Tasks
from gateway.http.downstream.certificates import Certificates
from gateway.http.ports import Exchange, Limits, Rendered
from gateway.http.server import Server
from gateway.syntax.encoding import Json

_SECONDS_TO_END: Final = 1.0
_CLOSED_UP: Final[tuple[Header, ...]] = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
)
NOTHING_RUNS: Final = "default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of what is no page."""
# balancers ask these in HTTP/1.0 without a Host; no browser does that, so no name can be rebound to it
_HOSTLESS: Final = frozenset({b"/livez", b"/readyz"})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, closed up when it is sent: by ``policy``, its Content-Security-Policy.

    ``cookies`` are values of Set-Cookie.
    """

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    policy: str = NOTHING_RUNS
    cookies: tuple[str, ...] = ()

    def render(self) -> Rendered:
        """Return it as the data plane sends it."""
        named = [
            ("Content-Security-Policy", self.policy),
            ("Content-Type", self.content_type),
            *self.headers.items(),
            *(("Set-Cookie", each) for each in self.cookies),
        ]
        headers = [*_CLOSED_UP, *((name.encode("latin-1"), value.encode("latin-1")) for name, value in named)]
        return self.status, headers, self.body


def reply(document: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON document."""
    return Reply(status, json.dumps(document).encode(), headers=headers or {})


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Json] | None = None,
) -> Reply:
    """Return a problem document (RFC 9457)."""
    document: dict[str, Json] = {"type": "about:blank", "status": status, "detail": detail, **(more or {})}
    body = json.dumps(document).encode()
    return Reply(status, body, "application/problem+json; charset=utf-8", headers or {})


class Ask:
    """One request.

    Attributes:
        method: as sent.
        path: what is asked for, its segments decoded.
    """

    __slots__ = ("_exchange", "_query", "method", "path")

    def __init__(self, exchange: Exchange) -> None:
        request = exchange.request
        path, _, query = request.target.partition(b"?")
        self.method = request.method.decode("ascii")
        self.path: Sequence[str] = [unquote(each) for each in path.decode("latin-1").split("/")[1:]] or [""]
        self._query = query.decode("latin-1")
        self._exchange = exchange

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters in their order. Raises ValueError: more than a hundred."""
        return parse_qsl(self._query, keep_blank_values=True, max_num_fields=100)

    @property
    def target(self) -> str:
        """Path and query as they were asked for."""
        return self._exchange.request.target.decode("latin-1")

    @property
    def client(self) -> str:
        """The address that asks."""
        return self._exchange.request.peer

    def fields(self, name: bytes) -> list[bytes]:
        """Return every value of a header field, named in lower case."""
        return [value for each, value in self._exchange.request.headers if each.lower() == name]

    async def read(self, most: int) -> bytes:
        """Return the body. Raises Fault: of the client, also where it has more than ``most`` bytes."""
        return await self._exchange.read_body(most)


Answering: TypeAlias = Callable[[Ask], Awaitable[Reply]]


class AdminServer:
    """The data plane's handler, and the server that it is called by.

    Args:
        answer: answers a request; never raises.
        refused: answers what is no acceptable request head.
        limits: bounds of clients, the public listener's.
        clock: wall time in seconds since the epoch.
        certificates: what TLS is spoken with; None: plain HTTP, for good.
    """

    def __init__(
        self,
        answer: Answering,
        refused: Callable[[Fault], Reply],
        limits: Limits,
        clock: Callable[[], float],
        certificates: Certificates | None = None,
    ) -> None:
        self._answer = answer
        self._refused = refused
        self._tasks = Tasks()
        self.request_lines = plain_request_lines()
        self._server = Server(self, {}, limits, clock, certificates)
        self._server.hostless = _HOSTLESS

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    @property
    def certificates(self) -> Certificates | None:
        """What TLS is spoken with, None where it is not spoken."""
        return self._server.certificates

    def configure(self, limits: Limits) -> None:
        """Go on with these bounds."""
        self._server.configure({}, limits)

    def certify(self, certificates: Certificates | None) -> None:
        """Go on with these certificates; whether there are any is settled for good."""
        if (certificates is None) == (self._server.certificates is None):
            self._server.certificates = certificates

    async def start(self, host: str, port: int, sockets: Sequence[socket.socket]) -> None:
        """Listen on bound sockets, else on an address. Raises OSError: it is taken or not ours."""
        await self._server.start(host, port, sockets=sockets)

    async def close(self) -> None:
        """Stop listening; what is being answered has a moment to end."""
        await self._server.drain(_SECONDS_TO_END)
        await self._server.close()
        await self._tasks.close()

    def handle(self, exchange: Exchange) -> None:
        """Take one request."""
        self._tasks.start(self._serve(exchange))

    def malformed(self, fault: Fault, peer: str) -> Rendered:
        """Render the refusal of bytes that are no acceptable request head."""
        del peer
        return self._refused(fault).render()

    async def _serve(self, exchange: Exchange) -> None:
        answered = await self._answer(Ask(exchange))
        exchange.respond(*answered.render())
