"""Routes for one path alone, beside those for all that is below."""

from typing import Any

import pytest

from gateway.core.decision.answers import Forward, Refuse
from gateway.core.reasons import Reason
from gateway.core.rules.routes import compile_routes
from tests.support.decisions import ask, compiled
from tests.support.pure import HOST, settings

ROUTES: tuple[dict[str, Any], ...] = (
    {"path": "/", "exact": True, "access": "public", "name": "start"},
    {"path": "/", "name": "rest"},
    {"path": "/health", "exact": True, "access": "public", "name": "health"},
    {"path": "/admin", "exact": True, "name": "admin"},
    {"path": "/docs", "exact": True, "name": "docs-page"},
    {"path": "/docs/", "name": "docs"},
    {"path": "/both", "exact": True, "name": "both"},
    {"path": "/both/", "exact": True, "name": "both/"},
    {"path": "/a/b/c", "exact": True, "name": "abc"},
    {"path": "/post", "exact": True, "methods": ["POST"], "name": "post"},
    {"path": "/here", "exact": True, "hosts": ["app.example.com"], "name": "here"},
    {"path": "/here", "exact": True, "hosts": ["*.example.com"], "name": "there"},
)


def named(path: str, method: str = "GET", host: bytes = HOST, *routes: dict[str, Any]) -> str | None:
    """Return the name of the route of a path."""
    found = compile_routes(settings(*(routes or ROUTES))).match(host, path.encode(), method.encode())
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "start"),
        ("/x", "rest"),
        ("/health", "health"),
        ("/health/x", "rest"),
        ("/healthy", "rest"),
        ("/health/", None),
        ("/HEALTH", None),
        ("/Health/", None),
        ("/health;v=1", None),
        ("/health;v=1/", None),
        ("/h%65alth", None),
        ("/health%3Fx", None),
        ("/health/;x", None),
        ("/admin", "admin"),
        ("/admin/", None),
        ("/ADMIN", None),
        ("/admin/x", "rest"),
        ("/docs", "docs-page"),
        ("/docs/", "docs"),
        ("/docs/x", "docs"),
        ("/Docs/", None),
        ("/both", "both"),
        ("/both/", "both/"),
        ("/both/x", "rest"),
        ("/BOTH/", None),
        ("/a", "rest"),
        ("/a/", "rest"),
        ("/a/b", "rest"),
        ("/a/b/c", "abc"),
        ("/a/b/c/d", "rest"),
        ("/a/b/C", None),
        ("/post", "rest"),
        ("/here", "here"),
    ],
)
def test_a_path_alone(path: str, name: str | None):
    """[11.1] R56 R88: the very path goes first; what may be read as it leads nowhere else."""
    assert named(path) == name


def test_by_method_and_host():
    """[11.1]: an exact path for some methods leaves the others to the prefix; hosts count as ever."""
    assert named("/post", "POST") == "post"
    assert named("/post/", "POST") is None
    assert named("/post/") == "rest"
    assert named("/here", host=b"x.example.com") == "there"
    only = {"path": "/x", "exact": True}
    assert named("/x", "GET", HOST, only) == "/x"
    for path in ("/", "/x/", "/x/y", "/xy", "/X"):
        assert named(path, "GET", HOST, only) is None


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/", "/docs/x", "/health", "/health/x", "/a/b/c", "/a/b/x", "/"]
)
def test_what_is_known_of_directories_changes_nothing(path: str):
    """[11.1] R56: a directory in which one page is another route's is remembered as nobody's."""
    known = compiled(*({**each, "access": "public"} for each in ROUTES))
    fresh = compiled(*({**each, "access": "public"} for each in ROUTES))
    expected = ask(fresh, path)
    assert isinstance(expected, Forward)
    for each in ("/docs/1", "/health/1", "/a/1", "/a/b/1", "/docs/2", "/1", "/x/1"):
        ask(known, each)
    answer = ask(known, path)
    assert isinstance(answer, Forward)
    assert answer.route.name == expected.route.name


def test_what_the_upstream_sees_of_an_exact_path():
    """[11.1]: all of it, or what replaces it."""
    known = compiled(
        {"path": "/x", "exact": True, "access": "public", "strip_prefix": True},
        {"path": "/y/", "exact": True, "access": "public", "replace_prefix": "/v2/"},
        {"path": "/z", "exact": True, "access": "public"},
    )
    for path, target in (("/x?a=b", b"/?a=b"), ("/y/", b"/v2/"), ("/z", b"/z")):
        answer = ask(known, path)
        assert isinstance(answer, Forward)
        assert answer.target == target


def test_a_guarded_page_beside_an_open_rest():
    """[11.1] R88: no spelling of the page is the rest's."""
    known = compiled({"path": "/admin", "exact": True}, {"path": "/", "access": "public"})
    for path in ("/admin/", "/Admin", "/admin;x", "/%61dmin/", "/admin%3F", "/admi%6E;/"):
        answer = ask(known, path)
        assert isinstance(answer, Refuse)
        assert answer.reason in (Reason.ROUTE_UNKNOWN, Reason.PATH_AMBIGUOUS)
    answer = ask(known, "/%61dmin")
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.CREDENTIALS_MISSING
