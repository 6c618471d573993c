"""Where plain paths lead, by their first segment: a fact of the configuration, looked up for every request.

It is known only of directories below which one route has everything, in the exact and in the laxest reading,
and nothing is our own. A path that could be read in two ways is never looked up here, so that what it would
mean is judged each time (R56).
"""

from typing import Final

from gateway.core.headers.request import Request
from gateway.core.memo import Generations
from gateway.core.rules.routes import Route, RouteTable
from gateway.syntax.targets import Target, loose_reading

_LONGEST: Final = 64
MOST: Final = 4096
"""How many places are remembered."""


class Places:
    """The routes of directories.

    Args:
        routes: the route table.
        prefix: what the paths of our own endpoints begin with.
        most: how many are remembered.
    """

    __slots__ = ("_known", "_loose_prefix", "_prefix", "_routes")

    def __init__(self, routes: RouteTable, prefix: bytes, most: int = MOST) -> None:
        self._routes = routes
        self._prefix = prefix
        self._loose_prefix = loose_reading(prefix)
        self._known: Generations[tuple[bytes, bytes, bytes], Route] = Generations(most)

    def find(self, host: bytes, request: Request) -> Route | None:
        """Return the route of a plain target where its first segment tells it, and is known; else None."""
        plain = request.plain
        if plain is None:
            return None
        key = (host, request.method, plain[1])
        return self._known.young.get(key) or self._known.get(key)

    def learn(self, host: bytes, target: Target, method: bytes, route: Route) -> None:
        """Remember that a directory's paths lead to a route, where all of them do."""
        end = target.path.find(b"/", 1) + 1
        first = target.path[:end]
        if not 2 < end <= _LONGEST or b"%" in target.path or b";" in target.path or len(host) > 261:
            return
        if self._routes.by_method or method in _JUDGED or route.raw_path:
            return
        if first.startswith(self._prefix) or loose_reading(first).startswith(self._loose_prefix):
            return
        if self._prefix.startswith(first) or self._loose_prefix.startswith(loose_reading(first)):
            return
        if self._routes.of_all_below(host, first, method) is route:
            self._known.put((host, method, first), route)


# what is judged by more than its path before anybody is asked who it is
_JUDGED: Final = frozenset({b"OPTIONS", b"TRACE", b"CONNECT"})
