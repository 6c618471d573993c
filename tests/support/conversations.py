"""Conversations through the data plane in memory: one side remembers every fact, the other none.

Both hear the same bytes, at the same time, about the same keys, revocations and renewals. Whatever comes out
of them is to be the same: bytes to clients and upstreams, records, audit events, and what was asked for.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from gateway.config.settings.root import Settings
from gateway.core.access.forgetting import sweep
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import (
    Introspect,
    KeyRecord,
    Keys,
    KeyUsed,
    Random,
    Refresh,
    Revoke,
    SessionRecord,
    UseOnce,
)
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange
from gateway.core.memo import Memo
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.core.sessions import codec
from gateway.core.sessions import renewal as refresh
from gateway.core.sessions.model import Grant, Renewed, Session
from gateway.core.sessions.record import StoredSession
from gateway.core.tokens import api_key
from gateway.core.tokens.api_key import ApiKey, StoredKey
from gateway.core.tokens.introspection import Introspection, lasts_until
from gateway.core.tokens.keys import KeySet
from gateway.edge.limits.rate_limits import RateLimits
from gateway.http.downstream.connection import ClientConnection
from gateway.http.messages import request_head, response_head
from gateway.http.ports import Limits
from gateway.http.server import Server
from gateway.http.upstream.connection import UpstreamConnection
from gateway.pipeline.pipeline import Pipeline, Ways
from gateway.syntax.api_keys import compose, id_of
from tests.support import pure
from tests.support.dpop import proof, thumbprint
from tests.support.in_memory import Pool, Transport
from tests.support.jose import access_claims, jwk, key_set, sign
from tests.support.pure import NOW, PREFIX

OTHER_ISSUER = "https://other.example.com"
SITE = "https://app.example.com"
EMAIL = "50%b%%@example.com"
MOST_STALENESS = 30.0
ROUTES: tuple[dict[str, Any], ...] = (
    {"path": "/public/", "access": "public"},
    {"path": "/passed/", "access": "public", "authorization": "pass"},
    {"path": "/optional/", "access": "optional", "api_keys": True},
    {"path": "/admin/", "require": {"groups": ["admins"]}, "identity_headers": {"X-Mail": "email"}},
    {
        "path": "/api/",
        "unauthenticated": "reject",
        "require": {"scopes": ["api"]},
        "when_stale": "allow",
        "api_keys": True,
    },
    {"path": "/old/", "require": {"max_age": "5m"}, "when_stale": "allow"},
    {"path": "/api/plain/", "hosts": ["plain.example.com"], "access": "public"},
    {"path": "/api/open/", "access": "public"},
    {"path": "/old/Closed/", "require": {"groups": ["nobody"]}},
    {
        "path": "/part/",
        "provider": "corporate",
        "require": {"methods": ["GET", "POST"]},
        "strip_prefix": True,
        "authorization": {"basic": {"username": "sub", "password": "x"}},
        "request_headers": {"X-Gateway-Secret": "secret"},
        "response_headers": {"Cache-Control": "public", "X-One": None, "X-Frame-Options": "DENY"},
    },
    {"path": "/corp/", "provider": "corporate", "rate_limit": {"requests": 3, "per": "1m", "by": "identity"}},
    {
        "path": "/near/",
        "require": {
            "any": [{"networks": ["198.51.100.0/29"]}, {"not": {"claims": {"sub": {"matches": "b.*"}}}}]
        },
    },
    {"path": "/near/page", "exact": True, "access": "public"},
    {"path": "/partner/", "access": "optional", "providers": ["other"]},
    {"path": "/raw/", "access": "optional", "raw_path": True},
    {"path": "/res/", "resource": {"identifier": f"{SITE}/res"}, "api_keys": True},
    {"path": "/bound/", "bound_tokens": "dpop"},
    {"path": "/", "api_keys": True},
)
_PROVIDER = {
    "issuer": pure.ISSUER,
    "client_id": "w",
    "client_secret": "s",
    "audiences": ["a"],
    "introspection": "json",
}
API_KEY = compose(bytes(range(10)), bytes(range(32)))
OPAQUE: dict[str, dict[str, Any] | None] = {
    "opaque-dave": {
        "sub": "dave",
        "aud": "a",
        "exp": NOW + 200,
        "jti": "dave",
        "email": EMAIL,
        "scope": "api",
    },
    "opaque-erin": {
        "sub": "erin",
        "aud": ["a", f"{SITE}/res"],
        "exp": NOW + 200,
        "jti": "dave",
    },
    "opaque-nobody": None,
}
"""What the corporate provider says of opaque tokens."""
PROVIDERS = {"corporate": _PROVIDER, "other": {**_PROVIDER, "issuer": OTHER_ISSUER}}
KEY_SETS = {"both": ("main", "second"), "first": ("main",), "second": ("second",)}
_OLD_RING, _NEW_RING = "A" * 43 + "=", "B" * 42 + "A="
CONFIGURATIONS = 3
"""How many there are: the usual one; another with more keys and fewer providers; one without the old key."""
PEERS = ("192.0.2.1", "192.0.2.2", "10.0.0.1")


@cache
def settings(which: int) -> Settings:
    """Return one of the configurations."""
    changes: dict[str, Any] = {
        "providers": PROVIDERS,
        "trusted_proxies": ["10.0.0.0/8"],
        "client_headers": {"keep": ["Remote-User"]},
        "public_url": [SITE, "http://plain.example.com"],
        "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"], "assertion": {"lifetime": "1m"}}},
        "allow_insecure_http": True,
        "prefix": "/auth/",
        "denylist": {"max_staleness": MOST_STALENESS},
        "session": {"claims_max_age": "250s"},
        "log": {"claims": ["email"], "request_headers": ["User-Agent"]},
        "api_keys": {},
    }
    if which == 1:
        changes["providers"] = {"corporate": {**_PROVIDER, "audiences": ["b"]}}
        changes["identity_headers"] = {"X-Who": "sub"}
        changes["forwarding"] = {"host": "X-Forwarded-Host", "port": "X-Forwarded-Port"}
        changes["secret_keys"] = [_NEW_RING, _OLD_RING]
        dropped = ("/partner/", "/optional/")
        return pure.settings(*(each for each in ROUTES if each["path"] not in dropped), **changes)
    if which:
        changes["secret_keys"] = [_NEW_RING]
        changes["forwarding"] = {"address": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"}
        # other places for the same paths
        moved = ({**each, "path": each["path"] + "x/"} for each in ROUTES[:-1] if each["path"] != "/admin/")
        by_method = {"path": "/admin/", "methods": ["GET"], "strip_prefix": True}
        return pure.settings(*moved, by_method, {"path": "/admin/"}, ROUTES[-1], **changes)
    return pure.settings(*ROUTES, **changes)


@cache
def forgetting(which: int) -> RuntimeConfig:
    """Return a configuration that remembers nothing."""
    return compile_settings(settings(which), remembers=False)


def nothing() -> Memory:
    """Return a memory of sessions that keeps none."""
    return Memory(Memo(0), Memo(0))


@cache
def keys(name: str) -> KeySet:
    """Return one of the key sets of a provider."""
    return key_set(*(jwk(name=each) for each in KEY_SETS[name]), now=NOW, stale_after=NOW + 400)


def bearer_line(name: str = "main", **changes: Any) -> bytes:
    """Return the Authorization line of a token that the named key has signed."""
    usual = {"iss": pure.ISSUER, "aud": "a", "auth_time": NOW - 250, "email": EMAIL}
    return b"Authorization: Bearer " + sign(access_claims(**usual | changes), name=name).encode()


VALID = 21
"""So many of the credentials are good for somebody, as things begin."""
MACHINES = slice(17, 25)
"""Those of them that are API keys and opaque tokens, and a few that are like them."""
BOUND = slice(-12, None)
"""Those of them that are bound to a key, with and without a proof, or that name a resource."""


@cache
def credentials() -> tuple[bytes, ...]:
    """Return the lines that say who is calling."""
    lines: list[bytes] = []
    for issuer, name, changes in (
        (pure.ISSUER, "main", {"exp": NOW + 20, "jti": "main20"}),
        (pure.ISSUER, "main", {"exp": NOW + 900, "jti": "main900"}),
        (pure.ISSUER, "main", {"exp": NOW + 900, "jti": "bob", "sub": "bob", "scope": "api"}),
        (pure.ISSUER, "second", {"exp": NOW + 900, "jti": "second900"}),
        (OTHER_ISSUER, "main", {"exp": NOW + 900}),
    ):
        lines.append(bearer_line(name, iss=issuer, **changes))
    for subject in ("alice", "bob", "carol"):
        for life in (30, 500):
            line = session_line(subject, life)
            lines += [line, b"Cookie: theme=dark; " + line[8:]]
    good = lines[1]
    lines += [
        f"X-API-Key: {API_KEY}".encode(),
        f"x-api-key: {API_KEY}".encode(),
        f"Authorization: Bearer {API_KEY}".encode(),
        b"Authorization: Bearer opaque-dave",
    ]
    lines += [
        b"Authorization: Bearer opaque-nobody",
        f"X_API_Key: {API_KEY}".encode(),
        f"X-API-Key: {API_KEY[:-4]}AAAA".encode(),
        b"X-API-Key:",
        bearer_line(exp=NOW - 500),
        bearer_line(exp=NOW + 900, nbf=NOW + 100),
        good[:-8] + b"AAAAAAAA",
        good.replace(b"Bearer", b"bearer "),
        b"authorization:" + good[15:],
        b"Authorization: Bearer x.y.z",
        b"Authorization: Bearer",
        b"Authorization: Basic eA==",
        b"Authorization: NTLM eA==",
    ]
    line = session_line("alice", 500)
    name, value = line[8:].split(b"=", 1)
    half = len(value) // 2
    lines += [
        # in chunks, twice, too few chunks, beside another line
        b"Cookie: %b=2~%b; a=b; %b-1=%b" % (name, value[:half], name, value[half:]),
        b"Cookie: %b=2~%b" % (name, value[:half]),
        line + b"; " + line[8:],
        line[:-4] + b"AAAA",
        b"cookie:" + line[7:],
    ]
    return (*lines, *bound_lines())


def bound_lines() -> Iterator[bytes]:
    """Yield the lines of tokens that are bound to a key, or that name a resource."""
    for audience in (["a", f"{SITE}/res"], f"{SITE}/res"):
        yield bearer_line(aud=audience, exp=NOW + 900, jti="main900", scope="api")
    yield b"Authorization: Bearer opaque-erin"
    for audience in (["a", f"{SITE}/res"], "a"):
        line = bearer_line(aud=audience, exp=NOW + 900, jti="bob", sub="bob", cnf={"jkt": thumbprint()})
        token = line.rpartition(b" ")[2].decode()
        yield line
        for path in ("/x", "/bound/x", "/res/x"):
            shown = proof(token, SITE + path, NOW, jti="one")
            yield f"Authorization: DPoP {token}\r\nDPoP: {shown}".encode()
    yield f"authorization: dpop {token}\r\nDPoP: x".encode()


def session_line(subject: str, life: int, generation: int = 0) -> bytes:
    """Return the Cookie line of somebody whose access token lives so many seconds; carol can be renewed."""
    site = forgetting(0).sites[b"app.example.com"]
    ring = forgetting(0).ring
    session = session_of(subject, life, generation)
    sealed = ring.seal(site.purpose("session"), codec.encode_session(session), bytes(12))
    if subject != "carol":
        return f"Cookie: {PREFIX}session={sealed}".encode()
    payload = codec.encode_grant(Grant(session.session_id, generation, f"refresh-{generation}"))
    other = ring.seal(site.purpose("refresh"), payload, bytes(12))
    return f"Cookie: {PREFIX}session={sealed}; {PREFIX}refresh={other}".encode()


def session_of(subject: str, life: int, generation: int = 0) -> Session:
    """Return somebody's session."""
    return Session(
        session_id=f"{subject}{life:03d}",
        provider="corporate",
        issuer=pure.ISSUER,
        subject=subject,
        sid=f"sid-{subject}",
        claims={"groups": [] if subject == "bob" else ["admins"], "auth_time": NOW - 250, "email": EMAIL},
        scopes=frozenset({"api"}),
        login_at=NOW - 10,
        ends_at=NOW + 2 * life,
        seen_at=NOW - 10,
        renewed_at=NOW - 10,
        access_expires_at=NOW + life,
        generation=generation,
        position=("e", 5) if subject == "alice" else None,
    )


