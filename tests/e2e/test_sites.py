"""One login for three sites, at two gateways on one store, in both session modes."""

import asyncio
import json

import pytest
from yarl import URL

from gateway.app.gateway import Gateway
from gateway.core.decision.needs import KeepTicket
from gateway.edge.sessions.room import Room
from tests.support.sites import SiteWorld
from tests.support.world import NAVIGATE

pytestmark = pytest.mark.asyncio
SITES = ("wiki", "files", "shop")
MODES = pytest.mark.parametrize("mode", ["cookie", "redis"])


@pytest.fixture(params=["cookie", "redis"])
async def world(request, valkey_url, tmp_path):
    """Return the sites, with sessions in cookies and in the store."""
    override = {"session": {"mode": request.param, "rotation_grace": "60s"}}
    if marker := request.node.get_closest_marker("settings"):
        override.update(marker.args[0])
    async with SiteWorld(valkey_url, tmp_path, **override) as sites:
        yield sites


async def everywhere(world: SiteWorld, browser) -> None:
    """Let a person who is logged in visit every site."""
    for site in SITES:
        page = await browser.get(world.site(site) + "/")
        assert (page.status, str(page.url.origin())) == (200, world.site(site)), page.text


async def log_out(world: SiteWorld, browser, site: str):
    headers = {**NAVIGATE, "Origin": world.site(site)}
    return await browser.request("POST", world.site(site) + "/.gateway/logout", follow=True, headers=headers)


async def test_one_login_for_three_sites(world: SiteWorld):
    """R39 [11.2]: the password is asked for once; each site has a session cookie of its own."""
    alice = world.browser()
    page = await alice.login(world.site("wiki") + "/page?x=1")
    assert (page.status, str(page.url)) == (200, world.site("wiki") + "/page?x=1")
    assert "hello" in page.text
    for site in ("files", "shop"):
        page = await alice.get(world.site(site) + "/there?y=%20")
        assert (page.status, str(page.url)) == (200, world.site(site) + "/there?y=%20")
    assert [line["reason"] for line in world.audit("login")] == ["login_completed"]
    joined = world.audit("site_join")
    assert [line["site"] for line in joined] == [world.site(site) for site in SITES]
    assert {line["reason"] for line in joined} == {"site_joined"}
    assert len({line["session"] for line in joined}) == 1
    # one callback is asked for, and each cookie is for one host
    assert world.provider.counts["token:authorization_code"] == 1
    name = f"gateway-{world.public_port}-session"
    values = {alice.at(site)[name] for site in (*SITES, "login")}
    assert len(values) == 4
    assert not [each for each in alice.at("wiki") if "-login-" in each]


async def test_a_cookie_of_one_site_is_nothing_at_another(world: SiteWorld):
    """R45 [11.2]: what was sealed for one site does not open at another, at the host of logins neither."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    name = f"gateway-{world.public_port}-session"
    for site in ("files", "shop", "login"):
        thief = world.browser()
        cookies = {key: value for key, value in alice.at("wiki").items() if key.startswith(name[:-7])}
        thief.jar.update_cookies(cookies, URL(world.site(site)))
        page = await thief.fetch(world.site(site) + "/.gateway/userinfo")
        assert page.status == 401


async def test_a_ticket_is_used_once(world: SiteWorld):
    """[11.2]: a ticket that was used is refused, in the very browser that it was for."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    url = await alice.ticket("shop", "/basket")
    before = world.browser()
    before.jar.update_cookies(alice.at("shop"), URL(world.site("shop")))
    page = await alice.get(url, follow=False)
    assert (page.status, page.headers["Location"]) == (303, world.site("shop") + "/basket")
    # the very same cookies: whoever has copied all of the browser
    page = await before.get(url, follow=False)
    assert page.status == 400
    assert "ticket_refused" in page.text
    assert f'href="{world.site("shop")}/.gateway/login?return_to=/basket"' in page.text
    assert not before.at("shop").get(f"gateway-{world.public_port}-session")
    # whoever goes back in the browser is logged in already
    page = await alice.get(url, follow=False)
    assert (page.status, page.headers["Location"]) == (303, world.site("shop") + "/basket")
    assert world.audit("site_refused")[-1]["detail"] == "it was used before, or is too old"


