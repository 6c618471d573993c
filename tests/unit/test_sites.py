"""Sites: wildcards, the host where people log in for all of them, and cookies for a domain."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks.every import warn
from gateway.config.checks.problems import shown_path
from gateway.core.decide import decide
from gateway.core.decision.answers import Login, Refuse, Respond
from gateway.core.decision.context import Context, Knowledge, Memory
from gateway.core.decision.needs import Body, Need, Revoke, TakeTicket
from gateway.core.headers.cookies import CookieChange, set_cookie_lines
from gateway.core.headers.request import Request
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.runtime import RuntimeConfig, compile_settings, problems, redirect_uris
from gateway.core.sessions import codec, joining
from gateway.core.sessions.cookies import cleared_cookies
from gateway.core.sessions.joining import JoinRequest, Ticket
from gateway.core.sessions.model import Session
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.syntax.authority import wildcard_of
from tests.support.decisions import ask
from tests.support.pure import NOW, settings
from tests.unit.test_config import with_changes

WILD = "https://*.apps.example.com"
SHOP = "https://shop.example.com"
LOGIN = "https://login.example.com"
PAGE = (b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate")
KNOWN = compile_settings(settings(public_url=[WILD, SHOP], login_host=LOGIN))
DOMAIN = compile_settings(settings(public_url=[WILD, SHOP], login_host=LOGIN, cookie_domain="example.com"))


def found(changes: dict) -> list[str]:
    """Return where problems are told of."""
    return [shown_path(each.path) for each in problems(with_changes(changes))]


def warned(changes: dict) -> list[str]:
    return [shown_path(each.path) for each in warn(with_changes(changes))]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"public_url": [WILD]}, ["public_url[0]"]),
        ({"public_url": ["https://*.com"], "login_host": LOGIN}, ["public_url[0]"]),
        ({"public_url": ["https://*"], "login_host": LOGIN}, ["public_url[0]"]),
        ({"public_url": ["https://w*.example.com"], "login_host": LOGIN}, ["public_url[0]"]),
        ({"public_url": ["https://a.*.example.com"], "login_host": LOGIN}, ["public_url[0]"]),
        ({"public_url": ["https://*.*.example.com"], "login_host": LOGIN}, ["public_url[0]"]),
        ({"public_url": ["https://*.example.com/x"], "login_host": LOGIN}, ["public_url[0]"]),
        ({"public_url": [WILD, WILD + ":443"], "login_host": LOGIN}, ["public_url[1]"]),
        ({"public_url": [WILD, WILD + ":8443"], "login_host": LOGIN}, ["public_url[1]"]),
        ({"public_url": ["http://*.apps.example.com"], "login_host": LOGIN}, ["public_url[0]", "login_host"]),
        ({"login_host": WILD}, ["login_host"]),
        ({"login_host": "login.example.com"}, ["login_host"]),
        ({"login_host": LOGIN + "/x"}, ["login_host"]),
        ({"login_host": "http://localhost:8080"}, ["login_host"]),
        ({"login_host": "https://app.example.com:8443"}, ["login_host"]),
        ({"cookie_domain": "com"}, ["cookie_domain"]),
        ({"cookie_domain": ".example.com"}, ["cookie_domain"]),
        ({"cookie_domain": "Example.com"}, ["cookie_domain"]),
        ({"cookie_domain": "other.example"}, ["cookie_domain"]),
        ({"cookie_domain": "xample.com"}, ["cookie_domain"]),
        ({"cookie_domain": "example.com", "login_host": "https://login.example.org"}, ["cookie_domain"]),
        ({"cookie_domain": "127.0.0.1", "public_url": "https://127.0.0.1"}, ["cookie_domain"]),
        ({"cookie_domain": "example.com; Secure"}, ["cookie_domain"]),
    ],
)
def test_what_forbids_to_start(changes: dict, where: list[str]):
    """[11.2]: each at its setting."""
    assert found(changes) == where


@pytest.mark.parametrize(
    "changes",
    [
        {"public_url": [WILD], "login_host": LOGIN},
        {"public_url": [WILD + ":8443", SHOP], "login_host": LOGIN},
        {"public_url": [WILD, "https://a.apps.example.com"], "login_host": "https://a.apps.example.com"},
        {"public_url": ["http://*.localhost:8080"], "login_host": "http://login.localhost:8080"},
        {"public_url": ["https://*.example.com"], "login_host": LOGIN},
        {"cookie_domain": "example.com"},
        {"cookie_domain": "app.example.com"},
    ],
)
def test_what_is_fine(changes: dict):
    """[11.2]: a wildcard beside one of its names, another port of another host, this machine."""
    assert found(changes) == []


def test_what_is_warned_of():
    """[11.2]: a cookie for a domain, and a host of logins that changes nothing."""
    assert "cookie_domain" in warned({"cookie_domain": "example.com"})
    assert "login_host" in warned({"login_host": "https://app.example.com"})
    assert not {"cookie_domain", "login_host"} & set(warned({"login_host": LOGIN}))


def test_sites_of_different_providers_are_warned_of():
    """R70 [11.2]: with one session for all sites each would log the other's people out."""
    partner = {
        "issuer": "https://partner.example.com",
        "client_id": "app",
        "client_secret": "s3cr3t",
        "audiences": ["api"],
        "callback": "/.gateway/callback/partner",
    }
    changes = {
        "public_url": ["https://app.example.com", SHOP],
        "providers/partner": partner,
        "routes": [
            {"path": "/", "upstream": "app", "access": "required", "hosts": [host], "providers": [name]}
            for host, name in (("app.example.com", "corporate"), ("shop.example.com", "partner"))
        ],
    }
    assert "routes[1]" not in warned(changes)
    assert "routes[1]" in warned(changes | {"login_host": LOGIN})


