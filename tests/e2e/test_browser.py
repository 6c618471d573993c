"""A real browser: headless Chromium logs in, reads the pages and logs out, by the DevTools protocol."""

import asyncio
import contextlib
import itertools
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.core.decision.answers import Refuse
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering.render import render_refuse
from tests.support.certificates import Authority
from tests.support.oauth2 import ServiceWorld
from tests.support.world import World

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
    ),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


@pytest.fixture(scope="module")
def devtools():
    """Chromium with an empty profile; yields the address of its DevTools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield wait_for_devtools(Path(profile) / "DevToolsActivePort", process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_devtools(told: Path, process: subprocess.Popen) -> str:
    """Return the address that Chromium writes into its profile once it listens: port, then path."""
    for _ in range(600):
        if told.exists() and len(lines := told.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        assert process.poll() is None, "Chromium ended before it listened"
        time.sleep(0.05)
    raise AssertionError("Chromium never listened")


class Tab:
    """One page in a context of its own: commands, and everything that the browser complained about."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.waiting: dict[int, asyncio.Future] = {}
        self.complaints: list[str] = []
        self.responses: dict[str, int] = {}
        self.session: str | None = None
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            event = message.json()
            if "id" in event:
                self.waiting.pop(event["id"]).set_result(event)
            elif event["method"] == "Log.entryAdded":
                entry = event["params"]["entry"]
                self.complaints.append(f"{entry['source']}: {entry['text']}")
            elif event["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(event["params"]))
            elif event["method"] == "Network.responseReceived":
                response = event["params"]["response"]
                self.responses[response["url"]] = response["status"]

    async def command(self, method: str, **parameters):
        """Send one command and return its result."""
        number = next(self.numbers)
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self.session} if self.session else {}
        await self.socket.send_json({"id": number, "method": method, "params": parameters, **session})
        answer = await asyncio.wait_for(future, 30)
        assert "error" not in answer, answer
        return answer["result"]

    async def run(self, script: str):
        """Return the value of a script in the page."""
        result = await self.command("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        """Navigate and wait for the page."""
        await self.command("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def until(self, condition: str):
        """Wait until a script is true in whatever page is shown by then."""
        for _ in range(400):
            # a page that is being left answers with an error for a moment
            with contextlib.suppress(AssertionError):
                if value := await self.run(condition):
                    return value
            await asyncio.sleep(0.025)
        raise AssertionError(f"never: {condition}; at {await self.run('location.href')}")

    async def emulate(self, scheme: str, width: int) -> None:
        """Set the preferred colour scheme and the width of the window in pixels."""
        await self.command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )


@pytest.fixture
async def tab(devtools):
    """A tab in a new context: no cookie of another test."""
    async with aiohttp.ClientSession() as client, client.ws_connect(devtools, max_msg_size=0) as socket:
        tab = Tab(socket)
        context = (await tab.command("Target.createBrowserContext"))["browserContextId"]
        target = (await tab.command("Target.createTarget", url="about:blank", browserContextId=context))[
            "targetId"
        ]
        tab.session = (await tab.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            await tab.command(f"{domain}.enable")
        yield tab
        tab.session = None
        await tab.command("Target.disposeBrowserContext", browserContextId=context)
        tab.reader.cancel()


async def log_in(tab: Tab, url: str, user: str) -> None:
    await tab.open(url)
    await tab.until("document.querySelector('[name=password]') !== null")
    await tab.run(
        f"document.querySelector('[name=username]').value = '{user}';"
        f"document.querySelector('[name=password]').value = '{user}';"
        "document.querySelector('form [type=submit], form button').click()"
    )
    await tab.until(f"location.href === '{url}' && document.readyState === 'complete'")


async def cookies(tab: Tab, base: str) -> dict[str, dict]:
    found = await tab.command("Network.getCookies", urls=[base])
    return {each["name"]: each for each in found["cookies"]}


async def test_a_person_logs_in_looks_around_and_logs_out(world: World, tab: Tab):
    """R38, R47: login form, page with its query, HttpOnly cookies, logout form, and then no cookie left."""
    page = f"{world.base}/wanted?x=1&y=%20"
    await log_in(tab, page, "alice")
    assert (await tab.run("document.body.innerText")).startswith("hello alice GET /wanted?x=1&y=%20")
    kept = await cookies(tab, world.base)
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
    assert not await cookies(tab, world.base)
    assert len(world.audit("logout")) == 1
    assert [each for each in tab.complaints if "security" in each or "Content Security" in each] == []

    await tab.run("document.querySelector('a.button').click()")
    await tab.until("document.querySelector('[name=password]') !== null")


async def test_two_tabs_of_one_browser(world: World, tab: Tab):
    """R17: after one login another page of the same browser needs none."""
    await log_in(tab, f"{world.base}/one", "bob")
    await tab.open(f"{world.base}/two")
    assert (await tab.run("document.body.innerText")).startswith("hello bob GET /two")
    assert world.provider.counts["token:authorization_code"] == 1


async def test_a_fragment_survives_a_login(world: World, tab: Tab):
    """[2.17]: what a page hands the login is the address after it, fragment and all."""
    await tab.open(f"{world.base}/.gateway/login?return_to=%2Fapp%3Fx%3D1%23%2Finbox%2F7")
    await tab.until("document.querySelector('[name=password]') !== null")
    await tab.run(
        "document.querySelector('[name=username]').value = 'alice';"
        "document.querySelector('[name=password]').value = 'alice';"
        "document.querySelector('form button').click()"
    )
    await tab.until(
        f"location.href === '{world.base}/app?x=1#/inbox/7' && document.readyState === 'complete'"
    )


async def test_another_account_from_a_403_page(world: World, tab: Tab):
    """[4.11]: the page says who one is; its button leads to the provider, and back to the page."""
    await log_in(tab, f"{world.base}/x", "bob")
    await tab.open(f"{world.base}/admin/x")
    assert "You are logged in as bob@example.com." in await tab.run("document.body.innerText")
    await tab.run("document.querySelector('a.button').click()")
    await tab.until("document.querySelector('[name=password]') !== null")
    await tab.run(
        "document.querySelector('[name=username]').value = 'alice';"
        "document.querySelector('[name=password]').value = 'alice';"
        "document.querySelector('form button').click()"
    )
    await tab.until(f"location.href === '{world.base}/admin/x' && document.readyState === 'complete'")
    assert (await tab.run("document.body.innerText")).startswith("hello alice")


async def test_thirty_tabs_of_one_browser(world: World, tab: Tab):
    """R17 [2.21]: thirty logins side by side: the first was evicted, and still comes to its page."""
    await tab.open(f"{world.base}/first")
    await tab.until("document.querySelector('[name=password]') !== null")
    first = await tab.run("location.href")
    for index in range(29):
        await tab.open(f"{world.base}/tab{index}")
    kept = [name for name in await cookies(tab, world.base) if "-login-" in name]
    assert len(kept) <= 20
    await tab.open(first)
    await tab.run(
        "document.querySelector('[name=username]').value = 'alice';"
        "document.querySelector('[name=password]').value = 'alice';"
        "document.querySelector('form button').click()"
    )
    # the provider of the tests knows no single sign-on: it asks once more
    await tab.until(
        "document.querySelector('[name=password]') !== null && location.href !== "
        + repr(first)
        + " && !document.querySelector('[name=password]').value"
    )
    await tab.run(
        "document.querySelector('[name=username]').value = 'alice';"
        "document.querySelector('[name=password]').value = 'alice';"
        "document.querySelector('form button').click()"
    )
    await tab.until(f"location.href === '{world.base}/first' && document.readyState === 'complete'")
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
        held = await cookies(tab, world.base)
        assert {each["sameSite"] for name, each in held.items() if "-login-" in name} == {"None"}
        assert {each["sameSite"] for name, each in held.items() if "-login-" not in name} <= {"Lax"}
        await tab.run(
            f"document.querySelector('[name=username]').value = '{user}';"
            f"document.querySelector('[name=password]').value = '{user}';"
            "document.querySelector('form button').click()"
        )
        await tab.until("document.querySelector('button')?.innerText === 'Go on'")
        await tab.run("document.querySelector('form button').click()")
        await tab.until(f"location.href === '{world.base}/{user}' && document.readyState === 'complete'")
        assert (await tab.run("document.body.innerText")).startswith(f"hello {user}")
        assert bool(len(world.gateway.denylist)) == (user == "bob")
    # bob's login saw the session of alice, which no foreign form brings, and ended it
    assert [event["reason"] for event in world.audit("login")] == ["login_completed"] * 2
    assert not any("-login-" in name for name in await cookies(tab, world.base))


@pytest.mark.parametrize(
    "path", ["/admin/x", "/.gateway/nothing", "/.gateway/logout", "/.gateway/callback?state=x&code=y"]
)
async def test_pages_in_light_dark_and_narrow(world: World, tab: Tab, path: str):
    """The style sheet passes the policy, the colour schemes differ, 320 pixels need no sideways scrolling."""
    if path == "/admin/x":
        await log_in(tab, f"{world.base}/x", "bob")
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
    await tab.run(
        "document.querySelector('[name=username]').value = 'alice';"
        "document.querySelector('[name=password]').value = 'alice';"
        "document.querySelector('form button').click()"
    )
    await tab.until(f"location.href === '{page}' && document.readyState === 'complete'")
    assert (await tab.run("document.body.innerText")).startswith("hello 1001")
    await tab.open(f"{world.base}/.gateway/login")
    assert (await tab.run("document.querySelector('nav li').innerText")).startswith("GitHub")
    assert "used here before" in await tab.run("document.querySelector('nav li').innerText")
    assert tab.complaints == []
