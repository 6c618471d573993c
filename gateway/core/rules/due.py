"""Names by when they are to be looked at: near ones by the second, far ones by a few minutes.

A heap holds a tuple for each name, and a name again for each time that its moment moves. Here a name costs
one place in a list, and stays where it is: whoever takes it too early gives it back.
"""

import heapq
from typing import Final

_WIDTH: Final = 256
_LATEST: Final = float(1 << 53)


class Due:
    """Names that are due some time. Times are epoch seconds; infinity is later than any."""

    __slots__ = ("_buckets", "_fine_until", "_starts")

    def __init__(self) -> None:
        self._buckets: dict[int, list[bytes]] = {}
        # a heap: the second at which each bucket begins
        self._starts: list[int] = []
        self._fine_until = 0

    def add(self, at: float, name: bytes) -> None:
        """Let a name be due at a time, or a little earlier."""
        start = _second(at)
        if start >= self._fine_until:
            start -= start % _WIDTH
        bucket = self._buckets.get(start)
        if bucket is None:
            self._buckets[start] = [name]
            heapq.heappush(self._starts, start)
        else:
            bucket.append(name)

    def take(self, now: float) -> list[bytes]:
        """Return every name that may be due by now, and forget it; ``add`` gives back what is not."""
        second, names = _second(now), list[bytes]()
        while self._starts and self._starts[0] <= second:
            names += self._buckets.pop(heapq.heappop(self._starts))
        # what is given back goes where it will not be met again before its second
        self._fine_until = second - second % _WIDTH + _WIDTH
        return names


def _second(time: float) -> int:
    return int(min(max(time, 0.0), _LATEST))
