"""Properties of the denylist replica."""

from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rules.covers import Cover, Covers, Held
from gateway.core.rules.denylist import Denylist, place_of
from gateway.core.rules.due import Due
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.edge.revocation.denylist_reader import Unseen
from tests.support.pure import ISSUER, identity

TIMES = st.integers(0, 6).map(float)
VALUES = st.sampled_from(["", "a", "b"])
ENTRIES = st.builds(
    DenyEntry,
    st.sampled_from(["jti", "sid", "sub", "session", "key", "all"]),
    st.sampled_from(["", ISSUER]),
    VALUES,
    TIMES,
    TIMES,
    st.none() | st.tuples(st.sampled_from(["e", "f"]), st.integers(0, 4)),
)
SESSIONS = [
    identity(kind="session", subject=subject, sid=sid, session_id="c", issued_at=issued, position=position)
    for subject, sid in (("a", None), ("c", "a"))
    for issued in (0.0, 4.0, 9.0)
    for position in (None, ("e", 0), ("e", 3), ("f", 2), ("g", 9))
]
PEOPLE = SESSIONS + [
    identity(subject=subject, jti=jti, sid=sid, session_id=session_id, issued_at=float(issued))
    for subject in ("a", "c")
    for jti, sid, session_id in (("a", None, None), (None, "a", "b"), (None, None, "a"))
    for issued in range(0, 7, 2)
]
PEOPLE += [
    identity(kind="key", issuer="k", subject="a", jti=key_id, issued_at=issued)
    for key_id in ("a", "c")
    for issued in (0.0, 4.0)
]


def verdicts(denylist: Denylist) -> list[bool]:
    """Judge everybody at every time."""
    return [denylist.judge(who, float(now)) for who in PEOPLE for now in range(8)]


def merged(entries: list[DenyEntry]) -> Denylist:
    """Return a replica that was told these entries in this order."""
    denylist = Denylist()
    for entry in entries:
        denylist.add(entry)
    return denylist


@given(st.lists(ENTRIES, max_size=8).flatmap(lambda each: st.tuples(st.just(each), st.permutations(each))))
def test_the_order_of_entries_does_not_matter(orders):
    """Any order, and any repetition, gives the same verdicts; written back, they give them again."""
    one, other = merged(orders[0]), merged(orders[1] + orders[0])
    assert verdicts(one) == verdicts(other)
    assert len(one) == len(other)
    assert verdicts(merged(list(one.entries(-1.0)))) == verdicts(one)


@given(st.lists(ENTRIES, max_size=8), ENTRIES)
def test_an_entry_never_lets_anybody_in(entries, more):
    """Adding only ever refuses more."""
    before, after = verdicts(merged(entries)), verdicts(merged([*entries, more]))
    assert all(new or not old for old, new in zip(before, after, strict=True))


@given(st.lists(ENTRIES, max_size=8), TIMES)
def test_expiry_changes_no_verdict_to_come(entries, now):
    """What has been dropped at a time would have refused nothing from then on."""
    kept, dropped = merged(entries), merged(entries)
    gone = dropped.expire(now)
    assert len(dropped) + gone == len(kept)
    for who in PEOPLE:
        for later in range(int(now), 8):
            assert kept.judge(who, float(later)) == dropped.judge(who, float(later))


ODD = st.builds(
    DenyEntry,
    st.sampled_from(["jti", "sid", "sub", "session", "key", "all"]),
    st.sampled_from(["", ISSUER]),
    st.sampled_from(["a", "\ud800", "\udc00", "\ud800\udc00", "\U00010000", "é" * 9]),
    st.sampled_from([-1.0, 0.0, 3.0, 3.0004, 5.0, inf, nan]),
    st.sampled_from([-1.0, 0.0, 2.5, 3.0, 3.25, 255.9, 256.0, 1e12, inf, nan]),
    st.none()
    | st.just(AS_WRITTEN)
    | st.tuples(
        st.sampled_from([f"e{index}" for index in range(300)]),
        st.sampled_from([0, 4, 2**48 - 1, 2**48, 10**30]),
    ),
)
STEPS = st.lists(ODD | st.sampled_from([0.0, 2.9, 3.1, 256.0, 1e13]), max_size=12)
NAMES = ["a", "\ud800", "\udc00", "\ud800\udc00", "\U00010000", "é" * 9]
ODD_PEOPLE = [
    identity(kind=kind, subject=name, sid=name, session_id=name, issued_at=at, jti=name, position=position)
    for name in NAMES
    for kind in ("session", "bearer", "key")
    for at, position in ((0.0, None), (3.0, ("e0", 3)), (9.0, ("e1", 2**48)))
]