async def test_many_who_show_a_ticket_at_once(world: SiteWorld):
    """[11.2]: twenty requests with one ticket and the right cookies, at two gateways: one session."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    url = await alice.ticket("shop")
    tabs = []
    for _ in range(20):
        tab = world.browser()
        tab.jar.update_cookies(alice.at("shop"), URL(world.site("shop")))
        tabs.append(tab)
    pages = await asyncio.gather(*(tab.get(url, follow=False) for tab in tabs))
    assert sorted(page.status for page in pages) == [303, *[400] * 19]


async def test_a_stolen_ticket(world: SiteWorld):
    """[11.2]: whoever has seen a ticket has nothing, and has spent it."""
    alice, thief = world.browser(), world.browser()
    await alice.login(world.site("wiki") + "/")
    url = await alice.ticket("shop")
    page = await thief.get(url, follow=False)
    assert page.status == 400
    assert not thief.at("shop")
    page = await alice.get(url, follow=False)
    assert page.status == 400
    # a new one is a click away
    assert (await alice.get(world.site("shop") + "/")).status == 200


async def test_a_ticket_with_a_login_of_the_thief(world: SiteWorld):
    """[11.2]: a cookie that the site set for another login does not do, under either state."""
    alice, thief = world.browser(), world.browser()
    await alice.login(world.site("wiki") + "/")
    for mine in (True, False):
        url = URL(await alice.ticket("shop"), encoded=True)
        page = await thief.until(world.site("shop") + "/", "/join?request=")
        assert page.status == 303
        own = await thief.login(world.site("files") + "/", "bob") if not thief.at("login") else None
        assert own is None or own.status == 200
        state = URL(await thief.ticket("shop"), encoded=True).query["state"]
        shown = url.update_query(state=state) if mine else url
        page = await thief.get(str(shown), follow=False)
        assert page.status == 400, page.headers
        assert f"gateway-{world.public_port}-session" not in thief.at("shop")


async def test_a_login_that_the_attacker_began(world: SiteWorld):
    """[11.2]: alice follows mallory's link to the host of logins; neither has a session of the other's."""
    alice, mallory = world.browser(), world.browser()
    await alice.login(world.site("wiki") + "/")
    page = await mallory.until(world.site("shop") + "/", "/join?request=")
    link = page.headers["Location"]
    url = (await alice.until(link, "ticket?ticket=")).headers["Location"]
    # the shop has never set her a cookie for this
    page = await alice.get(url, follow=False)
    assert page.status == 400
    assert f"gateway-{world.public_port}-session" not in alice.at("shop")
    # and mallory, who has the cookie, has a ticket that is spent, even if he saw it
    page = await mallory.get(url, follow=False)
    assert page.status == 400
    assert f"gateway-{world.public_port}-session" not in mallory.at("shop")


async def test_nobody_is_logged_in_as_the_attacker(world: SiteWorld):
    """[11.2]: alice follows a link with mallory's ticket, as a stranger and as herself."""
    alice, mallory = world.browser(), world.browser()
    await mallory.login(world.site("wiki") + "/", "bob")
    url = await mallory.ticket("shop", "/trap")
    page = await alice.get(url, follow=False)
    assert page.status == 400
    assert f"gateway-{world.public_port}-session" not in alice.at("shop")
    await alice.login(world.site("shop") + "/")
    url = await mallory.ticket("shop", "/trap")
    page = await alice.get(url)
    # she goes on as herself
    assert (page.status, page.url.path) == (200, "/trap")
    assert "alice" in page.text


