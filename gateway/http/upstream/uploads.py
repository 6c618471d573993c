"""Requests of one upstream whose body has not arrived whole: how many may hold a connection meanwhile."""

from typing import Protocol

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.downstream.request_body import MOST_HELD, RequestBody
from gateway.http.roles import Clock, Waiting
from gateway.http.upstream.shares import Queue, Tally, share_of

# an upload that stands still for so many seconds may be ended for one that waits
_PATIENCE = 2.0


class Stock(Protocol):
    """What is asked of the pool that the connections are from."""

    @property
    def settings(self) -> UpstreamSettings:
        """The upstream's settings."""

    @property
    def time(self) -> Clock:
        """The coarse clock."""

    @property
    def capacity(self) -> int:
        """How many connections there may be to the servers that are up."""

    @property
    def most_uploads(self) -> int:
        """How many connections may be held by requests whose body has not arrived whole."""

    def acquire(self, exchange: Waiting) -> None:
        """Attach a connection to the exchange, now or later; or fail it."""


class Uploads:
    """Keeps those who send slowly from taking every connection.

    A short body is held until it is whole, and takes a connection then. A longer one, a chunked one and one
    whose client asks first whether it may send (RFC 9110 section 10.1.1) take theirs at once, so that they
    stream and the upstream may answer in the middle; but together no more than half of what there may be,
    and once half of that is used, no more than a quarter of all for one address. More of them wait, and so
    that they do not wait for nobody, the uploads that have stood still longest are ended for them. One that
    is being answered already is not: its client may be waiting for more.
    """

    def __init__(self, pool: Stock) -> None:
        self._pool = pool
        self._gathering: set[Waiting] = set()
        self._waiting = Queue(pool.settings.max_connections)
        self._holding: Tally[Waiting] = Tally()
        self._admitting = False

    def gauges(self) -> dict[str, float]:
        """Return how many hold a connection, and how many are held until they are whole."""
        return {"uploading": float(len(self._holding)), "gathering": float(len(self._gathering))}

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return len(self._waiting)

    @property
    def is_anybody_here(self) -> bool:
        """Whether somebody is still to ask the pool for a connection."""
        return bool(self._gathering or len(self._waiting))

    def enter(self, exchange: Waiting, body: RequestBody) -> None:
        """Take in a request whose body has not arrived whole; its connection comes now or later."""
        exchange.uploads = self
        if body.length is not None and body.length <= MOST_HELD and not body.continue_due:
            self._gathering.add(exchange)
        elif self._may_hold(exchange.address):
            self._holding.enter(exchange)
            self._pool.acquire(exchange)
        elif not self._waiting.enter(exchange, self._pool.time.now):
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "too many uploads wait for a connection"))

    def arrived(self, exchange: Waiting) -> None:
        """Its body is whole: from now on it is a request like any other."""
        has_none = exchange in self._gathering or exchange in self._waiting
        self.leave(exchange)
        if has_none:
            self._pool.acquire(exchange)

    def leave(self, exchange: Waiting) -> None:
        """It has ended, or is whole: let others have its place."""
        self._gathering.discard(exchange)
        self._waiting.leave(exchange)
        self._holding.leave(exchange)
        self._admit()

    def _may_hold(self, address: str) -> bool:
        """Tell whether one more upload of this address may have a connection (R78)."""
        holding, most = len(self._holding), self._pool.most_uploads
        if holding >= most:
            return False
        return 2 * holding < most or self._holding.has(address) < share_of(self._pool.capacity)

    def _next(self) -> Waiting | None:
        for exchange in self._waiting:
            if self._may_hold(self._waiting.address_of(exchange)):
                return exchange
        return None

    def _admit(self) -> None:
        if self._admitting:
            # whoever fails at once leaves from within the loop below
            return
        self._admitting = True
        try:
            while (exchange := self._next()) is not None:
                self._waiting.leave(exchange)
                self._holding.enter(exchange)
                self._pool.acquire(exchange)
        finally:
            self._admitting = False

    def sweep(self, now: float, others: int) -> None:
        """End what has waited too long, and what stands in the way; a few times a second.

        Args:
            now: the coarse clock, in seconds.
            others: how many requests that are no uploads wait for a connection.
        """
        if len(self._waiting):
            longest = self._pool.settings.connect_timeout
            for exchange in self._waiting.expired(now, longest):
                # the end of one may have been the turn of the next
                if exchange in self._waiting:
                    exchange.fail(Fault("upstream", Reason.OVERLOADED, "the upload waited too long"))
            self._admit()
        wanted = len(self._waiting) + others
        if wanted and len(self._holding):
            for exchange in self._stalled()[:wanted]:
                if exchange.awaits_upstream:
                    exchange.body_failed(Fault("client", Reason.REQUEST_TIMEOUT, "the body stood still"))

    def _stalled(self) -> list[Waiting]:
        """Return those that have stood still for too long, the longest first."""
        found = []
        for exchange in self._holding:
            pace = exchange.body.pace if exchange.body is not None else None
            if pace is not None and pace.still > _PATIENCE and exchange.awaits_upstream:
                found.append((pace.still, exchange))
        return [exchange for _, exchange in sorted(found, key=lambda each: each[0], reverse=True)]
