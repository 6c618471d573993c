"""A client's socket: what is written, when reading is paused, how it is broken off."""

import asyncio
import contextlib
import ssl
from typing import Final

from gateway.http.downstream.roles import ClientStream, Front
from gateway.http.sockets import count_unsent, end_writing, reset
from gateway.http.states import ClientMove, ClientState

# why reading is paused: the answers before are not taken; the body has nowhere to go
AHEAD: Final = 1
FULL: Final = 2


# looked up once: on the way of every answer
_LINGER: Final = ClientState.LINGER
# bytes in a second, as for uploads
_LEAST_RATE: Final = 240


class ClientTransport(ClientStream):
    """What the reading and the writing of a client connection share.

    Attributes:
        server: whose connection it is.
        transport: its socket's.
        peer: the client's address.
        tls: whether it came over TLS.
        is_plain: whether it came without, where TLS is spoken: what it asks is answered, and never handled.
        state: what the bytes that arrive are.
        ahead: those that have arrived, and are not taken yet.
        held: why nothing is read for now, if so.
        write_paused: whether the client does not keep up with the response.
        own: the connections to upstreams that serve this one alone, if any (R77).
        certificate: the thumbprint of the one that the client showed, empty where it has not (RFC 8705).
        eof_due: when the end of this direction is to be said, None where it has been, or is not to be.
    """

    __slots__ = (
        "_taken",
        "_unsent",
        "_written_at",
        "ahead",
        "certificate",
        "eof_due",
        "held",
        "is_plain",
        "state",
        "tls",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: Front) -> None:
        self.server = server
        self.peer = ""
        self.tls = False
        self.certificate = ""
        self.is_plain = False
        self.write_paused = False
        self.own = None
        self.state = ClientState.HEAD
        self.ahead = b""
        self.held = 0
        self.eof_due: float | None = None
        self._unsent = 0
        self._taken = 0
        self._written_at = 0.0

    @property
    def is_proxy(self) -> bool:
        """Whether many clients are behind it."""
        return self.server.admission.is_exempt(self.peer)

    @property
    def is_held(self) -> bool:
        """Whether nothing is read from the client for now."""
        return self.held != 0

    @property
    def unwatched(self) -> asyncio.Transport | None:
        """The transport, where nothing is read from it, so that it does not tell of the client's end."""
        return self.transport if self.held and self.state != ClientState.CLOSED else None

    def send(self, data: bytes) -> None:
        """Send, unless the connection has ended."""
        if self.state < _LINGER:
            self.transport.write(data)

    def reset(self) -> None:
        """Break off, visibly for the client (R63)."""
        if self.state != ClientState.CLOSED:
            self.state = ClientMove.CLOSES[self.state]
            self.ahead = b""
            reset(self.transport)

    def send_eof(self) -> None:
        """End this direction, and read on.

        Over TLS that is a close_notify and no more (RFC 8446 section 6.1): ``close`` would take what the
        client is still sending for an error, and take the answer away from it. No event loop offers it, so it
        is written behind the loop's back once everything before it has been handed over; that reading goes
        on sends it.
        """
        transport = self.transport
        tls = transport.get_extra_info("ssl_object")
        if tls is None:
            self.eof_due = None
            end_writing(transport)
            return
        # as soon as that can be, where it cannot be now
        self.eof_due = 0.0 if transport.get_write_buffer_size() else None
        if self.eof_due is None:
            transport.pause_reading()
            # wanting to read: the client has not said that it ends, too
            with contextlib.suppress(ssl.SSLError):
                tls.unwrap()
            transport.resume_reading()

    def hold(self, why: int) -> None:
        """Read no more for now, for this reason."""
        if not self.held and self.state != ClientState.CLOSED and not self.transport.is_closing():
            self.transport.pause_reading()
        self.held |= why

    def release(self, why: int) -> None:
        """Read on, if there is no other reason not to."""
        held = self.held
        if held:
            self.held = held = held & ~why
            if not held and self.state != ClientState.CLOSED and not self.transport.is_closing():
                self.transport.resume_reading()

    def release_all(self) -> None:
        """Read on."""
        self.release(AHEAD | FULL)

    def note_unsent(self) -> None:
        """Count from here on how much the client takes, and how long."""
        self._unsent = self._count_unsent()
        self._taken = 0
        self._written_at = self.server.now

    def _count_unsent(self) -> int:
        """Return how much the client has not taken, here and in the kernel."""
        return self.transport.get_write_buffer_size() + count_unsent(self.transport)

    def is_stalled(self, now: float) -> bool:
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
