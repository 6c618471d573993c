"""CVE-2025-55162: cookies were not fully removed at logout."""

from gateway.core.decision.answers import Forward, Respond
from gateway.core.headers.cookies import set_cookie_lines
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import PREFIX, values

KNOWN = compiled()
NAMES = [
    f"{PREFIX}{name}"
    for name in ("session", "session-1", "session-3", "refresh", "refresh-2", "login-x", "recent")
] + ["__Secure-gateway-hint", "__Secure-gateway-logout"]


def test_logout_clears_every_cookie_of_ours():
    """R43: session and refresh with all their chunks, pending logins, the memory of callbacks, the hint."""
    sent = "; ".join(f"{name}=x" for name in NAMES)
    answer = ask(KNOWN, "/.gateway/logout", (b"Cookie", sent.encode()), method=b"POST")
    assert isinstance(answer, Respond)
    cleared = {change.name for change in answer.cookies} | {
        name for change in answer.cookies for name in change.presented
    }
    assert set(NAMES) <= cleared
    assert {change.value for change in answer.cookies} == {None}


def test_none_of_them_reaches_the_upstream():
    """R54: chunks and pending logins are ours as well, on every kind of route."""
    more = b"; ".join(f"{name}=secret".encode() for name in NAMES[1:])
    session = session_cookie(KNOWN)[1]
    for path in ("/public/x", "/optional/x", "/x"):
        answer = ask(KNOWN, path, (b"Cookie", session + b"; theirs=1; " + more), (b"cookie", more))
        assert isinstance(answer, Forward)
        assert values(answer.headers, b"cookie") == [b"theirs=1"]


def test_a_cookie_for_a_domain_is_cleared_for_it():
    """R43 [11.2]: with Domain, or the browser would keep it; in its chunks, too."""
    known = compiled(cookie_domain="example.com")
    names = ["__Secure-gateway-session", "__Secure-gateway-session-3", "__Secure-gateway-refresh"]
    sent = "; ".join(f"{name}=x" for name in names)
    answer = ask(known, "/.gateway/logout", (b"Cookie", sent.encode()), method=b"POST")
    assert isinstance(answer, Respond)
    lines = [line for change in answer.cookies for line in set_cookie_lines(change, None)]
    for name in names:
        (line,) = [line for line in lines if line.startswith(f"{name}=;".encode())]
        assert b"; Domain=example.com; Max-Age=0;" in line
    answer = ask(known, "/public/x", (b"Cookie", sent.encode() + b"; theirs=1"))
    assert isinstance(answer, Forward)
    assert values(answer.headers, b"cookie") == [b"theirs=1"]
