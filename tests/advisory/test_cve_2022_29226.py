"""CVE-2022-29226: whoever sent any bearer token at all counted as logged in."""

import pytest

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Refuse
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Introspect, Keys
from gateway.core.headers.request import Request
from gateway.core.rules.denylist import Denylist
from gateway.core.tokens.introspection import Introspection
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.jose import access_claims, sign
from tests.support.pure import HOST, ISSUER, NOW

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


MACHINES = compiled(
    {"path": "/optional/", "access": "optional", "api_keys": True},
    {"path": "/", "api_keys": True},
    api_keys={},
    providers={
        "corporate": {
            "issuer": ISSUER,
            "client_id": "w",
            "client_secret": "s",
            "audiences": ["a"],
            "introspection": "json",
        }
    },
)


@pytest.mark.parametrize("token", [*TOKENS, "opaque", "gwk_x", "gwk_" + "a" * 16 + "_" + "A" * 43 + "A"])
@pytest.mark.parametrize("said", [None, {}, {"sub": "alice"}, {"aud": "a"}, {"sub": "", "aud": "a"}])
@pytest.mark.parametrize("path", ["/x", "/optional/x"])
def test_nor_is_one_that_somebody_is_asked_about(path: str, said: dict | None, token: str):
    """R29 [11.6, 11.8]: not before the answer, and not by one that does not say whose it is and for whom."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    facts: dict = {}
    knowledge = Knowledge(MACHINES, {}, denylist, Memory(), lambda _: None, lambda _: False, facts)
    fields = ((b"Authorization", f"Bearer {token}".encode()),)
    request = Request(b"GET", path.encode(), HOST, fields, "192.0.2.1")
    answer = decide(request, knowledge, NOW, "id")
    if isinstance(answer, Introspect):
        facts[answer] = Introspection(said, NOW, NOW + 60)
        answer = decide(request, knowledge, NOW, "id")
    assert isinstance(answer, Refuse)
