"""No habit of an upstream opens a page that is guarded by itself."""

from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.headers.rules import plain_request_lines
from gateway.core.rules.places import Places
from gateway.core.rules.routes import compile_routes
from gateway.http.messages.request_head import read_request_head
from gateway.syntax.targets import canonicalise
from tests.support.pure import HOST, settings

PIECES = st.sampled_from(
    b"/ /x /admin admin ADMIN %41dmin ; ;v=1 %3b %23 %3f ? . %2e x = /admin/ /docs/ /docs /a /a/b".split()
)
TARGETS = st.lists(PIECES, max_size=8).map(lambda parts: b"/" + b"".join(parts)) | st.binary(max_size=30)
ROUTES = (
    {"path": "/admin", "exact": True, "name": "admin"},
    {"path": "/docs/", "exact": True, "name": "docs"},
    {"path": "/a/b", "exact": True, "name": "ab"},
    {"path": "/x/", "name": "x"},
    {"path": "/", "name": "rest"},
)
TABLE = compile_routes(settings(*ROUTES))


def lax(path: bytes) -> set[bytes]:
    """Read a path as upstreams of several habits do: cut, decoded, in lower case, without its last slash."""
    readings = set()
    for decoded in (path, unquote_to_bytes(path)):
        for mark in (b"?", b"#", b"\xff"):
            cut = decoded.partition(mark)[0]
            plain = b"/".join(segment.partition(b";")[0] for segment in cut.split(b"/"))
            readings |= {each.lower().rstrip(b"/") for each in (cut, plain)}
    return readings


@given(TARGETS)
def test_no_habit_of_an_upstream_opens_a_guarded_page(target: bytes):
    """[11.1] R56 R88: whoever reads the page out of a path, the gateway has decided by its route."""
    found = canonicalise(target)
    if found is None:
        return
    route = TABLE.match(HOST, found.path, b"GET")
    for page, name in ((b"/admin", "admin"), (b"/docs", "docs"), (b"/a/b", "ab")):
        if route is not None and page in lax(found.path):
            assert route.name == name
    if route is not None and route.exact is not None:
        assert found.path == route.exact


@given(st.lists(TARGETS, max_size=6), TARGETS)
def test_what_is_remembered_of_places_changes_nothing(before: list[bytes], target: bytes):
    """[11.1] R56: a directory is known only where everything in it is one route's."""
    places = Places(TABLE, b"/.gateway/")
    for each in before:
        found = canonicalise(each)
        route = None if found is None else TABLE.match(HOST, found.path, b"GET")
        if found is not None and route is not None:
            places.learn(HOST, found, b"GET", route)
    found = canonicalise(target)
    if found is None or found.path + found.query != target:
        return
    head = b"GET %b HTTP/1.1\r\nHost: app.example.com\r\n\r\n" % target
    request, _ = read_request_head(head, plain_request_lines())
    known = places.find(HOST, request)
    assert known is None or known is TABLE.match(HOST, found.path, b"GET")
