"""Tabs of a real browser: what polls, what was restored, what another tab ended, what is behind "back"."""

import asyncio
from urllib.parse import quote

import pytest

from tests.support.browser import NEEDS_CHROMIUM, Person, Tab, somebody
from tests.support.certificates import Authority
from tests.support.sites import SiteWorld
from tests.support.world import World

pytestmark = NEEDS_CHROMIUM
NUMBERS = range(5)
POLLING = """
    window.polls = [];
    setInterval(() => fetch('/poll').then(answer => window.polls.push(answer.status)), 20);
    true
"""
SOCKET = """
    window.ended = null;
    new Promise(opened => {
        const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');
        socket.onopen = () => opened(true);
        socket.onclose = event => { window.ended = event.code; };
    })
"""


def in_mode(mode: str) -> dict[str, object]:
    """Return the settings of a mode, with a list of sessions."""
    return {"mode": mode, "index": True, "rotation_grace": "60s"}


@pytest.fixture(params=["cookie", "redis"])
async def world(request, valkey_url, tmp_path):
    """A gateway, in each mode."""
    async with World(valkey_url, tmp_path, session=in_mode(request.param)) as world:
        yield world


def held_values(cookies: dict[str, dict]) -> dict[str, str]:
    """Return the texts of the session's cookies."""
    return {name: each["value"] for name, each in cookies.items() if "-session" in name or "-refresh" in name}


async def five(person: Person) -> list[Tab]:
    """Open five tabs."""
    return [await person.tab() for _ in NUMBERS]


async def shown(world: World, tabs: list[Tab], user: str) -> None:
    """Wait until each tab shows a page of its own to this person."""
    for number, tab in enumerate(tabs):
        await tab.at(f"{world.base}/tab{number}")
        assert (await tab.text()).startswith(f"hello {user} GET /tab{number} ")


async def restore(world: World, tabs: list[Tab]) -> None:
    """Load a page of its own in every tab at once, as a browser does that has been started again."""
    await asyncio.gather(
        *(tab.command("Page.navigate", url=f"{world.base}/tab{number}") for number, tab in enumerate(tabs))
    )


async def test_a_refresh_while_a_page_polls(world: World, tab: Tab):
    """R32 [12.browser]: every poll is answered 200, one refresh is made, and the browser has its result."""
    await tab.log_in(f"{world.base}/page", "alice")
    before = held_values(await tab.person.cookies(world.base))
    await tab.run(POLLING)
    await tab.until("window.polls.length >= 5")
    world.clock.advance(world.provider.access_lifetime + 10)
    count = await tab.run("window.polls.length")
    await tab.until(f"window.polls.length >= {count + 20}")
    assert await tab.run("[...new Set(window.polls)]") == [200]
    assert world.provider.counts["token:refresh_token"] == 1
    after = held_values(await tab.person.cookies(world.base))
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before)
    # what the browser has is the newest: once the old one is spent, it goes on
    world.clock.advance(world.provider.access_lifetime + 61)
    count = await tab.run("window.polls.length")
    await tab.until(f"window.polls.length >= {count + 20}")
    assert await tab.run("[...new Set(window.polls)]") == [200]
    assert world.provider.counts["token:refresh_token"] == 2
    assert not world.audit("reuse_detected")


async def test_five_tabs_restored_with_an_expired_access_token(world: World, person: Person):
    """R32 [12.browser]: all five load by one refresh, and again, when the token before it is spent."""
    tabs = await five(person)
    await tabs[0].log_in(f"{world.base}/page", "alice")
    for rounds in (1, 2):
        world.clock.advance(world.provider.access_lifetime + 61)
        await restore(world, tabs)
        await shown(world, tabs, "alice")
        assert world.provider.counts["token:refresh_token"] == rounds
    assert not world.audit("reuse_detected")
    assert world.provider.counts["token:authorization_code"] == 1


async def test_five_tabs_restored_without_a_session(world: World, person: Person):
    """R17 [12.browser]: five logins side by side: each ends on its own page, and one session goes on."""
    tabs = await five(person)
    await restore(world, tabs)
    await asyncio.gather(*(tab.sign_in("alice") for tab in tabs))
    await shown(world, tabs, "alice")
    assert not any("-login-" in name for name in await person.cookies(world.base))
    # when the sessions that were replaced have ended, each tab is still logged in
    world.clock.advance(world.provider.access_lifetime + 61)
    await restore(world, tabs)
    await shown(world, tabs, "alice")
    assert not world.audit("reuse_detected")
    assert {event["reason"] for event in world.audit("login")} == {"login_completed"}


async def log_out(tab: Tab, world: World) -> None:
    """Log out by the page."""
    await tab.open(f"{world.base}/.gateway/logout")
    await tab.click("form button")
    await tab.until("location.pathname === '/.gateway/logged-out' && document.readyState === 'complete'")


