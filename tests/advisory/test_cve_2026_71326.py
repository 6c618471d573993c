"""CVE-2026-71326: who asked for other tokens shared one token call, and got them with the wrong scope."""

import pytest

from gateway.core.sessions.model import Grant
from gateway.core.sessions.renewal import rotation_id
from tests.support.jose import provider

GRANT = Grant("session", 3, "refresh-token")


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://other.example"},
        {"client_id": "other"},
        {"scopes": ("openid", "admin")},
        {"resources": ("https://api.example/",)},
        {"resources": ("https://api.example/", "urn:b")},
    ],
)
def test_what_asks_for_other_tokens_shares_no_call(change: dict):
    """R32 [11.5]: issuer, client, scope and resource are in the name under which one call is shared."""
    assert rotation_id(provider(**change), GRANT) != rotation_id(provider(), GRANT)


def test_what_asks_for_the_same_shares_one():
    """R32 [11.5]: the order in which scopes are written asks for nothing else."""
    both = [provider(scopes=scopes) for scopes in (("openid", "a"), ("a", "openid"))]
    assert rotation_id(both[0], GRANT) == rotation_id(both[1], GRANT)
