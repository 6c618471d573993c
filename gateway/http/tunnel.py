"""What follows a 101 (Switching Protocols): bytes both ways until both sides have ended."""

import os
from typing import Final

from gateway.http.downstream.roles import Tunnelled
from gateway.http.messages.websocket import FrameBoundary, close_frame
from gateway.http.roles import UpstreamStream

# what the upstream is told, whatever the client is: for the upstream, its client has gone
_GOING_AWAY: Final = 1001
_MASK_BYTES: Final = 4
_LAST_FRAME_SECONDS: Final = 2.0
_HALF_CLOSED_SECONDS: Final = 300.0


class Tunnel:
    """Passes bytes both ways with back-pressure. A silent tunnel is not cut: TCP keep-alive finds dead peers.

    Attributes:
        bytes_in, bytes_out: bytes from and to the client.
    """

    __deletable__ = ("_exchange", "_upstream")

    __slots__ = (
        "_client_ended",
        "_client_ends",
        "_client_frames",
        "_code",
        "_exchange",
        "_frames",
        "_since",
        "_upstream",
        "_upstream_ended",
        "bytes_in",
        "bytes_out",
    )

    def __init__(self, exchange: Tunnelled, upstream: UpstreamStream, *, is_websocket: bool) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._frames = FrameBoundary() if is_websocket else None
        self._client_frames = FrameBoundary()
        self._code: int | None = None
        self._client_ended = False
        self._client_ends = False
        self._upstream_ended = False
        self._since = 0.0
        self.bytes_in = 0
        self.bytes_out = 0

    def from_client(self, data: bytes) -> None:
        """Pass on what the client sent; nothing any more once the tunnel is to end."""
        if self._code is not None:
            return
        if self._frames is not None:
            self._client_frames.advance(data)
        self.bytes_in += len(data)
        self._client_ends = False
        self._upstream.send(data)

    def from_upstream(self, data: bytes) -> None:
        """Pass on what the upstream sent; when the tunnel is to end, only up to the end of a frame."""
        frames = self._frames
        if frames is not None:
            if self._code is not None:
                data = data[: frames.advance(data, stop=True)]
            else:
                frames.advance(data)
        self.bytes_out += len(data)
        self._exchange.connection.send(data)
        if self._code is not None:
            self._say_goodbye()

    @property
    def is_websocket(self) -> bool:
        """Whether it has a way to say that it ends."""
        return self._frames is not None

    def end(self, code: int) -> None:
        """End the tunnel: a close frame to both sides, if it is a WebSocket.

        The client's comes at the next frame boundary; the upstream's if there is one now, since nothing more
        is taken from the client.
        """
        if self._code is not None:
            return
        self._code = code
        self._since = self._exchange.connection.server.now
        if self._frames is None or self._upstream_ended:
            self.cut()
        else:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        assert self._frames is not None
        assert self._code is not None
        if self._frames.at_boundary:
            self._exchange.connection.send(close_frame(self._code))
            may_tell = self._client_frames.at_boundary and self._exchange.body_done
            if may_tell and not self._client_ended:
                self._upstream.send(close_frame(_GOING_AWAY, os.urandom(_MASK_BYTES)))
            self._exchange.tunnel_closed()

    def cut(self) -> None:
        """End the tunnel at once."""
        self._exchange.connection.reset()
        self._exchange.tunnel_closed()

    def client_ends(self) -> None:
        """The client has ended its side, and the upstream does not take what it sent before."""
        if not self._client_ends:
            self._client_ends = True
            self._since = self._exchange.connection.server.now

    def client_ended(self) -> bool:
        """The client sends no more; tell whether to keep the other direction open."""
        self._client_ended = True
        self._since = self._exchange.connection.server.now
        if self._upstream_ended or not self._upstream.send_end():
            self._exchange.tunnel_closed()
            return False
        return True

    def upstream_ended(self) -> bool:
        """The upstream sends no more; tell whether to keep the other direction open."""
        self._upstream_ended = True
        self._since = self._exchange.connection.server.now
        if self._client_ended:
            self._exchange.tunnel_closed()
            return False
        self._exchange.connection.send_end()
        return True

    def release(self) -> None:
        """Let go of both sides, once it has ended and nothing is asked of it any more.

        The exchange and the client's connection refer to it: a cycle would stay until the collector looks for
        it, with both connections and the request.
        """
        del self._exchange, self._upstream

    def sweep(self, now: float) -> None:
        """Cut what has been ending for too long."""
        waited = now - self._since
        if self._code is not None:
            if waited > _LAST_FRAME_SECONDS:
                self.cut()
        elif (
            self._client_ends or self._client_ended or self._upstream_ended
        ) and waited > _HALF_CLOSED_SECONDS:
            self.cut()