def test_routes_for_names_under_a_wildcard():
    """[11.2]: they can be logged in to, by name and by wildcard; a name beyond it cannot."""
    base = {"public_url": [WILD], "login_host": LOGIN, "routes/0/unauthenticated": "login"}
    for host in ("wiki.apps.example.com", "*.apps.example.com"):
        assert found(base | {"routes/0/hosts": [host]}) == []
    for host in ("a.wiki.apps.example.com", "apps.example.com", "*.example.com"):
        assert found(base | {"routes/0/hosts": [host]}) == ["routes[0].hosts[0]"]


def test_one_callback_is_registered():
    """[11.2]: that of the host where people log in, and its page after a logout."""
    found = redirect_uris(settings(public_url=[WILD, SHOP], login_host=LOGIN))
    for uris in found.values():
        assert all(uri.startswith(LOGIN + "/.gateway/") for uri in uris)
        assert len(uris) == 2


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"wiki.apps.example.com", "https://wiki.apps.example.com"),
        (b"wiki.apps.example.com:443", "https://wiki.apps.example.com"),
        (b"a_b-c.apps.example.com", "https://a_b-c.apps.example.com"),
        (b"shop.example.com:443", SHOP),
        (b"login.example.com", LOGIN),
    ],
)
def test_hosts_that_are_sites(host: bytes, origin: str):
    """R13 R39 [11.2]: an origin of the configuration's scheme and port, and cookies for that host alone."""
    site = KNOWN.sites.get(host)
    assert site is not None
    assert site.origin == origin
    assert site.session_cookie == "__Host-gateway-session"
    assert site.domain == ""
    assert host in KNOWN.sites
    assert KNOWN.sites[host] == site


@pytest.mark.parametrize(
    "host",
    [
        *(b"apps.example.com", b"a.b.apps.example.com", b".apps.example.com", b"*.apps.example.com"),
        *(
            b"wiki.apps.example.com:8443",
            b"-a.apps.example.com",
            b"a-.apps.example.com",
            b"wikiapps.example.com",
        ),
        *(
            b"wiki.apps.example.com.evil.example",
            b"WIKI.apps.example.com",
            b"",
            b".",
            b"x" * 64 + b".apps.example.com",
        ),
    ],
)
def test_hosts_that_are_none(host: bytes):
    """R55 [11.2]: one label of letters, digits, hyphens and underscores, at the port that is written."""
    assert KNOWN.sites.get(host) is None
    assert host not in KNOWN.sites
    assert not KNOWN.routes.knows(host)


@given(st.binary(max_size=80))
def test_any_host(host: bytes):
    """R55 [11.2]: whatever stands for a host is a label before the rest, or no site."""
    wild = wildcard_of(host)
    assert wild is None or (wild.startswith(b"*.") and host.endswith(wild[1:]) and b"*" not in host[:1])
    site = KNOWN.sites.get(host + b".apps.example.com")
    assert site is None or site.origin == f"https://{host.decode('ascii')}.apps.example.com"


