"""ID tokens: the provider's answer to our request, or why not."""

import base64
import hashlib
from typing import Any

import pytest

from gateway.core.reasons import Reason
from gateway.core.tokens import id_token
from gateway.core.tokens.jws import UnknownKey
from tests.support.jose import (
    CLIENT,
    ISSUER,
    NOW,
    id_claims,
    jwk,
    key_set,
    private_key,
    provider,
    raw_sign,
    sign,
)

MAIN = provider()
KEYS = key_set()
ACCESS = "an-access-token"


def judge(
    claims: dict[str, Any], *, nonce: str | None = "the-nonce", access: str | None = ACCESS, **header: Any
) -> Any:
    return id_token.check(sign(claims, **header), MAIN, KEYS, NOW, nonce=nonce, access_token=access)


def test_good_token_gives_its_claims() -> None:
    """All that the provider said about the person comes out."""
    assert judge(id_claims(email="alice@example.com")) == id_claims(email="alice@example.com")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "https://other.example"}, Reason.TOKEN_ISSUER),
        ({"iss": ISSUER + "/"}, Reason.TOKEN_ISSUER),
        ({"iss": ...}, Reason.TOKEN_ISSUER),
        ({"sub": ...}, Reason.TOKEN_CLAIMS),
        ({"sub": ""}, Reason.TOKEN_CLAIMS),
        ({"sub": 1}, Reason.TOKEN_CLAIMS),
        ({"exp": ...}, Reason.TOKEN_CLAIMS),
        ({"exp": NOW - 31}, Reason.TOKEN_EXPIRED),
        ({"iat": ...}, Reason.TOKEN_CLAIMS),
        ({"iat": NOW + 31}, Reason.TOKEN_NOT_YET_VALID),
        ({"nbf": NOW + 31}, Reason.TOKEN_NOT_YET_VALID),
        ({"exp": "never"}, Reason.TOKEN_CLAIMS),
        ({"auth_time": "today"}, Reason.TOKEN_CLAIMS),
        ({"auth_time": True}, Reason.TOKEN_CLAIMS),
        ({"sid": 1}, Reason.TOKEN_CLAIMS),
        ({"sid": ""}, Reason.TOKEN_CLAIMS),
    ],
    ids=str,
)
def test_claims_are_judged(change: dict[str, object], reason: Reason) -> None:
    """R21, R29: issuer, subject and times, each refused for its own reason."""
    assert judge(id_claims(**change)) is reason


@pytest.mark.parametrize(
    ("audience", "azp", "is_good"),
    [
        (CLIENT, ..., True),
        ([CLIENT], ..., True),
        (CLIENT, CLIENT, True),
        ([CLIENT, "other"], CLIENT, True),
        ([CLIENT, "other"], ..., False),
        ([CLIENT, "other"], "other", False),
        (CLIENT, "other", False),
        (CLIENT, None, True),
        ([CLIENT, "other"], None, False),
        (CLIENT, [CLIENT], False),
        ("other", CLIENT, False),
        (["other"], ..., False),
        ([], ..., False),
        (..., ..., False),
        ([CLIENT, 1], CLIENT, False),
        ({CLIENT: 1}, ..., False),
        ("the-client ", ..., False),
    ],
)
def test_audience_is_the_client(audience: object, azp: object, is_good: bool) -> None:
    """R22: ``aud`` holds the client; several audiences need ``azp``, and ``azp`` is always the client."""
    verdict = judge(id_claims(aud=audience, azp=azp))
    assert (verdict is Reason.TOKEN_AUDIENCE) is not is_good
    assert isinstance(verdict, dict) is is_good


