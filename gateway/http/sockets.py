"""What is asked of the sockets beneath the transports."""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import select
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, cast

from gateway.syntax.encoding import encode_base64url

BACKLOG: Final = 1024
"""Connections that may wait until they are accepted."""

HIGH_WATER = 65_536
"""Bytes that a transport may hold unsent before its source is paused."""

# Bytes that the kernel may hold for one client beyond what it has sent. Without a bound it takes in megabytes
# for a client that reads nothing; with it there is still enough to send until the next turn of the loop.
_MOST_UNSENT = 131_072

# the last, in milliseconds, holds where keep-alive does not: while something sent is not acknowledged
_KEEP_ALIVE = (
    ("TCP_KEEPIDLE", 60),
    ("TCP_KEEPINTVL", 15),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", 120_000),
)
_BROKEN = select.POLLHUP | select.POLLERR
# where the system has no such event, only a connection that is broken is told of
_ENDED = getattr(select, "POLLRDHUP", 0) | _BROKEN


def is_own_lack(error: Exception) -> bool:
    """Tell whether this machine, and no server, is why there is no connection: no file may be opened."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


class Optional(Protocol):
    """A socket, or what stands for one: what is asked of it here."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option. Raises OSError: it cannot be set."""


def as_protocol(connection: object) -> asyncio.Protocol:
    """Return a connection as what the event loop takes.

    It has the methods of ``asyncio.Protocol`` and is no subclass: a compiled class has no interpreted base.
    """
    return cast("asyncio.Protocol", connection)


def keep_alive(sock: Optional | None) -> None:
    """Let the kernel find out within two minutes that a silent peer is dead."""
    if sock is None:
        return
    # where the peer has gone already, the transport will tell
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def prepare_listener(listener: socket.socket) -> None:
    """Set, before it listens, what each connection that this socket accepts inherits.

    That is ``keep_alive``, and a bound on what the kernel holds unsent (TCP_NOTSENT_LOWAT). So no connection
    pays for the calls; where the system has no such option, its own bounds hold.
    """
    keep_alive(listener)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)


def find_ended(transports: Iterable[asyncio.Transport]) -> dict[int, bool]:
    """Ask the kernel which peers have ended their side, without reading what they sent before.

    Returns:
        By the number of the socket's file: whether the connection is broken, or may still be written to.
    """
    poll = select.poll()
    for transport in transports:
        number = file_of(transport)
        if number >= 0:
            poll.register(number, _ENDED)
    return {number: bool(event & _BROKEN) for number, event in poll.poll(0)}


def has_ended(transport: asyncio.Transport) -> bool:
    """Tell whether the peer has ended its side, whatever it sent before."""
    return bool(find_ended((transport,)))


def has_news(transport: asyncio.Transport) -> bool:
    """Tell whether anything of the peer is there to be read, its end included."""
    number = file_of(transport)
    if number < 0:
        return True
    poll = select.poll()
    poll.register(number, _ENDED | select.POLLIN)
    return bool(poll.poll(0))


def read_left(transport: asyncio.Transport) -> Iterator[bytes]:
    """Yield what the peer of a plain connection that has failed sent before, piece by piece.

    A failed write ends a transport at once, though the kernel keeps what was received.
    """
    if transport.get_extra_info("ssl_object") is not None:
        return
    number = file_of(transport)
    try:
        while number >= 0 and (data := os.read(number, HIGH_WATER)):
            yield data
    except OSError:
        # nothing more, or nothing but the failure
        return


def asks_for_certificate(context: object) -> bool:
    """Tell whether a listener's context asks clients for certificates, and verifies them."""
    return isinstance(context, ssl.SSLContext) and context.verify_mode != ssl.CERT_NONE


def thumbprint_of(transport: asyncio.Transport) -> str:
    """Return the thumbprint of the peer's certificate (RFC 8705 section 3.1), empty where it showed none."""
    tls = transport.get_extra_info("ssl_object")
    shown = None if tls is None else tls.getpeercert(binary_form=True)
    return encode_base64url(hashlib.sha256(shown).digest()) if shown else ""


def end_writing(transport: asyncio.Transport) -> None:
    """Tell the peer that no more is sent; where it has gone already, the transport will tell."""
    with contextlib.suppress(OSError):
        transport.write_eof()


def file_of(transport: asyncio.Transport) -> int:
    """Return the number of the socket's file, -1 where there is none any more."""
    sock = transport.get_extra_info("socket")
    return -1 if sock is None else int(sock.fileno())


def count_unsent(transport: asyncio.Transport) -> int:
    """Return how many bytes the kernel holds that the peer has not taken; 0 where it does not tell."""
    number = file_of(transport)
    if number < 0:
        return 0
    found = bytearray(4)
    try:
        fcntl.ioctl(number, termios.TIOCOUTQ, found)
    except OSError:
        return 0
    return int.from_bytes(found, sys.byteorder)


def reset(transport: asyncio.Transport) -> None:
    """Close with a TCP reset, so that the peer cannot take what it has for the whole."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def peer_address(transport: asyncio.Transport) -> str:
    """Return the address of the other end; an IPv4 address that arrived by an IPv6 socket is told as IPv4."""
    return peer_name(transport.get_extra_info("peername"))


def peer_name(name: object) -> str:
    """Return the address of a socket's name, empty where it has none."""
    if not isinstance(name, tuple):
        return ""
    address = str(name[0])
    return address[7:] if address.startswith("::ffff:") and "." in address else address
