"""Who makes room when a listener is nearly full: who has most of it, with what is not used (R78)."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Protocol, TypeVar

from gateway.http.downstream.admission import Admission

_FEW = 10


class Place(Protocol):
    """A connection: what tells whether its place is needed more by others."""

    peer: str
    since: float

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent on it."""

    @property
    def idle(self) -> bool:
        """Whether no request is open or arriving."""

    @property
    def unused(self) -> bool:
        """Whether no request is open: idle, or more of one is arriving."""


AnyPlace = TypeVar("AnyPlace", bound=Place)


def enough_of(most: int) -> int:
    """Return how many of so many connections may be open before somebody has to make room: four fifths.

    A handful is no crowd: there a fifth is nobody, or the next one, and whoever is too many is told so.
    """
    return most * 4 // 5 if most >= _FEW else most + 1


def spare(connections: Iterable[AnyPlace], admission: Admission, most: int) -> list[AnyPlace]:
    """Return the unused connections to be closed so that at most ``most`` stay, if there are as many.

    The address with most connections loses its longest idle one, then again whoever has most; where it has
    none, one on which the next request has not arrived whole, or the last one is still arriving though it was
    answered. Nobody loses the only one.
    """
    counts: dict[str, int] = {}
    idle: dict[str, list[AnyPlace]] = {}
    for each in connections:
        if each.is_over:
            continue
        name = admission.name_of(each.peer)
        counts[name] = counts.get(name, 0) + 1
        # a proxy's requests are many people's, and it sends them whole
        if each.idle or (each.unused and not admission.is_exempt(each.peer)):
            idle.setdefault(name, []).append(each)
    for found in idle.values():
        found.sort(key=lambda each: (each.idle, -each.since))
    heap = [(-counts[name], name) for name in idle]
    heapify(heap)
    chosen: list[AnyPlace] = []
    beyond = sum(counts.values()) - most
    while heap and len(chosen) < beyond:
        count, name = heappop(heap)
        if count >= -1:
            break
        chosen.append(idle[name].pop())
        if idle[name]:
            heappush(heap, (count + 1, name))
    return chosen
