"""A private key in PEM form, and the certificate that may stand beside it (RFC 7468)."""

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificate

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----.{1,32768}?-----END \1-----", re.DOTALL)
_RSA_BITS = (2048, 8192)
_CURVES = (SECP256R1, SECP384R1, SECP521R1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that may sign, and the certificate of the same key, None where none was there."""

    key: PrivateKey = field(repr=False)
    certificate: Certificate | None = None


def read_signing_key(text: str) -> SigningKey | str:
    """Return the one private key of a PEM text with its certificate, or why it cannot be used.

    RSA has 2048 to 8192 bits, an elliptic curve is P-256, P-384, P-521 or Ed25519. What is said of it names
    nothing of the text.
    """
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(text)]
    keys = [block for label, block in blocks if label.endswith("PRIVATE KEY")]
    certificates = [block for label, block in blocks if label == "CERTIFICATE"]
    if len(keys) != 1:
        return "write one private key in PEM form, from -----BEGIN to its -----END"
    if "ENCRYPTED" in keys[0]:
        return "a private key that is encrypted cannot be used: nobody is there to give its passphrase"
    try:
        key = load_pem_private_key(keys[0].encode(), None)
        certificate = load_pem_x509_certificate(certificates[0].encode()) if certificates else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "this is no private key, or no certificate, that can be read"
    if (refusal := _refuse(key)) is not None:
        return refusal
    assert isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey)
    if certificate is not None and _public(certificate) != _public(key):
        return "the first certificate is not this key's"
    return SigningKey(key, certificate)


def _refuse(key: object) -> str | None:
    match key:
        case RSAPrivateKey() if not _RSA_BITS[0] <= key.key_size <= _RSA_BITS[1]:
            return "an RSA key has 2048 to 8192 bits"
        case EllipticCurvePrivateKey() if not isinstance(key.curve, _CURVES):
            return "an elliptic curve is P-256, P-384, P-521 or Ed25519"
        case RSAPrivateKey() | EllipticCurvePrivateKey() | Ed25519PrivateKey():
            return None
    return "a key is RSA, P-256, P-384, P-521 or Ed25519"


def _public(holder: PrivateKey | Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def algorithms_of(key: PrivateKey) -> tuple[str, ...]:
    """Return the algorithms that a key can sign with, the usual one first (RFC 7518, RFC 8037)."""
    if isinstance(key, RSAPrivateKey):
        return "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"
    if isinstance(key, Ed25519PrivateKey):
        return ("EdDSA",)
    return ({256: "ES256", 384: "ES384", 521: "ES512"}[key.curve.key_size],)
