"""Targets in one reading, and the routes that they lead to."""

import unicodedata
from urllib.parse import quote, unquote

import pytest

from gateway.config.checks.every import warn as warnings
from gateway.core.rules.routes import compile_routes
from gateway.core.runtime import compile_settings
from gateway.edge.configfile.load import load_settings
from gateway.syntax.targets import Target, canonicalise, loose_reading
from tests.support.configuration import READY, TREE, environment, with_secrets
from tests.support.pure import HOST, settings


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a/b/", b"/a/b/", b""),
        (b"/a?b=/../c", b"/a", b"?b=/../c"),
        (b"/a?", b"/a", b"?"),
        (b"/a??x", b"/a", b"??x"),
        (b"/%61dmin/", b"/admin/", b""),
        (b"/caf%c3%a9", b"/caf%C3%A9", b""),
        (b"/caf%E9", b"/caf%E9", b""),
        (b"/%e3%83%86", b"/%E3%83%86", b""),
        (b"/a%20b%2Bc%2c", b"/a%20b%2Bc%2C", b""),
        (b"/%7Euser", b"/~user", b""),
        (b"/100%25", b"/100%25", b""),
        (b"/wiki/C%23", b"/wiki/C%23", b""),
        (b"/a;v=1/b", b"/a;v=1/b", b""),
        (b"/a;jsessionid=1", b"/a;jsessionid=1", b""),
        (b"/.well-known/x", b"/.well-known/x", b""),
        (b"/...", b"/...", b""),
        (b"/a..b/..c/d..", b"/a..b/..c/d..", b""),
        (b"/[id]/@me/x:y", b"/[id]/@me/x:y", b""),
        (b"/a?100%&x={}|^`\\'", b"/a", b"?100%&x={}|^`\\'"),
    ],
)
def test_canonical(target: bytes, path: bytes, query: bytes):
    """R56: one reading, in normal form, with the query as it came."""
    assert canonicalise(target) == Target(path, query)


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"*",
        b"a",
        b"?x",
        b"http://app.example.com/",
        b"//",
        b"//evil.example/",
        b"/a//b",
        b"/a//",
        b"/.",
        b"/..",
        b"/./a",
        b"/a/.",
        b"/a/../b",
        b"/a/..",
        b"/public/%2e%2e/x",
        b"/public/.%2E/x",
        b"/a%2ejpg",
        b"/%2f",
        b"/a%2Fb",
        b"/a%5cb",
        b"/a\\b",
        b"/%00",
        b"/%0d%0aSet-Cookie:x",
        b"/%1f",
        b"/%7f",
        b"/public/%252e%252e/x",
        b"/%25%32%65%25%32%65/x",
        b"/%25252e",
        b"/%255c",
        b"/%",
        b"/%a",
        b"/%zz",
        b"/%u002e",
        b"/a%2",
        b"/%c0%ae%c0%ae/",
        b"/%C1%9C",
        b"/%e0%80%af",
        b"/%f0%80%80%af",
        b"/;",
        b"/;x/a",
        b"/public/;/x",
        b"/..;/admin",
        b"/a/..;x=1/b",
        b"/.;/a",
        b"/a/;v=1",
        b"/..%3b/a",
        b"/%3bx/a",
        b"/..%23",
        b"/a/..%3fx",
        b"/a/.%3f",
        b"/a/..%20/b",
        b"/a/..%20%20",
        b"/a/..%20;x/b",
        b"/a#b",
        b"/a?b#c",
        b"/a b",
        b"/a?b c",
        b"/a\tb",
        b"/a\x00",
        b"/a\xc3\xa9",
        b"/a?\xe9",
        b"/a?\x7f",
        b'/a"b',
        b"/<a>",
        b"/{a}",
        b"/a|b",
        b"/a^b",
        b"/a`b",
        b"/a?<script>",
        b'/a?"',
    ],
)
def test_ambiguous(target: bytes):
    """R56, CVE-2026-41059, CVE-2026-33494: what can be read in two ways has no reading."""
    assert canonicalise(target) is None


