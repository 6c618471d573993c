"""A real browser: headless Chromium logs in, reads the pages and logs out, by the DevTools protocol."""

import pytest
from aiohttp import web

from gateway.core.decision.answers import Refuse
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering.render import render_refuse
from tests.support.browser import NEEDS_CHROMIUM, Tab
from tests.support.certificates import Authority
from tests.support.oauth2 import ServiceWorld
from tests.support.world import World

pytestmark = NEEDS_CHROMIUM


async def test_a_person_logs_in_looks_around_and_logs_out(world: World, tab: Tab):
    """R38, R47: login form, page with its query, HttpOnly cookies, logout form, and then no cookie left."""
    page = f"{world.base}/wanted?x=1&y=%20"
    await tab.log_in(page, "alice")
    assert (await tab.run("document.body.innerText")).startswith("hello alice GET /wanted?x=1&y=%20")
    kept = await tab.person.cookies(world.base)
    name = f"gateway-{world.public_port}-"
    assert {f"{name}session", f"{name}refresh"} <= set(kept)
    assert not any("-login-" in each for each in kept)
    assert all(each["httpOnly"] and each["sameSite"] == "Lax" for each in kept.values())
    assert await tab.run("document.cookie") == ""

    await tab.open(f"{world.base}/.gateway/logout")
    assert await tab.run("document.querySelector('h1').innerText") == "Log out?"
    await tab.run("document.querySelector('form button').click()")
    await tab.until("location.pathname === '/.gateway/logged-out' && document.readyState === 'complete'")
    assert await tab.run("document.querySelector('h1').innerText") == "You are logged out"
    assert not await tab.person.cookies(world.base)
    assert len(world.audit("logout")) == 1
    assert [each for each in tab.complaints if "security" in each or "Content Security" in each] == []

    await tab.run("document.querySelector('a.button').click()")
    await tab.until("document.querySelector('[name=password]') !== null")


async def test_two_tabs_of_one_browser(world: World, tab: Tab):
    """R17: after one login another page of the same browser needs none."""
    await tab.log_in(f"{world.base}/one", "bob")
    await tab.open(f"{world.base}/two")
    assert (await tab.run("document.body.innerText")).startswith("hello bob GET /two")
    assert world.provider.counts["token:authorization_code"] == 1


async def test_a_fragment_survives_a_login(world: World, tab: Tab):
    """[2.17]: what a page hands the login is the address after it, fragment and all."""
    await tab.open(f"{world.base}/.gateway/login?return_to=%2Fapp%3Fx%3D1%23%2Finbox%2F7")
    await tab.sign_in("alice")
    await tab.at(f"{world.base}/app?x=1#/inbox/7")


async def test_another_account_from_a_403_page(world: World, tab: Tab):
    """[4.11]: the page says who one is; its button leads to the provider, and back to the page."""
    await tab.log_in(f"{world.base}/x", "bob")
    await tab.open(f"{world.base}/admin/x")
    assert "You are logged in as bob@example.com." in await tab.run("document.body.innerText")
    await tab.run("document.querySelector('a.button').click()")
    await tab.sign_in("alice")
    await tab.at(f"{world.base}/admin/x")
    assert (await tab.run("document.body.innerText")).startswith("hello alice")


async def test_thirty_tabs_of_one_browser(world: World, tab: Tab):
    """R17 [2.21]: thirty logins side by side: the first was evicted, and still comes to its page."""
    await tab.open(f"{world.base}/first")
    await tab.until("document.querySelector('[name=password]') !== null")
    first = await tab.run("location.href")
    for index in range(29):
        await tab.open(f"{world.base}/tab{index}")
    kept = [name for name in await tab.person.cookies(world.base) if "-login-" in name]
    assert len(kept) <= 20
    await tab.open(first)
    await tab.sign_in("alice")
    # the provider of the tests knows no single sign-on: it asks once more
    await tab.until(
        "document.querySelector('[name=password]') !== null && location.href !== "
        + repr(first)
        + " && !document.querySelector('[name=password]').value"
    )
    await tab.sign_in("alice")
    await tab.at(f"{world.base}/first")
    reasons = [event["reason"] for event in world.audit("login")]
    assert reasons == ["login_evicted", "login_completed"]


@pytest.fixture
async def form_post_world(valkey_url, tmp_path):
    """An https site, and a provider of another site that answers by a form."""
    tls = Authority(tmp_path).issue("localhost").written
    world = World(valkey_url, tmp_path, tls=tls, providers={"demo": {"response_mode": "form_post"}})
    world.base = world.base.replace("http://", "https://")
    async with world:
        yield world


