"""When a provider's token endpoint may be asked again: back-off with jitter, and what the provider wants."""

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_WAIT = 60.0
"""Seconds for which a provider's Retry-After is obeyed."""

_FIRST = 0.25
_MOST_BACKOFF = 10.0
_MOST_KEPT = 10_000


@dataclass(slots=True)
class _Pause:
    failures: int
    since: float
    until: float


class Pauses:
    """Pauses by name, such as a refresh token's digest. All times are epoch seconds of ``clock``.

    Failures of calls that were under way together count as one. A clock that was set back ends a pause.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pauses: OrderedDict[str, _Pause] = OrderedDict()

    def left(self, name: str) -> float:
        """Return for how many seconds more nobody should ask."""
        pause, now = self._pauses.get(name), self._clock()
        return 0.0 if pause is None or now < pause.since else max(0.0, pause.until - now)

    def failed(self, name: str, asked_at: float, wanted: float | None) -> None:
        """Take note of a failure.

        Args:
            name: of the pause.
            asked_at: when the call began.
            wanted: the provider's Retry-After in seconds, None where it sent none.
        """
        now, before = self._clock(), self._pauses.get(name)
        failures = 1 if before is None else before.failures + (asked_at >= before.since)
        # what was told to many at once is not done by all of them at once
        backoff = min(_FIRST * 2.0 ** min(failures - 1, 16), _MOST_BACKOFF) * random.uniform(1, 2)  # noqa: S311
        until = now + max(backoff, min(wanted or 0.0, MOST_WAIT))
        if before is not None and now >= before.since:
            until = max(until, before.until)
        self._pauses[name] = _Pause(failures, now, until)
        self._pauses.move_to_end(name)
        while len(self._pauses) > _MOST_KEPT:
            self._pauses.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget the failures."""
        self._pauses.pop(name, None)