@pytest.mark.parametrize(
    ("path", "loose"),
    [
        (b"/a", b"/a"),
        (b"/Admin/X", b"/admin/x"),
        (b"/admin;x=1/a;b", b"/admin/a"),
        (b"/admin%23x/b", b"/admin"),
        (b"/admin%3Fx", b"/admin"),
        (b"/admin%3Bx", b"/admin"),
        (b"/a%2Bb", b"/a+b"),
        (b"/%C3%84DMIN", "/ädmin".encode()),
        (b"/%C3%A4dmin", "/ädmin".encode()),
        (b"/stra%C3%9Fe", b"/strasse"),
        (b"/%E2%84%AAey", b"/key"),
        (b"/%FFA", b"/\xffa"),
        (b"/%C3", b"/\xc3"),
    ],
)
def test_loose_reading(path: bytes, loose: bytes):
    """What the laxest upstream could make of a canonical path."""
    assert canonicalise(path) == Target(path, b"")
    assert loose_reading(path) == loose


TABLE = compile_routes(
    settings(
        {"path": "/"},
        {"path": "/api/"},
        {"path": "/api/v1"},
        {"path": "/api/v1/upload", "methods": ["POST"], "name": "upload"},
        {"path": "/hook/", "methods": ["GET"], "access": "public", "name": "hook GET"},
        {"path": "/hook", "name": "hook"},
        {"path": "/wiki/"},
        {"path": "/a+b"},
        {"path": "/", "hosts": ["*.tenant.example"], "name": "tenants"},
        {"path": "/", "hosts": ["one.tenant.example"], "name": "tenant one"},
        {"path": "/api", "hosts": ["*.tenant.example"], "name": "tenants' api"},
        {"path": "/", "hosts": ["port.example:8443"], "name": "port"},
        {"path": "/only", "hosts": ["app.example.com"], "name": "only here"},
        {"path": "/everywhere"},
    )
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/apix", "/"),
        ("/api", "/api/"),
        ("/api/", "/api/"),
        ("/api/x/y", "/api/"),
        ("/api/v1", "/api/v1"),
        ("/api/v1/x", "/api/v1"),
        ("/api/v10", "/api/"),
        ("/api/v1/upload", "/api/v1"),
        ("POST /api/v1/upload/x", "upload"),
        ("/hook", "hook GET"),
        ("HEAD /hook/x", "hook GET"),
        ("POST /hook/x", "hook"),
        ("OPTIONS /hook/x", "hook"),
        ("/only", "only here"),
        ("/" + "a/" * 200, "/"),
        ("/api/" + "a/" * 200, "/api/"),
        ("/Readme.MD", "/"),
        ("/x;v=1", "/"),
        ("/api/x;v=1", "/api/"),
        ("/api/A%20B", "/api/"),
        ("/wiki/C%23", "/wiki/"),
        ("/wiki/Who%3F", "/wiki/"),
        ("/a+b/c", "/a+b"),
    ],
)
def test_match(path: str, name: str):
    """The longest prefix on segment boundaries wins, then the method-specific route."""
    method, _, path = ("GET " + path if path.startswith("/") else path).partition(" ")
    route = TABLE.match(HOST, path.encode(), method.encode())
    assert route is not None
    assert route.name == name


@pytest.mark.parametrize(
    "path", ["/API/x", "/Api", "/api;x/y", "/api%23x", "/api%3Fx", "/api%3Bx/y", "/a%2Bb/c", "/HOOK/x"]
)
def test_r56_a_laxer_upstream_gets_nothing_by_another_rule(path: str):
    """R56: where the upstream could read a path that another route guards, there is no route."""
    assert TABLE.match(HOST, path.encode(), b"GET") is None


GUARDED = [
    *((path, path) for path in ("/Admin/", "/admin/", "/ADMIN", "/aDmin/x/")),
    ("/%C3%84dmin/", "/Ädmin/"),
    ("/%C3%A4dmin/", "/ädmin/"),
    ("/v1/Stra%C3%9Fe", "/v1/Straße"),
    ("/Caf%C3%A9/Caisse", "/Café/Caisse"),
]


