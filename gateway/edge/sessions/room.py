"""Room in the store for what anybody may ask to be kept: so much of it at a time, and of each a share."""

from collections import Counter, deque
from collections.abc import Callable


class Room:
    """Counts what one process keeps in the store until it expires there.

    Args:
        clock: wall time in seconds since the epoch.
        most: bytes at a time.
        share: bytes of one who asks.
    """

    def __init__(self, clock: Callable[[], float], most: int, share: int) -> None:
        self._clock = clock
        self._most = most
        self._share = share
        self._kept: deque[tuple[float, str, int]] = deque()
        self._shares: Counter[str] = Counter()
        self._bytes = 0

    def take(self, who: str, size: int, lifetime: float) -> bool:
        """Take so many bytes for so many seconds; False where there is no room."""
        self._expire()
        if self._bytes + size > self._most or self._shares[who] + size > self._share:
            return False
        self._kept.append((self._clock() + lifetime, who, size))
        self._shares[who] += size
        self._bytes += size
        return True

    def _expire(self) -> None:
        now = self._clock()
        while self._kept and self._kept[0][0] <= now:
            _, who, size = self._kept.popleft()
            self._bytes -= size
            self._shares[who] -= size
            if not self._shares[who]:
                del self._shares[who]
