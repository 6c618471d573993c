"""Cookies and records recorded from the version before go on working: under a fixed key, at a fixed time."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import SessionRecord
from gateway.core.headers.request import Request
from gateway.core.provider import TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.sessions import codec, renewal
from gateway.core.sessions.model import Grant, Renewed, SessionOver
from gateway.core.sessions.pending import decode_pending, decode_recent
from gateway.core.sessions.record import ABOUT_PURPOSE, StoredSession, decode_about
from tests.support.decisions import ROUTES, compiled
from tests.support.pure import ISSUER, NOW

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "support" / "recorded" / "version_1.json").read_text(encoding="utf-8")
)
PROVIDER = {
    "issuer": ISSUER,
    "client_id": "w",
    "client_secret": "s",
    "audiences": ["a"],
    "logout": "provider",
}
ORIGIN = "https://app.example.com"
NAVIGATE = ((b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate"))


def known(**session: Any) -> Any:
    return compiled(*ROUTES, providers={"corporate": PROVIDER}, session=session)


def ask(
    settings: Any,
    cookies: dict[str, str],
    path: bytes,
    *,
    now: float = NOW,
    facts: Any = None,
    news: Any = None,
) -> Any:
    denylist = Denylist()
    denylist.synchronised_at = now
    told = news if news is not None else {}
    knowledge = Knowledge(
        settings, {}, denylist, Memory(), told.get, lambda _: False, facts if facts is not None else {}
    )
    host = b"app.example.com"
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()
    request = Request(b"GET", path, host, ((b"Host", host), (b"Cookie", sent), *NAVIGATE), "192.0.2.1")
    return decide(request, knowledge, now, "r")


@pytest.mark.parametrize("kind", ["cookies", "renewed_cookies"])
def test_cookies_of_the_version_before(kind: str):
    """[upgrade]: a session in cookies goes on, with its claims, its groups and its next renewal."""
    answer = ask(known(), RECORDED[kind], b"/admin/x")
    assert isinstance(answer, Forward)
    assert answer.identity is not None
    assert answer.identity.claims["email"] == "alice@example.com"
    assert answer.identity.claims["acr"] == "gold"
    assert answer.grant is not None
    assert answer.grant.refresh_token == ("refresh-0" if kind == "cookies" else "refresh-1")


def test_a_record_of_the_version_before():
    """[upgrade]: a session of the store goes on under its handle, and the list tells of it."""
    settings, recorded = known(mode="redis"), RECORDED["redis"]
    need = ask(settings, recorded["cookies"], b"/admin/x")
    assert need == SessionRecord(recorded["record"], RECORDED["session_id"])
    stored = StoredSession(recorded["body"], recorded["seen_at"])
    answer = ask(settings, recorded["cookies"], b"/admin/x", facts={need: stored})
    assert isinstance(answer, Forward)
    assert answer.live.rotation_id == recorded["rotation"]["claim"]
    about = decode_about(settings.ring.open(ABOUT_PURPOSE, recorded["about"]) or b"")
    assert about is not None
    assert (about.session_id, about.subject, about.agent) == (RECORDED["session_id"], "alice", "Agent/1")


@pytest.mark.parametrize("kind", ["rotation", "redis"])
def test_a_rotation_of_the_version_before(kind: str):
    """[upgrade]: a result that it stored opens, and the session in it goes on; so does a verdict."""
    settings = known()
    rotation = RECORDED["rotation"] if kind == "rotation" else RECORDED["redis"]["rotation"]
    secret = "refresh-0" if kind == "rotation" else RECORDED["redis"]["handle"]
    outcome = renewal.decode_outcome(
        settings.ring.open_under(secret, renewal.RESULT_PURPOSE, rotation["result"]) or b""
    )
    assert isinstance(outcome, Renewed)
    assert outcome.grant is not None
    named = rotation["claim"]
    if kind == "rotation":
        named = codec.rotation_name(RECORDED["session_id"], named)
    assert outcome.grant.unconfirmed == (named,)
    assert outcome.session.generation == 1
    assert outcome.session.session_id == RECORDED["session_id"]
    if kind == "rotation":
        over = settings.ring.open_under(secret, renewal.RESULT_PURPOSE, rotation["over"])
        assert renewal.decode_outcome(over or b"") == SessionOver(Reason.SESSION_ENDED)


def test_a_login_under_way_in_the_version_before():
    """[upgrade]: a pending login and the recent callbacks open as they were sealed."""
    ring, cookies = known().ring, RECORDED["cookies"]
    name = next(each for each in cookies if "-login-" in each)
    pending = decode_pending(ring.open(f"login {ORIGIN}", cookies[name]) or b"")
    assert pending is not None
    assert (pending.state, pending.nonce, pending.verifier) == ("state-1", "nonce-1", "verifier-1")
    assert (pending.provider, pending.return_to, pending.started_at) == ("corporate", "/page?q=1", NOW - 10)
    recent = ring.open(f"recent {ORIGIN}", cookies["__Host-gateway-recent"])
    assert decode_recent(recent or b"") == [(NOW - 5, "Zm9vYmFyYmF6")]


def test_a_renewal_of_a_session_of_the_version_before():
    """[upgrade], R68 [1.6]: the first refresh takes away what the ID token no longer tells."""
    settings = known()
    payload = settings.ring.open(f"session {ORIGIN}", RECORDED["cookies"]["__Host-gateway-session"])
    session = codec.decode_session(payload or b"")
    assert session is not None
    assert not session.told
    told = {"iss": ISSUER, "sub": "alice", "email": "alice@example.com"}
    grant = Grant(session.session_id, 0, "refresh-0")
    outcome = renewal.renew(
        settings.providers["corporate"], session, grant, "c", TokenSet("a", 60, "r1"), told, None, NOW
    )
    assert isinstance(outcome, Renewed)
    assert outcome.session.claims == {"sub": "alice", "email": "alice@example.com"}
    # and the version before reads what this one seals: it knows no other members than these
    fields = codec.session_fields(outcome.session)
    assert {
        "id",
        "p",
        "iss",
        "sub",
        "sid",
        "c",
        "sc",
        "li",
        "en",
        "se",
        "re",
        "ae",
        "g",
        "at",
    } <= fields.keys()
    assert fields["v"] == codec.VERSION
