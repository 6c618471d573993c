"""CVE-2026-44087: on public routes the client's identity headers went through."""

import pytest

from gateway.core.decision.answers import Forward
from tests.support.decisions import ask, compiled, session_cookie

KNOWN = compiled()
FORGED = [
    (b"X-Forwarded-User", b"forged"),
    (b"x_forwarded_email", b"forged"),
    (b"X-FORWARDED-GROUPS", b"forged"),
    (b"Remote-User", b"forged"),
    (b"X-Forwarded-Access-Token", b"forged"),
]


@pytest.mark.parametrize("path", ["/public/x", "/optional/x"])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_nobody_is_nobody(path: str, method: bytes):
    """R53: without an identity the upstream is told of none."""
    answer = ask(KNOWN, path, *FORGED, method=method)
    assert isinstance(answer, Forward)
    assert answer.identity is None
    assert b"forged" not in [value for _, value in answer.headers]
    assert not any(b"user" in name.lower() or b"group" in name.lower() for name, _ in answer.headers)


def test_a_session_is_not_told_on_a_public_route():
    """A public route looks at no identity, so it tells of none either."""
    answer = ask(KNOWN, "/public/x", session_cookie(KNOWN, email="alice@example.com"), *FORGED)
    assert isinstance(answer, Forward)
    assert b"alice" not in b" ".join(value for _, value in answer.headers)


def test_a_forwarded_preflight_tells_of_nobody():
    """Nor does a preflight that the upstream answers."""
    known = compiled({"path": "/", "preflight": "forward"})
    asked = ((b"Origin", b"https://spa.example"), (b"Access-Control-Request-Method", b"GET"))
    answer = ask(known, "/x", *asked, *FORGED, session_cookie(known), method=b"OPTIONS")
    assert isinstance(answer, Forward)
    assert b"forged" not in [value for _, value in answer.headers]
