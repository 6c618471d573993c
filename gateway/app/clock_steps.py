"""Steps of the wall clock, counted and told of."""

from collections.abc import Callable

from gateway.edge.clock import SteadyClock
from gateway.edge.telemetry.logs import Logs


class ClockSteps:
    """Returns how often the wall clock has stepped; 0 of a clock that cannot tell."""

    def __init__(self, clock: Callable[[], float], logs: Logs) -> None:
        self._clock = clock if isinstance(clock, SteadyClock) else None
        self._logs = logs
        self._told = self._clock.steps if self._clock is not None else 0

    def __call__(self) -> int:
        """Return the count, and tell of a step that was not told of yet."""
        clock = self._clock
        if clock is None:
            return 0
        if clock.steps != self._told:
            self._told = clock.steps
            ahead = round(clock.held_back, 1)
            self._logs.error(
                "the wall clock has stepped" if ahead else "the wall clock is followed", ahead=ahead
            )
        return clock.steps
