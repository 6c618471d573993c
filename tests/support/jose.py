"""Keys and tokens for tests of what is signed: each key is generated once per process."""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from gateway.config.settings.providers import ProviderSettings
from gateway.core.claim_mapping import compile_mapping
from gateway.core.provider import Provider
from gateway.core.tokens.keys import KeySet, build_key_set

NOW = 1_800_000_000.0
ISSUER = "https://issuer.example"
CLIENT = "the-client"
API = "https://api.example"

_MAKERS = {
    "RS": lambda: rsa.generate_private_key(65537, 2048),
    "PS": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


def holds_jwt(text: str | bytes) -> bool:
    """Tell whether the beginning of a JWT is anywhere in a text.

    By the names that a header may begin with: base64url's first three characters alone, ``eyJ``, come up by
    chance in what is random.
    """
    octets = text.encode() if isinstance(text, str) else text
    return any(b64(f'{{"{name}"')[:8].encode() in octets for name in ("alg", "kid", "typ"))


def b64(data: bytes | str) -> str:
    """Encode as unpadded base64url."""
    octets = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@cache
def _make_key(kind: str, name: str) -> Any:
    return _MAKERS[kind]()


def private_key(kind: str = "RS", name: str = "main") -> Any:
    """Return the private key of this kind and name."""
    return _make_key(kind, name)


def jwk(kind: str = "RS", name: str = "main", **members: Any) -> dict[str, Any]:
    """Return the public JWK; a member given as None is left out."""
    algorithms = get_default_algorithms()
    algorithm = algorithms[{"RS": "RS256", "PS": "PS256", "Ed448": "EdDSA"}.get(kind, kind)]
    public = algorithm.to_jwk(private_key(kind, name).public_key(), as_dict=True)
    public.pop("key_ops", None)
    merged = {**public, "kid": name, "use": "sig", **members}
    return {key: value for key, value in merged.items() if value is not None}


def key_set(*jwks: dict[str, Any], now: float = NOW, stale_after: float | None = None) -> KeySet:
    """Return the filtered set of these keys; by default the RSA key ``main``."""
    return build_key_set(jwks or (jwk(),), now, now + 86400.0 if stale_after is None else stale_after)


def sign(
    claims: dict[str, Any], *, alg: str = "RS256", kind: str | None = None, name: str = "main", **header: Any
) -> str:
    """Return a token signed by the named key; a header member given as None is left out."""
    key = private_key(kind or {"R": "RS", "P": "PS"}.get(alg[0], alg.replace("Ed25519", "EdDSA")), name)
    fields = {"alg": alg, "kid": name, **header}
    return raw_sign(
        {member: value for member, value in fields.items() if value is not None}, claims, alg, key
    )


def raw_sign(header: Any, claims: Any, alg: str, key: Any) -> str:
    """Sign any header and claims, given as values or as JSON text, without a sanity check."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    signing_input = ".".join(b64(part) for part in parts)
    signature = get_default_algorithms()[{"Ed25519": "EdDSA"}.get(alg, alg)].sign(signing_input.encode(), key)
    return f"{signing_input}.{b64(signature)}"


def provider(**changes: Any) -> Provider:
    """Return a compiled provider; changes go to its settings."""
    settings = ProviderSettings(
        **{
            "issuer": ISSUER,
            "client_id": CLIENT,
            "client_secret": "the-secret",
            "audiences": (API,),
            "algorithms": ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"),
            **changes,
        }
    )
    return Provider(
        name="main",
        settings=settings,
        issuer=settings.issuer,
        client_id=settings.client_id,
        audiences=frozenset(settings.audiences),
        algorithms=settings.algorithms,
        clock_skew=settings.clock_skew,
        mapping=compile_mapping(settings),
    )


def access_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good access token; a claim given as ``...`` is left out."""
    claims = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": API,
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 300,
        "jti": "token-1",
        "scope": "openid api",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def id_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good ID token; a claim given as ``...`` is left out."""
    claims = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": CLIENT,
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 300,
        "nonce": "the-nonce",
        "sid": "provider-session",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}
