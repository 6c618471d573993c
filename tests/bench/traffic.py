"""The traffic of the visits' rows: drawn once for a round, written to a file, the same for every peer."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import player, visits
from tests.bench.visits import Crowd, Script
from tests.bench.wrk import CONNECTIONS

# more than any proxy does on one core; a round ends early where it was not enough
MOST_PER_SECOND = 40_000.0
LEAST = 4_000
# what is done before the first round: every person is seen once, then there are visits
_WARM_UP = 0.5
_ROLL_SECONDS = 60.0

Draw = Callable[[Crowd, int, int], list[Script]]


def pooled(crowd: Crowd, amount: int, seed: int) -> list[Script]:
    """Return visits through a proxy, on as many connections as are played at a time."""
    return visits.pooled(crowd, amount, seed, connections=CONNECTIONS)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What visits a contender of a row has.

    ``row`` decides with the round's number what is drawn: contenders of one row have the same visits, also
    where ``name`` tells their traffic apart, and no two rows have the same. ``crowd`` is asked for once a
    round.
    """

    row: str
    name: str
    crowd: Callable[[], Crowd]
    draw: Draw = visits.direct
    most_per_second: float = MOST_PER_SECOND

    def file(self, folder: Path, number: int, seconds: float) -> Path:
        """Return the file of a round, written when first asked for; those of earlier rounds are gone."""
        return self._file(
            folder,
            number,
            lambda crowd, seed: self.draw(crowd, max(LEAST, int(seconds * self.most_per_second)), seed),
        )

    def warm_up(self, folder: Path) -> list[tuple[Path, float]]:
        """Return the files of the warm-up, and for how many seconds each is played at most."""
        roll = self._file(folder, -2, lambda crowd, seed: visits.roll(crowd, CONNECTIONS, seed))
        return [(roll, _ROLL_SECONDS), (self.file(folder, -1, _WARM_UP), _WARM_UP)]

    def _file(self, folder: Path, number: int, draw: Callable[[Crowd, int], list[Script]]) -> Path:
        beginning = f"{self.row}-{self.name}-"
        file = folder / f"{beginning}{number}.bin"
        if not file.exists():
            for other in folder.glob(f"{beginning}*"):
                # the files of the warm-up belong together
                if number >= 0 or not other.name.startswith(f"{beginning}-"):
                    other.unlink()
            player.save(file, draw(self.crowd(), zlib.crc32(f"{self.row} {number}".encode())))
        return file
