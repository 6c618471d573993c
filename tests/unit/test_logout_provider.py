"""Logouts that the provider asks for: back channel and front channel."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from gateway.config.settings.sessions import SessionSettings
from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.needs import Body, Keys, KnownSid, Revoke, UseOnce
from gateway.core.endpoints import provider_logout
from gateway.core.reasons import Reason
from gateway.core.rules.entries import DenyEntry
from gateway.core.runtime import compile_settings
from gateway.edge.rendering.render import render_respond
from tests.support import jose
from tests.support.jose import ISSUER, NOW
from tests.support.logout import FORM, SESSION, Desk, compiled, cookie, logout_token

KNOWN = compiled()
FRONT = compiled(frontchannel_logout=True)
CALL = f"frontchannel-logout?iss={quote(ISSUER, safe='')}&sid=sid-1"


def bad(answer, reason: Reason) -> None:
    """Assert that the answer is the refusal of Back-Channel Logout section 2.8 (R52)."""
    assert isinstance(answer, Respond)
    assert (answer.status, answer.reason) == (400, reason)
    assert answer.json is not None
    assert answer.json["error"] == "invalid_request"
    assert answer.json["error_description"]
    status, headers, _ = render_respond(answer, "request-1")
    assert status == 400
    assert (b"Cache-Control", b"no-store") in headers
    assert (b"Content-Type", b"application/json") in headers
    assert answer.cookies == ()


def test_r51_r52_a_sid_ends_that_session_alone():
    """R51, R52: 200 and never stored; the provider's session is dead here, others of the person go on."""
    desk = Desk(KNOWN)
    answer = desk.backchannel(logout_token())
    assert isinstance(answer, Respond)
    assert (answer.status, answer.cookies) == (200, ())
    assert (b"Cache-Control", b"no-store") in render_respond(answer, "request-1")[1]
    assert [type(need) for need in desk.needs] == [Body, Keys, UseOnce, Revoke]
    assert answer.details == {"how": "backchannel", "issuer": ISSUER, "subject": "alice", "sid": "sid-1"}
    assert desk.denylist.judge_session(SESSION, NOW)
    for other in (replace(SESSION, sid="sid-2"), replace(SESSION, issuer="https://other.example")):
        assert not desk.denylist.judge_session(other, NOW)


def test_r51_a_subject_ends_all_sessions_until_now():
    """R51: without sid, every session of the subject; one that begins afterwards is not touched."""
    desk = Desk(KNOWN)
    assert desk.backchannel(logout_token(sid=...)).status == 200
    for session in (SESSION, replace(SESSION, session_id="session-2", sid=None)):
        assert desk.denylist.judge_session(session, NOW)
    for other in (replace(SESSION, subject="bob"), replace(SESSION, position=desk.denylist.position)):
        assert not desk.denylist.judge_session(other, NOW)


def test_entries_outlive_the_sessions_that_they_name():
    """An entry that ends before the session does would bring it back."""
    for token in (logout_token(), logout_token(sid=...)):
        (entry,) = Desk(KNOWN).backchannel(token).revoked
        assert entry.before >= NOW
        assert entry.expires > entry.before + KNOWN.settings.session.absolute_lifetime


def test_r51_a_replay_is_refused():
    """R51: the same token again, or the same jti in another: 400, and who logged in meanwhile stays."""
    desk = Desk(KNOWN)
    token = logout_token()
    assert desk.backchannel(token).status == 200
    version = desk.denylist.version
    desk.now = NOW + 60
    bad(desk.backchannel(token), Reason.TOKEN_CLAIMS)
    assert desk.denylist.version == version
    assert desk.backchannel(logout_token(jti="logout-2")).status == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"events": ...}, Reason.TOKEN_CLAIMS),
        ({"nonce": "n"}, Reason.TOKEN_NONCE),
        ({"aud": "another"}, Reason.TOKEN_AUDIENCE),
        ({"iss": "https://unknown.example"}, Reason.TOKEN_ISSUER),
        ({"iss": "https://other.example"}, Reason.TOKEN_KEY_UNKNOWN),
        ({"iss": ...}, Reason.TOKEN_ISSUER),
        ({"exp": int(NOW) - 60}, Reason.TOKEN_EXPIRED),
        ({"name": "unknown"}, Reason.TOKEN_KEY_UNKNOWN),
    ],
)
def test_r52_a_bad_token_is_400(changes, reason):
    """R52: refused before anything is written or used up, and told to the audit log without the token."""
    desk = Desk(KNOWN)
    if changes.get("iss") == "https://other.example":
        desk.keys[None] = jose.key_set(jose.jwk("RS", "others"))
    answer = desk.backchannel(logout_token(**changes))
    bad(answer, reason)
    assert not any(isinstance(need, UseOnce | Revoke) for need in desk.needs)
    assert answer.audit == "logout_refused"


