"""Regular expressions of oauth2-proxy that are a path or a prefix; any other is refused.

There an expression is searched for in the path, so one without ``^`` at its beginning matches anywhere, and
one without ``$`` at its end whatever follows. Here a route is for a path, or for a path and all below it:
what can be said so is read into its alternatives, and everything else cannot.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

_MOST: Final = 64
_SPECIAL: Final = frozenset("\\.[]{}()*+?|^$")

# a text, and what comes after it: more of the expression, the path's end, or anything
_Tail: TypeAlias = Literal["more", "end", "any"]
_Way: TypeAlias = tuple[str, _Tail]


class NoPrefix(ValueError):  # noqa: N818 - a verdict
    """The expression is no path and no prefix; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path alone (``exact``), or what begins with it.

    ``is_whole`` tells that what begins with it is below it as well: it ends with a slash, or is exact.
    """

    path: str
    exact: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether a prefix here is no less than it is there."""
        return self.exact or self.path.endswith("/")

    def covers(self, other: "Place") -> bool:
        """Tell whether this covers all of what another one, of a list of all there are, is for."""
        inner = other.path if other.exact or other.path.endswith("/") else f"{other.path}/"
        if self.exact:
            return other.exact and other.path == self.path
        below = self.path if self.path.endswith("/") else f"{self.path}/"
        return inner == self.path or inner.startswith(below)


def places_of(expression: str) -> list[Place]:
    """Return the paths and prefixes that an expression is. Raises NoPrefix."""
    if not expression.startswith("^"):
        raise NoPrefix("it is searched for anywhere in the path: begin it with ^")
    ways, rest = _choice(expression, 1, 0)
    if rest < len(expression):
        raise NoPrefix("it has a ) that closes no group")
    found: list[Place] = []
    for text, tail in ways:
        if tail == "end" and not text:
            # the empty path, which no request has
            continue
        if text and not text.startswith("/"):
            raise NoPrefix("paths begin with /")
        found.append(Place(text, exact=True) if tail == "end" else Place(text or "/"))
    return list(dict.fromkeys(found))


def _choice(text: str, at: int, depth: int) -> tuple[list[_Way], int]:
    if depth > 8:
        raise NoPrefix("it has too many groups within one another")
    found: list[_Way] = []
    while True:
        ways, at = _sequence(text, at, depth)
        found += ways
        if len(found) > _MOST:
            raise NoPrefix("it has too many alternatives")
        if text[at : at + 1] != "|":
            return found, at
        if depth == 0:
            raise NoPrefix("^ belongs to its first alternative alone: write ^(one|two)")
        at += 1


def _sequence(text: str, at: int, depth: int) -> tuple[list[_Way], int]:
    ways: list[_Way] = [("", "more")]
    while at < len(text) and text[at] not in "|)":
        part, at = _part(text, at, depth)
        part, at = _repeated(text, at, part)
        ways = _joined(ways, part)
    return ways, at


def _part(text: str, at: int, depth: int) -> tuple[list[_Way], int]:
    sign = text[at]
    if sign == "(":
        start = at + 3 if text.startswith("(?:", at) else at + 1
        if text.startswith("?", start):
            raise NoPrefix("it has flags, or groups that are none")
        ways, end = _choice(text, start, depth + 1)
        if text[end : end + 1] != ")":
            raise NoPrefix("it has a group that does not end")
        return ways, end + 1
    if sign == "$":
        return [("", "end")], at + 1
    if text.startswith(".*", at):
        return [("", "any")], at + 2
    if sign == "\\" and text[at + 1 : at + 2] and not text[at + 1].isalnum():
        return [(text[at + 1], "more")], at + 2
    if sign in _SPECIAL:
        raise NoPrefix(f"{sign} is of no path: there has to be a route for each")
    return [(sign, "more")], at + 1


def _repeated(text: str, at: int, part: list[_Way]) -> tuple[list[_Way], int]:
    sign = text[at : at + 1]
    if sign == "?" and part != [("", "any")]:
        return [*part, ("", "more")], at + 1
    if sign and sign in "*+{?":
        raise NoPrefix(f"{sign} is of no path: there has to be a route for each")
    return part, at


def _joined(ways: list[_Way], part: list[_Way]) -> list[_Way]:
    found: list[_Way] = []
    for text, tail in ways:
        for more, then in part:
            if tail == "more":
                found.append((text + more, then))
            elif more or (tail == "any" and then == "more" and len(part) > 1):
                raise NoPrefix("something follows on .* or $")
            else:
                # what may be anything may end as well
                found.append((text, tail))
    if len(found) > _MOST:
        raise NoPrefix("it has too many alternatives")
    return list(dict.fromkeys(found))
