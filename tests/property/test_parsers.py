"""Whatever bytes reach a parser, it gives a value or its one declared refusal.

Framing, targets, JOSE, providers' messages, forms and configuration have files of their own.
"""

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.endpoints.callback import process_response
from gateway.core.headers import cookies as jar
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions import codec
from gateway.core.sessions.model import Grant, Renewed, Session, SessionOver
from gateway.core.sessions.pending import (
    PendingLogin,
    begin_pending,
    decode_pending,
    decode_recent,
    encode_pending,
)
from gateway.core.sessions.record import About, Handle, decode_about, decode_handle
from gateway.core.sessions.renewal import decode_outcome, encode_outcome
from gateway.edge.admin.revocation_request import Refused, Terms, parse_revocation
from gateway.edge.revocation.denylist_log import decode_change, decode_count, decode_entry, encode_entry
from gateway.http.messages.websocket import FrameBoundary
from gateway.syntax.encoding import decode_secret_key
from gateway.syntax.forms import read_parameters

KINDS = ["sub", "sid", "jti", "session", "all"]
NAMES = st.sampled_from([*KINDS, "before", "provider", "reason", "over", "s", "r"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=9)
    ),
    max_leaves=12,
)
BYTES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()) | st.just(b"[" * 5000)
SESSION = Session(
    session_id="session-1",
    provider="corporate",
    issuer="https://login.example.com",
    subject="alice",
    sid=None,
    claims={"sub": "alice"},
    scopes=frozenset({"openid"}),
    login_at=1.0,
    ends_at=2.0,
    seen_at=1.0,
    renewed_at=1.0,
    access_expires_at=2.0,
)
PAYLOADS = [
    codec.encode_session(SESSION),
    codec.encode_grant(Grant("session-1", 0, "refresh-0")),
    encode_pending(begin_pending(bytes(32), "demo", "/", 1.0, "")),
    encode_outcome(Renewed(SESSION, Grant("session-1", 0, "refresh-0"))),
    b'{"over": "revoked"}',
]


@st.composite
def nearly_good(draw: st.DrawFn) -> bytes:
    """Draw a payload of ours with one member of any other value, or left out."""
    payload = draw(st.sampled_from(PAYLOADS))
    # before the object of a pending login is its secret
    start = payload.index(b"{")
    fields = json.loads(payload[start:])
    places = sorted(fields) if isinstance(fields, dict) else range(len(fields))
    for name in sorted(draw(st.sets(st.sampled_from(places), max_size=2)), reverse=True):
        if draw(st.booleans()):
            fields[name] = draw(JSON)
        else:
            del fields[name]
    return payload[:start] + json.dumps(fields).encode()


@given(BYTES | nearly_good())
@example(b'{"over": []}')
@example(b'["state", "nonce", "verifier", "demo", "/", 1' + b"0" * 400 + b"]")
@example(b"[[1" + b"0" * 400 + b', "/"]]')
def test_any_bytes_as_the_content_of_a_cookie(data: bytes):
    """What a sealed cookie or record holds is read strictly, although only we can seal."""
    assert isinstance(codec.decode_session(data), Session | None)
    assert isinstance(codec.decode_grant(data), Grant | None)
    assert isinstance(decode_pending(data), PendingLogin | None)
    assert all(isinstance(at, float) for at, _ in decode_recent(data))
    assert isinstance(decode_handle(data), Handle | None)
    assert isinstance(decode_about(data), About | None)
    assert isinstance(decode_outcome(data), Renewed | SessionOver | None)


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4), max_size=10))
@example(["a", "b", "c", "d", None, 10**400, 1, "e", "f"])
def test_any_list_as_what_the_list_of_sessions_shows(fields: list[Any]):
    """Nine members of the right kinds, or nothing."""
    found = decode_about(json.dumps(fields).encode())
    assert found is None or len(fields) == 9


