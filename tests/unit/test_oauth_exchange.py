"""Token exchange as messages (RFC 8693)."""

import json
from urllib.parse import parse_qs

import pytest

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.authorization import Target
from gateway.oauth import exchange
from gateway.oauth.token import TokenUnavailable

SETTINGS = ProviderSettings(
    issuer="https://login.example.com", client_id="w", client_secret="s", audiences=("a",)
)
METADATA = ProviderMetadata("https://login.example.com", "https://a", "https://t", "https://k")
GOOD = {
    "access_token": "new",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer",
    "expires_in": 60,
}


def test_the_request():
    """[11.9]: section 2.1; what is not configured is not sent."""
    form = exchange.build_request(METADATA, SETTINGS, "old", Target("orders", "", ("a", "b")))
    assert form.url == "https://t"
    assert {name: value for name, (value,) in parse_qs(form.body.decode()).items()} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "old",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "orders",
        "scope": "a b",
    }
    assert "old" not in repr(form)
    form = exchange.build_request(METADATA, SETTINGS, "old", Target("", "https://orders.example.com", ()))
    fields = parse_qs(form.body.decode())
    assert fields["resource"] == ["https://orders.example.com"]
    assert not {"audience", "scope"} & set(fields)


@pytest.mark.parametrize(
    "change", [{}, {"issued_token_type": None}, {"token_type": "bearer"}, {"refresh_token": "r"}]
)
def test_what_is_issued(change: dict):
    """[11.9]: section 2.2.1."""
    answer = {name: value for name, value in (GOOD | change).items() if value is not None}
    found = exchange.process_response(200, "application/json", json.dumps(answer).encode())
    assert isinstance(found, TokenSet)
    assert (found.access_token, found.expires_in) == ("new", 60)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issued_token_type": "urn:ietf:params:oauth:token-type:saml2"}, Reason.ISSUER_MISCONFIGURED),
        ({"issued_token_type": 1}, Reason.ISSUER_MISCONFIGURED),
        ({"issued_token_type": ["x"]}, Reason.ISSUER_MISCONFIGURED),
        ({"token_type": "N_A"}, Reason.ISSUER_UNAVAILABLE),
        ({"token_type": "DPoP"}, Reason.ISSUER_UNAVAILABLE),
        ({"access_token": "a\r\nX-Admin: 1"}, Reason.ISSUER_UNAVAILABLE),
        ({"access_token": ""}, Reason.ISSUER_UNAVAILABLE),
        ({"access_token": "x" * 16_385}, Reason.ISSUER_MISCONFIGURED),
    ],
)
def test_what_is_of_no_use(change: dict, reason: Reason):
    """[11.9]: a token of another kind, or one that would break a header field, is none."""
    found = exchange.process_response(200, "application/json", json.dumps(GOOD | change).encode())
    assert isinstance(found, TokenUnavailable)
    assert found.reason is reason


@pytest.mark.parametrize(
    ("status", "error", "found"),
    [
        (400, "invalid_request", TokenRefusal("invalid_request")),
        (400, "invalid_grant", TokenRefusal("invalid_grant")),
        (403, "access_denied", TokenRefusal("access_denied")),
        (400, "invalid_target", Reason.ISSUER_MISCONFIGURED),
        (400, "invalid_scope", Reason.ISSUER_MISCONFIGURED),
        (401, "invalid_client", Reason.ISSUER_MISCONFIGURED),
        (400, "unsupported_grant_type", Reason.ISSUER_MISCONFIGURED),
        (500, "invalid_target", Reason.ISSUER_UNAVAILABLE),
        (503, "access_denied", Reason.ISSUER_UNAVAILABLE),
        (429, None, Reason.ISSUER_UNAVAILABLE),
        (404, None, Reason.ISSUER_UNAVAILABLE),
    ],
)
def test_what_is_refused(status: int, error: str | None, found: TokenRefusal | Reason):
    """[11.9]: section 2.2.2: the caller's fault, the operator's, or the moment's."""
    body = b"" if error is None else json.dumps({"error": error}).encode()
    result = exchange.process_response(status, "application/json", body)
    if isinstance(found, TokenRefusal):
        assert result == found
    else:
        assert isinstance(result, TokenUnavailable)
        assert result.reason is found


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{", b"x" * (1 << 19), b'{"error": {}}', b"null"])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_garbage(status: int, body: bytes):
    """[11.9]: no answer raises, and none without a token is one."""
    assert not isinstance(exchange.process_response(status, "", body), TokenSet)