def test_many_made_up_names():
    """[11.2]: they are bounded, and displace no site that is asked for."""
    for number in range(10_000):
        assert KNOWN.sites.get(b"n%d.apps.example.com" % number) is not None
        assert KNOWN.sites.get(b"wiki.apps.example.com") is not None
    assert len(KNOWN.sites._made) <= 4096


def test_a_login_begins_at_the_host():
    """R13 [11.2]: of a page under a wildcard, and of a site beside it; at the host itself at the provider."""
    for host in (b"wiki.apps.example.com", b"shop.example.com"):
        answer = ask(KNOWN, "/x?y=1", *PAGE, host=host)
        assert isinstance(answer, Login)
        assert (answer.by, answer.origin) == (LOGIN, f"https://{host.decode()}")
        assert answer.redirect_uri == f"{LOGIN}/.gateway/join"
    answer = ask(KNOWN, "/.gateway/login?return_to=/x", *PAGE, host=b"login.example.com")
    assert isinstance(answer, Login)
    assert (answer.by, answer.redirect_uri) == ("", f"{LOGIN}/.gateway/callback")


def test_a_third_party_begins_a_login_at_the_host():
    """R11 [11.2]: for a page of any site of ours it goes on there; for any other the host keeps to itself."""

    def location(wanted: str) -> str | None:
        answer = ask(KNOWN, f"/.gateway/login?target_link_uri={wanted}", *PAGE, host=b"login.example.com")
        return answer.location if isinstance(answer, Respond) else None

    page = "https://wiki.apps.example.com/x"
    assert location(page) == (
        "https://wiki.apps.example.com/.gateway/login?target_link_uri=https%3A%2F%2Fwiki.apps.example.com%2Fx"
    )
    for wanted in (
        *(
            "https://evil.example/x",
            "https://wiki.apps.example.com.evil.example/",
            "http://shop.example.com/",
        ),
        *(
            "https://shop.example.com@evil.example/",
            "https://shop.example.com\\@evil.example/",
            "//shop.example.com",
        ),
        *(
            "https://wiki.apps.example.com:8443/",
            "https://login.example.com/x",
            "javascript://shop.example.com/",
        ),
    ):
        assert location(wanted) is None, wanted


def test_a_cookie_for_a_domain_is_set_and_taken_away_for_it():
    """R38 R43 [11.2]: session and refresh alone; it opens at every site of the domain, and nowhere else."""
    wiki, shop = DOMAIN.sites[b"wiki.apps.example.com"], DOMAIN.sites[b"shop.example.com"]
    assert wiki.session_cookie == "__Secure-gateway-session"
    for kind in ("session", "refresh", "handle"):
        assert wiki.purpose(kind) == shop.purpose(kind)
    for kind in ("login", "recent", "hint", "logout"):
        assert wiki.purpose(kind) != shop.purpose(kind)
    lines = [
        line
        for change in cleared_cookies(wiki, {"__Secure-gateway-session-1": "x"})
        for line in set_cookie_lines(change, None)
    ]
    assert len(lines) == 3
    for line in lines:
        assert b"; Domain=example.com; Max-Age=0; HttpOnly; SameSite=Lax; Secure" in line
    assert KNOWN.sites[b"shop.example.com"].purpose("session") != shop.purpose("session")


def test_a_cookie_for_a_domain_stays_within_its_size():
    """R40 [11.2]: the domain is a part of it."""
    domain = ".".join(["a" * 60] * 4)
    change = CookieChange("__Secure-gateway-session", None, 9_999_999_999, domain=domain)
    lines = set_cookie_lines(change, "x" * 15_000)
    assert len(lines) == 4
    assert max(map(len, lines)) <= 4096


@given(st.binary(max_size=300))
def test_any_bytes_for_a_request_or_a_ticket(data: bytes):
    """[11.2]: decoding is total."""
    joining.decode_request(data)
    joining.decode_ticket(data)
    joining.decode_granted(data)


