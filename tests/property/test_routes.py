"""Properties of targets and routes."""

from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rules.routes import compile_routes
from gateway.syntax.targets import canonicalise
from tests.support.pure import HOST, settings

PIECES = st.sampled_from(
    b"/ .. . %2e %2F %5c %25 2e ; %3b # %23 ? a %61 admin %41DMIN \\ % %00 %c0%ae = x /admin".split()
)
TARGETS = st.binary(max_size=40) | st.lists(PIECES, max_size=12).map(lambda parts: b"/" + b"".join(parts))
ADMIN = compile_routes(settings({"path": "/"}, {"path": "/admin", "name": "admin"}))


@given(TARGETS)
def test_any_bytes_give_a_value_and_the_canonical_form_stays(target: bytes):
    """R56: never an exception; what is forwarded would be decided on in the same way again."""
    found = canonicalise(target)
    if found is not None:
        assert found.path.startswith(b"/")
        assert canonicalise(found.path + found.query) == found


@given(TARGETS)
def test_no_decoding_yields_another_structure(target: bytes):
    """R56: decoded once or twice, a canonical path has the same segments and no dot segment."""
    found = canonicalise(target)
    if found is None:
        return
    once = unquote_to_bytes(found.path)
    for path in (found.path, once, unquote_to_bytes(once)):
        segments = path.split(b"/")
        assert len(segments) == found.path.count(b"/") + 1
        assert not {b".", b".."} & set(segments)
        assert b"" not in segments[1:-1]
        assert b"\\" not in path
        assert b"\0" not in path


def lax(path: bytes) -> list[bytes]:
    """Read a path as upstreams of several habits do: the first segment of each reading."""
    readings = []
    for decoded in (path, unquote_to_bytes(path), unquote_to_bytes(unquote_to_bytes(path))):
        for mark in (b"?", b"#", b";", b"\xff"):
            readings += [decoded.partition(mark)[0], decoded.partition(mark)[0].lower()]
    return [reading.split(b"/")[1] if b"/" in reading else b"" for reading in readings]


@given(TARGETS)
def test_no_habit_of_an_upstream_opens_a_guarded_path(target: bytes):
    """R56: whoever reads /admin out of it, the gateway has decided by the route of /admin."""
    found = canonicalise(target)
    if found is None:
        return
    route = ADMIN.match(HOST, found.path, b"GET")
    if route is not None and b"admin" in lax(found.path):
        assert route.name == "admin"


@given(st.binary(max_size=40), TARGETS, st.binary(max_size=8))
def test_any_host_and_method_give_a_value(host: bytes, target: bytes, method: bytes):
    """No bytes raise, and no host but the configured one has a route."""
    found = canonicalise(target)
    path = found.path if found else b"/"
    assert (ADMIN.match(host, path, method) is not None) <= (host == HOST)
