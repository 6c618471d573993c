"""What lies under a handle, and who gets to it: the pure half of sessions that the store keeps."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Refuse
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import SessionRecord, Touch
from gateway.core.headers.request import Request
from gateway.core.provider import TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, Renewed, Session
from gateway.core.sessions.record import (
    MOST_AGENT,
    RECORD_PURPOSE,
    Handle,
    StoredSession,
    begun,
    decode_about,
    decode_handle,
    encode_about,
    encode_handle,
    index_names,
    is_session_id,
    record_name,
)
from gateway.core.sessions.seal import KeyRing
from gateway.syntax.encoding import encode_base64url
from tests.support.decisions import compiled
from tests.support.pure import ISSUER, NOW, PREFIX

ID = encode_base64url(bytes(range(32)))
SECRET = encode_base64url(bytes(range(100, 132)))
OTHER = encode_base64url(bytes(range(50, 82)))
HANDLE = Handle(ID, SECRET)
KNOWN = compiled(session={"mode": "redis"})
SESSION = Session(
    session_id=ID,
    provider="corporate",
    issuer=ISSUER,
    subject="alice",
    sid="s-1",
    claims={"sub": "alice"},
    scopes=frozenset({"openid"}),
    login_at=NOW - 10,
    ends_at=NOW + 100_000,
    seen_at=NOW - 10,
    renewed_at=NOW - 10,
    access_expires_at=NOW + 500,
)
GRANT = Grant(ID, 0, "refresh-token", handle=SECRET)
texts = st.text(max_size=40)


def cookie(handle: Handle = HANDLE, purpose: str = "handle https://app.example.com") -> tuple[bytes, bytes]:
    sealed = KNOWN.ring.seal(purpose, encode_handle(handle), os.urandom(12))
    return (b"Cookie", f"{PREFIX}session={sealed}".encode())


def stored(
    session: Session = SESSION, grant: Grant | None = GRANT, secret: str = SECRET, **more
) -> StoredSession:
    payload = renewal.encode_outcome(Renewed(session, grant))
    return StoredSession(KNOWN.ring.seal_under(secret, RECORD_PURPOSE, payload, os.urandom(12)), **more)


class Asked:
    """A worker's knowledge, asked repeatedly."""

    def __init__(self, answer: StoredSession | None = None, *entries: DenyEntry) -> None:
        self.denylist = Denylist()
        self.denylist.synchronised_at = NOW
        for entry in entries:
            self.denylist.add(entry)
        self.memory = Memory()
        self.answer = answer
        self.needs: list[SessionRecord] = []

    def __call__(self, *headers, now: float = NOW):
        """Decide one request, with the store's answer where it is asked."""
        self.denylist.synchronised_at = now
        facts: dict = {}
        knowledge = Knowledge(KNOWN, {}, self.denylist, self.memory, lambda _: None, lambda _: False, facts)
        host = b"app.example.com"
        request = Request(b"GET", b"/x", host, ((b"Host", host), *(headers or (cookie(),))), "192.0.2.1")
        answer = decide(request, knowledge, now, "r")
        if isinstance(answer, SessionRecord) and self.answer is not None:
            self.needs.append(answer)
            facts[answer] = self.answer
            answer = decide(request, knowledge, now, "r")
        return answer


def test_r41_a_handle_has_256_random_bits_and_is_short():
    """R41: 32 bytes of secret beside the session's id; sealed well below 200 characters."""
    payload = encode_handle(HANDLE)
    assert len(payload) == 64
    assert len(KNOWN.ring.seal("handle https://app.example.com", payload, os.urandom(12))) < 140
    assert decode_handle(payload) == HANDLE
    assert SECRET not in repr(HANDLE)


@given(st.binary(max_size=100))
def test_any_payload_is_a_handle_or_none(payload: bytes):
    """Decoding is total, and what it accepts it also writes."""
    handle = decode_handle(payload)
    assert (handle is not None) == (len(payload) == 64)
    if handle is not None:
        assert encode_handle(handle) == payload


