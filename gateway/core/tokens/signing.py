"""The keys with which the gateway signs: worked out of its secret keys and the time.

Every worker of every gateway that has the same secret keys has the same signing keys, rotated at the same
moments, and needs to ask nobody for them. A key is published for three periods: one before it signs, so that
whoever keeps a copy of the set knows it by then, the one in which it signs, and one after, in which what it
has signed still holds. The first secret key signs; of all of them the keys are published, so that a new one
at the end of the list is known everywhere before it becomes the first.

RFC 7515 (JWS), RFC 7517 (JWK), RFC 7638 (key ids), FIPS 186-5 appendix A.2.1 (a scalar of more bits than the
order has). Signatures are deterministic (RFC 6979, RFC 8032), so that nothing here draws anything.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.syntax.encoding import Json, encode_base64url

Algorithm = Literal["ES256", "EdDSA"]

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MOST_KEPT: Final = 128
_WIDTH: Final = 32


def _deterministic() -> ECDSA:
    try:
        return ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        # an older OpenSSL draws the nonce itself
        return ECDSA(SHA256())


_ECDSA: Final = _deterministic()


class SigningKey:
    """One key pair. ``jwk`` is its public half as it is published, ``kid`` its thumbprint."""

    __slots__ = ("_key", "_start", "jwk", "kid")

    def __init__(self, key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> None:
        self._key = key
        members, algorithm = _public_members(key)
        self.kid = encode_base64url(hashlib.sha256(_compact(members)).digest())
        self.jwk: dict[str, Json] = {**members, "kid": self.kid, "use": "sig", "alg": algorithm}
        header = _compact({"alg": algorithm, "kid": self.kid, "typ": "JWT"})
        self._start = f"{encode_base64url(header)}."

    def sign(self, claims: Mapping[str, Json]) -> str:
        """Return a JWT in compact serialisation (RFC 7515 section 7.1)."""
        text = self._start + encode_base64url(_compact(claims))
        octets = text.encode()
        if isinstance(self._key, Ed25519PrivateKey):
            signature = self._key.sign(octets)
        else:
            # RFC 7518 section 3.4: both numbers in their full width
            numbers = decode_dss_signature(self._key.sign(octets, _ECDSA))
            signature = b"".join(number.to_bytes(_WIDTH, "big") for number in numbers)
        return f"{text}.{encode_base64url(signature)}"


class SigningKeys:
    """The keys of all periods.

    Args:
        seeds: 32 secret bytes for each of the gateway's secret keys, the first signs.
        algorithm: of the signatures.
        period: how long a key signs, in seconds.

    Attributes:
        signed: how many assertions were signed.
    """

    def __init__(self, seeds: tuple[bytes, ...], algorithm: Algorithm, period: float) -> None:
        self._seeds = seeds
        self._algorithm = algorithm
        self._period = period
        self._kept: dict[tuple[int, int], SigningKey] = {}
        self.signed = 0

    def sign(self, claims: Mapping[str, Json], now: float) -> str:
        """Return a JWT signed with the key of ``now``, when it is issued (epoch seconds)."""
        self.signed += 1
        return self._key(0, self._number(now)).sign(claims)

    def published(self, now: float) -> list[Json]:
        """Return the public keys of this period, the one before and the one after, those that sign first."""
        number = self._number(now)
        return [
            dict(self._key(place, number + step).jwk)
            for step in (0, 1, -1)
            for place in range(len(self._seeds))
        ]

    def _number(self, now: float) -> int:
        return int(now // self._period)

    def _key(self, place: int, number: int) -> SigningKey:
        found = self._kept.get((place, number))
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[place, number] = _derived(self._seeds[place], self._algorithm, number)
        return found


def _derived(seed: bytes, algorithm: Algorithm, number: int) -> SigningKey:
    info = f"gateway signing key\x00{algorithm}\x00{number}".encode()
    if algorithm == "EdDSA":
        octets = HKDFExpand(SHA256(), 32, info).derive(seed)
        return SigningKey(Ed25519PrivateKey.from_private_bytes(octets))
    octets = HKDFExpand(SHA256(), 48, info).derive(seed)
    scalar = int.from_bytes(octets, "big") % (_ORDER - 1) + 1
    return SigningKey(derive_private_key(scalar, SECP256R1()))


def _public_members(
    key: EllipticCurvePrivateKey | Ed25519PrivateKey,
) -> tuple[dict[str, Json], Algorithm]:
    """Return the members that make up the public key, in the order of RFC 7638, and its algorithm."""
    if isinstance(key, Ed25519PrivateKey):
        x = encode_base64url(key.public_key().public_bytes_raw())
        return {"crv": "Ed25519", "kty": "OKP", "x": x}, "EdDSA"
    numbers = key.public_key().public_numbers()
    x, y = (encode_base64url(each.to_bytes(_WIDTH, "big")) for each in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}, "ES256"


def _compact(members: Mapping[str, Json]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