async def test_a_late_ticket(world: SiteWorld):
    """[11.2]: after 30 seconds a ticket is refused, and a new one is a click away."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    url = await alice.ticket("shop")
    world.clock.advance(31)
    page = await alice.get(url, follow=False)
    assert page.status == 400
    assert world.audit("site_refused")[-1]["detail"] == "it was used before, or is too old"
    assert (await alice.get(world.site("shop") + "/")).status == 200


async def test_a_ticket_of_another_site(world: SiteWorld):
    """[11.2]: a ticket for the shop opens nothing elsewhere, and is not spent there."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    url = await alice.ticket("shop")
    for site in ("files", "login"):
        page = await alice.get(url.replace(world.site("shop"), world.site(site)), follow=False)
        assert page.status in (303, 400)
        assert "Set-Cookie" not in page.headers
    assert (await alice.get(url)).status == 200


async def test_a_ticket_of_who_was_revoked_meanwhile(world: SiteWorld):
    """R72 [11.2]: between ticket and site an administrator ends the session: there is none."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    url = await alice.ticket("shop")
    answer = await world.admin("POST", "/revoke", json={"sub": "alice", "provider": "demo"})
    assert answer.status == 200, answer.text
    await world.told()
    page = await alice.get(url, follow=False)
    assert (page.status, "revoked" in page.text) == (401, True)
    assert f"gateway-{world.public_port}-session" not in alice.at("shop")


async def test_logout_at_one_site_ends_all(world: SiteWorld):
    """R43 [11.2]: here, at the other sites, at the host of logins; the provider's is over as well."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    await everywhere(world, alice)
    copies = {site: alice.at(site) for site in (*SITES, "login")}
    page = await log_out(world, alice, "files")
    # over the provider and the one address that is registered there, and back to where it began
    assert (page.status, page.url.path, str(page.url.origin())) == (
        200,
        "/.gateway/logged-out",
        world.site("files"),
    )
    assert "so has the login of the account" in page.text
    await world.told()
    for site, cookies in copies.items():
        thief = world.browser()
        thief.jar.update_cookies(cookies, URL(world.site(site)))
        for _ in range(2):
            page = await thief.fetch(world.site(site) + "/.gateway/userinfo")
            assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")
    # whoever comes to another site is asked who it is
    page = await alice.get(world.site("files") + "/")
    assert "password" in page.text


async def test_a_login_as_somebody_else_ends_the_one_before_everywhere(world: SiteWorld):
    """R41 [11.2]: bob logs in in alice's browser, at one site: her session is dead at the others."""
    browser = world.browser()
    await browser.login(world.site("wiki") + "/")
    await everywhere(world, browser)
    wiki = browser.at("wiki")
    page = await browser.get(world.site("shop") + "/.gateway/login?account=other&return_to=/x")
    page = await browser.submit(page, username="bob", password="bob")
    assert (page.status, "bob" in page.text) == (200, True)
    await world.told()
    thief = world.browser()
    thief.jar.update_cookies(wiki, URL(world.site("wiki")))
    page = await thief.fetch(world.site("wiki") + "/.gateway/userinfo")
    assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")


async def test_refreshes_are_shared(world: SiteWorld):
    """R32 [11.2]: tokens that one site has renewed are renewed for all: a token call each time, no reuse."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    await everywhere(world, alice)
    for turn in range(1, 6):
        world.clock.advance(61)
        for site in SITES[turn % 3 :] + SITES[: turn % 3]:
            page = await alice.fetch(world.site(site) + "/x")
            assert (page.status, "alice" in page.text) == (200, True)
        assert world.provider.counts["token:refresh_token"] == turn
    # one that was not visited meanwhile catches up, long after the others have shown what is new
    for _ in range(4):
        world.clock.advance(3600)
        assert (await alice.fetch(world.site("wiki") + "/x")).status == 200
    calls = world.provider.counts["token:refresh_token"]
    assert (await alice.fetch(world.site("shop") + "/x")).status == 200
    page = await alice.get(world.site("notes") + "/")
    assert (page.status, "alice" in page.text) == (200, True)
    assert world.provider.counts["token:refresh_token"] == calls
    assert not world.audit("reuse_detected")
    assert len(world.audit("login")) == 1


async def test_all_sites_at_once_with_an_expired_token(world: SiteWorld):
    """R32 [11.2]: 60 requests at three sites and two gateways, one token call."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    await everywhere(world, alice)
    world.clock.advance(61)
    pages = await asyncio.gather(
        *(alice.fetch(f"{world.site(site)}/n{i}") for i in range(20) for site in SITES)
    )
    assert {page.status for page in pages} == {200}
    assert world.provider.counts["token:refresh_token"] == 1


