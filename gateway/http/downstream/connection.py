"""One client connection: where each request begins and ends, what may be read, and how it closes."""

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.core.fault import Fault
from gateway.core.headers.request import Request
from gateway.core.reasons import Reason
from gateway.core.sketch import asks_for_page
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.exchange import ClientExchange
from gateway.http.downstream.transport import ClientTransport, State
from gateway.http.messages.fields import HEAD_END, Malformed
from gateway.http.messages.request_head import REQUEST_LINE, Framing, read_request_head
from gateway.http.messages.serialise import build_response_head
from gateway.http.sockets import HIGH_WATER, end_writing, keep_alive, peer_address
from gateway.http.tunnel import Tunnel
from gateway.http.upstream.bound import Own, let_go
from gateway.syntax.tokens import is_token

if TYPE_CHECKING:
    from gateway.http.server import Server

# why reading is paused: the answers before are not taken; the body has nowhere to go
_AHEAD, _FULL = 1, 2

# looked up once: they are on the way of every request
_HEAD, _WAIT, _CLOSED = State.HEAD, State.WAIT, State.CLOSED

_MOST_IN_A_ROW = 16
_MOST_EMPTY_LINES = 2
# so much is taken in of what follows a request that is being answered: up to there the client's end is seen
_MOST_AHEAD = 65_536
# for so long more of it waits in the kernel, where it may hide the client's end; then nothing of it counts
_AHEAD_SECONDS = 10.0
_MOST_TURNED_AWAY = 64
_LINGER_SECONDS = 5.0
# over TLS many clients take the end of one direction for that of both, and fail in the middle of their upload
_QUIET_SECONDS = 2.0
_LINGER_BYTES = 16 << 20
_CONTINUE_SECONDS = 1.0


