"""The gateway's own answers: status, fields, challenges, problem documents."""

import json
import re

import pytest

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.fault import Fault
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering.render import render_fault, render_refuse, render_respond

ID = "5f3a9c01d2e400000017"
EVERY = sorted(Reason)


def fields(rendered) -> dict[str, str]:
    names = [name for name, _ in rendered[1]]
    assert len({name.lower() for name in names}) == len(names), "a field twice"
    return {name.decode(): value.decode() for name, value in rendered[1]}


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("reason", EVERY)
def test_r59_every_refusal_is_safe_to_receive(reason: Reason, html: bool):
    """R59: whatever the reason: its status, never stored, sniffed or framed, and with the request id."""
    status, headers, body = rendered = render_refuse(
        Refuse(reason, html=html, challenge=True, detail="d", login_url="http://localhost/x"), ID
    )
    sent = fields(rendered)
    assert status == status_of(reason)
    assert sent["Cache-Control"] == "no-store"
    assert sent["X-Content-Type-Options"] == "nosniff"
    assert sent["Referrer-Policy"] == "no-referrer"
    assert sent["X-Request-ID"] == ID
    assert sent["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in sent["Content-Security-Policy"]
    assert "script-src" not in sent["Content-Security-Policy"]
    assert ("Retry-After" in sent) == (status == 503)
    assert ("Allow" in sent) == (status == 405)
    assert ("WWW-Authenticate" in sent) == (status == 401 or reason is Reason.SCOPE_MISSING)
    assert isinstance(headers, list)
    if html:
        assert sent["Content-Type"] == "text/html; charset=utf-8"
        assert body.startswith(b"<!doctype html>")
        return
    assert sent["Content-Type"] == "application/problem+json"
    document = json.loads(body)
    assert document["status"] == status
    assert document["reason"] == reason.value
    assert document["request_id"] == ID
    assert document["login_url"] == "http://localhost/x"
    assert document["explanation"] == "d"
    assert document["detail"]
    assert document["title"]
    assert document["type"] == "about:blank"


def test_each_answer_has_its_own_list():
    """The pipeline appends cookies to the fields: one person's must never ride on another's answer."""
    first = render_refuse(Refuse(Reason.ROUTE_UNKNOWN), ID)
    first[1].append((b"Set-Cookie", b"a=b"))
    assert "Set-Cookie" not in fields(render_refuse(Refuse(Reason.ROUTE_UNKNOWN), ID))
    answer = Respond(Reason.USERINFO, 200, json={})
    render_respond(answer, ID)[1].append((b"Set-Cookie", b"a=b"))
    assert "Set-Cookie" not in fields(render_respond(answer, ID))


@pytest.mark.parametrize(
    ("answer", "challenge"),
    [
        (Refuse(Reason.CREDENTIALS_MISSING, challenge=True), 'Bearer realm="gateway"'),
        (Refuse(Reason.SESSION_EXPIRED, challenge=True), 'Bearer realm="gateway"'),
        (
            Refuse(Reason.TOKEN_EXPIRED, challenge=True, bearer_presented=True),
            'Bearer realm="gateway", error="invalid_token", error_description="token_expired"',
        ),
        (
            Refuse(Reason.REVOKED, challenge=True, bearer_presented=True),
            'Bearer realm="gateway", error="invalid_token", error_description="revoked"',
        ),
        (
            Refuse(Reason.REQUEST_MALFORMED, challenge=True, bearer_presented=True),
            'Bearer realm="gateway", error="invalid_request", error_description="request_malformed"',
        ),
        (
            Refuse(Reason.SCOPE_MISSING, challenge=True, required_scopes=("a", "b:c")),
            (
                'Bearer realm="gateway", error="insufficient_scope", error_description="scope_missing", '
                'scope="a b:c"'
            ),
        ),
        (
            Refuse(Reason.AUTHENTICATION_TOO_WEAK, challenge=True, acr_values=("urn:a", "b")),
            (
                'Bearer realm="gateway", error="insufficient_user_authentication", '
                'error_description="authentication_too_weak", acr_values="urn:a b"'
            ),
        ),
        (
            Refuse(Reason.AUTHENTICATION_TOO_OLD, challenge=True, max_age=300),
            (
                'Bearer realm="gateway", error="insufficient_user_authentication", '
                'error_description="authentication_too_old", max_age="300"'
            ),
        ),
        (Refuse(Reason.GROUP_MISSING, challenge=True, bearer_presented=True), None),
        (Refuse(Reason.DENYLIST_STALE, challenge=True, bearer_presented=True), None),
        (Refuse(Reason.REQUEST_MALFORMED), None),
    ],
)
def test_challenges(answer: Refuse, challenge: str | None):
    """RFC 6750 section 3 and RFC 9470 section 3: an error only where there is one to name."""
    assert fields(render_refuse(answer, ID)).get("WWW-Authenticate") == challenge


def test_a_challenge_cannot_be_broken_out_of():
    """Quotes, backslashes and line breaks of a configured value stay inside their quoted-string."""
    nasty = 'a"b\\c\r\nX-Evil: 1\x00é'
    sent = fields(render_refuse(Refuse(Reason.SCOPE_MISSING, required_scopes=(nasty,)), ID))
    assert sent["WWW-Authenticate"].endswith('scope="a\\"b\\\\cX-Evil: 1"')


@pytest.mark.parametrize(
    ("wanted", "sent"), [(None, "5"), (0, "1"), (7, "7"), (2.2, "3"), (-4, "1"), (10**9, "3600")]
)
def test_503_always_says_when(wanted, sent):
    """A 503 says when to come back: in whole seconds, at least one, at most an hour."""
    rendered = render_fault(Fault("issuer", Reason.ISSUER_UNAVAILABLE, "x", wanted), False, ID)
    assert fields(rendered)["Retry-After"] == sent


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("reason", EVERY)
def test_r16_a_faults_detail_stays_in_the_log(reason: Reason, html: bool):
    """R16: what a fault says of itself, an internal address above all, reaches no client."""
    fault = Fault("upstream", reason, "10.0.0.7:8080 refused secret-of-the-detail")
    status, headers, body = render_fault(fault, html=html, request_id=ID)
    everything = body + b"".join(name + value for name, value in headers)
    assert status == status_of(reason)
    assert b"10.0.0.7" not in everything
    assert b"secret-of-the-detail" not in everything
    assert reason.value.encode() in body


def test_405_says_what_is_allowed():
    """RFC 9110 section 15.5.6: Allow names the methods; by default those that can be proxied."""
    assert (
        fields(render_refuse(Refuse(Reason.METHOD_UNSUPPORTED, allow=("GET", "POST")), ID))["Allow"]
        == "GET, POST"
    )
    assert "TRACE" not in fields(render_refuse(Refuse(Reason.METHOD_UNSUPPORTED), ID))["Allow"]


def test_r12_r14_r59_redirects():
    """R12, R14, R59: an own redirect keeps its status, is never stored and sends no Referrer."""
    answer = Respond(Reason.LOGIN_COMPLETED, 303, location="http://localhost:8080/a?b=%20c&d")
    status, _, body = rendered = render_respond(answer, ID)
    sent = fields(rendered)
    assert (status, body) == (303, b"")
    assert sent["Location"] == "http://localhost:8080/a?b=%20c&d"
    assert sent["Cache-Control"] == "no-store"
    assert sent["Referrer-Policy"] == "no-referrer"
    assert sent["X-Request-ID"] == ID


def test_a_location_cannot_split_the_response():
    """CR, LF and anything that is no URI character is percent-encoded."""
    answer = Respond(Reason.LOGIN_COMPLETED, 303, location='http://localhost/\r\nSet-Cookie: a=b é"')
    location = fields(render_respond(answer, ID))["Location"]
    assert location == "http://localhost/%0D%0ASet-Cookie:%20a=b%20%C3%A9%22"


def test_documents_and_preflights():
    """A JSON document is JSON, never stored; a preflight carries its own fields and no body."""
    rendered = render_respond(Respond(Reason.USERINFO, 200, json={"sub": "ä<", "n": None}), ID)
    assert json.loads(rendered[2]) == {"sub": "ä<", "n": None}
    assert fields(rendered)["Content-Type"] == "application/json"
    assert fields(rendered)["Cache-Control"] == "no-store"
    rendered = render_respond(Respond(Reason.PREFLIGHT, 204, headers=((b"Vary", b"Origin"),)), ID)
    assert (rendered[0], rendered[2]) == (204, b"")
    assert fields(rendered)["Vary"] == "Origin"


def test_the_logout_form_tells_its_origin():
    """R47: with no-referrer a browser posts ``Origin: null``, and the logout refuses its own form."""
    answer = Respond(Reason.LOGOUT_CONFIRM, 200, page="logout_confirm", values={"action": "/.gateway/logout"})
    rendered = render_respond(answer, ID)
    assert fields(rendered)["Referrer-Policy"] == "same-origin"
    assert re.search(rb'<form method="post" action="/.gateway/logout">.*<button', rendered[2], re.DOTALL)


def test_pages_by_name():
    """``logged_out`` links to the login; a name that there is not is an error, not an empty page."""
    values = {"login_url": "http://localhost/.gateway/login"}
    page = render_respond(Respond(Reason.LOGGED_OUT, 200, page="logged_out", values=values), ID)[2]
    assert b'href="http://localhost/.gateway/login"' in page
    with pytest.raises(ValueError, match="nonsense"):
        render_respond(Respond(Reason.LOGGED_OUT, 200, page="nonsense"), ID)


def test_a_request_id_of_any_form_is_harmless():
    """The id is ours; should it ever not be, it still breaks no field and no document."""
    status, headers, body = render_refuse(Refuse(Reason.ROUTE_UNKNOWN), '"\u00e9\n')
    assert status == 404
    assert json.loads(body)["request_id"] == '"\u00e9\n'
    assert all(b"\xc3" not in value for _, value in headers)