@MODES
async def test_r37_reuse_at_a_site(valkey_url, tmp_path, mode: str):
    """R37 [11.2]: what was left behind at one site, and its grace has passed, is reuse there; it ends all."""
    session = {"mode": mode, "rotation_grace": "600ms", "refresh_before_expiry": "500ms"}
    async with SiteWorld(valkey_url, tmp_path, session=session) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        await everywhere(world, alice)
        thief = world.browser()
        thief.jar.update_cookies(alice.at("wiki"), URL(world.site("wiki")))
        world.clock.advance(61)
        for _ in range(2):
            assert (await alice.fetch(world.site("wiki") + "/x")).status == 200
        await asyncio.sleep(1.5)
        # the other sites still have theirs, and show it for the first time
        assert (await alice.fetch(world.site("files") + "/x")).status == 200
        assert not world.audit("reuse_detected")
        page = await thief.fetch(world.site("wiki") + "/x")
        assert (page.status, json.loads(page.text)["reason"]) == (401, "session_reused")
        await world.told()
        for site in SITES:
            assert (await alice.fetch(world.site(site) + "/x")).status == 401


async def test_a_stronger_login_at_one_site(valkey_url, tmp_path):
    """[11.2]: a page that wants a recent authentication has it; the others go on with the new session."""
    routes = [
        {"path": "/fresh/", "upstream": "app", "access": "required", "require": {"max_age": "60s"}},
        {"path": "/", "upstream": "app", "access": "required"},
    ]
    async with SiteWorld(valkey_url, tmp_path, routes=routes) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        await everywhere(world, alice)
        world.clock.advance(61)
        page = await alice.login(world.site("shop") + "/fresh/x")
        assert (page.status, page.url.path) == (200, "/fresh/x")
        world.clock.advance(30)
        # at another site the login of just now does
        page = await alice.get(world.site("files") + "/fresh/y")
        assert (page.status, page.url.path) == (200, "/fresh/y"), page.text
        # the one before ends after its grace, and nobody is asked anything
        assert (await alice.get(world.site("wiki") + "/z")).status == 200


async def test_who_comes_by_no_form(world: SiteWorld):
    """[11.2]: scripts are told where to log in, at their own site; HEAD and POST get no ticket."""
    browser = world.browser()
    page = await browser.fetch(world.site("wiki") + "/")
    assert page.status == 401
    assert json.loads(page.text)["login_url"] == world.site("wiki") + "/.gateway/login"
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    link = (await alice.until(world.site("shop") + "/", "/join?request=")).headers["Location"]
    for method in ("POST", "HEAD", "PUT"):
        page = await alice.request(method, link, follow=False, headers=NAVIGATE)
        assert page.status == 405
    page = await alice.get(link, follow=False, headers={"Sec-Purpose": "prefetch"})
    assert page.status == 401


@pytest.mark.parametrize(
    "query",
    ["", "request=", "request=x", "request=%00", "request=" + "A" * 6000, "request=a&request=b", "ticket=x"],
)
async def test_garbage(world: SiteWorld, query: str):
    """[11.2]: whatever is shown for a request or a ticket is refused, and the store is not asked."""
    browser = world.browser()
    page = await browser.get(f"{world.site('login')}/.gateway/join?{query}", follow=False)
    assert page.status == 400
    for more in ("", "&state=x", "&state=%2e" + "B" * 3000, "&ticket=" + "A" * 200):
        query = query.replace("request", "ticket")
        page = await browser.get(f"{world.site('shop')}/.gateway/ticket?{query}{more}", follow=False)
        assert page.status == 400
        assert not browser.at("shop")


