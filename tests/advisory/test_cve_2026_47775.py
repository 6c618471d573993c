"""CVE-2026-47775 and CVE-2021-32791: a padding oracle in a cookie, and a static IV."""

import os

import pytest

from gateway.core.decision.answers import Forward, Login, Refuse
from gateway.syntax.encoding import decode_base64url, encode_base64url
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import PREFIX

KNOWN = compiled()
API = (b"Sec-Fetch-Mode", b"cors")


def broken() -> list[str]:
    """Return sealed cookies, each with something else wrong with it."""
    sealed = session_cookie(KNOWN)[1].partition(b"=")[2].decode()
    data = decode_base64url(sealed, len(sealed))
    assert data is not None
    flipped = [
        encode_base64url(data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :])
        for at in (*range(40), *range(len(data) - 40, len(data)))
        for bit in (1, 128)
    ]
    cut = [encode_base64url(data[:size]) for size in (0, 1, 5, 17, 32, 33, len(data) - 16, len(data) - 1)]
    grown = [encode_base64url(data + more) for more in (b"\0", b"\x01", b"\x10" * 16, data)]
    other = KNOWN.ring.seal("refresh https://app.example.com", b"{}", os.urandom(12))
    no_session = KNOWN.ring.seal("session https://app.example.com", b"{}", os.urandom(12))
    return [*flipped, *cut, *grown, other, no_session, sealed + "=", sealed + "A", "2~" + sealed, "x"]


def test_r45_every_broken_cookie_has_the_same_answer():
    """R45: whatever is wrong, the answer tells nothing of it."""
    answers = [ask(KNOWN, "/x", API, (b"Cookie", f"{PREFIX}session={each}".encode())) for each in broken()]
    assert all(isinstance(each, Refuse) for each in answers)
    assert all(each == answers[0] for each in answers)


@pytest.mark.parametrize("path", ["/x", "/optional/x"])
def test_no_broken_cookie_is_somebody(path: str):
    """CVE-2026-25748 as well: a malformed cookie is nobody, and nobody gets in."""
    for each in broken():
        answer = ask(KNOWN, path, (b"Cookie", f"{PREFIX}session={each}".encode()))
        assert isinstance(answer, Forward if path == "/optional/x" else Refuse | Login)
        assert getattr(answer, "identity", None) is None


def test_the_same_value_is_never_sealed_the_same():
    """CVE-2021-32791: the nonce goes along with each value, and two values share no bytes of it."""
    first, second = (session_cookie(KNOWN)[1] for _ in range(2))
    assert first != second
    assert first[-64:] != second[-64:]
