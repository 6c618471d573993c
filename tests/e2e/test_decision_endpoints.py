"""Real proxies that ask for decisions and forward by themselves, with the very files of config/proxies/."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from tests.support.dpop import proof, thumbprint
from tests.support.fronts import FRONTS, SHIPPED, Front, FrontBrowser, FrontWorld, behind, raw
from tests.support.world import NAVIGATE, Page

ROUTES = [
    {"path": "/", "upstream": "app", "access": "public", "hosts": ["open.test"], "name": "open"},
    {"path": "/public/", "upstream": "app", "access": "public"},
    {"path": "/optional/", "upstream": "app", "access": "optional"},
    {
        "path": "/api/",
        "upstream": "app",
        "access": "required",
        "unauthenticated": "reject",
        "require": {"scopes": ["api"]},
    },
    {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
    {"path": "/strong/", "upstream": "app", "access": "required", "require": {"acr": ["mfa"]}},
    {"path": "/pass/", "upstream": "app", "access": "public", "authorization": "pass"},
    {"path": "/few/", "upstream": "app", "access": "public", "rate_limit": "few"},
    {"path": "/", "upstream": "app", "access": "required"},
]
LIMITS = {"few": {"requests": 2, "per": "1h", "by": "address"}}
IDENTITY = ("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username")
FORGED = dict.fromkeys(IDENTITY, "mallory")
PATIENCE = 20.0


@pytest.fixture(params=list(FRONTS))
def front(request: pytest.FixtureRequest) -> Front:
    """Each kind of proxy that is here."""
    found = FRONTS[request.param]
    if found.program is None:
        pytest.skip(f"{found.name} is not installed ({found.package})")
    return found


@pytest.fixture
async def world(front: Front, valkey_url: str, tmp_path) -> AsyncIterator[FrontWorld]:
    """A gateway that such a proxy asks."""
    async with behind(front, valkey_url, tmp_path, routes=ROUTES, rate_limits=LIMITS) as started:
        yield started


async def log_out(browser: FrontBrowser) -> Page:
    """Submit the logout form of a page that a person has opened."""
    headers = {**NAVIGATE, "Origin": browser.world.base}
    return await browser.request("POST", "/.gateway/logout", follow=True, headers=headers)


async def test_logging_in_and_what_the_application_gets(world: FrontWorld):
    """[11.10] R54: a login through the proxy, back to the page; then who it is, and nothing of ours."""
    browser = world.browser()
    page = await browser.login("/page?x=1&y=%20")
    assert (page.status, page.url.origin()) == (200, URL(world.base))
    assert page.text == "hello alice GET /page?x=1&y=%20 0"
    browser.jar.update_cookies({"app": "1"}, URL(world.base))
    basic = {"Authorization": "Basic YTpi", **FORGED}
    page = await browser.fetch("/x", headers=basic)
    assert page.status == 200
    assert [world.told(name) for name in IDENTITY] == [
        ["alice"],
        ["alice@example.com"],
        ["admins"],
        ["alice"],
    ]
    assert world.told("Cookie") == ["app=1"]
    assert world.told("Authorization") in ([], [""])
    assert (await browser.fetch("/pass/x", headers=basic)).status == 200
    assert world.told("Authorization") == ["Basic YTpi"]
    body = b"x" * 200_000
    page = await browser.fetch("/x", method="POST", data=body, headers={"Origin": world.base})
    assert page.text == f"hello alice POST /x {len(body)}"
    told = [line for line in world.audit("request") if line["path"] == "/x" and line["decision"] == "allow"]
    assert [(line["method"], line["host"], line["subject"]) for line in told] == [
        (method, world.base.removeprefix("https://"), "alice") for method in ("GET", "POST")
    ]


async def test_a_session_is_renewed_through_it(world: FrontWorld):
    """[11.10] R32, R33, R59: many at once, then again; all cookies arrive, the application's too."""
    browser = world.browser()
    await browser.login()
    world.upstream.headers = [("Set-Cookie", "app=2; Path=/"), ("Cache-Control", "public, max-age=60")]
    for generation in range(1, 4):
        world.clock.advance(world.provider.access_lifetime + 60)
        pages = await asyncio.gather(*(browser.fetch(f"/x?{index}") for index in range(8)))
        assert [page.status for page in pages] == [200] * 8
        assert all(page.text.startswith("hello alice") for page in pages)
        assert any(any("gateway-session=" in line for line in page.set_cookies) for page in pages)
        assert all(any(line.startswith("app=2") for line in page.set_cookies) for page in pages)
        assert world.provider.counts["token:refresh_token"] == generation
        for page in pages:
            carries = any("gateway-session=" in line for line in page.set_cookies)
            kept = page.headers.getall("Cache-Control")
            assert kept == ["public, max-age=60"] or carries
            # Traefik copies nothing but cookies of a decision that lets through
            assert "private" in str(kept) or not carries or world.front.name == "traefik"
        # the browser shows what it was given, which makes the rotation complete
        assert (await browser.fetch("/x")).status == 200
    assert [event["generation"] for event in world.audit("refresh")] == [1, 2, 3]
    assert world.audit("reuse_detected") == []