def spellings(text: str) -> list[bytes]:
    """Return what a client may write for a path that an upstream without case takes for the same path."""
    cases = {text, text.lower(), text.upper(), text.swapcase(), text.title(), text.casefold()}
    cases |= {text[:at] + text[at].swapcase() + text[at + 1 :] for at in range(len(text))}
    plain = [quote(each).encode() for each in cases]
    escaped = [
        b"".join(b"%%%02x" % byte if byte != 0x2F else b"/" for byte in each.encode()) for each in cases
    ]
    return [
        each + more
        for each in (*plain, *escaped)
        for more in (b"", b"x", b"/x", b";v=1", b"/x;v=1", b"%3Fx", b"%23x")
    ]


@pytest.mark.parametrize(("path", "text"), GUARDED)
def test_r88_no_spelling_opens_a_guarded_path(path: str, text: str):
    """R88 [1.30]: beside a public ``/``, nothing that may be taken for the guarded path is public."""
    table = compile_routes(
        settings({"path": "/", "access": "public", "name": "open"}, {"path": path, "name": "guarded"})
    )
    asked = 0
    for spelling in spellings(text):
        target = canonicalise(spelling)
        if target is None:
            continue
        below = loose_reading(target.path)
        if not (below + b"/").startswith(loose_reading(path.encode()).rstrip(b"/") + b"/"):
            continue
        asked += 1
        for method in (b"GET", b"POST"):
            route = table.match(HOST, target.path, method)
            assert route is None or route.name == "guarded", spelling
    assert asked > 20
    canonical = table.match(HOST, path.encode().rstrip(b"/") + b"/x", b"GET")
    assert canonical is not None
    assert canonical.name == "guarded"


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize(("path", "text"), GUARDED)
def test_r88_no_form_of_letters_opens_a_guarded_path(path: str, text: str, form: str):
    """R88 [1.30]: nor letters that are put together otherwise, wider than usual, or with invisible ones."""
    table = compile_routes(
        settings({"path": "/", "access": "public", "name": "open"}, {"path": path, "name": "guarded"})
    )
    text = text.rstrip("/")
    wide = "".join(chr(ord(sign) + 0xFEE0) if sign.isascii() and sign.isalpha() else sign for sign in text)
    invisible = [text[:2] + sign + text[2:] for sign in "\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0f"]
    for each in (text, text.swapcase(), wide, wide.swapcase(), *invisible):
        spelt = unicodedata.normalize(form, each) if each != wide else each
        for more in ("", "/x", "/x/ä", "\uff0fx", "\uff1bv=1", "\uff1fx"):
            target = canonicalise(quote(spelt + more).encode())
            assert target is not None
            route = table.match(HOST, target.path, b"GET")
            assert route is None or route.name == "guarded", (spelt, more)


@pytest.mark.parametrize(
    "target",
    [
        "/public/\uff0e\uff0e/admin",
        "/public/.\u200b./admin",
        "/public/\u2025/admin",
        "/public/\uff0e",
        "/public\uff0f\uff0e\uff0e\uff0fadmin",
        "/a/\u200b..\uff3cx",
    ],
)
def test_r56_dots_that_normalisation_makes(target: str):
    """R56: what is a dot segment to whoever normalises letters has more than one reading."""
    assert canonicalise(quote(target).encode()) is None