async def test_a_logout_in_another_tab_and_the_way_back(world: World, person: Person):
    """R43 [12.browser]: other tabs get 401, or a login; "back" shows nothing any more."""
    one, other = await person.tab(), await person.tab()
    await one.log_in(f"{world.base}/secret", "alice")
    await one.run("window.mark = 7")
    await one.open(f"{world.base}/public/x")
    await one.go(-1)
    await one.at(f"{world.base}/secret")
    # the browser keeps such a page, and shows it again without a question to anybody
    assert [each.path for each in world.upstream.seen].count("/secret") == 1
    assert await one.run("window.mark") == 7
    await other.open(f"{world.base}/other")
    assert await other.run("fetch('/x').then(answer => answer.status)") == 200
    await log_out(one, world)
    assert await other.run("fetch('/x').then(answer => answer.status)") == 401
    await other.open(f"{world.base}/other")
    await other.until("document.querySelector('[name=password]') !== null")
    # over the question whether to log out
    await one.go(-2)
    await one.until("document.querySelector('[name=password]') !== null")
    assert "hello" not in await one.text()
    assert not held_values(await person.cookies(world.base))


@pytest.mark.parametrize("world", ["redis"], indirect=True)
async def test_nobody_sees_the_pages_of_who_was_here_before(world: World, tab: Tab):
    """R41 [12.browser]: bob logs in after alice, who has not logged out: "back" shows none of her pages."""
    secret = f"{world.base}/secret"
    await tab.log_in(secret, "alice")
    await tab.open(f"{world.base}/.gateway/login?account=other&return_to=/page")
    await tab.sign_in("bob")
    await tab.at(f"{world.base}/page")
    history = await tab.command("Page.getNavigationHistory")
    (there,) = [place for place, each in enumerate(history["entries"]) if each["url"] == secret]
    await tab.go(there - history["currentIndex"])
    await tab.at(secret)
    assert (await tab.text()).startswith("hello bob")


@pytest.mark.parametrize("world", ["cookie"], indirect=True)
async def test_back_after_a_login(world: World, tab: Tab):
    """R4 [12.browser]: "back" from the page leads to no callback that is sent again, and to no error."""
    await tab.open(f"{world.base}/public/start")
    await tab.log_in(f"{world.base}/page", "alice")
    reasons = [event["reason"] for event in world.audit("login")]
    entries = (await tab.command("Page.getNavigationHistory"))["entries"]
    assert not any("/.gateway/callback" in entry["url"] for entry in entries)
    await tab.go(-1)
    await tab.until("document.querySelector('[name=password]') !== null")
    await tab.go(-1)
    await tab.at(f"{world.base}/public/start")
    await tab.go(2)
    await tab.at(f"{world.base}/page")
    assert (await tab.text()).startswith("hello alice")
    assert [event["reason"] for event in world.audit("login")] == reasons == ["login_completed"]
    assert world.provider.counts["token:authorization_code"] == 1


@pytest.mark.parametrize("world", ["cookie"], indirect=True)
async def test_a_websocket_ends_with_its_session(world: World, tab: Tab):
    """R74 [12.browser]: a revocation closes it, and the page sees why: 1008; the next request is 401."""
    await tab.log_in(f"{world.base}/page", "alice")
    assert await tab.run(SOCKET)
    page = await world.admin("POST", "/revoke", json={"sub": "alice"})
    assert page.status == 200
    assert await tab.until("window.ended") == 1008
    assert await tab.run("fetch('/x').then(answer => answer.status)") == 401


@pytest.mark.parametrize("world", ["cookie"], indirect=True)
async def test_a_person_ends_a_session_that_she_does_not_know(world: World, person: Person, devtools: str):
    """[12.sessions]: without script, by keyboard, by names that are read out; the other browser is out."""
    async with somebody(devtools) as else_where:
        there, tab = await else_where.tab(), await person.tab()
        await there.log_in(f"{world.base}/page", "alice")
        await tab.log_in(f"{world.base}/page", "alice")
        await tab.command("Accessibility.enable")
        await tab.command("Emulation.setScriptExecutionDisabled", value=True)
        await tab.open(f"{world.base}/.gateway/sessions")
        grounds = set()
        for scheme in ("light", "dark"):
            await tab.emulate(scheme, 320)
            grounds.add(await tab.run("getComputedStyle(document.querySelector('.sessions li')).color"))
            assert await tab.run("document.documentElement.scrollWidth") <= 320
        assert len(grounds) == 2
        tree = (await tab.command("Accessibility.getFullAXTree"))["nodes"]
        buttons = [each["name"]["value"] for each in tree if each["role"]["value"] == "button"]
        assert set(buttons) == {"End this session: Chrome on Linux", "End all others"}
        await tab.run("document.querySelector('button[name=session]').focus()")
        for kind, text in (("keyDown", {"text": "\r"}), ("keyUp", {})):
            await tab.command(
                "Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, **text
            )
        await tab.at(f"{world.base}/.gateway/sessions?ended=1")
        assert "You are logged in nowhere else." in await tab.text()
        await there.open(f"{world.base}/page")
        assert await there.run("document.querySelector('h1').innerText") == "Your session has ended"
        assert tab.complaints == []


