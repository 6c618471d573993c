"""Every place where a worker may die, hang or lose an answer during a refresh; real processes are killed.

The steps are those of ``edge.refresh.lease``. A call at the provider's token endpoint is held where the
crash is to happen, and the worker that made it is found by its connection.
"""

import asyncio
import os
import signal
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from tests.support.fleet import Fleet, tokens_of
from tests.support.held import Call, HeldProvider
from tests.support.ports import free_port
from tests.support.world import Browser, Page, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

# enough for both workers to have some
TABS = 16
PATIENCE = aiohttp.ClientTimeout(total=60)


class HeldFleet(Fleet):
    """Two workers in front of a provider whose token endpoint can be held."""

    provider_class = HeldProvider
    provider: HeldProvider

    def __init__(self) -> None:
        super().__init__(2, session={"refresh_before_expiry": "100ms", "rotation_grace": "1s"})

    async def expired(self, user: str = "alice") -> Browser:
        """Return a browser whose session's access token has just expired."""
        browser = self.browser()
        self.provider.access_lifetime = 0.5
        await browser.login(user=user)
        self.provider.access_lifetime = 3600.0
        await asyncio.sleep(0.6)
        return browser

    async def next_call(self, known: int) -> Call:
        """Return the refresh after the first ``known`` ones, once it has arrived."""
        await self.eventually(lambda: len(self.provider.calls) > known)
        return self.provider.calls[known]


@dataclass
class Refresh:
    """A refresh that is held at the provider: who waits for it, and who makes it."""

    fleet: HeldFleet
    browser: Browser
    tabs: list["asyncio.Task[Page]"]
    call: Call
    number: int
    pid: int
    before: int

    @property
    def calls(self) -> int:
        """How many token calls there have been since."""
        return len(self.fleet.provider.calls) - self.before

    async def finish(self) -> list[Page]:
        """Wait for every tab; those whose connection broke ask again, as a person reloads."""
        found = await asyncio.gather(*self.tabs, return_exceptions=True)
        pages = [page for page in found if isinstance(page, Page)]
        broken = [error for error in found if not isinstance(error, Page)]
        assert all(isinstance(error, aiohttp.ClientError) for error in broken), broken
        again = [self.browser.clone().fetch("/again", timeout=PATIENCE) for _ in broken]
        return pages + await asyncio.gather(*again)

    async def events(self) -> list[tuple[str, int, str | None]]:
        """Return event, worker and reason of the audit events about this session since its login."""
        # workers gather their lines for a moment
        await asyncio.sleep(0.4)
        session = tokens_of(self.fleet, self.browser.cookies())[0].session_id
        return [
            (line["event"], line["worker"], line.get("reason"))
            for line in self.fleet.lines()
            if line.get("session") == session and line["event"] not in ("request", "login", "refusal")
        ]

    @property
    def other(self) -> int:
        """The number of the worker that does not hold the claim."""
        return 1 - self.number


async def begin(fleet: HeldFleet, hold: str) -> Refresh:
    """Let many tabs of an expired session ask at once; return with the one token call held."""
    browser = await fleet.expired()
    before = len(fleet.provider.calls)
    fleet.provider.hold = hold
    tabs = [asyncio.create_task(browser.clone().fetch("/tab", timeout=PATIENCE)) for _ in range(TABS)]
    call = await fleet.next_call(before)
    fleet.provider.hold = ""
    number, pid = await fleet.owner(call.port, fleet.provider.port)
    return Refresh(fleet, browser, tabs, call, number, pid, before)


def kill(refresh: Refresh) -> None:
    """Kill the worker that holds the claim, and with it its call."""
    os.kill(refresh.pid, signal.SIGKILL)
    refresh.call.lose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lost():
    """The one case that waits out the longest possible call; it begins first, beside the others."""

    async def run(fleet: HeldFleet) -> tuple[Refresh, list[Page]]:
        refresh = await begin(fleet, "after")
        kill(refresh)
        return refresh, await refresh.finish()

    async with HeldFleet() as fleet:
        task = asyncio.create_task(run(fleet))
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(lost):
    """Two workers that the other cases share; each leaves them whole."""
    del lost
    async with HeldFleet() as fleet:
        yield fleet


async def test_killed_before_the_provider_commits(fleet: HeldFleet):
    """Steps 1 and 2: another worker makes the call once the lease has lapsed; everybody sees a 200."""
    refresh = await begin(fleet, "before")
    kill(refresh)
    pages = await refresh.finish()
    assert {page.status for page in pages} == {200}
    assert refresh.calls == 2
    # by the other worker, or by the successor of the one that was killed
    assert [(event, reason) for event, _, reason in await refresh.events()] == [("refresh", None)]
    await fleet.eventually(fleet.is_ready)


async def test_killed_after_the_provider_committed_with_a_leeway(fleet: HeldFleet):
    """Step 4: where the provider tolerates a late second use, the lost answer is fetched again: 200."""
    fleet.provider.quirks.add("refresh-reuse-leeway")
    refresh = await begin(fleet, "after")
    kill(refresh)
    pages = await refresh.finish()
    fleet.provider.quirks.clear()
    assert {page.status for page in pages} == {200}
    assert refresh.calls == 2
    assert (await refresh.browser.fetch("/x")).status == 200
    renewed = tokens_of(fleet, refresh.browser.cookies())[1].refresh_token
    family = fleet.provider.grants.family_of(renewed)
    assert family.alive
    assert family.current == renewed
    await fleet.eventually(fleet.is_ready)


