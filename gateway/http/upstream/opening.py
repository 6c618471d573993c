"""Connections to servers that are being opened: each for a request, though it may come to serve another."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.roles import Pool, Server, Upstream, Waiting
from gateway.http.sockets import is_own_lack
from gateway.http.upstream.connection import UpstreamConnection
from gateway.http.upstream.line import Line
from gateway.http.upstream.origin import AnyProtocol, describe_failure, dial
from gateway.http.upstream.rotation import Rotation
from gateway.http.upstream.tls import Version, client_context, version_of

_MOST_TRIES: Final = 3


class Opening:
    """What is being opened. A server that cannot be reached is passed over for the next: nothing was sent.

    Args:
        pool: what the connections are for.
        waiting: those who wait for them.
        rotation: its servers.

    Raises:
        OSError: a file of ``tls`` cannot be used.
    """

    def __init__(self, pool: Pool, waiting: Line, rotation: Rotation) -> None:
        self._pool = pool
        self._waiting = waiting
        self._settings = settings = pool.settings
        self._rotation = rotation
        self._running: dict[asyncio.Task[None], Waiting] = {}
        self._trouble = "no connection"
        self._files: Version = version_of(settings.tls)
        self._ssl: ssl.SSLContext | None = None
        if any(each.tls for each in rotation.servers):
            self._ssl = client_context(settings.tls)

    def __len__(self) -> int:
        return len(self._running)

    @property
    def is_current(self) -> bool:
        """Whether the files that ``tls`` names are still those that were read."""
        return version_of(self._settings.tls) == self._files

    @property
    def exchanges(self) -> list[Waiting]:
        """The requests that connections are being opened for, those excepted that have gone meanwhile."""
        return [each for each in self._running.values() if each.awaits_upstream]

    def begin(self, exchange: Waiting, server: Server) -> None:
        """Open a connection for a request, to this server if that can be."""
        server.busy += 1
        server.open += 1
        task = asyncio.get_running_loop().create_task(self._open_one(exchange, server))
        self._running[task] = exchange
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]

    async def _open_one(self, exchange: Waiting, server: Server) -> None:
        try:
            connection = await self._reach(exchange, server)
        except OSError:
            self._share(exchange)
            return
        if connection is None:
            self._waiting.serve()
            return
        self._pool.adopt(connection)
        if exchange.awaits_upstream:
            self._pool.serve(exchange, connection)
        else:
            self._pool.release(connection)

    async def _reach(self, exchange: Waiting, server: Server) -> Upstream | None:
        """Return a connection to this server or another; None where the exchange has failed, or has gone."""
        tried: set[Server] = set()
        while (connection := await self._connect(server)) is None:
            tried.add(server)
            if not exchange.awaits_upstream:
                return None
            room = [
                each
                for each in self._rotation.ranked()
                if each not in tried and each.open < self._settings.max_connections
            ]
            if not room or len(tried) >= _MOST_TRIES:
                reason = Reason.UPSTREAM_UNREACHABLE
                exchange.fail(Fault("upstream", reason, self._trouble, self._rotation.next_try()))
                return None
            server = room[0]
            server.busy += 1
            server.open += 1
        return connection

    def _share(self, exchange: Waiting) -> None:
        """No connection can be opened, whichever the server: take one that others used, or wait for it."""
        if not exchange.awaits_upstream:
            return
        for server in self._rotation.ranked():
            connection = server.take(exchange.looks_first)
            if connection is not None:
                self._pool.serve(exchange, connection)
                return
        if any(each.open for each in self._rotation.servers):
            self._waiting.wait(exchange)
        else:
            exchange.fail(Fault("gateway", Reason.OVERLOADED, self._trouble, 1))

    async def _connect(self, server: Server) -> Upstream | None:
        """Return a new connection, None where there is none; the server's counts know of it already.

        Raises:
            OSError: no file may be opened here, which is no server's failure.
        """
        connection: UpstreamConnection | None = None
        try:
            connection = await self.dial(
                server, lambda: UpstreamConnection(self._pool, server), self._settings.connect_timeout
            )
        except (OSError, ValueError) as error:
            # an SSLError is an OSError; a bad name may be a UnicodeError
            self._trouble = describe_failure(server, error)
            if is_own_lack(error):
                raise
        finally:
            if connection is None or not connection.is_usable():
                connection = None
                server.busy -= 1
                server.open -= 1
        if connection is None:
            self._rotation.unreached(server)
        else:
            self._rotation.reached(server)
        return connection

    async def dial(self, server: Server, make: Callable[[], AnyProtocol], timeout: float) -> AnyProtocol:  # noqa: ASYNC109
        """Connect to a server as requests do. Raises OSError, ValueError."""
        return await dial(
            server, make, timeout=timeout, context=self._ssl, server_name=self._settings.tls.server_name
        )

    def cancel(self) -> "list[asyncio.Task[None]]":
        """Open nothing more; return what was running, to be waited for."""
        running = list(self._running)
        for task in running:
            task.cancel()
        return running
