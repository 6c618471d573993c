"""Proofs of possession of a key (RFC 9449), as good and as bad clients make them."""

import hashlib
import uuid
from typing import Any

from tests.support.jose import b64, jwk, private_key, raw_sign

LEFT_OUT = ...


def public(kind: str = "ES256", name: str = "caller") -> dict[str, Any]:
    """Return a caller's public JWK as it stands in a proof: what says which key it is, and no more."""
    return jwk(kind, name, kid=None, use=None, alg=None)


def thumbprint(kind: str = "ES256", name: str = "caller") -> str:
    """Return the thumbprint of a caller's key (RFC 7638)."""
    import json

    members = {
        key: value for key, value in public(kind, name).items() if key in ("e", "kty", "n", "crv", "x", "y")
    }
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(text.encode()).digest())


def ath(token: str) -> str:
    """Return what names an access token in a proof."""
    return b64(hashlib.sha256(token.encode()).digest())


def proof(
    token: str,
    url: str,
    now: float,
    *,
    method: str = "GET",
    alg: str = "ES256",
    name: str = "caller",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return a proof for one request; claims and members of the header given as ``...`` are left out.

    Without a token it is one for a token endpoint.
    """
    kind = {"R": "RS", "P": "PS"}.get(alg[0], alg.replace("Ed25519", "EdDSA"))
    body = {
        "jti": str(uuid.uuid4()),
        "htm": method,
        "htu": url,
        "iat": int(now),
        "ath": ath(token) if token else ...,
        **claims,
    }
    head = {"typ": "dpop+jwt", "alg": alg, "jwk": public(kind, name), **(header or {})}
    parts = [{key: value for key, value in each.items() if value is not ...} for each in (head, body)]
    return raw_sign(*parts, alg, private_key(kind, name))
