"""Logout by the person: here, everywhere, and on the way over the provider."""

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Refuse, Respond
from gateway.core.decision.context import Context, Knowledge, Memory
from gateway.core.decision.needs import Body, EndSession, Random, Revoke, RevokeToken
from gateway.core.endpoints import id_token_hint
from gateway.core.fault import Fault
from gateway.core.headers.cookies import MOST_BYTES, CookieChange, Seal, set_cookie_lines
from gateway.core.headers.request import Request
from gateway.core.provider import ProviderMetadata
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, Renewed
from gateway.oauth import revocation
from gateway.oauth.errors import MessageError
from gateway.oauth.logout import build_request
from tests.support.jose import ISSUER, NOW
from tests.support.logout import (
    END_SESSION,
    FORM,
    GRANT,
    NAVIGATE,
    ORIGIN,
    PREFIX,
    SCOPED,
    SESSION,
    Desk,
    compiled,
    cookie,
    sealed,
)
from tests.support.pure import response_headers

KNOWN = compiled()
HERE = f"{ORIGIN}/.gateway/logged-out"
JSON_TYPE = (b"Content-Type", b"application/json")


def hint(session_id: str = "session-1") -> str:
    return sealed(KNOWN, "hint", json.dumps([session_id, "the-id-token"]).encode())


def remembered(state: str = "the-state", at: float = NOW - 5) -> str:
    return sealed(KNOWN, "logout", json.dumps([state, at]).encode())


def by_name(answer: Respond) -> dict[str, CookieChange]:
    return {change.name: change for change in answer.cookies}


def test_a_local_logout_asks_for_nothing_more():
    """R43: with ``logout: local`` the session is revoked, the cookies go, the browser stays here."""
    known = compiled(logout="local")
    desk = Desk(known)
    answer = desk.post("logout", *NAVIGATE, cookie(known))
    assert isinstance(answer, Respond)
    assert (answer.status, answer.location, answer.json) == (303, HERE, None)
    assert [type(need) for need in desk.needs] == [Body, Revoke]
    assert desk.denylist.judge_session(SESSION, NOW)
    assert not desk.denylist.judge_session(replace(SESSION, session_id="session-2"), NOW)
    assert {f"{PREFIX}session", f"{PREFIX}refresh"} <= by_name(answer).keys()
    assert {change.value for change in answer.cookies} == {None}
    assert answer.details == {"how": "local", "provider_logout": "none"}


def test_r50_the_way_over_the_provider():
    """R50: the session is dead first; then id_token_hint, client, return address and a sealed state."""
    desk = Desk(KNOWN)
    answer = desk.post("logout", *NAVIGATE, cookie(KNOWN, hint=hint()))
    assert isinstance(answer, Respond)
    assert (answer.status, answer.location) == (303, END_SESSION)
    assert [type(need) for need in desk.needs] == [Body, Revoke, Random, EndSession]
    asked = desk.needs[-1]
    assert isinstance(asked, EndSession)
    assert (asked.provider, asked.redirect_uri, asked.id_token_hint) == ("main", HERE, "the-id-token")
    assert len(asked.state) >= 43
    change = by_name(answer)[f"{SCOPED}logout"]
    assert isinstance(change.value, Seal)
    assert json.loads(change.value.payload)[0] == asked.state
    assert (change.path, change.max_age) == ("/.gateway/", 600)
    cleared = by_name(answer)[f"{SCOPED}hint"]
    assert (cleared.value, cleared.path) == (None, "/.gateway/")
    assert answer.details["provider_logout"] == "started"


@pytest.mark.parametrize("held", ["", "garbage", "other", "purpose", "list", "type"])
def test_a_hint_of_another_session_is_not_sent(held):
    """The hint is bound to its session id and its purpose; without one the client is named alone."""
    value = {
        "other": hint("session-2"),
        "purpose": sealed(KNOWN, "session", json.dumps(["session-1", "t"]).encode()),
        "list": sealed(KNOWN, "hint", b"[]"),
        "type": sealed(KNOWN, "hint", b'["session-1", 7]'),
    }.get(held, held)
    desk = Desk(KNOWN)
    answer = desk.post("logout", *NAVIGATE, cookie(KNOWN, hint=value))
    assert answer.location == END_SESSION
    assert desk.needs[-1].id_token_hint is None


