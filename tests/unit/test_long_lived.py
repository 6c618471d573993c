"""What an exchange that outlives its decision rests on, whose Origin may open one, and how they end."""

import asyncio
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings.root import Settings
from gateway.core.access.session import identity_of
from gateway.core.access.streams import StreamBasis, name_of, tie
from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Live, Refuse
from gateway.core.decision.context import Context, Knowledge, Memory
from gateway.core.headers.request import Request
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.rules.websocket import may_connect
from gateway.core.runtime import compile_settings
from gateway.core.runtime import problems as check
from gateway.core.sessions import codec
from gateway.core.sessions.model import Session
from gateway.edge.revocation.streams import Streams

NOW = 1_800_000_000.0
OWN = b"https://app.example.com"
DATA = {
    "public_url": [OWN.decode()],
    "secret_keys": ["A" * 43 + "="],
    "providers": {
        "corporate": {
            "issuer": "https://login.example.com",
            "client_id": "web",
            "client_secret": "s",
            "audiences": ["api"],
            "clock_skew": "30s",
        }
    },
    "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"]}},
    "routes": [
        {
            "path": "/shared/",
            "upstream": "app",
            "access": "required",
            "websocket_origins": ["https://spa.example.com"],
        },
        {"path": "/public/", "upstream": "app", "access": "public"},
        {"path": "/optional/", "upstream": "app", "access": "optional"},
        {"path": "/", "upstream": "app", "access": "required"},
    ],
}
COMPILED = compile_settings(Settings.model_validate(DATA))
SESSION = Session(
    session_id="session-1",
    provider="corporate",
    issuer="https://login.example.com",
    subject="alice",
    sid="sid-1",
    claims={"sub": "alice"},
    scopes=frozenset({"openid"}),
    login_at=NOW - 100,
    ends_at=NOW + 86400,
    seen_at=NOW - 100,
    renewed_at=NOW - 100,
    access_expires_at=NOW + 3500,
)
BEARER = Identity(
    kind="bearer",
    provider="corporate",
    issuer="https://login.example.com",
    subject="alice",
    claims={},
    scopes=frozenset(),
    issued_at=NOW - 100,
    expires_at=NOW + 300,
    jti="jti-1",
)
UPGRADE = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))


def knowing(denylist: Denylist | None = None) -> Knowledge:
    """Knowledge with a fresh replica."""
    denylist = denylist or Denylist()
    denylist.synchronised_at = NOW
    return Knowledge(COMPILED, {}, denylist, Memory(), lambda _: None, lambda _: False)


def ask(path: str, *headers, session: Session | None = SESSION):
    """Decide a GET with a session cookie."""
    if session is not None:
        purpose = f"session {OWN.decode()}"
        sealed = COMPILED.ring.seal(purpose, codec.encode_session(session), os.urandom(12))
        headers = ((b"Cookie", f"__Host-gateway-session={sealed}".encode()), *headers)
    host = b"app.example.com"
    request = Request(b"GET", path.encode(), host, ((b"Host", host), *headers), "192.0.2.1")
    return decide(request, knowing(), NOW, "request-1")


@pytest.mark.parametrize(
    ("origins", "is_allowed"),
    [
        ([OWN], True),
        ([b"https://spa.example.com"], True),
        ([], False),
        ([b""], False),
        ([b"null"], False),
        ([OWN, OWN], False),
        ([OWN, b"https://evil.example"], False),
        ([OWN + b"/"], False),
        ([OWN + b":443"], False),
        ([OWN + b".evil.example"], False),
        ([b"http://app.example.com"], False),
        ([b"https://APP.example.com"], False),
        ([b"https://spa.example.com https://app.example.com"], False),
        ([b"https://evil.example/https://app.example.com"], False),
    ],
)
def test_r49_one_origin_exactly(origins: list[bytes], is_allowed: bool):
    """R49: exactly one Origin, equal to the last byte; the field's name in any case."""
    headers = [(name, value) for value in origins for name in (b"oRIGIN",)]
    assert may_connect(headers, OWN, frozenset({b"https://spa.example.com"})) is is_allowed


@given(st.lists(st.tuples(st.sampled_from([b"Origin", b"origin", b"X-Origin"]), st.binary(max_size=40))))
def test_r49_no_garbage_is_an_origin(headers):
    """R49: whatever is sent, it counts only as the one Origin that is allowed."""
    sent = [value for name, value in headers if name.lower() == b"origin"]
    assert may_connect(headers, OWN, frozenset()) is (sent == [OWN])


