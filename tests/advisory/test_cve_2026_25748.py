"""CVE-2026-25748: a malformed session cookie made the endpoint that a proxy asks answer 200."""

import pytest

from gateway.core.decision.answers import Allow, Login, Refuse, Respond
from tests.support.asking import COOKIES, KINDS, PAGE, RECORDS, asked

BROKEN = [
    b"",
    b"x",
    b"{}",
    b"%00",
    b"4~",
    b"2~x",
    b"99999999~x",
    b"=" * 5000,
    b"null",
    b"eyJhbGciOiJub25lIn0.e30.",
    b"\xff\xfe",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", BROKEN)
def test_a_malformed_cookie_is_nobody(kind: bytes, value: bytes):
    """[11.10] R45: whatever a session cookie holds, and whoever asks, it is no 2xx by itself."""
    for known in (RECORDS, COOKIES):
        for headers in (PAGE, ()):
            answer = asked(kind, "/x", (b"Cookie", b"__Host-gateway-session=" + value), *headers, known=known)
            assert isinstance(answer, Login | Respond | Refuse)
            assert not isinstance(answer, Allow)
            assert not isinstance(answer, Respond) or answer.status in (401, 403)
