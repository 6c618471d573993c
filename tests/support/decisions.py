"""Decisions asked of the pure core, without a store, a socket or a clock."""

import os
from typing import Any

from gateway.core.access.credentials import SessionCookie
from gateway.core.decide import decide
from gateway.core.decision.answers import Answer
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Body, Need, Revoke
from gateway.core.headers.request import Header, Request
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.core.sessions import codec
from gateway.core.sessions.model import Session
from tests.support.pure import ISSUER, NOW, PREFIX, settings

ROUTES: tuple[dict[str, Any], ...] = (
    {"path": "/public/", "access": "public"},
    {"path": "/optional/", "access": "optional"},
    {"path": "/admin/", "require": {"groups": ["admins"]}},
    {"path": "/"},
)


def compiled(*routes: dict[str, Any], **changes: Any) -> RuntimeConfig:
    """Return compiled settings with these routes, or with the usual ones."""
    return compile_settings(settings(*(routes or ROUTES), **changes))


def session_cookie(known: RuntimeConfig, **claims: Any) -> Header:
    """Return the Cookie field of alice."""
    session = Session(
        session_id="session-1",
        provider="corporate",
        issuer=ISSUER,
        subject="alice",
        sid=None,
        claims=claims,
        scopes=frozenset(),
        login_at=NOW - 10,
        ends_at=NOW + 1000,
        seen_at=NOW - 10,
        renewed_at=NOW - 10,
        access_expires_at=NOW + 500,
    )
    sealed = known.ring.seal("session https://app.example.com", codec.encode_session(session), os.urandom(12))
    return (b"Cookie", f"{PREFIX}session={sealed}".encode())


def ask(
    known: RuntimeConfig,
    target: str,
    *headers: Header,
    method: bytes = b"GET",
    host: bytes = b"app.example.com",
    peer: str = "192.0.2.1",
) -> Answer | Need:
    """Decide one request with a fresh replica; bodies are empty, revocations are written at once."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    facts: dict[Need, object] = {}
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False, facts)
    req = Request(method, target.encode("latin-1"), host, ((b"Host", host), *headers), peer)
    answer = decide(req, knowledge, NOW, "request-1")
    while isinstance(answer, Body | Revoke):
        facts[answer] = b"" if isinstance(answer, Body) else True
        answer = decide(req, knowledge, NOW, "request-1")
    return answer


def remembered(knowledge: Knowledge) -> list[SessionCookie]:
    """Return what is remembered of session cookies."""
    return list(knowledge.memory.cookies._young.values())