async def test_a_request_of_another_place(world: SiteWorld):
    """R11 [11.2]: requests are answered at the host of logins alone, and lead to sites of ours alone."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    link = (await alice.until(world.site("shop") + "/", "/join?request=")).headers["Location"]
    page = await alice.get(link.replace(world.site("login"), world.site("wiki")), follow=False)
    assert page.status == 404
    # flipped anywhere it is garbage
    start = link.index("request=") + 8
    for place in (start, start + 20, len(link) - 1):
        other = "A" if link[place] != "A" else "B"
        page = await alice.get(link[:place] + other + link[place + 1 :], follow=False)
        assert page.status == 400


async def test_an_old_request_leads_back(world: SiteWorld):
    """[11.2]: a request out of the browser's history offers the way to its site's page."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    link = (await alice.until(world.site("shop") + "/basket", "/join?request=")).headers["Location"]
    world.clock.advance(3600)
    page = await alice.get(link, follow=False)
    assert page.status == 400
    assert f"{world.site('shop')}/.gateway/login?return_to=/basket" in page.text


async def test_names_that_the_wildcard_does_not_stand_for(world: SiteWorld):
    """R55 [11.2]: it stands for one label, of letters, digits, hyphens and underscores."""
    browser = world.browser()
    for name in ("a.b.apps", "-x.apps", "apps", "xapps"):
        page = await browser.get(f"http://{name}.localhost:{world.public_port}/", follow=False)
        assert (page.status, "host_unknown" in page.text) == (421, True)
    page = await browser.get(world.site("login") + "/", follow=False)
    assert page.status == 404


async def test_pages_of_other_sites_change_nothing(world: SiteWorld):
    """R81 [11.2]: a sibling under the wildcard is another site."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    for origin, status in (("wiki", 200), ("files", 403)):
        page = await alice.fetch(
            world.site("wiki") + "/x", method="POST", headers={"Origin": world.site(origin)}
        )
        assert page.status == status


async def test_a_session_is_listed_once_with_its_sites(valkey_url, tmp_path):
    """[11.2]: an operator sees one session, its sites in the order of their beginning, and ends it."""
    async with SiteWorld(valkey_url, tmp_path, session={"mode": "redis"}) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        await everywhere(world, alice)
        await everywhere(world, alice)
        page = await world.admin("GET", "/sessions")
        (listed,) = json.loads(page.text)["sessions"]
        assert listed["sites"] == [world.site(each) for each in ("login", "wiki", "files", "shop")]
        page = await world.admin("DELETE", f"/sessions/{listed['session_id']}")
        assert page.status == 200, page.text
        await world.told()
        for site in SITES:
            assert (await alice.fetch(world.site(site) + "/")).status == 401


@MODES
async def test_without_refresh_tokens(valkey_url, tmp_path, mode: str):
    """[11.2]: sessions that nothing renews are shared as well."""
    override = {
        "session": {"mode": mode},
        "providers": {"demo": {"scopes": ["openid"]}},
    }
    async with SiteWorld(valkey_url, tmp_path, **override) as world:
        world.provider.access_lifetime = 60.0
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        await everywhere(world, alice)
        world.clock.advance(3600)
        await everywhere(world, alice)
        assert len(world.audit("login")) == 1


async def test_whoever_asks_for_tickets_all_day(world: SiteWorld):
    """[11.2]: one session's tickets have a bound; others have theirs."""
    alice, bob = world.browser(), world.browser()
    for gateway in world.gateways:
        room_of(gateway)._share = 4_000
    await alice.login(world.site("wiki") + "/")
    statuses = set()
    for _ in range(12):
        page = await alice.get(world.site("shop") + "/", follow=False)
        page = await alice.get(page.headers["Location"], follow=False)
        statuses.add(page.status)
    assert statuses == {303, 429}
    page = await bob.login(world.site("wiki") + "/", "bob")
    assert page.status == 200
    world.clock.advance(31)
    assert (await alice.get(world.site("shop") + "/")).status == 200


