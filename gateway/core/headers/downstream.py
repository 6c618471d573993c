"""The head that a client gets of an upstream's response: forged cookies out, ours in (R54, R58, R59)."""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.core.headers.kinds import CACHE_CONTROL, DROP, PASS, READ, SET_COOKIE, SHARED_CACHE
from gateway.core.headers.lines import UNREAD, Line, LineTable
from gateway.syntax.tokens import split_quoted

SHARED_CACHES: Final = frozenset({b"surrogate-control", b"edge-control", b"x-accel-expires"})
"""What tells caches in between what they may keep, beside all that ends in ``cdn-cache-control``."""

_OF_CACHES: Final = SHARED_CACHES | {b"cache-control", b"expires", b"pragma"}


def sort_response(lines: list[bytes], table: LineTable) -> tuple[list[bytes], list[Line]]:
    """Sort the lines of a response: those that go on to the client, and those that say more.

    Raises:
        Malformed: one is no field line.
    """
    passed: list[bytes] = []
    read: list[Line] = []
    known, unread = table.known, UNREAD
    for line in lines:
        found = known.get(line, unread)
        if found is unread:
            found = table.learn(line)
        if found is None:
            passed.append(line)
            continue
        kind = found.kind
        if kind >= READ:
            passed.append(found.line)
            read.append(found)
        elif kind > DROP:
            # nobody but us sets our cookies (R54)
            if kind == SET_COOKIE and not found.found:
                passed.append(found.line)
            read.append(found)
        elif kind == PASS:
            passed.append(found.line)
    return passed, read


def with_cookies(lines: list[bytes], read: Iterable[Line], set_cookies: list[bytes]) -> list[bytes]:
    """Return a response's lines with cookies of ours added: no shared cache may keep it then (R59).

    Args:
        lines: what goes on of the response.
        read: those of its lines that are more than passed on.
        set_cookies: the values of Set-Cookie.
    """
    cache = [each for each in read if each.kind == CACHE_CONTROL]
    gone = {each.line for each in read if each.kind in (CACHE_CONTROL, SHARED_CACHE)}
    kept = [line for line in lines if line not in gone] if gone else list(lines)
    kept.append(b"Cache-Control: " + _private([each.value for each in cache]))
    kept.extend(b"Set-Cookie: " + each for each in set_cookies)
    return kept


class SetFields:
    """Fields that a route sets in its upstream's responses: each value replaces, None removes."""

    __slots__ = ("_lines", "_names", "_of_caches")

    def __init__(self, fields: Mapping[str, str | None]) -> None:
        self._names = frozenset(name.lower().encode() for name in fields)
        self._lines = [f"{name}: {value}".encode() for name, value in fields.items() if value is not None]
        self._of_caches = frozenset(filter(is_of_caches, self._names))

    def set_in(self, lines: list[bytes], *, is_private: bool) -> list[bytes]:
        """Return a response's lines with these fields set.

        ``is_private``: cookies of ours ride on it, and what caches may keep of it is not the route's to say
        (R59).
        """
        names = self._names - self._of_caches if is_private else self._names
        kept = [line for line in lines if _name_of(line) not in names]
        kept.extend(line for line in self._lines if _name_of(line) in names)
        return kept


def is_of_caches(name: bytes) -> bool:
    """Tell whether a field, by its lower-case name, tells caches what they may keep."""
    return name in _OF_CACHES or name.endswith(b"cdn-cache-control")


def _name_of(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _private(values: list[bytes]) -> bytes:
    """Return Cache-Control for a response that no shared cache may keep (RFC 9111 section 5.2.2)."""
    directives = split_quoted(b",".join(values).decode("latin-1"), ",")
    if directives is None:
        return b"no-store"
    kept: list[str] = []
    for directive in directives:
        name = directive.partition("=")[0].strip().lower()
        # a qualified private="field" lets shared caches keep the rest
        if name not in ("public", "s-maxage", "private"):
            kept.append(directive)
    if not any(directive.lower() == "no-store" for directive in kept):
        kept.insert(0, "private")
    return ", ".join(kept).encode("latin-1")
