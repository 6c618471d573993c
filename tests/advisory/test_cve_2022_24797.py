"""CVE-2022-24797 and CVE-2024-39315: debug pages and metrics on the public listener, tokens in user info."""

import json
import os

import pytest

from gateway.core.decision.answers import Forward, Login, Refuse, Respond
from gateway.core.sessions import codec
from gateway.core.sessions.model import Grant, Session
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import ISSUER, NOW, PREFIX

KNOWN = compiled()
ADMIN = ["metrics", "livez", "readyz", "revoke", "reload", "sessions", "sessions/x", "debug/pprof", "healthz"]


@pytest.mark.parametrize("path", ADMIN)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE"])
def test_r62_the_public_listener_knows_nothing_of_it(path: str, method: bytes):
    """R62: at the root these are the upstream's and guarded as such; under the prefix there is nothing."""
    assert isinstance(ask(KNOWN, f"/{path}", method=method), Refuse | Login)
    assert isinstance(ask(KNOWN, f"/{path}", session_cookie(KNOWN), method=method), Forward)
    answer = ask(KNOWN, f"/.gateway/{path}", session_cookie(KNOWN), method=method)
    assert isinstance(answer, Refuse)
    assert answer.reason == "route_unknown"


def test_r16_user_info_tells_claims_and_no_token():
    """R16: neither access nor refresh token, not even of a session that keeps both."""
    session = Session(
        session_id="session-1",
        provider="corporate",
        issuer=ISSUER,
        subject="alice",
        sid="the-sid",
        claims={"email": "alice@example.com"},
        scopes=frozenset({"openid"}),
        login_at=NOW - 10,
        ends_at=NOW + 1000,
        seen_at=NOW - 10,
        renewed_at=NOW - 10,
        access_expires_at=NOW + 500,
        access_token="the-access-token",
    )
    grant = Grant("session-1", 0, "the-refresh-token")
    cookies = "; ".join(
        f"{PREFIX}{kind}={KNOWN.ring.seal(f'{kind} https://app.example.com', payload, os.urandom(12))}"
        for kind, payload in (
            ("session", codec.encode_session(session)),
            ("refresh", codec.encode_grant(grant)),
        )
    )
    answer = ask(KNOWN, "/.gateway/userinfo", (b"Cookie", cookies.encode()))
    assert isinstance(answer, Respond)
    told = json.dumps(answer.json)
    assert "alice@example.com" in told
    assert "token" not in told
    assert "session-1" not in told