@pytest.mark.parametrize(("name", "mode"), [("nginx", "redis"), ("caddy", "cookie"), ("caddy", "redis")])
async def test_two_gateways_that_are_asked_in_turn(name: str, mode: str, valkey_url: str, tmp_path):
    """[11.10] R32: whichever is asked knows the session, one of them renews it, and both hear of its end."""
    front = FRONTS[name]
    if front.program is None:
        pytest.skip(f"{front.name} is not installed ({front.package})")
    session = {"mode": mode, "rotation_grace": "60s"}
    async with behind(
        front, valkey_url, tmp_path, gateways=2, routes=ROUTES, session=session, rate_limits=LIMITS
    ) as world:
        browser = world.browser()
        await browser.login()
        for generation in (1, 2):
            world.clock.advance(world.provider.access_lifetime + 60)
            pages = await asyncio.gather(*(browser.fetch(f"/x?{index}") for index in range(12)))
            assert [page.status for page in pages] == [200] * 12
            assert world.provider.counts["token:refresh_token"] == generation
            assert [(await browser.fetch("/x")).status for _ in range(4)] == [200] * 4
        thief = browser.clone()
        await log_out(browser)
        for each in (browser, thief):
            assert [(await each.fetch("/x")).status for _ in range(4)] == [401] * 4
        assert world.audit("reuse_detected") == []


async def test_one_login_for_many_sites(valkey_url: str, tmp_path):
    """[11.2] [11.10]: over login_host and back by a ticket, though it is a proxy that asks."""
    front = FRONTS["caddy"]
    if front.program is None:
        pytest.skip(f"{front.name} is not installed ({front.package})")
    world = FrontWorld(front, valkey_url, tmp_path, routes=ROUTES, rate_limits=LIMITS)
    login_host = f"https://login.localhost:{world.port}"
    world.override |= {"login_host": login_host}
    async with world:
        world.provider.redirect_uris = (f"{login_host}/.gateway/callback",)
        browser = world.browser()
        page = await browser.login("/page?x=1")
        assert (page.text, page.url.host) == ("hello alice GET /page?x=1 0", "localhost")
        assert "gateway-session" not in str(world.told("Cookie"))
        world.clock.advance(world.provider.access_lifetime + 60)
        assert [(await browser.fetch("/x")).status for _ in range(2)] == [200, 200]


async def test_large_cookies_of_the_application(world: FrontWorld):
    """[11.10] R54: as much of them as the application takes goes there and back, around a session."""
    alice = world.browser()
    await alice.login()
    theirs = [f"app{index}={'x' * 3900}" for index in range(2)]
    own = "; ".join(f"{name}={value}" for name, value in alice.cookies().items())
    assert await raw(world, "/x", f"Cookie: {theirs[0]}; {own}; {theirs[1]}") == 200
    assert world.told("Cookie") == ["; ".join(theirs)]


