"""Decisions for proxies that ask: who may, about what, and what they are told."""

import base64
import dataclasses
from base64 import b64encode

import jwt
import pytest

from gateway.config.checks.asking import check_asking, warn_asking
from gateway.config.checks.every import CHECKS
from gateway.config.checks.problems import shown_path
from gateway.core.decide import decide, route_of
from gateway.core.decision.answers import Allow, Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.context import Context, Knowledge, Memory
from gateway.core.decision.needs import Need
from gateway.core.endpoints.asked import ASKERS, answered, meant
from gateway.core.headers.request import Header
from gateway.core.headers.rules import forwarded_of
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import RuntimeConfig, compile_settings
from tests.support.asking import (
    COOKIES,
    NAMES,
    PAGE,
    PROXY,
    RECORDS,
    ROUTES,
    WHOLE,
    asked,
    asks_under,
    compiled,
    originals,
)
from tests.support.decisions import ask, session_cookie
from tests.support.pure import HOST, NOW, request, settings


def knowledge_of(known: RuntimeConfig) -> Knowledge:
    """Return what a process knows that has just begun."""
    return Knowledge(known, {}, Denylist(), Memory(), lambda _: None, lambda _: False)


def test_nobody_asks_by_default():
    """[11.10]: without ``asked_by`` there are no such endpoints, and with it only those that it names."""
    some = compiled(asked_by=["traefik"])
    for known in (compile_settings(settings(*ROUTES, trusted_proxies=[PROXY])), some):
        answer = asked(b"nginx", "/public/x", known=known)
        assert isinstance(answer, Refuse)
        assert answer.reason in (Reason.ROUTE_UNKNOWN, Reason.HOST_UNKNOWN)


@pytest.mark.parametrize("name", ASKERS)
def test_originals_that_are_missing_or_come_twice(name: bytes):
    """[11.10]: 403 without any one of them, and with two of one; nothing of the asking stands in for it."""
    path, told, method = originals(name, b"/public/x")
    cases = [[each for each in told if each is not left] for left in told]
    cases += [[*told, twice] for twice in told] + [
        [(n, b"") if n == m else (n, v) for n, v in told] for m, _ in told
    ]
    for headers in cases:
        answer = ask(RECORDS, path.decode(), *headers, method=method, host=asks_under(name), peer=PROXY)
        assert answer.reason is Reason.ORIGINAL_UNREADABLE
    assert isinstance(
        ask(RECORDS, path.decode(), *told, method=method, host=asks_under(name), peer=PROXY), Allow | Refuse
    )


@pytest.mark.parametrize("name", [name for name in ASKERS if name != b"envoy"])
@pytest.mark.parametrize(
    ("scheme", "host", "target"),
    [
        (b"ftp", HOST, b"/x"),
        (b"", HOST, b"/x"),
        (b"https", b"", b"/x"),
        (b"https", b"a@app.example.com", b"/x"),
        (b"https", b"evil.example#app.example.com", b"/x"),
        (b"https", b"evil.example\\app.example.com", b"/x"),
        (b"https", b"app.example.com:99999", b"/x"),
        (b"https", b"a b", b"/x"),
        (b"https", HOST, b""),
        (b"https", HOST, b"*"),
        (b"https", HOST, b"x"),
        (b"https", HOST, b"?x"),
        (b"https", b"a" * 300, b"/x"),
    ],
)
def test_originals_that_are_garbage(name: bytes, scheme: bytes, host: bytes, target: bytes):
    """[11.10]: what cannot be read as one scheme, host and target is no original."""
    answer = asked(name, target.decode(), scheme=scheme, host=host)
    assert answer.reason is Reason.ORIGINAL_UNREADABLE


TARGETS = [
    "/public/x",
    "/public/../admin/x",
    "/public/%2e%2e/admin/x",
    "/public//admin",
    "/public/..;/admin",
    "/ADMIN/x",
    "/%61dmin/x",
    "/admin/x?y=/public/",
    "/x?next=/public/x",
    "/public/x#/admin",
    "/raw/a%2Fb",
    "/raw/..%2Fadmin",
    "/few/x",
    "/own/x",
    "/reject/x",
    "/optional/x",
    "/strong/x",
    "/",
    "/\u00e9",
    "/x" * 3000,
]
CREDENTIALS = ["nobody", "alice", "garbage", "twice", "bearer", "basic"]