@pytest.mark.parametrize("wrong", ["", "x", ID[:-1], ID + "A", "{all}", ID[:-1] + "="])
def test_what_is_no_handle_is_not_sealed(wrong: str):
    """Only ids and secrets of 32 bytes go into a cookie or a key of the store."""
    assert not is_session_id(wrong)
    with pytest.raises(ValueError, match="32 bytes"):
        encode_handle(Handle(wrong, SECRET))
    with pytest.raises(ValueError, match="32 bytes"):
        encode_handle(Handle(ID, wrong))


def test_the_store_knows_a_hash_of_the_handle():
    """The record's name is not the handle; another handle has another name."""
    assert record_name(SECRET) != SECRET
    assert record_name(SECRET) != record_name(OTHER)
    assert is_session_id(record_name(SECRET))
    assert HANDLE.record == record_name(SECRET)


def test_the_rotation_is_named_after_the_handle():
    """The claim of a rotation has the record's name, whatever the provider does with its refresh token."""
    provider = KNOWN.providers["corporate"]
    assert renewal.rotation_id(provider, GRANT) == HANDLE.record
    assert renewal.rotation_id(provider, replace(GRANT, refresh_token="another")) == HANDLE.record
    assert renewal.seal_secret(GRANT) == SECRET
    in_cookies = replace(GRANT, handle="")
    assert renewal.rotation_id(provider, in_cookies) != HANDLE.record
    assert renewal.seal_secret(in_cookies) == "refresh-token"


@pytest.mark.parametrize("token", [None, "refresh-token", "rotated"])
def test_r36_a_refresh_rotates_the_handle_whatever_the_provider_does(token: str | None):
    """R36: with a new refresh token, the same one or none, the handle is new, the old one to be confirmed."""
    tokens = TokenSet("access", 300.0, refresh_token=token)
    renewed = renewal.renew(
        KNOWN.providers["corporate"], SESSION, GRANT, HANDLE.record, tokens, None, None, NOW, OTHER
    )
    assert renewed.grant.handle == OTHER
    assert renewed.grant.unconfirmed == (HANDLE.record,)
    assert renewed.grant.refresh_token == (token or "refresh-token")
    assert renewal.decode_outcome(renewal.encode_outcome(renewed)) == renewed


def test_an_unknown_session_is_a_need_and_then_remembered():
    """The store is asked once; afterwards nothing is missing, also for the same handle sealed anew."""
    asked = Asked(stored())
    assert isinstance(asked(), Forward)
    assert asked.needs == [SessionRecord(HANDLE.record, ID)]
    for header in (cookie(), cookie()):
        assert isinstance(asked(header), Forward)
    assert len(asked.needs) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (StoredSession(), Reason.SESSION_EXPIRED),
        (StoredSession(is_spent=True), Reason.SESSION_REUSED),
        (stored(is_spent=True), Reason.SESSION_REUSED),
        (StoredSession("garbage"), Reason.SESSION_INVALID),
        (StoredSession("A" * 200), Reason.SESSION_INVALID),
        (stored(secret=OTHER), Reason.SESSION_INVALID),
        (stored(replace(SESSION, session_id=OTHER)), Reason.SESSION_INVALID),
        (stored(replace(SESSION, provider="gone")), Reason.SESSION_INVALID),
        (stored(replace(SESSION, issuer="https://elsewhere.example")), Reason.SESSION_INVALID),
        (stored(replace(SESSION, ends_at=NOW)), Reason.SESSION_EXPIRED),
        (stored(replace(SESSION, seen_at=NOW - 8 * 3600)), Reason.SESSION_EXPIRED),
    ],
)
def test_what_the_store_may_say(answer: StoredSession, reason: Reason):
    """Gone, replaced, foreign, garbage, over: each is 401 with its word."""
    refused = Asked(answer)()
    assert isinstance(refused, Refuse)
    assert refused.reason is reason


def test_a_grant_of_another_handle_is_none():
    """A refresh token beside another handle's name is not taken for this session's."""
    expired = replace(SESSION, access_expires_at=NOW)
    refused = Asked(stored(expired, replace(GRANT, handle=OTHER)))()
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.SESSION_EXPIRED


