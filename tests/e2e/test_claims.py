"""What a provider no longer tells of somebody, seen from the browser, with a real provider and store."""

import pytest

from gateway.demo.faults import Canned
from tests.support.world import World

pytestmark = pytest.mark.asyncio

AGED = {"session": {"rotation_grace": "60s", "claims_max_age": "30m"}}


@pytest.mark.parametrize("world_mode", ["cookie", "redis"])
@pytest.mark.parametrize("quirk", ["", "no-id-token-at-refresh"])
async def test_r68_groups_that_are_taken_away(valkey_url, tmp_path, world_mode: str, quirk: str):
    """R68 [1.6]: at the next refresh they are gone: from the ID token, or where none comes from UserInfo."""
    override = {"session": {"rotation_grace": "60s", "mode": world_mode}}
    if quirk:
        override |= {"providers": {"demo": {"userinfo": True}}}
    async with World(valkey_url, tmp_path, **override) as world:
        world.provider.quirks = (quirk,) if quirk else ()
        browser = world.browser()
        await browser.login()
        assert (await browser.fetch("/admin/x")).status == 200
        asked = world.provider.counts["userinfo"]
        del world.provider.accounts["alice"]["groups"]
        world.clock.advance(61)
        page = await browser.fetch("/admin/x")
        assert page.status == 403
        assert "group_missing" in page.text
        assert (await browser.fetch("/x")).status == 200
        assert world.provider.counts["userinfo"] == asked + bool(quirk)


@pytest.mark.settings(AGED)
async def test_r68_claims_that_no_refresh_confirms(world: World):
    """R68 [1.6]: a provider without ID tokens at refresh: at the maximum age people log in anew."""
    world.provider.quirks = ("no-id-token-at-refresh",)
    browser = world.browser()
    await browser.login()
    for _ in range(28):
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
    world.clock.advance(122)
    page = await browser.fetch("/api/x")
    assert page.status == 401
    assert "claims_too_old" in page.text
    page = await browser.get("/x", follow=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(world.provider.issuer)
    assert not world.audit("reuse_detected")


async def test_claims_that_no_longer_fit_end_the_session(world: World):
    """[1.27]: 2,000 groups at a refresh: a page says so, the audit log the size; no rights of before."""
    browser = world.browser()
    await browser.login()
    world.provider.accounts["alice"]["groups"] = [f"group-{n:06}" for n in range(2000)]
    world.clock.advance(61)
    page = await browser.get("/admin/x", follow=False)
    assert page.status == 401
    assert "session_too_large" in page.text
    (event,) = world.audit("refresh_failed")
    assert event["reason"] == "session_too_large"
    assert int(event["detail"].split()[0]) > 15_000
    assert (await browser.fetch("/admin/x")).status == 401


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.settings({"providers": {"demo": {"userinfo": True}}})
async def test_a_refusal_of_userinfo_is_named_in_the_log(world: World, status: int):
    """[2.24]: at login and at refresh: which provider, and which status."""
    world.provider.canned["userinfo"] = Canned(status, b"no")
    browser = world.browser()
    page = await browser.login()
    assert page.status == 401
    (line,) = [each for each in world.lines if each.get("status") == status and "provider" in each]
    assert line["provider"] == "demo"
    assert "UserInfo refused" in line["message"]
    assert "UserInfo refused" in str(world.audit("login")[-1])
    del world.provider.canned["userinfo"]
    browser = world.browser()
    assert (await browser.login()).status == 200
    world.provider.quirks = ("no-id-token-at-refresh",)
    world.provider.canned["userinfo"] = Canned(status, b"no")
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    told = [each for each in world.lines if each.get("status") == status and "provider" in each]
    assert len(told) == 2


@pytest.mark.settings(
    {
        "session": {"rotation_grace": "60s", "mode": "redis"},
        "providers": {"demo": {"access_token": "jwt", "scopes": ["openid", "offline_access"]}},
    }
)
async def test_an_access_token_with_450_roles(world: World):
    """[2.39]: logged in, let in and renewed with a token of more than 16,384 characters."""
    roles = [f"urn:example:role:{n:04}:administrator-of-department" for n in range(450)]
    world.provider.accounts["alice"]["roles"] = roles
    browser = world.browser()
    page = await browser.login("/admin/x")
    assert page.status == 200, page.text
    world.clock.advance(61)
    assert (await browser.fetch("/admin/x")).status == 200
    assert len(world.audit("refresh")) == 1
    del world.provider.accounts["alice"]["groups"]
    world.clock.advance(61)
    page = await browser.fetch("/admin/x")
    assert page.status == 403
    assert "group_missing" in page.text
