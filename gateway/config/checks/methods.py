"""Checks of request methods, for routes, policies and preflights alike."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.syntax.tokens import is_token

_TUNNELS = frozenset({"TRACE", "CONNECT"})


def check_methods(methods: tuple[str, ...] | None, at: Path) -> Iterator[Problem]:
    """Yield every problem of a list of request methods."""
    for index, method in enumerate(methods or ()):
        if not is_token(method) or method != method.upper():
            yield Problem((*at, index), "write a request method in upper case, such as GET")
        elif method in _TUNNELS:
            yield Problem((*at, index), "TRACE and CONNECT are always refused")