@pytest.mark.parametrize(
    ("found", "word"),
    [("", "none"), (Fault("issuer", Reason.ISSUER_UNAVAILABLE, "down", 5), "unavailable")],
)
def test_r50_the_provider_is_down_or_has_no_such_endpoint(found, word):
    """R50: the local session is dead all the same, and the browser is told here."""
    desk = Desk(KNOWN)
    desk.end_session = found
    answer = desk.post("logout", *NAVIGATE, cookie(KNOWN, logout=remembered()))
    assert (answer.status, answer.location) == (303, HERE)
    assert desk.denylist.judge_session(SESSION, NOW)
    assert answer.details == {"how": "local", "provider_logout": word}
    assert by_name(answer)[f"{SCOPED}logout"].value is None


def test_scripts_get_the_address():
    """A script cannot follow a redirect to another origin: it is told where to navigate."""
    for headers in (
        (),
        ((b"Accept", b"application/json"),),
        ((b"Sec-Fetch-Mode", b"cors"), (b"Accept", b"text/html")),
    ):
        answer = Desk(KNOWN).post("logout", *headers, cookie(KNOWN))
        assert (answer.status, answer.location, answer.json) == (200, None, {"logout_url": END_SESSION})
    assert Desk(KNOWN).post("logout").json == {"logout_url": HERE}


def test_everywhere():
    """R44: what this person was issued until now ends, somebody else's and what comes later does not."""
    desk = Desk(KNOWN)
    answer = desk.post("logout", *NAVIGATE, cookie(KNOWN), body=b"everywhere=1")
    assert answer.details["how"] == "everywhere"
    elsewhere = replace(SESSION, session_id="session-2", sid="sid-2")
    assert desk.denylist.judge_session(SESSION, NOW)
    assert desk.denylist.judge_session(elsewhere, NOW)
    for other in (
        replace(elsewhere, subject="bob"),
        replace(elsewhere, issuer="https://other.example"),
        replace(elsewhere, position=desk.denylist.position),
    ):
        assert not desk.denylist.judge_session(other, NOW)
    (entry,) = [each for each in answer.revoked if each.kind == "sub"]
    assert entry.expires > NOW + KNOWN.settings.session.absolute_lifetime


@pytest.mark.parametrize("why", ["no session", "garbage", "expired", "idle", "revoked"])
def test_everywhere_needs_a_session_that_holds(why):
    """A copy of a session that has ended must not end those that came after it."""
    desk = Desk(KNOWN)
    session = {
        "no session": None,
        "expired": replace(SESSION, ends_at=NOW),
        "idle": replace(SESSION, seen_at=NOW - 8 * 3600),
    }.get(why, SESSION)
    headers = [cookie(KNOWN, session)]
    if why == "garbage":
        headers = [(b"Cookie", f"{PREFIX}session=garbage".encode())]
    if why == "revoked":
        desk.post("logout", *NAVIGATE, cookie(KNOWN))
    answer = desk.post("logout", *NAVIGATE, *headers, body=b"everywhere=1")
    assert isinstance(answer, Refuse)
    assert answer.cookies
    assert answer.login_url
    assert not any(entry.kind == "sub" for entry in desk.denylist.entries(NOW))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"everywhere=1&everywhere=1", FORM),
        (b"everywhere=0", FORM),
        (b"everywhere=", FORM),
        (b"everywhere", FORM),
        (b"\xff", FORM),
        (b"%ff=1", FORM),
        (b"&".join(b"f%d=1" % index for index in range(30)), FORM),
        (b'{"everywhere": true}', JSON_TYPE),
        (b"everywhere=1", (b"Content-Type", b"text/plain")),
        (b"everywhere=1", (b"X-Nothing", b"")),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body, content_type):
    """It might have asked for more than would be done: 400, and nothing is done."""
    desk = Desk(KNOWN)
    answer = desk.ask(b"POST", "logout", *NAVIGATE, cookie(KNOWN), content_type, body=body)
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.REQUEST_MALFORMED
    assert len(desk.denylist) == 0


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Origin", b"https://evil.example")],
        [(b"Origin", b"null")],
        [(b"Origin", ORIGIN.encode()), (b"Origin", ORIGIN.encode())],
        [(b"Origin", b"http://app.example.com")],
        [(b"Origin", ORIGIN.encode()), (b"Sec-Fetch-Site", b"cross-site")],
        [(b"Sec-Fetch-Site", b"same-site")],
    ],
)
def test_r47_another_origin_logs_nobody_out(headers):
    """R47: refused before the body is read, and nothing is written."""
    desk = Desk(KNOWN)
    answer = desk.post("logout", *NAVIGATE, cookie(KNOWN), *headers, body=b"everywhere=1")
    assert answer.reason is Reason.ORIGIN_FORBIDDEN
    assert desk.needs == []


