"""Which generation of a session counts, and what a browser is given of it."""

import os
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.access import generations
from gateway.core.decide import decide, due_cookies, timely_cookies
from gateway.core.decision.answers import Forward, Refuse, Respond
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Confirm, Refresh
from gateway.core.headers.request import Request
from gateway.core.provider import TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions import codec, renewal
from gateway.core.sessions.model import Grant, Renewed, Session, SessionOver
from tests.support.decisions import compiled, remembered
from tests.support.pure import ISSUER, NOW, PREFIX

KNOWN = compiled()
PROVIDER = KNOWN.providers["corporate"]
SESSION = Session(
    session_id="session-1",
    provider="corporate",
    issuer=ISSUER,
    subject="alice",
    sid="sid-1",
    claims={"sub": "alice", "groups": ["admins"]},
    scopes=frozenset({"openid"}),
    login_at=NOW - 100,
    ends_at=NOW + 100_000,
    seen_at=NOW - 10,
    renewed_at=NOW - 10,
    access_expires_at=NOW + 500,
)
SESSIONS: list[Session] = [
    replace(SESSION, generation=n, claims={"sub": "alice", "groups": ["admins"] if n == 0 else ["staff"]})
    for n in range(5)
]
GRANTS = [Grant("session-1", 0, "refresh-0")]
for _n in range(1, 5):
    _led = renewal.rotation_id(PROVIDER, GRANTS[-1])
    GRANTS.append(Grant("session-1", _n, f"refresh-{_n}", (_led,)))
CLAIMS = [renewal.rotation_id(PROVIDER, grant) for grant in GRANTS]
CURRENT = [Renewed(session, grant) for session, grant in zip(SESSIONS, GRANTS, strict=True)]
ORIGIN = "https://app.example.com"


def knowing(
    news: dict[str, Any] | None = None, superseded: tuple[str, ...] = (), facts: Any = None
) -> Knowledge:
    denylist = Denylist()
    denylist.synchronised_at = NOW
    return Knowledge(
        KNOWN,
        {},
        denylist,
        Memory(),
        (news or {}).get,
        lambda _: False,
        facts if facts is not None else {},
        superseded.__contains__,
    )


def request(session: int, grant: int | None, path: bytes = b"/admin/x", **changes: Any) -> Request:
    """Return a request that presents the session and the refresh cookie of these generations."""
    payload = codec.encode_session(replace(SESSIONS[session], **changes))
    parts = [f"{PREFIX}session={KNOWN.ring.seal(f'session {ORIGIN}', payload, os.urandom(12))}"]
    if grant is not None:
        payload = codec.encode_grant(GRANTS[grant])
        parts.append(f"{PREFIX}refresh={KNOWN.ring.seal(f'refresh {ORIGIN}', payload, os.urandom(12))}")
    host = b"app.example.com"
    sent = ((b"Host", host), (b"Cookie", "; ".join(parts).encode()))
    return Request(b"GET", path, host, sent, "192.0.2.1")


def ask(req: Request, knowledge: Knowledge | None = None) -> Any:
    return decide(req, knowledge if knowledge is not None else knowing(), NOW, "r")


def given(changes: Any) -> list[int]:
    """Return the generations of the session cookies among these changes."""
    found = [codec.decode_session(each.value.payload) for each in changes if each.name == f"{PREFIX}session"]
    return [each.generation for each in found if each is not None]


@pytest.mark.parametrize(("session", "grant"), [(0, 0), (1, 0), (3, 3), (4, 3)])
def test_r69_a_pair_that_fits(session: int, grant: int):
    """R69 [1.26]: of one generation, or the session's one newer: it goes on as it is."""
    assert isinstance(ask(request(session, grant, b"/x")), Forward)


@pytest.mark.parametrize(("session", "grant"), [(0, 1), (0, 4), (3, 4), (2, 0), (4, 1)])
def test_r69_a_pair_that_does_not_fit(session: int, grant: int):
    """R69 [1.26]: it is asked anew at once, and a refresh that tells nothing leaves no right of before."""
    req = request(session, grant)
    need = ask(req)
    assert isinstance(need, Refresh)
    assert need.rotation_id == CLAIMS[grant]
    assert not need.session.claims
    assert not need.session.scopes
    outcome = renewal.renew(
        KNOWN.providers["corporate"],
        need.session,
        need.grant,
        need.rotation_id,
        TokenSet("a", 60, "r"),
        None,
        None,
        NOW,
    )
    assert isinstance(outcome, Renewed)
    assert "groups" not in outcome.session.claims
    assert outcome.session.generation > max(session, grant)
    answer = ask(req, knowing(facts={need: outcome}))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.GROUP_MISSING


