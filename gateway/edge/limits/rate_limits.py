"""Counts requests of limited routes: in this process, or for all gateways together in the store.

A shared limit costs one round trip, and rests on the store's clock. While the store is away each process
counts for itself: a limiter that cannot ask is no reason to refuse anybody.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, Protocol

from gateway.core.fault import Fault
from gateway.core.rules.rate_limit import MICROSECONDS, Allowance, Buckets, RateLimit, allowed, refused
from gateway.edge.store.store import Argument, Script

_REST_MICROSECONDS: Final = MICROSECONDS

_TAKE = Script("""
local interval, span = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = tonumber(redis.call('GET', KEYS[1]) or '') or 0
-- a clock that was set back must shut nobody out for longer than a burst takes to fill
arrival = math.min(math.max(arrival, now), now + span)
local ahead = arrival + interval - now
if ahead > span then return {0, arrival - now} end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
return {1, ahead}
""")


class Counter(Protocol):
    """The part of the store that counting needs."""

    def key(self, *parts: str) -> str:
        """Return a key of ours."""

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Awaitable[Any]:
        """Run a script. Raises Fault."""


class RateLimits:
    """The counts of every limit.

    Args:
        store: counts what is shared.
        monotonic: seconds of a clock that never goes back.

    Attributes:
        unshared: how many requests of shared limits were counted here alone, the store being away.
    """

    def __init__(self, store: Counter, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.unshared = 0
        self._store = store
        self._monotonic = monotonic
        self._buckets: dict[RateLimit, Buckets] = {}
        self._resting_until = 0

    def configure(self, limits: Collection[RateLimit]) -> None:
        """Forget the counts of every other limit; those of these go on."""
        self._buckets = {limit: self._buckets[limit] for limit in limits if limit in self._buckets}

    def check(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request in this process, and tell whether it may pass."""
        return self._of(limit).take(key, self._now())

    async def check_shared(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request in the store; in this process where the store is away. Never raises Fault."""
        buckets, now = self._of(limit), self._now()
        # this process alone has counted as much: no need to ask
        here = buckets.look(key, now)
        if here.wait is not None:
            return here
        if now < self._resting_until:
            self.unshared += 1
            return buckets.take(key, now)
        try:
            passes, ahead = await self._store.run(
                _TAKE, [self._store.key("rate", _digest(limit, key))], [limit.interval, limit.span]
            )
        except Fault:
            # the next requests do not wait for it as well
            now = self._now()
            self._resting_until = now + _REST_MICROSECONDS
            self.unshared += 1
            return buckets.take(key, now)
        if not passes:
            return refused(limit, int(ahead))
        buckets.count(key, self._now())
        return allowed(limit, int(ahead))

    def look(self, limit: RateLimit, key: str) -> Allowance:
        """Tell what this process would allow, and count nothing."""
        # limits are equal by what they say, whichever configuration they are of
        buckets = self._buckets.get(limit)
        return (Buckets(limit) if buckets is None else buckets).look(key, self._now())

    def stats(self) -> dict[str, float]:
        """Return what is counted now, by short names."""
        return {
            "callers": float(sum(map(len, self._buckets.values()))),
            "unshared_total": float(self.unshared),
        }

    def _of(self, limit: RateLimit) -> Buckets:
        buckets = self._buckets.get(limit)
        if buckets is None:
            buckets = self._buckets[limit] = Buckets(limit)
        return buckets

    def _now(self) -> int:
        return int(self._monotonic() * MICROSECONDS)


def _digest(limit: RateLimit, key: str) -> str:
    """Name a caller without telling who it is, nor letting two limits meet."""
    text = f"{limit.name}\0{limit.interval}\0{limit.burst}\0{key}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