EVIL = (b"Origin", b"https://evil.example")


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/x", (*UPGRADE, (b"Origin", OWN)), Reason.AUTHENTICATED),
        ("/x", (*UPGRADE, EVIL), Reason.ORIGIN_FORBIDDEN),
        ("/x", UPGRADE, Reason.ORIGIN_FORBIDDEN),
        ("/x", ((b"Connection", b"upgrade"), (b"UPGRADE", b"WebSocket"), EVIL), Reason.ORIGIN_FORBIDDEN),
        ("/x", ((b"Upgrade", b"h2c"), (b"Upgrade", b"x, websocket"), EVIL), Reason.ORIGIN_FORBIDDEN),
        ("/x", ((b"Upgrade", b"websocket/13"), EVIL), Reason.ORIGIN_FORBIDDEN),
        ("/x", (EVIL,), Reason.AUTHENTICATED),
        (
            "/x",
            ((b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), EVIL),
            Reason.AUTHENTICATED,
        ),
        ("/optional/x", (*UPGRADE, EVIL), Reason.ORIGIN_FORBIDDEN),
        ("/public/x", (*UPGRADE, EVIL), Reason.PUBLIC),
        ("/shared/x", (*UPGRADE, (b"Origin", b"https://spa.example.com")), Reason.AUTHENTICATED),
        ("/x", (*UPGRADE, (b"Origin", b"https://spa.example.com")), Reason.ORIGIN_FORBIDDEN),
    ],
)
def test_r49_the_decision(path: str, headers, expected: Reason):
    """R49: asked for a WebSocket with a session, the decision looks at Origin; otherwise it does not."""
    answer = ask(path, *headers)
    assert answer.reason is expected
    if expected is Reason.ORIGIN_FORBIDDEN:
        assert isinstance(answer, Refuse)
        assert answer.identity is not None
        assert not answer.cookies
        assert not answer.challenge


def test_r49_nobody_has_no_authority_to_borrow():
    """R49: without a session there is nothing that a foreign page could use."""
    assert ask("/optional/x", *UPGRADE, EVIL, session=None).reason is Reason.ANONYMOUS
    ended = replace(SESSION, ends_at=NOW - 1)
    assert ask("/optional/x", *UPGRADE, EVIL, session=ended).reason is Reason.ANONYMOUS


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"websocket_origins": ["*"]}, "routes[0].websocket_origins[0]"),
        (
            {"websocket_origins": ["https://a.example", "https://b.example/"]},
            "routes[0].websocket_origins[1]",
        ),
        ({"websocket_origins": ["null"]}, "routes[0].websocket_origins[0]"),
        ({"websocket_origins": ["https://A.example"]}, "routes[0].websocket_origins[0]"),
        ({"websocket_origins": ["https://a.example"], "access": "public"}, "routes[0].websocket_origins"),
    ],
)
def test_origins_are_written_as_browsers_do(change: dict, at: str):
    """Exact origins only, and none on a route that looks at no session."""
    route = {"path": "/", "upstream": "app", "access": "required"} | change
    settings = Settings.model_validate(DATA | {"routes": [route]})
    assert at in [str(problem).partition(": ")[0] for problem in check(settings)]


def forwarded(reason: Reason, identity: Identity | None, session: Session | None) -> Forward:
    """Return a decision to forward."""
    context = Context(Request(b"GET", b"/", b"h", (), "192.0.2.1"), knowing(), NOW, "r")
    live = None if identity is None or session is None else Live(identity, session, None)
    return Forward(context, COMPILED.routes.routes[0], reason, b"/", [], identity, live)


def tether(session: Session | None = SESSION, identity: Identity | None = None) -> StreamBasis:
    """Return the tether of a session, or of a bearer token."""
    if identity is None:
        assert session is not None
        identity = identity_of(session, session.claims, session.scopes)
    found = tie(forwarded(Reason.AUTHENTICATED, identity, session), knowing())
    assert found is not None
    return found


def test_anybody_is_not_tied():
    """What serves anybody has no end of its own."""
    assert tie(forwarded(Reason.PUBLIC, None, None), knowing()) is None


@pytest.mark.parametrize(
    ("tied", "end", "reason"),
    [
        (tether(), SESSION.ends_at, Reason.SESSION_EXPIRED),
        (tether(None, BEARER), BEARER.expires_at + 30, Reason.TOKEN_EXPIRED),
    ],
)
def test_r49_the_end_by_itself(tied: StreamBasis, end: float, reason: Reason):
    """R49: a session at its absolute end, a token at ``exp`` and the skew: not before, and then for good."""
    assert tied.until == end
    assert [tied.judge(Denylist(), at) for at in (NOW, end - 1, end, end + 1e6)] == [
        None,
        None,
        reason,
        reason,
    ]


def entry(kind, issuer: str = "", value: str = "", before: float = NOW) -> DenyEntry:
    """Return an entry that holds for an hour."""
    return DenyEntry(kind, issuer, value, before, NOW + 3600)


ISSUER = SESSION.issuer


@pytest.mark.parametrize(
    ("denied", "session_ends", "token_ends"),
    [
        (entry("sub", ISSUER, "alice"), True, True),
        (entry("sub", ISSUER, "bob"), False, False),
        (entry("sub", "https://other.example", "alice"), False, False),
        (entry("sub", ISSUER, "alice", before=NOW - 200), False, False),
        (entry("sid", ISSUER, "sid-1"), True, False),
        (entry("jti", ISSUER, "jti-1"), False, True),
        (entry("session", "", "session-1"), True, False),
        (entry("session", "whatever", "session-1"), True, False),
        (entry("session", "", "session-2"), False, False),
        (entry("all"), True, True),
        (entry("all", ISSUER), True, True),
        (entry("all", "https://other.example"), False, False),
        (entry("all", ISSUER, "ignored"), True, True),
    ],
)
def test_r49_revoked(denied: DenyEntry, session_ends: bool, token_ends: bool):
    """R44, R49: an entry that ends an exchange is found by its name."""
    denylist = Denylist()
    denylist.add(denied)
    for tied, ends in ((tether(), session_ends), (tether(None, BEARER), token_ends)):
        assert tied.judge(denylist, NOW) is (Reason.REVOKED if ends else None)
        if ends:
            assert name_of(denied) in tied.names