class ClientConnection(ClientTransport):
    """Reads one request at a time; what a client pipelines waits in the socket, and is answered in order.

    Attributes:
        peer: the client's address.
        tls: whether it came over TLS.
        last_request: whether the connection ends with the present answer.
        own: the connections to upstreams that serve this one alone, if any (R77).
    """

    __slots__ = (
        "_advancing",
        "_body",
        "_discarded",
        "_exchange",
        "_progress",
        "_since",
        "_tunnel",
        "last_request",
        "own",
        "peer",
        "tls",
    )

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        self.peer = ""
        self.tls = False
        self.last_request = False
        self.own: Own | None = None
        self._advancing = False
        self._exchange: ClientExchange | None = None
        self._body: ClientExchange | None = None
        self._tunnel: Tunnel | None = None
        self._since = server.now
        self._progress = 0
        self._discarded = 0

    @property
    def exchange(self) -> ClientExchange | None:
        """The request that is being answered, if any."""
        return self._exchange

    @property
    def idle(self) -> bool:
        """Whether no request is open or arriving."""
        return self._state == State.HEAD and not self._ahead

    @property
    def unused(self) -> bool:
        """Whether no request is open: idle, or more of one is arriving."""
        in_between = self._state in (State.HEAD, State.DISCARD)
        return self.idle or (in_between and not self._held and not self.write_paused)

    @property
    def since(self) -> float:
        """Since when nothing has happened, where it is unused (the coarse clock, seconds)."""
        return self._since

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent on it."""
        return self._state >= State.LINGER

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or turn the client away where there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        keep_alive(self._transport)
        address = self._address()
        self.peer = address or ""
        self.tls = self._transport.get_extra_info("sslcontext") is not None
        beyond = self.server.admit(self)
        if address is None:
            self._state = State.CLOSED
            self._transport.abort()
        elif beyond:
            self._turn_away(beyond)

    def _address(self) -> str | None:
        """Return the client's address; None where it has broken the connection off before it was taken in."""
        return peer_address(self._transport) or None

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        state = self._state
        if state == State.TUNNEL:
            assert self._tunnel is not None
            self._tunnel.from_client(data)
        elif state == State.LINGER:
            self._discarded += len(data)
            if self._eof_after:
                self._eof_after = self.server.now + _QUIET_SECONDS
            if self._discarded > _LINGER_BYTES:
                self._transport.abort()
        elif state != State.CLOSED:
            if not self._ahead:
                if state == State.HEAD:
                    self._since = self.server.now
                self._ahead = data
            else:
                self._ahead += data
            self._advance()

    def eof_received(self) -> bool:
        """The client sends no more: that ends a tunnel's one direction, and anything else wholly."""
        if self._state == State.TUNNEL:
            assert self._tunnel is not None
            # a connection over TLS is never half-closed: what is left of the tunnel ends too
            return self._tunnel.client_ended() and not self.tls
        self._lose_client()
        return False

    def client_ended(self, *, broken: bool) -> None:
        """The kernel tells that the client has ended its side, though not all that it sent was read."""
        if self._state == State.TUNNEL and not broken:
            assert self._tunnel is not None
            # what it sent before goes on to the upstream, as soon as that takes it
            self._tunnel.client_ends()
            return
        self._lose_client()
        self._transport.abort()

    def _lose_client(self) -> None:
        """Who sends no more wants no answer either, as most proxies have it; one that is whole is sent."""
        exchange = self._exchange
        if exchange is not None:
            self.reset()
            exchange.client_lost()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        del exc
        self._state = State.CLOSED
        self._ahead = b""
        self.server.forget(self)
        if self.own is not None:
            let_go(self.own)
        if self._exchange is not None:
            self._exchange.client_lost()

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.write_paused = True
        self._note_unsent()
        if self._exchange is not None:
            self._exchange.pause_upstream()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_paused = False
        if self._exchange is not None:
            self._exchange.resume_upstream()
        elif self._ahead:
            self._advance()

    # what the exchange calls

    def send_end(self) -> None:
        """End the tunnel's direction to the client."""
        if self._state != State.TUNNEL:
            return
        if not self.tls:
            end_writing(self._transport)
        elif self._exchange is not None:
            self._exchange.tunnel_closed()

    def hold_body(self) -> None:
        """Read no more of the body, or of the tunnel, for now."""
        self._hold(_FULL)

    def release_body(self) -> None:
        """Read on."""
        self._since = self.server.now
        self._release(_FULL)

    def stop_reading_requests(self) -> None:
        """Nothing that follows can be told apart: the connection ends with the present answer."""
        self.last_request = True
        self._discarded = 0
        if self._state == State.BODY:
            self._state = State.WAIT

    def enter_tunnel(self, tunnel: Tunnel) -> None:
        """Pass everything from now on, what has arrived early first."""
        self._state = State.TUNNEL
        self._tunnel = tunnel
        ahead, self._ahead = self._ahead, b""
        if ahead:
            tunnel.from_client(ahead)
        self._release(_AHEAD)

    def exchange_finished(self, exchange: ClientExchange, keep: bool) -> None:
        """Go on to the next request, or close."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        server = self.server
        server.in_flight -= 1
        if self._state == _CLOSED:
            return
        self._since = server.now
        if self._held:
            self._release(_FULL)
        if not keep or server.draining or self.last_request:
            half_closes = self._state == State.TUNNEL and not self.tls
            unread = not exchange.body_done or half_closes or self.last_request
            # an answer in HTTP/1.0 may end with its connection alone
            self._end(unread=unread, at_once=exchange.head.minor == 0)
            return
        body = exchange.body
        if body is None:
            self._state = _HEAD
        elif body.done:
            self._state = _HEAD
            self._body = None
        else:
            self._state = State.DISCARD
            self._discarded = 0
            self._body = exchange
        if self._ahead:
            self._advance()

    # reading

    def _advance(self) -> None:
        """Take what has arrived as far as the present state lets it be taken."""
        if self._advancing:
            return
        self._advancing = True
        stuck = False
        try:
            stuck = self._take_ahead()
        except Fault as fault:
            self._refuse(fault)
        finally:
            self._advancing = False
        if stuck:
            if not self._held:
                self._since = self.server.now
            self._hold(_AHEAD)
        else:
            self._release(_AHEAD)

    def _take_ahead(self) -> bool:
        """Take heads and bodies; tell whether more has arrived than may be taken now."""
        turns = 0
        while self._ahead:
            state = self._state
            if state == State.HEAD:
                if self.write_paused:
                    return True
                turns += 1
                if turns > _MOST_IN_A_ROW:
                    # others are served before this client's next pipelined requests
                    self.server.loop.call_soon(self._advance)
                    return True
                if not self._take_head():
                    return False
            elif state in (State.BODY, State.DISCARD):
                self._take_body()
            elif state == State.WAIT and not self.last_request:
                return len(self._ahead) > _MOST_AHEAD
            else:
                self._drop_ahead()
        return False

    def _drop_ahead(self) -> None:
        """Read on, and drop what comes: the present answer is the connection's last."""
        if not self.last_request:
            self.last_request = True
            self._discarded = 0
        self._discarded += len(self._ahead)
        self._ahead = b""
        if self._discarded > _LINGER_BYTES:
            self._lose_client()

    def _take_head(self) -> bool:
        """Take one request head and let the handler have it; False where it is not complete."""
        if self._ahead[0] == 13:
            for _ in range(_MOST_EMPTY_LINES):
                # empty lines before a request are forgiven (RFC 9112 section 2.2)
                self._ahead = self._ahead.removeprefix(b"\r\n")
        data = self._ahead
        try:
            return self._take_head_of(data)
        except Fault as fault:
            fault.html = asks_for_page(data)
            raise

    def _take_head_of(self, data: bytes) -> bool:
        server = self.server
        end = data.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            self._check_partial(data)
            return False
        if end > server.limits.head:
            raise Fault("client", Reason.HEAD_TOO_LARGE)
        if end == len(data):
            self._ahead = b""
        else:
            self._ahead = data[end:]
            data = data[:end]
        head = read_request_head(data, server.hostless, server.extra_methods)
        if not self._is_within_limits(head, end):
            raise Fault("client", Reason.HEAD_TOO_LARGE, "too many fields")
        request = head.of(self.peer, tls=self.tls)
        if server.balancer is not None and server.balancer.is_asked(head):
            self._tell(request, head, server.balancer)
            return True
        if head.length == 0:
            self._open(request, head)
        else:
            self._begin(request, head)
        return True

    def _is_within_limits(self, head: Framing, size: int) -> bool:
        limits = self.server.limits
        return size <= limits.head and head.count <= limits.fields

    def _tell(self, request: Request, head: Framing, balancer: BalancerAnswer) -> None:
        """Answer a balancer, which asks for no page."""
        server = self.server
        self._since = server.now
        self._state = _WAIT
        exchange = self._exchange = ClientExchange(self, request, head)
        server.in_flight += 1
        exchange.respond(*balancer.answer(draining=server.draining))

    def _open(self, request: Request, head: Framing) -> None:
        """Begin a request without a body, of which nothing more is to be read."""
        server = self.server
        self._since = server.now
        self._state = _WAIT
        exchange = self._exchange = ClientExchange(self, request, head)
        server.in_flight += 1
        server.handler.handle(exchange)

    def _begin(self, request: Request, head: Framing) -> None:
        server = self.server
        self._since = server.now
        self._progress = 0
        exchange = self._exchange = ClientExchange(self, request, head)
        server.in_flight += 1
        self._state = State.BODY
        self._body = exchange
        if self._ahead:
            self._take_body()
        server.handler.handle(exchange)

    def _check_partial(self, data: bytes) -> None:
        """Refuse early what can never become a request head."""
        if len(data) > self.server.limits.head:
            raise Fault("client", Reason.HEAD_TOO_LARGE)
        if data == b"\r" or not data:
            return
        if data.count(b"\n") != data.count(b"\r\n"):
            raise Fault("client", Reason.REQUEST_MALFORMED, "bare LF")
        line, complete, _ = data.partition(b"\r\n")
        if not is_token(line[:1]) or (complete and REQUEST_LINE.fullmatch(line) is None):
            raise Fault("client", Reason.REQUEST_MALFORMED, "request line")

    def _take_body(self) -> None:
        exchange = self._body
        assert exchange is not None
        data, self._ahead = self._ahead, b""
        self._progress += len(data)
        if self._progress >= self.server.least_progress:
            self._progress = 0
            self._since = self.server.now
        if self._state == State.DISCARD:
            self._discard(exchange, data)
            return
        self._ahead = exchange.take(data)
        if self._state == State.BODY and exchange.body_done:
            self._state = State.WAIT
            self._body = None
            if exchange.tunnel is not None:
                self.enter_tunnel(exchange.tunnel)

    def _discard(self, exchange: ClientExchange, data: bytes) -> None:
        """Take the rest of a body that was answered without it; the answer has been sent."""
        self._discarded += len(data)
        body = exchange.body
        assert body is not None
        try:
            body.feed(data)
        except (Malformed, Fault):
            self._end(unread=True)
            return
        if body.done:
            self._ahead = body.rest
            self._body = None
            self._since = self.server.now
            self._state = State.HEAD
        elif self._discarded > HIGH_WATER:
            self._end(unread=True)

    # the ends

    def _turn_away(self, beyond: int) -> None:
        if beyond > _MOST_TURNED_AWAY:
            # even saying no takes a socket for a while
            self._state = State.CLOSED
            self._transport.abort()
        else:
            fault = Fault("gateway", Reason.OVERLOADED, "too many connections")
            # nobody knows yet who asks: programs go by the status, people need words
            fault.html = True
            self._refuse(fault)

    def _refuse(self, fault: Fault) -> None:
        """Answer bytes that are no acceptable request, and close."""
        status, headers, content = self.server.handler.malformed(fault, self.peer)
        framing = b"Content-Length: %d\r\nConnection: close\r\n" % len(content)
        self.send(build_response_head(status, headers, framing, self.server.date()) + content)
        self._end(unread=True)

    def _end(self, *, unread: bool, at_once: bool = False) -> None:
        """Close once everything has been sent.

        Where the client may still be sending, closing at once would reset the connection and take the answer
        away from it (RFC 9112 section 9.6): then what comes is discarded for a while. Over TLS the end is
        said when nothing comes any more, unless it is due ``at_once``.
        """
        if self._state >= State.LINGER:
            return
        unread = unread or bool(self._ahead)
        self._ahead = b""
        self._body = None
        self._since = self.server.now
        self._note_unsent()
        if self._transport.is_closing():
            self._state = State.CLOSED
        elif unread:
            self._state = State.LINGER
            self._discarded = 0
            self._release(_AHEAD | _FULL)
            self._eof_after = self._since + _QUIET_SECONDS
            if at_once or not self.tls:
                self._send_eof()
        else:
            self._state = State.CLOSED
            self._transport.close()

    def drain(self) -> None:
        """Close if idle; otherwise the present answer is the last."""
        if self.idle:
            self._end(unread=False)

    def make_room(self) -> None:
        """Close what is unused: its place is needed. Whoever was sending more is not waited for."""
        if self.idle:
            self.drain()
        else:
            self.reset()

    # time

    def sweep(self, now: float) -> None:
        """Cut what takes too long; called a few times a second."""
        if (self.write_paused or self._state >= State.LINGER) and self._is_stalled(now):
            self.reset()
            self._transport.abort()
            if self._exchange is not None:
                self._exchange.client_lost("write time-out")
            return
        if self._exchange is not None:
            self._exchange.sweep()
        state = self._state
        waited = now - self._since
        if state == State.HEAD:
            self._sweep_head(waited)
        elif state == State.BODY:
            self._sweep_body(waited)
        elif state in (State.WAIT, State.DISCARD):
            self._sweep_rest(waited)
        elif state == State.LINGER:
            self._sweep_linger(now)
        elif state == State.TUNNEL:
            assert self._tunnel is not None
            self._tunnel.sweep(now)

    def _sweep_rest(self, waited: float) -> None:
        """Bound the wait for what is not needed for the present answer."""
        if self._state == State.DISCARD:
            if waited > self.server.limits.body_timeout:
                self._end(unread=True)
        elif self._held & _AHEAD and waited > _AHEAD_SECONDS:
            self._drop_ahead()
            self._release(_AHEAD)

    def _sweep_linger(self, now: float) -> None:
        if self._transport.get_write_buffer_size():
            # whoever is still being answered has not begun to be patient with us
            self._since = self.server.now
        elif now - self._since > _LINGER_SECONDS:
            self._transport.abort()
        elif self._eof_after is not None and now > self._eof_after:
            self._send_eof()

    def _sweep_head(self, waited: float) -> None:
        limits = self.server.limits
        if self._held:
            return
        if not self._ahead:
            if waited > limits.idle_timeout:
                self._end(unread=False)
        elif waited > limits.head_timeout:
            fault = Fault("client", Reason.REQUEST_TIMEOUT, "head")
            fault.html = asks_for_page(self._ahead)
            self._refuse(fault)

    def _sweep_body(self, waited: float) -> None:
        exchange = self._exchange
        if exchange is None or self._held or exchange.long_lived:
            return
        assert exchange.body is not None
        if exchange.body.continue_due:
            # not every upstream says 100 itself, and not every client goes on without
            if exchange.awaits_upstream and waited > _CONTINUE_SECONDS:
                self._since = self.server.now
                exchange.send_continue()
        elif waited > self.server.limits.body_timeout:
            exchange.body_failed(Fault("client", Reason.REQUEST_TIMEOUT, "body"))
