"""Private keys of a client, as PEM texts."""

import datetime as dt
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.support.jose import private_key


@cache
def pem(kind: str = "ES256", name: str = "client") -> str:
    """Return the PEM text of a key of this kind and name, always the same."""
    return (
        private_key(kind, name)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


@cache
def certified(kind: str = "ES256", name: str = "client") -> str:
    """Return the same with a self-signed certificate of the key behind it."""
    key, now = private_key(kind, name), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, None if kind == "EdDSA" else hashes.SHA256())
    )
    return pem(kind, name) + certificate.public_bytes(serialization.Encoding.PEM).decode()
