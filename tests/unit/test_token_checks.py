"""How every check of a signed token begins: it is read, its algorithm allowed, its signature good."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens import access_token, id_token, logout_token, signed_userinfo
from gateway.core.tokens.jws import UnknownKey
from gateway.core.tokens.keys import KeySet
from tests.support.jose import NOW, access_claims, id_claims, jwk, key_set, provider, sign
from tests.support.logout import logout_claims

Check = Callable[[str, Provider, KeySet], Any]

CHECKS: dict[str, tuple[Check, dict[str, Any]]] = {
    "access token": (lambda token, of, keys: access_token.check(token, of, keys, NOW), access_claims()),
    "ID token": (
        lambda token, of, keys: id_token.check(token, of, keys, NOW, nonce=None, access_token=None),
        id_claims(),
    ),
    "logout token": (lambda token, of, keys: logout_token.check(token, of, keys, NOW), logout_claims()),
    "signed UserInfo": (
        lambda token, of, keys: signed_userinfo.check(token.encode(), of, keys, NOW, 65_536),
        {"sub": "alice"},
    ),
}
KEYS = key_set()


@pytest.fixture(params=CHECKS)
def kind(request: pytest.FixtureRequest) -> tuple[Check, dict[str, Any]]:
    """A check, and the claims of a token that it accepts."""
    return CHECKS[request.param]


def test_a_good_token_passes(kind: tuple[Check, dict[str, Any]]):
    """What the others change one thing of."""
    check, claims = kind
    assert not isinstance(check(sign(claims), provider(), KEYS), Reason | UnknownKey)


def test_r18_the_first_steps_are_the_same_for_each(kind: tuple[Check, dict[str, Any]]):
    """R18, R19 [10.2]: whatever kind of token it is, nothing of it counts before its signature does."""
    check, claims = kind
    token = sign(claims)
    assert check(token[:-3], provider(), KEYS) in {Reason.TOKEN_MALFORMED, Reason.TOKEN_SIGNATURE}
    assert check("a.b", provider(), KEYS) is Reason.TOKEN_MALFORMED
    assert check(token, provider(algorithms=("ES256",)), KEYS) is Reason.TOKEN_ALGORITHM
    assert check(token, provider(), key_set(jwk(name="other"))) == UnknownKey("main")
    assert check(sign(claims, name="other", kid="main"), provider(), KEYS) is Reason.TOKEN_SIGNATURE


def test_r28_keys_that_are_too_old_verify_nothing(kind: tuple[Check, dict[str, Any]]):
    """R28 [10.2]: at the end of their time they count as lacking, for each kind of token."""
    check, claims = kind
    assert check(sign(claims), provider(), key_set(stale_after=NOW)) == UnknownKey("main")