def presented(known: RuntimeConfig, who: str) -> list[Header]:
    """Return the fields of whoever asks."""
    cookie = session_cookie(known, groups=["staff"], email="a@example.com")
    return {
        "nobody": [],
        "alice": [cookie],
        "garbage": [(b"Cookie", cookie[1][:-9] + b"AAAAAAAAA; app=1")],
        "twice": [cookie, cookie],
        "bearer": [(b"Authorization", b"Bearer nonsense")],
        "basic": [(b"Authorization", b"Basic YTpi")],
    }[who]


@pytest.mark.parametrize("name", [b"traefik", b"caddy", b"haproxy", b"envoy"])
@pytest.mark.parametrize("who", CREDENTIALS)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"TRACE", b"PROPFIND"])
def test_asked_is_decided(name: bytes, who: str, method: bytes):
    """[11.10] R56: whoever asks is told what would happen here, and lets through just what would go on."""
    for target in TARGETS:
        for more in (PAGE, ()):
            headers = (*presented(COOKIES, who), *more)
            here = ask(COOKIES, target, *headers, method=method)
            told = asked(name, target, *headers, method=method, known=COOKIES)
            if isinstance(here, Forward):
                assert isinstance(told, Allow)
                assert (told.status, told.reason, told.identity) == (200, here.reason, here.identity)
                assert told.route is here.route
            elif isinstance(here, Login):
                assert isinstance(told, Login)
                assert dataclasses.replace(told, client="") == dataclasses.replace(here, client="")
            elif isinstance(here, Need):
                assert type(told) is type(here)
            else:
                assert told == here


@pytest.mark.parametrize(
    "target", ["/.gateway/logout", "/.gateway/login?x", "/.g%61teway/userinfo", "/.gateway/"]
)
@pytest.mark.parametrize("name", WHOLE)
def test_own_endpoints_are_not_asked_about(name: bytes, target: str):
    """[11.10]: they are served here alone: nothing below them is let through, or done by asking."""
    assert asked(name, target, method=b"POST").reason is Reason.ROUTE_UNKNOWN
    assert asked(name, "/.gateway/decide/envoy/public/x").reason is Reason.ROUTE_UNKNOWN


def headers_of(answer: Answer | Need) -> dict[bytes, bytes]:
    """Return the fields of an answer that lets through; no name comes twice."""
    assert isinstance(answer, Allow)
    assert len({name.lower() for name, _ in answer.headers}) == len(answer.headers)
    return dict(answer.headers)


@pytest.mark.parametrize("name", [b"traefik", b"caddy", b"haproxy", b"envoy"])
def test_every_identity_name_is_in_the_answer(name: bytes):
    """[11.10] R53, GHSA-7r4p-vjf4-gxv4: with nothing where there is none, so that no client's survives."""
    forged = [(each, b"mallory") for each in (*NAMES, b"X-Who")]
    for target in ("/public/x", "/optional/x", "/own/x", "/sets/x"):
        told = headers_of(asked(name, target, *forged, known=COOKIES))
        assert {each: told[each] for each in (*NAMES, b"X-Who")} == dict.fromkeys((*NAMES, b"X-Who"), b"")
        assert b"mallory" not in b" ".join(told.values())
    alice = session_cookie(COOKIES, groups=["a", "b"], email="a@example.com")
    told = headers_of(asked(name, "/x", alice, *forged, known=COOKIES))
    assert [told[each] for each in NAMES] == [b"alice", b"a@example.com", b"a,b", b""]
    assert told[b"X-Who"] == b""
    told = headers_of(asked(name, "/own/x", alice, *forged, known=COOKIES))
    assert [told[each] for each in (*NAMES, b"X-Who")] == [b"", b"", b"", b"", b"alice"]


