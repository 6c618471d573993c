"""One client connection: what the event loop tells it, and what takes too long on it."""

import asyncio
from typing import Final, Protocol, cast

from gateway.core.fault import Fault
from gateway.core.headers.request import asks_for_page
from gateway.core.reasons import Reason
from gateway.http.downstream.reader import LINGER_BYTES, ClientReader
from gateway.http.downstream.roles import Front
from gateway.http.downstream.transport import AHEAD
from gateway.http.messages.fields import HEAD_END
from gateway.http.sockets import HIGH_WATER, asks_for_certificate, peer_address, thumbprint_of
from gateway.http.states import ClientMove, ClientState, IllegalMove

# for so long more of what follows a request waits in the kernel, where it may hide the client's end; then
# nothing of it counts
_AHEAD_SECONDS: Final = 10.0
_CONTINUE_SECONDS: Final = 1.0

# looked up once: on the way of every request
_HEAD: Final = ClientState.HEAD


class Arrival(Protocol):
    """What came before HTTP on a connection, where something did: a proxy's header, a handshake of TLS.

    ``is_plain`` tells that TLS was expected and did not come.
    """

    peer: str
    is_plain: bool

    def over(self) -> None:
        """Give its place back: the connection takes it."""


class Host(Protocol):
    """What a connection asks of those who are connected."""

    def admit(self, connection: "ClientConnection") -> int:
        """Take a connection in; return by how many it is beyond the limit, 0 if it is welcome."""

    def forget(self, connection: "ClientConnection") -> None:
        """A connection has ended."""


class Listener(Front):
    """What a connection asks of the listener that it belongs to.

    Attributes:
        crowd: who is connected.
    """

    crowd: Host


class ClientConnection(ClientReader):
    """A client's connection; it reads as ``ClientReader`` and answers as ``ClientWriter`` does.

    Args:
        server: the listener.
        arrival: what came before HTTP, if anything.
    """

    __slots__ = ("_arrival", "_crowd")

    def __init__(self, server: Listener, arrival: Arrival | None = None) -> None:
        super().__init__(server)
        self._arrival = arrival
        self._crowd = server.crowd

    @property
    def idle(self) -> bool:
        """Whether no request is open or arriving."""
        return self.state == ClientState.HEAD and not self.ahead

    @property
    def unused(self) -> bool:
        """Whether no request is open: idle, or more of one is arriving."""
        in_between = self.state in (ClientState.HEAD, ClientState.DISCARD)
        return self.idle or (in_between and not self.held and not self.write_paused)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or turn the client away where there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        arrival = self._arrival
        if arrival is None:
            self.peer = peer_address(self.transport)
        else:
            arrival.over()
            self.peer, self.is_plain = arrival.peer, arrival.is_plain
        context = self.transport.get_extra_info("sslcontext")
        self.tls = context is not None
        if self.tls and asks_for_certificate(context):
            self.certificate = thumbprint_of(self.transport)
        beyond = self._crowd.admit(self)
        if arrival is None and not self.peer:
            # it was broken off before it was taken in
            self.state = ClientMove.CLOSES[self.state]
            self.transport.abort()
        elif beyond:
            self.turn_away(beyond)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        state = self.state
        if state == _HEAD and not self.ahead and not self.held and not self.write_paused:
            size = len(data)
            if data.endswith(HEAD_END) and size <= self.server.limits.head and data[0] != 13:
                # one whole head, with nothing before or after it, as nearly all come
                try:
                    self.take_head(data)
                    return
                except Fault as fault:
                    if data.find(HEAD_END) == size - len(HEAD_END):
                        self.refuse_head(fault, data)
                        return
                    # it ends earlier: an empty line within is no field line
                except IllegalMove:
                    self.reset()
                    raise
        if state == ClientState.TUNNEL:
            assert self.tunnel is not None
            self.tunnel.from_client(data)
        elif state == ClientState.LINGER:
            self.drop(data, LINGER_BYTES)
        elif state != ClientState.CLOSED:
            if not self.ahead:
                if state == ClientState.HEAD:
                    self.since = self.server.now
                self.ahead = data
            else:
                self.ahead += data
            self.advance()

    def eof_received(self) -> bool:
        """The client sends no more: that ends a tunnel's one direction, and anything else wholly."""
        if self.state == ClientState.TUNNEL:
            assert self.tunnel is not None
            # a connection over TLS is never half-closed: what is left of the tunnel ends too
            return self.tunnel.client_ended() and not self.tls
        self.lose_client()
        return False

    def client_ended(self, *, broken: bool) -> None:
        """The kernel tells that the client has ended its side, though not all that it sent was read."""
        if self.state == ClientState.TUNNEL and not broken:
            assert self.tunnel is not None
            # what it sent before goes on to the upstream, as soon as that takes it
            self.tunnel.client_ends()
            return
        self.lose_client()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        del exc
        self.state = ClientMove.LOST[self.state]
        self.ahead = b""
        self._crowd.forget(self)
        while self.own:
            keeper, connection = self.own.popitem()
            keeper.drop(connection)
        if self.exchange is not None:
            self.exchange.client_lost()

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.write_paused = True
        self.note_unsent()
        if self.exchange is not None:
            self.exchange.pause_upstream()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.resume_upstream()
        elif self.ahead:
            self.advance()

    # the ends

    def drain(self) -> None:
        """Close if idle; otherwise the present answer is the last."""
        if self.idle:
            self.close(unread=False)

    def make_room(self) -> None:
        """Close what is unused: its place is needed. Whoever was sending more is not waited for."""
        if self.idle:
            self.drain()
        else:
            self.reset()

    # time

    def sweep(self, now: float) -> None:
        """Cut what takes too long; called a few times a second."""
        if (self.write_paused or self.state >= ClientState.LINGER) and self.is_stalled(now):
            self.reset()
            self.transport.abort()
            if self.exchange is not None:
                self.exchange.client_lost("write time-out")
            return
        if self.exchange is not None:
            self.exchange.sweep()
        state = self.state
        waited = now - self.since
        if state == ClientState.HEAD:
            self._sweep_head(waited)
        elif state == ClientState.BODY:
            self._sweep_body(waited)
        elif state == ClientState.WAIT:
            if self.held & AHEAD and waited > _AHEAD_SECONDS:
                self.drop_ahead()
                self.release(AHEAD)
        elif state == ClientState.DISCARD:
            if waited > self.server.limits.body_timeout:
                self.close(unread=True)
        elif state == ClientState.LINGER:
            self.sweep_linger(now)
        elif state == ClientState.TUNNEL:
            assert self.tunnel is not None
            self.tunnel.sweep(now)

    def _sweep_head(self, waited: float) -> None:
        limits = self.server.limits
        if self.held:
            return
        if not self.ahead:
            if waited > limits.idle_timeout:
                self.close(unread=False)
        elif waited > limits.head_timeout:
            fault = Fault("client", Reason.REQUEST_TIMEOUT, "head")
            fault.html, fault.languages = asks_for_page(self.ahead, self.server.handler.request_lines)
            self.refuse(fault)

    def _sweep_body(self, waited: float) -> None:
        exchange = self.exchange
        if exchange is None or self.held or exchange.long_lived:
            return
        assert exchange.body is not None
        if exchange.body.continue_due:
            # not every upstream says 100 itself, and not every client goes on without
            if exchange.awaits_upstream and waited > _CONTINUE_SECONDS:
                self.since = self.server.now
                exchange.send_continue()
        elif waited > self.server.limits.body_timeout:
            exchange.body_failed(Fault("client", Reason.REQUEST_TIMEOUT, "body"))
