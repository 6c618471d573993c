"""What exchanges, tunnels and clients' connections ask of each other and the listener; see ``http.roles``."""

import asyncio
from typing import Protocol

from gateway.core.headers.request import Header
from gateway.http.downstream.admission import Admission
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.request_body import RequestBody
from gateway.http.ports import Handler, Limits, Response
from gateway.http.roles import Clock, Own, Pool


class TunnelOfClient(Protocol):
    """A tunnel: what the client's connection asks of it."""

    def from_client(self, data: bytes) -> None:
        """Pass on what the client sent."""

    def client_ends(self) -> None:
        """The client has ended its side, and the upstream does not take what it sent before."""

    def client_ended(self) -> bool:
        """The client sends no more; tell whether to keep the other direction open."""

    def sweep(self, now: float) -> None:
        """Cut what has been ending for too long."""


class ClientStream:
    """Where a request came from and its answer goes: what an exchange and a tunnel ask of it.

    A class and no protocol, as ``http.roles.Waiting``. What is asked of any ``Client`` belongs to it.

    Attributes:
        server: the listener.
        peer: the client's address.
        write_paused: whether the client does not keep up with the response.
        own: the connections to upstreams that serve this one alone, if any (R77).
    """

    __slots__ = ("own", "peer", "server", "write_paused")

    server: "Front"
    peer: str
    write_paused: bool
    own: Own | None

    @property
    def is_held(self) -> bool:
        """Whether nothing is read from the client for now."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent on it."""
        raise NotImplementedError

    @property
    def is_proxy(self) -> bool:
        """Whether many clients are behind it."""
        raise NotImplementedError

    def hold_body(self) -> None:
        """Read no more of the body, or of the tunnel, for now."""
        raise NotImplementedError

    def release_body(self) -> None:
        """Read on."""
        raise NotImplementedError

    def respond(self, status: int, headers: list[Header], content: bytes, body: RequestBody | None) -> int:
        """Send a whole answer; return how many bytes of content went out. Raises ValueError: it cannot be."""
        raise NotImplementedError

    def begin(
        self, head: Response, lines: list[bytes], content: bytes, has_content: bool, done: bool
    ) -> None:
        """Send the head of a response, with what there is of its content, in one write."""
        raise NotImplementedError

    def deliver(self, content: bytes, done: bool) -> None:
        """Send more of the content."""
        raise NotImplementedError

    def interim(self, head: Response) -> None:
        """Send an interim response, where the client knows such."""
        raise NotImplementedError

    def send_continue(self) -> None:
        """Tell the client to send its body."""
        raise NotImplementedError

    def switch(self, lines: list[bytes], protocol: bytes) -> None:
        """Tell the client that it has a tunnel now."""
        raise NotImplementedError

    def enter_tunnel(self, tunnel: TunnelOfClient) -> None:
        """Pass everything from now on."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Send bytes of a tunnel."""
        raise NotImplementedError

    def send_end(self) -> None:
        """End the tunnel's direction to the client."""
        raise NotImplementedError

    def stop_reading_requests(self) -> None:
        """Nothing that follows can be told apart: the connection ends with the present answer."""
        raise NotImplementedError

    def reset(self) -> None:
        """Break off, visibly for the client (R63)."""
        raise NotImplementedError

    def exchange_finished(self, exchange: "ClientSide") -> None:
        """Go on to the next request, or close."""
        raise NotImplementedError


class ClientSide(Protocol):
    """An exchange: what the connection asks that it came on."""

    body: RequestBody | None

    @property
    def body_done(self) -> bool:
        """Whether the request has arrived whole."""


class Tunnelled(Protocol):
    """An exchange that has become a tunnel: what the tunnel asks of it."""

    @property
    def connection(self) -> ClientStream:
        """The client's connection."""

    @property
    def body_done(self) -> bool:
        """Whether the request has arrived whole."""

    def tunnel_closed(self) -> None:
        """The tunnel has ended: let the other side end too."""


class Front(Clock):
    """What a listener offers to connections and exchanges.

    A class and no protocol, as ``http.roles.Waiting``.

    Attributes:
        handler: decides what happens to each request.
        limits: bounds of the client side.
        in_flight: open requests, tunnels included.
        loop: the event loop.
        draining: whether every answer is its connection's last.
        admission: counts connections by address.
        balancer: what balancers are told, None where they are told nothing.
        hostless: the paths that may be asked for in HTTP/1.0 without a Host.
        extra_methods: what is taken beside the registered methods.
        least_progress: bytes of a body that count as progress.
    """

    handler: Handler
    limits: Limits
    in_flight: int
    loop: asyncio.AbstractEventLoop
    draining: bool
    admission: Admission
    balancer: BalancerAnswer | None
    hostless: frozenset[bytes]
    extra_methods: frozenset[bytes]
    least_progress: int

    def pool_of(self, upstream: str) -> Pool | None:
        """Return where requests for an upstream are forwarded to; None where there is none of this name."""
        raise NotImplementedError

    def date(self) -> bytes:
        """Return the value of Date."""
        raise NotImplementedError