@pytest.mark.parametrize("mode", ["cookie"])
async def test_one_login_for_several_sites(valkey_url, tmp_path, person: Person, mode: str):
    """R39 [12.browser]: past a provider's ``form-action``; six tabs restored, one refresh; out everywhere."""
    async with SiteWorld(valkey_url, tmp_path, session=in_mode(mode)) as world:
        world.provider.post_logout_redirect_uris = (f"{world.site('login')}/.gateway/logged-out",)
        wiki = await person.tab()
        await wiki.log_in(f"{world.site('wiki')}/page", "alice")
        entries = (await wiki.command("Page.getNavigationHistory"))["entries"]
        assert not any("/.gateway/" in each["url"] for each in entries)
        world.clock.advance(world.provider.access_lifetime + 61)
        pages = [f"{world.site(each)}/{each}{turn}" for turn in (1, 2) for each in ("wiki", "shop", "files")]
        tabs = [wiki, *[await person.tab() for _ in pages[1:]]]
        pairs = tuple(zip(tabs, pages, strict=True))
        await asyncio.gather(*(tab.command("Page.navigate", url=page) for tab, page in pairs))
        for tab, page in pairs:
            await tab.at(page)
            assert (await tab.text()).startswith("hello alice")
        assert world.provider.counts["token:authorization_code"] == 1
        assert world.provider.counts["token:refresh_token"] == 1
        assert not world.audit("reuse_detected")
        await wiki.open(f"{world.site('wiki')}/.gateway/logout")
        await wiki.click("form button")
        # over the provider, and from the host where people log in on to the site
        there = f"{world.site('wiki')}/.gateway/logged-out"
        await wiki.until(f"location.href.startsWith('{there}') && document.readyState === 'complete'")
        for tab in tabs[1:3]:
            assert await tab.run("fetch('/x').then(answer => answer.status)") == 401


@pytest.fixture(params=["cookie", "redis"])
async def tls_world(request, valkey_url, tmp_path):
    """An https site, in each mode."""
    tls = Authority(tmp_path).issue("localhost").written
    world = World(valkey_url, tmp_path, tls=tls, session=in_mode(request.param))
    world.base = world.base.replace("http://", "https://")
    async with world:
        yield world


async def test_cookies_as_the_browser_holds_them(tls_world: World, tab: Tab):
    """R38, R40 [12.browser]: for one host, over https, unseen by scripts; no chunk outlives a shrinking."""
    world = tls_world
    mode = world.settings.session.mode
    await tab.command("Security.setIgnoreCertificateErrors", ignore=True)
    account = world.provider.accounts["alice"]
    account["groups"] = [f"group-{number:04}-{quote('x' * 20)}" for number in range(300)]
    await tab.log_in(f"{world.base}/page", "alice")
    kept = await tab.person.cookies(world.base)
    sessions = {name: each for name, each in kept.items() if "-session" in name or "-refresh" in name}
    assert (len([name for name in sessions if "-session" in name]) > 1) == (mode == "cookie")
    for name, each in kept.items():
        assert name.startswith(("__Host-gateway-", "__Secure-gateway-"))
        assert each["httpOnly"]
        assert each["secure"]
        assert each["sameSite"] == "Lax"
        assert each["domain"] == "localhost"
        assert each["path"] == ("/" if name.startswith("__Host-") else "/.gateway/")
    for name, each in sessions.items():
        assert name.startswith("__Host-gateway-")
        # as long as the session may last, by the browser's own clock
        left = each["expires"] - await tab.run("Date.now() / 1000")
        assert left == pytest.approx(world.settings.session.absolute_lifetime, abs=60)
    assert await tab.run("document.cookie") == ""

    account["groups"] = ["staff"]
    world.clock.advance(world.provider.access_lifetime + 10)
    await tab.open(f"{world.base}/page")
    assert (await tab.text()).startswith("hello alice")
    kept = await tab.person.cookies(world.base)
    names = {name for name in kept if "-session" in name or "-refresh" in name}
    whole = {"__Host-gateway-session", "__Host-gateway-refresh"}
    assert names == (whole if mode == "cookie" else {"__Host-gateway-session"})
    assert world.provider.counts["token:refresh_token"] == 1
    await log_out(tab, world)
    assert not await tab.person.cookies(f"{world.base}/.gateway/x")
