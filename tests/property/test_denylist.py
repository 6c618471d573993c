"""Properties of the denylist replica."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from tests.support.pure import ISSUER, identity

TIMES = st.integers(0, 6).map(float)
VALUES = st.sampled_from(["", "a", "b"])
ENTRIES = st.builds(
    DenyEntry,
    st.sampled_from(["jti", "sid", "sub", "session", "all"]),
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
