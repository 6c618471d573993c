"""CVE-2026-40575, CVE-2026-76835: a client's X-Forwarded-Uri chose the path that was judged."""

import pytest

from gateway.core.decision.answers import Forward, Refuse
from tests.support.decisions import ask, compiled, session_cookie

NAMES = [b"X-Forwarded-Uri", b"X_Forwarded_Uri", b"X-Original-URL", b"X-Original-URI", b"X-Rewrite-URL"]


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
@pytest.mark.parametrize("proxies", [[], ["192.0.2.0/24"]])
def test_no_field_chooses_the_path(name: bytes, proxies: list[str]):
    """R56: from nobody and from a trusted proxy alike, only the request line names the path."""
    known = compiled(trusted_proxies=proxies)
    assert isinstance(ask(known, "/private", (name, b"/public/x")), Refuse)
    answer = ask(known, "/private", (name, b"/public/x"), session_cookie(known))
    assert isinstance(answer, Forward)
    assert answer.target == b"/private"
    assert b"/public/x" not in [value for _, value in answer.headers]


FORGED = [
    (b"X-Forwarded-Host", b"intern.test"),
    (b"Forwarded", b"for=203.0.113.7;host=intern.test"),
    (b"Forwarded", b"host=intern.test"),
    (b"X-Original-Host", b"intern.test"),
    (b"X-Host", b"intern.test"),
    (b"X_Forwarded_Host", b"intern.test"),
    (b"X-Forwarded-Server", b"intern.test"),
    (b"X-Forwarded-Port", b"8443"),
    (b"Forwarded", b"x"),
]
SITES = (
    {"path": "/", "hosts": ["intern.test"], "access": "public"},
    {"path": "/", "hosts": ["app.example.com"]},
)


@pytest.mark.parametrize(("name", "value"), FORGED)
@pytest.mark.parametrize(
    "told", [[], [(b"X-Forwarded-For", b"203.0.113.7"), (b"X-Forwarded-Proto", b"https")]]
)
def test_r64_no_field_of_a_client_chooses_the_site(
    name: bytes, value: bytes, told: list[tuple[bytes, bytes]]
):
    """R64 [1.1]: behind a proxy that sets Host, X-Forwarded-For and -Proto nothing else is read."""
    known = compiled(*SITES, trusted_proxies=["192.0.2.0/24"])
    for headers in ([*told, (name, value)], [(name, value), *told]):
        answer = ask(known, "/x", *headers)
        assert isinstance(answer, Refuse)
        assert answer.reason == "credentials_missing"
        answer = ask(known, "/x", *headers, session_cookie(known))
        assert isinstance(answer, Forward)
        sent = [line for line in answer.headers if b"intern.test" in line[1] or line[1] in (b"8443", b"x")]
        assert not sent


@pytest.mark.parametrize("name", [b"Forwarded", b"X-Real-IP", b"Client-IP"])
def test_r64_no_field_makes_a_client_the_proxy(name: bytes):
    """R64 [1.2]: garbage beside X-Forwarded-For leaves the client's own address, and its own rate limit."""
    known = compiled(trusted_proxies=["192.0.2.0/24"])
    answer = ask(known, "/public/x", (b"X-Forwarded-For", b"203.0.113.7"), (name, b"x"))
    assert isinstance(answer, Forward)
    assert (b"X-Forwarded-For", b"203.0.113.7, 192.0.2.1") in answer.headers


@pytest.mark.parametrize("value", [b"x", b"", b"203.0.113.7, x", b"unknown", b"203.0.113.7,"])
@pytest.mark.parametrize("path", ["/public/x", "/x", "/optional/x", "/nowhere/../x", "/.gateway/login"])
def test_r64_a_named_field_that_cannot_be_read_is_400(path: str, value: bytes):
    """R64 [1.2]: whatever was asked for, and nobody is taken for the proxy."""
    known = compiled(trusted_proxies=["192.0.2.0/24"])
    answer = ask(known, path, (b"X-Forwarded-For", value), session_cookie(known))
    assert isinstance(answer, Refuse)
    assert answer.reason == "forwarding_unreadable"


def test_trusted_proxies_default_to_nobody():
    """CVE-2026-76835: the fix was inert while everybody was trusted."""
    forged = [(b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Host", b"evil.example")]
    for peer in ("127.0.0.1", "10.0.0.1", "::1", "192.0.2.1"):
        answer = ask(compiled(), "/public/x", *forged, peer=peer)
        assert isinstance(answer, Forward)
        assert (b"X-Forwarded-For", peer.encode()) in answer.headers
        assert (b"Host", b"app.example.com") in answer.headers


OFFICE = (
    {"path": "/in/", "require": {"networks": ["10.0.0.0/8", "192.0.2.0/25"]}},
    {"path": "/out/", "require": {"not": {"networks": ["203.0.113.0/24"]}}},
)
ADDRESSES = [
    [(name, b"10.0.0.1")]
    for name in (
        b"X-Forwarded-For",
        b"X-Real-IP",
        b"Client-IP",
        b"X-Client-IP",
        b"True-Client-IP",
        b"CF-Connecting-IP",
    )
] + [[(b"Forwarded", b"for=10.0.0.1")], [(b"X_Forwarded_For", b"10.0.0.1")]]


@pytest.mark.parametrize("fields", ADDRESSES, ids=lambda fields: fields[0][0].decode())
@pytest.mark.parametrize("told", [[], [(b"X-Forwarded-For", b"203.0.113.7")]])
def test_no_field_of_a_client_moves_it_to_another_network(
    fields: list[tuple[bytes, bytes]], told: list[tuple[bytes, bytes]]
):
    """R64 [11.1]: into one that is let in, or out of one that is kept out."""
    proxies = ["192.0.2.128/25"] if told else []
    known = compiled(*OFFICE, trusted_proxies=proxies)
    peer = "192.0.2.200" if told else "203.0.113.7"
    if fields[0][0] == b"X-Forwarded-For" and told:
        # a proxy adds what it sees to what its client says
        fields, told = [(b"X-Forwarded-For", b"10.0.0.1, 203.0.113.7")], []
    for path in ("/in/", "/out/"):
        answer = ask(known, path, *fields, *told, session_cookie(known), peer=peer)
        assert isinstance(answer, Refuse), path
        assert answer.reason in ("network_forbidden", "policy_unmet")
        assert answer.identity is not None


def test_who_is_there_passes():
    """Or the test above would prove nothing; whom no proxy tells of is in no network, and outside none."""
    known = compiled(*OFFICE, trusted_proxies=["192.0.2.128/25"])
    cookie = session_cookie(known)
    assert isinstance(ask(known, "/in/", cookie, peer="192.0.2.1"), Forward)
    assert isinstance(ask(known, "/out/", cookie, peer="192.0.2.1"), Forward)
    told = (b"X-Forwarded-For", b"10.1.1.1")
    assert isinstance(ask(known, "/in/", told, cookie, peer="192.0.2.200"), Forward)
    for path in ("/in/", "/out/"):
        assert isinstance(ask(known, path, cookie, peer="192.0.2.200"), Refuse)
