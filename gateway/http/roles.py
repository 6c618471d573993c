"""Where the data plane's parts meet: what each asks of the others, by role. None knows another's class.

Nor does a role know how a message is framed: a stream of HTTP/2 may play those of HTTP/1's connections.
"""

from typing import Protocol, TypeAlias

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.headers.request import Request
from gateway.http.downstream.request_body import RequestBody
from gateway.http.ports import Handling, Response
from gateway.http.upstream.origin import Origin


class Clock:
    """The data plane's coarse clock.

    Attributes:
        now: seconds, moved on a few times a second.
    """

    now: float


class UpstreamStream(Protocol):
    """Where a request goes and its response comes from: what an exchange and a tunnel ask of it."""

    def start(self, exchange: "Served") -> None:
        """Send an exchange's request, and as much of its body as there is."""

    def send_content(self, content: bytes, *, length: int | None, done: bool) -> None:
        """Send more of the request's body, whose length is known or not; its end where ``done``."""

    def send(self, data: bytes) -> None:
        """Send more of a tunnel."""

    def send_end(self) -> bool:
        """End this direction of a tunnel, where that can be; tell whether it could."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def abandon(self) -> None:
        """Nobody wants what comes any more."""

    def finish(self) -> None:
        """Close, once what was written has been sent."""


class Upstream(UpstreamStream, Protocol):
    """A connection to a server: what those ask who keep it, lend it and count it."""

    retires_at: float

    @property
    def origin(self) -> "Server":
        """The server at its other end."""

    @property
    def exchange(self) -> "Served | None":
        """The request that it serves, if any."""

    def is_usable(self) -> bool:
        """Tell whether a request may be sent on it."""

    def is_quiet(self) -> bool:
        """Tell whether nothing has come from the server since its last response, its end least of all."""

    def sweep(self, now: float) -> None:
        """Cut what takes too long."""


Server: TypeAlias = Origin["Upstream"]
"""A server of an upstream, and its connections."""


class Keeper(Protocol):
    """Who keeps connections for one client alone."""

    def drop(self, connection: Upstream) -> None:
        """Close one that nobody wants any more."""


Own: TypeAlias = dict["Keeper", "Upstream"]
"""What one client connection has for itself, by upstream."""


class Client(Protocol):
    """A client's connection: what those ask who keep a connection for it."""

    own: Own | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent on it."""

    @property
    def is_proxy(self) -> bool:
        """Whether many clients are behind it."""

    def hold_body(self) -> None:
        """Read no more of the body, or of the tunnel, for now."""

    def release_body(self) -> None:
        """Read on."""


class Member(Protocol):
    """An exchange: what those ask who count it."""

    @property
    def address(self) -> str:
        """Whose request it is where fairness is concerned."""


class Waiting:
    """An exchange: what a pool asks of it.

    A class and no protocol: what is asked for with each request is found without a look-up once it is
    compiled.

    Attributes:
        body: of the request, None without one.
        uploads: who counts its upload, while its body has not arrived whole.
        looks_first: whether a kept connection is looked at before it is used: what is written on it may be
            lost.
    """

    __slots__ = ("body", "looks_first", "uploads")

    body: RequestBody | None
    uploads: "Counter | None"
    looks_first: bool

    @property
    def address(self) -> str:
        """Whose request it is where fairness is concerned."""
        raise NotImplementedError

    @property
    def client(self) -> Client:
        """The client's connection."""
        raise NotImplementedError

    @property
    def awaits_upstream(self) -> bool:
        """Whether a connection to the upstream is still wanted."""
        raise NotImplementedError

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does, and its content will still be here."""
        raise NotImplementedError

    def attach(self, upstream: Upstream) -> None:
        """Take a connection."""
        raise NotImplementedError

    def fail(self, fault: Fault) -> None:
        """It cannot be answered as asked."""
        raise NotImplementedError

    def body_failed(self, fault: Fault) -> None:
        """The rest of the body cannot be read."""
        raise NotImplementedError


class Served(Waiting):
    """An exchange: what the connection asks that it was forwarded on.

    Attributes:
        request: what was asked.
        target, lines: what goes to the upstream.
        upgrade: the protocol asked for, where a tunnel would be possible.
        handling: who handles it.
    """

    __slots__ = ("handling", "lines", "request", "target", "upgrade")

    request: Request
    target: bytes
    lines: list[bytes]
    upgrade: bytes | None
    handling: Handling | None

    @property
    def body_done(self) -> bool:
        """Whether the request has arrived whole."""
        raise NotImplementedError

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the wait for a head, and on silence in the body (seconds)."""
        raise NotImplementedError

    @property
    def passage(self) -> "TunnelOfUpstream | None":
        """What it has become, after a 101."""
        raise NotImplementedError

    def start_body(self) -> bytes:
        """Return what there is of the body, from its beginning."""
        raise NotImplementedError

    def interim(self, head: Response) -> None:
        """Pass an interim response on."""
        raise NotImplementedError

    def begin(self, head: Response, content: bytes, has_content: bool, done: bool) -> None:
        """Pass the final head on, with what there is of the content. Raises Fault: it cannot be sent."""
        raise NotImplementedError

    def deliver(self, content: bytes, done: bool) -> None:
        """Pass more of the content on."""
        raise NotImplementedError

    def switch(self, upstream: UpstreamStream, head: Response, protocol: bytes, rest: bytes) -> None:
        """Become a tunnel for a protocol. Raises Fault: the head cannot be sent."""
        raise NotImplementedError

    def tunnel_closed(self) -> None:
        """The tunnel has ended."""
        raise NotImplementedError

    def upstream_lost(self, server: object, *, reused: bool, untouched: bool) -> None:
        """The connection ended before the response did."""
        raise NotImplementedError

    def end(self, fault: Fault | None = None) -> None:
        """The answer has been passed on whole."""
        raise NotImplementedError


