"""Whatever a proxy asks about, it is told what would happen here."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision.answers import Allow, Forward, Login, Refuse, Respond
from gateway.core.decision.needs import Admit
from gateway.core.fault import Fault
from gateway.core.headers.rules import plain_request_lines
from gateway.http.messages.request_head import read_request_head
from gateway.syntax.targets import plain_parts
from tests.support.asking import COOKIES, NAMES, PROXY, asked, asks_under, originals
from tests.support.decisions import ask, session_cookie
from tests.support.pure import HOST

PIECES = [
    "/", "//", ".", "..", "%2e", "%2F", "%5c", ";", "?", "#", "admin", "ADMIN", "public", "raw", "x", "%00",
    "\u00ff", "few", "cors", "own", "basic", "pass", ".gateway", "decide", "login",
    "&", "=", "@", ":", "\\", " ",
]  # fmt: skip
# white space at the end of a field is none of its value
TARGETS = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: f"/{''.join(pieces)}".rstrip())
COOKIE = session_cookie(COOKIES, groups=["staff"], email="a@example.com")
FIELDS = [
    COOKIE,
    (b"Cookie", b"__Host-gateway-session=garbage; app=1"),
    (b"Authorization", b"Bearer x"),
    (b"Authorization", b"Basic YTpi"),
    (b"Accept", b"text/html"),
    (b"Sec-Fetch-Mode", b"navigate"),
    (b"Sec-Fetch-Site", b"cross-site"),
    (b"Origin", b"https://evil.example"),
    (b"X-HTTP-Method-Override", b"DELETE"),
    (b"Purpose", b"prefetch"),
    (b"X-Forwarded-User", b"mallory"),
    (b"X-Forwarded-Server", b"mallory"),
    (b"Referer", b"https://app.example.com/page"),
]
WHOLE = [b"traefik", b"caddy", b"haproxy", b"envoy"]


@given(
    kind=st.sampled_from(WHOLE),
    target=TARGETS,
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE"]),
    fields=st.lists(st.sampled_from(FIELDS), max_size=6),
)
def test_asked_is_decided(kind: bytes, target: str, method: bytes, fields: list[tuple[bytes, bytes]]):
    """[11.10] R56: let through just where it would go on, as the same person; refused for the same reason."""
    told = asked(kind, target, *fields, method=method, known=COOKIES)
    if target.lower().startswith("/.gateway/") and not isinstance(told, Allow):
        # what is served here is not asked about
        return
    here = ask(COOKIES, target, *fields, method=method)
    if isinstance(here, Forward):
        assert isinstance(told, Allow)
        assert (told.reason, told.identity, told.route) == (here.reason, here.identity, here.route)
        sent: dict[bytes, bytes] = {}
        for name, value in here.headers:
            before = sent.get(name.lower())
            several = b"; ".join((before or b"", value)) if name.lower() == b"cookie" else b""
            sent[name.lower()] = value if before is None else several
        for name, value in told.headers:
            if name in (*NAMES, b"X-Gateway-Authorization", b"X-Gateway-Cookie"):
                assert value == sent.get(name.lower().removeprefix(b"x-gateway-"), b"")
    elif isinstance(here, Login):
        assert isinstance(told, Login)
        assert dataclasses.replace(told, client="") == dataclasses.replace(here, client="")
    elif isinstance(here, Respond):
        assert isinstance(told, Refuse)
    elif isinstance(here, Admit):
        # counted for the proxy's client
        assert isinstance(told, Admit)
        assert (told.limit, told.key) == (here.limit, "a203.0.113.9")
    else:
        assert told == here


@given(target=TARGETS)
def test_what_has_one_reading(target: str):
    """R56: a target is as plain where it is told of as where it is asked for."""
    octets = target.encode("latin-1")
    head = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % octets
    try:
        request, _ = read_request_head(head, plain_request_lines())
    except Fault:
        return
    assert plain_parts(octets) == request.plain


@pytest.mark.parametrize("kind", WHOLE)
@given(junk=st.binary(max_size=60), place=st.integers(0, 9))
def test_garbage_is_no_original(kind: bytes, junk: bytes, place: int):
    """[11.10]: any bytes in the place of what a proxy tells lead to an answer, and to no other host."""
    path, told, method = originals(kind, b"/x")
    told = tuple(
        (name, junk if index == place % len(told) else value) for index, (name, value) in enumerate(told)
    )
    answer = ask(COOKIES, path.decode(), *told, method=method, host=asks_under(kind), peer=PROXY)
    assert isinstance(answer, Refuse | Login)
    if isinstance(answer, Login):
        assert answer.origin == f"https://{HOST.decode()}"