@given(BYTES | JSON, st.binary(max_size=40) | st.floats().map(lambda value: repr(value).encode()))
@example(b'["all","","",' + b"9" * 5000 + b"]", b"1")
def test_any_bytes_as_an_entry_of_the_denylist(text: object, expires: bytes):
    """Whoever writes to the store: an entry that encodes to itself again, or None."""
    for found in (decode_entry(text, expires), decode_change([b"s", b"1", b"e", text, b"x", expires])[1]):
        if found is not None:
            assert isinstance(found, DenyEntry)
            encoded, expiry = encode_entry(found)
            assert decode_entry(encoded.encode(), expiry.encode()) is not None


@given(JSON | st.lists(st.binary(max_size=6) | JSON, max_size=6), st.binary(max_size=40))
def test_any_item_of_the_log(fields: object, count: bytes):
    """A count and an entry, each None where it is garbage."""
    seq, entry = decode_change(fields)
    assert seq is None or seq >= 0
    assert entry is None
    assert isinstance(decode_count(count), int | None)


@given(BYTES | st.dictionaries(NAMES, JSON, max_size=4).map(lambda value: json.dumps(value).encode()))
def test_any_body_of_a_revocation(body: bytes):
    """An entry that the store takes, or ``Refused``; nothing else is raised."""
    try:
        entry, notes = parse_revocation(
            body, 4096, terms=Terms({"demo": "https://a.example"}, 60.0, 60.0), now=1e9
        )
    except Refused:
        return
    assert encode_entry(entry)
    assert entry.expires >= 1e9 + 60
    assert notes.keys() <= {"reason", "on_behalf_of"}


COOKIE = st.tuples(
    st.sampled_from([b"gw-session", b"gw-session-1", b"gw-session-2", b"gw-session-3", b"other", b""]),
    st.binary(max_size=6)
    | st.sampled_from([b"2~a", b"4~", b"9~x", b"~", b"2~2~", "\N{SUPERSCRIPT TWO}~x".encode()]),
)


@given(st.lists(st.lists(COOKIE, max_size=5), max_size=3), st.binary(max_size=60))
def test_any_cookies(fields: list[list[tuple[bytes, bytes]]], noise: bytes):
    """R40, R46: a value put together of 1 to 4 chunks that each came once, or None."""
    headers = [(b"Cookie", b"; ".join(b"=".join(pair) for pair in pairs)) for pairs in fields]
    found = jar.read([*headers, (b"cookie", noise)], "gw-")
    assert all(name.startswith("gw-") for name in found)
    value = jar.joined(found, "gw-session")
    if value is not None:
        assert len(value) <= sum(map(len, found.values()))
    assert len(jar.presented(found, "gw-session")) <= jar.MOST_CHUNKS


@given(st.binary(max_size=200).map(lambda query: b"?" + query))
def test_any_query_of_a_callback(query: bytes):
    """Parameters that each came once, or None."""
    found = read_parameters(query[1:], ("state", "code"))
    assert found is None or all(isinstance(value, str) for value in found.values())
    response = process_response(query[1:])
    assert response is None or response.state


@given(st.text(max_size=60))
def test_any_text_as_a_secret_key(text: str):
    """32 bytes, or a ValueError that does not repeat the text."""
    with contextlib.suppress(ValueError):
        assert len(decode_secret_key(text)) == 32
    if len(text) > 8:
        with pytest.raises(ValueError) as caught:
            decode_secret_key("!" + text)
        assert text not in str(caught.value)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_any_bytes_of_a_websocket(data: bytes, at: list[int]):
    """R49: cut anywhere, the same boundary is found, and never beyond what is there."""
    whole, pieces = FrameBoundary(), FrameBoundary()
    assert whole.advance(data) == len(data)
    cuts = sorted({0, len(data), *(min(cut, len(data)) for cut in at)})
    for start, end in itertools.pairwise(cuts):
        assert pieces.advance(data[start:end]) == end - start
    assert pieces.at_boundary == whole.at_boundary
