"""CVE-2022-29226: whoever sent any bearer token at all counted as logged in."""

import pytest

from gateway.core.decision.answers import Forward, Refuse
from gateway.core.decision.needs import Keys
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.jose import access_claims, sign
from tests.support.pure import ISSUER

KNOWN = compiled()
TOKENS = [
    "x",
    "a.b.c",
    "null",
    "undefined",
    "..",
    "A" * 20000,
    "é",
    "x y",
    sign(access_claims(iss="https://e.example")),
]


@pytest.mark.parametrize("token", TOKENS, ids=range(len(TOKENS)))
@pytest.mark.parametrize("path", ["/x", "/optional/x"])
def test_a_token_that_is_none_is_refused(path: str, token: str):
    """R29: refused, also where nobody has to log in, and also beside a good session."""
    field = (b"Authorization", f"Bearer {token}".encode())
    for more in ((), (session_cookie(KNOWN),)):
        assert isinstance(ask(KNOWN, path, field, *more), Refuse)


def test_a_token_that_cannot_be_verified_yet_is_not_let_through():
    """Without keys the one thing asked for is the keys."""
    field = (b"Authorization", b"Bearer " + sign(access_claims(iss=ISSUER, aud="a")).encode())
    assert isinstance(ask(KNOWN, "/x", field), Keys)


@pytest.mark.parametrize("value", [b"Basic eDp5", b"Bearer", b"Bearer ", b"DPoP x.y.z", b""])
def test_another_scheme_is_nobody(value: bytes):
    """What is no bearer token names nobody."""
    assert not isinstance(ask(KNOWN, "/x", (b"Authorization", value)), Forward)
