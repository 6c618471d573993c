"""JSON Web Signatures in compact form: read strictly, verified against a filtered key set.

RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practice). Nothing here raises on bad input (R29).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

from gateway.config.settings.providers import ALGORITHMS
from gateway.core.identity import Claims
from gateway.core.reasons import Reason
from gateway.core.tokens.keys import MOST_KEY_ID, KeySet, PublicKey
from gateway.syntax.encoding import decode_base64url, parse_object

MOST_TOKEN: Final = 16384


_MOST_HEADERS: Final = 256
_LONGEST_HEADER: Final = 512

_HASHES: Final = (SHA256(), SHA384(), SHA512())
# RFC 7518 sections 3.3 and 3.5; made once, since every signature is checked with the same
_RSA: Final[dict[str, tuple[AsymmetricPadding, HashAlgorithm]]] = {
    **{f"RS{each.digest_size * 8}": (PKCS1v15(), each) for each in _HASHES},
    **{f"PS{each.digest_size * 8}": (PSS(MGF1(each), each.digest_size), each) for each in _HASHES},
}
_VERIFIERS: Final = {
    name: verifier
    for name, verifier in get_default_algorithms().items()
    if name in ALGORITHMS and name not in _RSA
}
# RFC 9864 section 2.2: the key set finds only keys of that curve for it
_VERIFIERS["Ed25519"] = _VERIFIERS["EdDSA"]


class _Header(NamedTuple):
    """A header that has passed, with what is read of it."""

    members: Claims
    alg: str
    kid: str | None


_headers: dict[bytes, _Header] = {}


@dataclass(slots=True)
class Parsed:
    """A well-formed JWT whose signature nobody has checked yet.

    ``kid`` is the header's key id, if it has one; ``alg`` what the header says, allowed or not.
    """

    header: Claims
    claims: Claims = field(repr=False)
    alg: str
    kid: str | None
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(slots=True)
class Verified:
    """What a JWT says whose signature is good. The claims are not judged yet."""

    header: Claims
    claims: Claims = field(repr=False)
    alg: str
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """The key set has no key for this token; a newer one may. ``kid`` None: the token names none."""

    kid: str | None


def read(token: str | bytes, most: int = MOST_TOKEN, *, remembers: bool = True) -> Parsed | Reason:
    """Take a JWT apart without trusting it (RFC 7515 section 5.2, steps 1 to 5).

    Args:
        token: compact serialisation in ASCII.
        most: the most characters that it may have.
        remembers: whether others are likely to have the very same header.

    Returns:
        The parts, or ``TOKEN_MALFORMED``: not three canonical base64url segments, header or claims no JSON
        object or with a duplicate member, ``alg`` or ``kid`` of the wrong type, ``crit`` or ``b64`` used.
    """
    if len(token) > most or not token.isascii():
        return Reason.TOKEN_MALFORMED
    octets = token.encode() if isinstance(token, str) else token
    # a fourth segment would leave a dot in the second one, and that is no base64url
    signing_input, _, last = octets.rpartition(b".")
    first, _, second = signing_input.partition(b".")
    header = (_headers.get(first) if remembers else None) or _read_header(first, most, remembers)
    body, signature = decode_base64url(second, most), decode_base64url(last, most)
    if header is None or body is None or signature is None:
        return Reason.TOKEN_MALFORMED
    claims = parse_object(body, most)
    if claims is None:
        return Reason.TOKEN_MALFORMED
    members, alg, kid = header
    return Parsed(members, claims, alg, kid, signing_input, signature)


def _read_header(segment: bytes, most: int, remembers: bool = True) -> _Header | None:
    """Return a header by its segment, None where it is refused; the tokens of one key have the same."""
    octets = decode_base64url(segment, most)
    members = None if octets is None else parse_object(octets, most)
    if members is None:
        return None
    alg, kid = members.get("alg"), members.get("kid")
    # no extension is understood here, so any that is critical refuses (RFC 7515 section 4.1.11), and
    # a JWT's payload is always encoded (RFC 7797 section 7)
    if not isinstance(alg, str) or "crit" in members or "b64" in members:
        return None
    # null is no key id: RFC 7515 section 4.1.4 wants a string where there is one
    if "kid" in members and (not isinstance(kid, str) or len(kid) > MOST_KEY_ID):
        return None
    header = _Header(members, alg, kid if isinstance(kid, str) else None)
    if remembers and len(segment) <= _LONGEST_HEADER:
        if len(_headers) >= _MOST_HEADERS:
            _headers.clear()
        _headers[segment] = header
    return header


def kid_of(token: str | Parsed) -> str:
    """Return the key id that a token's header names, empty where it names none or cannot be read."""
    if isinstance(token, Parsed):
        return token.kid or ""
    header = _read_header(token.partition(".")[0].encode(), len(token))
    return "" if header is None else header.kid or ""


