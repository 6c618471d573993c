"""What was asked, and its body on its way: the side of an exchange that is there before any answer."""

from typing import Final

from gateway.core.fault import Fault
from gateway.core.headers.request import Request
from gateway.core.reasons import Reason
from gateway.http.downstream.request_body import RequestBody
from gateway.http.downstream.roles import ClientStream
from gateway.http.ports import Response
from gateway.http.roles import Client, Pool, Served, TunnelOfUpstream, UpstreamStream
from gateway.http.states import ExchangeState
from gateway.http.tunnel import Tunnel

# looked up once: on the way of every request
_WAITING: Final = ExchangeState.WAITING

_IDEMPOTENT: Final = frozenset(
    {b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PROPFIND", b"REPORT", b"SEARCH", b"QUERY"}
)
_NO_LINES: Final[list[bytes]] = []


class ClientRequest(Served):
    """A request of a client, its body arriving still, perhaps.

    Attributes:
        connection: the client's connection.
        request: what was asked.
        body: of the request, None without one.
        upgrade: the protocol asked for, where a tunnel would be possible.
        looks_first: whether a kept connection is looked at before it is used.
        handling: who handles it.
        target, lines: what goes to the upstream, once it is forwarded.
        tunnel: what it has become, after a 101.
        uploads: who counts its upload, while its body has not arrived whole.
    """

    __slots__ = (
        "_bytes_out",
        "_pool",
        "_retried",
        "_started",
        "_state",
        "_status",
        "_upstream",
        "connection",
        "tunnel",
    )

    def __init__(
        self,
        connection: ClientStream,
        request: Request,
        body: RequestBody | None,
        upgrade: bytes | None,
    ) -> None:
        self.connection = connection
        self.request = request
        self.body = body
        self.upgrade = upgrade
        # what is written on a kept connection may be lost
        self.looks_first = body is not None or request.method not in _IDEMPOTENT
        self.handling = None
        self.target = b""
        self.lines = _NO_LINES
        self.tunnel: Tunnel | None = None
        self.uploads = None
        self._state = _WAITING
        self._status = 499
        self._upstream: UpstreamStream | None = None
        self._pool: Pool | None = None
        self._started: float | None = None
        self._retried = False
        self._bytes_out = 0

    @property
    def aborted(self) -> bool:
        """Whether the client has gone, or the exchange is over; answering is then a no-op."""
        return self._state == ExchangeState.FINISHED

    @property
    def long_lived(self) -> bool:
        """Whether it is a tunnel or an answer under way: what outlives its decision."""
        return self._state in (ExchangeState.ANSWERING, ExchangeState.TUNNEL)

    @property
    def body_done(self) -> bool:
        """Whether the request has arrived whole."""
        return self.body is None or self.body.done

    async def read_body(self, limit: int) -> bytes:
        """Return the whole request body of at most ``limit`` bytes.

        Raises:
            Fault: of the client: ``body_too_large``, ``client_aborted``, ``request_malformed``,
                ``request_timeout``.
        """
        if self._state != _WAITING:
            raise Fault("client", Reason.CLIENT_ABORTED)
        body = self.body
        if body is None:
            return b""
        fault = body.admit(limit)
        if fault is not None:
            raise fault
        if not body.done:
            self.send_continue()
            self.connection.release_body()
            await body.wait()
        content = body.take_held()
        body.hold(content)
        return content

    def send_continue(self) -> None:
        """Tell the client to send its body, if it waits for that (RFC 9110 section 10.1.1)."""
        if self.body is not None and self.body.continue_due:
            self.body.continue_due = False
            self.connection.send_continue()

    def pause_upstream(self) -> None:
        """The client does not keep up: read no more for it."""
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_upstream(self) -> None:
        """The client has caught up."""
        if self._upstream is not None:
            self._upstream.resume_reading()

    @property
    def received(self) -> int:
        """How many bytes of content have come."""
        received = 0 if self.body is None else self.body.received
        return received if self.tunnel is None else received + self.tunnel.bytes_in

    # how it may be sent

    @property
    def client(self) -> Client:
        """The client's connection, where one is kept for it."""
        return self.connection

    @property
    def passage(self) -> TunnelOfUpstream | None:
        """The tunnel that it has become."""
        return self.tunnel

    @property
    def address(self) -> str:
        """Whose request it is where fairness is concerned: an address (in IPv6: one /64).

        Behind a trusted proxy it is the one that the proxy tells; empty where it tells none.
        """
        connection = self.connection
        admission, peer = connection.server.admission, connection.peer
        if not admission.is_exempt(peer):
            return admission.name_of(peer)
        client = "" if self.handling is None else self.handling.client
        return admission.name_of(client) if client not in ("", peer) else ""

    @property
    def awaits_upstream(self) -> bool:
        """Whether a connection to the upstream is still wanted."""
        return self._state == ExchangeState.FORWARDED

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does, and its content will still be here."""
        return self._may_repeat and self.body_done

    @property
    def _may_repeat(self) -> bool:
        return self.request.method in _IDEMPOTENT and (self.body is None or self.body.is_here)

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the wait for a head, and on silence in the body (seconds)."""
        return (None, None) if self.handling is None else self.handling.timeouts

    def start_body(self) -> bytes:
        """Return what there is of the body, from its beginning; more of it is read from now on."""
        body = self.body
        assert body is not None
        content = body.start(keep=self.request.method in _IDEMPOTENT)
        self.connection.release_body()
        return content

    def interim(self, head: Response) -> None:
        """Pass an interim response on (RFC 9110 section 15.2)."""
        if head.status == 100:
            self.send_continue()
        else:
            self.connection.interim(head)
