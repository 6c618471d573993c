"""Forgeries that fooled other JWT libraries; each test names the advisory."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.tokens import access_token, id_token
from gateway.core.tokens.jws import UnknownKey
from tests.support.jose import (
    NOW,
    access_claims,
    b64,
    id_claims,
    jwk,
    key_set,
    private_key,
    provider,
    raw_sign,
    sign,
)

CLAIMS = json.dumps(access_claims())


def check(token: str, **changes: object) -> object:
    return access_token.check(token, provider(**changes), key_set(), NOW)


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "none ", ""])
@pytest.mark.parametrize("tail", ["", "c2ln"])
def test_none(alg: str, tail: str) -> None:
    """R18, CVE-2015-9235 and its many echoes: no spelling of ``none`` passes, even if configured."""
    token = f"{b64(json.dumps({'alg': alg, 'kid': 'main'}))}.{b64(CLAIMS)}.{tail}"
    assert check(token) is Reason.TOKEN_ALGORITHM
    assert check(token, algorithms=(alg or "x", "none", "RS256")) is Reason.TOKEN_ALGORITHM


@pytest.mark.parametrize("algorithm", [["none"], None, 0, {"alg": "none"}])
def test_algorithm_of_another_type(algorithm: object) -> None:
    """R29: ``alg`` is a string."""
    assert check(f"{b64(json.dumps({'alg': algorithm}))}.{b64(CLAIMS)}.") is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_blank_ecdsa_signature(alg: str) -> None:
    """CVE-2022-21449: r and s of zero, or of the curve's order, sign nothing."""
    size = {"ES256": 32, "ES384": 48, "ES512": 66}[alg]
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signing_input = f"{b64(json.dumps({'alg': alg, 'kid': 'main'}))}.{b64(CLAIMS)}"
    for number in (0, 1, order, (1 << (8 * size)) - 1):
        signature = number.to_bytes(size, "big") * 2
        token = f"{signing_input}.{b64(signature)}"
        verdict = access_token.check(token, provider(), key_set(jwk(alg)), NOW)
        assert verdict is Reason.TOKEN_SIGNATURE


def test_embedded_key() -> None:
    """R19, CVE-2018-0114: the key in the token's own header is not used."""
    token = raw_sign(
        {"alg": "RS256", "jwk": jwk(name="attacker"), "kid": "attacker"}, access_claims(), "RS256",
        private_key(name="attacker"),
    )  # fmt: skip
    assert check(token) == UnknownKey("attacker")


@pytest.mark.parametrize(
    "kid", ["../../../dev/null", "main' OR '1'='1", "main\0", "| id", "http://attacker.example/"]
)
def test_key_id_is_only_a_name(kid: str) -> None:
    """A key id is looked up in a table: no path, query or command ever."""
    assert check(sign(access_claims(), kid=kid)) == UnknownKey(kid)


def test_exponent_one() -> None:
    """R31: with the public exponent 1 every padded message is its own signature."""
    numbers = private_key().public_key().public_numbers()
    assert isinstance(numbers, rsa.RSAPublicNumbers)
    assert not key_set(jwk(e="AQ")).keys


def test_duplicate_claims() -> None:
    """R29: the first ``sub`` for one reader, the last for another: refused, though well signed."""
    claims = CLAIMS[:-1] + ', "sub": "root"}'
    token = raw_sign({"alg": "RS256", "kid": "main"}, claims, "RS256", private_key())
    assert check(token) is Reason.TOKEN_MALFORMED


def test_json_serialisation_is_no_token() -> None:
    """CVE-2022-39227: a JSON-serialised signature beside other claims is no compact token."""
    head, body, tail = sign(access_claims()).split(".")
    other = b64(json.dumps(access_claims(sub="root")))
    mixed = json.dumps({f"  {head}.{other}.": "", "protected": head, "payload": body, "signature": tail})
    assert check(mixed) is Reason.TOKEN_MALFORMED


def test_padded_segments() -> None:
    """R29: PyJWT reads ``=`` padding; two spellings of one token would dodge a denylist of tokens."""
    token = sign(access_claims())
    assert isinstance(check(token), Identity)
    for spelling in (token + "=", token + "==", token.replace(".", "=.", 1), token + "\n", "Bearer " + token):
        assert check(spelling) is Reason.TOKEN_MALFORMED


def test_last_character_is_canonical() -> None:
    """R29: the unused bits of the last character are zero, so no token has a second spelling."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = sign(access_claims())
    accepted = [sign for sign in alphabet if isinstance(check(token[:-1] + sign), Identity)]
    assert accepted == [token[-1]]


def test_any_valid_token_is_not_enough() -> None:
    """CVE-2022-29226: a well-signed token of the same issuer for somebody else's API logs nobody in."""
    assert check(sign(access_claims(aud="https://other.example"))) is Reason.TOKEN_AUDIENCE
    assert check(sign(id_claims())) is Reason.TOKEN_TYPE


def test_access_token_as_id_token() -> None:
    """R22: an access token of the same issuer does not pass for an ID token."""
    verdict = id_token.check(
        sign(access_claims(), typ="at+jwt"), provider(), key_set(), NOW, nonce=None, access_token=None
    )
    assert verdict is Reason.TOKEN_TYPE
    verdict = id_token.check(sign(access_claims()), provider(), key_set(), NOW, nonce=None, access_token=None)
    assert verdict is Reason.TOKEN_AUDIENCE


def test_compressed_bomb() -> None:
    """CVE-2024-21319 and CVE-2024-33664: encrypted or compressed tokens are never unpacked."""
    head = b64(json.dumps({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "zip": "DEF", "p2c": 1 << 31}))
    assert check(f"{head}.a.a.a.a") is Reason.TOKEN_MALFORMED
