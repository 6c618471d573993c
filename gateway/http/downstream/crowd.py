"""Who is connected, and who makes room when a listener is nearly full.

That is who has most of it, with what is not used (R78).
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

from gateway.http.downstream.admission import Admission
from gateway.http.ports import Limits

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

    def make_room(self) -> None:
        """Close what is unused."""


class Comer(Protocol):
    """A client that has not got as far as HTTP."""

    peer: str
    awaits_header: bool


class Bounded(Protocol):
    """Who has limits, which may change."""

    limits: Limits


AnyPlace = TypeVar("AnyPlace", bound=Place)
AnyComer = TypeVar("AnyComer", bound=Comer)


class Crowd(Generic[AnyPlace, AnyComer]):
    """The connections of a listener, and the handshakes that may become such.

    Args:
        listener: whose they are.
        admission: counts them by address.
        emptied: is told when the last connection has gone.

    Attributes:
        connections: all of them.
        handshakes: clients that have not got as far as HTTP.
    """

    def __init__(self, listener: Bounded, admission: Admission, emptied: Callable[[], None]) -> None:
        self.connections: set[AnyPlace] = set()
        self.handshakes: set[AnyComer] = set()
        self._listener = listener
        self._admission = admission
        self._emptied = emptied
        self._admitted = 0
        # they are closed, though they have not told of it yet
        self._closing: set[AnyPlace] = set()

    def admit(self, connection: AnyPlace) -> int:
        """Take a connection in; return by how many it is beyond the limit, 0 if it is welcome."""
        self._make_room()
        self.connections.add(connection)
        limits = self._listener.limits
        beyond = self._admission.enter(connection.peer, limits.connections_per_address)
        return max(beyond, self._open - limits.connections)

    def forget(self, connection: AnyPlace) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self._closing.discard(connection)
        self._admission.leave(connection.peer)
        if not self.connections:
            self._emptied()

    def admit_handshake(self, handshake: AnyComer) -> bool:
        """Take a handshake in, unless it would be beyond a limit."""
        self._make_room()
        limits = self._listener.limits
        if self._open + len(self.handshakes) >= limits.connections:
            return False
        # behind a proxy are many clients, each of whom is counted once it is known which one it is
        most = 0 if handshake.awaits_header else limits.connections_per_address
        if self._admission.enter(handshake.peer, most):
            self._admission.leave(handshake.peer)
            return False
        self.handshakes.add(handshake)
        return True

    def forget_handshake(self, handshake: AnyComer) -> None:
        """A handshake has ended, one way or the other."""
        if handshake in self.handshakes:
            self.handshakes.discard(handshake)
            self._admission.leave(handshake.peer)

    @property
    def _open(self) -> int:
        return len(self.connections) - len(self._closing)

    def _make_room(self) -> None:
        """Where the listener is nearly full, close what those do not use who have most of it."""
        most = self._listener.limits.connections
        enough = enough_of(most)
        if self._open < enough:
            return
        self._admitted += 1
        # each look is at all of them, and makes room for more than one
        if self._admitted >= most // 100:
            self._admitted = 0
            for each in spare(self.connections, self._admission, enough - most // 100 - 1):
                self._closing.add(each)
                each.make_room()


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
