"""Field lines (RFC 9112 section 5), read strictly, and what each is to us: facts by their exact bytes.

A line that goes on as it came and that nothing reads is None in a table: that is what most are. Whatever else
a line is, a ``Line`` says it. Lines are without their CRLF.

What is remembered of lines is bounded by their kind, so that nobody's lines displace another's: credentials
are kept only once they have been verified, everything else when it comes a second time, in two generations,
of which the older one is dropped. Lines of a name whose values are ever new soon get no entries at all; they
are judged by their name, and cost no more than a look at their bytes. Python's hash of bytes is keyed at
random, so chosen lines cannot be made to collide.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.headers.kinds import (
    AUTHORIZATION,
    COOKIE,
    DISGUISES,
    DROP,
    FORWARDING,
    PASS,
    Kind,
)
from gateway.syntax.tokens import fold

# control characters become spaces: a value that this changes is none
_PRINTABLE: Final = bytes(
    byte if byte == 0x09 or (byte >= 0x20 and byte != 0x7F) else 0x20 for byte in range(256)
)
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_MOST_NAMES: Final = 4096
_LONGEST_NAME: Final = 128
# what an entry weighs beside its bytes: its object, its places in the table and in the generation
_ENTRY: Final = 250


class Malformed(ValueError):  # noqa: N818 - the word of the vocabulary
    """Bytes that are no such thing; the text says which, and holds none of them."""


def check_line(line: bytes) -> None:
    """Check a line of which nothing is to be known, such as a trailer.

    Raises:
        Malformed: no field line, or the disguised spelling of a framing field.
    """
    name, colon, value = line.partition(b":")
    if not colon or value.translate(_PRINTABLE) != value:
        raise Malformed("field line")
    _check_name(name)


def _check_name(name: bytes) -> bytes:
    """Return a field's name in lower case. Raises Malformed."""
    if _TOKEN.fullmatch(name) is None:
        raise Malformed("field name")
    lower, folded = name.lower(), fold(name)
    if folded in DISGUISES and folded != lower:
        raise Malformed("disguised framing field")
    return lower


def read_length(value: bytes) -> int:
    """Return a Content-Length (RFC 9110 section 8.6).

    Raises:
        Malformed: not 1 to 18 digits.
    """
    if not value.isdigit() or len(value) > 18:
        raise Malformed("Content-Length")
    return int(value)


def without(lines: list[bytes], named: frozenset[bytes]) -> list[bytes]:
    """Return the lines whose lower-case names a Connection field does not name (RFC 9110 section 7.6.1)."""
    return [line for line in lines if line.partition(b":")[0].lower() not in named]


class Line:
    """One field line that is more than passed on.

    Attributes:
        kind: what it is to us.
        raw: the line as it came.
        name: as sent.
        line: the line that goes on, with one space before its value.
        found: what was read of it, as its kind has it.
    """

    __slots__ = ("_value", "found", "kind", "line", "name", "raw")

    def __init__(self, kind: Kind, raw: bytes, name: bytes, value: bytes, line: bytes) -> None:
        self.kind = kind
        self.raw = raw
        self.name = name
        self._value: bytes | None = value
        self.line = line
        self.found: Any = None

    @property
    def value(self) -> bytes:
        """The value without surrounding white space."""
        value = self._value
        return value if value is not None else self.raw[len(self.name) + 1 :].strip()

    def without_value(self) -> None:
        """Keep its value once, within the line: it is hardly asked for any more."""
        self._value = None


# nothing reads a line that does not go on; those that proxies tell by are read with the others of a request
_ALIKE: Final = {kind: Line(kind, b"", b"", b"", b"") for kind in (DROP, FORWARDING)}
"""What every line of some kinds is."""
UNREAD: Final = Line(DROP, b"", b"", b"", b"")
"""What stands for a line that a table has not read: for ``table.known.get``."""