class Unpacked(Covers):
    """Keeps each cover as it is."""

    def pack(self, cover: Cover) -> Held:
        """Return it unchanged."""
        return cover


def spelled(denylist: Denylist, now: float) -> list[str]:
    """Return what it holds, whatever the order."""
    return sorted(map(repr, denylist.entries(now)))


@given(STEPS)
def test_what_is_packed_is_what_it_was(steps):
    """[10.hold.3]: packed or not, times of any kind, any seq and many epochs: the same verdicts, always."""
    packed, plain = Denylist(), Denylist()
    plain._packing = Unpacked()
    for step in steps:
        for denylist in (packed, plain):
            if isinstance(step, float):
                denylist.expire(step)
            else:
                denylist.add(step)
        assert (len(packed), packed.version) == (len(plain), plain.version)
        assert spelled(packed, -9.0) == spelled(plain, -9.0)
        for now in (-2.0, 2.7, 3.1, 300.0):
            for who in ODD_PEOPLE:
                assert packed.judge(who, now) == plain.judge(who, now)


@given(STEPS)
def test_the_version_changes_with_what_is_refused(steps):
    """[10.hold.3]: whoever has cleared somebody at a version need not ask again while it stays."""
    denylist = Denylist()
    before: tuple[int, list[bool]] = (-1, [])
    for step in steps:
        now = step if isinstance(step, float) else 0.0
        if isinstance(step, float):
            denylist.expire(step)
        else:
            denylist.add(step)
        after = (denylist.version, [denylist.judge(who, now) for who in ODD_PEOPLE])
        if after[0] == before[0] and not isinstance(step, float):
            assert after[1] == before[1]
        before = after if not isinstance(step, float) else (-1, [])


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(-5, 2000)), max_size=30), st.data())
def test_due_gives_each_name_in_its_time(names, data):
    """A name is given by its moment, and never twice unless it was given back; none is lost."""
    due, at = Due(), {f"{letter}{index}".encode(): moment for index, (letter, moment) in enumerate(names)}
    for name, moment in at.items():
        due.add(moment, name)
    end = -10.0
    while at:
        end += data.draw(st.floats(0.1, 400))
        # a clock that is set back for a moment changes nothing
        for now in (end, end - data.draw(st.floats(0, 600)), end):
            taken = due.take(now)
            assert len(taken) == len(set(taken))
            assert {name for name, moment in at.items() if moment <= now} <= set(taken) <= at.keys()
            for name in taken:
                if at[name] > now:
                    due.add(at[name], name)
                else:
                    del at[name]
    assert not due.take(inf)


@given(st.lists(ENTRIES, max_size=8), st.lists(ENTRIES, max_size=8), st.integers(1, 3))
def test_what_a_snapshot_lacks_is_given_back(held, shown, size):
    """R44: whatever the replica holds beyond what a snapshot shows, page by page; not what it shows whole."""
    replica, snapshot = merged(held), merged(shown)
    unseen = Unseen(replica)
    lacking = []
    for entry in replica.entries(-1.0):
        before, expires = snapshot.times_of(entry) or (-1e12, -1e12)
        if entry.before > before or entry.expires > expires:
            lacking.append(entry)
    for start in range(0, len(shown), size):
        page = shown[start : start + size]
        for entry in page:
            replica.add(entry)
        unseen.see(page)
    left = unseen.left(-1.0)
    given = {place_of(each) for each in left}
    assert {place_of(each) for each in lacking} <= given <= {place_of(each) for each in held}
    # the widest of its name, shown by one entry
    whole = {place_of(each) for each in shown if (each.before, each.expires) == replica.times_of(each)}
    assert not given & whole
