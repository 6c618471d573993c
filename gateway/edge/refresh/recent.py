"""How refreshes ended lately."""

from collections import OrderedDict
from collections.abc import Callable

from gateway.core.sessions.model import RefreshOutcome

MOST_OUTCOMES = 20_000


class RecentOutcomes:
    """Outcomes by rotation id, each for a while. ``clock`` is wall time in epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._outcomes: OrderedDict[str, tuple[float, RefreshOutcome]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._outcomes)

    def get(self, rotation_id: str) -> RefreshOutcome | None:
        """Return how a refresh ended lately. Older ones are the store's to know."""
        entry = self._outcomes.get(rotation_id)
        if entry is None:
            return None
        if self._clock() >= entry[0]:
            del self._outcomes[rotation_id]
            return None
        return entry[1]

    def remember(self, rotation_id: str, outcome: RefreshOutcome, seconds: float) -> None:
        """Keep one for so many seconds."""
        now, known = self._clock(), self._outcomes
        known[rotation_id] = now + seconds, outcome
        known.move_to_end(rotation_id)
        # most are never asked for again, and would stay until there are too many
        while known and (len(known) > MOST_OUTCOMES or next(iter(known.values()))[0] <= now):
            known.popitem(last=False)
