"""Properties of sealing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sessions.seal import KeyRing
from gateway.syntax.encoding import decode_base64url

RING = KeyRing((bytes(range(32)), bytes(32)))


@given(payload=st.binary(max_size=200), nonce=st.binary(min_size=12, max_size=12), data=st.data())
def test_r45_any_bit_flip_refuses_alike(payload, nonce, data):
    """R45: whichever bit of a sealed cookie is flipped, the answer is the same: None."""
    sealed = RING.seal("session", payload, nonce)
    raw = bytearray(sealed.encode())
    index = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[index // 8] ^= 1 << (index % 8)
    assert RING.open("session", raw.decode("latin-1")) is None


@given(text=st.text(max_size=300))
def test_any_text_gives_none(text):
    """Nobody without a key makes a text that opens."""
    assert RING.open("session", text) is None
    assert decode_base64url(text, 299) is None or text.isascii()