@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_other_methods(method):
    """GET asks, POST ends."""
    for path in ("logout", "backchannel-logout"):
        answer = Desk(KNOWN).ask(method, path, cookie(KNOWN))
        assert answer.reason is Reason.METHOD_UNSUPPORTED
    assert Desk(KNOWN).ask(b"GET", "logout", cookie(KNOWN)).page == "logout_confirm"
    assert Desk(KNOWN).ask(b"POST", "logged-out").reason is Reason.METHOD_UNSUPPORTED


def test_the_newest_refresh_token_that_is_known_is_revoked():
    """RFC 7009: a tab that still holds the old one has the new one revoked; none, and nothing is asked."""
    provider = KNOWN.providers["main"]
    chain = {}
    grant = GRANT
    for generation in (1, 2):
        newer = Grant("session-1", generation, f"refresh-{generation}")
        chain[renewal.rotation_id(provider, grant)] = Renewed(replace(SESSION, generation=generation), newer)
        grant = newer
    answer = Desk(KNOWN, news=chain.get).post("logout", cookie(KNOWN))
    assert answer.background == (RevokeToken("main", "refresh-2", ISSUER, "alice", "session-1"),)
    assert Desk(KNOWN).post("logout", cookie(KNOWN)).background[0].refresh_token == "refresh-0"
    assert Desk(KNOWN).post("logout", cookie(KNOWN, grant=None)).background == ()
    assert Desk(KNOWN).post("logout").background == ()


def test_r16_no_token_is_shown():
    """R16: not by representation, and not in what the audit log is told."""
    desk = Desk(KNOWN)
    answer = desk.post("logout", *NAVIGATE, cookie(KNOWN, hint=hint()))
    shown = repr(desk.needs) + repr(answer)
    for secret in ("the-id-token", "refresh-0", desk.needs[-1].state):
        assert secret not in shown


KEPT = {
    "right": remembered(),
    "old": remembered(at=NOW - 601),
    "empty": remembered(""),
    "none": "",
    "garbage": "garbage",
    "of another purpose": sealed(KNOWN, "hint", b'["the-state", 1800000000]'),
}


@pytest.mark.parametrize(
    ("query", "kept", "ended"),
    [
        ("?state=the-state", "right", True),
        ("?state=the-state&iss=x", "right", True),
        ("", "right", False),
        ("?state=", "right", False),
        ("?state=other", "right", False),
        ("?state=the-stat%C3%A9", "right", False),
        ("?state=the-state&state=the-state", "right", False),
        ("?state=%ff", "right", False),
        ("?state=the-state", "old", False),
        ("?state=the-state", "none", False),
        ("?state=the-state", "garbage", False),
        ("?state=the-state", "of another purpose", False),
        ("?state=", "empty", False),
        ("", "empty", False),
    ],
)
def test_r50_state_on_the_way_back(query, kept, ended):
    """R50, rp-init-logout-no-state, -other-state: the page is shown, and claims no more than is proven."""
    sent = cookie(KNOWN, None, None, logout=KEPT[kept])
    answer = Desk(KNOWN).ask(b"GET", f"logged-out{query}", *NAVIGATE, sent)
    assert isinstance(answer, Respond)
    assert (answer.status, answer.page) == (200, "logged_out")
    assert answer.values["provider_session"] == ("ended" if ended else "open")
    change = by_name(answer)[f"{SCOPED}logout"]
    assert (change.value, change.path) == (None, "/.gateway/")


def test_nothing_is_cleared_that_was_not_sent():
    """A page that anybody may open sets no cookies."""
    assert Desk(KNOWN).ask(b"GET", "logged-out", *NAVIGATE).cookies == ()


def context_of(known, *headers) -> Context:
    """Return the context of a callback, as the decision would make it."""
    request = Request(b"GET", b"/.gateway/callback", b"app.example.com", headers, "192.0.2.1")
    knowledge = Knowledge(known, {}, Denylist(), Memory(), lambda _: None, lambda _: False)
    return Context(request, knowledge, NOW, "request-1")


def test_the_hint_is_kept_for_our_own_endpoints_alone():
    """One cookie, sealed for one purpose, bound to the session, with the path of the endpoints."""
    (change,) = id_token_hint.keep(context_of(KNOWN), SESSION, "the-id-token", ())
    assert change.name == f"{SCOPED}hint"
    assert change.path == "/.gateway/"
    assert change.value == Seal(f"hint {ORIGIN}", b'["session-1", "the-id-token"]')
    assert 0 < change.max_age <= SESSION.ends_at - NOW
    known = compiled(prefix="/auth/")
    assert id_token_hint.keep(context_of(known), SESSION, "t", ())[0].path == "/auth/"


