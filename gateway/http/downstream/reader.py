"""The reading side of a client connection: where each request begins and ends (RFC 9112)."""

from typing import Final

from gateway.core.fault import Fault
from gateway.core.headers.request import Request, asks_for_page
from gateway.core.reasons import Reason
from gateway.http.downstream.exchange import ClientExchange
from gateway.http.downstream.request_body import RequestBody
from gateway.http.downstream.roles import ClientSide, Front, TunnelOfClient
from gateway.http.downstream.transport import AHEAD, FULL
from gateway.http.downstream.writer import ClientWriter
from gateway.http.messages.chunked import ChunkedReader, LengthReader
from gateway.http.messages.fields import HEAD_END, Malformed
from gateway.http.messages.request_head import REQUEST_LINE, Framing, read_request_head
from gateway.http.ports import Unencrypted
from gateway.http.sockets import HIGH_WATER, end_writing
from gateway.http.states import ClientMove, ClientState, IllegalMove
from gateway.syntax.tokens import is_token

# looked up once: they are on the way of every request
_HEAD: Final = ClientState.HEAD
_BODY: Final = ClientState.BODY
_WAIT: Final = ClientState.WAIT
_CLOSED: Final = ClientState.CLOSED
_HEAD_READ: Final = ClientMove.HEAD_READ
_ANSWERED: Final = ClientMove.ANSWERED

_MOST_IN_A_ROW: Final = 16
_MOST_EMPTY_LINES: Final = 2
# so much is taken in of what follows a request that is being answered: up to there the client's end is seen
_MOST_AHEAD: Final = 65_536

LINGER_BYTES: Final = 16 << 20
"""So much is read of a client that has been answered for the last time."""


