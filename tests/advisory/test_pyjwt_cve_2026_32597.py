"""CVE-2026-32597 (GHSA-752w-5fwx-jx9f): PyJWT accepted tokens with unknown critical header parameters."""

import pytest

from gateway.core.reasons import Reason
from gateway.core.tokens import access_token, id_token
from tests.support.jose import NOW, access_claims, id_claims, key_set, provider, sign


@pytest.mark.parametrize(
    "header", [{"crit": ["x"], "x": 1}, {"crit": ["b64"], "b64": True}, {"crit": []}, {"crit": 0}]
)
def test_critical_parameters_refuse(header: dict[str, object]) -> None:
    """R20: a well-signed token with ``crit`` is refused, since nothing here understands an extension."""
    assert (
        access_token.check(sign(access_claims(), **header), provider(), key_set(), NOW)
        is Reason.TOKEN_MALFORMED
    )
    verdict = id_token.check(
        sign(id_claims(), **header), provider(), key_set(), NOW, nonce="the-nonce", access_token=None
    )
    assert verdict is Reason.TOKEN_MALFORMED
