"""A provider's verification keys: only those that could rightly sign, found by key id and algorithm (R31).

RFC 7517 (JWK), RFC 7518 section 6 (parameters), RFC 8037 (OKP).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

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
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.syntax.encoding import Json, decode_base64url

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

MOST_KEYS: Final = 100
MOST_KEY_ID: Final = 1024

_RSA_BITS: Final = (2048, 8192)
_MOST_EXPONENT_BITS: Final = 33
_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
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
    are epoch seconds: at ``stale_after`` and later the keys must not be used (R28). ``left_out`` says of each
    key that was left out which and why, for the operator.
    """

    keys: Mapping[tuple[str | None, str], tuple[PublicKey, ...]]
    fetched_at: float
    stale_after: float
    left_out: tuple[str, ...] = ()

    def find(self, kid: str | None, alg: str) -> tuple[PublicKey, ...]:
        """Return the keys that may verify a signature; at most one.

        Without a key id, a key counts only when it is the only one that fits ``alg`` (R27).
        """
        if alg == "Ed25519":
            return tuple(key for key in self.find(kid, "EdDSA") if isinstance(key, Ed25519PublicKey))
        if kid is not None:
            return self.keys.get((kid, alg), ())
        fitting = [key for (_, name), keys in self.keys.items() if name == alg for key in keys]
        # the same key under several ids is one
        return (fitting[0],) if len({_identity_of(key) for key in fitting}) == 1 else ()

    def has(self, kid: str) -> bool:
        """Tell whether any key, of whatever algorithm, has this id."""
        return any(name == kid for name, _ in self.keys)

    def is_usable(self, now: float) -> bool:
        """Tell whether the keys may be used at ``now`` (epoch seconds)."""
        return now < self.stale_after


def build_key_set(jwks: Iterable[Json], fetched_at: float, stale_after: float) -> KeySet:
    """Filter the members of a JWK Set into a table (R31).

    What does not fit is left out, as RFC 7517 section 5 asks, and ``left_out`` names it. A key that is there
    twice is one. Two different keys that claim the same id for the same algorithm are both left out: nobody
    can say which one is meant.

    Args:
        jwks: the elements of the set's ``keys`` member, unchecked.
        fetched_at: epoch seconds.
        stale_after: epoch seconds.
    """
    table: dict[tuple[str | None, str], dict[bytes, PublicKey]] = {}
    left_out: list[str] = []
    for index, jwk in enumerate(jwks):
        found = judge_key(jwk)
        if isinstance(found, str):
            left_out.append(f"{_name(jwk, index)}: {found}")
            continue
        assert isinstance(jwk, dict)
        kid = jwk.get("kid")
        assert kid is None or isinstance(kid, str)
        for algorithm in algorithms_of(jwk, found):
            table.setdefault((kid, algorithm), {})[_identity_of(found)] = found
    unique = {name: tuple(keys.values()) for name, keys in table.items() if len(keys) == 1 or name[0] is None}
    doubled = {name[0] for name in table if name not in unique}
    left_out.extend(f"{_show(kid)}: several keys have this id" for kid in doubled)
    return KeySet(MappingProxyType(unique), fetched_at, stale_after, tuple(left_out))


