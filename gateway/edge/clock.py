"""The one clock of a process: the wall's time, and none of its steps before they have lasted.

Somebody sets the clock by hours, or a time server errs for seconds: whatever is judged by it meanwhile (what
has expired, what may be forgotten) would be judged wrongly, and what is forgotten does not come back. So time
passes by CLOCK_BOOTTIME, which nobody sets and which counts a machine's sleep. Small differences to the wall
are followed at once; a larger one, and small ones that soon add up to it, count once that has lasted (R67).
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

LARGEST: Final = 2.0
"""Seconds by which the wall may have gone astray within ``LASTING`` and still be followed at once."""
LASTING: Final = 10.0
"""Seconds after which a larger difference counts."""

LOOKS: Final = 0.01
"""Seconds between two looks at the wall: each request asks for the time."""

_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


since_boot: Final[Callable[[], float]] = partial(time.clock_gettime, _SINCE_BOOT)
"""Return seconds of a clock that never goes back, the machine's sleep included."""


class SteadyClock:
    """Seconds since the epoch.

    Args:
        wall: the wall clock, in seconds since the epoch.
        elapsed: seconds of a clock that is never set.

    Attributes:
        steps: counts the steps of the wall that were seen, that went away again, or that came to count:
            whatever was learned by the clock is then to be learned anew.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = since_boot
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._offset = wall() - elapsed()
        # from where small differences add up, and since when
        self._origin = self._offset, elapsed()
        self._due = 0.0
        self._stepped: tuple[float, float] | None = None
        self.steps = 0

    def __call__(self) -> float:
        """Return the time."""
        elapsed = self._elapsed()
        if elapsed < self._due:
            return elapsed + self._offset
        self._due = elapsed + LOOKS
        offset = self._wall() - elapsed
        if -LARGEST <= offset - self._origin[0] <= LARGEST:
            self._offset = offset
            if elapsed - self._origin[1] >= LASTING:
                self._origin = offset, elapsed
            if self._stepped is not None:
                self._stepped = None
                self.steps += 1
        else:
            self._judge(offset, elapsed)
        return elapsed + self._offset

    @property
    def held_back(self) -> float:
        """Seconds by which the wall is ahead of this clock, 0 where it is followed."""
        return 0.0 if self._stepped is None else self._stepped[0] - self._offset

    def _judge(self, offset: float, elapsed: float) -> None:
        stepped = self._stepped
        if stepped is None or abs(offset - stepped[0]) > LARGEST:
            self._stepped = offset, elapsed
            self.steps += 1
        elif elapsed - stepped[1] >= LASTING:
            self._offset, self._stepped, self._origin = offset, None, (offset, elapsed)
            self.steps += 1


CLOCK: Final = SteadyClock()
"""The clock of this process."""
