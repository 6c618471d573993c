"""The connections to one upstream: kept alive, bounded, waited for, spread over the servers that are up."""

import asyncio
from collections.abc import Iterator

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.downstream.request_body import RequestBody
from gateway.http.roles import Client, Clock, Pool, Server, Upstream, Waiting
from gateway.http.upstream.bound import Bound
from gateway.http.upstream.connection import kept_for
from gateway.http.upstream.health import Checks
from gateway.http.upstream.line import Line
from gateway.http.upstream.opening import Opening
from gateway.http.upstream.rotation import Rotation
from gateway.http.upstream.shares import Shares
from gateway.http.upstream.uploads import Uploads


class UpstreamPool(Pool):
    """Connections to the servers of one upstream.

    A request takes the last idle connection of the server whose turn it is, else a new one, else its turn in
    a bounded queue. For some seconds a server that could not be reached is tried last.

    Attributes:
        settings: the upstream's.
        time: the coarse clock.
        rotation: its servers.
        uploads: where requests wait whose body has not arrived whole.
        bound: connections that serve one client connection alone (R77).
        shares: who holds connections, where they are scarce (R78).
        kept_for: how many seconds an unused connection is kept, unless its server tells.
        heeds: whether what a server tells of that counts.

    Raises:
        ValueError: a server's URL is not one. OSError: a file of ``tls`` cannot be used.
    """

    def __init__(self, settings: UpstreamSettings, time: Clock) -> None:
        self.settings = settings
        self.time = time
        # read for every response, and slow to read from a model
        self._max_idle = settings.max_idle
        self.kept_for = kept_for(settings)
        self.heeds = settings.keepalive == "auto"
        self._connections: set[Upstream] = set()
        self.shares = Shares()
        self.sharing = self.shares
        self.rotation = Rotation(settings, time, self._changed)
        self.servers = self.rotation
        self._origins = self.rotation.servers
        self._waiting = Line(self, settings, self.rotation)
        self.uploads = Uploads(self)
        self.bound = Bound(self)
        self._opening = Opening(self, self._waiting, self.rotation)
        self._retired = False
        self._checks: Checks | None = None
        if settings.health is not None:
            self._checks = Checks(
                settings.health, self._origins, self._opening.dial, self.rotation.health_changed
            )

    @property
    def is_current(self) -> bool:
        """Whether the files that ``tls`` names are still those that were read."""
        return self._opening.is_current

    def readings(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield how many connections are open and idle, how many requests wait, and how each server does.

        ``uploading`` are the requests among them whose body is still coming, ``gathering`` those that want no
        connection before theirs has come.
        """
        states = {
            "open": sum(origin.open for origin in self._origins),
            "idle": sum(len(origin.idle) for origin in self._origins),
            "waiting": len(self._waiting) + self.uploads.waiting,
            **self.uploads.gauges(),
        }
        for state, count in states.items():
            yield "upstream_connections", {"state": state}, count
        yield from self.rotation.readings()

    # taking

    def enter(self, exchange: Waiting, body: RequestBody) -> None:
        """Attach a connection to an exchange whose body has not arrived whole, now or when it has."""
        self.uploads.enter(exchange, body)

    def acquire(self, exchange: Waiting) -> None:
        """Attach a connection to the exchange, now or later; or fail it."""
        if exchange.client.own and (own := self.bound.take(exchange.client)) is not None:
            self.serve(exchange, own)
            return
        rotation = self.rotation
        if rotation.due and (origin := rotation.try_again(exchange)) is not None:
            self.open(exchange, origin)
            return
        first = rotation.sole or rotation.balance.pick()
        used = first.busy if first is rotation.sole and first is not None else rotation.used
        if used >= rotation.scarce_from and not self.may_have(exchange.address):
            self._waiting.wait(exchange)
            return
        if first is not None:
            connection = first.take(exchange.looks_first)
            if connection is not None:
                if self.shares.is_counting:
                    self.shares.enter(exchange)
                exchange.attach(connection)
                return
            if first.up and first.open < self.settings.max_connections:
                self.open(exchange, first)
                return
        self._acquire_elsewhere(exchange)

    def serve(self, exchange: Waiting, connection: Upstream) -> None:
        """Attach a connection that was kept, or is new."""
        if self.shares.is_counting:
            self.shares.enter(exchange)
        exchange.attach(connection)

    def retry(self, exchange: Waiting, failed: object) -> None:
        """Send the exchange once more, on a fresh connection: to another server, if one is in rotation."""
        others = [each for each in self.rotation.ranked() if each is not failed]
        for origin in (*others, *(each for each in self._origins if each is failed)):
            if origin.up and origin.open < self.settings.max_connections:
                self.open(exchange, origin)
                return
        self._waiting.wait(exchange)

    @property
    def capacity(self) -> int:
        """How many connections there may be to the servers that are up."""
        return self.rotation.capacity

    @property
    def most_uploads(self) -> int:
        """How many connections may be held by requests whose body has not arrived whole: half of all."""
        return max(1, self.capacity // 2)

    def may_have(self, address: str) -> bool:
        """Tell whether an address may have one more connection."""
        shares = self.shares
        if self.rotation.used < self.rotation.scarce_from:
            return True
        if not shares.is_counting:
            serving = [each.exchange for each in self._connections if each.exchange is not None]
            shares.begin([*serving, *self._opening.exchanges])
        return shares.may_have(address, self.capacity)

    def open(self, exchange: Waiting, origin: Server) -> None:
        """Open a connection to a server for an exchange."""
        if self.shares.is_counting:
            self.shares.enter(exchange)
        self._opening.begin(exchange, origin)

    def _acquire_elsewhere(self, exchange: Waiting) -> None:
        """The server whose turn it is can take no more: another one, or wait."""
        ranked = self.rotation.ranked()
        for origin in ranked:
            connection = origin.take(exchange.looks_first)
            if connection is not None:
                self.serve(exchange, connection)
                return
        for origin in ranked:
            if origin.open < self.settings.max_connections:
                self.open(exchange, origin)
                return
        self._waiting.wait(exchange)

    # giving back

    def may_keep(self, connection: Upstream) -> bool:
        """Tell whether a connection may serve again."""
        return connection.origin.up and connection.retires_at > self.time.now and not self._retired

    def adopt(self, connection: Upstream) -> None:
        """Count a connection that has been opened."""
        self._connections.add(connection)

    def release(self, connection: Upstream) -> None:
        """Take back a connection that may serve again."""
        origin = connection.origin
        if origin.up and connection.retires_at > self.time.now:
            if self._waiting.entries:
                if not connection.is_quiet():
                    connection.finish()
                    return
                if (exchange := self._waiting.next()) is not None:
                    self.serve(exchange, connection)
                    return
            if not self._retired and len(origin.idle) < self._max_idle:
                origin.busy -= 1
                origin.idle.append(connection)
                return
        connection.finish()

    def keep(self, connection: Upstream, client: Client) -> None:
        """Take back one that may serve this client's connection again, and no other (R77)."""
        self.bound.keep(connection, client)

    def lost(self, connection: Upstream) -> None:
        """Note that a connection has ended."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        origin = connection.origin
        origin.open -= 1
        if connection in origin.idle:
            origin.idle.remove(connection)
        elif not self.bound.lost(connection):
            origin.busy -= 1
        if self._waiting.entries:
            self._waiting.serve()

    def leave(self, exchange: Waiting) -> None:
        """An exchange has ended, and with it its share; called only where shares are counted."""
        held = self.shares.leave(exchange)
        # whoever leaves may give its connection back only after this, so that nobody is left counts too
        if self.shares.is_empty or 4 * self.rotation.used < 3 * self.rotation.scarce_from:
            self.shares.end()
        if held and self._waiting.entries:
            self._waiting.serve()

    def cancel(self, exchange: Waiting) -> None:
        """Forget an exchange that waits; a connection that is being opened for it will serve another."""
        self._waiting.leave(exchange)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a connection."""
        return bool(self._waiting.entries)

    def _changed(self, server: Server) -> None:
        """A server is up from now on, or is not."""
        if not server.up:
            _close_idle(server)
        self._waiting.serve()

    # time and end

    def sweep(self, now: float) -> None:
        """Cut what takes too long, see who may be tried again, check who is well; a few times a second."""
        self._waiting.sweep(now)
        self.uploads.sweep(now, len(self._waiting))
        for connection in tuple(self._connections):
            connection.sweep(now)
        self.rotation.sweep(now)
        if self._checks is not None and not self._retired:
            self._checks.sweep(now)

    def retire(self) -> None:
        """Keep no connection beyond the requests that are here already."""
        self._retired = True
        if self._checks is not None:
            self._checks.stop()
        self.close_idle()

    @property
    def is_done(self) -> bool:
        """Whether nothing is open and nobody waits."""
        return not (
            any(origin.open for origin in self._origins) or len(self._waiting) or self.uploads.is_anybody_here
        )

    def close_idle(self) -> None:
        """Close the connections that serve nobody."""
        for origin in self._origins:
            _close_idle(origin)
        self.bound.close()

    async def close(self) -> None:
        """Close everything."""
        running = self._opening.cancel()
        if self._checks is not None:
            running += self._checks.stop()
        await asyncio.gather(*running, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.abandon()


def _close_idle(origin: Server) -> None:
    while origin.idle:
        connection = origin.idle.pop()
        origin.busy += 1
        connection.finish()