@pytest.mark.parametrize(
    ("audience", "azp", "is_good"),
    [
        ([CLIENT, "trusted"], ..., True),
        ([CLIENT, "trusted", "second"], ..., True),
        (["trusted", CLIENT], None, True),
        ([CLIENT, "trusted"], CLIENT, True),
        ([CLIENT, "trusted", "other"], ..., False),
        (["trusted"], ..., False),
        ("trusted", CLIENT, False),
        ([CLIENT, "trusted"], "trusted", False),
        ([CLIENT, "trusted", 1], ..., False),
        (CLIENT, ..., True),
    ],
)
def test_other_audiences_are_trusted_by_name(audience: object, azp: object, is_good: bool) -> None:
    """R22 [2.12]: without ``azp``, further audiences pass where each is in id_token_audiences."""
    trusting = provider(id_token_audiences=("trusted", "second"))
    token = sign(id_claims(aud=audience, azp=azp))
    verdict = id_token.check(token, trusting, KEYS, NOW, nonce="the-nonce", access_token=None)
    assert isinstance(verdict, dict) if is_good else verdict is Reason.TOKEN_AUDIENCE


@pytest.mark.parametrize("name", ["azp", "auth_time", "sid", "nbf", "acr", "at_jkt"])
def test_null_means_absent(name: str) -> None:
    """[2.25]: some serialisers write null for what is not there."""
    assert isinstance(judge(id_claims(**{name: None})), dict)


@pytest.mark.parametrize("name", ["exp", "iat", "iss", "aud", "sub", "nonce"])
def test_null_never_means_absent_for_what_must_be_there(name: str) -> None:
    """[2.25]: a null in the place of what a check rests on is a refusal."""
    assert isinstance(judge(id_claims(**{name: None})), Reason)


@pytest.mark.parametrize("name", ["typ", "kid", "alg", "crit", "b64"])
def test_null_in_a_header_is_malformed(name: str) -> None:
    """[2.25]: in a JOSE header null is no absence."""
    header = {"alg": "RS256", "kid": "main", name: None}
    token = raw_sign(header, id_claims(), "RS256", private_key())
    verdict = id_token.check(token, MAIN, KEYS, NOW, nonce="the-nonce", access_token=None)
    assert verdict in {Reason.TOKEN_MALFORMED, Reason.TOKEN_TYPE}


@pytest.mark.parametrize("change", [{"typ": "Bearer"}, {"typ": "Refresh"}, {"token_use": "access"}], ids=str)
def test_other_kinds_by_name_are_refused(change: dict[str, object]) -> None:
    """[2.5]: a claim that names another kind of token refuses it as an ID token; its own kind passes."""
    assert judge(id_claims(**change)) is Reason.TOKEN_TYPE
    assert isinstance(judge(id_claims(typ="ID")), dict)
    assert isinstance(judge(id_claims(token_use="id")), dict)


@pytest.mark.parametrize(
    ("found", "sent", "is_good"),
    [
        ("the-nonce", "the-nonce", True),
        ("another", "the-nonce", False),
        ("the-nonce ", "the-nonce", False),
        ("", "the-nonce", False),
        (..., "the-nonce", False),
        (None, "the-nonce", False),
        (["the-nonce"], "the-nonce", False),
        ("", "", False),
        ("é", "the-nonce", False),
        (..., None, True),
        ("from-the-login", None, True),
    ],
)
def test_nonce(found: object, sent: str | None, is_good: bool) -> None:
    """R9: the nonce is the one that this login sent; at a refresh there is none to compare."""
    verdict = judge(id_claims(nonce=found), nonce=sent)
    assert isinstance(verdict, dict) if is_good else verdict is Reason.TOKEN_NONCE


def half(name: str, value: str = ACCESS) -> str:
    digest = hashlib.new(name, value.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("alg", "name"),
    [
        ("RS256", "sha256"),
        ("PS256", "sha256"),
        ("ES256", "sha256"),
        ("ES384", "sha384"),
        ("ES512", "sha512"),
        ("EdDSA", "sha512"),
    ],
)
def test_at_hash_by_algorithm(alg: str, name: str) -> None:
    """R25: ``at_hash`` uses the hash of the signature's algorithm."""
    kind = {"R": "RS", "P": "PS"}.get(alg[0], alg)
    for found, is_good in ((half(name), True), (half("sha224"), False), (half(name, "other"), False)):
        token = sign(id_claims(at_hash=found), alg=alg)
        verdict = id_token.check(token, MAIN, key_set(jwk(kind)), NOW, nonce="the-nonce", access_token=ACCESS)
        assert isinstance(verdict, dict) if is_good else verdict is Reason.TOKEN_HASH