def test_no_secret_of_a_route_is_in_the_answer():
    """[11.10]: what an upstream knows the gateway by is the proxy's to set; no client may send it."""
    for name in ASKERS:
        answer = asked(name, "/sets/x")
        assert "s3cret" not in str(answer)
        assert asked(name, "/sets/x", (b"X-Secret", b"guess")).reason is Reason.IDENTITY_FORGED


@pytest.mark.parametrize(
    "name",
    [
        b"X_Forwarded_User",
        b"X_Forwarded_For",
        b"X-Forwarded_Proto",
        b"x-forwarded_email",
        b"X.Forwarded.Groups",
        b"X_Who",
        b"Remote-User",
        b"remote_user",
        b"X-Auth-Request-Email",
        b"X-Forwarded-Access-Token",
        b"X_Gateway_Assertion",
    ],
)
def test_cve_2025_64484_a_name_that_the_proxy_would_pass_on(name: bytes):
    """[11.10] R53, R82, CVE-2025-64484: it takes our names off alone, so any other is 400."""
    for asker in WHOLE:
        answer = asked(asker, "/public/x", (name, b"mallory"))
        assert isinstance(answer, Refuse)
        assert (answer.reason, status_of(answer.reason)) == (Reason.IDENTITY_FORGED, 400)
        assert "mallory" not in str(answer.detail)
    kept = compiled(client_headers={"keep": ["Remote-User"]})
    assert isinstance(asked(b"caddy", "/public/x", (b"Remote-User", b"bob"), known=kept), Allow)
    assert asked(b"caddy", "/public/x", (b"Remote_User", b"bob"), known=kept).reason is Reason.IDENTITY_FORGED


def test_r54_cookies_and_credentials_without_ours():
    """[11.10] R54: the application gets no session, and a bearer token only where its route passes it."""
    cookie, value = session_cookie(COOKIES)
    mixed = (cookie, b"a=1; " + value + b"; b=2"), (cookie, b"c=3"), (b"Authorization", b"Basic YTpi")
    for name in (b"traefik", b"caddy", b"haproxy", b"envoy"):
        told = headers_of(asked(name, "/x", *mixed, known=COOKIES))
        assert told[b"X-Gateway-Cookie"].replace(b" ", b"") == b"a=1;b=2;c=3"
        assert told[b"X-Gateway-Authorization"] == b""
        assert (told.get(b"Cookie") is not None) is ASKERS[name].by_name
        told = headers_of(asked(name, "/pass/x", *mixed, known=COOKIES))
        assert told[b"X-Gateway-Authorization"] == b"Basic YTpi"
        told = headers_of(asked(name, "/x", session_cookie(COOKIES), known=COOKIES))
        assert told[b"X-Gateway-Cookie"] == b""
        assert b"Cookie" not in told


def test_what_upstreams_get_beside_identity_headers():
    """[11.9] [11.10]: a route's assertions and credentials go to the proxy as they would go upstream."""
    upstream = {"servers": ["http://127.0.0.1:3000"], "assertion": {"audience": "app"}}
    known = compiled(session={}, upstreams={"app": upstream})
    forged = (b"X-Gateway-Assertion", b"mallory"), (b"Authorization", b"Basic bWFsbG9yeQ==")
    for name in (b"traefik", b"caddy", b"haproxy", b"envoy"):
        told = headers_of(asked(name, "/basic/x", session_cookie(known), *forged, known=known))
        assert told[b"X-Gateway-Authorization"] == b"Basic " + base64.b64encode(b"alice:pw")
        assert told[b"X-Gateway-Assertion"].count(b".") == 2
        told = headers_of(asked(name, "/optional/x", *forged, known=known))
        assert (told[b"X-Gateway-Assertion"], told[b"X-Gateway-Authorization"]) == (b"", b"")


def test_sites_below_a_wildcard():
    """[11.2] [11.10]: asked about as any other; and what is one, nobody asks under the name of."""
    known = compiled(
        {"path": "/public/", "access": "public"},
        {"path": "/"},
        public_url=["https://*.apps.example.com"],
        login_host="https://login.example.com",
        session={},
    )
    host = b"wiki.apps.example.com"
    for name in (b"traefik", b"caddy", b"haproxy", b"envoy"):
        assert isinstance(asked(name, "/public/x", known=known, host=host), Allow)
        here = ask(known, "/x?y", *PAGE, host=host)
        told = asked(name, "/x?y", *PAGE, known=known, host=host)
        assert type(told) is type(here)
        assert told.reason is here.reason
    path, told_of, _ = originals(b"caddy", b"/public/x", host=host)
    answer = ask(known, path.decode(), *told_of, host=b"other.apps.example.com", peer=PROXY)
    assert answer.reason is Reason.ASKER_UNTRUSTED


