"""CVE-2024-45410, CVE-2026-29054: naming an injected header in Connection dropped it."""

import pytest

from gateway.core.decision.answers import Forward
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import values

KNOWN = compiled()
NAMES = [
    b"Host",
    b"Forwarded",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"X-Forwarded-Proto",
    b"X-Request-ID",
    b"X-Forwarded-User",
]


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
@pytest.mark.parametrize("spelling", [bytes, bytes.lower, bytes.upper])
def test_connection_drops_nothing_of_ours(name: bytes, spelling):
    """R58: in any case, in one Connection field or several, with a forged one beside it."""
    options = ((b"Connection", b"keep-alive, " + spelling(name)), (b"connection", spelling(name)))
    answer = ask(KNOWN, "/x", session_cookie(KNOWN), *options, (spelling(name), b"forged"))
    assert isinstance(answer, Forward)
    (value,) = values(answer.headers, name)
    assert value != b"forged"


ADDED = compiled(
    {
        "path": "/",
        "identity_headers": {"X-Who": "sub"},
        "request_headers": {"X-Gateway-Secret": "secret"},
        "authorization": {"basic": {"username": "sub", "password": "secret"}},
    },
    upstreams={"app": {"servers": ["http://127.0.0.1:3000"], "assertion": {}}},
)


@pytest.mark.parametrize("name", [b"X-Who", b"X-Gateway-Secret", b"X-Gateway-Assertion", b"Authorization"])
@pytest.mark.parametrize("spelling", [bytes, bytes.lower, bytes.upper])
def test_connection_drops_nothing_that_a_route_adds(name: bytes, spelling):
    """R58 [11.9]: the upstream would take a request without the assertion for anybody's."""
    options = ((b"Connection", b"keep-alive, " + spelling(name)), (b"connection", spelling(name)))
    answer = ask(ADDED, "/x", session_cookie(ADDED), *options)
    assert isinstance(answer, Forward)
    assert len(values(answer.headers, name)) == 1