def test_r69_the_newest_known_result_answers():
    """R69 [1.26]: the demoted person's old session cookie counts for nothing, and no call is made."""
    for news in ({CLAIMS[0]: CURRENT[1]}, {CLAIMS[1]: CURRENT[2]}):
        answer = ask(request(0, 1), knowing(news))
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.GROUP_MISSING
    answer = ask(request(0, 1, b"/x"), knowing({CLAIMS[0]: CURRENT[1]}))
    assert isinstance(answer, Forward)
    assert answer.identity is not None
    assert answer.identity.claims["groups"] == ["staff"]
    assert given(answer.cookies) == [1]
    # what led to another grant is not this one's session
    other = Renewed(SESSIONS[1], replace(GRANTS[1], refresh_token="another"))
    assert isinstance(ask(request(0, 1), knowing({CLAIMS[0]: other})), Refresh)


def test_r69_nothing_is_remembered_of_such_a_pair():
    """R69 [1.26]: each of its requests is decided: what it was answered from is forgotten after a while."""
    knowledge = knowing({CLAIMS[0]: CURRENT[1]})
    answer = ask(request(0, 1, b"/x"), knowledge)
    assert isinstance(answer, Forward)
    assert [each.kept for each in remembered(knowledge)] == [None]


def test_r69_without_a_refresh_cookie_a_session_is_itself():
    """R69 [1.26]: there is nothing to compare it with; it ends with its access token."""
    assert isinstance(ask(request(0, None, b"/x")), Forward)
    gone = ask(request(0, None, b"/x", access_expires_at=NOW))
    assert gone.reason is Reason.SESSION_EXPIRED


def test_r75_only_the_newest_generation_rides():
    """R75 [1.13]: a late answer to generation 0 gives the newest when its head is sent, not the next."""
    forward = ask(request(0, 0, b"/x", access_expires_at=NOW + 2))
    assert isinstance(forward, Forward)
    assert isinstance(forward.background[0], Refresh)
    for newest in (1, 2, 4):
        news = {CLAIMS[n]: CURRENT[n + 1] for n in range(newest)}
        assert given(due_cookies(forward, knowing(news), NOW + 1)) == [newest]
        # decided when generation 1 was known, sent when more was
        early = ask(request(0, 0, b"/x"), knowing({CLAIMS[0]: CURRENT[1]}))
        assert given(early.cookies) == [1]
        assert given(due_cookies(early, knowing(news), NOW + 1)) == [newest]


def test_r75_nothing_rides_where_a_newer_generation_is_elsewhere():
    """R75 [1.13]: another worker has made it: this one knows that, and gives nothing older."""
    forward = ask(request(0, 0, b"/x", access_expires_at=NOW + 2))
    known = {CLAIMS[0]: CURRENT[1]}
    assert given(due_cookies(forward, knowing(known, (CLAIMS[0],)), NOW)) == [1]
    assert due_cookies(forward, knowing(known, (CLAIMS[0], CLAIMS[1])), NOW) == ()
    # not even the note that the session was in use
    touched = ask(request(0, 0, b"/x", seen_at=NOW - 4 * 3600))
    assert given(touched.cookies) == [0]
    assert due_cookies(touched, knowing({}, (CLAIMS[0],)), NOW) == ()


def test_r69_what_another_worker_has_made_is_asked_for():
    """R69 [1.26]: a saved pair of the generation before is no way round, however fresh its token."""
    for news, claim in (({}, CLAIMS[0]), ({CLAIMS[0]: CURRENT[1]}, CLAIMS[1])):
        need = ask(request(0, 0, b"/x"), knowing(news, (claim,)))
        assert isinstance(need, Refresh)
        assert need.rotation_id == claim
        forward = ask(request(0, 0, b"/x"), knowing(news, (claim,), {need: CURRENT[2]}))
        assert isinstance(forward, Forward)
        assert given(forward.cookies) == [2]
    # and what was decided before it was made is not remembered any longer
    knowledge = knowing()
    forward = ask(request(0, 0, b"/x"), knowledge)
    found = remembered(knowledge)[0].kept
    assert found is not None
    assert found.holds(knowledge, NOW)
    later = replace(knowledge, superseded={CLAIMS[0]}.__contains__)
    assert not found.holds(later, NOW)