def test_r27_an_unknown_kid_is_asked_for_once():
    """R27: the provider may have new keys; they are fetched once for each request."""
    desk = Desk(KNOWN)
    desk.keys["new"] = jose.key_set(jose.jwk(), jose.jwk("RS", "new"))
    assert desk.backchannel(logout_token(name="new")).status == 200
    assert desk.needs[1:3] == [Keys("main", None), Keys("main", "new")]


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"Content-Type", b"application/json"),),
        ((b"Content-Type", b"multipart/form-data; boundary=x"),),
        ((b"Content-Type", b"text/plain"),),
        (FORM, FORM),
    ],
)
def test_another_content_type(headers):
    """Not a form, or said twice: 400 before the body is read."""
    desk = Desk(KNOWN)
    bad(desk.ask(b"POST", "backchannel-logout", *headers, body=b"logout_token=x"), Reason.REQUEST_MALFORMED)
    assert desk.needs == []


@pytest.mark.parametrize(
    "content_type",
    [b"application/x-www-form-urlencoded; charset=utf-8", b"Application/X-WWW-Form-Urlencoded"],
)
def test_the_content_type_in_other_spellings(content_type):
    """Parameters and case do not matter (RFC 9110 section 8.3.1)."""
    body = f"logout_token={logout_token()}".encode()
    answer = Desk(KNOWN).ask(b"POST", "backchannel-logout", (b"Content-Type", content_type), body=body)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("template", "status"),
    [
        ("logout_token={}", 200),
        ("more=1&logout_token={}&other=", 200),
        ("logout_token={0}&logout_token={0}", 400),
        ("logout_token={}&a=1&a=2", 400),
        ("logout_token", 400),
        ("logout_token=", 400),
        ("Logout_Token={}", 400),
        ("", 400),
        ("&", 400),
        ("logout_token={}%ff", 400),
        ("logout_token={}%00", 400),
        ("logout_token= {}", 400),
        ("logout_token={}=", 400),
    ],
)
def test_form_bodies(template, status):
    """One logout_token and nothing twice; what is not understood is ignored (section 2.5)."""
    body = template.format(logout_token()).encode()
    answer = Desk(KNOWN).ask(b"POST", "backchannel-logout", FORM, body=body)
    assert answer.status == status


def test_the_endpoint_needs_no_cookie_and_heeds_none():
    """No ambient authority: neither a session nor an origin changes anything."""
    for headers in ((), (cookie(KNOWN),), ((b"Origin", b"https://evil.example"),)):
        answer = Desk(KNOWN).ask(
            b"POST", "backchannel-logout", FORM, *headers, body=f"logout_token={logout_token()}".encode()
        )
        assert (answer.status, answer.cookies) == (200, ())
    answer = Desk(KNOWN).backchannel(logout_token(), host=b"evil.example")
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.HOST_UNKNOWN


def test_frontchannel_is_off_by_default():
    """Whoever learns a sid could use it: 404 unless the provider's section says otherwise."""
    desk = Desk(KNOWN)
    assert desk.ask(b"GET", CALL).reason is Reason.ROUTE_UNKNOWN
    assert desk.needs == []
    other = "frontchannel-logout?iss=https%3A%2F%2Fother.example&sid=s"
    assert Desk(FRONT).ask(b"GET", other).reason is Reason.ROUTE_UNKNOWN


def test_frontchannel_ends_the_session_that_it_names():
    """Front-Channel Logout section 2: the denylist gets the sid; only the provider may frame the answer."""
    desk = Desk(FRONT)
    answer = desk.ask(b"GET", CALL)
    assert isinstance(answer, Respond)
    assert answer.details == {"how": "frontchannel", "issuer": ISSUER, "sid": "sid-1"}
    assert desk.denylist.judge_session(SESSION, NOW)
    assert not desk.denylist.judge_session(replace(SESSION, sid="sid-2"), NOW)
    status, headers, body = render_respond(answer, "request-1")
    assert (status, body) == (200, b"")
    assert (b"Cache-Control", b"no-store") in headers
    (policy,) = [value for name, value in headers if name == b"Content-Security-Policy"]
    assert policy.endswith(b"frame-ancestors https://issuer.example")
    assert b"X-Frame-Options" not in dict(headers)


