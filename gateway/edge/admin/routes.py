"""The routes of the admin listener: what answers a path and a method, and who may ask it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.config.settings.admin import Role
from gateway.edge.admin.http import Ask, Reply
from gateway.edge.admin.operators import Operator


@dataclass(frozen=True, slots=True)
class Open:
    """Answers everybody who reaches the listener.

    ``judges_origin``: it looks at Origin itself, where a change that carries one is refused elsewhere.
    """

    answer: Callable[[Ask], Awaitable[Reply]]
    judges_origin: bool = False


@dataclass(frozen=True, slots=True)
class Guarded:
    """Answers operators who hold a token of this role, or of one that may more."""

    role: Role
    answer: Callable[[Ask, Operator], Awaitable[Reply]]


Route: TypeAlias = Open | Guarded
Routes: TypeAlias = Mapping[str, Mapping[str, Route]]
"""Routes by path, such as ``/sessions/{id}``, and by method; only the last segment may be in braces."""


class RouteTable:
    """Finds the route of a path.

    Args:
        routes: every one.
    """

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self._by_segments = {_segments(path): path for path in routes}

    def find(self, path: Sequence[str]) -> str | None:
        """Return the path of ``routes`` that decoded segments are of."""
        found = self._by_segments.get(tuple(path))
        if found is None and path[-1]:
            found = self._by_segments.get((*path[:-1], None))
        return found


def _segments(path: str) -> tuple[str | None, ...]:
    *first, last = path.split("/")[1:]
    return (*first, None if last.startswith("{") else last)


def allowed(methods: Mapping[str, Route]) -> str:
    """Return the value of Allow (RFC 9110 section 10.2.1)."""
    return ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else set(methods)))
