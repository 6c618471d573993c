"""The authorization request."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.core.provider import ProviderMetadata
from gateway.oauth.authorization import build_request, challenge_s256, parameters_of
from tests.support.jose import CLIENT, ISSUER, provider

VERIFIER = "v" * 43


def build(
    *, endpoint: str = f"{ISSUER}/authorize", changes: dict[str, Any] | None = None, **options: Any
) -> str:
    metadata = ProviderMetadata(ISSUER, endpoint, f"{ISSUER}/token", f"{ISSUER}/jwks")
    parameters = parameters_of(
        provider(**(changes or {})).settings,
        redirect_uri="https://app.example/.gateway/callback",
        state="the-state",
        nonce="the-nonce",
        verifier=VERIFIER,
        **options,
    )
    return build_request(metadata, parameters)


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)


def test_plain_request() -> None:
    """R1, R2, R10: code flow, S256 challenge, and by default no scope but ``openid``."""
    url = build()
    assert url.startswith(f"{ISSUER}/authorize?")
    assert query_of(url) == {
        "response_type": ["code"],
        "client_id": [CLIENT],
        "redirect_uri": ["https://app.example/.gateway/callback"],
        "scope": ["openid"],
        "state": ["the-state"],
        "nonce": ["the-nonce"],
        "code_challenge": [challenge_s256(VERIFIER)],
        "code_challenge_method": ["S256"],
    }
    assert VERIFIER not in url


def test_challenge_of_rfc_7636() -> None:
    """R2: the example of RFC 7636 appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_s256(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    assert challenge_s256(VERIFIER) == base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize(
    "verifier", ["", "short", "v" * 42, "v" * 129, "v" * 43 + "\n", "v" * 42 + "+", "é" * 43]
)
def test_weak_verifier(verifier: str) -> None:
    """R2: a verifier of the wrong form is a programming error, not a weaker login."""
    with pytest.raises(ValueError, match="verifier"):
        challenge_s256(verifier)


def test_scopes_always_hold_openid() -> None:
    """R10: the configured scopes, and ``openid`` since there must be an ID token."""
    assert query_of(build(changes={"scopes": ("email", "api")}))["scope"] == ["openid email api"]
    assert query_of(build(changes={"scopes": ("openid", "api")}))["scope"] == ["openid api"]


def test_step_up() -> None:
    """RFC 9470: the demanded contexts and age; the configuration's own values give way."""
    changes = {"extra_authorization_parameters": {"acr_values": "low", "max_age": "9", "prompt": "login"}}
    plain = query_of(build(changes=changes))
    assert (plain["acr_values"], plain["max_age"], plain["prompt"]) == (["low"], ["9"], ["login"])
    asked = query_of(build(changes=changes, acr_values=("high", "higher"), max_age=300.0))
    assert (asked["acr_values"], asked["max_age"]) == (["high higher"], ["300"])
    assert query_of(build(max_age=0))["max_age"] == ["0"]


@pytest.mark.parametrize(
    "name",
    [
        "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce",
        "code_challenge", "code_challenge_method", "request", "request_uri", "client_secret",
    ],
)  # fmt: skip
def test_protocol_parameters_cannot_be_overridden(name: str) -> None:
    """R1, R2: neither the extra parameters nor the endpoint's own query touch the protocol's."""
    changes = {"extra_authorization_parameters": {name: "evil", "ui_locales": "de"}}
    assert build(changes=changes) == build(changes={"extra_authorization_parameters": {"ui_locales": "de"}})
    asked = query_of(
        build(endpoint=f"{ISSUER}/authorize?{name}=evil&p=policy&{name.replace('_', '%5F')}=evil")
    )
    assert "evil" not in str(asked)
    assert asked["p"] == ["policy"]


def test_endpoint_query_is_kept() -> None:
    """RFC 6749 section 3.1: a query that the endpoint has is retained, letter by letter."""
    url = build(endpoint=f"{ISSUER}//authorize?p=B2C_1%20a&x=&flag&&p=2")
    assert url.startswith(f"{ISSUER}//authorize?p=B2C_1%20a&x=&flag&p=2&response_type=code&")
    assert build(endpoint=f"{ISSUER}/authorize?").count("?") == 1


def test_values_are_encoded() -> None:
    """Separators and spaces within values cannot add parameters."""
    url = build(changes={"client_id": "a&b=c d+e#f"})
    assert query_of(url)["client_id"] == ["a&b=c d+e#f"]
    assert "client_id=a%26b%3Dc%20d%2Be%23f" in url


def test_what_is_asked_for_on_a_route() -> None:
    """[11.5]: a route's parameters win over the provider's, and neither over the protocol's."""
    changes = {"extra_authorization_parameters": {"prompt": "login", "ui_locales": "de"}}
    extra = (("prompt", "consent"), ("acr_values", "pwd"), ("state", "evil"), ("request_uri", "urn:evil"))
    asked = query_of(build(changes=changes, extra=extra))
    assert (asked["prompt"], asked["acr_values"], asked["ui_locales"]) == (["consent"], ["pwd"], ["de"])
    assert asked["state"] == ["the-state"]
    assert "request_uri" not in asked
    assert query_of(build(extra=extra, acr_values=("mfa",), other_account=True))["acr_values"] == ["mfa"]


def test_resources_are_parameters_of_one_name() -> None:
    """RFC 8707 section 2 [11.5]: one parameter for each; the endpoint's own are left out."""
    changes = {"resources": ("https://api.example/?a=b&c", "urn:a")}
    asked = query_of(build(endpoint=f"{ISSUER}/authorize?resource=urn:evil&p=1", changes=changes))
    assert asked["resource"] == ["https://api.example/?a=b&c", "urn:a"]
    assert asked["p"] == ["1"]