async def test_who_is_refused_is_told_so(world: FrontWorld):
    """[11.10]: scripts get a challenge, people a page, nobody the application."""
    nobody, bob = world.browser(), world.browser()
    for method in ("GET", "POST"):
        page = await nobody.fetch("/x", method=method)
        assert (page.status, json.loads(page.text)["reason"]) == (401, "credentials_missing")
        assert page.headers["WWW-Authenticate"].startswith("Bearer")
        assert json.loads(page.text)["login_url"].startswith(f"{world.base}/.gateway/login")
    assert (await nobody.fetch("/x", method="HEAD")).status == 401
    page = await nobody.fetch("/api/x", headers={"Authorization": "Bearer x"})
    assert (page.status, json.loads(page.text)["reason"]) == (401, "token_malformed")
    assert 'error="invalid_token"' in page.headers["WWW-Authenticate"]
    assert not world.upstream.seen
    token = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    page = await nobody.fetch("/api/x", headers=token)
    assert page.text == "hello alice GET /api/x 0"
    assert world.told("Authorization") in ([], [""])
    await bob.login("/", "bob")
    world.upstream.seen.clear()
    page = await bob.get("/admin/x", headers={"Accept-Language": "de"})
    assert page.status == 403
    assert page.headers["Content-Type"].startswith("text/html")
    assert "group_missing" in page.text
    assert "<li>die Gruppe admins</li>" in page.text
    assert "frame-ancestors" in page.headers["Content-Security-Policy"]
    page = await bob.fetch("/x", method="POST", headers={"Sec-Fetch-Site": "cross-site"})
    assert (page.status, json.loads(page.text)["reason"]) == (403, "origin_forbidden")
    assert not world.upstream.seen
    # nginx asks twice, so that is what it counts
    statuses = [(await nobody.fetch("/few/x")).status for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_a_stronger_login_and_a_logout_through_it(world: FrontWorld):
    """[11.10] R43: the step up leads back to the page; after the logout a copy of the cookies is nobody's."""
    browser = world.browser()
    await browser.login()
    page = await browser.get("/strong/x")
    assert "password" in page.text
    assert page.url.query["acr_values"] == "mfa"
    page = await browser.submit(page, username="alice", password="alice")
    assert (page.text, page.url.path) == ("hello alice GET /strong/x 0", "/strong/x")
    thief = browser.clone()
    assert (await thief.fetch("/x")).status == 200
    page = await log_out(browser)
    assert (page.status, page.url.path) == (200, "/.gateway/logged-out")
    world.upstream.seen.clear()
    for each in (browser, thief):
        page = await each.fetch("/x")
        assert page.status == 401
    assert any("Max-Age=0" in line for line in page.set_cookies)
    assert not world.upstream.seen
    assert "password" in (await browser.get("/x")).text


SPELLINGS = ("X_Forwarded_User", "x-forwarded_user", "X_FORWARDED_EMAIL", "X.Forwarded.User", "Remote-User")


async def test_ghsa_7r4p_vjf4_gxv4_no_forged_identity_arrives(world: FrontWorld):
    """[11.10] R53, GHSA-7r4p-vjf4-gxv4, CVE-2025-64484: on open, optional and refused paths."""
    nobody, bob = world.browser(), world.browser()
    await bob.login("/", "bob")
    world.upstream.seen.clear()
    for path in ("/public/x", "/optional/x"):
        assert (await nobody.fetch(path, headers=FORGED)).status == 200
        assert [value for name in IDENTITY for value in world.told(name) if value] == []
    assert (await bob.fetch("/optional/x", headers=FORGED)).status == 200
    assert world.told("X-Forwarded-User") == ["bob"]
    passed = len(world.upstream.seen)
    for path in ("/x", "/api/x", "/admin/x"):
        assert (await nobody.fetch(path, headers=FORGED)).status == 401
    assert (await bob.fetch("/admin/x", headers=FORGED)).status == 403
    assert len(world.upstream.seen) == passed
    for name in SPELLINGS:
        for path in ("/public/x", "/optional/x", "/x"):
            page = await bob.fetch(path, headers={name: "mallory"})
            # either it is refused, or the proxy has dropped the field
            assert page.status in (200, 400)
    assert "mallory" not in str([list(seen.headers.items()) for seen in world.upstream.seen])


async def test_cve_2024_45410_connection_drops_nothing_that_is_told(world: FrontWorld):
    """[11.10] R58, CVE-2024-45410, CVE-2026-29054: whatever a client's Connection names."""
    alice = world.browser()
    await alice.login()
    own = {name: value for name, value in alice.cookies().items() if "gateway" in name}
    names = [
        *IDENTITY,
        "X-Forwarded-Proto",
        "X-Forwarded-For",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Original-URL",
    ]
    for dropped in (
        names,
        ["close", *names],
        ["X-Forwarded-User"],
        ["Cookie"],
        ["Authorization", "Cookie", "Host"],
    ):
        world.upstream.seen.clear()
        cookie = "; ".join(f"{name}={value}" for name, value in own.items())
        lines = [f"Cookie: {cookie}; app=1", f"Connection: {', '.join(dropped)}", "X-Forwarded-User: mallory"]
        status = await raw(world, "/optional/x", *lines)
        if not world.upstream.seen:
            assert status in (400, 401, 403)
            continue
        told = [value for value in world.told("X-Forwarded-User") if value]
        # some hide such a cookie from the gateway, and then from the application as well
        assert told == ["alice"] or (told == [] and "Cookie" in dropped)
        assert "X-Forwarded" not in str(world.told("Connection"))
        assert "mallory" not in told
        assert "gateway-session" not in str(world.told("Cookie"))


ODD = [
    "/public/../admin/x",
    "/public/%2e%2e/admin/x",
    "/public/..%2fadmin/x",
    "/public/%2e%2e%2fadmin/x",
    "/public//../admin/x",
    "//admin/x",
    "/public/..;/admin/x",
    "/public\\..\\admin",
    "/public/%5c..%5cadmin",
    "/%61dmin/x",
    "/ADMIN/x",
    "/%2e/admin/x",
    "/x?/public/",
    "/admin/x?a=/public/x",
    "/.gateway/../admin/x",
    "/.gateway/%2e%2e/admin/x",
    "/.gateway/..%2fadmin/x",
    "/.gateway//../admin/x",
    "/.gateway/decide/../../admin/x",
    "/.GATEWAY/x",
    "/%2egateway/x",
]


async def test_r56_odd_paths_lead_nowhere(world: FrontWorld):
    """[11.10] R56, R88, CVE-2026-41059: nobody reaches what is not public, however it is written."""
    for target in ODD:
        status = await raw(world, target, "Accept: */*")
        # some bring a path into one reading before they ask, and forward that
        reached = {seen.raw_path for seen in world.upstream.seen}
        assert reached <= {"/public/admin/x"}, (target, reached)
        assert 400 <= status < 500 or (status in (0, 200, 301, 308)), (target, status)


async def test_r55_another_site_s_rules_open_nothing(world: FrontWorld):
    """[11.10] R55, R57: under another site's name nobody reaches this application."""
    port = world.base.rpartition(":")[2]
    own = f"localhost:{port}"
    for host in ("open.test", f"open.test:{port}", "OPEN.test", "open.test."):
        for target in ("/x", "https://open.test/x", f"https://{own}/x"):
            await raw(world, target, "Accept: */*", host=host)
            assert not world.upstream.seen, (host, target)
    for target in ("https://open.test/x", f"https://open.test:{port}/x", "http://open.test/x"):
        await raw(world, target, "Accept: */*", host=own)
        assert not world.upstream.seen, target


LIES = [
    {"X-Forwarded-Uri": "/public/x", "X-Forwarded-Method": "GET"},
    {"X-Original-URL": "https://localhost/public/x", "X-Original-Method": "GET"},
    {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example;proto=http",
    },
    {"X-Original-URI": "/public/x", "X-Rewrite-URL": "/public/x", "X-Auth-Request-Redirect": "/public/x"},
    {"X-HTTP-Method-Override": "GET", "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "6.6.6.6"},
]


async def test_cve_2026_40575_clients_do_not_say_what_they_ask_for(world: FrontWorld):
    """[11.10] R64, CVE-2026-40575, CVE-2026-76835: all of the original is the proxy's word."""
    nobody = world.browser()
    for lie in LIES:
        for doubled in (lie, {**lie, "X-Forwarded-User": "mallory"}):
            page = await nobody.fetch("/x", method="POST", headers=doubled)
            assert page.status in (400, 401)
            page = await nobody.get("/x", follow=False, headers=doubled)
            assert page.status in (303, 400)
    assert not world.upstream.seen
    told = [line for line in world.audit("request") if line["path"] == "/x"]
    assert {line["method"] for line in told} == {"GET", "POST"}
    assert {line["host"] for line in told} == {world.base.removeprefix("https://")}
    assert "6.6.6.6" not in {line["client"] for line in told}


async def test_r53_what_proxies_tell_is_no_client_s(world: FrontWorld):
    """[11.10] R53, R64: address and scheme reach the application as the proxy knows them, in any spelling."""
    nobody = world.browser()
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6;proto=http"}
    for lie in (lies, {"X-Forwarded-Proto": "gopher"}, {"X-Forwarded-Host": "evil.example"}):
        assert (await nobody.fetch("/public/x", headers=lie)).status == 200
        told = str(list(world.upstream.last().headers.items()))
        assert not re.search(r"6\.6\.6\.6|gopher|evil\.example", told)
        assert world.told("X-Forwarded-Proto") == ["https"]
    for name in ("X_Forwarded_For", "x-forwarded_proto", "X.Forwarded.Host"):
        page = await nobody.fetch("/public/x", headers={name: "forged"})
        # either it is refused, or the proxy has dropped the field
        assert page.status in (200, 400)
    assert "forged" not in str([list(seen.headers.items()) for seen in world.upstream.seen])


async def test_decisions_are_nobody_else_s_to_ask_for(world: FrontWorld, front: Front):
    """[11.10]: not through the proxy, however it is written; not past it, from elsewhere."""
    alice = world.browser()
    await alice.login()
    url = f"{world.base}/x"
    told = {
        "X-Original-Method": "GET",
        "X-Original-URL": url,
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/x",
        "X-Forwarded-Host": world.base.removeprefix("https://"),
        "X-Forwarded-Proto": "https",
    }
    world.upstream.seen.clear()
    for name in (front.name, f"{front.name}/x", f"{front.name}/answer", f"{front.name}?x", ""):
        for path in ("/.gateway/decide/", "/.gateway/%64ecide/", "/.gateway//decide/", "/.gateway/./decide/"):
            page = await alice.fetch(f"{path}{name}", headers=told)
            assert page.status in (400, 403, 404), (path, name)
            assert "X-Gateway-Cookie" not in page.headers
            assert "X-Forwarded-User" not in page.headers
    assert not world.upstream.seen
    # past the proxy: from another address of this machine
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        target = f"{world.direct}/.gateway/decide/{front.name}" + ("/x" if front.name == "envoy" else "")
        async with session.get(target, headers=told) as answer:
            assert answer.status == 403
            assert (
                front.name == "nginx" or (await answer.json(content_type=None))["reason"] == "asker_untrusted"
            )


async def test_r49_websockets_of_other_sites(world: FrontWorld):
    """[11.10] R49: the handshake is asked about, and its Origin judged, though Upgrade ends at the proxy."""
    alice = world.browser()
    await alice.login()
    ws = await alice.session.ws_connect(alice.url("/ws"), origin=world.base)
    await ws.send_str("hello")
    assert await ws.receive_str(timeout=PATIENCE) == "hello"
    assert world.told("X-Forwarded-User") == ["alice"]
    assert "gateway-session" not in str(world.told("Cookie"))
    await ws.close()
    world.upstream.seen.clear()
    for origin in ("https://evil.example", None):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await alice.session.ws_connect(alice.url("/ws"), origin=origin)
        assert refused.value.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await world.browser().session.ws_connect(alice.url("/ws"), origin=world.base)
    assert refused.value.status == 401
    assert not world.upstream.seen


async def test_a_bound_token_with_its_proof(world: FrontWorld):
    """[11.7] [11.10]: the proof is of the URL and method that the client asked for, and counts once."""
    token = world.provider.mint("alice", scope="api", lifetime=3600, cnf={"jkt": thumbprint()})

    def shown(path: str, method: str) -> dict[str, str]:
        made = proof(token, world.base + path, world.clock(), method=method)
        return {"Authorization": f"DPoP {token}", "DPoP": made}

    nobody, good = world.browser(), shown("/api/x", "PUT")
    assert (await nobody.fetch("/api/x?y", method="PUT", headers=good)).status == 200
    assert world.told("X-Forwarded-User") == ["alice"]
    assert world.told("Authorization") in ([], [""])
    world.upstream.seen.clear()
    for headers in (good, shown("/api/y", "PUT"), shown("/api/x", "POST")):
        page = await nobody.fetch("/api/x?y", method="PUT", headers=headers)
        assert page.status == 401
        assert page.headers["WWW-Authenticate"].startswith("DPoP")
    assert not world.upstream.seen


async def test_without_a_decision_nothing_goes_on(world: FrontWorld):
    """[11.10]: a gateway that is away, or answers with a fault, is a refusal on every path."""
    alice = world.browser()
    await alice.login()
    world.upstream.seen.clear()
    await world.gateway.close()
    pages = await asyncio.gather(*(alice.fetch(path, headers=FORGED) for path in ("/public/x", "/x")))
    assert min(page.status for page in pages) >= 500
    assert not world.upstream.seen


def test_the_files_name_every_field_that_is_told():
    """[11.10]: each shipped file replaces all names of identities, cookies and credentials."""
    for file in (
        "nginx.conf",
        "Caddyfile",
        "gateway.lua",
        "envoy.yaml",
        "traefik.yaml",
        "ingress-nginx.yaml",
    ):
        text = (SHIPPED / file).read_text(encoding="utf-8").lower()
        for name in (*IDENTITY, "Cookie", "Authorization"):
            assert re.search(rf"\b{name}\b", text, re.IGNORECASE), (file, name)