def rotation() -> str:
    """Return the name of the next rotation of carol's longer session."""
    return refresh.rotation_id(forgetting(0).providers["corporate"], Grant("carol500", 0, "refresh-0"))


def renewed(groups: list[str], life: float) -> Renewed:
    """Return what a refresh makes of carol's longer session."""
    session = replace(
        session_of("carol", 500, 1), claims={"groups": [*groups]}, seen_at=NOW, access_expires_at=NOW + life
    )
    return Renewed(session, Grant("carol500", 1, "refresh-1"))


@dataclass
class State:
    """What both sides live in."""

    now: float = NOW
    keys: dict[str, KeySet] = field(
        default_factory=lambda: {"corporate": keys("both"), "other": keys("first")}
    )
    news: dict[str, Any] = field(default_factory=dict)
    superseded: set[str] = field(default_factory=set)


class Side:
    """One data plane: a listener, a pipeline and an upstream, in memory.

    Attributes:
        events: what it told, and what it asked for.
    """

    def __init__(self, state: State, *, remembers: bool) -> None:
        self.state = state
        self.remembers = remembers
        self.events: list[Any] = []
        self.denylist = Denylist()
        self.denylist.synchronised_at = NOW
        self.connections: dict[int, ClientConnection] = {}
        limits = RateLimits(None, lambda: state.now)  # type: ignore[arg-type]
        ways = Ways(
            resolvers=_Resolvers(self),
            logins=self,
            background=lambda need: self.events.append(("background", need)),
            recorder=self,
            clock=lambda: state.now,
            limiter=limits,
            watcher=self,
            # the same nonce each time
            draw=bytes,
        )
        self.pipeline = Pipeline(self._knowledge(0), ways)
        self.pipeline._ids = map("request-%d".__mod__, itertools.count())
        self.server = Server(self.pipeline, {}, Limits(), clock=lambda: 0.0)
        self.pool = Pool(self.server)

    def _knowledge(self, which: int) -> Knowledge:
        state = self.state
        return Knowledge(
            compile_settings(settings(which)) if self.remembers else forgetting(which),
            state.keys,
            self.denylist,
            Memory() if self.remembers else nothing(),
            state.news.get,
            lambda _: False,
            superseded=state.superseded.__contains__,
        )

    # what the pipeline calls

    def outcome(self, outcome: Any) -> None:
        """Take a record, but for how long it took."""
        began = outcome.upstream_seconds is not None
        self.events.append(replace(outcome, gateway_seconds=0.0, total_seconds=0.0, upstream_seconds=began))

    def audit(self, event: str, **fields: object) -> None:
        """Take an audit event."""
        self.events.append(("audit", event, fields))

    def error(self, message: str, **fields: object) -> None:
        """Take an error; there is to be none of our own."""
        assert message == "fault", fields
        self.events.append(("error", message, fields))

    warning = audit

    async def start(self, login: Any) -> tuple[str, CookieChange]:
        """Begin a login, as the edge does with what it draws."""
        told = (login.reason, login.provider, login.acr_values, login.max_age, login.origin)
        self.events.append(("login", *told))
        return "https://login.example.com/authorize?x", CookieChange(f"{PREFIX}login-x", None)

    def watch(self, _exchange: Any, forward: Any, _knowledge: Any, request_id: str, about: Any) -> None:
        """Note who is watched."""
        self.events.append(("watch", request_id, forward.identity, about))

    # what happens

    def reload(self, which: int) -> None:
        """Go on with a configuration, as ``Gateway.commit`` does."""
        self.pipeline.knowledge = self._knowledge(which)

    async def hear(self, client: int, peer: str, tls: bool, data: bytes, response: bytes) -> list[Any]:
        """Take bytes of a client, answer what reaches the upstream, and return all that came of it."""
        known = self.connections.get(client)
        if known is None or known.transport.closing:  # type: ignore[attr-defined]
            known = self.connections[client] = ClientConnection(self.server)
            known.connection_made(Transport(peer, tls=tls))  # type: ignore[arg-type]
        transport: Any = known.transport
        told, sent = len(transport.written), len(self.pool.written())
        self.server.loop = asyncio.get_running_loop()
        known.data_received(data)
        for _ in range(12):
            await asyncio.sleep(0)
            upstream = _waiting(known)
            if upstream is not None:
                upstream.data_received(response)
        if known.exchange is not None:
            # it waits for more of a body, or the response was none
            known.connection_lost(None)
            transport.closing = True
        happened, self.events = self.events, []
        return [transport.written[told:], self.pool.written()[sent:], transport.closing, happened]


