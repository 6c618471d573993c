"""A provider's verification keys: only those that could rightly sign, found by key id and algorithm (R31).

RFC 7517 (JWK), RFC 7518 section 6 (parameters), RFC 8037 (OKP).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from gateway.core.model import Json
from gateway.core.strict import decode_base64url

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

MOST_KEYS = 100
MOST_KEY_ID = 1024

_RSA_BITS = (2048, 8192)
_MOST_EXPONENT_BITS = 33
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: dict[str, tuple[EllipticCurve, int, str]] = {
    "P-256": (SECP256R1(), 32, "ES256"),
    "P-384": (SECP384R1(), 48, "ES384"),
    "P-521": (SECP521R1(), 66, "ES512"),
}
_OKP: dict[str, tuple[type[Ed25519PublicKey] | type[Ed448PublicKey], int]] = {
    "Ed25519": (Ed25519PublicKey, 32),
    "Ed448": (Ed448PublicKey, 57),
}


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one provider.

    ``keys`` is by key id (None for keys that have none) and algorithm. ``fetched_at`` and ``stale_after``
    are epoch seconds: at ``stale_after`` and later the keys must not be used (R28).
    """

    keys: Mapping[tuple[str | None, str], tuple[PublicKey, ...]]
    fetched_at: float
    stale_after: float

    def find(self, kid: str | None, alg: str) -> tuple[PublicKey, ...]:
        """Return the keys that may verify a signature; at most one.

        Without a key id, a key counts only when it is the only one that fits ``alg`` (R27).
        """
        if kid is not None:
            return self.keys.get((kid, alg), ())
        fitting = tuple(key for (_, name), keys in self.keys.items() if name == alg for key in keys)
        return fitting if len(fitting) == 1 else ()

    def has(self, kid: str) -> bool:
        """Tell whether any key, of whatever algorithm, has this id."""
        return any(name == kid for name, _ in self.keys)

    def is_usable(self, now: float) -> bool:
        """Tell whether the keys may be used at ``now`` (epoch seconds)."""
        return now < self.stale_after


def build_key_set(jwks: Iterable[Json], fetched_at: float, stale_after: float) -> KeySet:
    """Filter the members of a JWK Set into a table (R31).

    What does not fit is left out silently, as RFC 7517 section 5 asks. Two keys that claim the same id for
    the same algorithm are both left out: nobody can say which one is meant.

    Args:
        jwks: the elements of the set's ``keys`` member, unchecked.
        fetched_at: epoch seconds.
        stale_after: epoch seconds.
    """
    table: dict[tuple[str | None, str], list[PublicKey]] = {}
    for jwk in jwks:
        if not isinstance(jwk, dict) or (key := read_key(jwk)) is None:
            continue
        kid = jwk.get("kid")
        assert kid is None or isinstance(kid, str)
        for algorithm in _algorithms(jwk, key):
            table.setdefault((kid, algorithm), []).append(key)
    unique = {name: tuple(keys) for name, keys in table.items() if len(keys) == 1 or name[0] is None}
    return KeySet(MappingProxyType(unique), fetched_at, stale_after)


def read_key(jwk: Mapping[str, Json]) -> PublicKey | None:
    """Turn one JWK into a public key if it may verify signatures, else None.

    Left out are keys for another use, symmetric keys, private keys (published, they are anybody's), RSA
    outside 2048 to 8192 bits, points off their curve and anything malformed.
    """
    if not _may_verify(jwk):
        return None
    try:
        match jwk.get("kty"):
            case "RSA":
                return _read_rsa(jwk)
            case "EC":
                return _read_ec(jwk)
            case "OKP":
                return _read_okp(jwk)
            case _:
                return None
    except (ValueError, UnsupportedAlgorithm):
        return None


def _may_verify(jwk: Mapping[str, Json]) -> bool:
    kid, operations = jwk.get("kid"), jwk.get("key_ops")
    if not (kid is None or (isinstance(kid, str) and len(kid) <= MOST_KEY_ID)):
        return False
    if not (jwk.get("use") is None or jwk["use"] == "sig"):
        return False
    if not (operations is None or (isinstance(operations, list) and "verify" in operations)):
        return False
    return "d" not in jwk and "k" not in jwk


def _algorithms(jwk: Mapping[str, Json], key: PublicKey) -> tuple[str, ...]:
    fitting: tuple[str, ...]
    if isinstance(key, RSAPublicKey):
        fitting = _RSA_ALGORITHMS
    elif isinstance(key, EllipticCurvePublicKey):
        fitting = (_CURVES[str(jwk["crv"])][2],)
    else:
        fitting = ("EdDSA",)
    named = jwk.get("alg")
    return fitting if named is None else tuple(name for name in fitting if name == named)


def _octets(jwk: Mapping[str, Json], name: str) -> bytes | None:
    value = jwk.get(name)
    return decode_base64url(value, 2048) if isinstance(value, str) else None


def _read_rsa(jwk: Mapping[str, Json]) -> PublicKey | None:
    modulus, exponent = _octets(jwk, "n"), _octets(jwk, "e")
    if modulus is None or exponent is None:
        return None
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    if not _RSA_BITS[0] <= n.bit_length() <= _RSA_BITS[1] or n % 2 == 0:
        return None
    # an exponent of 1 makes every message its own signature; a huge one makes each verification a burden
    if e < 3 or e % 2 == 0 or e.bit_length() > _MOST_EXPONENT_BITS:
        return None
    return RSAPublicNumbers(e, n).public_key()


def _read_ec(jwk: Mapping[str, Json]) -> PublicKey | None:
    curve = jwk.get("crv")
    if not isinstance(curve, str) or curve not in _CURVES:
        return None
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    parameters, size, _ = _CURVES[curve]
    if x is None or y is None or not len(x) == len(y) == size:
        return None
    point = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), parameters)
    return point.public_key()


def _read_okp(jwk: Mapping[str, Json]) -> PublicKey | None:
    curve, x = jwk.get("crv"), _octets(jwk, "x")
    if not isinstance(curve, str) or curve not in _OKP:
        return None
    kind, size = _OKP[curve]
    return kind.from_public_bytes(x) if x is not None and len(x) == size else None
