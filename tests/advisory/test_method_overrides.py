"""A field that names another method: what a rule for GET lets through must not act as a DELETE upstream."""

import pytest

from gateway.core.decision.answers import Forward, Refuse, Respond
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled, session_cookie

READ_ONLY = compiled(
    {"path": "/", "access": "public", "methods": ["GET"]},
    {"path": "/", "access": "required", "require": {"methods": ["POST"]}},
)
NAMES = ["X-HTTP-Method-Override", "x_http_method_override", "X.HTTP.Method", "X-Method-Override"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_route_for_get_is_for_get(name: str):
    """R56: the route that was decided on is the route of the method that the upstream may act on."""
    answer = ask(READ_ONLY, "/x", (name.encode(), b" delete"))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.METHOD_UNSUPPORTED
    assert isinstance(ask(READ_ONLY, "/x", (name.encode(), b"get")), Forward)
    assert isinstance(ask(READ_ONLY, "/x", (b"X-Other", b"delete")), Forward)


@pytest.mark.parametrize("name", NAMES)
def test_no_spelling_escapes_a_required_method(name: str):
    """R53: a policy on methods sees the field however its name is written."""
    cookie = session_cookie(READ_ONLY)
    assert isinstance(ask(READ_ONLY, "/x", cookie, method=b"POST"), Forward)
    answer = ask(READ_ONLY, "/x", cookie, (name.encode(), b"PUT"), method=b"POST")
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.METHOD_FORBIDDEN


PREFLIGHT = ((b"Origin", b"https://spa.example.com"), (b"Access-Control-Request-Method", b"DELETE"))
MORE = [
    *((name.encode(), b"DELETE") for name in NAMES),
    (b"X-HTTP-Method-Override", b""),
    (b"X-HTTP-Method-Override", b"OPTIONS"),
    (b"Content-Length", b"5"),
    (b"Content-Length", b"05"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Upgrade", b"websocket"),
    (b"Expect", b"100-continue"),
    (b"Origin", b"https://other.example.com"),
    (b"access-control-request-method", b"GET"),
]
ANSWERED = {"origins": ["https://spa.example.com"]}


@pytest.mark.parametrize("preflight", ["forward", ANSWERED])
@pytest.mark.parametrize(("name", "value"), MORE)
def test_r65_what_could_do_more_is_no_preflight(preflight: object, name: bytes, value: bytes):
    """R65 [1.3]: a body, an override field, another protocol: it is judged like any other request."""
    known = compiled({"path": "/", "preflight": preflight}, {"path": "/may", "access": "optional"})
    for headers in ([*PREFLIGHT, (name, value)], [(name, value), *PREFLIGHT]):
        answer = ask(known, "/x", *headers, method=b"OPTIONS")
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.CREDENTIALS_MISSING
    for benign in ((b"Content-Length", b"0"), (b"Accept", b"*/*")):
        answer = ask(known, "/x", *PREFLIGHT, benign, method=b"OPTIONS")
        assert isinstance(answer, Forward if preflight == "forward" else Respond)
        assert answer.reason is Reason.PREFLIGHT


def test_where_methods_do_not_matter_the_field_is_the_upstreams():
    """Without a rule that names a method nothing is refused, and the field goes on."""
    answer = ask(compiled(), "/public/x", (b"X-HTTP-Method-Override", b"DELETE"))
    assert isinstance(answer, Forward)
    assert (b"X-HTTP-Method-Override", b"DELETE") in answer.headers