def test_api_keys_stay_here():
    """[11.8] [11.10]: the field that brings one decides, and is taken off; another spelling would go on."""
    known = compiled({"path": "/", "access": "optional", "api_keys": True}, api_keys={})
    for name in WHOLE[1:]:
        told = headers_of(asked(name, "/x", known=known))
        assert told[b"X-API-Key"] == b""
        answer = asked(name, "/x", (b"x-api-key", b"gwk_garbage"), known=known)
        assert not isinstance(answer, Allow)
        assert answer.reason is not Reason.IDENTITY_FORGED
        assert asked(name, "/x", (b"X_API_Key", b"gwk_x"), known=known).reason is Reason.IDENTITY_FORGED
        assert isinstance(asked(name, "/public/x", (b"X-API-Key", b"theirs")), Allow)


def test_a_certificate_that_the_proxy_tells():
    """[11.7] [11.10]: the field decides, whatever other products call it, and the application sees none."""
    known = compiled(forwarding={"client_certificate": "Client-Cert"})
    for name in WHOLE[1:]:
        told = headers_of(asked(name, "/public/x", (b"Client-Cert", b":AAAA:"), known=known))
        assert told[b"Client-Cert"] == b""
        answer = asked(name, "/public/x", (b"Client_Cert", b":AAAA:"), known=known)
        assert answer.reason is Reason.IDENTITY_FORGED
        assert asked(name, "/public/x", (b"Client-Cert", b":AAAA:")).reason is Reason.IDENTITY_FORGED


def test_what_agents_are_told_is_not_asked_about():
    """[11.10] [11.11]: the metadata of a resource is the gateway's to give, and lets nobody through."""
    known = compiled({"path": "/mcp", "resource": {"scopes": ["api"]}}, {"path": "/"})
    path = "/.well-known/oauth-protected-resource/mcp"
    assert isinstance(ask(known, path), Respond)
    for name in WHOLE:
        answer = asked(name, path, known=known)
        assert isinstance(answer, Refuse | Respond)
        assert (answer.status if isinstance(answer, Respond) else status_of(answer.reason)) in (200, 404)
        assert isinstance(answer, Respond) is ASKERS[name].is_answer
    assert asked(b"nginx", path, known=known).status == 403


def test_envoy_is_told_what_to_take_off():
    """[11.10]: it would send empty fields on; they are named to be removed, which is stronger."""
    told = headers_of(asked(b"envoy", "/optional/x", known=COOKIES))
    gone = told[b"X-Envoy-Auth-Headers-To-Remove"].split(b",")
    assert set(gone) == {*NAMES, b"X-Who", b"Cookie", b"Authorization"}


def test_nginx_knows_two_statuses():
    """[11.10]: 401 where somebody may log in, else 403; what the client gets, the other endpoint says."""
    cases = [("/x", 401), ("/reject/x", 401), ("/a//b", 403), ("/.gateway/x", 403)]
    for name in (b"nginx", b"ingress-nginx"):
        for target, status in cases:
            answer = asked(name, target, *PAGE)
            assert isinstance(answer, Respond)
            assert (answer.status, answer.cookies, answer.location) == (status, (), None)
        assert isinstance(asked(name, "/public/x"), Allow)
    assert isinstance(asked(b"nginx/answer", "/x", *PAGE), Login)
    assert asked(b"nginx/answer", "/a//b").reason is Reason.PATH_AMBIGUOUS
    answer = asked(b"nginx/answer", "/public/x")
    assert isinstance(answer, Refuse)
    assert (answer.reason, status_of(answer.reason), answer.retry_after) == (Reason.DECIDED_ANEW, 503, 1)