@pytest.mark.parametrize("why", ["none", "long", "crowded", "local"])
def test_a_hint_that_is_not_kept_removes_the_one_before(why):
    """Too long for one cookie, too much beside the others, of no use, or none: then none is left either."""
    known = compiled(logout="local") if why == "local" else KNOWN
    token = {"none": None, "long": "t" * 4000}.get(why, "t")
    others = [CookieChange("s", Seal("session", b"s" * 12_500))] if why == "crowded" else []
    assert id_token_hint.keep(context_of(known), SESSION, token, others) == ()
    sent = context_of(known, (b"Cookie", f"{SCOPED}hint=old".encode()))
    (change,) = id_token_hint.keep(sent, SESSION, token, others)
    assert (change.name, change.value, change.path) == (f"{SCOPED}hint", None, "/.gateway/")


def test_the_longest_hint_that_is_kept_is_one_cookie():
    """R40: never a chunk, never more than 4096 bytes with its attributes."""
    longest = b""
    for size in range(2800, 3200):
        (*changes,) = id_token_hint.keep(context_of(KNOWN), SESSION, "t" * size, ())
        if not changes:
            break
        value = KNOWN.ring.seal("hint", changes[0].value.payload, bytes(12))
        (line,) = set_cookie_lines(changes[0], value)
        assert len(line) <= MOST_BYTES
        assert b"; Path=/.gateway/; " in line
        assert line.endswith(b"; Secure")
        longest = line
    else:
        pytest.fail("every size is kept")
    assert len(longest) > MOST_BYTES - 30


def test_r46_a_tossed_hint_makes_neither_count():
    """R46: ``__Secure-`` does not keep a neighbouring domain out, so a duplicate makes both void."""
    desk = Desk(KNOWN)
    twice = (b"Cookie", f"{SCOPED}hint={hint()}; {SCOPED}hint={hint()}".encode())
    desk.post("logout", *NAVIGATE, cookie(KNOWN), twice)
    assert desk.needs[-1].id_token_hint is None


def test_r54_the_scoped_cookies_are_ours_on_the_way_up_and_down():
    """R54: an upstream neither sees nor sets them, whatever path it claims."""
    sent = cookie(KNOWN, grant=None)[1] + f"; a=1; {SCOPED}hint=x; {SCOPED}logout=y".encode()
    request = Request(b"GET", b"/x", b"app.example.com", ((b"Cookie", sent),), "192.0.2.1")
    denylist = Denylist()
    denylist.synchronised_at = NOW
    knowledge = Knowledge(KNOWN, {}, denylist, Memory(), lambda _: None, lambda _: False)
    forward = decide(request, knowledge, NOW, "request-1")
    assert isinstance(forward, Forward)
    head = repr(forward.headers)
    assert "a=1" in head
    assert "hint=x" not in head
    assert "logout=y" not in head
    names = (f"{SCOPED}hint", f"{SCOPED}logout", f"{SCOPED.lower()}hint")
    forged = [(b"Set-Cookie", f"{name}=evil; Path=/.gateway/; Secure".encode()) for name in names]
    theirs = (b"Set-Cookie", b"b=2")
    assert response_headers([*forged, theirs], KNOWN.rules, []) == [theirs]


def test_the_end_session_request():
    """RP-Initiated Logout section 2: the parameters, once each; an endpoint's own query is kept."""
    metadata = ProviderMetadata(
        ISSUER, "a", "t", "j", end_session_endpoint="https://i.example/out?tenant=a%20b&state=x"
    )
    settings = compiled().providers["main"].settings
    url = build_request(metadata, settings, redirect_uri=HERE, state="s&s", id_token_hint="h")
    assert url.startswith("https://i.example/out?tenant=a%20b&")
    assert parse_qs(urlsplit(url).query) == {
        "tenant": ["a b"],
        "id_token_hint": ["h"],
        "client_id": ["the-client"],
        "post_logout_redirect_uri": [HERE],
        "state": ["s&s"],
    }
    url = build_request(metadata, settings, redirect_uri=HERE, state="s", id_token_hint=None)
    assert "id_token_hint" not in url
    none = replace(metadata, end_session_endpoint=None)
    assert build_request(none, settings, redirect_uri=HERE, state="s", id_token_hint="h") is None


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 500, 503])
def test_revocation_responses(status):
    """RFC 7009 section 2.2: 200 alone says that the token is dead."""
    revocation.process_response(200)
    with pytest.raises(MessageError, match="revocation_refused"):
        revocation.process_response(status)
