"""The filter between a published key set and the keys that verify."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.core.tokens.keys import KeySet, build_key_set
from tests.support.jose import NOW, b64, jwk, key_set


def is_admitted(candidate: object, alg: str = "RS256") -> bool:
    keys = build_key_set([candidate], NOW, NOW + 1)
    return bool(keys.find("main", alg))


def octets(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def test_good_keys_are_found_by_id_and_algorithm() -> None:
    """R31: each key serves exactly the algorithms that fit its type and curve."""
    keys = key_set(
        jwk("RS", kid="r"), jwk("ES256", kid="e2"), jwk("ES384", kid="e3"), jwk("ES512", kid="e5"),
        jwk("EdDSA", kid="d"), jwk("Ed448", kid="d4"),
    )  # fmt: skip
    rsa_family = {("r", f"{family}{bits}") for family in ("RS", "PS") for bits in (256, 384, 512)}
    rest = {("e2", "ES256"), ("e3", "ES384"), ("e5", "ES512"), ("d", "EdDSA"), ("d4", "EdDSA")}
    assert set(keys.keys) == rsa_family | rest
    assert all(len(found) == 1 for found in keys.keys.values())


def test_named_algorithm_narrows() -> None:
    """R31: a key that names its algorithm serves no other."""
    assert set(key_set(jwk(alg="PS256")).keys) == {("main", "PS256")}
    assert not key_set(jwk(alg="ES256")).keys
    assert not key_set(jwk(alg="RSA-OAEP")).keys
    assert not key_set(jwk(alg="HS256")).keys
    assert not key_set(jwk("ES256", alg="ES384")).keys
    assert not key_set(jwk(alg=["RS256"])).keys


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": ["sig"]},
        {"use": ""},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"key_ops": {"verify": 1}},
        {"kty": "oct"},
        {"kty": "EC"},
        {"kty": "rsa"},
        {"kty": None},
        {"kty": 1},
        {"kid": 1},
        {"kid": "k" * 1025},
        {"n": None},
        {"n": 65537},
        {"n": ""},
        {"n": "=" * 8},
        {"n": "A" * 3000},
        {"e": None},
        {"e": "AQAB="},
        {"e": "AQ"},
        {"e": octets(65536)},
        {"e": octets((1 << 64) + 13)},
        {"e": ""},
        {"d": "AQAB"},
        {"k": "AQAB"},
    ],
    ids=json.dumps,
)
def test_keys_that_may_not_verify_are_left_out(change: dict[str, object]) -> None:
    """R31: wrong use, operations or type, bad base64url, strange exponents, private parts."""
    assert is_admitted(jwk())
    assert not is_admitted({**jwk(), **change} if None not in change.values() else jwk(**change))


def test_padded_modulus_is_left_out() -> None:
    """R31: base64url is strict: padding, the other alphabet and white space are refused."""
    modulus = jwk()["n"]
    assert isinstance(modulus, str)
    for bad in (
        modulus + "==",
        modulus + "\n",
        modulus.replace("-", "+").replace("_", "/") + "+",
        " " + modulus,
    ):
        assert not is_admitted(jwk(n=bad))


@pytest.mark.parametrize("bits", [1024, 2047])
def test_short_rsa_keys_are_left_out(bits: int) -> None:
    """R31: RSA below 2048 bits does not count."""
    modulus = (1 << (bits - 1)) | 1
    assert not is_admitted(jwk(n=octets(modulus)))
    assert is_admitted(jwk(n=octets((1 << 2047) | 1)))


def test_real_1024_bit_key_is_left_out() -> None:
    """R31: the same with a key that really works."""
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505 - the point
    assert not is_admitted(jwk(n=octets(numbers.n)))


def test_huge_and_even_moduli_are_left_out() -> None:
    """R31: a modulus beyond 8192 bits only burns time, an even one is none."""
    assert not is_admitted(jwk(n=octets((1 << 8192) | 1)))
    assert not is_admitted(jwk(n=octets(1 << 2047)))


@pytest.mark.parametrize(
    "change",
    [
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": "P-256\0"},
        {"crv": None},
        {"crv": ["P-256"]},
        {"x": b64(bytes(32))},
        {"x": b64(bytes(31))},
        {"x": None},
        {"y": None},
        {"y": 1},
        {"kty": "OKP"},
    ],
    ids=json.dumps,
)
def test_bad_curve_points_are_left_out(change: dict[str, object]) -> None:
    """R31: the curve fits the algorithm, and the point lies on it."""
    assert is_admitted(jwk("ES256"), "ES256")
    assert not is_admitted(jwk("ES256", **change), "ES256")
    assert not is_admitted(jwk("ES256", **change), "ES384")


@pytest.mark.parametrize("change", [{"crv": "X25519"}, {"crv": "Ed448"}, {"x": b64(bytes(31))}, {"x": None}])
def test_bad_octet_pairs_are_left_out(change: dict[str, object]) -> None:
    """R31: an OKP key has a signature curve and that curve's length."""
    assert is_admitted(jwk("EdDSA"), "EdDSA")
    assert not is_admitted(jwk("EdDSA", **change), "EdDSA")