def test_at_hash_of_ed448() -> None:
    """R25: Ed448 hashes with SHAKE256 to 114 bytes (RFC 8032 section 5.2.6)."""
    digest = hashlib.shake_256(ACCESS.encode()).digest(114)
    found = base64.urlsafe_b64encode(digest[:57]).rstrip(b"=").decode()
    for value, expected in ((found, dict), (half("sha512"), Reason)):
        token = sign(id_claims(at_hash=value), alg="EdDSA", kind="Ed448")
        keys = key_set(jwk("Ed448"))
        verdict = id_token.check(token, MAIN, keys, NOW, nonce="the-nonce", access_token=ACCESS)
        assert isinstance(verdict, expected)


@pytest.mark.parametrize("found", ["", 1, None, [], half("sha256") + "=", half("sha256")[:-1], "é"])
def test_bad_at_hash(found: object) -> None:
    """R25: a hash that is present but no match, in whatever form, is refused."""
    assert judge(id_claims(at_hash=found)) is Reason.TOKEN_HASH


def test_at_hash_without_access_token() -> None:
    """R25: with no access token beside it there is nothing to compare."""
    assert isinstance(judge(id_claims(at_hash="whatever"), access=None), dict)


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "application/at+jwt", "", 1])
def test_tokens_of_other_kinds_are_refused(typ: object) -> None:
    """R51's reverse: an access token or a logout token does not log anybody in."""
    assert judge(id_claims(), typ=typ) is Reason.TOKEN_TYPE


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_unsigned_and_hmac_are_refused(alg: str) -> None:
    """R18: the simulator's idtoken-sig-none and invalid-sig-hs256, with the client secret as key."""
    token = raw_sign({"alg": alg, "kid": "main"}, id_claims(), alg, None if alg == "none" else b"the-secret")
    verdict = id_token.check(token, MAIN, KEYS, NOW, nonce="the-nonce", access_token=None)
    assert verdict is Reason.TOKEN_ALGORITHM


def test_wrong_signature_is_refused() -> None:
    """R18: the simulator's invalid-sig-rs256."""
    assert judge(id_claims(), name="attacker", kid="main") is Reason.TOKEN_SIGNATURE


def test_lacking_keys_are_asked_for() -> None:
    """R27, R28: no keys, stale keys or an unknown key id ask for keys."""
    token = sign(id_claims())
    for keys in (None, key_set(stale_after=NOW), key_set(jwk(name="old"))):
        verdict = id_token.check(token, MAIN, keys, NOW, nonce=None, access_token=None)
        assert verdict == UnknownKey("main")


def test_missing_key_id_with_one_key() -> None:
    """R27: the simulator's kid-absent-single-jwks passes, kid-absent-multiple-jwks asks for keys."""
    assert isinstance(judge(id_claims(), kid=None), dict)
    token = sign(id_claims(), kid=None)
    several = key_set(jwk(), jwk(name="second"))
    verdict = id_token.check(token, MAIN, several, NOW, nonce=None, access_token=None)
    assert verdict == UnknownKey(None)


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "x" * 100_000])
def test_garbage_is_malformed(token: str) -> None:
    """R29: garbage has one answer."""
    verdict = id_token.check(token, MAIN, KEYS, NOW, nonce=None, access_token=None)
    assert verdict is Reason.TOKEN_MALFORMED


def test_key_kinds_do_not_mix() -> None:
    """R18: a token that claims ES256 is not checked with the RSA key of the same id."""
    token = raw_sign({"alg": "ES256", "kid": "main"}, id_claims(), "ES256", private_key("ES256"))
    verdict = id_token.check(token, MAIN, KEYS, NOW, nonce=None, access_token=None)
    assert verdict == UnknownKey("main")
