"""The keys with which the gateway signs."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.runtime import compile_settings
from gateway.core.sessions.seal import KeyRing
from gateway.core.tokens.keys import build_key_set, read_key
from gateway.core.tokens.signing import SigningKeys
from tests.support.pure import NOW, settings

PERIOD = 3600.0
SEEDS = (bytes(range(32)), bytes(range(32, 64)))


def keys(algorithm: str = "ES256", seeds: tuple[bytes, ...] = SEEDS) -> SigningKeys:
    """Return the keys of a gateway."""
    return SigningKeys(seeds, algorithm, PERIOD)


def kids(signing: SigningKeys, now: float) -> list[str]:
    """Return the ids of what is published."""
    return [key["kid"] for key in signing.published(now)]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_others_can_check_it(algorithm: str):
    """[11.9]: PyJWT, with the key that is published under the token's id, which is its thumbprint."""
    signing = keys(algorithm)
    token = signing.sign({"sub": "alice"}, NOW)
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"]) == (algorithm, "JWT")
    (jwk,) = [each for each in signing.published(NOW) if each["kid"] == header["kid"]]
    assert jwt.decode(token, jwt.PyJWK(jwk), [algorithm]) == {"sub": "alice"}
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y") if name in jwk}
    from hashlib import sha256

    thumbprint = sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    assert base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode() == jwk["kid"]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_what_is_published_is_public(algorithm: str):
    """[11.9]: no private member, and our own strict reading of key sets takes each of them."""
    published = keys(algorithm).published(NOW)
    assert all("d" not in key and key["use"] == "sig" for key in published)
    assert build_key_set(published, NOW, NOW + 1).left_out == ()
    assert (
        len(
            {read_key(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in published}
        )
        == 6
    )


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_every_gateway_signs_alike(algorithm: str):
    """[11.9]: the same secret keys, the same bytes: nothing is drawn, so nothing has to be told."""
    assert keys(algorithm).sign({"a": 1}, NOW) == keys(algorithm).sign({"a": 1}, NOW + 1)


def test_keys_are_known_before_they_sign_and_after():
    """[11.9]: what is fetched at any time checks whatever is signed within a period before and after it."""
    signing = keys()
    for now in range(int(NOW), int(NOW + 3 * PERIOD), 400):
        signer = jwt.get_unverified_header(signing.sign({}, now))["kid"]
        for fetched in (now - PERIOD, now - 1, now, now + 1, now + PERIOD):
            assert signer in kids(signing, fetched)
        assert signer == kids(signing, now)[0]
    assert not set(kids(signing, NOW)) & set(kids(signing, NOW + 3 * PERIOD))


def test_a_new_secret_key_is_known_before_it_signs():
    """[11.9]: at the end of the list it is published; at the beginning it signs."""
    assert kids(keys(seeds=SEEDS[::-1]), NOW)[0] in kids(keys(), NOW)
    assert kids(keys(), NOW)[0] in kids(keys(seeds=SEEDS[::-1]), NOW)


def test_algorithms_and_secret_keys_share_no_key():
    """[11.9]: nor does what seals give away what signs."""
    assert not set(kids(keys(), NOW)) & set(kids(keys("EdDSA"), NOW))
    ring = KeyRing(SEEDS)
    assert len({*ring.seeds("assertions"), *ring.seeds("other"), *SEEDS}) == 6


def test_memory_is_bounded():
    """[11.9]: a clock that goes wild fills nothing."""
    signing = keys()
    for step in range(300):
        signing.sign({}, NOW + step * PERIOD)
    assert len(signing._kept) <= 128


def test_nothing_is_signed_where_nobody_asks():
    """[11.9]: without an upstream that gets assertions there are no keys at all."""
    assert compile_settings(settings()).signing is None
    upstreams = {"app": {"servers": ["http://u:1"], "assertion": {}}}
    assert compile_settings(settings(upstreams=upstreams)).signing is not None
