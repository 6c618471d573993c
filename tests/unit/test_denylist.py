"""The local replica of the denylist."""

from dataclasses import replace
from math import inf, nan

import pytest

from gateway.core.access.session import identity_of
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.core.sessions.model import Session
from tests.support.pure import ISSUER, NOW, identity

SESSION = Session(
    session_id="s1",
    provider="corporate",
    issuer=ISSUER,
    subject="alice",
    sid="sid1",
    claims={},
    scopes=frozenset(),
    login_at=NOW - 100,
    ends_at=NOW + 1000,
    seen_at=NOW,
    renewed_at=NOW,
    access_expires_at=NOW + 100,
)
WHO = identity(jti="j1", sid="sid1")


def listed(*entries: DenyEntry) -> Denylist:
    """Return a replica that holds these entries."""
    denylist = Denylist()
    for entry in entries:
        denylist.add(entry)
    return denylist


@pytest.mark.parametrize(
    ("entry", "bearer", "session"),
    [
        (DenyEntry("jti", ISSUER, "j1", 0, NOW + 9), True, False),
        (DenyEntry("jti", ISSUER, "j2", NOW, NOW + 9), False, False),
        (DenyEntry("jti", "https://other.example", "j1", NOW, NOW + 9), False, False),
        (DenyEntry("session", "", "s1", 0, NOW + 9), False, True),
        (DenyEntry("session", "", "s2", NOW, NOW + 9), False, False),
        (DenyEntry("sid", ISSUER, "sid1", NOW, NOW + 9), True, True),
        (DenyEntry("sid", ISSUER, "sid1", NOW - 105.5, NOW + 9), False, False),
        (DenyEntry("sid", "https://other.example", "sid1", NOW, NOW + 9), False, False),
        (DenyEntry("sub", ISSUER, "alice", NOW - 100, NOW + 9), True, True),
        (DenyEntry("sub", ISSUER, "alice", NOW - 100.5, NOW + 9), False, True),
        (DenyEntry("sub", ISSUER, "alice", NOW - 105, NOW + 9), False, True),
        (DenyEntry("sub", ISSUER, "alice", NOW - 105.5, NOW + 9), False, False),
        (DenyEntry("sub", ISSUER, "bob", NOW, NOW + 9), False, False),
        (DenyEntry("sub", "https://other.example", "alice", NOW, NOW + 9), False, False),
        (DenyEntry("sub", ISSUER, "alice", NOW, NOW), False, False),
        (DenyEntry("all", "", "", NOW, NOW + 9), True, True),
        (DenyEntry("all", ISSUER, "", NOW, NOW + 9), True, True),
        (DenyEntry("all", ISSUER, "", NOW - 105.5, NOW + 9), False, False),
        (DenyEntry("all", "https://other.example", "", NOW, NOW + 9), False, False),
        (DenyEntry("all", "", "", NOW, NOW - 1), False, False),
    ],
)
def test_r44_table(entry: DenyEntry, bearer: bool, session: bool):
    """R44: whom each kind of entry names by time; expired holds no more.

    What was issued at or before is refused, of sessions what began until 5 s after.
    """
    denylist = listed(entry)
    assert denylist.judge(WHO, NOW) is bearer
    assert denylist.judge_session(SESSION, NOW) is session


def _begun(position, login_at=NOW) -> Session:
    return replace(SESSION, position=position, login_at=login_at)


@pytest.mark.parametrize("kind", ["sid", "sub", "all"])
@pytest.mark.parametrize("clock", [-3600.0, 0.0, 1.0, 3600.0], ids=str)
@pytest.mark.parametrize(
    ("position", "ends"),
    [(("e", 6), True), (("e", 0), True), (("e", 7), False), (("e", 8), False)],
    ids=str,
)
def test_r66_what_came_first_is_told_by_position(kind, clock, position, ends):
    """R66 [1.4]: in one epoch the position alone decides, whatever either clock says."""
    value = {"sid": "sid1", "sub": "alice", "all": ""}[kind]
    denylist = listed(DenyEntry(kind, ISSUER, value, NOW, NOW + 9, ("e", 7)))
    session = _begun(position, NOW + clock)
    assert denylist.judge_session(session, NOW) is ends
    assert denylist.judge(identity_of(session, {}, frozenset()), NOW) is ends
    assert denylist.judge_login(ISSUER, "alice", "sid1", position, NOW + clock, NOW) is ends


