"""What exchanges, tunnels and clients' connections ask of each other and the listener; see ``http.roles``."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from gateway.core.headers.request import Header
from gateway.http.downstream.admission import Admission
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.request_body import RequestBody
from gateway.http.ports import Handler, Limits, Response
from gateway.http.roles import Client, Clock, Pool


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


class ClientStream(Client, Protocol):
    """Where a request came from and its answer goes: what an exchange and a tunnel ask of it."""

    @property
    def server(self) -> "Front":
        """The listener."""

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def is_held(self) -> bool:
        """Whether nothing is read from the client for now."""

    @property
    def write_paused(self) -> bool:
        """Whether the client does not keep up with the response."""

    def respond(self, status: int, headers: list[Header], content: bytes, body: RequestBody | None) -> int:
        """Send a whole answer; return how many bytes of content went out. Raises ValueError: it cannot be."""

    def begin(
        self, head: Response, lines: list[bytes], content: bytes, has_content: bool, done: bool
    ) -> None:
        """Send the head of a response, with what there is of its content, in one write."""

    def deliver(self, content: bytes, done: bool) -> None:
        """Send more of the content."""

    def interim(self, head: Response) -> None:
        """Send an interim response, where the client knows such."""

    def send_continue(self) -> None:
        """Tell the client to send its body."""

    def switch(self, lines: list[bytes], protocol: bytes) -> None:
        """Tell the client that it has a tunnel now."""

    def enter_tunnel(self, tunnel: TunnelOfClient) -> None:
        """Pass everything from now on."""

    def send(self, data: bytes) -> None:
        """Send bytes of a tunnel."""

    def send_end(self) -> None:
        """End the tunnel's direction to the client."""

    def stop_reading_requests(self) -> None:
        """Nothing that follows can be told apart: the connection ends with the present answer."""

    def reset(self) -> None:
        """Break off, visibly for the client (R63)."""

    def exchange_finished(self, exchange: "ClientSide") -> None:
        """Go on to the next request, or close."""


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


class Front(Clock, Protocol):
    """What a listener offers to connections and exchanges."""

    handler: Handler
    limits: Limits
    in_flight: int

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""

    @property
    def draining(self) -> bool:
        """Whether every answer is its connection's last."""

    @property
    def admission(self) -> Admission:
        """Counts connections by address."""

    @property
    def balancer(self) -> BalancerAnswer | None:
        """What balancers are told, None where they are told nothing."""

    @property
    def hostless(self) -> frozenset[bytes]:
        """The paths that may be asked for in HTTP/1.0 without a Host."""

    @property
    def extra_methods(self) -> frozenset[bytes]:
        """What is taken beside the registered methods."""

    @property
    def least_progress(self) -> int:
        """Bytes of a body that count as progress."""

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Where requests may be forwarded to, by name."""

    def date(self) -> bytes:
        """Return the value of Date."""