@pytest.mark.parametrize("name", [b"nginx", b"nginx/answer", b"ingress-nginx"])
def test_r55_one_host_is_asked_about(name: bytes):
    """[11.10] R55, R57: where nginx names one, an original for any other is refused."""
    known = compiled(
        {"path": "/", "access": "public"}, {"path": "/", "access": "public", "hosts": ["open.test"]}
    )
    for wanted, host, is_good in (
        (b"app.example.com", HOST, True),
        (b"APP.example.com", HOST, True),
        (b"app.example.com", b"APP.example.com:8443", True),
        (b"app.example.com", b"open.test", False),
        (b"app.example.com", b"app.example.com.open.test", False),
        (b"", HOST, False),
        (b"open.test", b"open.test", True),
    ):
        path, told, _ = originals(name, b"/x", host=host)
        target = (path + b"?host=" + wanted).decode()
        answer = ask(known, target, *told, host=asks_under(name), peer=PROXY)
        assert (answer.reason is not Reason.ORIGINAL_UNREADABLE) is is_good, (wanted, host)


@pytest.mark.parametrize("name", ASKERS)
def test_no_answer_of_ours_lets_anything_through(name: bytes):
    """[11.10]: what the gateway would answer with 2xx is a refusal to who asks, whatever it will be."""
    context = Context(request(peer=PROXY), knowledge_of(RECORDS), NOW, "request-1")
    for status in (200, 204, 299):
        for reason in (Reason.USERINFO, Reason.SERVER_OPTIONS, Reason.PREFLIGHT):
            answer = answered(context, ASKERS[name], Respond(reason, status), ())
            if ASKERS[name].is_answer:
                assert answer == Respond(reason, status)
            else:
                assert isinstance(answer, Refuse | Respond)
                told = answer.status if isinstance(answer, Respond) else status_of(answer.reason)
                assert told in (403, 404)


PREFLIGHT = (b"Origin", b"https://spa.example.com"), (b"Access-Control-Request-Method", b"PUT")


@pytest.mark.parametrize("name", ASKERS)
def test_r65_no_preflight_is_let_through(name: bytes):
    """[11.10] R65: no proxy says whether it has a body, and none could send an answer that is 2xx."""
    for target in ("/cors/x", "/open-cors/x"):
        answer = asked(name, target, *PREFLIGHT, method=b"OPTIONS")
        assert not isinstance(answer, Allow)
        if name == b"nginx/answer" and target == "/cors/x":
            assert answer.status == 204
        else:
            assert answer.reason is Reason.ORIGIN_FORBIDDEN
    assert isinstance(asked(name, "/public/x", *PREFLIGHT, method=b"OPTIONS"), Allow | Refuse)


def test_r49_a_websocket_is_known_by_its_own_fields():
    """[11.10] R49: Upgrade ends at the proxy, so who asks about a handshake is known by Sec-WebSocket-Key."""
    alice, key = session_cookie(COOKIES), (b"Sec-WebSocket-Key", b"x3JJHMbDL1EzLkh9GBhXDw==")
    for name in (b"traefik", b"caddy", b"haproxy", b"envoy"):
        own = asked(name, "/x", alice, key, (b"Origin", b"https://app.example.com"), known=COOKIES)
        assert isinstance(own, Allow)
        for origin in ([], [(b"Origin", b"https://evil.example")]):
            foreign = asked(name, "/x", alice, key, *origin, known=COOKIES)
            assert foreign.reason is Reason.ORIGIN_FORBIDDEN


def test_r81_unsafe_methods_from_other_sites():
    """[11.10] R81: judged by the original's method."""
    alice, foreign = session_cookie(COOKIES), (b"Sec-Fetch-Site", b"cross-site")
    for name in (b"traefik", b"caddy", b"haproxy", b"envoy"):
        assert isinstance(asked(name, "/x", alice, foreign, known=COOKIES), Allow)
        answer = asked(name, "/x", alice, foreign, method=b"POST", known=COOKIES)
        assert answer.reason is Reason.ORIGIN_FORBIDDEN


