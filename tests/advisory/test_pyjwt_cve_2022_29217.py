"""CVE-2022-29217 (GHSA-ffqj-6fqr-9h24) and CVE-2017-11424: a public key taken for an HMAC secret.

PyJWT chose the algorithm that the token named and refused only some spellings of public keys as secrets.
The same fault elsewhere: CVE-2026-39999.
"""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.reasons import Reason
from gateway.core.tokens import access_token
from gateway.core.tokens.jws import UnknownKey
from tests.support.jose import NOW, access_claims, b64, jwk, key_set, private_key, provider

_FORMS = {
    "openssh": (Encoding.OpenSSH, PublicFormat.OpenSSH),
    "pem": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "der": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
}


def secrets_of(kind: str) -> list[bytes]:
    public = private_key(kind).public_key()
    members = jwk(kind)
    forms = [public.public_bytes(*form) for form in _FORMS.values()]
    if kind == "RS":
        forms.append(public.public_bytes(Encoding.PEM, PublicFormat.PKCS1))
    return [
        *forms,
        *(form.strip() for form in forms),
        json.dumps(members).encode(),
        str(members).encode(),
        b"",
    ]


@pytest.mark.parametrize("kind", ["RS", "ES256", "EdDSA"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_public_key_is_no_secret(kind: str, alg: str) -> None:
    """R18: HMAC over any spelling of a published key is refused, even where the operator allows HMAC."""
    for secret in secrets_of(kind):
        signing_input = f"{b64(json.dumps({'alg': alg, 'kid': 'main'}))}.{b64(json.dumps(access_claims()))}"
        signature = hmac.new(secret, signing_input.encode(), getattr(hashlib, f"sha{alg[2:]}")).digest()
        token = f"{signing_input}.{b64(signature)}"
        for algorithms in (("RS256", "ES256"), ("RS256", "HS256", "HS384", "HS512")):
            verdict = access_token.check(token, provider(algorithms=algorithms), key_set(jwk(kind)), NOW)
            assert verdict is Reason.TOKEN_ALGORITHM


def test_published_secret_is_no_key() -> None:
    """R31: a symmetric key in a published set, which everybody knows, verifies nothing."""
    secret = b"everybody knows"
    signing_input = f"{b64(json.dumps({'alg': 'HS256', 'kid': 'main'}))}.{b64(json.dumps(access_claims()))}"
    token = f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), 'sha256'))}"
    published = {"kty": "oct", "kid": "main", "alg": "HS256", "k": base64.urlsafe_b64encode(secret).decode()}
    verdict = access_token.check(token, provider(algorithms=("HS256",)), key_set(published), NOW)
    assert verdict in (Reason.TOKEN_ALGORITHM, UnknownKey("main"))