@pytest.mark.parametrize(
    "header",
    [
        cookie(purpose="session https://app.example.com"),
        cookie(purpose="handle https://other.example.com"),
        (b"Cookie", f"{PREFIX}session=".encode()),
        (b"Cookie", f"{PREFIX}session={'A' * 130}".encode()),
        (b"Cookie", f"{PREFIX}session=2~x".encode()),
        (b"Cookie", f"{PREFIX}session={SECRET}".encode()),
    ],
)
def test_garbage_asks_nothing_of_the_store(header):
    """R45: whatever we did not seal for this purpose and origin is refused without a question."""
    refused = Asked()(header)
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.SESSION_INVALID


def test_r43_an_ended_session_is_refused_before_the_store_is_asked():
    """R43: the denylist names the id in the cookie: no record is fetched for it."""
    refused = Asked(None, DenyEntry("session", "", ID, NOW, NOW + 100))()
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.REVOKED


def test_r43_the_end_reaches_a_remembered_session():
    """R43: what a worker remembers is judged by the denylist at every request."""
    asked = Asked(stored())
    assert isinstance(asked(), Forward)
    asked.denylist.add(DenyEntry("sub", ISSUER, "alice", NOW, NOW + 100))
    assert asked().reason is Reason.REVOKED


def test_activity_is_told_after_a_tenth_of_the_idle_lifetime():
    """R42: in use beyond a tenth: told behind the request's back; no cookie changes."""
    long = replace(SESSION, access_expires_at=NOW + 90_000)
    asked = Asked(stored(long))
    assert not asked().background
    answer = asked(now=NOW + 2880)
    assert isinstance(answer, Forward)
    assert answer.background == (Touch(HANDLE.record, NOW + 2880, long),)
    assert not answer.cookies


def test_what_seems_idle_is_asked_for_again():
    """R42: it may have been in use at another worker; what the store says counts."""
    long = replace(SESSION, access_expires_at=NOW + 90_000, claims_at=NOW + 3600)
    asked = Asked(stored(long))
    assert isinstance(asked(), Forward)
    later = NOW + 8 * 3600
    asked.answer = stored(long, seen_at=later - 60)
    assert isinstance(asked(now=later), Forward)
    assert len(asked.needs) == 2
    much_later = later + 8 * 3600
    assert asked(now=much_later).reason is Reason.SESSION_EXPIRED


@given(texts, texts, texts, st.none() | texts, texts, texts)
def test_what_the_list_shows_survives_its_way(provider, issuer, subject, sid, address, agent):
    """Whatever a provider or a browser says comes back, the agent cut and printable."""
    session = replace(SESSION, provider=provider, issuer=issuer, subject=subject, sid=sid)
    about = begun(session, address, agent)
    assert decode_about(encode_about(about)) == about
    assert about.agent.isprintable()
    assert len(begun(session, address, "x" * 10_000).agent) == MOST_AGENT


@given(st.binary(max_size=60))
def test_garbage_is_nothing_to_list(data: bytes):
    """Decoding is total."""
    assert decode_about(data) is None


@pytest.mark.parametrize("place", range(9))
@pytest.mark.parametrize("wrong", [None, True, [], {}])
def test_members_of_the_wrong_type_are_nothing_to_list(place: int, wrong):
    """Each member has its type; only ``sid`` may be missing."""
    fields = json.loads(encode_about(begun(SESSION, "192.0.2.1", "agent")))
    fields[place] = wrong
    about = decode_about(json.dumps(fields).encode())
    assert (about is None) != (place == 4 and wrong is None)


def test_lists_are_named_by_keyed_hashes():
    """No subject can be guessed from a name without the key; every key of the ring has one."""
    old, new = KeyRing((b"o" * 32,)), KeyRing((b"n" * 32, b"o" * 32))
    (name,) = index_names(old, "sub", ISSUER, "alice")
    assert index_names(new, "sub", ISSUER, "alice")[1] == name
    assert index_names(new, "sub", ISSUER, "alice")[0] != name
    others = [("sid", ISSUER, "alice"), ("sub", "https://other.example", "alice"), ("sub", ISSUER, "bob")]
    assert name not in {each for other in others for each in index_names(old, *other)}
