"""How often one address may come with a credential that nobody knows, before it is not looked up any more."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, compile_rate_limit, key_of

AT_ONCE: Final = 32
"""Credentials of one address that are looked up at a time."""


@dataclass(slots=True)
class Look:
    """One look at a credential, and whether anybody knows it."""

    found: bool = False


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
        self._busy: Counter[str] = Counter()

    def configure(self, most: int) -> None:
        """Go on with so many unknown credentials of an address in a minute; 0: no limit."""
        if not most:
            self._buckets = None
            return
        limit = compile_rate_limit(RateLimitSettings(requests=most, per=60.0, by="address"), "unknown")
        if self._buckets is None or self._buckets.limit != limit:
            self._buckets = Buckets(limit)

    @contextmanager
    def looking(self, address: str) -> Iterator[Look]:
        """Look a credential of an address up; unless it is ``found``, it is counted.

        Raises:
            Fault: the address has brought too many unknown ones, or has too many looked up at this moment.
        """
        key, look = key_of("address", None, address), Look()
        buckets = self._buckets
        if buckets is None:
            yield look
            return
        wait = buckets.look(key, self._now()).wait
        if wait is not None or self._busy[key] >= AT_ONCE:
            self.refused += 1
            detail = "too many unknown credentials of one address"
            raise Fault("client", Reason.RATE_LIMITED, detail, wait or 1)
        self._busy[key] += 1
        try:
            yield look
        except Fault as fault:
            # where nobody was there to tell, nobody is a stranger
            look.found = fault.source == "store" or isinstance(fault, NeverSent | Ambiguous)
            raise
        finally:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]
            if not look.found:
                buckets.count(key, self._now())

    def _now(self) -> int:
        return int(self._monotonic() * MICROSECONDS)
