"""The listener for what comes before HTTP: a proxy's header (PROXY protocol), a handshake of TLS.

It accepts, lets clients get as far as HTTP within bounds, and hands connections over.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Final

from gateway.http.downstream.certificates import Certificates
from gateway.http.downstream.connection import ClientConnection, Listener
from gateway.http.downstream.crowd import Crowd
from gateway.http.downstream.proxy_protocol import HeaderPeers, read_source
from gateway.http.sockets import BACKLOG, as_protocol, peer_name

# how long a client may take to answer close_notify
_SHUTDOWN_SECONDS: Final = 5.0
_LEAST_SECONDS: Final = 0.01
_MOST_AT_ONCE: Final = 32
# after the process has run out of descriptors
_REST_SECONDS: Final = 0.5


class Reception(Listener):
    """What is asked of the listener before HTTP.

    Attributes:
        handshakes_failed: how many clients did not get as far as HTTP.
        headers_missing: how many connections began without a proxy's header, and should have.
        certificates: what TLS is spoken with, None where it is not.
        header_peers: from where connections begin with a proxy's header.
        entrance: who is connected, or may be soon.
    """

    handshakes_failed: int
    headers_missing: int
    certificates: Certificates | None
    header_peers: HeaderPeers
    entrance: Crowd[ClientConnection, "Handshake"]


class Handshake:
    """One client that has not got as far as HTTP: it takes a place already, as a connection does.

    ``peer`` is the address of the connection; once a proxy's header was read, that of whom it speaks for.
    ``is_plain`` tells that TLS was expected and did not come.
    """

    __slots__ = ("_server", "awaits_header", "is_plain", "peer", "task")

    def __init__(self, server: Reception, peer: str) -> None:
        self.peer = peer
        self.is_plain = False
        self.awaits_header = peer in server.header_peers
        self.task: asyncio.Task[None] | None = None
        self._server = server

    async def begin(self, sock: socket.socket, certificates: Certificates | None) -> None:
        """Get as far as HTTP; what fails is counted, and not logged."""
        try:
            if self.awaits_header and not await self._read_header(sock):
                return
            if certificates is not None:
                await self._shake(sock, certificates)
            else:
                await self._server.loop.connect_accepted_socket(
                    lambda: as_protocol(ClientConnection(self._server, self)), sock
                )
        except OSError:
            # it is gone already
            sock.close()
        finally:
            self.over()

    async def _read_header(self, sock: socket.socket) -> bool:
        """Learn for whom a proxy speaks; False where the connection has been closed."""
        server = self._server
        try:
            source = await read_source(server.loop, sock, self.peer, server.limits.head_timeout)
        except (OSError, ValueError):
            server.headers_missing += 1
            sock.close()
            return False
        except BaseException:
            # nobody else has it yet
            sock.close()
            raise
        # from here on it is the client's, and counts among the connections of his address
        self.over()
        self.peer, self.awaits_header = source, False
        if server.entrance.admit_handshake(self):
            return True
        sock.close()
        return False

    async def _shake(self, sock: socket.socket, certificates: Certificates) -> None:
        server = self._server
        began, most = server.loop.time(), certificates.settings.handshake_timeout
        try:
            first = await self._listen(sock, most)
            if first.isupper():
                # a method: it is told where to ask instead, since no TLS record begins with a letter
                server.handshakes_failed += 1
                self.is_plain = True
                await server.loop.connect_accepted_socket(
                    lambda: as_protocol(ClientConnection(server, self)), sock
                )
                return
            await server.loop.connect_accepted_socket(
                lambda: as_protocol(ClientConnection(server, self)),
                sock,
                ssl=certificates.context,
                ssl_handshake_timeout=max(_LEAST_SECONDS, began + most - server.loop.time()),
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except OSError:
            # time-outs, resets, unknown versions, certificates that do not verify
            server.handshakes_failed += 1

    async def _listen(self, sock: socket.socket, most: float) -> bytes:
        """Return a client's first byte, which stays to be read. Raises OSError: none within ``most``."""
        try:
            async with asyncio.timeout(most):
                return await _first_byte(self._server.loop, sock)
        except BaseException:
            # nobody else has it yet
            sock.close()
            raise

    def over(self) -> None:
        """Give the place back."""
        self._server.entrance.forget_handshake(self)


async def _first_byte(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """Return what a client's first byte will be, nothing where it sends none. Raises OSError."""
    while True:
        try:
            return sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            pass
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sock, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(sock)


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class Gate:
    """Accepts by itself, since whom to turn away is best known before any work was done for him."""

    def __init__(self, server: Reception, sockets: Sequence[socket.socket]) -> None:
        self.sockets = tuple(sockets)
        self._server = server
        self._timers: set[asyncio.TimerHandle] = set()

    async def start_serving(self) -> None:
        """Listen."""
        for each in self.sockets:
            each.setblocking(False)
            each.listen(BACKLOG)
            self._server.loop.add_reader(each, self._accept, each)

    def close(self) -> None:
        """Listen no more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for each in self.sockets:
            if each.fileno() >= 0:
                self._server.loop.remove_reader(each)
                each.close()

    def _accept(self, listener: socket.socket) -> None:
        server = self._server
        for _ in range(_MOST_AT_ONCE):
            try:
                sock, name = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # no descriptors left: those that are open must end first
                server.loop.remove_reader(listener)
                self._timers.add(server.loop.call_later(_REST_SECONDS, self._resume, listener))
                return
            sock.setblocking(False)
            handshake = Handshake(server, peer_name(name))
            if server.entrance.admit_handshake(handshake):
                handshake.task = server.loop.create_task(handshake.begin(sock, server.certificates))
            else:
                sock.close()

    def _resume(self, listener: socket.socket) -> None:
        self._timers.clear()
        if listener.fileno() >= 0:
            self._server.loop.add_reader(listener, self._accept, listener)


async def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets bound to every address of a host; port 0 takes a free one.

    Raises:
        OSError: the address is taken or not ours.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
    except OSError:
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.close()
        raise
    return sockets
