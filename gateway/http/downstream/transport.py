"""The writing side of a client connection, and the pausing of its reading side."""

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from gateway.http.sockets import count_unsent, end_writing, reset

if TYPE_CHECKING:
    from gateway.http.server import Server


class State:
    """What the bytes that arrive are, as plain numbers. From LINGER on nothing more is sent."""

    HEAD = 0
    BODY = 1
    WAIT = 2
    DISCARD = 3
    TUNNEL = 4
    LINGER = 5
    CLOSED = 6


# looked up once: on the way of every answer
_LINGER = State.LINGER
# bytes in a second, as for uploads
_LEAST_RATE = 240


class ClientTransport(asyncio.Protocol):
    """What both sides of a client connection share.

    Attributes:
        server: whose connection it is.
        write_paused: whether the client does not keep up with the response.
    """

    __slots__ = (
        "_ahead",
        "_eof_after",
        "_held",
        "_state",
        "_taken",
        "_transport",
        "_unsent",
        "_written_at",
        "server",
        "write_paused",
    )

    _transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.write_paused = False
        self._state = State.HEAD
        self._ahead = b""
        self._held = 0
        self._eof_after: float | None = None
        self._unsent = 0
        self._taken = 0
        self._written_at = 0.0

    @property
    def is_held(self) -> bool:
        """Whether nothing is read from the client for now."""
        return self._held != 0

    @property
    def held(self) -> asyncio.Transport | None:
        """The transport, where nothing is read from it, so that it does not tell of the client's end."""
        return self._transport if self._held and self._state != State.CLOSED else None

    def send(self, data: bytes) -> None:
        """Send, unless the connection has ended."""
        if self._state < _LINGER:
            self._transport.write(data)

    def reset(self) -> None:
        """Break off, visibly for the client (R63)."""
        if self._state != State.CLOSED:
            self._state = State.CLOSED
            self._ahead = b""
            reset(self._transport)

    def _send_eof(self) -> None:
        """End this direction, and read on.

        Over TLS that is a close_notify and no more (RFC 8446 section 6.1): ``close`` would take what the
        client is still sending for an error, and take the answer away from it. No event loop offers it, so it
        is written behind the loop's back once everything before it has been handed over; that reading goes
        on sends it.
        """
        transport = self._transport
        tls = transport.get_extra_info("ssl_object")
        if tls is None:
            self._eof_after = None
            end_writing(transport)
            return
        # as soon as that can be, where it cannot be now
        self._eof_after = 0.0 if transport.get_write_buffer_size() else None
        if self._eof_after is None:
            transport.pause_reading()
            # wanting to read: the client has not said that it ends, too
            with contextlib.suppress(ssl.SSLError):
                tls.unwrap()
            transport.resume_reading()

    def _hold(self, why: int) -> None:
        if not self._held and self._state != State.CLOSED and not self._transport.is_closing():
            self._transport.pause_reading()
        self._held |= why

    def _release(self, why: int) -> None:
        if (
            self._held
            and not self._held & ~why
            and self._state != State.CLOSED
            and not self._transport.is_closing()
        ):
            self._transport.resume_reading()
        self._held &= ~why

    def _note_unsent(self) -> None:
        """Count from here on how much the client takes, and how long."""
        self._unsent = self._count_unsent()
        self._taken = 0
        self._written_at = self.server.now

    def _count_unsent(self) -> int:
        """Return how much the client has not taken, here and in the kernel."""
        return self._transport.get_write_buffer_size() + count_unsent(self._transport)

    def _is_stalled(self, now: float) -> bool:
        """Tell whether the client takes what is to be sent too slowly, or not at all.

        Within each ``write_timeout`` it has to take what is the least rate's, or all that there is.
        """
        longest = self.server.limits.write_timeout
        unsent = self._count_unsent()
        self._taken += max(0, self._unsent - unsent)
        self._unsent = unsent
        if not unsent or self._taken >= _LEAST_RATE * longest:
            self._written_at = now
            self._taken = 0
        return now - self._written_at > longest
