"""Headless Chromium by the DevTools protocol: contexts that share nothing, tabs, and what a person does.

A module that needs it says ``pytestmark = NEEDS_CHROMIUM`` and asks for the fixtures ``tab`` or ``person``
(tests/e2e/conftest.py); one Chromium serves the module, each test gets a context without a cookie.
"""

import asyncio
import base64
import contextlib
import itertools
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
    ),
]
_FLAGS = (
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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
_DOMAINS = ("Page", "Log", "Runtime", "Network")
_PASSWORD = "document.querySelector('[name=password]') !== null && document.readyState === 'complete'"

Event = dict[str, Any]


@contextlib.contextmanager
def chromium() -> Iterator[str]:
    """Run Chromium with an empty profile; yields the address of its DevTools."""
    assert CHROMIUM is not None, "Chromium is not installed"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _address(Path(profile) / "DevToolsActivePort", process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(told: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address that Chromium writes into its profile once it listens: port, then path."""
    for _ in range(600):
        if told.exists() and len(lines := told.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        assert process.poll() is None, "Chromium ended before it listened"
        time.sleep(0.05)
    raise AssertionError("Chromium never listened")


class Person:
    """One browser context: cookies and a cache of its own, and any number of tabs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Event]] = {}
        self._tabs: dict[str, Tab] = {}
        self._context = ""
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                if not (waiting := self._answers.pop(event["id"])).done():
                    waiting.set_result(event)
            elif tab := self._tabs.get(event.get("sessionId", "")):
                tab.told(event["method"], event["params"])

    async def command(self, method: str, session: str | None = None, /, **parameters: Any) -> Event:
        """Send one command, to the browser or to a tab's session, and return its result."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        named = {"sessionId": session} if session else {}
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **named})
        answer = await asyncio.wait_for(future, 30)
        assert "error" not in answer, answer
        result: Event = answer["result"]
        return result

    async def enter(self) -> None:
        """Make the context."""
        self._context = (await self.command("Target.createBrowserContext"))["browserContextId"]

    async def tab(self) -> "Tab":
        """Open one more tab."""
        target = await self.command("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = self._tabs[attached["sessionId"]] = Tab(self, target["targetId"], attached["sessionId"])
        for domain in _DOMAINS:
            await tab.command(f"{domain}.enable")
        return tab

    async def leave(self) -> None:
        """Forget the context with all that is in it."""
        await self.command("Target.disposeBrowserContext", browserContextId=self._context)
        self._reader.cancel()

    async def cookies(self, base: str) -> dict[str, Event]:
        """Return the cookies that go to a URL, as the browser holds them, by name."""
        tab = next(iter(self._tabs.values()))
        found = await tab.command("Network.getCookies", urls=[base])
        return {each["name"]: each for each in found["cookies"]}


class Tab:
    """One page: commands, and everything that the browser complained about or was answered."""

    def __init__(self, person: Person, target: str, session: str) -> None:
        self.person = person
        self.target = target
        self.session = session
        self.complaints: list[str] = []
        self.responses: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self._awaited: list[tuple[str, Callable[[Event], Any], asyncio.Future[Event]]] = []

    def told(self, method: str, parameters: Event) -> None:
        """Take an event of the page."""
        self.counts[method] += 1
        if method == "Log.entryAdded":
            entry = parameters["entry"]
            self.complaints.append(f"{entry['source']}: {entry['text']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters))
        elif method == "Network.responseReceived":
            response = parameters["response"]
            self.responses[response["url"]] = response["status"]
        for each in tuple(self._awaited):
            if each[0] == method and each[1](parameters):
                self._awaited.remove(each)
                if not each[2].done():
                    each[2].set_result(parameters)

    def event(self, method: str, fits: Callable[[Event], Any] = lambda _: True) -> asyncio.Future[Event]:
        """Return what becomes the next such event; ask before what brings it about."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._awaited.append((method, fits, future))
        return future

    async def command(self, method: str, **parameters: Any) -> Event:
        """Send one command to the page and return its result."""
        return await self.person.command(method, self.session, **parameters)

    async def run(self, script: str) -> Any:
        """Return the value of a script in the page; a promise is awaited."""
        result = await self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        """Navigate and wait for the page."""
        await self.command("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def go(self, steps: int) -> None:
        """Go back (below 0) or forward in this tab's history, as its buttons do."""
        history = await self.command("Page.getNavigationHistory")
        entry = history["entries"][history["currentIndex"] + steps]
        await self.command("Page.navigateToHistoryEntry", entryId=entry["id"])

    async def at(self, url: str) -> None:
        """Wait until this page is shown in full."""
        await self.until(f"location.href === {url!r} && document.readyState === 'complete'")

    async def until(self, condition: str) -> Any:
        """Wait until a script is true in whatever page is shown by then."""
        for _ in range(400):
            # a page that is being left answers with an error for a moment
            with contextlib.suppress(AssertionError):
                if value := await self.run(condition):
                    return value
            await asyncio.sleep(0.025)
        raise AssertionError(f"never: {condition}; at {await self.run('location.href')}")

    async def text(self) -> str:
        """Return what the page says."""
        return str(await self.run("document.body.innerText"))

    async def emulate(self, scheme: str, width: int) -> None:
        """Set the preferred colour scheme and the width of the window in pixels."""
        await self.command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )

    async def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        shot = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    async def click(self, selector: str) -> None:
        """Click the first element of a CSS selector."""
        await self.run(f"document.querySelector({selector!r}).click()")

    async def sign_in(self, user: str) -> None:
        """Fill in and send the form of the provider of the tests, as soon as it is shown."""
        await self.until(_PASSWORD)
        await self.run(
            f"document.querySelector('[name=username]').value = '{user}';"
            f"document.querySelector('[name=password]').value = '{user}';"
            "document.querySelector('form [type=submit], form button').click()"
        )

    async def log_in(self, url: str, user: str) -> None:
        """Ask for a page, log in where that leads to, and come back to the page."""
        await self.open(url)
        await self.sign_in(user)
        await self.at(url)


@contextlib.asynccontextmanager
async def somebody(devtools: str) -> AsyncIterator[Person]:
    """Enter a context without a cookie, by the address of Chromium's DevTools."""
    async with aiohttp.ClientSession() as client, client.ws_connect(devtools, max_msg_size=0) as socket:
        person = Person(socket)
        await person.enter()
        try:
            yield person
        finally:
            await person.leave()
