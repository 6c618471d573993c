"""Which server is next: the least busy one, or each in its turn; by weight in both cases."""

from collections.abc import Iterable

from gateway.http.roles import Server


def interleave(weights: Iterable[int]) -> list[int]:
    """Return indices, each as often as its weight says, spread as evenly as that can be."""
    places = [
        ((turn + 0.5) / weight, index) for index, weight in enumerate(weights) for turn in range(weight)
    ]
    return [index for _, index in sorted(places)]


class Balance:
    """Chooses among the servers that are in rotation.

    Args:
        in_turn: each server in its turn, however busy it is; else the least busy in relation to its weight,
            and in turn among equals.
    """

    __slots__ = ("_cycle", "_in_turn", "_origins", "_turn")

    def __init__(self, *, in_turn: bool) -> None:
        self._in_turn = in_turn
        self._origins: list[Server] = []
        self._cycle: list[Server] = []
        self._turn = 0

    def rotate(self, origins: list[Server]) -> None:
        """Go on with these servers."""
        if origins != self._origins:
            self._origins = origins
            self._cycle = [origins[index] for index in interleave(each.weight for each in origins)]

    @property
    def is_empty(self) -> bool:
        """Whether no server is in rotation."""
        return not self._origins

    def pick(self) -> Server | None:
        """Return the next server, None where there is none."""
        cycle = self._cycle
        if not cycle:
            return None
        turn = self._turn + 1
        if turn >= len(cycle):
            turn = 0
        self._turn = turn
        best = cycle[turn]
        if self._in_turn or not best.busy:
            return best
        for each in self._origins:
            if each.busy * best.weight < best.busy * each.weight:
                best = each
        return best
