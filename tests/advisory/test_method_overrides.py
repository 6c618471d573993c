"""A field that names another method: what a rule for GET lets through must not act as a DELETE upstream."""

import pytest

from gateway.core.answers import Forward, Refuse
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


def test_where_methods_do_not_matter_the_field_is_the_upstreams():
    """Without a rule that names a method nothing is refused, and the field goes on."""
    answer = ask(compiled(), "/public/x", (b"X-HTTP-Method-Override", b"DELETE"))
    assert isinstance(answer, Forward)
    assert (b"X-HTTP-Method-Override", b"DELETE") in answer.headers