async def test_killed_when_the_result_was_stored(fleet: HeldFleet):
    """R33, step 3: the worker dies before its answer reaches the browser: the old cookie gets the result."""
    browser = await fleet.expired()
    before, seen = len(fleet.provider.calls), len(fleet.upstream.seen)
    fleet.upstream.hold = hold = asyncio.Event()
    try:
        asking = asyncio.create_task(browser.clone().fetch("/x"))
        await fleet.eventually(lambda: len(fleet.upstream.seen) > seen)
        port = fleet.upstream.last().transport.get_extra_info("peername")[1]
        os.kill((await fleet.owner(port, fleet.upstream.port))[1], signal.SIGKILL)
    finally:
        fleet.upstream.hold = None
        hold.set()
    # the client library may have asked again by itself; what it got reaches nobody else
    await asyncio.gather(asking, return_exceptions=True)
    for _ in range(2):
        assert (await browser.clone().fetch("/x")).status == 200
    assert len(fleet.provider.calls) == before + 1
    await fleet.eventually(fleet.is_ready)


async def test_a_late_success_is_stored(fleet: HeldFleet):
    """Steps 3 and 4: the holder is stopped beyond its lease; the success it finds on waking counts.

    The worker that took over is refused meanwhile; that does not count, since the first call is in doubt.
    """
    refresh = await begin(fleet, "after")
    os.kill(refresh.pid, signal.SIGSTOP)
    try:
        refresh.call.answer()
        await fleet.next_call(refresh.before + 1)
        assert not any(task.done() for task in refresh.tabs)
    finally:
        os.kill(refresh.pid, signal.SIGCONT)
    pages = await refresh.finish()
    assert {page.status for page in pages} == {200}
    assert refresh.calls == 2
    assert await refresh.events() == [("refresh", refresh.number, None)]


async def test_a_late_refusal_does_not_count(fleet: HeldFleet):
    """Step 4: the holder is stopped beyond its lease; a refusal it finds on waking ends nothing."""
    refresh = await begin(fleet, "before")
    os.kill(refresh.pid, signal.SIGSTOP)
    try:
        await fleet.eventually(lambda: any(task.done() for task in refresh.tabs))
        assert refresh.calls == 2
        refresh.call.refuse()
    finally:
        os.kill(refresh.pid, signal.SIGCONT)
    pages = await refresh.finish()
    assert {page.status for page in pages} == {200}
    assert await refresh.events() == [("refresh", refresh.other, None)]
    assert (await refresh.browser.fetch("/x")).status == 200


async def test_r37_the_old_cookie_after_confirmation_and_grace(fleet: HeldFleet):
    """R37, step 6: the old cookie, once the new one was shown and the grace is over, revokes the family."""
    browser = await fleet.expired()
    thief = browser.clone()
    before = len(fleet.provider.calls)
    assert (await browser.fetch("/x")).status == 200
    assert (await thief.clone().fetch("/in-time")).status == 200
    assert (await browser.fetch("/confirms")).status == 200
    await asyncio.sleep(2.2)
    page = await thief.fetch("/late")
    assert page.status == 401
    assert "session_reused" in page.text
    assert len(fleet.provider.calls) == before + 1
    session = tokens_of(fleet, browser.cookies())[0].session_id
    await fleet.eventually(lambda: session in {line["session"] for line in fleet.events("reuse_detected")})
    # until every worker has heard of it: that takes milliseconds, and has its own test
    await fleet.eventually(lambda: refused_everywhere(browser))


async def refused_everywhere(browser: Browser) -> bool:
    """Tell whether many connections, and so both workers, refuse a session."""
    pages = await asyncio.gather(*(browser.clone().fetch("/x") for _ in range(TABS)))
    return {page.status for page in pages} == {401}


async def test_killed_after_the_provider_committed(lost):
    """Step 4: the answer died with its worker, and the provider refuses a second use: one clean login.

    The longest possible call is waited out, the provider is asked only once more, and nobody calls it reuse.
    """
    refresh, pages = await lost
    fleet, browser = refresh.fleet, refresh.browser
    assert {page.status for page in pages} == {401}
    assert all("refresh_lost" in page.text for page in pages)
    assert refresh.calls == 2
    assert {(event, reason) for event, _, reason in await refresh.events()} == {
        ("refresh_failed", "refresh_lost")
    }
    page = await browser.get("/x", follow=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(fleet.provider.issuer)
    assert (await browser.login("/back")).status == 200
    assert {page.status for page in [await browser.fetch("/x") for _ in range(3)]} == {200}
    assert len(fleet.provider.calls) == refresh.before + 2


@pytest.mark.asyncio(loop_scope="function")
async def test_r33_an_hour_later_at_another_worker(valkey_url, tmp_path):
    """R33, step 6: the worker dies, its answer never came, the old cookie is back an hour later: it lives."""
    async with World(valkey_url, tmp_path) as world:
        data = world.config()
        data["listen"] = f"127.0.0.1:{free_port()}"
        other = await world.start_gateway(type(world.settings).model_validate(data))
        browser = world.browser()
        await browser.login()
        world.clock.advance(61)
        assert (await browser.clone().fetch("/lost")).status == 200
        await world.gateway.close()
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
        headers = {"Host": f"localhost:{world.public_port}", "Cookie": cookie}
        for _ in range(2):
            world.clock.advance(3600)
            page = await world.browser().fetch(f"http://127.0.0.1:{other.port}/x", headers=headers)
            assert page.status == 200
            assert "alice" in page.text
        assert world.provider.counts["token:refresh_token"] == 3
        assert not world.audit("reuse_detected")
        assert not world.audit("refresh_failed")