@pytest.mark.parametrize("name", WHOLE)
def test_methods_that_nobody_knows(name: bytes):
    """[11.10]: they are refused here as they are anywhere."""
    for method in (b"get", b"LIST", b"G ET", b"CONNECT"):
        answer = asked(name, "/public/x", method=method)
        assert answer.reason in (Reason.METHOD_UNKNOWN, Reason.METHOD_UNSUPPORTED)
    listing = compiled(extra_methods=["LIST"])
    assert isinstance(asked(name, "/public/x", method=b"LIST", known=listing), Allow | Refuse)


@pytest.mark.parametrize("host", ["Host", "X-Forwarded-Host"])
@pytest.mark.parametrize("scheme", ["X-Forwarded-Proto", "none"])
@pytest.mark.parametrize("port", ["X-Forwarded-Port", "none"])
@pytest.mark.parametrize("name", ASKERS)
def test_whatever_forwarding_names(name: bytes, host: str, scheme: str, port: str):
    """[11.10]: scheme and host are the original's, whichever fields tell them elsewhere."""
    named = {"host": host, "scheme": scheme, "port": port}
    known = compiled({"path": "/", "access": "public"}, forwarding=named)
    lie = [(b"X-Forwarded-Port", b"8443"), (b"Forwarded", b"for=1.2.3.4;host=evil.example;proto=http")]
    answer = asked(name, "/public/x", *lie, known=known)
    assert isinstance(answer, Allow) or answer.reason is Reason.DECIDED_ANEW
    path, told, method = originals(name, b"/public/x?y")
    asking = request(
        *told, (b"X-Forwarded-For", b"203.0.113.9"), *lie, method=method, host=asks_under(name), peer=PROXY
    )
    asking.target = path
    knowledge = knowledge_of(known)
    assert not isinstance(decide(asking, knowledge, NOW, "request-1"), Need)
    original = meant(asking)
    forwarded = forwarded_of(original, known.rules)
    assert (forwarded.host, forwarded.proto, forwarded.client) == (HOST, "https", "203.0.113.9")
    assert (original.method, original.target) == (b"GET", b"/public/x?y")
    found = route_of(asking, knowledge)
    assert found is not None
    assert found.path == b""


def test_an_unreadable_address_is_a_refusal():
    """[11.10] R64: nobody is taken for the proxy."""
    for name in WHOLE:
        path, told, method = originals(name, b"/public/x")
        answer = ask(
            RECORDS,
            path.decode(),
            *told,
            (b"X-Forwarded-For", b"garbage"),
            method=method,
            peer=PROXY,
            host=asks_under(name),
        )
        assert answer.reason is Reason.FORWARDING_UNREADABLE


