"""What a provider publishes, kept: one fetch at a time, renewed ahead of need, old rather than nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.core.decision.needs import Keys
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.budgets import KeyBudgets
from gateway.edge.tasks import SingleFlight, stop

Value = TypeVar("Value")

_HERD_PAUSE = 1.0
_MOST_PAUSE = 60.0
_ONE = "the value"


class Cached(Generic[Value]):
    """One value that is fetched lazily by one task at a time, however many ask.

    A failure is not kept, but for a second nobody tries again in the foreground, so that a crowd makes one
    call. In the background the pause doubles with each failure, up to a minute. All times are epoch seconds
    of ``clock``; one that jumps back never blocks a fetch.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Value]],
        clock: Callable[[], float],
        *,
        renew_after: float,
        is_usable: Callable[[Value, float], bool],
    ) -> None:
        """Keep what ``fetch`` returns, which raises Fault.

        Args:
            fetch: asks the provider.
            clock: wall time.
            renew_after: seconds after which a value should be renewed.
            is_usable: tells for a value and a time whether it may still be handed out.
        """
        self._fetch = fetch
        self._clock = clock
        self._renew_after = renew_after
        self._is_usable = is_usable
        self._value: Value | None = None
        self._fetched_at = 0.0
        self._fault: Fault | None = None
        self._failed_at = 0.0
        self._failures = 0
        self._is_doubted = False
        self._fetches: SingleFlight[None] = SingleFlight("a fetch of what a provider publishes")

    @property
    def is_fetching(self) -> bool:
        """Whether a fetch is under way."""
        return bool(self._fetches)

    @property
    def age(self) -> float | None:
        """Seconds since the last good fetch, or None before the first."""
        return None if self._value is None else max(0.0, self._clock() - self._fetched_at)

    def peek(self) -> Value | None:
        """Return the value if it is usable now."""
        if self._value is None or not self._is_usable(self._value, self._clock()):
            return None
        return self._value

    def doubt(self) -> None:
        """Ask for a renewal at the next opportunity."""
        self._is_doubted = True

    async def get(self) -> Value:
        """Return a usable value, at once if there is one; it is renewed behind the caller's back.

        Raises:
            Fault: there is none and none can be fetched.
        """
        value = self.peek()
        if value is not None:
            if self.is_due():
                self._fetches.start(_ONE, self._run)
            return value
        if self._fault is not None and not self._fetches and self._has_failed_within(_HERD_PAUSE):
            raise self._fault.copy()
        return await self.renew()

    async def renew(self) -> Value:
        """Fetch now, or join the fetch that is under way; on failure an older usable value does.

        Raises:
            Fault: the fetch failed and there is no usable value.
        """
        await self._fetches.join(_ONE, self._run)
        value = self.peek()
        if value is not None:
            return value
        if self._fault is None:
            raise Fault("issuer", Reason.ISSUER_UNAVAILABLE, "what was fetched is too old to be used")
        raise self._fault.copy()

    def is_due(self) -> bool:
        """Tell whether the value should be renewed now, the pause after failures being over."""
        if self._fetches or self._value is None:
            return False
        if self._failures and self._has_failed_within(min(_HERD_PAUSE * 2**self._failures, _MOST_PAUSE)):
            return False
        return self._is_doubted or not 0 <= self._clock() - self._fetched_at < self._renew_after

    async def close(self) -> None:
        """Cancel the fetch that is under way."""
        await self._fetches.close()

    def _has_failed_within(self, seconds: float) -> bool:
        return 0 <= self._clock() - self._failed_at < seconds

    async def _run(self) -> None:
        asked_at = self._clock()
        try:
            self._value = await self._fetch()
        except Fault as fault:
            self._fault, self._failed_at = fault, self._clock()
            self._failures = min(self._failures + 1, 10)
        else:
            self._fetched_at, self._failures, self._fault, self._is_doubted = asked_at, 0, None, False


class KeyCache:
    """A provider's key set: stale rather than none up to a bound (R28), renewed within budgets (R84)."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[KeySet]],
        clock: Callable[[], float],
        *,
        renew_after: float,
        cooldown: float,
    ) -> None:
        """Keep the key set that ``fetch`` returns, which raises Fault.

        Args:
            fetch: asks the provider.
            clock: wall time in epoch seconds.
            renew_after: seconds after which keys are renewed in the background.
            cooldown: seconds between two fetches that one stranger's tokens cause.
        """
        self._cached = Cached(fetch, clock, renew_after=renew_after, is_usable=KeySet.is_usable)
        self._budgets = KeyBudgets(clock, cooldown)
        self._tick = min(max(renew_after / 10, 0.02), 5.0)
        self._keeper: asyncio.Task[None] | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the last good fetch, or None before the first."""
        return self._cached.age

    async def find(self, need: Keys) -> KeySet:
        """Return a usable key set, renewed first when it does not do for ``need`` and its budget allows.

        Raises:
            Fault: there is none, or it is older than its bound, and none can be fetched.
        """
        keys = self._cached.peek()
        if keys is None:
            keys = await self._cached.get()
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep())
            return keys
        if need.kid is None or (keys.has(need.kid) and not need.failed):
            return keys
        if self._cached.is_fetching:
            # what is on its way may have left before the new key was there; who may ask again then does
            keys = await self._cached.renew()
            if need.by is not None or keys.has(need.kid):
                return keys
        return await self._cached.renew() if self._budgets.allows(need) else keys

    async def close(self) -> None:
        """Stop renewing."""
        await stop(self._keeper)
        await self._cached.close()

    async def _keep(self) -> None:
        while True:
            # the wall clock may be set; short steps notice it
            await asyncio.sleep(self._tick)
            if self._cached.is_due():
                # a failure needs no answer here: it is counted, and the next step after the pause tries again
                await asyncio.gather(self._cached.renew(), return_exceptions=True)
