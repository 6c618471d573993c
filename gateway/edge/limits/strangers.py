"""How often one address may come with a credential that nobody knows, before it is not looked up any more."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, compile_rate_limit, key_of

AT_ONCE: Final = 16
"""Credentials of one address that are looked up at a time; the next ones wait."""
MOST_WAITING: Final = 1024
"""Of one address."""


@dataclass(slots=True)
class Look:
    """One look at a credential, and whether anybody knows it."""

    found: bool = False


@dataclass(slots=True)
class _Gate:
    """The turns of one address, and how many have one or wait for it."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    inside: int = 0


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
        self._gates: dict[str, _Gate] = {}

    def configure(self, most: int) -> None:
        """Go on with so many unknown credentials of an address in a minute; 0: no limit."""
        if not most:
            self._buckets = None
            return
        limit = compile_rate_limit(RateLimitSettings(requests=most, per=60.0, by="address"), "unknown")
        if self._buckets is None or self._buckets.limit != limit:
            self._buckets = Buckets(limit)

    @asynccontextmanager
    async def looking(self, address: str) -> AsyncIterator[Look]:
        """Look a credential of an address up, in its turn; unless it is ``found``, it is counted.

        Raises:
            Fault: the address has brought too many unknown ones, or waits for too many.
        """
        buckets, key, look = self._buckets, key_of("address", None, address), Look()
        if buckets is None:
            yield look
            return
        self._judge(buckets, key)
        gate = self._gates.setdefault(key, _Gate())
        if gate.inside >= MOST_WAITING:
            raise self._refusal(1)
        gate.inside += 1
        try:
            async with gate.turns:
                # those before it may have been strangers
                self._judge(buckets, key)
                yield look
        except Fault as fault:
            # where nobody was there to tell, or would, nobody is a stranger; nor is who was not looked at
            is_none = fault.source != "issuer" or fault.reason is Reason.ISSUER_MISCONFIGURED
            look.found = is_none or isinstance(fault, NeverSent | Ambiguous)
            raise
        except BaseException:
            look.found = True
            raise
        finally:
            gate.inside -= 1
            if not gate.inside:
                self._gates.pop(key, None)
            if not look.found:
                buckets.count(key, self._now())

    def _judge(self, buckets: Buckets, key: str) -> None:
        wait = buckets.look(key, self._now()).wait
        if wait is not None:
            raise self._refusal(wait)

    def _refusal(self, wait: int) -> Fault:
        self.refused += 1
        return Fault("client", Reason.RATE_LIMITED, "too many unknown credentials of one address", wait)

    def _now(self) -> int:
        return int(self._monotonic() * MICROSECONDS)
