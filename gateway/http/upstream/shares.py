"""How much of an upstream one address may hold where there is not enough for everybody (R78).

Who asks for much and reads slowly holds a connection for as long as that takes. Many of them, from one
machine, would hold them all, and everybody else would wait for nothing. So once half of an upstream's
connections are used, one address holds at most a quarter of them, and waits for more.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from gateway.http.roles import Member, Sharing, Waiting

AnyMember = TypeVar("AnyMember", bound=Member)

LEAST_CAPACITY: Final = 4
"""Fewer connections have no quarters."""


def share_of(capacity: int) -> int:
    """Return how many of so many places one address may have where they are scarce."""
    return capacity // 4 if capacity >= LEAST_CAPACITY else capacity


class Tally(Generic[AnyMember]):
    """Who holds something, and how many each address does. One that is not known holds nothing."""

    __slots__ = ("_counts", "_names")

    def __init__(self) -> None:
        self._names: dict[AnyMember, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[AnyMember]:
        return iter(self._names)

    def __contains__(self, exchange: object) -> bool:
        return exchange in self._names

    def enter(self, exchange: AnyMember) -> None:
        """Count an exchange, once."""
        if exchange not in self._names:
            name = self._names[exchange] = exchange.address
            self._counts[name] = self._counts.get(name, 0) + 1

    def leave(self, exchange: AnyMember) -> bool:
        """Count it no more; tell whether it was counted."""
        name = self._names.pop(exchange, None)
        if name is None:
            return False
        count = self._counts[name] - 1
        if count:
            self._counts[name] = count
        else:
            del self._counts[name]
        return True

    def has(self, name: str) -> int:
        """Return how many an address has; 0 for those who are not to be told apart."""
        return self._counts.get(name, 0) if name else 0

    def name_of(self, exchange: AnyMember) -> str:
        """Return the address of one that is counted."""
        return self._names[exchange]

    def clear(self) -> None:
        """Count nobody."""
        self._names.clear()
        self._counts.clear()


class Shares(Sharing):
    """Who holds the connections of an upstream; counted only while they are scarce.

    Attributes:
        is_counting: whether they are.
    """

    __slots__ = ("_tally",)

    def __init__(self) -> None:
        self.is_counting = False
        self._tally: Tally[Member] = Tally()

    @property
    def is_empty(self) -> bool:
        """Whether nobody holds anything."""
        return not len(self._tally)

    def begin(self, exchanges: Iterable[Member]) -> None:
        """Count from now on; these hold a connection already, or one is being opened for them."""
        self.is_counting = True
        for exchange in exchanges:
            self._tally.enter(exchange)

    def end(self) -> None:
        """There are enough again."""
        self.is_counting = False
        self._tally.clear()

    def enter(self, exchange: Member) -> None:
        """It holds a connection, or will in a moment."""
        self._tally.enter(exchange)

    def leave(self, exchange: Member) -> bool:
        """It has ended; tell whether it held one."""
        return self._tally.leave(exchange)

    def may_have(self, address: str, capacity: int) -> bool:
        """Tell whether an address may have one more of so many connections."""
        return self._tally.has(address) < share_of(capacity)


class Queue:
    """Those who wait for a connection, in order; once it is half full, a quarter of it is for one address.

    Args:
        most: how many may wait.

    Attributes:
        entries: since when each has waited (seconds).
    """

    __slots__ = ("_most", "_tally", "entries")

    def __init__(self, most: int) -> None:
        self._most = most
        self.entries: dict[Waiting, float] = {}
        self._tally: Tally[Waiting] = Tally()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self.entries)

    def __contains__(self, exchange: object) -> bool:
        return exchange in self.entries

    def enter(self, exchange: Waiting, now: float) -> bool:
        """Take one in (``now`` in seconds); False where there is no place for it."""
        waiting, most = len(self.entries), self._most
        if waiting >= most or (2 * waiting >= most and self._tally.has(exchange.address) >= share_of(most)):
            return False
        self.entries[exchange] = now
        self._tally.enter(exchange)
        return True

    def leave(self, exchange: Waiting) -> bool:
        """It waits no more; tell whether it did."""
        self.entries.pop(exchange, None)
        return self._tally.leave(exchange)

    def address_of(self, exchange: Waiting) -> str:
        """Return the address of one that waits."""
        return self._tally.name_of(exchange)

    def expired(self, now: float, longest: float) -> list[Waiting]:
        """Return those who have waited for longer than so many seconds."""
        found = []
        for exchange, since in self.entries.items():
            if now - since <= longest:
                break
            found.append(exchange)
        return found