def test_r49_the_sid_of_before_and_after_a_refresh():
    """R49: both values of a provider's sid that has changed reach the exchange."""
    newer = replace(SESSION, sid="sid-2")
    tied = tether(SESSION, identity_of(newer, {}, frozenset()))
    for sid in ("sid-1", "sid-2"):
        denylist = Denylist()
        denylist.add(entry("sid", ISSUER, sid))
        assert tied.judge(denylist, NOW) is Reason.REVOKED
        assert ("sid", ISSUER, sid) in tied.names


WORDS = st.sampled_from(["", "a", "b", ISSUER])
TETHERS = st.builds(
    lambda kind, subject, sid, word, issued: (
        tether(None, replace(BEARER, subject=subject, sid=sid, jti=word, issued_at=issued))
        if kind
        else tether(replace(SESSION, subject=subject, sid=sid, session_id=word or "a", login_at=issued))
    ),
    st.booleans(),
    WORDS,
    st.none() | WORDS,
    WORDS,
    st.floats(NOW - 10, NOW + 10),
)
ENTRIES = st.builds(
    DenyEntry,
    st.sampled_from(["jti", "sid", "sub", "session", "all"]),
    WORDS,
    WORDS,
    st.floats(NOW - 10, NOW + 10),
    st.floats(NOW - 10, NOW + 10),
)


@given(TETHERS, ENTRIES)
def test_r49_names_miss_nothing(tied: StreamBasis, denied: DenyEntry):
    """R49: whom an entry revokes is always reached by the entry's name: no scan would find more."""
    denylist = Denylist()
    denylist.add(denied)
    if tied.judge(denylist, NOW) is Reason.REVOKED:
        assert name_of(denied) in tied.names


class Open:
    """An exchange that notes in which turn of the loop it was ended."""

    turn = 0

    def __init__(self) -> None:
        self.ended: int | None = None

    @property
    def aborted(self) -> bool:
        """Whether it is over."""
        return self.ended is not None

    def abort(self, code: int = 1008) -> None:
        """End once."""
        assert code == 1008
        assert self.ended is None
        self.ended = Open.turn


def watched(denylist: Denylist, count: int):
    """Return a watch over so many exchanges, each of another subject."""
    watch = Streams(denylist, lambda: NOW, lambda *_, **__: None)
    found = []
    for number in range(count):
        session = replace(SESSION, subject=f"user-{number}", session_id=f"session-{number}")
        identity = identity_of(session, {}, frozenset())
        forward = forwarded(Reason.AUTHENTICATED, identity, session)
        found.append(Open())
        for _ in range(3):
            watch.watch(found[-1], forward, knowing(denylist), "request")
    return watch, found


async def test_everybody_is_ended_a_few_at_a_time():
    """Ending everybody holds nobody up: other work gets its turns in between, and none is missed."""
    denylist = Denylist()
    watch, found = watched(denylist, 1000)
    denied = entry("all")
    denylist.add(denied)
    Open.turn = 0
    watch.denied([denied, denied])
    assert not any(each.aborted for each in found)
    while not all(each.aborted for each in found):
        await asyncio.sleep(0)
        Open.turn += 1
        assert Open.turn < 100
    turns = [each.ended for each in found]
    assert max(turns.count(turn) for turn in set(turns)) <= 100
    assert watch.stats()["open"] == 0
    await watch.close()


async def test_one_entry_looks_at_nobody_else():
    """A storm of entries costs nothing for each exchange that it does not name."""
    denylist = Denylist()
    watch, found = watched(denylist, 50)
    judged = []
    watch._judge = lambda bond, now: judged.append(bond)
    watch.denied([entry("sub", ISSUER, f"stranger-{number}") for number in range(1000)])
    assert judged == []
    watch.denied([entry("sub", ISSUER, "user-7")])
    assert [bond.exchange for bond in judged] == [found[7]]
    await watch.close()


async def test_the_sweep_is_a_net():
    """An entry that nobody told of is found all the same, and what has ended by itself is forgotten."""
    denylist = Denylist()
    watch, found = watched(denylist, 3)
    denylist.add(entry("sub", ISSUER, "user-1"))
    found[0].ended = -1
    watch._sweep()
    await asyncio.sleep(0)
    assert [each.ended is not None for each in found] == [True, True, False]
    assert found[0].ended == -1
    assert list(watch._streams) == [found[2]]
    watch.session_over("session-2", Reason.SESSION_ENDED)
    await asyncio.sleep(0)
    assert found[2].aborted
    assert not watch._named
    await watch.close()
