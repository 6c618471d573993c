r"""Regular expressions that are matched in linear time, whatever the pattern and the text.

The part of the usual syntax that describes regular languages: literals, ``.``, classes, groups, ``|``, ``?``,
``*``, ``+`` and ``{m,n}``, with ``\d``, ``\w`` and ``\s`` in ASCII, and ``(?i)`` at the beginning, for ASCII
too. What needs backtracking (back references, assertions) is refused.

A pattern becomes Glushkov's automaton: a state for each letter that it names, without empty moves. All the
states in which a text may be are one whole number, so a letter costs one pass over them at most, and mostly
two look-ups: which states a letter leads to, and which follow on those, are remembered.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

MOST_PATTERN: Final = 1000
MOST_STATES: Final = 256
MOST_TEXT: Final = 4096
"""The longest text, in letters, that is looked at."""

_MOST_DEPTH: Final = 40
_MOST_REMEMBERED: Final = 512
_SPECIAL: Final = frozenset("\\.[]{}()*+?|^$")
_DIGITS: Final = (("0", "9"),)
_WORDS: Final = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACES: Final = (("\t", "\r"), (" ", " "))
_NAMED: Final = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r"}

Ranges: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Letter:
    """One letter of some: those within ranges, or all others; the ranges of ``parts`` are each for itself."""

    parts: tuple[tuple[Ranges, bool], ...]
    is_negated: bool = False

    def holds(self, letter: str) -> bool:
        found = any(
            any(low <= letter <= high for low, high in ranges) is not but for ranges, but in self.parts
        )
        return found is not self.is_negated


@dataclass(frozen=True, slots=True)
class _Several:
    """Parts one after the other, or one of them."""

    parts: "tuple[_Node, ...]"
    is_choice: bool = False


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A part, at least and at most so often; None: without end."""

    part: "_Node"
    least: int
    most: int | None


_Node: TypeAlias = _Letter | _Several | _Repeat