REFUSED = [
    ({"asked_by": ["nginx"]}, ["asked_by[0]"]),
    ({"asked_by": ["traefik", "ingress-nginx"]}, ["asked_by[1]"]),
    ({"asked_by": ["nginx"], "session": {"mode": "redis"}}, []),
    ({"asked_by": ["caddy", "caddy"]}, ["asked_by[1]"]),
    ({"asked_by": ["caddy"], "trusted_proxies": []}, ["asked_by"]),
    (
        {
            "asked_by": ["caddy"],
            "forwarding": {"address": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
        },
        ["forwarding.scheme", "forwarding.host"],
    ),
    ({"asked_by": ["caddy"], "identity_headers": {"x_gateway_cookie": "sub"}}, ["asked_by"]),
]


@pytest.mark.parametrize(("changes", "expected"), REFUSED)
def test_what_check_refuses(changes: dict, expected: list[str]):
    """[11.10]: nginx with sessions in cookies, and asking without anybody who is believed."""
    found = check_asking(settings(**{"trusted_proxies": [PROXY], **changes}))
    assert [shown_path(problem.path) for problem in found] == expected


def test_what_check_warns_of():
    """[11.10]: what only the gateway's own forwarding does."""
    routes = (
        {"path": "/", "preflight": "forward"},
        {"path": "/a/", "strip_prefix": True},
        {"path": "/b/", "replace_prefix": "/c/"},
    )
    more = {"trusted_proxies": [PROXY], "forwarding": {}}
    found = warn_asking(settings(*routes, asked_by=["caddy"], **more))
    told = [shown_path(problem.path) for problem in found]
    assert told == ["routes[0].preflight", "routes[1].strip_prefix", "routes[2].replace_prefix"]
    assert list(warn_asking(settings(*routes, **more))) == []
    assert check_asking in CHECKS


def test_check_names_what_the_files_do_not_replace():
    """[11.10] R53: a name that the proxy is not told of would stay as a client sends it."""
    upstream = {"servers": ["http://127.0.0.1:3000"], "assertion": {}}
    more = {
        "identity_headers": {"X-FORWARDED-USER": "sub", "X-Who": "email"},
        "upstreams": {"app": upstream},
        "api_keys": {},
        "trusted_proxies": [PROXY],
        "forwarding": {"client_certificate": "Client-Cert"},
    }
    routes = {"path": "/", "identity_headers": {"X-Name": "name"}}, {"path": "/a/"}
    told = [
        shown_path(problem.path) for problem in warn_asking(settings(*routes, asked_by=["caddy"], **more))
    ]
    assert told == [
        "identity_headers.X-Who",
        "routes[0].identity_headers.X-Name",
        "assertions.header",
        "api_keys.header",
        "forwarding.client_certificate",
    ]
    assert list(warn_asking(settings(*routes, **more))) == []


@pytest.mark.parametrize("name", ASKERS)
def test_who_has_to_choose_is_sent_to_the_page_for_that(name: bytes):
    """[11.4] [11.10]: through each proxy as a login is, and nothing is let through by it."""
    provider = {"client_id": "w", "client_secret": "s", "audiences": ["a"]}
    providers = {key: {**provider, "issuer": f"https://{key}.example.com"} for key in ("one", "two")}
    known = compiled(providers=providers, choose_provider=True)
    answer = asked(name, "/x", *PAGE, known=known)
    assert isinstance(answer, Respond)
    assert answer.reason is Reason.LOGIN_REQUIRED
    if ASKERS[name].is_whole or ASKERS[name].is_answer:
        url = f"https://{HOST.decode()}/.gateway/login?return_to=/x"
        assert (answer.status, answer.location) == (303, url)
    else:
        assert (answer.status, answer.location) == (401, None)


def test_what_is_made_of_a_caller_is_in_the_answer():
    """[11.9] [11.10]: assertion and Authorization of the gateway's making, for who is known alone."""
    known = compiled(
        {
            "path": "/old/",
            "access": "optional",
            "authorization": {"basic": {"username": "sub", "password": "x"}},
        },
        {"path": "/"},
        session={},
        upstreams={"app": {"servers": ["http://127.0.0.1:3000"], "assertion": {}}},
    )
    assert known.signing is not None
    keys = jwt.PyJWKSet.from_dict({"keys": known.signing.published(NOW)})
    for name in (b"traefik", b"caddy", b"haproxy", b"envoy"):
        forged = (b"X-Gateway-Assertion", b"forged"), (b"Authorization", b"Basic Zm9yZ2Vk")
        told = headers_of(asked(name, "/old/x", session_cookie(known), *forged, known=known))
        assert told[b"X-Gateway-Authorization"] == b"Basic " + b64encode(b"alice:x")
        assertion = told[b"X-Gateway-Assertion"].decode()
        key = keys[jwt.get_unverified_header(assertion)["kid"]]
        claims = jwt.decode(
            assertion, key, ["ES256"], audience="app", options={"verify_exp": False, "verify_iat": False}
        )
        assert claims["sub"] == "alice"
        told = headers_of(asked(name, "/old/x", *forged, known=known))
        assert (told[b"X-Gateway-Assertion"], told[b"X-Gateway-Authorization"]) == (b"", b"")


def test_check_warns_of_fields_that_the_proxy_has_to_set():
    """[11.9] [11.10]: a secret that the gateway alone knows is no use where another one forwards."""
    routes = ({"path": "/", "request_headers": {"X-A": "1"}, "response_headers": {"X-B": "2"}},)
    found = warn_asking(settings(*routes, trusted_proxies=[PROXY], asked_by=["caddy"]))
    assert [shown_path(each.path) for each in found] == [
        "routes[0].request_headers",
        "routes[0].response_headers",
    ]