def test_r75_what_is_forgotten_by_then_does_not_ride():
    """R75 [1.13]: nobody can tell any more whether the generation that it was decided by is the newest."""
    early = ask(request(0, 0, b"/x"), knowing({CLAIMS[0]: CURRENT[1]}))
    assert given(early.cookies) == [1]
    assert due_cookies(early, knowing(), NOW + 29, 29) == ()
    misfit = ask(request(0, 1, b"/x"), knowing({CLAIMS[0]: CURRENT[1]}))
    assert given(due_cookies(misfit, knowing({CLAIMS[0]: CURRENT[1]}), NOW)) == [1]
    assert due_cookies(misfit, knowing(), NOW) == ()


@pytest.mark.parametrize(("age", "rides"), [(0, True), (30, True), (30.1, False), (55, False)])
def test_r75_a_late_answer_gives_nothing(age: float, rides: bool):
    """R75 [1.13]: beyond half of the grace, whatever is known by then."""
    news = {CLAIMS[0]: CURRENT[1]}
    forward = ask(request(0, 0, b"/x", access_expires_at=NOW + 2))
    assert bool(due_cookies(forward, knowing(news), NOW, age)) is rides
    refused = ask(request(0, 0), knowing(news))
    assert isinstance(refused, Refuse)
    assert bool(timely_cookies(refused, knowing(news), age)) is rides
    told = ask(request(0, 0, b"/.gateway/userinfo"), knowing(news))
    assert isinstance(told, Respond)
    assert bool(timely_cookies(told, knowing(news), age)) is rides
    login = Respond(Reason.LOGIN_COMPLETED, 303, cookies=told.cookies)
    assert timely_cookies(login, knowing(news), age)


def test_r75_an_ended_session_rides_nowhere():
    """R75 [1.13]: the newest that is known may be that it is over."""
    forward = ask(request(0, 0, b"/x", access_expires_at=NOW + 2))
    news = {CLAIMS[0]: CURRENT[1], CLAIMS[1]: SessionOver(Reason.SESSION_ENDED)}
    assert due_cookies(forward, knowing(news), NOW) == ()
    ended = ask(request(0, 0, b"/x"), knowing(news))
    assert isinstance(ended, Refuse)
    assert ended.reason is Reason.SESSION_ENDED


def test_r75_a_session_that_was_replaced_rides_nowhere():
    """R75 [1.29]: after a later login of that browser, at any worker, its answers give and clear nothing."""
    replaced = (generations.replacement("session-1"),)
    news = {CLAIMS[0]: CURRENT[1]}
    forward = ask(request(0, 0, b"/x", access_expires_at=NOW + 2))
    assert due_cookies(forward, knowing(news, replaced), NOW) == ()
    assert ask(request(0, 0, b"/x"), knowing(news, replaced)).cookies == ()
    assert ask(request(0, 0), knowing(news, replaced)).cookies == ()
    revoked = knowing({}, replaced)
    revoked.denylist.add(DenyEntry("session", "", "session-1", NOW, NOW + 100))
    refused = ask(request(0, 0, b"/x"), revoked)
    assert refused.reason is Reason.REVOKED
    assert refused.cookies == ()


def test_r75_cookies_are_cleared_only_by_answers_that_did_not_wait():
    """R75 [1.29]: B has logged in while A's request waited: A's refusal must not clear B's cookies."""
    req = request(0, 0, b"/x", access_expires_at=NOW)
    need = ask(req)
    assert isinstance(need, Refresh)
    for reason in (Reason.SESSION_ENDED, Reason.SESSION_REUSED, Reason.REVOKED, Reason.SESSION_TOO_LARGE):
        assert ask(req, knowing(facts={need: SessionOver(reason)})).cookies == ()
        assert {each.value for each in ask(req, knowing({CLAIMS[0]: SessionOver(reason)})).cookies} == {None}
    revoked = knowing(facts={need: CURRENT[1]})
    revoked.denylist.add(DenyEntry("session", "", "session-1", NOW, NOW + 100))
    assert ask(req, revoked).cookies == ()


def test_a_touch_confirms_as_before():
    """What rides or not, a rotation is confirmed by the cookie that it led to."""
    answer = ask(request(1, 1, b"/x"), knowing({}, (generations.replacement("session-1"),)))
    assert answer.background == (Confirm((CLAIMS[0],), SESSION.ends_at),)


