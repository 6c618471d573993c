"""CVE-2024-53861 (GHSA-75c5-xw7c-p5pm): PyJWT compared the issuer with ``in``, so a part of it passed."""

import pytest

from gateway.core.reasons import Reason
from gateway.core.tokens import access_token, id_token
from tests.support.jose import CLIENT, ISSUER, NOW, access_claims, id_claims, key_set, provider, sign


@pytest.mark.parametrize("issuer", [ISSUER[:-1], ISSUER[8:], "h", "", ISSUER + "x", [ISSUER], {ISSUER: 1}])
def test_part_of_the_issuer(issuer: object) -> None:
    """R26: the issuer is equal or wrong, in access tokens and ID tokens alike."""
    bearer = access_token.check(sign(access_claims(iss=issuer)), provider(), key_set(), NOW)
    login = id_token.check(
        sign(id_claims(iss=issuer)), provider(), key_set(), NOW, nonce="the-nonce", access_token=None
    )
    assert bearer is Reason.TOKEN_ISSUER
    assert login is Reason.TOKEN_ISSUER


@pytest.mark.parametrize("audience", [CLIENT[:-1], CLIENT + "x", "c", [CLIENT[1:]]])
def test_part_of_the_audience(audience: object) -> None:
    """R22, R24: the same for the audience."""
    login = id_token.check(
        sign(id_claims(aud=audience)), provider(), key_set(), NOW, nonce="the-nonce", access_token=None
    )
    assert login is Reason.TOKEN_AUDIENCE
    bearer = access_token.check(
        sign(access_claims(aud=audience)), provider(audiences=(CLIENT,)), key_set(), NOW
    )
    assert bearer is Reason.TOKEN_AUDIENCE
