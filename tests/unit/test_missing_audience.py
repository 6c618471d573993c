"""Tokens that have no ``aud``, from clients that the configuration names (Cognito)."""

from typing import Any

import pytest

from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.tokens import access_token
from tests.support.jose import NOW, access_claims, key_set, provider, sign

COGNITO = "3n4b5urk1ft4fl3mg5e62d9ado"


def judge(claims: dict[str, Any], **changes: Any) -> Any:
    named = provider(clients_without_aud=(COGNITO,), **changes)
    return access_token.check(sign(claims), named, key_set(), NOW)


def cognito(**changes: Any) -> dict[str, Any]:
    """Return the claims of an access token as Cognito makes them."""
    return access_claims(
        **{"aud": ..., "client_id": COGNITO, "token_use": "access", "version": 2, "auth_time": NOW, **changes}
    )


def test_a_token_without_aud_counts_from_the_named_clients() -> None:
    """R24 [11.4]: `client_id` stands in where the provider writes no `aud`."""
    found = judge(cognito())
    assert isinstance(found, Identity)
    assert found.subject == "alice"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": ...},
        {"client_id": ""},
        {"client_id": None},
        {"client_id": [COGNITO]},
        {"client_id": {"a": COGNITO}},
        {"client_id": ..., "azp": COGNITO},
        # an aud that is there is judged as one, whatever it is
        {"aud": "another"},
        {"aud": ""},
        {"aud": []},
        {"aud": None},
        {"aud": COGNITO},
    ],
)
def test_nothing_else_stands_in(changes: dict[str, Any]) -> None:
    """R24 [11.4]: other clients, other claims, and whatever an `aud` says that names nobody known."""
    assert judge(cognito(**changes)) is Reason.TOKEN_AUDIENCE


@pytest.mark.parametrize("changes", [{"token_use": "id"}, {"nonce": "n", "token_use": ...}, {"events": {}}])
def test_no_other_kind_of_token_comes_in_by_it(changes: dict[str, Any]) -> None:
    """R23 [11.4]: an ID token is none for want of its audience."""
    assert judge(cognito(**changes)) is Reason.TOKEN_TYPE


def test_without_the_setting_it_is_refused() -> None:
    """R24 [11.4]: nobody is named by default."""
    assert access_token.check(sign(cognito()), provider(), key_set(), NOW) is Reason.TOKEN_AUDIENCE
    claims = access_claims(client_id=COGNITO)
    assert isinstance(judge(claims), Identity), "a token with an audience is as good as before"
