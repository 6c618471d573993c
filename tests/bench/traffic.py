"""The traffic of the visits' rows: drawn once for a round, written to a file, the same for every peer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import player, visits
from tests.bench.people import people
from tests.bench.visits import Credential, Crowd, Script
from tests.bench.website import site
from tests.bench.wrk import CONNECTIONS

PEOPLE = 400
# more than any proxy does on one core; a round ends early where it was not enough
_MOST_PER_SECOND = 40_000
_LEAST = 4_000
DIRECT, POOLED, SINGLE = "direct", "pooled", "single"
_WAYS: dict[str, Callable[[Crowd, int, int], list[Script]]] = {
    DIRECT: visits.direct,
    POOLED: lambda crowd, amount, seed: visits.pooled(crowd, amount, seed, connections=CONNECTIONS),
    SINGLE: visits.single,
}


@dataclass(frozen=True, slots=True)
class Traffic:
    """What visits a row has: ``way`` is how they come, ``name`` tells rows apart, ``count`` is of people.

    ``credentials`` returns how each of the first people is known.
    """

    name: str
    way: str
    credentials: Callable[[int], Sequence[Credential]]
    count: int = PEOPLE

    def crowd(self) -> Crowd:
        """Return who visits what."""
        is_proxied = self.way == POOLED
        return Crowd(
            people(self.count),
            self.credentials(self.count),
            site(),
            "https" if is_proxied else "http",
            is_proxied,
        )

    def file(self, folder: Path, number: int, seconds: float) -> Path:
        """Return the file of a round, written when first asked for; those of other rounds are gone."""
        file = folder / f"visits-{self.name}-{number}.bin"
        if not file.exists():
            for other in folder.glob(f"visits-{self.name}-*"):
                other.unlink()
            amount = max(_LEAST, int(seconds * _MOST_PER_SECOND))
            # a seed's sign counts for nothing, and the warm-up has a number below zero
            player.save(file, _WAYS[self.way](self.crowd(), amount, 1000 + number))
        return file
