"""How often one address may come with a credential that nobody knows, before it is not looked up any more."""

import time
from collections.abc import Callable

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, compile_rate_limit, key_of


class Strangers:
    """Counts, for each address, the credentials that turned out to be unknown.

    Whoever presents good ones is not counted, however many; so a crowd behind one address is shut out only
    by strangers among it, and only from what is not known yet.

    Args:
        monotonic: seconds of a clock that never goes back.

    Attributes:
        refused: how many credentials were not looked up.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.refused = 0
        self._monotonic = monotonic
        self._buckets: Buckets | None = None

    def configure(self, most: int) -> None:
        """Go on with so many unknown credentials of an address in a minute; 0: no limit."""
        if not most:
            self._buckets = None
            return
        limit = compile_rate_limit(RateLimitSettings(requests=most, per=60.0, by="address"), "unknown")
        if self._buckets is None or self._buckets.limit != limit:
            self._buckets = Buckets(limit)

    def admit(self, address: str) -> None:
        """Let a credential be looked up. Raises Fault: its address has brought too many unknown ones."""
        if self._buckets is None:
            return
        wait = self._buckets.look(key_of("address", None, address), self._now()).wait
        if wait is not None:
            self.refused += 1
            raise Fault("client", Reason.RATE_LIMITED, "too many unknown credentials of one address", wait)

    def count(self, address: str) -> None:
        """Take note of a credential that nobody knows."""
        if self._buckets is not None:
            self._buckets.count(key_of("address", None, address), self._now())

    def _now(self) -> int:
        return int(self._monotonic() * MICROSECONDS)