class ClientReader(ClientWriter):
    """Reads one request at a time; what a client pipelines waits in the socket, and is answered in order.

    Attributes:
        exchange: the request that is being answered, if any.
        tunnel: what it has become, after a 101.
    """

    __slots__ = ("_advancing", "_body", "_progress", "_reader", "exchange", "tunnel")

    def __init__(self, server: Front) -> None:
        super().__init__(server)
        self.exchange: ClientExchange | None = None
        self.tunnel: TunnelOfClient | None = None
        self._advancing = False
        self._reader: ChunkedReader | LengthReader | None = None
        # what is left of a request that was answered without it
        self._body: RequestBody | None = None
        self._progress = 0

    def advance(self) -> None:
        """Take what has arrived as far as the present state lets it be taken."""
        if self._advancing:
            return
        self._advancing = True
        stuck = False
        try:
            stuck = self._take_ahead()
        except Fault as fault:
            self.refuse(fault)
        except IllegalMove:
            self.reset()
            raise
        finally:
            self._advancing = False
        if stuck:
            if not self.held:
                self.since = self.server.now
            self.hold(AHEAD)
        elif self.held:
            self.release(AHEAD)

    def _take_ahead(self) -> bool:
        """Take heads and bodies; tell whether more has arrived than may be taken now."""
        turns = 0
        while self.ahead:
            state = self.state
            if state == _HEAD:
                if self.write_paused:
                    return True
                turns += 1
                if turns > _MOST_IN_A_ROW:
                    # others are served before this client's next pipelined requests
                    self.server.loop.call_soon(self.advance)
                    return True
                if not self._take_next_head():
                    return False
            elif state in (_BODY, ClientState.DISCARD):
                self._take_body()
            elif state == _WAIT and not self.last_request:
                return len(self.ahead) > _MOST_AHEAD
            else:
                self.drop_ahead()
        return False

    def drop_ahead(self) -> None:
        """Read on, and drop what comes: the present answer is the connection's last."""
        if not self.last_request:
            self.last_request = True
            self.discarded = 0
        self.discarded += len(self.ahead)
        self.ahead = b""
        if self.discarded > LINGER_BYTES:
            self.lose_client()

    def _take_next_head(self) -> bool:
        """Take one request head and let the handler have it; False where it is not complete."""
        if self.ahead[0] == 13:
            for _ in range(_MOST_EMPTY_LINES):
                # empty lines before a request are forgiven (RFC 9112 section 2.2)
                self.ahead = self.ahead.removeprefix(b"\r\n")
        data = self.ahead
        try:
            end = _end_of_head(data, self.server.limits.head)
            if not end:
                return False
            self.ahead = data[end:]
            self.take_head(data[:end])
        except Fault as fault:
            fault.html, fault.languages = asks_for_page(data, self.server.handler.request_lines)
            raise
        return True

    def refuse_head(self, fault: Fault, data: bytes) -> None:
        """Answer a head that is no acceptable one, and close."""
        fault.html, fault.languages = asks_for_page(data, self.server.handler.request_lines)
        self.refuse(fault)

    def take_head(self, data: bytes) -> None:
        """Take exactly one request head and let the handler have it. Raises Fault."""
        server = self.server
        request, head = read_request_head(
            data,
            server.handler.request_lines,
            self.peer,
            self.tls,
            server.hostless,
            server.extra_methods,
            server.limits.fields,
        )
        if self.is_plain:
            raise Unencrypted(request)
        if self.certificate:
            request.certificate = self.certificate
        self.since = server.now
        self.head = head
        self._keep = False
        server.in_flight += 1
        if head.length == 0:
            self.state = _HEAD_READ[self.state]
            self.exchange = exchange = ClientExchange(self, request, None, head.upgrade)
        else:
            exchange = self._begin_body(request, head)
        balancer = server.balancer
        if balancer is not None and balancer.is_asked(request, head.length != 0):
            exchange.respond(*balancer.answer(draining=server.draining))
        else:
            server.handler.handle(exchange)

    def _begin_body(self, request: Request, head: Framing) -> ClientExchange:
        """Begin an exchange, and take what there is of its body."""
        length = head.length
        body = RequestBody(length, expects_continue=head.expects_continue)
        self.exchange = exchange = ClientExchange(self, request, body, head.upgrade)
        self.state = ClientMove.BODY_BEGUN[self.state]
        self._reader = ChunkedReader() if length is None else LengthReader(length)
        self._progress = 0
        if self.ahead:
            self._take_body()
        return exchange

    def _take_body(self) -> None:
        exchange, reader = self.exchange, self._reader
        assert reader is not None
        data, self.ahead = self.ahead, b""
        self._progress += len(data)
        if self._progress >= self.server.least_progress:
            self._progress = 0
            self.since = self.server.now
        if self.state == ClientState.DISCARD:
            self._discard(reader, data)
            return
        assert exchange is not None
        body = exchange.body
        assert body is not None
        try:
            content = reader.feed(data)
        except Malformed as error:
            exchange.body_failed(Fault("client", Reason.REQUEST_MALFORMED, str(error)))
            return
        exchange.take(content, done=reader.done)
        if reader.done:
            self._reader = None
            if body.fault is None:
                self.ahead = reader.rest
        if self.state == _BODY and body.done:
            self.state = ClientMove.BODY_READ[self.state]
            if exchange.tunnel is not None:
                self.enter_tunnel(exchange.tunnel)

    def _discard(self, reader: ChunkedReader | LengthReader, data: bytes) -> None:
        """Take the rest of a body that was answered without it; the answer has been sent."""
        body = self._body
        assert body is not None
        self.discarded += len(data)
        try:
            body.feed(reader.feed(data), done=reader.done)
        except (Malformed, Fault):
            self.close(unread=True)
            return
        if reader.done:
            self.ahead = reader.rest
            self._body = self._reader = None
            self.since = self.server.now
            self.state = ClientMove.DISCARDED[self.state]
        elif self.discarded > HIGH_WATER:
            self.close(unread=True)

    # what the exchange calls

    def send_end(self) -> None:
        """End the tunnel's direction to the client."""
        if self.state != ClientState.TUNNEL:
            return
        if not self.tls:
            end_writing(self.transport)
        elif self.exchange is not None:
            self.exchange.tunnel_closed()

    def stop_reading_requests(self) -> None:
        """Nothing that follows can be told apart: the connection ends with the present answer."""
        self.last_request = True
        self.discarded = 0
        if self.state == _BODY:
            self.state = ClientMove.BODY_READ[self.state]

    def enter_tunnel(self, tunnel: TunnelOfClient) -> None:
        """Pass everything from now on, what has arrived early first."""
        self.state = ClientMove.SWITCHED[self.state]
        self.tunnel = tunnel
        ahead, self.ahead = self.ahead, b""
        if ahead:
            tunnel.from_client(ahead)
        self.release(AHEAD)

    def exchange_finished(self, exchange: ClientSide) -> None:
        """Go on to the next request, or close."""
        if self.exchange is not exchange:
            return
        self.exchange = self.tunnel = None
        server = self.server
        server.in_flight -= 1
        if self.state == _CLOSED:
            return
        self.since = server.now
        if self.held:
            self.release(FULL)
        body = exchange.body
        if not self._keep or server.draining or self.last_request:
            half_closes = self.state == ClientState.TUNNEL and not self.tls
            unread = half_closes or self.last_request or not (body is None or body.done)
            # an answer in HTTP/1.0 may end with its connection alone
            self.close(unread=unread, at_once=self.head.minor == 0)
            return
        try:
            if body is None or body.done:
                self.state = _ANSWERED[self.state]
            else:
                self.state = ClientMove.ANSWERED_EARLY[self.state]
                self.discarded = 0
                self._body = body
        except IllegalMove:
            self.reset()
            raise
        if self.ahead:
            self.advance()

    def lose_client(self) -> None:
        """Who sends no more wants no answer either, as most proxies have it; one that is whole is sent."""
        exchange = self.exchange
        if exchange is not None:
            self.reset()
            exchange.client_lost()


def _end_of_head(data: bytes, most: int) -> int:
    """Return where the first head ends, 0 while it is not complete. Raises Fault: it can never be."""
    end = data.find(HEAD_END) + len(HEAD_END)
    is_whole = end >= len(HEAD_END)
    if (end if is_whole else len(data)) > most:
        raise Fault("client", Reason.HEAD_TOO_LARGE)
    if is_whole:
        return end
    if data not in (b"", b"\r"):
        _check_partial(data)
    return 0


def _check_partial(data: bytes) -> None:
    """Refuse early what can never become a request head. Raises Fault."""
    if data.count(b"\n") != data.count(b"\r\n"):
        raise Fault("client", Reason.REQUEST_MALFORMED, "bare LF")
    line, complete, _ = data.partition(b"\r\n")
    if not is_token(line[:1]) or (complete and REQUEST_LINE.fullmatch(line) is None):
        raise Fault("client", Reason.REQUEST_MALFORMED, "request line")