async def test_r38_a_form_post_from_another_site(form_post_world: World, tab: Tab):
    """R38 [2.23]: a browser sends the pending cookie with the foreign form, the session with what follows."""
    world = form_post_world
    await tab.command("Security.setIgnoreCertificateErrors", ignore=True)
    for user in ("alice", "bob"):
        await tab.open(f"{world.base}/.gateway/login?return_to=/{user}")
        await tab.until("document.querySelector('[name=password]') !== null")
        held = await tab.person.cookies(world.base)
        assert {each["sameSite"] for name, each in held.items() if "-login-" in name} == {"None"}
        assert {each["sameSite"] for name, each in held.items() if "-login-" not in name} <= {"Lax"}
        await tab.sign_in(user)
        await tab.until("document.querySelector('button')?.innerText === 'Go on'")
        await tab.run("document.querySelector('form button').click()")
        await tab.at(f"{world.base}/{user}")
        assert (await tab.run("document.body.innerText")).startswith(f"hello {user}")
        assert bool(len(world.gateway.denylist)) == (user == "bob")
    # bob's login saw the session of alice, which no foreign form brings, and ended it
    assert [event["reason"] for event in world.audit("login")] == ["login_completed"] * 2
    assert not any("-login-" in name for name in await tab.person.cookies(world.base))


@pytest.mark.parametrize(
    "path", ["/admin/x", "/.gateway/nothing", "/.gateway/logout", "/.gateway/callback?state=x&code=y"]
)
async def test_pages_in_light_dark_and_narrow(world: World, tab: Tab, path: str):
    """The style sheet passes the policy, the colour schemes differ, 320 pixels need no sideways scrolling."""
    if path == "/admin/x":
        await tab.log_in(f"{world.base}/x", "bob")
    if path.startswith("/.gateway/callback"):
        await tab.open(f"{world.base}/public/x")
    await tab.open(world.base + path)
    assert await tab.run("document.querySelector('h1').innerText.length > 3")
    grounds = set()
    for scheme in ("light", "dark"):
        await tab.emulate(scheme, 320)
        grounds.add(await tab.run("getComputedStyle(document.body).backgroundColor"))
        assert await tab.run("document.documentElement.scrollWidth") <= 320
    assert len(grounds) == 2
    assert await tab.run("getComputedStyle(document.querySelector('main')).maxWidth") == "576px"
    assert [each for each in tab.complaints if "Content Security" in each] == []


async def test_every_page_keeps_its_policy(tab: Tab):
    """Each reason's page, with a nasty detail: no policy violation, no script, no overflow at 320 pixels."""
    app = web.Application()

    async def show(request: web.Request) -> web.Response:
        reason = Reason(request.match_info["reason"])
        answer = Refuse(
            reason, html=True, login_url="http://localhost/x", detail="<img src=x onerror=y>" + "w" * 200
        )
        _, headers, body = render_refuse(answer, "5f3a9c01d2e400000017")
        return web.Response(body=body, headers={name.decode(): value.decode() for name, value in headers})

    app.router.add_get("/{reason}", show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await tab.emulate("light", 320)
        for reason in Reason:
            if status_of(reason) >= 400:
                await tab.open(f"http://127.0.0.1:{runner.addresses[0][1]}/{reason.value}")
                assert await tab.run("document.querySelector('dd').innerText") == reason.value
                assert await tab.run("document.querySelectorAll('img, script').length") == 0
                assert await tab.run("document.documentElement.scrollWidth") <= 320
        assert tab.complaints == []
    finally:
        await runner.cleanup()


@pytest.fixture
async def choosing_world(valkey_url, tmp_path):
    """A site whose people choose between the demo provider and GitHub."""
    changes = {"label": "GitHub, " + "with a long name " * 2}
    async with ServiceWorld(valkey_url, tmp_path, "github", changes, choose_provider=True) as world:
        yield world


async def test_a_person_chooses_by_keyboard_and_without_script(choosing_world: World, tab: Tab):
    """[11.4]: labelled for those who do not see it, small enough for a phone; the last choice comes first."""
    world = choosing_world
    page = f"{world.base}/x"
    await tab.command("Accessibility.enable")
    await tab.open(page)
    assert await tab.run("location.pathname") == "/.gateway/login"
    tree = (await tab.command("Accessibility.getFullAXTree"))["nodes"]
    names = [
        (each["role"]["value"], each.get("name", {}).get("value")) for each in tree if not each["ignored"]
    ]
    assert ("navigation", "Ways to log in") in names
    assert ("heading", "Where do you want to log in?") in names
    links = [name for role, name in names if role == "link"]
    assert [each.partition(",")[0] for each in links] == ["demo", "GitHub"]
    for scheme in ("light", "dark"):
        await tab.emulate(scheme, 320)
        assert await tab.run("document.documentElement.scrollWidth") <= 320
    await tab.command("Emulation.setScriptExecutionDisabled", value=True)
    for key in ("Tab", "Tab", "Enter"):
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await tab.command(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=13 if key == "Enter" else 9,
                **(text if kind == "keyDown" else {}),
            )
    await world.eventually(lambda: world.provider.counts["authorize"])
    await tab.command("Emulation.setScriptExecutionDisabled", value=False)
    await tab.until("document.querySelector('[name=password]') !== null")
    assert "/github/" in await tab.run("location.href")
    await tab.sign_in("alice")
    await tab.at(page)
    assert (await tab.run("document.body.innerText")).startswith("hello 1001")
    await tab.open(f"{world.base}/.gateway/login")
    assert (await tab.run("document.querySelector('nav li').innerText")).startswith("GitHub")
    assert "used here before" in await tab.run("document.querySelector('nav li').innerText")
    assert tab.complaints == []
