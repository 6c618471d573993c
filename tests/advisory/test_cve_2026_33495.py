"""CVE-2026-33495: an untrusted X-Forwarded-Proto took part in the decision."""

import pytest

from gateway.core.decision.answers import Forward, Login
from tests.support.decisions import ask, compiled
from tests.support.pure import values


@pytest.mark.parametrize("proto", [b"http", b"https", b"ws", b"\xff", b"", b"https,http"])
@pytest.mark.parametrize("name", [b"X-Forwarded-Proto", b"x_forwarded_proto", b"X-Forwarded-Scheme"])
def test_a_clients_word_for_the_scheme_changes_nothing(proto: bytes, name: bytes):
    """R53: same route, same redirect, and the upstream is told the truth."""
    known = compiled()
    answer = ask(known, "/public/x", (name, proto), (b"Forwarded", b"proto=" + proto))
    assert answer == ask(known, "/public/x")
    assert isinstance(answer, Forward)
    assert values(answer.headers, b"x-forwarded-proto") == [b"https"]
    navigate = ((b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate"))
    login = ask(known, "/x", (name, proto), *navigate)
    assert isinstance(login, Login)
    assert login.redirect_uri == "https://app.example.com/.gateway/callback"