@pytest.mark.parametrize("ready", READY)
def test_r88_every_spelling_of_every_shipped_route(ready: str, monkeypatch, tmp_path):
    """R88 [1.30]: in each shipped configuration a spelling of a route's path leads there, or nowhere."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    configured = load_settings(with_secrets(TREE / ready, tmp_path))
    table = compile_routes(configured)
    for route in table.routes:
        host = route.hosts[0] if route.hosts else next(iter(table.sites))
        for spelling in spellings(unquote(route.path.decode()) or "/"):
            target = canonicalise(spelling)
            if target is None or not loose_reading(target.path).startswith(loose_reading(route.path)):
                continue
            below = loose_reading(target.path) + b"/"
            guards = max(
                (
                    loose_reading(each.path)
                    for each in table.routes
                    if below.startswith(loose_reading(each.path) + b"/")
                ),
                key=len,
                # beside every route, as below a name that only begins alike
                default=b"",
            )
            found = table.match(host, target.path, b"GET")
            assert found is None or loose_reading(found.path) == guards, spelling


def test_a_path_in_upper_case_is_warned_of():
    """R88 [1.30]: ``check`` says that other spellings are refused, and where two rules are for one path."""
    found = [str(each) for each in warnings(settings({"path": "/"}, {"path": "/Admin/"}))]
    assert [each for each in found if "spellings" in each]
    for hosts in ([None, None], [["a.example.com"], ["*.example.com"]], [["a.b"], ["a.b:8443"]]):
        twins = [
            {"path": path, "hosts": each} for path, each in zip(("/Admin/", "/admin/"), hosts, strict=True)
        ]
        found = [str(each) for each in warnings(settings(*twins))]
        assert [each for each in found if "another case" in each]
    apart = [{"path": "/Admin/", "hosts": ["a.b"]}, {"path": "/admin/", "hosts": ["c.b"]}]
    assert not [each for each in warnings(settings(*apart)) if "another case" in str(each)]
    for path, is_told in (("/%C3%84/", True), ("/caf%C3%A9/", False), ("/a%25b/", False)):
        found = [str(each) for each in warnings(settings({"path": path}))]
        assert any("spellings" in each for each in found) == is_told, path
    assert not [
        each for each in warnings(settings({"path": "/admin/"}, {"path": "/"})) if "case" in str(each)
    ]


def test_paths_that_differ_in_case_only():
    """Both may be configured; only the spellings that are configured lead anywhere."""
    table = compile_routes(settings({"path": "/"}, {"path": "/API"}, {"path": "/api"}))
    for path, name in ((b"/API/x", "/API"), (b"/api/x", "/api"), (b"/api/X", "/api")):
        route = table.match(HOST, path, b"GET")
        assert route is not None
        assert route.name == name
    assert table.match(HOST, b"/Api/x", b"GET") is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"app.example.com", "/"),
        (b"app.example.com:443", "/"),
        (b"app.example.com:8443", "/"),
        (b"app.example.com:80", "/"),
        (b"evil.example", None),
        (b"", None),
        (b"*.tenant.example", "tenants"),
        (b"two.tenant.example", "tenants"),
        (b"two.tenant.example:443", "tenants"),
        (b"two.tenant.example:8443", "tenants"),
        (b":443", None),
        (b"one.tenant.example", "tenant one"),
        (b"tenant.example", None),
        (b".tenant.example", None),
        (b"a.b.tenant.example", None),
        (b"port.example:8443", "port"),
        (b"port.example", None),
        (b"port.example:8444", None),
        (b"[::1]:8080", None),
        (b"app.example.com.", None),
        (b"app.example.com@evil.example", None),
    ],
)
def test_hosts(host: bytes, name: str | None):
    """R55 [3.7]: exact hosts before wildcards of one label, these before none; without a port, every port."""
    route = TABLE.match(host, b"/", b"GET")
    assert (route.name if route else None) == name
    assert TABLE.knows(host) == (name is not None)


def test_a_longer_path_comes_before_a_nearer_host():
    """The wildcard's /api guards it on the host that has a route of its own for /."""
    route = TABLE.match(b"one.tenant.example", b"/api/x", b"GET")
    assert route is not None
    assert route.name == "tenants' api"


@pytest.mark.parametrize(
    "host", [HOST, b"one.tenant.example", b"two.tenant.example:443", b"port.example:8443"]
)
def test_a_route_for_all_hosts_guards_all_hosts(host: bytes):
    """A rule for one host opens nothing that a rule without hosts guards, whatever Host says."""
    route = TABLE.match(host, b"/everywhere/x", b"GET")
    assert route is not None
    assert route.name == "/everywhere"


