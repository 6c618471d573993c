"""The audit trail's chains: whatever is done to them is told, and what is legitimate is not."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.chain import (
    Chain,
    Entry,
    Keys,
    encode_entry,
    encode_first,
    encode_mark,
    mac_of,
    name_chain,
    read_anchor,
    read_entry,
    read_first,
    split,
)
from gateway.core.audit.lines import forget, link, read_line
from gateway.core.audit.verify import SEALED, Account, Anchors, Walk

OLD, NEW = bytes(32), bytes([1] * 32)
KEYS = Keys({"new": NEW, "old": OLD})
SALT = "5a17"


class Trail:
    """A chain as a store has it: entries with their personal parts or marks, and anchors."""

    def __init__(
        self, count: int = 6, *, at: float = 1_700_000_000.0, hint: str = "new", seed: bytes = NEW
    ) -> None:
        self.chain = Chain(name_chain(at, b"12345678"), hint, seed)
        self.rows: list[tuple[Entry, str | None, str]] = []
        for number in range(count):
            self.add(
                event="login",
                time="2023-11-14T22:13:20.000Z",
                subject=f"person-{number}",
                reason="login_completed",
            )
        self.heads = {self.chain.name: self.chain.anchor().encode()}
        self.firsts: dict[str, str] = {}

    def add(self, **members) -> None:
        """Add an event."""
        public, personal = split(members, SALT)
        self.rows.append((self.chain.add(public, personal), personal, ""))

    def mark(self, index: int, keys: Keys = KEYS) -> None:
        """Forget what is personal in an entry."""
        entry = self.rows[index][0]
        self.rows[index] = entry, None, encode_mark(keys, entry)

    def verify(self, keys: Keys = KEYS, *, has_firsts: bool = True) -> Account:
        """Return what a walk tells of the one chain."""
        anchors = Anchors(self.heads, self.firsts, has_firsts=has_firsts)
        walk = Walk(keys, anchors)
        for row in self.rows:
            walk.see(*row)
        (account,) = walk.end(anchors)
        return account


def test_a_whole_chain_is_good():
    """[12.logs] What was written and left alone; older keys verify as long as they are there."""
    assert Trail().verify().verdict == "good"
    account = Trail(hint="old", seed=OLD).verify()
    assert (account.verdict, account.entries, account.first, account.last) == ("good", 6, 1, 6)


def altered(row, **changes):
    entry, personal, mark = row
    return replace(entry, **changes), personal, mark


ATTACKS = {
    "an entry is gone": (lambda t: t.rows.pop(2), "gap"),
    "the first is gone": (lambda t: t.rows.pop(0), "gap"),
    "the last is gone": (lambda t: t.rows.pop(), "cut off"),
    "all are gone": (lambda t: t.rows.clear(), "cut off"),
    "two have changed places": (lambda t: t.rows.insert(1, t.rows.pop(3)), "altered"),
    "one is there twice": (lambda t: t.rows.insert(3, t.rows[2]), "altered"),
    "what happened is altered": (
        lambda t: t.rows.__setitem__(
            2, altered(t.rows[2], public=t.rows[2][0].public.replace("login", "logouts"))
        ),
        "altered",
    ),
    "its number is altered": (lambda t: t.rows.__setitem__(2, altered(t.rows[2], seq=9)), "altered"),
    "its digest is altered": (
        lambda t: t.rows.__setitem__(2, altered(t.rows[2], commitment="00")),
        "altered",
    ),
    "its MAC is no text of ours": (
        lambda t: t.rows.__setitem__(2, altered(t.rows[2], mac="\ud800é")),
        "altered",
    ),
    "the person is altered": (
        lambda t: t.rows.__setitem__(2, (t.rows[2][0], t.rows[2][1].replace("person-2", "person-9"), "")),
        "altered",
    ),
    "the person is gone": (lambda t: t.rows.__setitem__(2, (t.rows[2][0], None, "")), "altered"),
    "a mark is forged": (lambda t: t.rows.__setitem__(2, (t.rows[2][0], None, "new 00")), "altered"),
    "a mark is another entry's": (
        lambda t: t.rows.__setitem__(2, (t.rows[2][0], None, encode_mark(KEYS, t.rows[3][0]))),
        "altered",
    ),
    "the anchor is gone": (lambda t: t.heads.clear(), "altered"),
    "the anchor is forged": (
        lambda t: (t.rows.pop(), t.heads.update({t.chain.name: f"5 new {t.rows[-1][0].mac} {'0' * 64}"})),
        "altered",
    ),
    "the anchor names another key": (
        lambda t: t.heads.update({t.chain.name: t.heads[t.chain.name].replace(" new ", " mine ")}),
        "altered",
    ),
    "what names the key goes, and an entry is altered": (
        lambda t: (t.heads.clear(), t.rows.__setitem__(0, altered(t.rows[0], public="{}"))),
        "altered",
    ),
    "the anchor is garbage": (lambda t: t.heads.update({t.chain.name: "six"}), "altered"),
    "its beginning is forged": (
        lambda t: (t.rows.pop(0), t.firsts.update({t.chain.name: f"2 new {'0' * 64}"})),
        "altered",
    ),
    "its beginning is garbage": (lambda t: t.firsts.update({t.chain.name: "x"}), "altered"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_is_told(attack: str):
    """R92 [12.logs] Deleted, re-ordered, altered, cut off, or passed off as forgotten or as old."""
    trail = Trail()
    do, verdict = ATTACKS[attack]
    do(trail)
    account = trail.verify()
    assert account.verdict == verdict, account


def test_which_entry_it_is():
    """The finding names the entry."""
    trail = Trail()
    trail.rows[3] = altered(trail.rows[3], public="{}")
    assert [(each.kind, each.seq) for each in trail.verify().findings] == [("altered", 4)]
    trail = Trail()
    del trail.rows[2:4]
    (found,) = trail.verify().findings
    assert (found.kind, found.seq, found.text) == ("gap", 3, "entries 3 to 4 are missing")


def test_signed_anew_with_another_key():
    """R92 [12.logs] Whoever has not our key can make a chain that holds in itself, and none of ours."""
    trail = Trail(hint="new", seed=b"\x07" * 32)
    assert trail.verify().verdict == "altered"
    trail = Trail(hint="mine", seed=b"\x07" * 32)
    account = trail.verify()
    assert account.verdict == "cannot be told"
    assert account.findings[0].text == "its key is not among secret_keys"
    # entries of ours made anew under the attacker's, within a chain of ours
    trail = Trail()
    forged = replace(trail.rows[2][0], public='{"event":"forged"}')
    trail.rows[2] = (replace(forged, mac=mac_of(b"\x07" * 32, forged)), *trail.rows[2][1:])
    assert trail.verify().verdict == "altered"


def test_forgetting_is_seen_and_is_no_alteration():
    """[12.logs] The chain holds; the mark says that it was done, and by a key of ours."""
    trail = Trail()
    trail.mark(2)
    trail.mark(4, Keys({"old": OLD}))
    account = trail.verify()
    assert (account.verdict, account.forgotten) == ("good", 2)
    trail.mark(1, Keys({"gone": b"\x09" * 32}))
    assert trail.verify().verdict == "cannot be told"
    trail = Trail()
    trail.rows[2] = trail.rows[2][0], None, SEALED
    assert trail.verify().verdict == "cannot be told"


def test_making_room_is_no_gap():
    """[12.logs] What was trimmed is told by a signed number; no more than that may be missing."""
    trail = Trail()
    del trail.rows[:3]
    trail.firsts[trail.chain.name] = encode_first(KEYS, trail.chain.name, 4)
    assert trail.verify().verdict == "good"
    del trail.rows[0]
    assert trail.verify().verdict == "gap"
    trail.rows.clear()
    trail.firsts[trail.chain.name] = encode_first(KEYS, trail.chain.name, 7)
    assert trail.verify().verdict == "good"
    # one of another chain, or of a longer number, proves nothing
    trail.firsts[trail.chain.name] = encode_first(KEYS, "other", 7)
    assert trail.verify().verdict == "altered"


def test_making_room_while_it_is_walked():
    """Anchors are read before and after: what goes in between is no gap either."""
    trail = Trail()
    before = Anchors(dict(trail.heads), {})
    walk = Walk(KEYS, before)
    for row in (trail.rows[0], *trail.rows[4:]):
        walk.see(*row)
    after = Anchors(trail.heads, {trail.chain.name: encode_first(KEYS, trail.chain.name, 5)})
    assert walk.end(after)[0].verdict == "good"


def test_a_chain_that_grows_while_it_is_walked():
    """Entries beyond the anchor that was read before are as good."""
    trail = Trail()
    trail.add(event="logout", subject="late")
    assert trail.verify().verdict == "good"


def test_a_whole_chain_is_missed():
    """[12.logs] One that began later has seen it: with its anchor gone, too, it is missed all the same."""
    later = Trail(0, at=1_700_000_100.0)
    gone, cut = Trail(3), Trail(3, at=1_700_000_050.0)
    cut.chain.name = "short"
    later.add(event="chain_began", key_hint="new", heads={gone.chain.name: 3, "cut": 3})
    later.heads = {later.chain.name: later.chain.anchor().encode()}
    short = Chain("cut", "new", NEW)
    short.add("{}", "{}")
    heads = later.heads | {"cut": short.anchor().encode()}
    walk = Walk(KEYS, Anchors(heads, {}))
    walk.see(*later.rows[0])
    verdicts = {each.chain: each.verdict for each in walk.end(Anchors(heads, {}))}
    assert verdicts == {gone.chain.name: "gap", "cut": "cut off", later.chain.name: "good"}


def test_lost_ones_are_counted():
    """What could not be kept is told by the chain itself."""
    trail = Trail(0)
    trail.add(event="audit_lost", count=17)
    trail.heads = {trail.chain.name: trail.chain.anchor().encode()}
    assert (trail.verify().verdict, trail.verify().lost) == ("good", 17)


def test_lines_of_a_file():
    """[12.logs] The same chain as lines: read back, forgotten in place, and altered in vain."""
    chain = Chain(name_chain(1_700_000_000.0, b"12345678"), "new", NEW)
    events = [
        {
            "time": "2023-11-14T22:13:20.000Z",
            "event": "login",
            "subject": f"p{number}",
            "before": 1.5,
            "claims": {"a": "é"},
        }
        for number in range(3)
    ]
    lines = [link(chain, each, SALT).encode() for each in events]
    assert [json.loads(line)["subject"] for line in lines] == ["p0", "p1", "p2"]
    lines[1] = forget(KEYS, lines[1])
    assert b"p1" not in lines[1]
    assert SALT.encode() not in lines[1]
    assert forget(KEYS, lines[1]) == lines[1]
    assert forget(KEYS, b"no event\n") == b"no event\n"

    def verdict(lines: list[bytes], heads: dict[str, str] | None = None) -> str:
        heads = {chain.name: chain.anchor().encode()} if heads is None else heads
        anchors = Anchors(heads, {}, has_firsts=False)
        walk = Walk(KEYS, anchors)
        for line in lines:
            if (found := read_line(line)) is not None:
                walk.see(*found)
        return walk.end(anchors)[0].verdict

    assert verdict(lines) == "good"
    assert verdict([*lines[:1], b'{"torn', *lines[1:]]) == "good"
    assert verdict(lines[1:]) == "cannot be told"
    assert verdict(lines[:2]) == "cut off"
    assert verdict([lines[0], lines[2]]) == "gap"
    assert verdict(lines, {}) == "cannot be told"
    assert verdict([lines[0].replace(b"p0", b"p9"), *lines[1:]]) == "altered"
    assert verdict([lines[0].replace(b'"login"', b'"logout"'), *lines[1:]]) == "altered"
    # something personal beside what was forgotten
    assert verdict([lines[0], lines[1].replace(b"{", b'{"subject":"p9",', 1), lines[2]]) == "altered"
    later = Chain(name_chain(1_700_000_500.0, b"12345678"), "new", NEW)
    later.add("{}", "{}")
    anchors = Anchors({later.name: later.anchor().encode()}, {}, has_firsts=False)
    walk = Walk(KEYS, anchors)
    walk.see(*read_line(lines[0]))
    assert {each.chain: each.verdict for each in walk.end(anchors)}[later.name] == "cut off"


def test_a_reason_in_somebodys_own_words_is_personal():
    """Words of ours say nothing of a person; whatever an operator writes may."""
    for reason in ("login_completed", "authenticated"):
        assert reason in split({"event": "x", "reason": reason}, SALT)[0]
    for reason in ("alice asked", "alice_smith", ""):
        assert "alice" not in split({"event": "x", "reason": reason}, SALT)[0]


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_read_or_refused(first: str, second: str):
    """Whatever stands in the store gives a value or None."""
    for text in (first, f"{first} {second}", f"1 {first} {second} x", f'["a",1,"b","c",{first!r},"d"]'):
        read_anchor("chain", text)
        read_first(KEYS, "chain", text)
        entry = read_entry(text)
        assert entry is None or read_entry(encode_entry(entry)) == entry
        read_line(text.encode("utf-8", "surrogatepass"))