class Counter(Protocol):
    """Who counts an upload while its body has not arrived whole."""

    def arrived(self, exchange: Waiting) -> None:
        """Its body is whole."""

    def leave(self, exchange: Waiting) -> None:
        """It has ended, or is whole."""


class Sharing:
    """Who counts who holds connections where they are scarce.

    Attributes:
        is_counting: whether it does, at present.
    """

    is_counting: bool


class Servers(Protocol):
    """The servers of an upstream: what is asked of them, and told."""

    def has_other(self, server: object) -> bool:
        """Tell whether another server is up."""

    def failed(self, server: Server, exchange: Member) -> None:
        """Note that a server was reached and did not answer as a server does."""

    def answered(self, server: Server, status: int, exchange: Member) -> None:
        """Note the status of a response; called only where the server is ``attentive``."""


class Pool:
    """The connections to an upstream: what an exchange asks of them, and a connection of where it is from.

    A class and no protocol, as ``Waiting``.

    Attributes:
        settings: the upstream's.
        time: the coarse clock.
        servers: the upstream's servers.
        sharing: who holds connections, where they are scarce.
        kept_for: how many seconds an unused connection is kept, unless its server tells.
        heeds: whether what a server tells of that counts.
    """

    settings: UpstreamSettings
    time: Clock
    servers: Servers
    sharing: Sharing
    kept_for: float
    heeds: bool

    def acquire(self, exchange: Waiting) -> None:
        """Attach a connection to the exchange, now or later; or fail it."""
        raise NotImplementedError

    def enter(self, exchange: Waiting, body: RequestBody) -> None:
        """The same for one whose body has not arrived whole: perhaps when it has."""
        raise NotImplementedError

    def serve(self, exchange: Waiting, connection: Upstream) -> None:
        """Attach a connection that was kept, or is new."""
        raise NotImplementedError

    def retry(self, exchange: Waiting, failed: object) -> None:
        """Send the exchange once more, on a fresh connection: to another server than this, if that can be."""
        raise NotImplementedError

    def cancel(self, exchange: Waiting) -> None:
        """Forget an exchange that waits."""
        raise NotImplementedError

    def leave(self, exchange: Waiting) -> None:
        """An exchange has ended; called only where shares are counted."""
        raise NotImplementedError

    def adopt(self, connection: Upstream) -> None:
        """Count a connection that has been opened."""
        raise NotImplementedError

    def release(self, connection: Upstream) -> None:
        """Take back a connection that may serve again."""
        raise NotImplementedError

    def keep(self, connection: Upstream, client: Client) -> None:
        """Take back one that may serve this client's connection again, and no other."""
        raise NotImplementedError

    def lost(self, connection: Upstream) -> None:
        """Note that a connection has ended."""
        raise NotImplementedError


class TunnelOfUpstream(Protocol):
    """A tunnel: what the upstream's connection asks of it."""

    def from_upstream(self, data: bytes) -> None:
        """Pass on what the upstream sent."""

    def upstream_ended(self) -> bool:
        """The upstream sends no more; tell whether to keep the other direction open."""