def test_frontchannel_is_framed_by_where_browsers_go():
    """An endpoint that the configuration puts elsewhere may frame it as well."""
    known = compiled(frontchannel_logout=True, end_session_endpoint="https://pages.example:8443/out?x=1")
    answer = Desk(known).ask(b"GET", CALL)
    policy = dict(answer.headers)[b"Content-Security-Policy"]
    assert policy.endswith(b"frame-ancestors https://issuer.example https://pages.example:8443")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?iss=https%3A%2F%2Fissuer.example",
        "?sid=sid-1",
        "?iss=https%3A%2F%2Fissuer.example&sid=",
        "?iss=https%3A%2F%2Fissuer.example%2F&sid=sid-1",
        "?iss=https%3A%2F%2Funknown.example&sid=sid-1",
        "?iss=https%3A%2F%2Fissuer.example&sid=sid-1&sid=sid-2",
        "?iss=https%3A%2F%2Fissuer.example&sid=" + "s" * 256,
        "?iss=https%3A%2F%2Fissuer.example&sid=a%00b",
        "?iss=https%3A%2F%2Fissuer.example&sid=%ff",
    ],
)
def test_frontchannel_needs_both_parameters(query):
    """Both, once each, of a configured issuer: else 400, and nothing is written."""
    desk = Desk(FRONT)
    answer = desk.ask(b"GET", f"frontchannel-logout{query}")
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.REQUEST_MALFORMED
    assert desk.needs == []
    assert Desk(FRONT).ask(b"POST", CALL).reason is Reason.METHOD_UNSUPPORTED


def _made_up(number: int) -> str:
    return CALL.replace("sid-1", f"made-up-{number}")


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::7"])
def test_a_flood_of_made_up_sids_is_the_flooders_own_trouble(peer: str):
    """[1.24] 3,200 of them in 8.6 s: one address adds few; everybody else's logout works, whatever kind."""
    desk = Desk(FRONT)
    desk.step = 0.0
    reasons = []
    for number in range(3200):
        desk.now = NOW + number * 8.6 / 3200
        answer = desk.ask(b"GET", _made_up(number), peer=peer)
        reasons.append(answer.reason)
    assert len(desk.denylist) == reasons.count(Reason.LOGGED_OUT) <= 62
    assert (answer.reason, answer.retry_after is not None) == (Reason.RATE_LIMITED, True)
    for other in ("192.0.2.8", "2001:db8:0:1::7"):
        assert desk.ask(b"GET", CALL, peer=other).reason is Reason.LOGGED_OUT
    assert desk.denylist.judge_session(SESSION, desk.now)
    assert desk.backchannel(logout_token()).status == 200


def test_one_network_is_one_flooder():
    """[1.24] Whoever has a /64 has as many addresses as they like."""
    desk = Desk(FRONT)
    for number in range(200):
        desk.ask(b"GET", _made_up(number), peer=f"2001:db8::{number:x}")
    assert len(desk.denylist) < 100


def test_where_the_denylist_is_long_each_address_adds_few(monkeypatch):
    """[1.24] Many flooders together: bounded still, and a person who logs out is not in the way of it."""
    monkeypatch.setattr(provider_logout, "MOST_ENTRIES", 3)
    desk = Desk(FRONT)
    for index in range(3):
        desk.denylist.add(DenyEntry("sid", ISSUER, f"made-up-{index}", NOW, NOW + 9))
    assert desk.ask(b"GET", CALL).reason is Reason.LOGGED_OUT
    answers = [desk.ask(b"GET", _made_up(number), peer="192.0.2.7").reason for number in range(10)]
    assert answers == [Reason.LOGGED_OUT] * 4 + [Reason.RATE_LIMITED] * 6
    assert desk.backchannel(logout_token()).status == 200


def test_where_the_store_keeps_sessions_only_their_sids_count():
    """[1.24] Redis mode: one that nobody has adds no entry, and its answer tells nothing."""
    kept = FRONT.settings.model_copy(update={"session": SessionSettings(mode="redis")})
    desk = Desk(compile_settings(kept))
    known, unknown = desk.ask(b"GET", CALL), desk.ask(b"GET", _made_up(1))
    assert (known.status, known.headers) == (unknown.status, unknown.headers)
    assert [entry.value for entry in desk.denylist.entries(0)] == ["sid-1"]
    assert [type(need) for need in desk.needs] == [KnownSid, Revoke, KnownSid]
    assert (known.audit, unknown.audit) == ("logout", None)
