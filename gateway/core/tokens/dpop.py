"""Proofs of possession of a key (RFC 9449), each good for the one request that it was made for.

A proof brings its own key, so that its signature alone proves nothing: what counts is that the access token
is bound to that very key, and that the proof names that very token.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from gateway.core.identity import Claims
from gateway.core.reasons import Reason
from gateway.core.tokens.claims import read_identifier, read_time, short_type
from gateway.core.tokens.client_keys import thumbprint
from gateway.core.tokens.jws import Parsed, is_signed_by, read
from gateway.core.tokens.keys import algorithms_of, judge_key
from gateway.syntax.encoding import Json, encode_base64url
from gateway.syntax.targets import canonicalise
from gateway.syntax.urls import authority_of, split_url

MOST_PROOF: Final = 8192
"""Characters of a proof."""
_MOST_JTI: Final = 256
_TYPE: Final = "dpop+jwt"
# RFC 7638 section 3.2
_MEMBERS: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_AHEAD: Final = 5.0
_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Expected:
    """What a proof must be of: method, URL, access token and key of one request.

    Attributes:
        method: of the request.
        origin: scheme and authority as the client sees them, in lower case, without a default port.
        paths: the path, as it came and in the reading that was decided on.
        token: the access token.
        key: the thumbprint of the key that it is bound to.
    """

    method: str
    origin: str
    paths: tuple[bytes, ...]
    token: str
    key: str


@dataclass(frozen=True, slots=True)
class ProofRules:
    """What is asked of proofs: algorithms, and for how long one may be used, in seconds."""

    algorithms: tuple[str, ...]
    most_age: float
    nonces: "Nonces | None" = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A good proof. ``replay_id`` names it among all; ``until`` (epoch seconds) is when it is too old.

    ``next_nonce`` is the one to use from now on, empty where it has that one, or needs none.
    """

    replay_id: str
    until: float
    next_nonce: str = ""


class Nonces:
    """Nonces of ours (RFC 9449 section 8): the same for everybody for a while, and known to the whole fleet.

    Args:
        seeds: secret bytes, the present key's first.
        lasts: after how many seconds there is another one; the one before counts as well.
    """

    __slots__ = ("_lasts", "_seeds")

    def __init__(self, seeds: tuple[bytes, ...], lasts: float) -> None:
        self._seeds = seeds
        self._lasts = lasts

    def current(self, now: float) -> str:
        """Return the nonce to use at ``now`` (epoch seconds)."""
        return self._make(self._seeds[0], int(now // self._lasts))

    def holds(self, nonce: str, now: float) -> bool:
        """Tell whether a nonce counts at ``now``; another gateway's clock may be ahead."""
        turn = int(now // self._lasts)
        known = [self._make(seed, each) for seed in self._seeds for each in (turn, turn - 1, turn + 1)]
        return any(_same(nonce, each) for each in known)

    @staticmethod
    def _make(seed: bytes, turn: int) -> str:
        return encode_base64url(hmac.digest(seed, b"%d" % turn, "sha256")[:_NONCE_BYTES])


def check(text: bytes, expected: Expected, rules: ProofRules, now: float) -> Proof | Reason:
    """Decide whether a DPoP proof is one for this request (RFC 9449 section 4.3). Whether it is new, no more.

    Args:
        text: the value of the one DPoP field.
        expected: the request that it came with.
        rules: of this gateway.
        now: epoch seconds.

    Returns:
        The proof, ``PROOF_INVALID``, ``PROOF_EXPIRED`` or ``PROOF_NONCE``.
    """
    parsed = read(text, MOST_PROOF, remembers=False)
    if not isinstance(parsed, Parsed) or short_type(parsed.header) != _TYPE:
        return Reason.PROOF_INVALID
    claims = parsed.claims
    if not _is_of(claims, expected) or not _is_by(parsed, expected.key, rules.algorithms):
        return Reason.PROOF_INVALID
    issued, jti = read_time(claims, "iat"), read_identifier(claims, "jti", _MOST_JTI)
    if not isinstance(issued, float) or jti is None or isinstance(jti, Reason):
        return Reason.PROOF_INVALID
    if not now - rules.most_age < issued <= now + _AHEAD:
        return Reason.PROOF_EXPIRED
    current = ""
    if rules.nonces is not None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not rules.nonces.holds(nonce, now):
            return Reason.PROOF_NONCE
        current = rules.nonces.current(now)
        current = "" if nonce == current else current
    return Proof(f"{expected.key} {jti}", issued + rules.most_age, current)


def _is_of(claims: Claims, expected: Expected) -> bool:
    url, ath = claims.get("htu"), claims.get("ath")
    digest = encode_base64url(hashlib.sha256(expected.token.encode()).digest())
    return (
        claims.get("htm") == expected.method
        and isinstance(ath, str)
        and _same(ath, digest)
        and isinstance(url, str)
        and _leads_to(url, expected)
    )


def _leads_to(url: str, expected: Expected) -> bool:
    """Compare URLs as RFC 9449 section 4.3 asks: without query and fragment, both normalised."""
    parts = split_url(url)
    if parts is None or "@" in parts.netloc or f"{parts.scheme}://{authority_of(parts)}" != expected.origin:
        return False
    path = (parts.path or "/").encode()
    if path in expected.paths:
        return True
    target = canonicalise(path)
    return target is not None and not target.query and target.path in expected.paths


def _is_by(parsed: Parsed, key: str, algorithms: tuple[str, ...]) -> bool:
    """Tell whether a proof is signed by the very key that it brings, and that a token is bound to."""
    jwk = parsed.header.get("jwk")
    if parsed.alg not in algorithms or not isinstance(jwk, dict) or not _same(_thumbprint(jwk), key):
        return False
    public = judge_key(jwk)
    if isinstance(public, str):
        return False
    named = "EdDSA" if parsed.alg == "Ed25519" else parsed.alg
    return named in algorithms_of(jwk, public) and is_signed_by(parsed, public)


def _thumbprint(jwk: dict[str, Json]) -> str:
    kind = jwk.get("kty")
    names = _MEMBERS.get(kind, ()) if isinstance(kind, str) else ()
    members = {name: jwk.get(name) for name in names}
    if not names or not all(isinstance(value, str) for value in members.values()):
        return ""
    return thumbprint(members)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())