@pytest.mark.parametrize("position", [None, ("other", 0), ("other", 99)], ids=str)
@pytest.mark.parametrize(("after", "ends"), [(-9.0, True), (0.0, True), (5.0, True), (5.5, False)])
def test_r66_without_a_common_epoch_time_decides(position, after, ends):
    """R66 [1.4]: without a position, or in another epoch, by time and 5 s."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 9, ("e", 7)))
    assert denylist.judge_session(_begun(position, NOW + after), NOW) is ends


def test_r66_entries_of_several_epochs_are_each_judged_by_their_own_rule():
    """R66 [1.4]: written before and after the store lost its data, and one that goes by time."""
    old = DenyEntry("sub", ISSUER, "alice", NOW, NOW + 9, ("old", 7))
    new = DenyEntry("sub", ISSUER, "alice", NOW + 100, NOW + 9, ("new", 2))
    timed = DenyEntry("sub", ISSUER, "alice", NOW + 300, NOW + 9)
    for entries in ((old, new), (new, old)):
        denylist = listed(*entries)
        for position, at, ends in (
            (("old", 6), NOW + 200, True),
            (("old", 7), NOW + 50, True),
            (("old", 7), NOW + 106, False),
            (("new", 1), NOW + 200, True),
            (("new", 2), NOW + 3, True),
            (("new", 2), NOW + 6, False),
        ):
            assert denylist.judge_session(_begun(position, at), NOW) is ends
        denylist.add(timed)
        assert denylist.judge_session(_begun(("new", 99), NOW + 305), NOW)
        assert not denylist.judge_session(_begun(("new", 99), NOW + 306), NOW)


def test_r66_an_entry_that_is_not_written_yet_ends_whatever_there_is():
    """R66 [1.4]: any position to come is later than all there are; written, it counts by what it got."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 9, AS_WRITTEN))
    later = _begun(("e", 99), NOW + 1000)
    assert denylist.judge_session(later, NOW)
    denylist.add(DenyEntry("sub", ISSUER, "alice", NOW - 100, NOW + 9, ("e", 3)))
    assert denylist.judge_session(later, NOW)
    # of a gateway whose clock is ahead
    denylist.add(DenyEntry("sub", ISSUER, "alice", NOW + 3, NOW + 9, ("e", 5)))
    assert denylist.judge_session(later, NOW)
    version = denylist.version
    denylist.add(DenyEntry("sub", ISSUER, "alice", round(NOW, 3), NOW + 9, ("e", 99)))
    assert denylist.version > version
    assert not denylist.judge_session(later, NOW)
    assert denylist.judge_session(_begun(("e", 98), NOW + 1000), NOW)
    assert [each.position for each in denylist.entries(NOW)] == [("e", 99)]


def test_r66_an_entry_that_is_told_again_ends_nothing_that_began_since():
    """R66 [1.4]: by another worker, or after an answer that was lost; one that is another does."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 9, ("e", 3)))
    since, version = _begun(("e", 3)), denylist.version
    denylist.add(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 9, AS_WRITTEN))
    assert not denylist.judge_session(since, NOW)
    assert denylist.version == version
    denylist.add(DenyEntry("sub", ISSUER, "alice", NOW - 3, NOW + 9, AS_WRITTEN))
    assert denylist.judge_session(since, NOW)


def test_r66_bearer_tokens_are_judged_by_time_whatever_the_position():
    """R66 [1.4]: they have their provider's clock alone."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 9, ("e", 7)))
    assert denylist.judge(identity(issued_at=NOW), NOW)
    assert not denylist.judge(identity(issued_at=NOW + 0.5), NOW)


