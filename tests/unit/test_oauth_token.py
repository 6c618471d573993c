"""The token endpoint: what we ask and what an answer means."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest

from gateway.core.provider import ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.oauth import revocation
from gateway.oauth.errors import MessageError
from gateway.oauth.form import FormRequest
from gateway.oauth.token import (
    MOST_RESPONSE,
    TokenUnavailable,
    build_code_request,
    build_refresh_request,
    process_response,
)
from tests.support.jose import CLIENT, ISSUER, provider

METADATA = ProviderMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}//token", f"{ISSUER}/jwks")
JSON = "application/json"
GOOD = {
    "access_token": "at",
    "token_type": "Bearer",
    "expires_in": 60,
    "refresh_token": "rt",
    "id_token": "it",
}


def fields_of(request: FormRequest) -> dict[str, str]:
    parsed = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in parsed.values())
    return {name: values[0] for name, values in parsed.items()}


def build(**changes: Any) -> FormRequest:
    return build_refresh_request(METADATA, provider(**changes).settings, "the-refresh-token")


def process(status: int, body: object, content_type: str = JSON, **options: Any) -> Any:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return process_response(status, content_type, octets, **options)


def test_code_request() -> None:
    """R1, R2: the code with its verifier and the very redirect URI."""
    request = build_code_request(
        METADATA,
        provider().settings,
        code="c&d",
        verifier="v" * 43,
        redirect_uri="https://app.example/cb?x=1",
    )
    assert request.url == f"{ISSUER}//token"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert fields_of(request) == {
        "grant_type": "authorization_code",
        "code": "c&d",
        "redirect_uri": "https://app.example/cb?x=1",
        "code_verifier": "v" * 43,
    }


def test_refresh_request() -> None:
    """RFC 6749 section 6: the scope is sent only when it is to shrink."""
    settings = provider().settings
    assert fields_of(build()) == {"grant_type": "refresh_token", "refresh_token": "the-refresh-token"}
    narrowed = build_refresh_request(METADATA, settings, "rt", ("openid", "api"))
    assert fields_of(narrowed)["scope"] == "openid api"


@pytest.mark.parametrize(("name", "secret"), [(CLIENT, "the-secret"), ("a:b c", "p%+&é: "), ("ü", "=")])
def test_client_secret_basic(name: str, secret: str) -> None:
    """R15: both halves are form-encoded before they are joined (RFC 6749 section 2.3.1)."""
    request = build(client_id=name, client_secret=secret)
    scheme, _, pair = request.headers["Authorization"].partition(" ")
    halves = base64.b64decode(pair).decode().split(":")
    assert scheme == "Basic"
    assert [unquote_plus(half) for half in halves] == [name, secret]
    assert not {"client_id", "client_secret"} & fields_of(request).keys()


def test_client_secret_post() -> None:
    """R15: id and secret in the body, nothing in the headers."""
    request = build(client_auth="client_secret_post", client_secret="s&x")
    assert "Authorization" not in request.headers
    assert (fields_of(request)["client_id"], fields_of(request)["client_secret"]) == (CLIENT, "s&x")


def test_public_client() -> None:
    """R15: a public client names itself and sends no secret, even when one is configured."""
    request = build(client_auth="none")
    assert "Authorization" not in request.headers
    assert fields_of(request)["client_id"] == CLIENT
    assert b"secret" not in request.body


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_missing_secret(method: str) -> None:
    """R15: no request goes out without a secret; an empty one is not even a configuration."""
    with pytest.raises(MessageError) as caught:
        build(client_auth=method, client_secret=None)
    assert caught.value.code == "client_secret_missing"
    assert caught.value.is_misconfiguration


def test_requests_show_no_secret() -> None:
    """R16: neither secret nor token is in a request's representation."""
    for request in (build(), build(client_auth="client_secret_post")):
        assert "the-secret" not in repr(request)
        assert "the-refresh-token" not in repr(request)


def test_success() -> None:
    """All that the response holds, scopes as a set."""
    assert process(200, {**GOOD, "scope": "openid  api"}) == TokenSet(
        access_token="at",
        expires_in=60.0,
        refresh_token="rt",
        id_token="it",
        scopes=frozenset(("openid", "api")),
    )


