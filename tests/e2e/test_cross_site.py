"""What pages of other sites can do with somebody's session, and what they may read of the answers."""

import pytest

from tests.support.world import Browser, World

EVIL, FRIEND = "https://evil.example", "https://app.friend.example"
CORS = {"origins": [FRIEND], "credentials": True}


def route(path: str, access: str = "required", **more: object) -> dict[str, object]:
    """Return a route of the tests."""
    return {"path": path, "upstream": "app", "access": access, **more}


ROUTES = {
    "routes": [
        route("/strict/"),
        route("/site/", unsafe_from="same-site"),
        route("/open/", unsafe_from="anywhere"),
        route("/cors/", preflight=CORS, unauthenticated="reject"),
        route("/bare/", preflight={"origins": [FRIEND]}),
        route("/ours/", "optional", preflight=CORS, cors="answer"),
        route("/admin/", preflight=CORS, require={"groups": ["none"]}),
        route("/few/", "optional", preflight=CORS, rate_limit={"requests": 1, "per": "1h", "burst": 1}),
        route("/", unauthenticated="login"),
    ]
}

OWN = "own"
JUDGED = [
    # path, Sec-Fetch-Site, Origin, and whether it is let through
    ("/strict/", "same-origin", OWN, True),
    ("/strict/", "same-origin", "null", True),
    ("/strict/", "none", None, True),
    ("/strict/", "same-site", "https://other.example", False),
    ("/strict/", "cross-site", EVIL, False),
    ("/strict/", "cross-site", OWN, False),
    ("/strict/", "cross-site", None, False),
    ("/strict/", "", None, False),
    ("/strict/", "SAME-ORIGIN", OWN, False),
    ("/strict/", "same-origin, cross-site", OWN, False),
    ("/strict/", "unheard-of", OWN, False),
    ("/strict/", None, OWN, True),
    ("/strict/", None, None, True),
    ("/strict/", None, EVIL, False),
    ("/strict/", None, "null", False),
    ("/strict/", None, "", False),
    ("/strict/", None, FRIEND, False),
    ("/site/", "same-site", "https://other.example", True),
    ("/site/", "cross-site", EVIL, False),
    ("/open/", "cross-site", EVIL, True),
    ("/open/", None, EVIL, True),
    ("/cors/", "cross-site", FRIEND, True),
    ("/cors/", "cross-site", FRIEND + ".evil.example", False),
    ("/cors/", "cross-site", EVIL, False),
    ("/cors/", None, FRIEND, True),
    # who may read answers, but is to bring no cookies
    ("/bare/", "cross-site", FRIEND, False),
    ("/bare/", "same-site", FRIEND, False),
    ("/bare/", None, FRIEND, False),
    ("/bare/", None, OWN, True),
]


async def ask(
    browser: Browser, path: str, site: str | None, origin: str | None, method: str = "POST", **more: str
):
    """Ask as a page of somewhere makes a browser ask."""
    headers = dict(more)
    if site is not None:
        headers["Sec-Fetch-Site"] = site
    if origin is not None:
        headers["Origin"] = browser.world.base if origin == OWN else origin
    return await browser.request(method, path, follow=False, headers=headers)


@pytest.mark.settings(ROUTES)
async def test_r81_unsafe_methods_of_other_sites(world: World):
    """R81 [1.19]: a session cookie changes nothing for another site's page; safe methods are everybody's."""
    browser = world.browser()
    await browser.login()
    for path, site, origin, passes in JUDGED:
        for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
            page = await ask(browser, path, site, origin, method)
            assert page.status == (200 if passes else 403), (method, path, site, origin)
            assert passes or "origin_forbidden" in page.text
        for method in ("GET", "HEAD"):
            assert (await ask(browser, path, site, origin, method)).status == 200
        overridden = await ask(browser, path, site, origin, "GET", **{"X-HTTP-Method-Override": "DELETE"})
        assert overridden.status == (200 if passes else 403)


@pytest.mark.settings(ROUTES)
async def test_r81_holds_on_a_warm_gateway(world: World):
    """R81 [1.19]: however often one's own pages have asked, another site's is refused."""
    browser = world.browser()
    await browser.login()
    for number in range(80):
        assert (await ask(browser, f"/strict/{number}", "same-origin", OWN)).status == 200
        assert (await ask(browser, f"/strict/{number}", None, OWN)).status == 200
    assert (await ask(browser, "/strict/1", "cross-site", EVIL)).status == 403
    assert (await ask(browser, "/strict/1", "same-site", OWN)).status == 403
    assert (await ask(browser, "/strict/1", None, EVIL)).status == 403
    assert (await ask(browser, "/strict/1", "same-origin", OWN)).status == 200


@pytest.mark.settings(ROUTES)
async def test_r81_where_no_session_decides(world: World):
    """R81 [1.19]: no browser sends a bearer token by itself, and without a session nobody is served."""
    token = world.provider.mint("alice")
    page = await ask(world.browser(), "/strict/x", "cross-site", EVIL, Authorization=f"Bearer {token}")
    assert page.status == 200
    assert (await ask(world.browser(), "/ours/x", "cross-site", EVIL)).status == 200


