"""One night at the console: real workers, a real store, a real browser, from the log-in to the last line."""

import asyncio
import os
import signal

import aiohttp
import pytest
import pytest_asyncio

from tests.support.axe import violations
from tests.support.browser import NEEDS_CHROMIUM, Tab, somebody
from tests.support.console import TOKENS, Desk, operated, words_of
from tests.support.fleet import Fleet

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet():
    """Two workers, whose operators are the demo's admins."""
    async with operated(2, session={"mode": "redis"}, audit={"keep": {}}) as fleet:
        yield fleet


@pytest_asyncio.fixture(loop_scope="module")
async def tab(devtools):
    """One tab in a context without a cookie, in the loop of the module."""
    async with somebody(devtools) as person:
        yield await person.tab()


async def test_an_operator_ends_a_session_and_its_websocket(fleet: Fleet, tab):
    """[12.console] Log in at a provider, find a person, end everything of them: all of it is refused."""
    console = f"http://localhost:{fleet.admin_port}/console/"
    bob = fleet.browser()
    await bob.login("/reports", "bob")
    cookie = "; ".join(f"{name}={value}" for name, value in bob.cookies().items())
    headers = {"Cookie": cookie, "Origin": fleet.base}
    async with bob.session.ws_connect(f"{fleet.base}/ws", headers=headers) as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "hello"
        await tab.open(console)
        assert "Log in to the console" in await tab.text()
        assert await violations(tab) == []
        await tab.click("main a.button.first")
        await tab.sign_in("alice")
        # by the provider's answer from another site, a page of our own, and then with the Strict cookie
        await tab.until("document.title.startsWith('Overview') && document.readyState === 'complete'")
        assert "alice@example.com" in await tab.text()
        await tab.open(f"{console}people")
        await tab.run("document.querySelector('[name=q]').value = 'bob@example.com'")
        await tab.run("document.querySelector('[name=q]').form.requestSubmit()")
        await tab.until("document.body.innerText.includes('Found as it is')")
        await tab.click("tbody th a")
        await tab.until("document.body.innerText.includes('Sessions (1)')")
        await tab.click("a.button.danger")
        await tab.until("document.querySelector('[name=reason]') !== null")
        assert "This ends 1 session." in await tab.text()
        # the browser itself asks for a reason
        await tab.click("button.danger")
        assert "This ends 1 session." in await tab.text()
        await tab.run("document.querySelector('[name=reason]').value = 'left the company'")
        await tab.click("button.danger")
        await tab.until("document.body.innerText.includes('Done. It met 1 session, 1 open connection.')")
        assert "2 of 2 workers hold it." in await tab.text()
        closing = await asyncio.wait_for(socket.receive(), 10)
        assert closing.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert (await bob.fetch("/reports")).status == 401
    await fleet.eventually(lambda: fleet.events("revocation"))
    (event,) = fleet.events("revocation")
    assert event["value"] == "bob"
    assert (event["actor"], event["actor_by"]) == ("alice@example.com", "login")
    assert event["reason"] == "left the company"
    assert complaints_of(tab) == []


def complaints_of(tab: Tab) -> list[str]:
    """Return what the browser complained of, but that nobody was logged in yet, or a page is not there."""
    harmless = "status of 401", "status of 404", "Password forms should have"
    return [each for each in tab.complaints if not any(map(each.__contains__, harmless))]


PAGES = (
    "?live=off",
    "people",
    "people?q=alice",
    "person?provider=demo&sub=alice",
    "end?kind=sub&value=alice&provider=demo",
    "token",
    "trail?sub=alice",
    "nothing-of-the-kind",
)


async def test_no_page_keeps_anybody_out(fleet: Fleet, tab):
    """[12.console] axe-core finds nothing, light and dark; nothing is wider than the window."""
    console = f"http://localhost:{fleet.admin_port}/console/"
    await fleet.browser().login("/reports", "alice")
    await tab.open(f"{console}login")
    await tab.run(f"document.querySelector('[name=token]').value = '{TOKENS['carol']['token']}'")
    await tab.run("document.querySelector('[name=token]').form.requestSubmit()")
    await tab.until("document.title.startsWith('Overview') && document.readyState === 'complete'")
    found: dict[str, list[str]] = {}
    for path in PAGES:
        await tab.open(console + path)
        for scheme, width in (("light", 1280), ("dark", 390)):
            await tab.emulate(scheme, width)
            if problems := await violations(tab):
                found[f"{path} {scheme} {width}"] = problems
            assert await tab.run("document.documentElement.scrollWidth") <= width, (path, width)
    assert found == {}
    assert complaints_of(tab) == []


async def test_a_page_that_is_live_asks_for_itself_again(fleet: Fleet, tab):
    """[12.console] Without any script; paused, it does not; and a log-out in one tab ends the other."""
    console = f"http://localhost:{fleet.admin_port}/console/"
    await tab.open(f"{console}login")
    await tab.run(f"document.querySelector('[name=token]').value = '{TOKENS['rita']['token']}'")
    await tab.run("document.querySelector('[name=token]').form.requestSubmit()")
    await tab.until("document.title.startsWith('Overview') && document.readyState === 'complete'")
    await tab.at(f"{console}?auto=1")
    other = await tab.person.tab()
    await other.open(f"{console}people")
    await other.click("header button")
    await other.until("document.title.startsWith('Log in')")
    await tab.until("document.title.startsWith('Log in')")


async def test_a_reload_decides_who_stays(fleet: Fleet):
    """[12.console] A token that was exchanged, a console that was switched off: out with the next request."""
    changed = {"tokens": {"carol": {"token": "another-token-of-carol-0123456789"}}}
    async with Desk(fleet.admin_port) as desk:
        assert (await desk.log_in("carol")).status == 200
        assert (await desk.get()).status == 200
        for admin, status in ((changed, 401), ({"console": None}, 404), ({}, 401)):
            fleet.write(admin=admin)
            assert (await fleet.admin("POST", "/reload"))[0] == 200
            assert (await desk.get()).status == status
        assert (await desk.log_in("carol")).status == 200
        page = await desk.get("?live=off")
        # by whom, and what has changed
        assert "reloaded changed: admin" in words_of(page)


async def test_a_worker_that_ends_is_told_of(fleet: Fleet):
    """[12.console] What needs a look stands first; the page is there while a worker is not."""
    async with Desk(fleet.admin_port) as desk:
        await desk.log_in("rita")
        for pid in (await fleet.pids()).values():
            os.kill(pid, signal.SIGKILL)
        # whatever the workers do, it answers
        assert (await desk.get()).status == 200

        async def told() -> bool:
            return "Workers have ended unasked" in words_of(await desk.get())

        await fleet.eventually(told)
        await fleet.eventually(fleet.is_ready)