def renewed(old: Request, knowledge: Knowledge, now: float = NOW, more: str = "") -> Forward:
    """Decide a request once more, with more cookies beside its own."""
    host, (_, cookies) = old.headers
    req = Request(b"GET", b"/x", old.host, (host, (b"Cookie", cookies + more.encode())), old.peer)
    found = decide(req, knowledge, now, "r")
    assert isinstance(found, Forward)
    return found


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (True, 1),
        (1, True),
        (1, 1.0),
        ([True], [1]),
        ({"x": [True]}, {"x": [1]}),
    ],
)
def test_r69_claims_of_another_type_are_another_identity(first: Any, then: Any):
    """R69, R26 [11.1, 11.9]: what was found of ``true`` says nothing of 1, which a renewal has brought."""
    known: dict[str, Any] = {
        CLAIMS[0]: Renewed(replace(SESSION, generation=1, claims={"x": first}), GRANTS[1])
    }
    knowledge = replace(knowing(), recent_outcome=known.get)
    old = request(0, 0, b"/x")
    assert renewed(old, knowledge).identity is renewed(old, knowledge).identity
    known[CLAIMS[1]] = Renewed(replace(SESSION, generation=2, claims={"x": then}), GRANTS[2])
    identity = renewed(old, knowledge).identity
    assert identity is not None
    assert repr(identity.claims["x"]) == repr(then)


def unremembered(forward: Forward) -> Forward:
    """Return a decision of which nothing is kept."""
    assert forward.live is not None
    live = replace(forward.live, kept=None)
    return Forward(forward.context, forward.route, forward.reason, forward.target, [], forward.identity, live)


def test_r75_what_an_old_cookie_is_given_is_worked_out_once_a_second():
    """R75 [10.figures]: judged once while generation 1 is the newest; Max-Age is right to the second."""
    knowledge = knowing({CLAIMS[0]: CURRENT[1]})
    old = request(0, 0, b"/x")
    first = renewed(old, knowledge)
    for now in (NOW, NOW + 0.5, NOW + 1, NOW + 1.5, NOW + 7.25):
        forward = renewed(old, knowledge, now)
        assert forward.identity is first.identity
        due = due_cookies(forward, knowledge, now)
        assert given(forward.cookies) == given(due) == [1]
        assert {each.max_age for each in (*due, *forward.cookies)} == {int(SESSION.ends_at - now)}
    assert due_cookies(first, knowledge, NOW + 7.25) is due_cookies(forward, knowledge, NOW + 7.5)
    assert due == due_cookies(unremembered(first), knowledge, NOW + 7.25)


@pytest.mark.parametrize(
    "news", ["newer", "elsewhere", "replaced", "forgotten", "ended", "denied", "due", "back"]
)
def test_r75_it_is_worked_out_anew_once_something_has_changed(news: str):
    """R75 [10.figures]: never longer than it is the newest known, and nothing of what was revoked."""
    known, superseded = {CLAIMS[0]: CURRENT[1]}, set[str]()
    knowledge = replace(knowing(), recent_outcome=known.get, superseded=superseded.__contains__)
    old = request(0, 0, b"/x")
    early = renewed(old, knowledge)
    kept = remembered(knowledge)[0].kept
    assert kept is not None
    assert kept.holds(knowledge, NOW)
    now = NOW
    match news:
        case "newer":
            known[CLAIMS[1]] = CURRENT[2]
        case "elsewhere":
            superseded.add(CLAIMS[1])
        case "replaced":
            superseded.add(generations.replacement("session-1"))
        case "forgotten":
            del known[CLAIMS[0]]
        case "ended":
            known[CLAIMS[0]] = SessionOver(Reason.SESSION_ENDED)
        case "denied":
            knowledge.denylist.add(DenyEntry("session", "", "session-1", NOW, NOW + 100))
        case "due":
            now = SESSION.access_expires_at
        case "back":
            now = NOW - 1
    assert not kept.holds(knowledge, now)
    assert due_cookies(early, knowledge, now) == due_cookies(unremembered(early), knowledge, now)
    assert decide(old, knowledge, now, "r") == decide(request(0, 0, b"/x"), knowledge, now, "r")


def test_r75_what_one_browser_is_given_is_no_other_browsers():
    """R75 [10.figures]: which leftovers are cleared goes by what this very request has sent."""
    knowledge = knowing({CLAIMS[0]: CURRENT[1]})
    old = request(0, 0, b"/x")
    for more, presented in (("", 0), (f"; {PREFIX}session-3=x", 1), ("", 0)):
        forward = renewed(old, knowledge, more=more)
        for changes in (forward.cookies, due_cookies(forward, knowledge, NOW)):
            assert sum(name.endswith("-3") for each in changes for name in each.presented) == presented
