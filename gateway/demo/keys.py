"""The demo provider's signing keys: published, rotated, and used for more than is proper."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import get_default_algorithms
from jwt.types import Options

from gateway.syntax.encoding import encode_base64url as b64

_POOL = 4


@lru_cache(maxsize=_POOL)
def _rsa(index: int) -> RSAPrivateKey:
    """Return a key of this process's pool; generating one takes too long to do it for every provider."""
    del index
    return generate_rsa(public_exponent=65537, key_size=2048)


@lru_cache(maxsize=_POOL)
def _ec(index: int) -> EllipticCurvePrivateKey:
    del index
    return generate_ec(SECP256R1())


class SigningKeys:
    """An RS256 and an ES256 key, replaced together by ``rotate``. Key ids are never used twice."""

    def __init__(self, client_secret: str) -> None:
        self._secret = client_secret.encode()
        self._name = secrets.token_hex(4)
        self._generation = 1
        self._published_from = 1

    def rotate(self, *, overlap: bool = True) -> None:
        """Sign with new keys from now on; the last ones stay published only with ``overlap``."""
        self._generation += 1
        self._published_from = self._generation - overlap

    def kid(self, alg: str = "RS256", generation: int | None = None) -> str:
        """Return the id of the key that signs with ``alg`` now."""
        kind = "ec" if alg == "ES256" else "rsa"
        return f"{kind}-{self._name}-{self._generation if generation is None else generation}"

    def jwks(self, *, only_one: bool = False, several: bool = False) -> dict[str, Any]:
        """Return the JWK Set: one key for each algorithm, ``only_one`` at all, or ``several`` that fit."""
        if only_one:
            return {"keys": [self._rsa_jwk(self._generation)]}
        first = self._generation - 1 if several else self._published_from
        generations = range(self._generation, first - 1, -1)
        return {"keys": [jwk for each in generations for jwk in (self._rsa_jwk(each), self._ec_jwk(each))]}

    def sign(
        self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None, alg: str = "RS256"
    ) -> str:
        """Return a compact JWS. ``header`` adds and overrides; a member that is None is left out.

        ``alg`` is RS256, ES256, HS256 (with the client secret) or none.
        """
        full = {"alg": alg, "typ": "JWT", "kid": self.kid(alg), **(header or {})}
        head = {name: value for name, value in full.items() if value is not None}
        signed = ".".join(b64(json.dumps(part).encode()) for part in (head, claims)).encode()
        return f"{signed.decode()}.{b64(self._signature(signed, alg))}"

    def verify(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token that this provider has signed, expired or not; None otherwise."""
        try:
            header = jwt.get_unverified_header(token)
            kind, _, generation = str(header.get("kid", self.kid())).partition(f"-{self._name}-")
            index = int(generation) % _POOL
            key: RSAPublicKey | EllipticCurvePublicKey
            key = _ec(index).public_key() if kind == "ec" else _rsa(index).public_key()
            unjudged: Options = {
                "verify_exp": False,
                "verify_aud": False,
                "verify_iat": False,
                "verify_nbf": False,
            }
            return jwt.decode(token, key, algorithms=["ES256" if kind == "ec" else "RS256"], options=unjudged)
        except (jwt.InvalidTokenError, ValueError):
            return None

    def _signature(self, signed: bytes, alg: str) -> bytes:
        if alg == "none":
            return b""
        if alg == "HS256":
            return hmac.digest(self._secret, signed, hashlib.sha256)
        index = self._generation % _POOL
        algorithm = get_default_algorithms()[alg]
        return algorithm.sign(signed, _ec(index) if alg == "ES256" else _rsa(index))

    def _rsa_jwk(self, generation: int) -> dict[str, str]:
        numbers = _rsa(generation % _POOL).public_key().public_numbers()
        n, e = (number.to_bytes((number.bit_length() + 7) // 8) for number in (numbers.n, numbers.e))
        kid = self.kid("RS256", generation)
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": b64(n), "e": b64(e)}

    def _ec_jwk(self, generation: int) -> dict[str, str]:
        numbers = _ec(generation % _POOL).public_key().public_numbers()
        x, y = (b64(number.to_bytes(32)) for number in (numbers.x, numbers.y))
        kid = self.kid("ES256", generation)
        return {"kty": "EC", "use": "sig", "alg": "ES256", "kid": kid, "crv": "P-256", "x": x, "y": y}


def spoil_signature(token: str) -> str:
    """Return the token with one bit of its signature flipped."""
    signed, _, signature = token.rpartition(".")
    flipped = "B" if signature[0] == "A" else "A"
    return f"{signed}.{flipped}{signature[1:]}"
