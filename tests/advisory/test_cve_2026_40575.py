"""CVE-2026-40575, CVE-2026-76835: a client's X-Forwarded-Uri chose the path that was judged."""

import pytest

from gateway.core.answers import Forward, Refuse
from tests.support.decisions import ask, compiled, session_cookie

NAMES = [b"X-Forwarded-Uri", b"X_Forwarded_Uri", b"X-Original-URL", b"X-Original-URI", b"X-Rewrite-URL"]


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
@pytest.mark.parametrize("proxies", [[], ["192.0.2.0/24"]])
def test_no_field_chooses_the_path(name: bytes, proxies: list[str]):
    """R56: from nobody and from a trusted proxy alike, only the request line names the path."""
    known = compiled(trusted_proxies=proxies)
    assert isinstance(ask(known, "/private", (name, b"/public/x")), Refuse)
    answer = ask(known, "/private", (name, b"/public/x"), session_cookie(known))
    assert isinstance(answer, Forward)
    assert answer.target == b"/private"
    assert b"/public/x" not in [value for _, value in answer.headers]


def test_trusted_proxies_default_to_nobody():
    """CVE-2026-76835: the fix was inert while everybody was trusted."""
    forged = [(b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Host", b"evil.example")]
    for peer in ("127.0.0.1", "10.0.0.1", "::1", "192.0.2.1"):
        answer = ask(compiled(), "/public/x", *forged, peer=peer)
        assert isinstance(answer, Forward)
        assert (b"X-Forwarded-For", peer.encode()) in answer.headers
        assert (b"Host", b"app.example.com") in answer.headers
