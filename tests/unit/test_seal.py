"""The key ring: purposes, rotation, canonical text."""

import base64
from itertools import product

import pytest

from gateway.core.sessions.seal import KeyRing, sealed_length
from gateway.syntax.encoding import decode_base64url, encode_base64url

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
NONCE = b"n" * 12


def test_opens_what_it_sealed():
    """A payload comes back whole, and its sealed length is known beforehand."""
    ring = KeyRing((NEW,))
    for size in (0, 1, 2, 3, 100, 5000):
        sealed = ring.seal("session", b"x" * size, NONCE)
        assert ring.open("session", sealed) == b"x" * size
        assert len(sealed) == sealed_length(size)


def test_the_first_key_seals_and_all_open():
    """Rotating keys logs nobody out: what the old key sealed opens; the old ring cannot read the new."""
    before, after = KeyRing((OLD,)), KeyRing((NEW, OLD))
    assert after.open("session", before.seal("session", b"p", NONCE)) == b"p"
    assert before.open("session", after.seal("session", b"p", NONCE)) is None


def test_r45_a_value_is_bound_to_its_purpose():
    """R45: what was sealed for one purpose opens for no other."""
    ring = KeyRing((NEW,))
    sealed = ring.seal("session https://a.example", b"p", NONCE)
    assert ring.open("session https://b.example", sealed) is None
    assert ring.open("refresh https://a.example", sealed) is None


def test_a_joint_seal_needs_both_secrets():
    """A thief of the store and of the ring still lacks the old refresh token."""
    ring = KeyRing((NEW,))
    sealed = ring.seal_under("old-token", "result", b"new tokens", NONCE)
    assert ring.open_under("old-token", "result", sealed) == b"new tokens"
    assert ring.open_under("other-token", "result", sealed) is None
    assert ring.open("result", sealed) is None
    assert KeyRing((OLD,)).open_under("old-token", "result", sealed) is None


@pytest.mark.parametrize("text", ["", "A", "AA==", "AA\n", "A A", "AB", "é", "AA+/", "a" * 63])
def test_garbage_opens_as_nothing(text):
    """Garbage, padding and non-canonical base64url give None, never an exception."""
    assert KeyRing((NEW,)).open("session", text) is None


def test_base64url_is_canonical():
    """Unused trailing bits must be zero, or a flipped bit could go unnoticed."""
    assert decode_base64url(encode_base64url(b"\x00"), 9) == b"\x00"
    assert decode_base64url("AB", 9) is None


@pytest.mark.parametrize("keys", [(), (b"short",), (b"x" * 33,), (NEW, b"")])
def test_a_ring_of_other_keys_is_refused(keys):
    """Empty never means allow: a ring without a 32-byte key does not exist."""
    with pytest.raises(ValueError, match="32 bytes"):
        KeyRing(keys)


def test_secrets_stay_out_of_the_repr():
    """R16: a ring that ends up in a log line says nothing."""
    assert "keys" not in repr(KeyRing((NEW,)))


def test_base64url_has_one_spelling() -> None:
    """Short texts of what is in the alphabet and what is not decode only if encoding leads back to them."""
    for size in range(6):
        for signs in product("AQg-_+/=! ", repeat=size):
            text = "".join(signs)
            try:
                data = base64.b64decode(text + "=" * (-size % 4), altchars=b"-_", validate=True)
            except ValueError:
                data = None
            good = data is not None and encode_base64url(data) == text
            assert decode_base64url(text, 9) == (data if good else None)