def proof_of(token: str | Parsed) -> str:
    """Return what stands for a token's signature where it is only compared with others'."""
    octets = token.signature if isinstance(token, Parsed) else token.rpartition(".")[2].encode()
    return hashlib.sha256(octets).hexdigest()


def authenticate(
    token: str | bytes | Parsed,
    algorithms: tuple[str, ...],
    keys: KeySet | None,
    now: float,
    most: int = MOST_TOKEN,
) -> Verified | UnknownKey | Reason:
    """Return what a JWT says, once it is known to be the provider's: how every check of a token begins.

    Args:
        token: as it came, or as read already.
        algorithms: the ones that this provider may use.
        keys: the provider's filtered keys; None when none were fetched yet.
        now: epoch seconds.
        most: the most characters that a token may have that is not read yet.

    Returns:
        The verified parts; ``UnknownKey`` when usable keys that hold the token's key are lacking;
        ``TOKEN_MALFORMED``, ``TOKEN_ALGORITHM`` or ``TOKEN_SIGNATURE``.
    """
    parsed = token if isinstance(token, Parsed) else read(token, most)
    if not isinstance(parsed, Parsed):
        return parsed
    if parsed.alg not in algorithms:
        return Reason.TOKEN_ALGORITHM
    if keys is None or not keys.is_usable(now):
        return UnknownKey(parsed.kid)
    return verify(parsed, keys, algorithms)


def verify(parsed: Parsed, keys: KeySet, algorithms: tuple[str, ...]) -> Verified | UnknownKey | Reason:
    """Check the signature with a key of the set, never with one that the token brings (R18, R19).

    Args:
        parsed: what ``read`` returned.
        keys: the provider's filtered keys.
        algorithms: the ones that this provider may use; an algorithm outside of ``ALGORITHMS`` never counts.

    Returns:
        The verified parts; ``UnknownKey`` when no key fits; ``TOKEN_ALGORITHM`` or ``TOKEN_SIGNATURE``.
    """
    if parsed.alg not in algorithms or parsed.alg not in ALGORITHMS:
        return Reason.TOKEN_ALGORITHM
    candidates = keys.find(parsed.kid, parsed.alg)
    if not candidates:
        return UnknownKey(parsed.kid)
    for key in candidates:
        if is_signed_by(parsed, key):
            return Verified(parsed.header, parsed.claims, parsed.alg, parsed.signature)
    return Reason.TOKEN_SIGNATURE


def is_signed_by(parsed: Parsed, key: PublicKey) -> bool:
    """Tell whether a signature is by this key, which fits the header's algorithm."""
    prepared = _RSA.get(parsed.alg)
    try:
        if prepared is None:
            return _VERIFIERS[parsed.alg].verify(parsed.signing_input, key, parsed.signature)
        # the key set has only RSA keys for these; a key of another kind takes no padding, and is a TypeError
        cast("RSAPublicKey", key).verify(parsed.signature, parsed.signing_input, *prepared)
    except (PyJWTError, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
