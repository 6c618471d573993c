"""Entries of the denylist as text: what is written is read, and anything else is None."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rules.entries import DenyEntry
from gateway.edge.revocation.denylist_log import (
    MOST_TEXT,
    SINGLE,
    decode_change,
    decode_entry,
    decode_place,
    encode_entry,
    encode_place,
)

TIMES = st.integers(-(10**14), 10**14).map(lambda ms: ms / 1000)
TEXTS = st.text(min_size=1, max_size=50)
ENTRIES = st.one_of(
    st.builds(DenyEntry, st.sampled_from(["jti", "sid", "sub"]), TEXTS, TEXTS, TIMES, TIMES),
    st.builds(DenyEntry, st.sampled_from(["session", "key"]), st.just(""), TEXTS, TIMES, TIMES),
    st.builds(DenyEntry, st.just("all"), st.text(max_size=50), st.just(""), TIMES, TIMES),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(ENTRIES)
def test_what_is_written_is_read(entry: DenyEntry):
    """Text and expiry give the same entry back, alone and as an item of the log."""
    text, expires = encode_entry(entry)
    assert decode_entry(text.encode(), expires.encode()) == entry
    fields = [b"s", b"7", b"e", text.encode(), b"x", expires.encode()]
    assert decode_change(fields) == (7, entry)


@given(ENTRIES, st.binary(min_size=1, max_size=5).map(bytes.hex), st.integers(0, 10**15))
def test_a_place_goes_along(entry: DenyEntry, epoch: str, seq: int):
    """[1.4] An entry comes back with the place that it was written at; what names one thing has none."""
    placed = replace(entry, position=None if entry.kind in SINGLE else (epoch, seq))
    text, expires = encode_entry(placed)
    place = encode_place(placed).encode()
    assert decode_entry(text.encode(), expires.encode(), place) == placed
    fields = [b"s", b"7", b"e", text.encode(), b"x", expires.encode(), b"p", place]
    assert decode_change(fields) == (7, placed)


@given(
    st.none()
    | st.binary(max_size=120)
    | st.sampled_from([b" 7", b"e ", b"e -1", b"e 1.5", b"e" * 99 + b" 7"])
)
def test_a_place_of_any_bytes_is_one_or_none(place):
    """[1.4] What cannot be read is no place: then time decides."""
    position = decode_place(place)
    assert position is None or (position[0] and position[1] >= 0)


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_bytes_never_crash(text: bytes, expires: bytes):
    """Any bytes are an entry or None."""
    assert decode_entry(text, expires) is None or json.loads(text)


@given(st.lists(JSON, max_size=6) | JSON, JSON)
def test_json_never_crashes_and_is_typed(value, expires):
    """Any JSON is None unless it is an entry in every field."""
    entry = decode_entry(json.dumps(value).encode(), json.dumps(expires).encode())
    if entry is not None:
        assert [entry.kind, entry.issuer, entry.value, entry.before] == value


@given(st.lists(st.binary(max_size=20) | st.none() | st.lists(st.binary(max_size=3), max_size=2), max_size=8))
def test_items_of_the_log_never_crash(fields):
    """Fields of any number and kind are (None, None) or what they hold."""
    seq, entry = decode_change(fields)
    assert seq is None or seq >= 0
    assert entry is None or isinstance(entry, DenyEntry)


def test_limits():
    """Depth, length and size have bounds."""
    for text, expires in (
        (b"[" * 100_000, b"1"),
        (json.dumps(["sub", "i", "x" * MOST_TEXT, 1]).encode(), b"1"),
        (b'["sub","i","v",1]', b"1" * 33),
        (b'["sub","i","v",1]', b"1e999"),
        (b'["sub","i","v",1e400]', b"1"),
        (b'["sub","i","v",' + b"9" * 5000 + b"]", b"1"),
        (b'["sub","i","v",true]', b"1"),
        (b'["nope","i","v",1]', b"1"),
        (b'["sub","","v",1]', b"1"),
        (b'["session","i","v",1]', b"1"),
        (b'["all","","v",1]', b"1"),
        (b'["sub","i","v",1]', b"nan"),
    ):
        assert decode_entry(text, expires) is None
