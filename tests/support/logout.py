"""Logouts decided by the pure core, with every need answered from a table."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from gateway.config.settings.root import Settings
from gateway.core.decide import decide
from gateway.core.decision.answers import Answer
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Admit, Body, EndSession, Keys, KnownSid, Need, Random, Revoke, UseOnce
from gateway.core.headers.request import Header, Request
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import AS_WRITTEN
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, RateLimit
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.core.sessions import codec
from gateway.core.sessions.model import Grant, RefreshOutcome, Session
from gateway.core.tokens.keys import KeySet
from gateway.core.tokens.logout_token import EVENT
from tests.support import jose
from tests.support.jose import ISSUER, NOW

ORIGIN = "https://app.example.com"
PREFIX = "__Host-gateway-"
SCOPED = "__Secure-gateway-"
FORM: Header = (b"Content-Type", b"application/x-www-form-urlencoded")
NAVIGATE: tuple[Header, ...] = ((b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate"))
END_SESSION = "https://issuer.example/logout?client_id=the-client"

SESSION = Session(
    session_id="session-1",
    provider="main",
    issuer=ISSUER,
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
GRANT = Grant("session-1", 0, "refresh-0")


def compiled(prefix: str = "/.gateway/", **provider: Any) -> RuntimeConfig:
    """Return settings with the provider of ``tests.support.jose`` and one more that nobody uses."""
    main = {
        "issuer": ISSUER,
        "client_id": jose.CLIENT,
        "client_secret": "s",
        "audiences": [jose.API],
        **provider,
    }
    other = {"issuer": "https://other.example", "client_id": "o", "client_secret": "s", "audiences": ["o"]}
    return compile_settings(
        Settings.model_validate(
            {
                "public_url": [ORIGIN],
                "prefix": prefix,
                "secret_keys": ["A" * 43 + "="],
                "providers": {"main": main, "other": other},
                "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"]}},
                "routes": [{"path": "/", "upstream": "app", "access": "required"}],
            }
        )
    )


def sealed(known: RuntimeConfig, kind: str, payload: bytes) -> str:
    """Return a payload sealed for one kind of cookie of the origin."""
    return known.ring.seal(f"{kind} {ORIGIN}", payload, os.urandom(12))


def cookie(
    known: RuntimeConfig, session: Session | None = SESSION, grant: Grant | None = GRANT, **more: str
) -> Header:
    """Return the Cookie field of this session; ``more`` are scoped cookies by their short names."""
    pairs = [f"{SCOPED}{name}={value}" for name, value in more.items()]
    if session is not None:
        pairs.append(f"{PREFIX}session={sealed(known, 'session', codec.encode_session(session))}")
    if grant is not None:
        pairs.append(f"{PREFIX}refresh={sealed(known, 'refresh', codec.encode_grant(grant))}")
    return (b"Cookie", "; ".join(pairs).encode())


class Desk:
    """Asks the decision and answers its needs; what a real edge would remember is remembered.

    Attributes:
        needs: the needs so far, in their order.
        denylist: holds what was revoked.
        end_session: the answer to EndSession.
        keys: the answers to Keys, by kid; a kid that is not there gets those of None.
        step: seconds that pass with each need, as they do in a real process.
    """

    def __init__(self, known: RuntimeConfig, keys: KeySet | None = None, **more: Any) -> None:
        self.known = known
        self.needs: list[Need] = []
        self.used: set[UseOnce] = set()
        self.denylist = Denylist()
        self.denylist.synchronised_at = NOW
        self.denylist.position = ("epoch", 0)
        self.end_session: Any = END_SESSION
        self.buckets: dict[RateLimit, Buckets] = {}
        self.known_sids = {"sid-1"}
        self.keys: dict[str | None, KeySet] = {None: keys if keys is not None else jose.key_set()}
        self.news: Callable[[str], RefreshOutcome | None] = more.pop("news", lambda _: None)
        self.now = NOW
        self.step = 0.25

    def ask(
        self,
        method: bytes,
        path: str,
        *headers: Header,
        body: bytes = b"",
        host: bytes = b"app.example.com",
        peer: str = "192.0.2.1",
    ) -> Answer:
        """Decide one request to the end."""
        target = (self.known.settings.prefix + path).encode()
        request = Request(method, target, host, ((b"Host", host), *headers), peer)
        facts: dict[Need, object] = {}
        knowledge = Knowledge(self.known, {}, self.denylist, Memory(), self.news, lambda _: False, facts)
        for _ in range(8):
            answer = decide(request, knowledge, self.now, "request-1")
            if not isinstance(answer, Need.__args__):  # type: ignore[attr-defined]
                return answer
            assert answer not in facts, f"the same need twice: {answer}"
            self.needs.append(answer)
            facts[answer] = self._resolve(answer, body)
            self.now += self.step
        raise AssertionError("too many needs")

    def _resolve(self, need: Need, body: bytes) -> object:
        if isinstance(need, Body):
            assert len(body) <= need.limit
            return body
        if isinstance(need, Revoke):
            # as the store would, which gives each entry its place
            for entry in need.entries:
                epoch, seq = self.denylist.position
                self.denylist.position = epoch, seq + 1
                place = self.denylist.position if entry.position == AS_WRITTEN else None
                self.denylist.add(replace(entry, position=place))
            return True
        if isinstance(need, UseOnce):
            first = need not in self.used
            self.used.add(need)
            return first
        if isinstance(need, Keys):
            return self.keys.get(need.kid, self.keys[None])
        if isinstance(need, Admit):
            buckets = self.buckets.setdefault(need.limit, Buckets(need.limit))
            return buckets.take(need.key, int(self.now * MICROSECONDS))
        if isinstance(need, KnownSid):
            return need.sid in self.known_sids
        if isinstance(need, EndSession):
            return self.end_session
        assert isinstance(need, Random)
        return bytes(need.size)

    def post(self, path: str, *headers: Header, body: bytes = b"", **more: Any) -> Answer:
        """Post a form."""
        return self.ask(b"POST", path, *headers, *((FORM,) if body else ()), body=body, **more)

    def backchannel(self, token: str, **more: Any) -> Answer:
        """Post a logout token."""
        return self.post("backchannel-logout", body=f"logout_token={quote(token)}".encode(), **more)


def logout_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good logout token; a claim given as ``...`` is left out."""
    claims = {
        "iss": ISSUER,
        "aud": jose.CLIENT,
        "iat": int(NOW) - 5,
        "exp": int(NOW) + 115,
        "jti": "logout-1",
        "events": {EVENT: {}},
        "sub": "alice",
        "sid": "sid-1",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def logout_token(**changes: Any) -> str:
    """Return a good logout token, or as changed; ``typ``, ``alg``, ``name`` say how it is signed."""
    signing = {name: changes.pop(name) for name in ("typ", "alg", "kind", "name") if name in changes}
    return jose.sign(logout_claims(**changes), **{"typ": "logout+jwt", **signing})