@pytest.mark.parametrize(
    "absent", [{}, {"refresh_token": None, "id_token": None}, {"refresh_token": "", "id_token": ""}]
)
def test_no_new_refresh_or_id_token(absent: dict[str, object]) -> None:
    """R36: absent, null or empty all mean that there is no new one."""
    tokens = process(200, {"access_token": "at", "token_type": "bearer", **absent})
    assert tokens == TokenSet(access_token="at", expires_in=None)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_token_type_ignores_case(kind: str) -> None:
    """Real providers write ``bearer`` in lower case (RFC 6749 section 5.1: case insensitive)."""
    assert isinstance(process(200, {**GOOD, "token_type": kind}), TokenSet)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (60, 60.0), (1.5, 1.5), ("3600", 3600.0), ("1.5", 1.5), (10**30, 315360000.0),
        *((unusable, None) for unusable in (
            None, 0, 0.0, -1, -0.5, True, False, "", "0", "0.0", "-1", "soon", "1e9", "٣", [], [60], {},
        )),
    ],
)  # fmt: skip
def test_expiry(found: object, seconds: float | None) -> None:
    """[2.6]: a number, or the string of one; what is unusable counts as not told, and costs no token."""
    assert process(200, {**GOOD, "expires_in": found}).expires_in == seconds


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 1},
        {"access_token": ["at"]},
        {"access_token": "a\r\nb"},
        {"access_token": "é"},
        {"access_token": "a" * 131073},
        {"refresh_token": 1},
        {"refresh_token": "a\0"},
        {"refresh_token": "a" * 131073},
        {"token_type": "DPoP"},
        {"token_type": "mac"},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_malformed_success(change: dict[str, object]) -> None:
    """A success of the wrong form is no verdict, and its detail names the member, never the value."""
    verdict = process(200, {**GOOD, **change})
    assert isinstance(verdict, TokenUnavailable)
    assert verdict.reason is Reason.ISSUER_UNAVAILABLE
    assert next(iter(change)) in verdict.detail


@pytest.mark.parametrize(
    "change",
    [
        {"scope": 1}, {"scope": True}, {"scope": {"a": "b"}}, {"scope": [1]}, {"scope": None}, {"scope": []},
        {"expires_in": "soon"}, {"expires_in": -5}, {"expires_in": {}}, {"expires_in": None},
        {"id_token": {}}, {"id_token": 7}, {"id_token": "a\0"}, {"id_token": None},
        {"token_type": None}, {"token_type": ""}, {"token_type": ["bearer"]}, {"token_type": 1},
        {"error": None}, {"error": ""}, {"error": "warning"}, {"error": ["x"]}, {"error": "server_error"},
        {"not_before_policy": [[]], "session_state": 3, "refresh_expires_in": "never"},
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 201])
def test_new_tokens_are_kept(status: int, change: dict[str, object]) -> None:
    """[2.28], [2.8], [2.25]: whatever is odd beside them, a usable access token with a new refresh token."""
    tokens = process(status, {**GOOD, **change})
    assert isinstance(tokens, TokenSet)
    assert (tokens.access_token, tokens.refresh_token) == ("at", "rt")


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("a b", {"a", "b"}), (["a", "b"], {"a", "b"}), (["a b", "c"], {"a", "b", "c"}),
        (["a", 1, None], {"a"}),
        ([], set()), ("", set()), (1, set()), ({"a": "b"}, set()), (True, set()), (None, None),
    ],
)  # fmt: skip
def test_scopes(scope: object, scopes: set[str] | None) -> None:
    """[2.8]: a list of scopes is accepted; what cannot be read grants none, which absence does not say."""
    assert process(200, {**GOOD, "scope": scope}).scopes == scopes


def test_no_token_type() -> None:
    """[2.25]: a missing token_type means a bearer token; a byte order mark before the JSON is left out."""
    plain = {name: value for name, value in GOOD.items() if name != "token_type"}
    assert process(200, b"\xef\xbb\xbf" + json.dumps(plain).encode()).access_token == "at"


