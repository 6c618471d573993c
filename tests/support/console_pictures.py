"""Pictures of every page of the console, light, dark and at 390 pixels: ``make console-pictures``."""

import asyncio
import base64
import os
import signal
import sys
from pathlib import Path

import aiohttp

from tests.support.browser import Person, Tab, chromium
from tests.support.console import TOKENS, operated
from tests.support.fleet import Fleet

TOKEN = TOKENS["carol"]["token"]
ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public"},
    {"path": "/reports", "upstream": "app", "access": "required", "unauthenticated": "login", "audit": True},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1",
)
MOST_HEIGHT = 2200
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390))


async def take(tab: Tab, name: str, folder: Path) -> None:
    """Take a page as it is now, once for each look."""
    for scheme, width in LOOKS:
        await tab.command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        await tab.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        size = (await tab.command("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], MOST_HEIGHT), "scale": 1}
        shot = await tab.command(
            "Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True
        )
        suffix = f"{scheme}-narrow" if width < 600 else scheme
        (folder / f"{name}-{suffix}.png").write_bytes(base64.b64decode(shot["data"]))


async def busy(fleet: Fleet, rounds: int) -> None:
    """Let people come and go for a while."""
    people = []
    for name in ("alice", "bob"):
        for agent in AGENTS:
            browser = fleet.browser()
            browser.session.headers["User-Agent"] = agent
            await browser.login("/reports", name)
            people.append(browser)
    for number in range(rounds):
        for browser in people:
            await browser.get(f"/reports/{number}")
        await people[0].get("/public/")
        if number % 5 == 0:
            await fleet.browser().fetch("/api")
        await asyncio.sleep(0.1)


async def story(fleet: Fleet, devtools: str, folder: Path, rounds: int) -> None:
    """Walk through the pages."""
    await busy(fleet, rounds)
    console = f"http://localhost:{fleet.admin_port}/console/"
    async with aiohttp.ClientSession() as client, client.ws_connect(devtools, max_msg_size=0) as socket:
        person = Person(socket)
        await person.enter()
        tab = await person.tab()
        await tab.open(console)
        await take(tab, "login", folder)
        await tab.run(f"document.querySelector('[name=token]').value = '{TOKEN}'")
        await tab.run("document.querySelector('[name=token]').form.submit()")
        await tab.until("document.title.startsWith('Overview') && document.readyState === 'complete'")
        await tab.open(f"{console}?live=off")
        await take(tab, "overview", folder)
        for name, path in (
            ("people", "people"),
            ("person", "person?provider=demo&sub=alice"),
            ("end", "end?kind=sub&value=alice&provider=demo"),
            ("token", "token"),
            ("trail", "trail?path=/reports"),
        ):
            await tab.open(console + path)
            await take(tab, name, folder)
        await in_trouble(fleet, tab, console)
        await take(tab, "trouble", folder)
        await person.leave()


async def in_trouble(fleet: Fleet, tab: Tab, console: str) -> None:
    """Let the provider go away and a worker end, and wait until the overview tells of both."""
    await fleet.provider.close()
    os.kill((await fleet.pids())[1], signal.SIGKILL)
    await fleet.eventually(fleet.is_ready)
    for _ in range(60):
        await tab.open(f"{console}?live=off")
        said = await tab.text()
        if "is unusable" in said and "have ended unasked" in said:
            return
        await asyncio.sleep(1)
    raise AssertionError(said)


async def main(folder: Path, rounds: int) -> None:
    """Take them all into a folder."""
    async with operated(2, session={"mode": "redis"}, audit={"keep": {}}, routes=ROUTES) as fleet:
        with chromium() as devtools:
            await story(fleet, devtools, folder, rounds)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 120))
