"""Pages that a login leads back to, kept in a real store: bounded, sealed, for a while."""

import asyncio

import pytest

from gateway.core.decision.needs import KeptPage
from gateway.core.sessions.seal import KeyRing
from gateway.edge.sessions.kept_pages import MOST_BYTES, KeptPages
from gateway.edge.store.store import Store
from tests.support.store import ValkeyServer

pytestmark = pytest.mark.asyncio
RING = KeyRing((bytes(range(32)),))
PAGE = "/deep?filter=" + "x" * 30_000


class Clock:
    """Time that a test moves."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


async def test_a_page_comes_back(store: Store):
    """[2.17]: byte for byte, under a reference that nobody can guess, sealed where it lies."""
    pages = KeptPages(store, lambda: RING, Clock())
    page = PAGE + "#/inbox/7"
    first, second = await pages.keep(page, "192.0.2.1", 600), await pages.keep(page, "192.0.2.1", 0.5)
    assert first != second
    assert len(first) == len(second) == 23
    for reference in (first, second):
        assert await pages.fetch(KeptPage(reference)) == page
    kept = await store.execute("GET", store.key("page", first))
    assert b"filter" not in kept
    assert 0 < await store.execute("TTL", store.key("page", first)) <= 600


async def test_what_is_not_there_is_empty(store: Store):
    """[2.17]: an unknown reference, another ring's page and garbage are no page, and no error."""
    pages = KeptPages(store, lambda: RING, Clock())
    assert await pages.fetch(KeptPage("@unknown")) == ""
    other = KeptPages(store, lambda: KeyRing((bytes(range(1, 33)),)), Clock())
    assert await pages.fetch(KeptPage(await other.keep(PAGE, "192.0.2.1", 600))) == ""
    await store.execute("SET", store.key("page", "@garbage"), "\xff~")
    assert await pages.fetch(KeptPage("@garbage")) == ""


async def test_nobody_fills_the_store(store: Store):
    """[2.17]: one address has a sixteenth of the room, all together have all of it, until pages expire."""
    clock = Clock()
    pages = KeptPages(store, lambda: RING, clock)
    kept = [await pages.keep(PAGE, "192.0.2.1", 600) for _ in range(40)]
    assert sum(map(bool, kept)) == MOST_BYTES // 16 // len(PAGE)
    assert await pages.keep(PAGE, "192.0.2.2", 600), "others have room"
    total = sum(
        [len(PAGE) * bool(await pages.keep(PAGE, f"2001:db8::{index:x}", 600)) for index in range(600)]
    )
    assert total < MOST_BYTES
    assert not await pages.keep(PAGE, "192.0.2.3", 600)
    clock.now += 600
    assert await pages.keep(PAGE, "192.0.2.1", 600)


async def test_nobody_fills_the_store_by_asking_at_once(store: Store):
    """[2.17]: what is being kept counts as kept."""
    pages = KeptPages(store, lambda: RING, Clock())
    kept = await asyncio.gather(*(pages.keep(PAGE, "192.0.2.1", 600) for _ in range(60)))
    assert sum(map(bool, kept)) == MOST_BYTES // 16 // len(PAGE)


async def test_a_store_that_is_away_keeps_nothing(server: ValkeyServer, own_store: Store):
    """[2.17]: the login goes on, and says at its end that the page could not be kept."""
    pages = KeptPages(own_store, lambda: RING, Clock())
    server.close()
    assert await pages.keep(PAGE, "192.0.2.1", 600) == ""