@pytest.mark.parametrize("error", ["invalid_grant", "login_required", "token_expired"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 499])
@pytest.mark.parametrize("content_type", [JSON, "text/html", ""])
def test_r34_refusals_end_the_session(error: str, status: int, content_type: str) -> None:
    """R34, R85: what says that the grant is dead is a refusal, whatever its status and content type."""
    assert process(status, {"error": error}, content_type) == TokenRefusal(error)


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_empty_400_ends_the_session(body: bytes) -> None:
    """R34: a real provider answers a failed refresh with 400 and an empty body."""
    assert process(400, body, "") == TokenRefusal("empty")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_other_empty_answers_do_not(status: int) -> None:
    """R34: only 400 may be empty."""
    assert isinstance(process(status, b"", ""), TokenUnavailable)


@pytest.mark.parametrize("status", [408, 425, 429])
@pytest.mark.parametrize("body", [{"error": "whatever"}, {"error": "rate_limited"}, b""])
def test_statuses_of_the_moment(status: int, body: object) -> None:
    """R34: these statuses keep the session, but where the code says that the grant is dead."""
    verdict = process(status, body)
    assert isinstance(verdict, TokenUnavailable)
    assert verdict.reason is Reason.ISSUER_UNAVAILABLE


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid_client", Reason.ISSUER_MISCONFIGURED),
        ("unauthorized_client", Reason.ISSUER_MISCONFIGURED),
        ("redirect_uri_mismatch", Reason.ISSUER_MISCONFIGURED),
        ("temporarily_unavailable", Reason.ISSUER_UNAVAILABLE),
        ("server_error", Reason.ISSUER_UNAVAILABLE),
    ],
)
def test_the_operators_faults(status: int, error: str, reason: Reason) -> None:
    """R34: a wrong client secret keeps every session, and says whose fault it is."""
    verdict = process(status, {"error": error})
    assert isinstance(verdict, TokenUnavailable)
    assert verdict.reason is reason
    assert error in verdict.detail


@pytest.mark.parametrize("status", [100, 202, 204, 301, 302, 307, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [{"error": "invalid_grant"}, GOOD, b""])
def test_other_statuses_keep_the_session(status: int, body: object) -> None:
    """R34: only 200 and 201 succeed, and a refusal has one of them or a 4xx."""
    assert isinstance(process(status, body), TokenUnavailable)


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad gateway</html>",
        b"error=invalid_grant",
        b"invalid_grant",
        b"[]",
        b"null",
        b'"invalid_grant"',
        b"{}",
        b'{"error":null}',
        b'{"error":["invalid_grant"]}',
        b'{"error":""}',
        b'{"error":"a\\nb"}',
        b'{"error":"a\\"b"}',
        b'{"error":"\\u00e9"}',
        b'{"error":"' + b"x" * 129 + b'"}',
        b'{"error":"invalid_grant"',
        b'{"error":"invalid_grant","error":"x"}',
        b'{"message":"invalid_grant"}',
        b"\xff\xfe",
        b'{"a":' * 5000,
        b'{"error":"invalid_grant","a":"' + b"x" * MOST_RESPONSE + b'"}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_garbage_keeps_the_session(status: int, body: bytes) -> None:
    """R34: garbage that merely mentions ``invalid_grant`` says nothing about the grant."""
    verdict = process(status, body, "text/html; charset=utf-8")
    assert isinstance(verdict, TokenUnavailable)
    assert len(verdict.detail) < 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("999999", 3600),
        (None, None),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("²", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after(header: str | None, seconds: int | None) -> None:
    """Seconds are passed on up to an hour; a date or nonsense is not."""
    assert process(503, b"", retry_after=header).retry_after == seconds


def test_details_hold_no_token() -> None:
    """R16: what goes to the log quotes nothing of the body."""
    secret = "eyJ-secret-token"
    for status in (200, 400, 500):
        for body in ({"access_token": secret, "token_type": 1}, secret.encode(), {"error": [secret]}):
            assert secret not in repr(process(status, body))


def test_revocation_request() -> None:
    """RFC 7009 section 2.1, authenticated like the token request; None without an endpoint."""
    settings = provider().settings
    assert revocation.build_request(METADATA, settings, "rt") is None
    with_endpoint = ProviderMetadata(ISSUER, "a", "t", "j", revocation_endpoint=f"{ISSUER}/revoke")
    request = revocation.build_request(with_endpoint, settings, "rt&x")
    assert request is not None
    assert request.url == f"{ISSUER}/revoke"
    assert fields_of(request) == {"token": "rt&x", "token_type_hint": "refresh_token"}
    assert request.headers["Authorization"].startswith("Basic ")
