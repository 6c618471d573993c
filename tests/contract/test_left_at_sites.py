"""What one site of a session has left behind, where several have it, against a real store."""

import asyncio
import time

import pytest

from gateway.core.decision.needs import Confirm
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Stored, Success
from gateway.edge.store.store import Store

pytestmark = pytest.mark.asyncio
WIKI, SHOP = "https://wiki.example.com", "https://shop.example.com"
GRACE = 0.5


@pytest.fixture
async def workers(store: Store):
    """Two workers on one store."""
    made = [Leases(store, time.time, grace=GRACE, idle=60.0) for _ in range(2)]
    yield made
    for each in made:
        await each.close()


def confirmed(*rotations: str, site: str) -> Confirm:
    return Confirm(rotations, time.time() + 1000, site)


async def test_it_is_left_at_one_site_alone_and_after_the_grace(workers):
    """R37 [11.2]: at every worker; the other sites may show it for the first time."""
    one, other = workers
    await one.confirm(confirmed("h.s", "i.s", site=WIKI))
    assert not await one.was_left("h.s", WIKI), "within the grace other tabs show it as well"
    await asyncio.sleep(GRACE + 0.3)
    # to be told again changes nothing
    await other.confirm(confirmed("h.s", site=WIKI))
    for worker in workers:
        for rotation in ("h.s", "i.s"):
            assert await worker.was_left(rotation, WIKI)
            assert not await worker.was_left(rotation, SHOP)
        assert not await worker.was_left("j.s", WIKI)


async def test_a_site_that_begins_anew_has_left_nothing(workers):
    """R37 [11.2]: a ticket for an older generation is no reuse, until it is left behind again."""
    one, other = workers
    await one.confirm(confirmed("h.s", site=WIKI))
    await one.confirm(confirmed("h.s", site=SHOP))
    await asyncio.sleep(GRACE + 0.3)
    await one.forget_left("h.s", WIKI)
    assert not await other.was_left("h.s", WIKI)
    assert await other.was_left("h.s", SHOP)
    await one.confirm(confirmed("h.s", site=WIKI))
    await asyncio.sleep(GRACE + 0.3)
    assert await other.was_left("h.s", WIKI)


async def test_what_is_left_at_a_site_is_still_led_on_elsewhere(workers):
    """R33 [11.2]: its result lives as if nobody had shown it, and no second call is made."""
    one, other = workers
    calls = 0

    async def call() -> Success:
        nonlocal calls
        calls += 1
        return Success(b"sealed")

    assert await one.obtain("h.s", call) == Stored(b"sealed")
    await one.confirm(confirmed("h.s", site=WIKI))
    await asyncio.sleep(GRACE + 0.3)
    assert await other.obtain("h.s", call) == Stored(b"sealed")
    assert calls == 1
