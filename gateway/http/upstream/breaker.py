"""A circuit breaker: a server that fails is left alone, and tried again one request at a time.

Two things are told apart. Whoever asks has no part in it that a server cannot be reached; a request that a
server takes and does not answer may be that request's own fault: one path that crashes the application, one
report that is too slow. So the first opens the breaker of any server, the second only where others stand in,
where it is no rare case among that server's answers, and where no single client is the cause (R76).
"""

from collections import deque
from typing import Final

SECONDS: Final = 10
"""How far back failures count."""

LEAST: Final = 20
"""Fewer answers, failures among them, say nothing."""

_MOST_ADDRESSES: Final = 64


class Breaker:
    """Opens after ``limit`` failures to connect in a row, or when it is told to; never where the limit is 0.

    While it is open, one request may try every ``delay`` seconds (half-open), and if that succeeds it closes.
    A try that nobody ever hears of again blocks nothing: the next follows it.

    Attributes:
        limit: how many failures in a row open it; 0: never.
        failures: to connect, in a row, up to now.
        is_open: whether the server is left alone.
        by_answers: whether it is open for what the server answered, or did not, once it was reached.
        is_tried: whether a request tries at the moment.
        retry_at: when the next request may try (seconds, the caller's clock).
    """

    __slots__ = ("_delay", "by_answers", "failures", "is_open", "is_tried", "limit", "retry_at")

    def __init__(self, limit: int, delay: float) -> None:
        self.limit = limit
        self._delay = delay
        self.failures = 0
        self.is_open = False
        self.by_answers = False
        self.is_tried = False
        self.retry_at = 0.0

    def unreachable(self, now: float) -> None:
        """Count a failure to connect; the last of a row opens it."""
        self.failures += 1
        if self.limit and self.failures >= self.limit:
            self.open(now, by_answers=False)
        elif self.is_open:
            self.open(now, by_answers=self.by_answers)

    def open(self, now: float, *, by_answers: bool) -> None:
        """Leave the server alone from now on."""
        self.is_open = True
        self.by_answers = by_answers
        self.is_tried = False
        self.retry_at = now + self._delay

    def close(self) -> None:
        """The server is well: the row of failures has ended."""
        self.failures = 0
        self.is_open = False
        self.by_answers = False
        self.is_tried = False

    def is_due(self, now: float) -> bool:
        """Tell whether a request may try a server that is left alone."""
        return self.is_open and now >= self.retry_at

    def hold(self, now: float) -> None:
        """Let nobody else try for a while: one request is on its way."""
        self.is_tried = True
        self.retry_at = now + self._delay


class Lately:
    """How often a server was reached and did not answer within the last ten seconds, and whom.

    How often it answered is counted elsewhere, by one number that only grows; this is told it now and then.
    """

    __slots__ = ("_answers", "_failures")

    def __init__(self) -> None:
        self._answers: deque[tuple[float, int]] = deque([(0.0, 0)])
        self._failures: deque[tuple[int, dict[str, int]]] = deque()

    def note_answers(self, now: float, answers: int) -> None:
        """Note how many answers there were up to ``now`` (seconds); a few times a second."""
        noted = self._answers
        if now >= noted[-1][0] + 1:
            noted.append((now, answers))
        while len(noted) > 1 and noted[1][0] <= now - SECONDS:
            noted.popleft()

    def note_failure(self, now: float, address: str) -> None:
        """Note a failure at ``now`` (seconds), and which client met it."""
        second = int(now)
        if not self._failures or self._failures[-1][0] != second:
            self._failures.append((second, {}))
            while self._failures[0][0] < second - SECONDS:
                self._failures.popleft()
        found = self._failures[-1][1]
        if address not in found and len(found) >= _MOST_ADDRESSES:
            # told apart no more: together they count as one
            address = ""
        found[address] = found.get(address, 0) + 1

    def is_failing(self, answers: int) -> bool:
        """Tell whether half or more failed, of at least 20; no client counts for more than all others.

        Args:
            answers: how many there were up to now.
        """
        met: dict[str, int] = {}
        for _, found in self._failures:
            for address, count in found.items():
                met[address] = met.get(address, 0) + count
        failures, most = sum(met.values()), max(met.values(), default=0)
        counted = failures - max(0, most - (failures - most))
        total = counted + answers - self._answers[0][1]
        return total >= LEAST and 2 * counted >= total

    def forget(self) -> None:
        """Begin anew."""
        self._failures.clear()
