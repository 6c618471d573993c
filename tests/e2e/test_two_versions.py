"""A gateway beside one of the version before, which is played by its recorded scripts on the same store."""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.headers.cookies import joined
from gateway.edge.store.store import Store
from tests.support.recorded import claim_scripts_1 as former
from tests.support.world import Browser, World

pytestmark = pytest.mark.asyncio
GRACE = 1.0


def opened(world: World, browser: Browser, kind: str) -> Any:
    """Return what a cookie of the browser seals."""
    sealed = joined(browser.cookies(), f"gateway-{world.public_port}-{kind}") or ""
    return json.loads(world.gateway.runtime.ring.open(f"{kind} {world.base}", sealed) or b"null")


async def run_there(world: World, script: Any, name: str, *arguments: Any) -> Any:
    """Run a script as a worker of the version before does, for the rotation that it knows by this name."""
    store: Store = world.gateway.store
    keys = [store.key("refresh", f"{{{name}}}", part) for part in ("claim", "result", "spent", "fence")]
    return await store.run(script, keys, list(arguments))


@pytest.mark.grace("1s")
async def test_a_copied_cookie_after_the_older_version_saw_the_new_one(world: World):
    """R37 [1.16]: what is shown to the version before alone is shown; a copy is reuse."""
    browser = world.browser()
    await browser.login()
    thief = browser.clone()
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    (name,) = opened(world, browser, "refresh")["u"]
    milliseconds = int(GRACE * 1000)
    await run_there(world, former.CONFIRM, name, 600_000, milliseconds)
    # a tab that lags behind is no thief
    assert (await thief.clone().fetch("/x")).status == 200
    await asyncio.sleep(GRACE + 0.2)
    # what this worker remembers of the rotation is over as well
    world.clock.advance(GRACE + 1)
    acquired = await run_there(world, former.ACQUIRE, name, "there", 5000, 600_000, milliseconds)
    assert acquired == [b"spent"]
    page = await thief.fetch("/x")
    assert page.status == 401
    assert "session_reused" in page.text
    assert len(world.audit("reuse_detected")) == 1
    assert (await browser.fetch("/x")).status == 401
    assert world.provider.counts["token:refresh_token"] == 1


async def test_cookies_name_rotations_as_both_versions_do(world: World):
    """R37 [1.16]: through several rotations, unconfirmed or not, cookies hold names that both know."""
    browser = world.browser()
    await browser.login()
    for generation in (1, 2, 3):
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        names = opened(world, browser, "refresh")["u"]
        assert len(names) == generation
        assert not any("." in name for name in names)
        # each has its result there, under that name
        store: Store = world.gateway.store
        assert await store.execute("EXISTS", store.key("refresh", f"{{{names[0]}}}", "result")) == 1
