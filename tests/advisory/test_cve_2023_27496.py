"""CVE-2023-27496, CVE-2024-24814, CVE-2025-3891: a request without what was expected crashed its server.

A callback without state, a chunk count of 99999999, an empty POST.
"""

import pytest

from gateway.core.decide import ENDPOINTS
from gateway.core.decision.answers import Forward, Login, Refuse, Respond
from tests.support.decisions import ask, compiled
from tests.support.pure import PREFIX

KNOWN = compiled()
QUERIES = [
    "",
    "?",
    "?=",
    "?&",
    "?state",
    "?state=",
    "?code=",
    "?code=x",
    "?state=x",
    "?state=x&code=",
    "?error=",
    "?state=x&state=x&code=y",
    "?state=%00&code=%ff",
    "?" + "&".join(f"a{n}=" for n in range(40)),
    "?state=" + "x" * 9000,
]
METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE"]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_answers_whatever_is_missing(name: bytes):
    """R29: with any method, any query and an empty body there is an answer, and it lets nobody in."""
    for method in METHODS:
        for query in QUERIES:
            for more in (
                (),
                ((b"Content-Type", b"application/x-www-form-urlencoded"), (b"Content-Length", b"0")),
            ):
                answer = ask(KNOWN, f"/.gateway/{name.decode()}{query}", *more, method=method)
                assert isinstance(answer, Refuse | Respond | Login)
                assert getattr(answer, "identity", None) is None


@pytest.mark.parametrize("count", ["99999999", "5", "1", "0", "-1", "+2", "2_0", "²", " 2", "2", "4", ""])
def test_r40_a_chunk_count_is_no_promise(count: str):
    """R40: chunks that are not there are not looked for beyond four, and none is somebody."""
    cookie = f"{PREFIX}session={count}~x; {PREFIX}session-1=y; {PREFIX}session-99999998=z"
    answer = ask(KNOWN, "/x", (b"Cookie", cookie.encode()))
    assert not isinstance(answer, Forward)