class Options:
    """What a Connection field says: whether the connection ends, is kept, and which fields end with it."""

    __slots__ = ("closes", "keeps", "named")

    def __init__(self, closes: bool, keeps: bool, named: frozenset[bytes]) -> None:
        self.closes = closes
        self.keeps = keeps
        self.named = named


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is remembered of lines of one sort: entries, bytes, and bytes of one line.

    ``sightings``: of one name, so many unknown lines are looked at for whether they come again, until the
    next sweep.
    """

    entries: int
    size: int
    longest: int
    sightings: int = 0


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of one table."""

    others: Budget = Budget(16_384, 4 << 20, 200, 2048)
    cookies: Budget = Budget(32_768, 14 << 20, 8192, 65_536)
    forwarding: Budget = Budget(32_768, 6 << 20, 512, 65_536)
    credentials: Budget = Budget(49_152, 56 << 20, 17_000)
    forwarded: int = 49_152
    """How many ways by which requests came."""


_NO: Final = Budget(0, 0, 0)
NOTHING: Final = Budgets(_NO, _NO, _NO, _NO, 0)
"""Remember nothing; no answer changes by that."""


class _Shelf:
    """The remembered lines of one sort: which of the table are young, and those that are old."""

    __slots__ = ("_marks", "_size", "_young", "budget", "old")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.old: dict[bytes, Line | None] = {}
        self._young: dict[bytes, None] = {}
        self._size = 0
        self._marks: set[int] = set()

    def comes_again(self, line: bytes) -> bool:
        """Tell whether this line came before, and note that it came."""
        mark, marks = hash(line), self._marks
        if mark in marks:
            return True
        if len(marks) >= 2 * self.budget.entries:
            marks.clear()
        marks.add(mark)
        return False

    def keep(self, table: "LineTable", line: bytes, found: Line | None) -> None:
        """Keep a line; where that is too much, the young ones are the old ones from now on."""
        budget, size = self.budget, len(line) + _ENTRY
        if len(line) > budget.longest or not budget.entries:
            return
        if 2 * (self._size + size) > budget.size or 2 * len(self._young) >= budget.entries:
            known = table.known
            self.old = {each: known.pop(each) for each in self._young if each in known}
            self._young, self._size = {}, 0
        table.known[line] = found
        self._young[line] = None
        self._size += size

    def forget(self, line: bytes) -> None:
        """Forget a line; the table has done so."""
        self.old.pop(line, None)
        if line in self._young:
            del self._young[line]
            self._size -= len(line) + _ENTRY

    def clear(self) -> None:
        """Forget every line; the table has done so."""
        self.old, self._young, self._size = {}, {}, 0
        self._marks.clear()

    def sweep(self, table: "LineTable", is_over: Callable[[Line | None], bool]) -> None:
        """Forget what is over."""
        known = table.known
        gone = [each for each in self._young if each not in known or is_over(known[each])]
        if gone:
            for each in gone:
                known.pop(each, None)
                self.forget(each)
        self.old = {each: found for each, found in self.old.items() if not is_over(found)}


class _Name:
    """What a field's name means; ``left`` of ``most`` unknown lines of it are yet looked at a second time."""

    __slots__ = ("alike", "kind", "left", "most", "shelf")

    def __init__(self, kind: Kind, shelf: _Shelf, most: int) -> None:
        self.kind = kind
        self.alike = _ALIKE.get(kind)
        self.shelf = shelf
        self.most = self.left = most


