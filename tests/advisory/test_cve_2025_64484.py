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
