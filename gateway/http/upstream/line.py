"""Those who wait for a connection to an upstream, and how each gets his turn."""

from typing import Protocol

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.roles import Clock, Server, Upstream, Waiting
from gateway.http.upstream.bound import Bound
from gateway.http.upstream.rotation import Rotation
from gateway.http.upstream.shares import Queue, Shares


class Stock(Protocol):
    """What is asked of the pool whose connections they wait for."""

    @property
    def time(self) -> Clock:
        """The coarse clock."""

    def may_have(self, address: str) -> bool:
        """Tell whether an address may have one more connection."""

    def serve(self, exchange: Waiting, connection: Upstream) -> None:
        """Attach a connection that was kept, or is new."""

    def open(self, exchange: Waiting, origin: Server) -> None:
        """Open a connection to a server for an exchange."""

    @property
    def shares(self) -> Shares:
        """Who holds connections, where they are scarce."""

    @property
    def bound(self) -> Bound:
        """Connections that serve one client connection alone."""


class Line(Queue):
    """A bounded queue, served as far as there is anything to serve it with.

    Args:
        pool: what is waited for.
        settings: the upstream's.
        rotation: its servers.
    """

    __slots__ = ("_longest", "_most_connections", "_pool", "_rotation")

    def __init__(self, pool: Stock, settings: UpstreamSettings, rotation: Rotation) -> None:
        super().__init__(settings.max_connections)
        self._pool = pool
        self._rotation = rotation
        self._most_connections = settings.max_connections
        self._longest = settings.connect_timeout

    def wait(self, exchange: Waiting) -> None:
        """Let an exchange wait for its turn; or fail it."""
        if not self._rotation.is_anybody_up:
            exchange.fail(self._rotation.nobody_is_up())
            return
        # what it may have held has ended
        self._pool.shares.leave(exchange)
        if self.enter(exchange, self._pool.time.now):
            self._pool.bound.make_room()
        else:
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "too many requests wait for a connection"))

    def next(self) -> Waiting | None:
        """Take the first that may have a connection out of the queue."""
        for exchange in self:
            if self._pool.may_have(self.address_of(exchange)):
                self.leave(exchange)
                return exchange
        return None

    def serve(self) -> None:
        """Give those who wait what there is, as far as there is any; with no server left, tell them."""
        while self.entries:
            ranked = self._rotation.ranked()
            if not ranked:
                exchange = next(iter(self))
                self.leave(exchange)
                exchange.fail(self._rotation.nobody_is_up())
                continue
            room = [each for each in ranked if each.idle or each.open < self._most_connections]
            found = self.next() if room else None
            if found is None:
                return
            connection = room[0].take(found.looks_first)
            if connection is not None:
                self._pool.serve(found, connection)
            else:
                self._pool.open(found, room[0])

    def sweep(self, now: float) -> None:
        """Tell those who have waited for too long; a few times a second."""
        for exchange in self.expired(now, self._longest):
            self.leave(exchange)
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "waited too long for a connection"))
