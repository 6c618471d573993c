"""A person wanders over several sites: however it goes, nobody is logged out and nobody is called a thief."""

import asyncio
import random

import pytest
from yarl import URL

from tests.support.sites import SiteBrowser, SiteWorld

pytestmark = pytest.mark.asyncio
SITES = ("wiki", "files", "shop", "notes")
STEPS = 50


class Walk:
    """One person's steps, drawn at random."""

    def __init__(self, world: SiteWorld, browser: SiteBrowser, seed: int) -> None:
        self.world = world
        self.browser = browser
        self.random = random.Random(seed)
        self.told: list[str] = []

    async def visit(self) -> None:
        """Navigate, by way of the host of logins where need be."""
        site = self.random.choice(SITES)
        page = await self.browser.get(self.world.site(site) + "/v")
        assert (page.status, "alice" in page.text) == (200, True), (self.told, page.text[-600:])

    async def crowd(self) -> None:
        """Ask at several sites at once, as pages do."""
        sites = [site for site in SITES if any(name.endswith("-session") for name in self.browser.at(site))]
        asked = [self.random.choice(sites) for _ in range(8)] if sites else []
        pages = await asyncio.gather(*(self.browser.fetch(self.world.site(site) + "/c") for site in asked))
        assert {page.status for page in pages} <= {200}, self.told

    async def lose(self) -> None:
        """Ask, and lose the answer with its cookies."""
        site = self.random.choice(SITES)
        other = self.world.browser()
        other.jar.update_cookies(self.browser.at(site), URL(self.world.site(site)))
        await other.fetch(self.world.site(site) + "/l")

    async def forget(self) -> None:
        """Lose all cookies of a site."""
        host = URL(self.world.site(self.random.choice(SITES))).host
        self.browser.jar.clear(lambda morsel: morsel["domain"] == host)

    async def dawdle(self) -> None:
        """Be given a ticket, let some time pass, and show it."""
        site = self.random.choice(SITES)
        page = await self.browser.get(self.world.site(site) + "/.gateway/login?return_to=/d", follow=False)
        page = await self.browser.get(page.headers["Location"], follow=False)
        location = page.headers["Location"]
        self.world.clock.advance(self.random.choice((0, 3, 20)))
        if "/ticket?" in location:
            assert (await self.browser.get(location)).status == 200, self.told

    async def rest(self) -> None:
        """Let time pass: less than a token lives, about as long, and far longer."""
        self.world.clock.advance(self.random.choice((5, 20, 44, 50, 61, 61, 400, 1800)))

    async def go(self) -> None:
        """Take all steps."""
        for _ in range(STEPS):
            step = self.random.choice(
                (
                    self.visit,
                    self.visit,
                    self.visit,
                    self.crowd,
                    self.lose,
                    self.forget,
                    self.dawdle,
                    self.rest,
                )
            )
            self.told.append(step.__name__)
            await step()
            # what is done behind requests' backs comes at any time
            if self.random.random() < 0.5:
                await asyncio.sleep(0.04)


@pytest.mark.parametrize("mode", ["cookie", "redis"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_nobody_is_logged_out(valkey_url, tmp_path, mode: str, seed: int):
    """R32 R33 R37 [11.2]: one password, whatever was lost, forgotten, late or asked for at once."""
    session = {"mode": mode, "rotation_grace": "30ms"}
    async with SiteWorld(valkey_url, tmp_path, session=session) as world:
        browser = world.browser()
        await browser.login(world.site("wiki") + "/")
        walk = Walk(world, browser, seed)
        await walk.go()
        assert not world.audit("reuse_detected"), walk.told
        assert not world.audit("refresh_failed"), walk.told
