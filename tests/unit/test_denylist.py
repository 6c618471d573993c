"""The local replica of the denylist."""

from math import inf, nan

import pytest

from gateway.core.denylist import Denylist
from gateway.core.model import DenyEntry, Session
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
        (DenyEntry("sid", ISSUER, "sid1", NOW - 101, NOW + 9), False, False),
        (DenyEntry("sid", "https://other.example", "sid1", NOW, NOW + 9), False, False),
        (DenyEntry("sub", ISSUER, "alice", NOW - 100, NOW + 9), True, True),
        (DenyEntry("sub", ISSUER, "alice", NOW - 100.5, NOW + 9), False, False),
        (DenyEntry("sub", ISSUER, "bob", NOW, NOW + 9), False, False),
        (DenyEntry("sub", "https://other.example", "alice", NOW, NOW + 9), False, False),
        (DenyEntry("sub", ISSUER, "alice", NOW, NOW), False, False),
        (DenyEntry("all", "", "", NOW, NOW + 9), True, True),
        (DenyEntry("all", ISSUER, "", NOW, NOW + 9), True, True),
        (DenyEntry("all", ISSUER, "", NOW - 101, NOW + 9), False, False),
        (DenyEntry("all", "https://other.example", "", NOW, NOW + 9), False, False),
        (DenyEntry("all", "", "", NOW, NOW - 1), False, False),
    ],
)
def test_r44_table(entry: DenyEntry, bearer: bool, session: bool):
    """R44: whom each kind of entry names; issued at or before is refused, expired holds no more."""
    denylist = listed(entry)
    assert denylist.judge(WHO, NOW) is bearer
    assert denylist.judge_session(SESSION, NOW) is session


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
    assert not denylist._queue


def test_extending_again_and_again_costs_no_memory():
    """The queue of expiries stays in proportion to the entries."""
    denylist = Denylist()
    for index in range(5000):
        denylist.add(DenyEntry("sub", ISSUER, f"u{index % 10}", index, NOW + index))
    assert len(denylist) == 10
    assert len(denylist._queue) < 200
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
