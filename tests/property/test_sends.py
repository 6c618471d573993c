"""Whatever a provider tells of somebody, what upstreams are told of it is whole lines, and says no more."""

import base64
import json

import jwt
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.access import sending
from gateway.core.decision.context import Context, Knowledge, Memory
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import compile_settings
from gateway.oauth import exchange
from gateway.oauth.token import MOST_RESPONSE
from tests.support.pure import NOW, identity, request, settings

TEXTS = st.text(max_size=40) | st.sampled_from(["a\r\nX-Admin: 1", "\ud800", "a:b", "\x00", " a ", "é", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["uid", "pin", "email", "email_verified", "groups", "iss", "aud", "exp", "idp"]), JSON
)
RUNTIME = compile_settings(
    settings(
        {
            "path": "/",
            "identity_headers": {"X-Uid": "uid", "X-Mail": "email"},
            "authorization": {"basic": {"username": "uid", "password_claim": "pin"}},
        },
        upstreams={
            "app": {
                "servers": ["http://u:1"],
                "assertion": {"claims": ["uid", "email", "groups", "nested.uid", "scope"]},
            }
        },
    )
)
SENDS = RUNTIME.routes.routes[0].sends


@given(claims=CLAIMS, subject=TEXTS.filter(bool), now=st.floats(NOW, NOW + 10**6))
def test_any_claims_are_whole_lines(claims: dict, subject: str, now: float):
    """[11.9]: no line break, no second colon, nobody else's issuer, audience or end; or a refusal."""
    knowledge = Knowledge(RUNTIME, {}, Denylist(), Memory(), lambda _: None, lambda _: False)
    context = Context(request(), knowledge, now, "request-1")
    who = identity(claims=claims, subject=subject, expires_at=now + 100)
    assert SENDS is not None
    found = sending.work_out(context, SENDS, who)
    if found is Reason.CLAIM_MISMATCH:
        return
    assert isinstance(found, sending.Told)
    assert found.since <= now < found.until
    fields = [line.partition(b": ") for line in b"\r\n".join(found.lines).split(b"\r\n")]
    assert {name for name, _, _ in fields} <= {b"X-Uid", b"X-Mail", b"X-Gateway-Assertion", b"Authorization"}
    assert all(value.isascii() and value.decode().isprintable() for _, _, value in fields)
    told = {name: value.decode() for name, _, value in fields}
    assert len(told) == len(fields)
    username, _, password = (
        base64.b64decode(told[b"Authorization"].removeprefix("Basic ")).decode().partition(":")
    )
    assert username == str(claims["uid"])
    assert password == str(claims["pin"])
    said = jwt.decode(told[b"X-Gateway-Assertion"], options={"verify_signature": False, "verify_sub": False})
    assert (said["sub"], said["aud"], said["iss"]) == (subject, "app", "https://app.example.com")
    assert said["idp"] == who.issuer
    assert said["iat"] <= now < said["exp"] <= who.expires_at


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    issued=JSON,
    kind=JSON,
    token=JSON,
)
def test_any_answer_to_an_exchange(status: int, body: bytes, issued: object, kind: object, token: object):
    """[11.9]: a value, whatever it is; a token only where it is one, and fits into a field."""
    document = {"access_token": token, "issued_token_type": issued, "token_type": kind, "expires_in": token}
    for octets in (body, json.dumps(document).encode(), b"x" * (MOST_RESPONSE + 1)):
        found = exchange.process_response(status, "application/json", octets)
        made = getattr(found, "access_token", None)
        assert made is None or (200 <= status < 300 and made.isascii() and made.isprintable())