def test_a_request_comes_back_as_it_was():
    """[11.2]: with everything, and with nothing."""
    whole = JoinRequest(
        "https://a.example",
        "s",
        "c",
        1.5,
        "p",
        ("a", "b"),
        ("mfa",),
        0,
        "alice",
        True,
        (("prompt", "x"),),
        "h",
    )
    assert {field.name for field in dataclasses.fields(whole)} == set(JoinRequest.__slots__)
    for request in (whole, JoinRequest("https://a.example", "s", "c", 0.0)):
        assert joining.decode_request(joining.encode_request(request)) == request
    ticket = Ticket(bytes(range(32)), "c" * 43, 1234.5)
    assert joining.decode_ticket(joining.encode_ticket(ticket)) == ticket


def test_the_store_is_asked_for_what_we_sealed_alone():
    """R45 [11.2]: a ticket for this very site; not for another, not of another purpose, not flipped."""
    ring = KNOWN.ring
    payload = joining.encode_ticket(Ticket(bytes(32), "c", 0.0))
    nonce = bytes(NONCE_BYTES)

    def answer(sealed: str) -> object:
        target = f"/.gateway/ticket?ticket={sealed}&state=x"
        return ask(KNOWN, target, *PAGE, host=b"shop.example.com")

    good = ring.seal(joining.ticket_purpose(SHOP), payload, nonce)
    assert isinstance(answer(good), TakeTicket)
    for bad in (
        ring.seal(joining.ticket_purpose(LOGIN), payload, nonce),
        ring.seal(f"session {SHOP}", payload, nonce),
        ring.seal(joining.ticket_purpose(SHOP), b"short", nonce),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good + "=",
        "",
    ):
        found = answer(bad)
        assert isinstance(found, Refuse)
        assert not isinstance(found, Need)
        assert found.reason == "ticket_refused"


def shared_session(known: RuntimeConfig) -> tuple[bytes, bytes]:
    """Return the Cookie field of a session that several sites have."""
    session = Session(
        session_id="S" * 43,
        provider="corporate",
        issuer="https://login.example.com",
        subject="alice",
        sid="op-1",
        claims={},
        scopes=frozenset(),
        login_at=NOW - 10,
        ends_at=NOW + 1000,
        seen_at=NOW - 10,
        renewed_at=NOW - 10,
        access_expires_at=NOW + 500,
        is_shared=True,
    )
    site = known.sites[b"shop.example.com"]
    sealed = known.ring.seal(site.purpose("session"), codec.encode_session(session), bytes(NONCE_BYTES))
    return b"Cookie", f"{site.session_cookie}={sealed}".encode()


@pytest.mark.parametrize("known", [KNOWN, DOMAIN])
@pytest.mark.parametrize("ended", [False, True])
def test_what_a_logout_ends(known: RuntimeConfig, *, ended: bool):
    """R43 [11.2]: by its sid also what tabs have begun in the very same moment.

    A copy of a session that has ended ends nothing that came after it.
    """
    denylist = Denylist()
    denylist.synchronised_at = NOW
    if ended:
        denylist.add(DenyEntry("session", "", "S" * 43, NOW + 1000, NOW + 1000))
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False, {Body(4096): b""})
    host = b"shop.example.com"
    fields = ((b"Host", host), shared_session(known))
    found = decide(
        Request(b"POST", b"/.gateway/logout", host, fields, "192.0.2.1"), knowledge, NOW, "request-1"
    )
    assert isinstance(found, Revoke)
    told = [(entry.kind, entry.value) for entry in found.entries]
    assert told == [("session", "S" * 43), *([] if ended else [("sid", "op-1")])]


def test_nobody_else_in_the_domain_sets_the_secret_of_a_login():
    """R39 [11.2]: with a cookie for a domain what a ticket is bound to is still __Host-, and is read so."""
    site = DOMAIN.sites[b"shop.example.com"]
    assert site.login_prefix == "__Host-gateway-login-"
    assert site.loop_cookie.startswith("__Host-")
    assert site.session_cookie == "__Secure-gateway-session"
    cookies = b"__Secure-gateway-login-x=1; __Host-gateway-login-y=2; __Secure-gateway-session=3"
    host = b"shop.example.com"
    request = Request(b"GET", b"/", host, ((b"Host", host), (b"Cookie", cookies)), "192.0.2.1")
    knowledge = Knowledge(DOMAIN, {}, Denylist(), Memory(), lambda _: None, lambda _: False, {})
    found = Context(request, knowledge, NOW, "request-1").cookies
    assert [name for name in found if name.startswith(site.login_prefix)] == ["__Host-gateway-login-y"]
    assert found[site.session_cookie] == "3"