def room_of(gateway: Gateway) -> Room:
    return gateway.pipeline.ways.resolvers[KeepTicket].__self__._room


async def test_more_tabs_than_cookies(world: SiteWorld):
    """R17 [11.2]: thirty tabs of one site at once, before anybody has logged in; each comes to its page."""
    alice = world.browser()
    links = []
    for number in range(30):
        page = await alice.until(f"{world.site('wiki')}/tab/{number}", "/authorize")
        links.append(page.headers["Location"])
    for number, link in enumerate(links):
        page = await alice.get(link)
        for _ in range(3):
            if "password" in page.text:
                page = await alice.submit(page, username="alice", password="alice")
        assert (page.status, page.url.path) == (200, f"/tab/{number}")
    assert world.audit("login")[0]["outcome"] == "repeated"


async def test_a_long_address(world: SiteWorld):
    """[11.2]: a page of 7,000 characters is come back to."""
    alice = world.browser()
    path = "/x?" + "y" * 7_000
    page = await alice.login(world.site("wiki") + path)
    assert (page.status, str(page.url)) == (200, world.site("wiki") + path)
    page = await alice.get(world.site("shop") + path)
    assert (page.status, str(page.url)) == (200, world.site("shop") + path)


@MODES
async def test_a_host_of_logins_that_has_idled(valkey_url, tmp_path, mode: str):
    """R42 [11.2]: who works at one site all day, and then visits another, logs in anew: with one session."""
    session = {
        "mode": mode,
        "idle_lifetime": "8h",
        "rotation_grace": "600ms",
        "refresh_before_expiry": "500ms",
    }
    async with SiteWorld(valkey_url, tmp_path, session=session) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        for _ in range(12):
            world.clock.advance(3600)
            assert (await alice.fetch(world.site("wiki") + "/")).status == 200
        page = await alice.get(world.site("shop") + "/y")
        if "password" in page.text:
            page = await alice.submit(page, username="alice", password="alice")
        assert (page.status, str(page.url)) == (200, world.site("shop") + "/y")
        await world.ended(world.audit("site_join")[0]["session"])
        # the one before has ended, and the site where she worked goes on without a word
        page = await alice.get(world.site("wiki") + "/z")
        assert (page.status, str(page.url)) == (200, world.site("wiki") + "/z")
        sessions = {line["session"] for line in world.audit("site_join")}
        assert len(sessions) == 2
        if mode == "redis":
            page = await world.admin("GET", "/sessions")
            assert len(json.loads(page.text)["sessions"]) == 1
        await log_out(world, alice, "shop")
        await world.told()
        assert (await alice.fetch(world.site("wiki") + "/")).status == 401