def _identity_of(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(jwk: Json, index: int) -> str:
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    return _show(kid) if kid is not None else f"key {index + 1} without an id"


def _show(value: Json) -> str:
    # it comes from outside, and goes to the log and the terminal
    return f"key {str(value)[:80]!r}"


def read_key(jwk: Mapping[str, Json]) -> PublicKey | None:
    """Turn one JWK into a public key if it may verify signatures, else None."""
    found = judge_key(dict(jwk))
    return None if isinstance(found, str) else found


def judge_key(jwk: Json) -> PublicKey | str:
    """Turn one JWK into a public key if it may verify signatures; else say why it is left out.

    Left out are keys for another use, symmetric keys, private keys (published, they are anybody's), RSA
    outside 2048 to 8192 bits, points off their curve and anything malformed.
    """
    if not isinstance(jwk, dict):
        return "no JSON object"
    if (refusal := _refuse_use(jwk)) is not None:
        return refusal
    try:
        match jwk.get("kty"):
            case "RSA":
                key = _read_rsa(jwk)
            case "EC":
                key = _read_ec(jwk)
            case "OKP":
                key = _read_okp(jwk)
            case _:
                return "kty is not RSA, EC or OKP"
    except (ValueError, UnsupportedAlgorithm):
        return "its numbers are no key"
    if not isinstance(key, str) and not algorithms_of(jwk, key):
        return "alg is none that this kind of key has"
    return key


def _refuse_use(jwk: Mapping[str, Json]) -> str | None:
    kid, operations = jwk.get("kid"), jwk.get("key_ops")
    if not (kid is None or (isinstance(kid, str) and len(kid) <= MOST_KEY_ID)):
        return "kid is no text of at most 1,024 characters"
    if not (jwk.get("use") is None or jwk["use"] == "sig"):
        return "use is not sig"
    if not (operations is None or (isinstance(operations, list) and "verify" in operations)):
        return "key_ops lacks verify"
    if "d" in jwk or "k" in jwk:
        return "it holds a secret that is anybody's now"
    return None


def algorithms_of(jwk: Mapping[str, Json], key: PublicKey) -> tuple[str, ...]:
    """Return the algorithms that a key is for, by its kind and by what its JWK says."""
    fitting: tuple[str, ...]
    if isinstance(key, RSAPublicKey):
        fitting = _RSA_ALGORITHMS
    elif isinstance(key, EllipticCurvePublicKey):
        fitting = (_CURVES[str(jwk["crv"])][2],)
    else:
        fitting = ("EdDSA",)
    named = jwk.get("alg")
    if named == "Ed25519" and isinstance(key, Ed25519PublicKey):
        # RFC 9864's name for what RFC 8037 calls EdDSA with this curve
        return fitting
    return fitting if named is None else tuple(name for name in fitting if name == named)


def _octets(jwk: Mapping[str, Json], name: str) -> bytes | None:
    value = jwk.get(name)
    return decode_base64url(value, 2048) if isinstance(value, str) else None


def _read_rsa(jwk: Mapping[str, Json]) -> PublicKey | str:
    modulus, exponent = _octets(jwk, "n"), _octets(jwk, "e")
    if modulus is None or exponent is None:
        return "n or e is no base64url"
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    if not _RSA_BITS[0] <= n.bit_length() <= _RSA_BITS[1] or n % 2 == 0:
        return f"RSA of {n.bit_length()} bits, or of an even modulus"
    # an exponent of 1 makes every message its own signature; a huge one makes each verification a burden
    if e < 3 or e % 2 == 0 or e.bit_length() > _MOST_EXPONENT_BITS:
        return "its RSA exponent is weak or a burden"
    return RSAPublicNumbers(e, n).public_key()


def _read_ec(jwk: Mapping[str, Json]) -> PublicKey | str:
    curve = jwk.get("crv")
    if not isinstance(curve, str) or curve not in _CURVES:
        return f"crv is none of {', '.join(_CURVES)}"
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    parameters, size, _ = _CURVES[curve]
    if x is None or y is None or not len(x) == len(y) == size:
        return "x or y is no number of this curve"
    point = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), parameters)
    return point.public_key()


def _read_okp(jwk: Mapping[str, Json]) -> PublicKey | str:
    curve, x = jwk.get("crv"), _octets(jwk, "x")
    if not isinstance(curve, str) or curve not in _OKP:
        return f"crv is none of {', '.join(_OKP)}"
    kind, size = _OKP[curve]
    return kind.from_public_bytes(x) if x is not None and len(x) == size else "x is no key of this curve"
