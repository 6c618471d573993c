"""The connections to one upstream: kept alive, bounded, waited for, spread over its servers."""

import asyncio
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from gateway.core.config import UpstreamSettings
from gateway.core.model import Fault
from gateway.core.reasons import Reason
from gateway.http.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from gateway.http.client_exchange import ClientExchange

_COOL_DOWN = 5.0


class CoarseTime(Protocol):
    """The data plane's clock: seconds, moved on a few times a second."""

    now: float


class Origin:
    """One server of an upstream. ``busy`` counts its requests, those connecting included."""

    __slots__ = ("busy", "failed_until", "host", "idle", "port", "tls")

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a server is http://host:port or https://host:port")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("a server is a scheme, a host and a port, nothing else")
        self.tls = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.tls else 80)
        self.idle: dict[UpstreamConnection, None] = {}
        self.busy = 0
        self.failed_until = 0.0


class UpstreamPool:
    """Connections to the servers of one upstream.

    A request takes the last idle connection of the least busy server, else a new one, else its turn in a
    bounded queue. A server that cannot be reached is passed over for the next, since nothing was sent; for
    some seconds it is then tried last.

    Raises:
        ValueError: a server's URL is not one. OSError: ``ca_file`` cannot be read.
    """

    def __init__(self, settings: UpstreamSettings, time: CoarseTime) -> None:
        self.settings = settings
        self.time = time
        self._origins = [Origin(url) for url in settings.servers]
        self._connections: set[UpstreamConnection] = set()
        self._waiting: dict[ClientExchange, float] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._open = 0
        self._retired = False
        self._turn = 0
        self._ssl: ssl.SSLContext | None = None
        if any(origin.tls for origin in self._origins):
            self._ssl = ssl.create_default_context(cafile=settings.ca_file)
            self._ssl.set_alpn_protocols(["http/1.1"])

    def gauges(self) -> dict[str, float]:
        """Return how many connections are open and idle, and how many requests wait for one."""
        idle = sum(len(origin.idle) for origin in self._origins)
        return {"open": float(self._open), "idle": float(idle), "waiting": float(len(self._waiting))}

    # taking and giving back

    def acquire(self, exchange: "ClientExchange", *, fresh: bool = False) -> None:
        """Attach a connection to the exchange, now or later; or fail it."""
        if not fresh:
            connection = self._take_idle()
            if connection is not None:
                exchange.attach(connection)
                return
        if self._open < self.settings.max_connections:
            self._begin_opening(exchange)
        elif len(self._waiting) < self.settings.max_connections:
            self._waiting[exchange] = self.time.now
        else:
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "too many requests wait for a connection"))

    def cancel(self, exchange: "ClientExchange") -> None:
        """Forget an exchange that waits; a connection that is being opened for it will serve another."""
        self._waiting.pop(exchange, None)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that may serve again."""
        connection.origin.busy -= 1
        if self._waiting:
            exchange = next(iter(self._waiting))
            del self._waiting[exchange]
            connection.origin.busy += 1
            exchange.attach(connection)
        elif self._retired:
            connection.origin.busy += 1
            connection.finish()
        else:
            connection.origin.idle[connection] = None

    def lost(self, connection: UpstreamConnection) -> None:
        """Note that a connection has ended."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._open -= 1
        origin = connection.origin
        if connection in origin.idle:
            del origin.idle[connection]
        else:
            origin.busy -= 1
        self._serve_waiting()

    def _take_idle(self) -> UpstreamConnection | None:
        origins = self._origins
        if len(origins) == 1:
            return self._pop_idle(origins[0])
        best = self._order()
        connection = self._pop_idle(best[0])
        if connection is None and self._open >= self.settings.max_connections:
            for origin in best[1:]:
                connection = self._pop_idle(origin)
                if connection is not None:
                    break
        return connection

    @staticmethod
    def _pop_idle(origin: Origin) -> UpstreamConnection | None:
        while origin.idle:
            connection, _ = origin.idle.popitem()
            origin.busy += 1
            if connection.usable:
                return connection
        return None

    def _order(self) -> list[Origin]:
        """Return the servers, best first: not failed lately, least busy, and in turn among equals."""
        self._turn = (self._turn + 1) % len(self._origins)
        turned = self._origins[self._turn :] + self._origins[: self._turn]
        now = self.time.now
        return sorted(turned, key=lambda origin: (origin.failed_until > now, origin.busy))

    def _serve_waiting(self) -> None:
        while self._waiting and self._open < self.settings.max_connections:
            exchange = next(iter(self._waiting))
            del self._waiting[exchange]
            self._begin_opening(exchange)

    # opening

    def _begin_opening(self, exchange: "ClientExchange") -> None:
        self._open += 1
        order = self._order()
        order[0].busy += 1
        task = asyncio.get_running_loop().create_task(self._open_one(exchange, order))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_one(self, exchange: "ClientExchange", order: list[Origin]) -> None:
        detail = ""
        connection: UpstreamConnection | None = None
        for index, origin in enumerate(order):
            if index:
                order[index - 1].busy -= 1
                origin.busy += 1
            try:
                connection = await self._connect(origin)
            except (OSError, ValueError) as error:
                # an SSLError is an OSError; a bad name may be a UnicodeError
                detail = type(error).__name__
                origin.failed_until = self.time.now + _COOL_DOWN
                continue
            except BaseException:
                origin.busy -= 1
                self._open -= 1
                raise
            if connection.usable:
                break
            connection = None
        if connection is None:
            order[-1].busy -= 1
            self._open -= 1
            exchange.fail(Fault("upstream", Reason.UPSTREAM_UNREACHABLE, detail))
            self._serve_waiting()
            return
        connection.origin.failed_until = 0.0
        self._connections.add(connection)
        if exchange.awaits_upstream:
            exchange.attach(connection)
        else:
            self.release(connection)

    async def _connect(self, origin: Origin) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.settings.connect_timeout):
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self, origin),
                origin.host,
                origin.port,
                ssl=self._ssl if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        return connection

    # time and end

    def _expired(self, now: float) -> Iterator["ClientExchange"]:
        for exchange, since in self._waiting.items():
            if now - since <= self.settings.connect_timeout:
                return
            yield exchange

    def sweep(self, now: float) -> None:
        """Cut what takes too long; called a few times a second."""
        for exchange in list(self._expired(now)):
            self._waiting.pop(exchange, None)
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "waited too long for a connection"))
        for connection in tuple(self._connections):
            connection.sweep(now)

    def retire(self) -> None:
        """Keep no connection beyond the requests that are here already."""
        self._retired = True
        self.close_idle()

    @property
    def is_done(self) -> bool:
        """Whether nothing is open and nobody waits."""
        return not (self._open or self._waiting)

    def close_idle(self) -> None:
        """Close the connections that serve nobody."""
        for origin in self._origins:
            while origin.idle:
                connection, _ = origin.idle.popitem()
                origin.busy += 1
                connection.finish()

    async def close(self) -> None:
        """Close everything."""
        for task in tuple(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.abandon()
