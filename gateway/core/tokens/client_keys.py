"""The keys that the gateway proves with who it is (RFC 7523), and how providers find them (RFC 7517)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.config.settings.providers import ProviderSettings
from gateway.syntax.encoding import Json, encode_base64url
from gateway.syntax.private_keys import PrivateKey, SigningKey, algorithms_of, read_signing_key

_CURVES = {256: ("P-256", 32), 384: ("P-384", 48), 521: ("P-521", 66)}


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A key of ours for one provider.

    ``jwk`` is what is published of it. ``header`` names it in what it signs: its ``kid``, and where there is
    a certificate that one's thumbprint, by which some providers know it (RFC 7515 section 4.1.8).
    """

    key: PrivateKey = field(repr=False)
    algorithm: str
    header: Mapping[str, str]
    jwk: Mapping[str, Json]


def compile_client_keys(settings: ProviderSettings) -> tuple[ClientKey, ...]:
    """Return the keys of ``signing_keys``, the one that signs first.

    Raises:
        ValueError: one of them cannot be used.
    """
    found: list[ClientKey] = []
    for secret in settings.signing_keys:
        read = read_signing_key(secret.get_secret_value())
        if isinstance(read, str):
            raise ValueError(f"signing_keys: {read}")  # noqa: TRY004 - a text that is no key
        named = settings.signing_algorithm if not found else None
        found.append(_client_key(read, named or algorithms_of(read.key)[0]))
    return tuple(found)


def jwk_set(settings: ProviderSettings) -> dict[str, Json]:
    """Return the JWK Set of a provider's ``signing_keys`` (RFC 7517 section 5): public members alone."""
    return {"keys": [dict(each.jwk) for each in compile_client_keys(settings)]}


def _client_key(found: SigningKey, algorithm: str) -> ClientKey:
    members = public_members(found.key)
    kid = thumbprint(members)
    header = {"kid": kid}
    jwk: dict[str, Json] = {**members, "use": "sig", "alg": algorithm, "kid": kid}
    if found.certificate is not None:
        der = found.certificate.public_bytes(Encoding.DER)
        header["x5t#S256"] = encode_base64url(hashlib.sha256(der).digest())
        # RFC 7517 section 4.7: base64, and not base64url
        jwk |= {"x5t#S256": header["x5t#S256"], "x5c": [base64.b64encode(der).decode()]}
    return ClientKey(found.key, algorithm, header, jwk)


def public_members(key: PrivateKey) -> dict[str, Json]:
    """Return the members of a public JWK that say which key it is (RFC 7638 section 3.2)."""
    public = key.public_key()
    if isinstance(public, RSAPublicKey):
        numbers = public.public_numbers()
        return {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
    if isinstance(public, EllipticCurvePublicKey):
        name, size = _CURVES[public.curve.key_size]
        point = public.public_numbers()
        x, y = (encode_base64url(number.to_bytes(size)) for number in (point.x, point.y))
        return {"crv": name, "kty": "EC", "x": x, "y": y}
    octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"crv": "Ed25519", "kty": "OKP", "x": encode_base64url(octets)}


def thumbprint(members: Mapping[str, Json]) -> str:
    """Return the JWK thumbprint of a key by those members (RFC 7638 section 3), base64url."""
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return encode_base64url(hashlib.sha256(text.encode()).digest())


def _integer(number: int) -> str:
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8))