def test_a_known_host_without_a_route_for_the_path():
    """404 and not 421: the host is known, the path is not."""
    table = compile_routes(settings({"path": "/only", "hosts": ["api.example"]}))
    for host in (HOST, b"api.example"):
        assert table.knows(host)
        assert table.match(host, b"/other", b"GET") is None
    assert table.match(b"api.example", b"/only", b"GET") is not None
    assert table.match(HOST, b"/only", b"GET") is None


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "http://localhost:8080",
        "http://LOCALHOST/",
        "https://[::1]:8443",
        "http://[::1]",
    ],
)
def test_sites_are_those_of_the_cookies(url: str):
    """The authorities that routes apply to are exactly those that sessions exist for."""
    configured = settings(public_url=[url])
    assert compile_routes(configured).sites == set(compile_settings(configured).sites)


def test_memories_are_bounded():
    """However many hosts a wildcard is asked for, little is remembered."""
    table = compile_routes(settings({"path": "/", "hosts": ["*.tenant.example"]}))
    for index in range(3000):
        assert table.knows(b"t%d.tenant.example" % index)
        assert not table.knows(b"t%d.evil.example" % index)
    assert len(table._hosts) <= 1024
    assert len(table._tables) == 1


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        (({"path": "/a/../b"},), "not a canonical path"),
        (({"path": "/%61"},), "not a canonical path"),
        (({"path": "/a?x"},), "no query"),
        (({"path": "a"},), "begins with /"),
        (({"path": "/caf\u00e9"},), "not a canonical path"),
        (({"path": "/a;v=1"},), "no ;"),
        (({"path": "/", "access": "public", "require": {"groups": ["a"]}},), "nothing can be required"),
        (({"path": "/", "access": "optional", "require": {"groups": ["a"]}},), "passes an optional route"),
        (({"path": "/", "require": {}},), "requires nothing"),
        (({"path": "/a"}, {"path": "/a/"}), "has the same path"),
        (
            ({"path": "/a", "methods": ["GET", "PUT"]}, {"path": "/a", "methods": ["HEAD"]}),
            "has the same path",
        ),
        (({"path": "/a", "hosts": ["x", "Y"]}, {"path": "/a", "hosts": ["y"]}), "has the same path"),
        (({"path": "/", "rate_limit": "nobody's"},), "no such name"),
        (({"path": "/", "provider": "one", "providers": ["two"]},), "one of providers"),
    ],
)
def test_gaps_are_refused(routes: tuple[dict, ...], message: str):
    """[10.2]: empty never means allow, no rule is silently without effect, whoever compiles."""
    with pytest.raises(ValueError, match=message):
        compile_routes(settings(*routes))


def test_all_problems_at_once():
    """Each with the index and path of its route."""
    with pytest.raises(ValueError, match=r"routes\[0\].*\n.*routes\[1\]"):
        compile_routes(settings({"path": "/a//b"}, {"path": "/c", "require": {}}))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_host_without_a_port_is_for_every_port(reverse: bool):
    """R55 [3.7]: as documented; a rule that names the port is nearer, whichever comes first."""
    routes = [
        {"path": "/", "hosts": ["app.example.com", "[::1]", "*.tenant.example"], "name": "any"},
        {"path": "/", "hosts": ["app.example.com:8443", "[::1]:8443"], "name": "port"},
    ]
    table = compile_routes(settings(*(reversed(routes) if reverse else routes)))
    for host, name in {
        b"app.example.com": "any",
        b"app.example.com:443": "any",
        b"app.example.com:9": "any",
        b"app.example.com:8443": "port",
        b"[::1]": "any",
        b"[::1]:9": "any",
        b"[::1]:8443": "port",
        b"a.tenant.example:9": "any",
        b"a.b.tenant.example:9": None,
        b"other.example:8443": None,
        b"app.example.com:8443:9": None,
    }.items():
        route = table.match(host, b"/", b"GET")
        assert (route.name if route else None) == name, host