class _Resolvers:
    """Where needs are resolved: by what both sides live in."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def __getitem__(self, kind: type) -> Any:
        return self._resolve

    async def _resolve(self, need: Any) -> object:
        side, state = self._side, self._side.state
        if isinstance(need, KeyRecord | KeyUsed | Introspect):
            # whoever remembers what was told of a credential need not ask again
            return self._told_of(need)
        side.events.append(("need", need))
        if isinstance(need, Keys):
            return state.keys[need.provider]
        if isinstance(need, Refresh):
            if (outcome := state.news.get(need.rotation_id)) is None:
                raise Fault("issuer", Reason.ISSUER_UNAVAILABLE, "away")
            return outcome
        if isinstance(need, Revoke):
            for entry in need.entries:
                side.denylist.add(entry)
            return None
        if isinstance(need, Random):
            return bytes(need.size)
        if isinstance(need, UseOnce):
            # so that more than the first of each is let through
            return True
        return StoredSession() if isinstance(need, SessionRecord) else ""

    def _told_of(self, need: KeyRecord | KeyUsed | Introspect) -> object:
        if isinstance(need, KeyRecord):
            return StoredKey(_record() if need.key_id == id_of(API_KEY) else "")
        if isinstance(need, KeyUsed):
            return None
        now, claims = self._side.state.now, OPAQUE.get(need.token)
        provider = self._side.pipeline.knowledge.runtime.providers[need.provider]
        return Introspection(claims, now, lasts_until(claims, provider, now))


@cache
def _record() -> str:
    """Return what the store has of the one API key."""
    digest = api_key.digest_of(API_KEY)
    key = ApiKey(id_of(API_KEY), digest, "robot", ("api",), NOW - 5, NOW + 120)
    return forgetting(0).ring.seal(api_key.PURPOSE, api_key.encode(key), bytes(12))


def _waiting(connection: ClientConnection) -> UpstreamConnection | None:
    exchange = connection.exchange
    return exchange._upstream if exchange is not None and exchange.body_done else None  # type: ignore[return-value]


@contextmanager
def forgetful() -> Iterator[None]:
    """Read heads without what the modules themselves have learned of others."""
    kept = request_head._usual, response_head._statuses
    request_head._usual, response_head._statuses = {}, {}
    try:
        yield
    finally:
        request_head._usual, response_head._statuses = kept


class Conversation:
    """Both sides, and what happens to them."""

    def __init__(self) -> None:
        self.state = State()
        self.warm = Side(self.state, remembers=True)
        self.cold = Side(self.state, remembers=False)

    async def ask(self, client: int, peer: str, tls: bool, data: bytes, response: bytes) -> None:
        """Let both hear the same; what comes of it is the same."""
        warm = await self.warm.hear(client, peer, tls, data, response)
        with forgetful():
            cold = await self.cold.hear(client, peer, tls, data, response)
        assert warm == cold

    def happen(self, name: str, *more: Any) -> None:
        """Let something happen to what both know."""
        state = self.state
        if name == "time":
            state.now += more[0]
        elif name == "keys":
            state.keys[more[0]] = keys(more[1])
        elif name == "revoke":
            kind, value, before, lasts, position = more
            issuer = "" if kind in ("session", "key", "all") else pure.ISSUER
            entry = DenyEntry(kind, issuer, value, NOW + before, state.now + lasts, position)
            for side in (self.warm, self.cold):
                side.denylist.add(entry)
        elif name == "expire":
            for side in (self.warm, self.cold):
                side.denylist.expire(state.now)
        elif name == "fresh":
            for side in (self.warm, self.cold):
                side.denylist.synchronised_at = state.now
        elif name == "sweep":
            sweep(self.warm.pipeline.knowledge, state.now, is_news=True)
        elif name == "reload":
            for side in (self.warm, self.cold):
                side.reload(more[0])
        elif name == "renew":
            state.news[rotation()] = renewed(*more)
        elif name == "supersede":
            state.superseded.add(rotation())
        else:
            state.news.clear()
            state.superseded.clear()
