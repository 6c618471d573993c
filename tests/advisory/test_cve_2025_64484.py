"""CVE-2025-64484: identity headers with underscores survived the stripping."""

import pytest

from gateway.core.decision.answers import Forward
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import values

KNOWN = compiled()
SPELLINGS = [
    spelling
    for name in (
        b"X-Forwarded-User",
        b"X-Forwarded-Email",
        b"X-Forwarded-Groups",
        b"X-Forwarded-Preferred-Username",
    )
    for dashed in (name, name.lower(), name.upper())
    for spelling in (
        dashed,
        dashed.replace(b"-", b"_"),
        dashed.replace(b"-", b"_", 1),
        dashed.replace(b"-", b"."),
    )
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=bytes.decode)
@pytest.mark.parametrize("path", ["/public/x", "/optional/x", "/x"])
def test_every_spelling_is_stripped(spelling: bytes, path: str):
    """R53: alone and twice, with a session and without."""
    headers = [session_cookie(KNOWN)] if path == "/x" else []
    answer = ask(KNOWN, path, *headers, (spelling, b"forged"), (spelling, b"forged"))
    assert isinstance(answer, Forward)
    assert b"forged" not in [value for _, value in answer.headers]
    assert values(answer.headers, b"x-forwarded-user") == ([b"alice"] if path == "/x" else [])


ADDED = compiled(
    {
        "path": "/own/",
        "identity_headers": {"X-Who": "sub"},
        "request_headers": {"X-Gateway-Secret": "secret"},
    },
    {"path": "/public/", "access": "public", "authorization": {"value": "Bearer ours"}},
    {"path": "/"},
    upstreams={"app": {"servers": ["http://127.0.0.1:3000"], "assertion": {}}},
)


@pytest.mark.parametrize("name", [b"X-Who", b"X-Gateway-Secret", b"X-Gateway-Assertion", b"Authorization"])
@pytest.mark.parametrize("path", ["/own/x", "/public/x", "/x"])
def test_every_spelling_of_what_routes_write_is_stripped(name: bytes, path: str):
    """R53 [11.9]: identity headers of a route, secrets, assertions: a client's never reach any upstream."""
    for spelling in (name, name.lower(), name.upper(), name.replace(b"-", b"_"), name.replace(b"-", b".")):
        headers = [] if path == "/public/x" else [session_cookie(ADDED)]
        answer = ask(ADDED, path, *headers, (spelling, b"Basic forged"))
        assert isinstance(answer, Forward)
        assert b"forged" not in b" ".join(value for _, value in answer.headers)