@pytest.mark.parametrize(
    ("site", "origin", "ended"),
    [
        ("same-origin", "null", True),
        ("same-origin", OWN, True),
        ("none", None, True),
        (None, OWN, True),
        (None, None, True),
        ("same-site", OWN, False),
        ("cross-site", OWN, False),
        ("same-origin, same-origin", OWN, False),
        (None, "null", False),
        (None, EVIL, False),
    ],
)
async def test_r47_who_may_log_somebody_out(world: World, site, origin, ended):
    """R47 [2.11]: Sec-Fetch-Site decides where it is sent; a page without referrers says ``Origin: null``."""
    browser = world.browser()
    await browser.login()
    page = await ask(browser, "/.gateway/logout", site, origin)
    assert (page.status != 403) is ended
    assert ((await browser.get("/x", follow=False)).status == 200) is not ended


def is_readable(page, origin: str = FRIEND) -> bool:
    """Tell whether a script of an origin could read an answer to a request with cookies."""
    assert "Origin" in ", ".join(page.headers.getall("Vary", []))
    return page.headers.getall("Access-Control-Allow-Origin", []) == [origin] and page.headers.getall(
        "Access-Control-Allow-Credentials", []
    ) == ["true"]


@pytest.mark.settings(ROUTES)
async def test_scripts_of_allowed_origins_can_read_refusals(world: World):
    """[2.10] 401, 403, 429, 502 and 503 alike; to nobody else a word."""
    browser = world.browser()
    answers = [await ask(browser, "/cors/x", "cross-site", FRIEND, "GET")]
    answers.append(await ask(browser, "/few/x", "cross-site", FRIEND, "GET"))
    answers.append(await ask(browser, "/few/x", "cross-site", FRIEND, "GET"))
    await browser.login()
    answers.append(await ask(browser, "/admin/x", "cross-site", FRIEND, "GET"))
    world.provider.quirks.add("token-5xx")
    world.clock.advance(61)
    answers.append(await ask(browser, "/cors/x", "cross-site", FRIEND, "GET"))
    world.provider.quirks.clear()
    world.clock.advance(61)
    await world.upstream.close()
    answers.append(await ask(browser, "/cors/x", "cross-site", FRIEND, "GET"))
    assert [answer.status for answer in answers] == [401, 200, 429, 403, 503, 502]
    for answer in answers:
        assert answer.status == 200 or is_readable(answer), answer.status
    for origin in (EVIL, "null", FRIEND + ":8443", FRIEND.upper()):
        refused = await ask(world.browser(), "/cors/x", "cross-site", origin, "GET")
        assert refused.status == 401
        assert not is_readable(refused)
        assert "Access-Control-Allow-Origin" not in refused.headers


@pytest.mark.settings(ROUTES)
async def test_who_lets_forwarded_answers_be_read(world: World):
    """[2.10] The upstream by default; with ``cors: answer`` the gateway alone, whatever the upstream says."""
    world.upstream.headers = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
    ]
    browser = world.browser()
    for _ in range(3):
        answer = await ask(browser, "/ours/x", "cross-site", FRIEND, "GET")
        assert answer.status == 200
        assert is_readable(answer)
        answer = await ask(browser, "/ours/x", "cross-site", EVIL, "GET")
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers
    await browser.login()
    answer = await ask(browser, "/cors/x", "cross-site", FRIEND, "GET")
    assert answer.headers.getall("Access-Control-Allow-Origin") == ["*"]


NAVIGATION = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("more", "begins"),
    [
        ({"X-Requested-With": "com.example.app"}, True),
        ({"X-Requested-With": "com.example.app", "Sec-Fetch-Mode": "navigate"}, True),
        ({"X-Requested-With": "XMLHttpRequest", "Sec-Fetch-Mode": "navigate"}, True),
        ({"X-Requested-With": "XMLHttpRequest"}, False),
        ({"X-Requested-With": "xmlhttprequest"}, False),
        ({"Sec-Fetch-Mode": "cors"}, False),
        ({"Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}, False),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch;prerender"}, False),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "Prefetch;anonymous-client-ip"}, False),
        ({"Purpose": "prefetch"}, False),
        ({"X-Moz": "prefetch"}, False),
        ({"X-Purpose": "preview"}, False),
        ({"Sec-Purpose": "something-else"}, True),
    ],
)
@pytest.mark.parametrize("path", ["/x", "/.gateway/login"])
async def test_who_is_sent_to_log_in(world: World, path, more, begins):
    """[2.2] [2.27] WebViews name their application in X-Requested-With; a prefetch begins no login."""
    page = await world.browser().request("GET", path, follow=False, headers=NAVIGATION | more)
    speculative = any("urpose" in name or name == "X-Moz" for name in more) and not begins
    if path == "/x" or speculative:
        assert page.status == (303 if begins else 401)
        assert bool(page.set_cookies) is begins
    else:
        assert page.status == 303