class _Reader:
    """Reads a pattern into nodes. Raises ValueError with a message to show, which repeats nothing of it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def read(self) -> _Node:
        found = self._choice()
        if self.at < len(self.pattern):
            raise ValueError("a ) that closes no group: write \\) for the sign itself")
        return found

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        letter = self._peek()
        self.at += 1
        return letter

    def _choice(self) -> _Node:
        parts = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else _Several(tuple(parts), is_choice=True)

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else _Several(tuple(parts))

    def _repeated(self, part: _Node) -> _Node:
        sign = self._peek()
        if sign not in ("?", "*", "+", "{") or not sign:
            return part
        self.at += 1
        least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(sign) or self._bounds()
        # what takes as little as it can takes the same in a full match
        if self._peek() == "?":
            self.at += 1
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise ValueError("one repetition after another: put the first into a group")
        return _Repeat(part, least, most)

    def _bounds(self) -> tuple[int, int | None]:
        text, brace, _ = self.pattern[self.at :].partition("}")
        low, comma, high = text.partition(",")
        if not brace or not all(each.isascii() and each.isdigit() for each in (low, high or "0")):
            raise ValueError("a { begins no repetition such as {2,5}: write \\{ for the sign itself")
        self.at += len(text) + 1
        if max(len(low), len(high)) > 3:
            raise ValueError("repeated more than 999 times")
        least, most = int(low), int(high) if high else None if comma else int(low)
        if most is not None and most < least:
            raise ValueError("a repetition of at least more than at most")
        return least, most

    def _atom(self) -> _Node:
        letter = self._take()
        if letter == "(":
            return self._group()
        if letter == "[":
            return self._class()
        if letter == ".":
            return _Letter((((("\n", "\n"),), False),), is_negated=True)
        if letter == "\\":
            return _Letter((self._escape(),))
        if letter in "^$":
            raise ValueError(
                "^ and $ stand at the ends alone, and are not needed there: the whole has to match"
            )
        if letter in _SPECIAL:
            raise ValueError(f"a {letter} out of place: write \\{letter} for the sign itself")
        return _Letter(((((letter, letter),), False),))

    def _group(self) -> _Node:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise ValueError("groups are nested too deeply")
        if self._peek() == "?":
            if self.pattern[self.at : self.at + 2] != "?:":
                raise ValueError("of what begins with (? there is (?:...) alone, and (?i) at the beginning")
            self.at += 2
        found = self._choice()
        if self._take() != ")":
            raise ValueError("a group is not closed")
        self.depth -= 1
        return found

    def _escape(self) -> tuple[Ranges, bool]:
        letter = self._take()
        if letter.lower() in _NAMED:
            return _NAMED[letter.lower()], letter.isupper()
        letter = _CONTROLS.get(letter, letter)
        if not letter or (letter.isascii() and letter.isalnum()):
            raise ValueError("an unknown escape: there are \\d \\w \\s \\D \\W \\S \\t \\n \\r, and signs")
        return ((letter, letter),), False

    def _class(self) -> _Node:
        is_negated = self._peek() == "^"
        self.at += is_negated
        parts: list[tuple[Ranges, bool]] = []
        while (letter := self._take()) != "]":
            if not letter:
                raise ValueError("a class is not closed: write \\[ for the sign itself")
            part = self._escape() if letter == "\\" else (((letter, letter),), False)
            if letter == "[":
                raise ValueError("a [ within a class: write \\[ for the sign itself")
            if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] != "]":
                part = self._range(part)
            parts.append(part)
        if not parts:
            raise ValueError("a class without letters: write \\] for the sign itself")
        return _Letter(tuple(parts), is_negated)

    def _range(self, begin: tuple[Ranges, bool]) -> tuple[Ranges, bool]:
        self.at += 1
        letter = self._take()
        end = self._escape() if letter == "\\" else (((letter, letter),), False)
        (low, _), (_, high) = begin[0][0], end[0][-1]
        are_single = all(
            len(each) == 1 and each[0][0] == each[0][1] and not but for each, but in (begin, end)
        )
        if not letter or letter == "[" or not are_single or low > high:
            raise ValueError(
                "a range within a class goes from one letter to a later one; write \\- for the sign"
            )
        return ((low, high),), False


def _size(node: _Node) -> int:
    """Return how many states a node makes."""
    if isinstance(node, _Letter):
        return 1
    if isinstance(node, _Several):
        return sum(map(_size, node.parts))
    return _size(node.part) * max(node.least + (node.most is None), node.most or 0)


class Regular:
    """A pattern, compiled.

    Args:
        pattern: as above; ``^`` at its beginning and ``$`` at its end say what holds anyway.

    Raises:
        ValueError: the pattern is none, or too large; the message repeats nothing of it.
    """

    __slots__ = (
        "_first",
        "_follow",
        "_following",
        "_ignores_case",
        "_is_empty",
        "_last",
        "_leading",
        "_letters",
    )

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MOST_PATTERN:
            raise ValueError(f"longer than {MOST_PATTERN} letters")
        self._ignores_case = pattern.startswith("(?i)")
        if self._ignores_case:
            pattern = pattern[4:]
        pattern = pattern.removeprefix("^")
        if pattern.endswith("$") and (len(pattern) - len(pattern[:-1].rstrip("\\"))) % 2:
            pattern = pattern[:-1]
        node = _Reader(pattern).read()
        if _size(node) > MOST_STATES:
            raise ValueError(f"more than {MOST_STATES} letters once repetitions are written out")
        self._letters: list[_Letter] = []
        # by state, the set of those that may follow
        self._follow: list[int] = []
        self._is_empty, self._first, self._last = self._build(node)
        self._leading: dict[str, int] = {}
        self._following: dict[int, int] = {}

    def matches(self, text: str) -> bool:
        """Tell whether the whole of a text matches; what is longer than ``MOST_TEXT`` matches nothing."""
        if not text:
            return self._is_empty
        if len(text) > MOST_TEXT:
            return False
        leading, following = self._leading, self._following
        states, may = 0, self._first
        for letter in text:
            leads = leading.get(letter)
            states = may & (self._lead(letter) if leads is None else leads)
            if not states:
                return False
            follows = following.get(states)
            may = self._go_on(states) if follows is None else follows
        return bool(states & self._last)

    def _build(self, node: _Node) -> tuple[bool, int, int]:
        """Make the states of a node; return whether it may be empty, its first states, and its last."""
        if isinstance(node, _Letter):
            state = 1 << len(self._letters)
            self._letters.append(node)
            self._follow.append(0)
            return False, state, state
        if isinstance(node, _Several):
            return (
                self._choose(node) if node.is_choice else self._chain([(each, False) for each in node.parts])
            )
        if not _size(node):
            return True, 0, 0
        copies = [(node.part, False)] * node.least
        if node.most is not None:
            return self._chain([*copies, *[(node.part, True)] * (node.most - node.least)])
        is_empty, first, last = self._chain(copies[:-1])
        more = self._build(node.part)
        self._join(more[2], more[1])
        more = (more[0] or not node.least, *more[1:])
        self._join(last, more[1])
        return (
            is_empty and more[0],
            first | (more[1] if is_empty else 0),
            more[2] | (last if more[0] else 0),
        )

    def _choose(self, node: _Several) -> tuple[bool, int, int]:
        is_empty, first, last = False, 0, 0
        for each in node.parts:
            may_be, begins, ends = self._build(each)
            is_empty, first, last = is_empty or may_be, first | begins, last | ends
        return is_empty, first, last

    def _chain(self, nodes: list[tuple[_Node, bool]]) -> tuple[bool, int, int]:
        """Make the states of nodes one after the other, each of which may be left out where it says so."""
        is_empty, first, last = True, 0, 0
        for node, is_optional in nodes:
            may_be, begins, ends = self._build(node)
            may_be = may_be or is_optional
            self._join(last, begins)
            first |= begins if is_empty else 0
            last = ends | (last if may_be else 0)
            is_empty = is_empty and may_be
        return is_empty, first, last

    def _join(self, states: int, more: int) -> None:
        while states:
            lowest = states & -states
            self._follow[lowest.bit_length() - 1] |= more
            states ^= lowest

    def _lead(self, letter: str) -> int:
        same = {letter}
        if self._ignores_case and letter.isascii():
            same.add(letter.swapcase())
        found = sum(
            1 << state
            for state, each in enumerate(self._letters)
            # what a class leaves out it leaves out in either case
            if (all if each.is_negated else any)(each.holds(one) for one in same)
        )
        if len(self._leading) < _MOST_REMEMBERED:
            self._leading[letter] = found
        return found

    def _go_on(self, states: int) -> int:
        found, rest = 0, states
        while rest:
            lowest = rest & -rest
            found |= self._follow[lowest.bit_length() - 1]
            rest ^= lowest
        if len(self._following) < _MOST_REMEMBERED:
            self._following[states] = found
        return found