def test_a_token_without_iat_is_the_oldest_of_all():
    """Absent counts as 0."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", 0, NOW + 9))
    assert denylist.judge(identity(issued_at=0), NOW)
    assert not denylist.judge(identity(issued_at=1), NOW)


def test_a_session_seen_as_an_identity_is_judged_alike():
    """Its id and login time go along."""
    who = identity(kind="session", session_id="s1", sid="sid1", issued_at=NOW - 100)
    assert listed(DenyEntry("session", "", "s1", 0, NOW + 9)).judge(who, NOW)


def test_an_identity_without_sid_or_jti_matches_no_empty_value():
    """None is not the empty string."""
    denylist = listed(DenyEntry("sid", ISSUER, "", NOW, NOW + 9), DenyEntry("jti", ISSUER, "", NOW, NOW + 9))
    denylist.add(DenyEntry("session", "", "", NOW, NOW + 9))
    assert not denylist.judge(identity(), NOW)


def test_merging_keeps_the_later_of_each():
    """The wider of both entries; the version tells of changes alone."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 5))
    version = denylist.version
    denylist.add(DenyEntry("sub", ISSUER, "alice", NOW - 50, NOW + 5))
    assert denylist.version == version
    denylist.add(DenyEntry("sub", ISSUER, "alice", NOW - 50, NOW + 50))
    assert denylist.version > version
    assert list(denylist.entries(NOW)) == [DenyEntry("sub", ISSUER, "alice", NOW, NOW + 50)]
    assert len(denylist) == 1


def test_expired_entries_leave():
    """They leave when told the time, an extended one not before its new time."""
    denylist = listed(
        DenyEntry("jti", ISSUER, "a", 0, NOW + 1),
        DenyEntry("jti", ISSUER, "b", 0, NOW + 2),
        DenyEntry("session", "", "a", 0, NOW + 1),
    )
    denylist.add(DenyEntry("jti", ISSUER, "a", 0, NOW + 3))
    assert list(denylist.entries(NOW + 1)) == [
        DenyEntry("jti", ISSUER, "a", 0, NOW + 3),
        DenyEntry("jti", ISSUER, "b", 0, NOW + 2),
    ]
    version = denylist.version
    assert (denylist.expire(NOW), denylist.version) == (0, version)
    assert (denylist.expire(NOW + 1), len(denylist)) == (1, 2)
    assert denylist.version > version
    assert denylist.judge(identity(jti="a"), NOW + 2)
    assert (denylist.expire(NOW + 3), len(denylist)) == (2, 0)
    assert not denylist._due


def test_extending_again_and_again_costs_no_memory():
    """Each entry has one place in the queue of expiries."""
    denylist = Denylist()
    for index in range(5000):
        denylist.add(DenyEntry("sub", ISSUER, f"u{index % 10}", index, NOW + index))
    assert len(denylist) == 10
    (due,) = denylist._due.values()
    assert sum(map(len, due._buckets.values())) == 10
    assert denylist.expire(NOW + 5000) == 10


def test_r61_freshness():
    """R61: never synchronised is stale; so is too long ago, and a clock that was set back."""
    denylist = Denylist()
    assert not denylist.is_fresh(NOW, 10)
    denylist.synchronised_at = NOW
    for at, fresh in ((NOW, True), (NOW + 10, True), (NOW + 11, False), (NOW - 1, True), (NOW - 11, False)):
        assert denylist.is_fresh(at, 10) is fresh


@pytest.mark.parametrize("bad", [nan, inf])
def test_times_that_are_no_numbers_refuse_more(bad: float):
    """A broken entry fails closed and breaks nothing."""
    denylist = listed(DenyEntry("sub", ISSUER, "alice", bad, bad), DenyEntry("jti", ISSUER, "j", 0, NOW))
    assert denylist.judge(WHO, NOW + 1e9)
    assert denylist.expire(NOW) == 1


def test_more_epochs_than_are_numbered():
    """Three hundred losses of the store's data: each entry is still judged by its own epoch's place."""
    denylist = listed(
        *(DenyEntry("sub", ISSUER, f"u{index}", NOW, NOW + 9, (f"epoch {index}", 5)) for index in range(300))
    )
    for index in range(300):
        for seq, over in ((4, True), (5, False)):
            position = (f"epoch {index}", seq)
            who = identity(kind="session", subject=f"u{index}", issued_at=NOW, position=position)
            assert denylist.judge(who, NOW) is over
    assert [each.position for each in denylist.entries(NOW)] == [
        (f"epoch {index}", 5) for index in range(300)
    ]
