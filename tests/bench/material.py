"""Keys, tokens, certificate and files that every peer is given."""

import base64
import datetime as dt
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.bench.website import site

KID = "bench"
AUDIENCE = "bench-api"
CLIENT_ID = "bench"
CLIENT_SECRET = "bench-secret"
TOKEN_SECONDS = 6 * 3600
BIG_FILE = 100 * 1000 * 1000
SMALL_FILE = 1024


def encode(data: bytes) -> str:
    """Return unpadded base64url (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Signs JWTs with RS256 under the one key of the benchmark."""

    def __init__(self, pem: bytes) -> None:
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key

    def sign(self, claims: dict[str, object], kind: str = "at+jwt") -> str:
        """Return the token; ``kind`` is its ``typ`` (RFC 9068 section 2.1 for access tokens)."""
        header = encode(json.dumps({"alg": "RS256", "kid": KID, "typ": kind}).encode())
        signing_input = f"{header}.{encode(json.dumps(claims).encode())}"
        signature = self._key.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signing_input}.{encode(signature)}"

    def jwks(self) -> dict[str, object]:
        """Return the JWK Set with the public key (RFC 7517)."""
        public = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "use": "sig",
                    "alg": "RS256",
                    "kid": KID,
                    "n": encode(public.n.to_bytes((public.n.bit_length() + 7) // 8, "big")),
                    "e": encode(public.e.to_bytes(3, "big")),
                }
            ]
        }

    def public_pem(self) -> bytes:
        """Return the public key."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def certificate(self) -> bytes:
        """Return a self-signed certificate for localhost under this key."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )


def new_key() -> bytes:
    """Return a new RSA key of 2048 bits in PEM."""
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def access_claims(issuer: str, number: int, now: float) -> dict[str, object]:
    """Return the claims of one access token, as a provider would fill it."""
    return {
        "iss": issuer,
        "sub": f"user-{number:08d}",
        "aud": AUDIENCE,
        "iat": int(now) - 5,
        "exp": int(now) + TOKEN_SECONDS,
        "jti": f"{number:08x}-5f1c-4f0e-9b1d-2f6f0a7c9e10",
        "client_id": CLIENT_ID,
        "scope": "openid profile email api",
        "email": f"user-{number:08d}@example.com",
        "preferred_username": f"user-{number:08d}",
        "groups": ["staff", "readers"],
    }


def _mint(pem: bytes, issuer: str, first: int, count: int, core: int, now: float) -> list[str]:
    os.sched_setaffinity(0, {core})
    signer = Signer(pem)
    return [signer.sign(access_claims(issuer, number, now)) for number in range(first, first + count)]


def mint(pem: bytes, issuer: str, first: int, count: int, cores: Sequence[int]) -> list[str]:
    """Return tokens numbered from ``first``; many are signed on all the cores."""
    now = time.time()
    if count < 100:
        signer = Signer(pem)
        return [signer.sign(access_claims(issuer, number, now)) for number in range(first, first + count)]
    share = -(-count // len(cores))
    with ProcessPoolExecutor(len(cores)) as pool:
        parts = [
            pool.submit(_mint, pem, issuer, first + share * at, min(share, count - share * at), core, now)
            for at, core in enumerate(cores)
        ]
        return [token for part in parts for token in part.result()]


def worthless(signer: Signer, issuer: str, now: float) -> dict[str, str]:
    """Return tokens that nobody may accept, by what is wrong with them."""
    good = access_claims(issuer, 0, now)
    head, body, signature = signer.sign(good).split(".")
    return {
        "a forged signature": f"{head}.{body}.{signature[:-40]}{signature[:-39:-1]}AA",
        "another audience": signer.sign(good | {"aud": "another-api"}),
        "another issuer": signer.sign(good | {"iss": f"{issuer}/other"}),
        "an expired token": signer.sign(good | {"iat": int(now) - 7200, "exp": int(now) - 3600}),
    }


@dataclass(frozen=True, slots=True)
class Material:
    """Where everything lies, and the addresses of what stands around the peers."""

    folder: Path
    key: bytes
    issuer: str
    upstream_port: int
    auxiliary_port: int
    secret_key: str = field(default_factory=lambda: encode(os.urandom(32)), repr=False)

    @property
    def signer(self) -> Signer:
        """The signer of this run."""
        return Signer(self.key)

    def write(self) -> None:
        """Write what peers read: keys, certificate, key set, and the files that are served."""
        signer = self.signer
        # servers that start as root read these as another user
        self.folder.chmod(0o755)
        (self.folder / "key.pem").write_bytes(self.key)
        (self.folder / "public.pem").write_bytes(signer.public_pem())
        (self.folder / "certificate.pem").write_bytes(signer.certificate())
        (self.folder / "jwks.json").write_text(json.dumps(signer.jwks()))
        served = self.folder / "served"
        served.mkdir()
        site().write(served / "site")
        (served / "small").write_bytes(b"x" * (SMALL_FILE - 1) + b"\n")

    def write_big_file(self) -> Path:
        """Write the file of the transfers, once."""
        file = self.folder / "served" / "big"
        if not file.exists():
            file.write_bytes(os.urandom(1_000_000) * (BIG_FILE // 1_000_000))
        return file