async def test_who_is_logged_in_and_wishes_to_log_in(world: SiteWorld):
    """R85 [11.2]: a person's own wish leads to the provider, and not back with what the site has already."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    assert (await alice.fetch(world.site("wiki") + "/")).status == 200
    page = await alice.get(world.site("wiki") + "/.gateway/login?return_to=/x")
    assert str(page.url).startswith(world.provider.issuer)
    page = await alice.submit(page, username="alice", password="alice")
    assert (page.status, str(page.url)) == (200, world.site("wiki") + "/x")
    assert len(world.audit("login")) == 2
    # at a site that has none it is single sign-on
    page = await alice.get(world.site("shop") + "/.gateway/login?return_to=/y")
    assert (page.status, str(page.url)) == (200, world.site("shop") + "/y")
    assert len(world.audit("login")) == 2


@MODES
async def test_a_host_of_logins_that_is_a_site_as_well(valkey_url, tmp_path, mode: str):
    """[11.2]: its own pages are logged in to without a ticket, and the others by it."""
    world = SiteWorld(valkey_url, tmp_path, session={"mode": mode})
    world.override["public_url"] = [world.site("*"), world.site("login")]
    async with world:
        alice = world.browser()
        page = await alice.login(world.site("login") + "/home")
        assert (page.status, str(page.url)) == (200, world.site("login") + "/home")
        assert not world.audit("site_join")
        page = await alice.get(world.site("wiki") + "/")
        assert (page.status, str(page.url)) == (200, world.site("wiki") + "/")
        world.clock.advance(61)
        for site in ("login", "wiki", "login", "wiki"):
            assert (await alice.fetch(world.site(site) + "/")).status == 200
        assert world.provider.counts["token:refresh_token"] == 1
        await log_out(world, alice, "login")
        await world.told()
        assert (await alice.fetch(world.site("wiki") + "/")).status == 401


async def test_tabs_of_several_sites_before_anybody_has_logged_in(world: SiteWorld):
    """[11.2]: each is sent to the provider, and comes to its page; there is one session for all of them."""
    alice = world.browser()
    links = {}
    for site in SITES:
        page = await alice.until(world.site(site) + "/tab", "/authorize")
        links[site] = page.headers["Location"]
    for site, link in links.items():
        page = await alice.get(link)
        if "password" in page.text:
            page = await alice.submit(page, username="alice", password="alice")
        assert (page.status, str(page.url)) == (200, world.site(site) + "/tab")
    assert [line["reason"] for line in world.audit("login")] == [
        "login_completed",
        *["already_logged_in"] * 2,
    ]
    assert {line.get("outcome") for line in world.audit("login")[1:]} == {"repeated"}
    assert len({line["session"] for line in world.audit("site_join")}) == 1


async def test_tabs_in_which_somebody_else_logs_in(world: SiteWorld):
    """R41 [11.2]: who types another name in the second tab is that one, everywhere."""
    browser = world.browser()
    links = [
        (await browser.until(world.site(site) + "/", "/authorize")).headers["Location"] for site in SITES[:2]
    ]
    page = await browser.get(links[0])
    page = await browser.submit(page, username="alice", password="alice")
    assert "alice" in page.text
    page = await browser.get(links[1])
    page = await browser.submit(page, username="bob", password="bob")
    assert "bob" in page.text
    await world.told()
    assert (await browser.fetch(world.site("wiki") + "/")).status == 401


async def test_r75_a_ticket_brings_no_older_generation(world: SiteWorld):
    """R75 [11.2]: a site that has renewed the session while another ticket came keeps what it has."""
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    world.clock.advance(40)
    links = [await alice.until(world.site("shop") + f"/{n}", "/join?request=") for n in range(2)]
    urls = [await alice.until(page.headers["Location"], "ticket?ticket=") for page in links]
    await alice.get(urls[0].headers["Location"])
    # due now, and renewed behind a request's back
    world.clock.advance(6)
    for _ in range(200):
        if (await alice.fetch(world.site("shop") + "/x")).set_cookies:
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("it was never renewed")
    page = await alice.get(urls[1].headers["Location"], follow=False)
    assert (page.status, page.headers["Location"]) == (303, world.site("shop") + "/1")
    assert not [line for line in page.set_cookies if "-session=" in line or "-refresh=" in line]
    world.clock.advance(61)
    assert (await alice.fetch(world.site("shop") + "/x")).status == 200
    assert not world.audit("reuse_detected")


async def test_no_form_is_behind_a_redirect_to_another_site(world: SiteWorld):
    """[12.browser]: browsers hold redirects to a form's ``form-action``: after a login a page leads on."""
    alice = world.browser()
    page = await alice.get(world.site("wiki") + "/page")
    page = await alice.send(page, {"username": "alice", "password": "alice"}, follow=False)
    hosts = []
    while page.onwards:
        url = page.url.join(URL(page.onwards, encoded=True))
        hosts.append((url.host, "Location" in page.headers))
        page = await alice.get(str(url), follow=False)
    names = {site: URL(world.site(site)).host for site in ("login", "wiki")}
    assert hosts == [
        (names["login"], True),
        (names["login"], True),
        (names["wiki"], False),
        (names["wiki"], True),
    ]
    assert (page.status, page.text.startswith("hello alice")) == (200, True)
    # nobody who is logged in there is held up by a page
    page = await alice.until(world.site("shop") + "/", "ticket?ticket=")
    assert page.status == 303
