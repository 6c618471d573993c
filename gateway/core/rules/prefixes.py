"""Routes by path: the longest prefix that has any, or a path as a whole."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Placed(Protocol):
    """What is at a path, for some methods or for all: for it and what is below, or for ``exact`` alone."""

    @property
    def path(self) -> bytes:
        """The prefix, without a trailing slash."""

    @property
    def exact(self) -> bytes | None:
        """The very path that it is for alone, None where it is for a prefix."""

    @property
    def methods(self) -> frozenset[bytes] | None:
        """The methods that it is for, None for all."""


Held = TypeVar("Held", bound=Placed)


@dataclass(frozen=True, slots=True)
class Prefixes(Generic[Held]):
    """The routes of one host by path, each list in the order of preference.

    ``any_method`` is the first of those lists that have no route for certain methods alone. ``whole`` are the
    routes that cover nothing below their path, by all of it.
    """

    routes: dict[bytes, list[Held]]
    any_method: dict[bytes, Held]
    longest: int
    whole: dict[bytes, list[Held]]

    def first(self, path: bytes, method: bytes) -> Held | None:
        """Return the route that is preferred at the longest prefix that has any for this method."""
        end = self._end(path)
        found = self.any_method.get(path[:end])
        if found is not None:
            return found
        fitting = self.at_longest(path, method)
        return fitting[0] if fitting else None

    def at_longest(self, path: bytes, method: bytes) -> list[Held]:
        """Return the routes for this method at the longest prefix that has any."""
        end = self._end(path)
        while end >= 0:
            routes = self.routes.get(path[:end])
            if routes is not None:
                fitting = for_method(routes, method)
                if fitting:
                    return fitting
            if end == 0:
                break
            end = path.rfind(b"/", 0, end)
        return []

    def at_whole(self, path: bytes, method: bytes) -> list[Held]:
        """Return the routes for this method that cover this path alone."""
        return for_method(self.whole.get(path, ()), method)

    def _end(self, path: bytes) -> int:
        end = len(path)
        # nothing longer is a key: however long a path, the work is bounded by the configuration
        return end if end <= self.longest else path.rfind(b"/", 0, self.longest + 1)


def for_method(routes: Iterable[Held], method: bytes) -> list[Held]:
    """Return those that are for a method."""
    return [each for each in routes if each.methods is None or method in each.methods]


def prefixes_of(
    routes: Iterable[Held],
    reading: Callable[[bytes], bytes],
    whole_reading: Callable[[bytes], bytes] | None = None,
) -> Prefixes[Held]:
    """Return routes, in the order of preference, by their paths in a reading."""
    table: dict[bytes, list[Held]] = {}
    whole: dict[bytes, list[Held]] = {}
    for route in routes:
        if route.exact is None:
            table.setdefault(reading(route.path), []).append(route)
        else:
            whole.setdefault((whole_reading or reading)(route.exact), []).append(route)
    first = {path: found[0] for path, found in table.items() if all(each.methods is None for each in found)}
    return Prefixes(table, first, max(map(len, table), default=0), whole)
