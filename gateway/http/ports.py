"""The seam between the data plane and the pipeline: one object for each request and its response.

Nothing here knows how a message is framed. Where the data plane's parts meet each other stands in ``roles``.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.config.settings.listener import LimitSettings
from gateway.core.fault import Fault
from gateway.core.headers.lines import Line, LineTable
from gateway.core.headers.request import Header, Request
from gateway.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the data plane. Sizes in bytes, times in seconds."""

    head: int = 32768
    fields: int = 100
    body: int = 1 << 30
    connections: int = 10000
    connections_per_address: int = 0
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    write_timeout: float = 60.0


class Unencrypted(Fault):
    """A request that came in plain HTTP where TLS is spoken. It is answered, and never handled."""

    def __init__(self, request: Request) -> None:
        super().__init__("client", Reason.TLS_EXPECTED)
        self.request = request


def limits_of(settings: LimitSettings) -> Limits:
    """Return the bounds of the client side."""
    return Limits(
        head=settings.head,
        fields=settings.fields,
        body=settings.body,
        connections=settings.connections,
        connections_per_address=settings.connections_per_address,
        head_timeout=settings.head_timeout,
        body_timeout=settings.body_timeout,
        idle_timeout=settings.idle_timeout,
        write_timeout=settings.write_timeout,
    )


Rendered: TypeAlias = "tuple[int, list[Header], bytes]"
"""A whole answer: status, headers, body."""


class Response:
    """The head of an upstream's response, however it was framed.

    Attributes:
        status: of the response.
        lines: its end-to-end fields, without CRLF. Whoever sends it may change the list.
        read: the lines among them that say more than goes on by itself.
        length: how long its content is said to be, None where nothing is said.
        has_date: whether ``lines`` have a Date.
        is_stream: whether these are server-sent events.
    """

    __slots__ = ("has_date", "is_stream", "length", "lines", "read", "status")

    status: int
    lines: list[bytes]
    read: list[Line]
    length: int | None
    has_date: bool
    is_stream: bool

    @property
    def interim(self) -> list[bytes]:
        """The lines that an interim response may carry on."""
        raise NotImplementedError


class Handling(Protocol):
    """What an exchange asks of who handles it."""

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """Bounds on the wait for a response head and on silence within its body; None: the upstream's."""

    response_lines: LineTable
    """What the lines of a response are, under the configuration that the request is handled by."""

    @property
    def client(self) -> str:
        """The address of whoever asks, as far as proxies in front are believed; empty where unknown."""

    def on_response(self, head: Response) -> list[bytes]:
        """Return the field lines of the final head, just before it is sent.

        Each is complete and checked, and without CRLF. Framing, Date and Connection are the data plane's.
        """

    def on_fault(self, fault: Fault) -> Rendered:
        """Render a fault met before any response head was sent."""

    def on_long_lived(self) -> None:
        """Be told that the exchange outlives its decision; some are told of again and again.

        It has become a tunnel or an event stream, or has been under way for seconds. Nothing is ended from
        within this call.
        """

    def finished(
        self,
        status: int,
        sizes: tuple[int, int],
        started: float | None,
        ended: float,
        fault: Fault | None,
    ) -> None:
        """Be told, once, how the exchange ended.

        Args:
            status: what the client was sent (499 when it left before).
            sizes: bytes of content that came from the client, and that went to it.
            started: when it was forwarded, None where it was not (``perf_counter``, seconds).
            ended: now, on the same clock.
            fault: set when the upstream or the client broke off, before or after the head.
        """


class Exchange(Protocol):
    """One request on a client connection, waiting for its answer. Exactly one answer is given.

    ``handling`` is who handles it, set before it is answered.
    """

    request: Request
    handling: Handling | None

    @property
    def aborted(self) -> bool:
        """Whether the client has gone; answering is then a no-op."""

    def respond(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        """Answer from here. Framing, Date, Connection and HEAD are the data plane's work."""

    def forward(self, upstream: str, target: bytes, lines: list[bytes], max_body: int | None) -> None:
        """Proxy to a server of the named upstream, streaming both ways with back-pressure.

        ``target`` is in origin-form. ``lines`` are those of the end-to-end fields, complete and checked, and
        without CRLF; a member may be several, joined. The first begins with Host. Framing, Connection and
        Upgrade are added by the data plane. ``max_body`` (bytes) replaces the limit of all.
        """

    async def read_body(self, limit: int) -> bytes:
        """Read the whole request body. Raises Fault(client, body_too_large | client_aborted | ...)."""

    def abort(self, code: int = 1008) -> None:
        """End it now, at any time: a WebSocket gets a close frame with ``code``, others are broken off."""


class Handler(Protocol):
    """What the data plane calls: once for each well-formed request, and once for each refused head."""

    @property
    def request_lines(self) -> LineTable:
        """What the lines of a request are, under the present configuration."""

    def handle(self, exchange: Exchange) -> None:
        """Take one request; answer it now or later. Must not raise and must not block."""

    def malformed(self, fault: Fault, peer: str) -> Rendered:
        """Render the refusal of bytes that are no acceptable request head; the connection then closes."""
