"""What is remembered of field lines: when one is let in, what it displaces, and when it goes."""

from collections.abc import Callable

import pytest

from gateway.core.headers import lines
from gateway.core.headers.kinds import ACCEPT, AUTHORIZATION, COOKIE, DROP, FORWARDING, HOST, PASS, Kind
from gateway.core.headers.lines import NOTHING, Budget, Budgets, Line, LineTable, Malformed

KINDS = {
    b"cookie": COOKIE,
    b"authorization": AUTHORIZATION,
    b"x-forwarded-for": FORWARDING,
    b"host": HOST,
    b"accept": ACCEPT,
    b"via": DROP,
}
SMALL = Budget(8, 100_000, 200, 1000)
EACH_SMALL = Budgets(SMALL, SMALL, SMALL, Budget(8, 100_000, 17_000))


def kind_of(name: bytes) -> Kind:
    """Return what a name is."""
    return KINDS.get(name.lower(), PASS)


class Table(LineTable):
    """A table that counts what it reads."""

    def __init__(self, budgets: Budgets = EACH_SMALL, once: frozenset[bytes] = frozenset()) -> None:
        self.read: list[bytes] = []
        super().__init__(kind_of, lambda line: self.read.append(line.raw), once, budgets)


def seen(table: LineTable, line: bytes, times: int = 2) -> Line | None:
    """Look a line up so often; return what it is."""
    for _ in range(times):
        found = table[line]
    return found


LINES = [
    b"X: 1",
    b"X:1",
    b"Cookie: a=b",
    b"X-Forwarded-For: 192.0.2.1",
    b"Host: h",
    b"Accept: */*",
    b"Via: a",
]


@pytest.mark.parametrize("line", LINES)
def test_second_sight(line: bytes):
    """[10.hold.3]: what comes for the first time is not kept, what comes again is."""
    table = Table()
    first = table[line]
    assert line not in table
    second = table[line]
    assert line in table
    third = table[line]
    assert second is third
    assert (first and (first.kind, first.line, first.value)) == (
        third and (third.kind, third.line, third.value)
    )
    assert (first is None) == (line == b"X: 1")


def test_a_line_that_goes_on_as_it_came_is_none():
    """Odd spacing makes one that does not."""
    table = Table()
    assert table[b"X: 1"] is None
    assert table[b"X: "] is None
    for odd in (b"X:1", b"X:  1", b"X: 1 ", b"X:\t1", b"X:"):
        found = table[odd]
        assert found is not None
        assert found.line in (b"X: 1", b"X: ")


def test_credentials_are_kept_only_once_verified():
    """[10.hold.3]: however often an Authorization line comes; what was found of it is kept with it."""
    table = Table()
    line = b"Authorization: Bearer x"
    found = seen(table, line, 5)
    assert line not in table
    assert found is not None
    found.found = "whoever"
    table.keep_verified(found)
    assert table[line] is found
    table.keep_verified(found)
    assert len(table) == 1


def test_unverified_credentials_displace_nobody():
    """[10.hold.3]: they are never in the way of one that was verified."""
    table = Table()
    found = table[b"Authorization: Bearer good"]
    assert found is not None
    table.keep_verified(found)
    for number in range(1000):
        seen(table, b"Authorization: Bearer %d" % number)
    assert table[b"Authorization: Bearer good"] is found


@pytest.mark.parametrize("name", [b"Cookie", b"X-Forwarded-For", b"X", b"Host"])
def test_a_kind_displaces_no_other(name: bytes):
    """[10.hold.3]: whatever is flooded, the other kinds keep theirs."""
    table = Table()
    kept = [b"Cookie: mine=1", b"X-Forwarded-For: 192.0.2.9", b"X-Mine: 1"]
    for line in kept:
        seen(table, line)
    for number in range(200):
        seen(table, b"%b: %d" % (name, number))
    shelf = table._shelves.get(kind_of(name)) or table._shelves[PASS]
    others = [
        line
        for line in kept
        if (table._shelves.get(kind_of(line.split(b":")[0])) or table._shelves[PASS]) is not shelf
    ]
    assert len(others) == 2
    assert all(line in table for line in others)


def test_what_is_in_use_is_promoted():
    """[10.hold.3]: it moves from the old generation to the young one, with what was found of it."""
    table = Table()
    mine = b"Cookie: mine=1"
    found = seen(table, mine)
    assert found is not None
    found.found = "a session"
    for number in range(100):
        seen(table, b"Cookie: other=%d" % number)
        if number % 3 == 0:
            assert table[mine].found == "a session"
    assert table.read.count(mine) == 2
    assert len(table) <= 8


def test_what_is_not_in_use_goes():
    """Two generations later nothing is left of it, in either."""
    table = Table()
    seen(table, b"Cookie: mine=1")
    for number in range(8):
        seen(table, b"Cookie: other=%d" % number)
    assert b"Cookie: mine=1" not in table
    assert b"Cookie: mine=1" not in table._shelves[COOKIE].old


