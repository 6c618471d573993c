"""What makes an ID token and what an access token, by the shapes of real providers (docs/tokens.md)."""

import pytest

from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.tokens import access_token, id_token
from gateway.core.tokens.id_token import hash_half
from tests.support.jose import NOW, key_set, provider, sign
from tests.support.shapes import HASH, NONCE, SHAPES, Shape

KEYS = key_set()
ACCESS = "the-access-token"
OTHERS = tuple(shape for shape in SHAPES if shape.kind != "id")


def signed(shape: Shape) -> str:
    claims = dict(shape.claims)
    if claims.get("at_hash") == HASH:
        claims["at_hash"] = hash_half("RS256", 256, ACCESS).decode()
    return sign(claims, **shape.header)


def trusting(shape: Shape):
    return provider(audiences=shape.audiences, id_token_audiences=("project",))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind}: {shape.name}")
def test_r23_what_passes_as_a_bearer_token(shape: Shape):
    """R23 [2.5]: access tokens do, ID tokens do not, even where the client is an audience."""
    verdict = access_token.check(signed(shape), trusting(shape), KEYS, NOW)
    assert isinstance(verdict, Identity) is shape.bearer, verdict
    if shape.kind != "access":
        assert verdict is Reason.TOKEN_TYPE


@pytest.mark.parametrize("shape", OTHERS, ids=lambda shape: f"{shape.kind}: {shape.name}")
def test_what_passes_as_a_sessions_access_token(shape: Shape):
    """[2.5] [2.39]: what came as an access token is one, unless it says otherwise itself."""
    verdict = access_token.check(signed(shape), trusting(shape), KEYS, NOW, is_own=True)
    assert isinstance(verdict, Identity) is shape.own, verdict


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind}: {shape.name}")
def test_what_passes_as_an_id_token(shape: Shape):
    """R9 [2.5]: at a login only an ID token with its nonce does, at a refresh no other kind."""
    token, at_login = signed(shape), shape.claims.get("nonce") == NONCE
    verdict = id_token.check(token, trusting(shape), KEYS, NOW, nonce=NONCE, access_token=ACCESS)
    assert isinstance(verdict, dict) is (shape.kind == "id" and at_login), verdict
    if shape.kind == "id":
        verdict = id_token.check(token, trusting(shape), KEYS, NOW, nonce=None, access_token=ACCESS)
        assert isinstance(verdict, dict), verdict


@pytest.mark.parametrize("name", ["nonce", "at_hash", "events", "cnf"])
def test_null_marks_no_kind(name: str):
    """[2.25]: a claim that is null is no sign of another kind of token."""
    shape = next(each for each in SHAPES if each.name == "Entra ID v2" and each.kind == "access")
    token = sign({**shape.claims, name: None}, **shape.header)
    assert isinstance(access_token.check(token, provider(), KEYS, NOW), Identity)


def test_every_provider_is_here():
    """[2.5]: those that the issue names."""
    names = " ".join(shape.name for shape in SHAPES)
    for known in (
        "Keycloak", "Entra ID", "Okta", "Auth0", "Google", "Cognito", "ADFS", "GitLab", "Zitadel", "Dex",
        "Ping",
    ):  # fmt: skip
        assert known in names