class LineTable:
    """What each line is: look it up by ``table[line]``; one that is not known yet is read.

    Where it counts, ``known.get`` looks up and ``learn`` reads.

    Attributes:
        known: what is remembered; to be looked into, and changed by the table alone.

    Args:
        kind_of: the kind of a field by its name, which is a token.
        read: what is read of a line besides, by its kind; None of it is kept where it raises.
        once: lower-case names whose values hardly ever come again.
        budgets: how much is remembered.

    Raises:
        Malformed: looking up what is no field line, or the disguised spelling of a framing field.
    """

    __slots__ = ("_kind_of", "_names", "_once", "_read", "_shelves", "known")

    def __init__(
        self,
        kind_of: Callable[[bytes], Kind],
        read: Callable[[Line], None],
        once: frozenset[bytes],
        budgets: Budgets | None = None,
    ) -> None:
        self.known: dict[bytes, Line | None] = {}
        budgets = budgets or Budgets()
        self._kind_of = kind_of
        self._read = read
        self._once = once
        others = _Shelf(budgets.others)
        self._shelves = {
            PASS: others,
            COOKIE: _Shelf(budgets.cookies),
            FORWARDING: _Shelf(budgets.forwarding),
            AUTHORIZATION: _Shelf(budgets.credentials),
        }
        self._names: dict[bytes, _Name] = {}

    def __getitem__(self, line: bytes) -> Line | None:
        found = self.known.get(line, UNREAD)
        return self.learn(line) if found is UNREAD else found

    def __contains__(self, line: object) -> bool:
        return line in self.known

    def __len__(self) -> int:
        return len(self.known)

    def learn(self, line: bytes) -> Line | None:
        """Return what a line is that the table does not hold. Raises Malformed."""
        # nearly all are written with one space, as we write them
        raw, colon, value = line.partition(b": ")
        name = self._names.get(raw)
        if name is None or not colon:
            raw, colon, value = line.partition(b":")
            name = self._names.get(raw) or self._learn(raw)
            if not colon:
                raise Malformed("field line")
            if value[:1] == b" ":
                colon, value = b": ", value[1:]
        if value.translate(_PRINTABLE) != value:
            raise Malformed("field line")
        found = name.alike
        if found is None:
            # of white space, tabs and spaces alone are left by now
            plain = value.strip()
            is_ours = plain == value and colon == b": "
            if name.kind or not is_ours:
                known = name.shelf.old.pop(line, UNREAD)
                if known is not UNREAD:
                    # what was found of it is worth more than the line
                    name.shelf.keep(self, line, known)
                    return known
                found = Line(name.kind, line, raw, plain, line if is_ours else b"%b: %b" % (raw, plain))
                self._read(found)
        if name.left:
            name.left -= 1
            if name.shelf.comes_again(line):
                name.shelf.keep(self, line, found)
        return found

    def keep_verified(self, line: Line) -> None:
        """Remember a credential that has been verified, with what was found of it."""
        if line.raw not in self.known:
            line.without_value()
            self._shelves[AUTHORIZATION].keep(self, line.raw, line)

    def forget(self, line: Line) -> None:
        """Remember nothing of a line any more."""
        self.known.pop(line.raw, None)
        for shelf in self._shelves.values():
            shelf.forget(line.raw)

    def forget_all(self) -> None:
        """Remember nothing of any line any more."""
        self.known.clear()
        for shelf in self._shelves.values():
            shelf.clear()

    def sweep(self, is_over: Callable[[Line | None], bool]) -> None:
        """Forget the credentials that are over; let ever new lines be looked at again. For once a minute."""
        for kind in (AUTHORIZATION, COOKIE):
            self._shelves[kind].sweep(self, is_over)
        for name in self._names.values():
            name.left = name.most

    def kind_of(self, name: bytes) -> Kind:
        """Return the kind of a field by its name. Raises Malformed."""
        return (self._names.get(name) or self._learn(name)).kind

    def _learn(self, raw: bytes) -> _Name:
        lower = _check_name(raw)
        kind = self._kind_of(raw)
        shelf = self._shelves.get(kind) or self._shelves[PASS]
        # credentials are kept by whoever has verified them
        comes_once = lower in self._once or kind == AUTHORIZATION
        name = _Name(kind, shelf, 0 if comes_once else shelf.budget.sightings)
        if len(raw) <= _LONGEST_NAME:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names[raw] = name
        return name