@pytest.mark.parametrize(
    ("budget", "length"),
    [
        (Budget(8, 1 << 20, 200, 1000), 10),
        (Budget(1000, 4000, 200, 1000), 100),
        (Budget(1000, 4000, 2000, 1000), 1500),
    ],
)
def test_bounds(budget: Budget, length: int):
    """[10.hold.3]: of entries and of bytes, both generations together."""
    table = Table(Budgets(budget, budget, budget, budget))
    for number in range(300):
        seen(table, b"Cookie: %0*d" % (length, number))
        shelf = table._shelves[COOKIE]
        held = [*table.known, *shelf.old]
        assert len(held) <= budget.entries
        assert sum(map(len, held)) <= budget.size
        assert shelf._size == sum(len(each) + lines._ENTRY for each in shelf._young)


@pytest.mark.parametrize(("length", "is_kept"), [(180, True), (300, False)])
def test_a_long_line_is_not_kept(length: int, is_kept: bool):
    """[10.hold.3]: each kind has its longest."""
    table = Table()
    line = b"X: " + b"x" * length
    assert seen(table, line, 3) is None
    assert (line in table) is is_kept


def test_a_name_whose_values_are_ever_new_gets_no_entries():
    """[10.hold.3]: once so many were looked at, the next wait for the sweep; other names do not."""
    table = Table(Budgets(Budget(10_000, 1 << 22, 200, 50), SMALL, SMALL, SMALL))
    for number in range(100):
        assert table[b"X-Id: %d" % number] is None
    seen(table, b"X-Id: again", 5)
    assert b"X-Id: again" not in table
    seen(table, b"X-Other: again")
    assert b"X-Other: again" in table
    table.sweep(lambda _: False)
    seen(table, b"X-Id: again")
    assert b"X-Id: again" in table


def test_names_that_are_told_to_come_once_are_never_kept():
    """Ids and traces: judged by their name, and checked all the same."""
    table = Table(once=frozenset({b"x-id"}))
    assert seen(table, b"X-Id: 1", 5) is None
    assert not table
    with pytest.raises(Malformed):
        table[b"X-Id: \x00"]


def test_once_only_names_are_bounded():
    """[10.hold.3]: beyond so many, all are learned anew; nothing that is kept goes by that."""
    table = Table()
    seen(table, b"X: 1")
    for number in range(3 * lines._MOST_NAMES):
        table[b"X-%d: 1" % number]
        assert len(table._names) <= lines._MOST_NAMES
    assert b"X: 1" in table
    table[b"X" * (lines._LONGEST_NAME + 1) + b": 1"]
    assert b"X" * (lines._LONGEST_NAME + 1) not in table._names


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"X",
        b": 1",
        b" X: 1",
        b"X : 1",
        b"X\t: 1",
        b"X: a\rb",
        b"X: a\nb",
        b"X: \x00",
        b"X: \x7f",
        b"X\xe9: 1",
        b"Content_Length: 5",
        b"Transfer.Encoding: chunked",
        b"Proxy_Connection: x",
    ],
)
def test_what_is_no_field_line_is_never_remembered(line: bytes):
    """R57 [10.hold.1]: refused each time, and it leaves no entry."""
    table = Table()
    for _ in range(3):
        with pytest.raises(Malformed):
            table[line]
    assert not table
    assert not any(shelf.old for shelf in table._shelves.values())


def _forget(table: LineTable, line: Line) -> None:
    table.forget(line)


def _sweep(table: LineTable, line: Line) -> None:
    table.sweep(lambda each: each is line)


def _forget_all(table: LineTable, _line: Line) -> None:
    table.forget_all()


@pytest.mark.parametrize("go", [_forget, _sweep, _forget_all])
@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("raw", [b"Cookie: mine=1", b"Authorization: Bearer x"])
def test_what_goes_is_gone_from_everywhere(go: Callable[[LineTable, Line], None], is_old: bool, raw: bytes):
    """[10.hold.3]: from the table, both generations and their books; its room is free again."""
    table = Table()
    line = seen(table, raw)
    assert line is not None
    table.keep_verified(line)
    shelf = table._shelves[line.kind]
    if is_old:
        for number in range(4):
            other = seen(table, b"%b-%d" % (raw, number))
            assert other is not None
            table.keep_verified(other)
        assert raw in shelf.old
    go(table, line)
    assert raw not in table
    assert raw not in shelf.old
    assert raw not in shelf._young
    assert shelf._size == sum(len(each) + lines._ENTRY for each in shelf._young)
    assert set(shelf._young) <= set(table.known)
    # it may come again
    again = seen(table, raw)
    assert again is not None
    assert again.found is None


def test_a_table_that_remembers_nothing():
    """[10.hold.1]: it says the same of each line, and holds none."""
    table, none = Table(Budgets()), Table(NOTHING)
    for line in LINES * 3:
        one, other = table[line], none[line]
        assert (one and (one.kind, one.line)) == (other and (other.kind, other.line))
    assert len(table) == len(LINES)
    assert not none
