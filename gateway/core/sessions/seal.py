"""Sealing what the client or the store holds: AES-256-GCM under a key ring (RFC 5116).

The first key seals, all keys open. Each purpose has its own key, derived by HKDF-SHA256 (RFC 5869), and is
bound once more as associated data, so that a value sealed for one purpose never opens for another (R45).
Nonces come from the caller: this module draws nothing.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.core.memo import Generations
from gateway.syntax.encoding import decode_base64url, encode_base64url

NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"
_HINT_BYTES: Final = 4
_OVERHEAD: Final = 1 + _HINT_BYTES + NONCE_BYTES + 16
_MOST_PURPOSES: Final = 1024
# far beyond any cookie or stored result
_MOST_TEXT: Final = 1 << 20


def sealed_length(payload_length: int) -> int:
    """Return how many characters a payload of this many bytes has once sealed."""
    return -(-(payload_length + _OVERHEAD) * 4 // 3)


def _derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def _hint(key: bytes) -> bytes:
    return hashlib.sha256(b"gateway key hint\x00" + key).digest()[:_HINT_BYTES]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Secret keys of 32 bytes; the first seals, all open. Rotating logs nobody out."""

    keys: tuple[bytes, ...] = field(repr=False)
    _ciphers: Generations[tuple[bytes, str], AESGCM] = field(
        default_factory=lambda: Generations(_MOST_PURPOSES), repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.keys or any(len(key) != 32 for key in self.keys):
            raise ValueError("a key ring needs at least one key, each of 32 bytes")

    def seal(self, purpose: str, payload: bytes, nonce: bytes) -> str:
        """Seal a payload for one purpose; ``nonce`` is 12 fresh random bytes."""
        return self._seal(self.keys[0], self._cipher(self.keys[0], purpose), purpose, payload, nonce)

    def pseudonyms(self, purpose: str) -> tuple[str, ...]:
        """Return a name for each key, the sealing one's first, which tells nobody anything of it."""
        return tuple(_derive(key, b"", b"gateway name\x00" + purpose.encode())[:8].hex() for key in self.keys)

    def seeds(self, purpose: str) -> tuple[bytes, ...]:
        """Return 32 secret bytes for one purpose by each key, the sealing one's first."""
        return tuple(_derive(key, b"", b"gateway seed\x00" + purpose.encode()) for key in self.keys)

    def open(self, purpose: str, text: str) -> bytes | None:
        """Return the payload, or None: one answer for garbage, a flipped bit, a foreign key or purpose."""
        if (found := self._find(text)) is None:
            return None
        key, data = found
        return self._open(self._cipher(key, purpose), purpose, data)

    def is_newest(self, text: str) -> bool:
        """Tell whether a sealed text needs none but the first key to be opened."""
        found = self._find(text)
        return found is not None and found[0] == self.keys[0]

    def seal_under(self, secret: str, purpose: str, payload: bytes, nonce: bytes) -> str:
        """Seal under the ring and a second secret together: without that secret the ring does not open it."""
        key = self.keys[0]
        return self._seal(key, self._joint(key, secret, purpose), purpose, payload, nonce)

    def open_under(self, secret: str, purpose: str, text: str) -> bytes | None:
        """Open what ``seal_under`` sealed; None for anything else."""
        if (found := self._find(text)) is None:
            return None
        key, data = found
        return self._open(self._joint(key, secret, purpose), purpose, data)

    def _cipher(self, key: bytes, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key, purpose))
        if cipher is None:
            cipher = AESGCM(_derive(key, b"", b"gateway seal\x00" + purpose.encode()))
            # sites have purposes of their own, and under a wildcard anybody makes sites up
            self._ciphers.put((key, purpose), cipher)
        return cipher

    @staticmethod
    def _joint(key: bytes, secret: str, purpose: str) -> AESGCM:
        salt = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        return AESGCM(_derive(key, salt, b"gateway joint seal\x00" + purpose.encode()))

    @staticmethod
    def _seal(key: bytes, cipher: AESGCM, purpose: str, payload: bytes, nonce: bytes) -> str:
        if len(nonce) != NONCE_BYTES:
            raise ValueError("a nonce has 12 bytes")
        return encode_base64url(
            _VERSION + _hint(key) + nonce + cipher.encrypt(nonce, payload, purpose.encode())
        )

    def _find(self, text: str) -> tuple[bytes, bytes] | None:
        data = decode_base64url(text, _MOST_TEXT)
        if data is None or len(data) < _OVERHEAD or data[:1] != _VERSION:
            return None
        for key in self.keys:
            if data[1 : 1 + _HINT_BYTES] == _hint(key):
                return key, data[1 + _HINT_BYTES :]
        return None

    @staticmethod
    def _open(cipher: AESGCM, purpose: str, data: bytes) -> bytes | None:
        try:
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode())
        except InvalidTag:
            return None