def test_symmetric_keys_are_left_out() -> None:
    """R31: no ``oct`` from the network."""
    assert not build_key_set([{"kty": "oct", "k": "c2VjcmV0", "kid": "main"}], NOW, NOW + 1).keys


def test_duplicate_ids_drop_both() -> None:
    """R31: two keys of one id for one algorithm: neither counts; a third is untouched."""
    keys = key_set(jwk(), jwk(name="second", kid="main"), jwk(name="third"))
    assert not keys.find("main", "RS256")
    assert keys.find("third", "RS256")


def test_a_key_that_is_there_twice_is_one() -> None:
    """R31 [2.18]: the same key twice under one id, under none or under several is no doubt."""
    assert key_set(jwk(), jwk()).find("main", "RS256")
    assert key_set(jwk(), jwk(alg="RS256"), jwk(use=None)).find("main", "RS256")
    assert key_set(jwk(kid=None), jwk(kid=None)).find(None, "RS256")
    assert key_set(jwk(kid="a"), jwk(kid="b")).find(None, "RS256")
    for kind, alg in (("ES256", "ES256"), ("EdDSA", "EdDSA"), ("Ed448", "EdDSA")):
        assert key_set(jwk(kind), jwk(kind)).find("main", alg)
        assert not key_set(jwk(kind), jwk(kind, name="second", kid="main")).find("main", alg)
    assert not key_set(jwk(kid=None), jwk(name="second", kid=None)).find(None, "RS256")


def test_ed25519_is_a_name_of_eddsa_with_that_curve() -> None:
    """[2.18]: RFC 9864's name finds Ed25519 keys alone, however the key itself calls its algorithm."""
    for named in (None, "EdDSA", "Ed25519"):
        keys = key_set(jwk("EdDSA", alg=named))
        assert keys.find("main", "Ed25519") == keys.find("main", "EdDSA") != ()
    assert not key_set(jwk("Ed448")).find("main", "Ed25519")
    assert not key_set(jwk("Ed448", alg="Ed25519")).keys
    assert not key_set(jwk(alg="Ed25519")).keys


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (jwk(use="enc"), "use is not sig"),
        (jwk(key_ops=["sign"]), "key_ops lacks verify"),
        (jwk(d="AQAB"), "secret"),
        (jwk(kty="oct"), "kty"),
        (jwk(n="AQAB"), "bits"),
        (jwk(e="AQ"), "exponent"),
        (jwk(alg="ES256"), "alg"),
        (jwk("ES256", crv="secp256k1"), "crv"),
        (jwk("ES256", x="AQ"), "curve"),
        (jwk(kid=7), "kid"),
        (7, "no JSON object"),
    ],
    ids=lambda each: each if isinstance(each, str) else "key",
)
def test_what_is_left_out_is_named(member: Any, why: str) -> None:
    """[2.33]: each key that is left out is told, with the reason; those that serve are not."""
    keys = build_key_set([member, jwk(name="good")], NOW, NOW + 1)
    assert keys.find("good", "RS256")
    (told,) = keys.left_out
    assert why in told


def test_two_keys_of_one_id_are_told() -> None:
    """[2.33]: so is an id that two different keys share."""
    keys = key_set(jwk(), jwk(name="second", kid="main"))
    assert keys.left_out == ("key 'main': several keys have this id",)
    assert "\n" not in key_set(jwk(kid="a\nb", use="enc")).left_out[0]


def test_one_id_for_two_algorithms_is_fine() -> None:
    """R31: a shared id is no conflict where the algorithms differ, or where one key is for encryption."""
    keys = key_set(jwk(), jwk("ES256"))
    assert keys.find("main", "RS256")
    assert keys.find("main", "ES256")
    assert key_set(jwk(), jwk(name="second", kid="main", use="enc")).find("main", "RS256")


def test_several_keys_without_id() -> None:
    """R27: a key without an id serves tokens without one, when it is the only one that fits."""
    alone = key_set(jwk(kid=None))
    assert alone.find(None, "RS256")
    assert not alone.find("main", "RS256")
    assert not key_set(jwk(kid=None), jwk(name="second", kid=None)).find(None, "RS256")


@pytest.mark.parametrize(
    "junk", [None, 1, "text", [], [jwk()], {}, {"kty": "future"}, {"kty": {}}, {"kty": "RSA"}]
)
def test_junk_is_ignored(junk: object) -> None:
    """R31: what is unknown or malformed neither counts nor harms its neighbours."""
    keys = build_key_set([junk, jwk(), junk], NOW, NOW + 1)
    assert keys.find("main", "RS256")
    assert {kid for kid, _ in keys.keys} == {"main"}


def test_age_bounds_use() -> None:
    """R28: at ``stale_after`` the keys are no longer usable."""
    keys = KeySet({}, NOW, NOW + 10)
    assert keys.is_usable(NOW + 9.9)
    assert not keys.is_usable(NOW + 10)


def test_has_tells_ids_of_any_algorithm() -> None:
    """R27: an id that is there for another algorithm is no reason to fetch again."""
    keys = key_set(jwk("ES256"))
    assert keys.has("main")
    assert not keys.has("other")
