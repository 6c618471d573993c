"""Sessions, grants and pending logins as bytes and back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.reasons import Reason
from gateway.core.sessions import codec as session
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, Renewed, Session, SessionOver
from gateway.core.sessions.pending import (
    PendingLogin,
    begin_pending,
    decode_pending,
    decode_recent,
    encode_pending,
)

SESSION = Session(
    session_id="s1",
    provider="p",
    issuer="https://i.example",
    subject="alice",
    sid="sid1",
    claims={"groups": ["a", "ü"], "email": "a@example.com"},
    scopes=frozenset({"openid", "email"}),
    login_at=1000.0,
    ends_at=2000.5,
    seen_at=1000.0,
    renewed_at=1000.0,
    access_expires_at=1060.0,
)
GRANT = Grant(
    "s1", 3, "refresh-token", (session.rotation_name("s1", "h1"), session.rotation_name("s1", "h2"))
)


def test_everything_comes_back():
    """What is sealed is what is opened."""
    for each in (SESSION, replace(SESSION, is_unrenewable=True)):
        assert session.decode_session(session.encode_session(each)) == each
    assert session.decode_grant(session.encode_grant(GRANT)) == GRANT
    for page, callback in (("/x?y", ""), ("", "/.gateway/callback/p")):
        pending = begin_pending(bytes(range(32)), "p", page, 12.0, callback)
        assert decode_pending(encode_pending(pending)) == pending
    for outcome in (Renewed(SESSION, GRANT), Renewed(SESSION, None), SessionOver(Reason.SESSION_ENDED)):
        assert renewal.decode_outcome(renewal.encode_outcome(outcome)) == outcome


def test_r71_a_pending_login_of_the_version_before_goes_on():
    """R71: its list opens; its answer comes back to the one callback that there was."""
    recorded = b'["state-1","nonce-1","verifier-1","corporate","/deep?x=1",1800000000.25]'
    pending = decode_pending(recorded)
    assert pending == PendingLogin(
        "state-1", "nonce-1", "verifier-1", "corporate", "/deep?x=1", 1_800_000_000.25
    )
    assert pending.callback == ""


def test_what_is_derived_of_a_secret_is_apart():
    """State, nonce and verifier differ, have 256 bits, and the same secret gives the same."""
    pending = begin_pending(bytes(range(32)), "p", "/", 12.0, "")
    texts = {pending.state, pending.nonce, pending.verifier}
    assert len(texts) == 3
    assert all(len(text) == 43 for text in texts)
    assert texts.isdisjoint({begin_pending(bytes(32), "p", "/", 12.0, "").state})


def test_a_lone_surrogate_in_a_claim_is_no_crash():
    """A provider may send any JSON string; sealing it never raises."""
    odd = replace(SESSION, claims={"name": "\ud800"})
    session.decode_session(session.encode_session(odd))


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_none(data):
    """Decoding is total."""
    session.decode_session(data)
    session.decode_grant(data)
    decode_pending(data)
    decode_recent(data)
    renewal.decode_outcome(data)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            key: st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.none())
            for key in ("id", "p", "iss", "sub", "sid", "c", "sc", "li", "en", "se", "re", "ae", "g", "at")
        },
    )
)
def test_any_fields_give_a_session_or_none(fields):
    """A member missing or of the wrong type gives None, never a half session."""
    result = session.session_from(fields)
    assert result is None or isinstance(result, Session)


def test_secrets_stay_out_of_reprs():
    """R16: a grant or pending login in a log line shows no secret."""
    assert "secret" not in repr(begin_pending(b"secret".ljust(32), "p", "/", 0.0, ""))
    assert "v-secret" not in repr(PendingLogin("s-secret", "n-secret", "v-secret", "p", "/", 0.0))
    assert "refresh-token" not in repr(GRANT)
    assert "access-secret" not in repr(replace(SESSION, access_token="access-secret"))


def test_payloads_before_positions():
    """[1.4] Logins under way and sessions of the version before are read; time decides over them."""
    payload = b'["state","nonce","verifier","corporate","/page?x=1",1700000000.5]'
    pending = decode_pending(payload)
    assert pending == PendingLogin("state", "nonce", "verifier", "corporate", "/page?x=1", 1700000000.5)
    assert (pending.position, pending.is_repeated) == (None, False)
    for position in (None, ("epoch", 7)):
        placed = begin_pending(bytes(32), "p", "/", 1.0, "", position, is_repeated=True)
        assert decode_pending(encode_pending(placed)) == placed
        begun = replace(SESSION, position=position)
        assert session.decode_session(session.encode_session(begun)) == begun


@pytest.mark.parametrize(
    "position", [[], ["e"], ["e", -1], ["e", 1.5], ["e", True], [1, 1], "e 1", {"e": 1}, 7]
)
def test_a_position_that_is_none_opens_nothing(position):
    """[1.4] Garbage in its place is no session and no login under way."""
    encoded = session.encode_session(replace(SESSION, position=("e", 1)))
    broken = json.dumps(json.loads(encoded) | {"po": position}).encode()
    assert (session.decode_session(broken), session.decode_session(encoded) is None) == (None, False)
    encoded = encode_pending(begin_pending(bytes(32), "p", "/", 1.0, "", ("e", 1)))
    broken = encoded.replace(b'["e",1]', json.dumps(position).encode())
    assert (decode_pending(broken), decode_pending(encoded) is None) == (None, False)
