"""Properties of the whole decision: any head, any path."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Login, Refuse, Respond
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Need
from gateway.core.headers.request import Request
from gateway.core.rules.denylist import Denylist
from gateway.syntax.targets import canonicalise
from tests.support.decisions import compiled, session_cookie
from tests.support.pure import NOW

KNOWN = compiled()
HOST = b"app.example.com"
SESSION = session_cookie(KNOWN, sub="alice", groups=["staff"])
PIECES = st.sampled_from(
    b"/ // .. . %2e %2F %5c %25 ; # ? a %61 admin %61dmin \\ %00 /admin /public /.gateway/ login".split()
)
TARGETS = st.lists(PIECES, max_size=8).map(lambda parts: b"/" + b"".join(parts)) | st.binary(max_size=30)
FIELDS = st.tuples(
    st.sampled_from(
        b"Cookie Authorization Accept Origin X-Original-URL X-Forwarded-Uri X-Rewrite-URL X-Forwarded-Prefix "
        b"X-HTTP-Method-Override Sec-Fetch-Mode Sec-Fetch-Site Connection DPoP".split()
    )
    | st.binary(min_size=1, max_size=8),
    st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0"))
    | st.sampled_from(
        [b"/public/", b"GET", b"navigate", b"text/html", b"Bearer a.b.c", b"Basic eA==", SESSION[1]]
    ),
)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE"]) | st.binary(
    min_size=1, max_size=6
)


def ask(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> object:
    """Decide with a fresh and empty replica."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    knowledge = Knowledge(KNOWN, {}, denylist, Memory(), lambda _: None, lambda _: False, {})
    return decide(
        Request(method, target, HOST, ((b"Host", HOST), *headers), "192.0.2.1"), knowledge, NOW, "id"
    )


@given(METHODS, TARGETS, st.lists(FIELDS, max_size=5), st.booleans())
def test_r56_the_path_decided_on_is_the_path_forwarded(method, target, headers, known):
    """R55, R56: whatever else a head says, the upstream gets the canonical target whose route was judged."""
    answer = ask(method, target, [*([SESSION] if known else []), *headers])
    assert isinstance(answer, Forward | Refuse | Login | Respond | Need)
    if not isinstance(answer, Forward):
        return
    wanted = canonicalise(target)
    assert wanted is not None
    assert answer.target == wanted.path + wanted.query
    assert KNOWN.routes.match(HOST, wanted.path, method) is answer.route
    again = canonicalise(answer.target)
    assert again is not None
    assert KNOWN.routes.match(HOST, again.path, method) is answer.route


@given(METHODS, TARGETS, st.lists(FIELDS, max_size=5))
def test_nobody_is_let_in_without_a_session(method, target, headers):
    """Empty never means allow: no head without a sealed session leads beyond public and optional routes."""
    answer = ask(method, target, [field for field in headers if SESSION[1] not in field[1]])
    if isinstance(answer, Forward):
        assert answer.identity is None
        assert answer.route.name in ("/public/", "/optional/")
