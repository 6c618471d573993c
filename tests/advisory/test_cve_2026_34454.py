"""CVE-2026-34454: user B logs in after A in the same browser, and A's session lived on."""

import json

import pytest
from yarl import URL

from tests.support.sites import SiteWorld
from tests.support.world import World

pytestmark = pytest.mark.asyncio
MODES = pytest.mark.parametrize("mode", ["cookie", "redis"])


@MODES
async def test_b_after_a(valkey_url, tmp_path, mode: str):
    """R41: a copy of A's cookies, made before B has logged in, is dead."""
    async with World(valkey_url, tmp_path, session={"mode": mode}) as world:
        browser = world.browser()
        await browser.login(user="alice")
        copy = browser.clone()
        page = await browser.get("/.gateway/login?account=other&return_to=/x")
        page = await browser.submit(page, username="bob", password="bob")
        assert "bob" in page.text
        page = await copy.fetch("/x")
        assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")
        assert "bob" in (await browser.fetch("/x")).text


@MODES
async def test_b_after_a_at_another_site(valkey_url, tmp_path, mode: str):
    """R41 [11.2]: B logs in at one of several sites: what A has had at any of them is dead."""
    async with SiteWorld(valkey_url, tmp_path, session={"mode": mode}) as world:
        browser = world.browser()
        await browser.login(world.site("wiki") + "/", "alice")
        await browser.get(world.site("files") + "/")
        copies = {site: browser.at(site) for site in ("wiki", "files", "login")}
        page = await browser.get(world.site("shop") + "/.gateway/login?account=other&return_to=/x")
        page = await browser.submit(page, username="bob", password="bob")
        assert (page.status, "bob" in page.text) == (200, True)
        await world.told()
        for site, cookies in copies.items():
            thief = world.browser()
            thief.jar.update_cookies(cookies, URL(world.site(site)))
            page = await thief.fetch(world.site(site) + "/.gateway/userinfo")
            assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")
        # nobody is alice here any more, and bob is one click away
        page = await browser.get(world.site("wiki") + "/")
        assert (page.status, "alice" in page.text) == (401, False)
        page = await browser.get(world.site("wiki") + "/.gateway/login?return_to=/y")
        assert (page.status, "bob" in page.text) == (200, True)
