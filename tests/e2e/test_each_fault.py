"""Each fault switch of the demo provider meets a whole gateway; those that no other module has are here."""

import json
import re
from pathlib import Path

import pytest

from gateway.config.settings.root import Settings
from gateway.demo.faults import QUIRKS
from tests.support.world import World, merge

TESTS = Path(__file__).parents[1]


def is_met(name: str, text: str) -> bool:
    """Tell whether a module's text names a switch, or puts its name together of two parts."""
    if f'"{name}"' in text:
        return True
    places = [index for index, char in enumerate(name) if char == "-"]
    return any(
        f'"{name[place + 1 :]}"' in text
        and (
            f'f"{name[:place]}-{{' in text
            or (f'"{name[:place]}"' in text and re.search(r'f"\{\w+\}-\{\w+\}"', text) is not None)
        )
        for place in places
    )


def test_every_switch_is_met_by_a_gateway():
    """[11]: a switch that no test from end to end turns on is a fault that nobody has tried."""
    texts = [path.read_text() for part in ("e2e", "conformance") for path in (TESTS / part).glob("test_*.py")]
    assert [name for name in QUIRKS if not any(is_met(name, text) for text in texts)] == []
    assert not any(is_met(f"{next(iter(QUIRKS))}-not", text) for text in texts)


def reload(world: World, **provider: object) -> None:
    """Give the gateway its configuration anew, with settings of the provider changed."""
    world.gateway.reload(Settings.model_validate(merge(world.config(), {"providers": {"demo": provider}})))


@pytest.mark.asyncio
async def test_an_issuer_that_ends_in_a_slash(world: World):
    """R8 R22: equal to the last character: well where it is configured so, and another issuer where not."""
    world.provider.quirks.add("issuer-trailing-slash")
    reload(world, issuer=world.provider.issuer.rstrip("/"))
    assert (await world.browser().get("/x")).status == 503
    reload(world, issuer=world.provider.issuer)
    browser = world.browser()
    assert (await browser.login()).status == 200
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    headers = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 200


@pytest.mark.asyncio
async def test_new_keys_at_every_authorization(world: World):
    """R27: each login is under keys that nobody has seen before, and earlier sessions go on."""
    world.provider.quirks.add("signing-key-rotation")
    browsers = [world.browser() for _ in range(3)]
    for browser in browsers:
        assert (await browser.login()).status == 200
        world.clock.advance(31)
    assert {(await browser.fetch("/x")).status for browser in browsers} == {200}


@pytest.mark.parametrize("quirk", ["refresh-empty-400", "refresh-invalid-request"])
@pytest.mark.asyncio
async def test_a_refusal_in_other_words(world: World, quirk: str):
    """R34 R85: what some providers say in place of invalid_grant ends the session as that does."""
    browser = world.browser()
    await browser.login()
    world.provider.revoke_all()
    world.provider.quirks.add(quirk)
    world.clock.advance(61)
    assert (await browser.clone().fetch("/x")).status == 401
    assert (await browser.get("/x", follow=False)).headers["Location"].startswith(world.provider.issuer)


@pytest.mark.asyncio
async def test_a_code_whose_answer_is_lost(world: World):
    """R60: the code is spent and the tokens never came: no session, a page, and the next login is well."""
    browser = world.browser()
    form = await browser.get("/x")
    world.provider.quirks.add("token-lost-after-commit")
    page = await browser.submit(form, username="alice", password="alice")
    assert page.status == 503
    assert not any("-session=" in line for line in page.set_cookies)
    world.provider.quirks.clear()
    assert (await world.browser().login()).status == 200


@pytest.mark.asyncio
async def test_a_refresh_whose_answer_is_lost(world: World):
    """R34 R85: the provider takes the second call for a theft: one clean login, and nobody calls it reuse."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    world.provider.quirks.add("token-lost-after-commit")
    page = await browser.fetch("/x")
    assert (page.status, json.loads(page.text)["reason"]) == (401, "refresh_lost")
    world.provider.quirks.clear()
    assert not world.audit("reuse_detected")
    assert (await browser.login()).status == 200


@pytest.mark.parametrize("shape", ["html", "huge", "truncated", "non-json", "5xx", "slow"])
@pytest.mark.asyncio
async def test_userinfo_of_no_use(world: World, shape: str):
    """R30 R60: a login that needs its answer waits for a better one, and says nothing of what came."""
    reload(world, userinfo=True)
    browser = world.browser()
    form = await browser.get("/x")
    reload(world, userinfo=True, timeout="300ms" if shape == "slow" else "10s")
    world.provider.slow_seconds = 0.6
    world.provider.quirks.add(f"userinfo-{shape}")
    page = await browser.submit(form, username="alice", password="alice")
    assert page.status == 503
    assert "Traceback" not in page.text
    assert not any("-session=" in line for line in page.set_cookies)
    world.provider.quirks.clear()
    reload(world, userinfo=True)
    world.clock.advance(61)
    assert (await world.browser().login()).status == 200


@pytest.mark.parametrize("how", ["slow"])
@pytest.mark.parametrize("where", ["discovery", "jwks", "token", "introspection"])
@pytest.mark.asyncio
async def test_a_slow_provider_is_given_up(world: World, where: str, how: str):
    """R60: within the provider's time-out, at each of its endpoints; nobody comes in meanwhile."""
    browser, headers = world.browser(), None
    form = await browser.get("/x") if where in ("jwks", "token") else None
    if where == "introspection":
        headers = {"Authorization": "Bearer unheard-of"}
    reload(world, timeout="300ms", introspection="json")
    world.provider.slow_seconds = 0.6
    world.provider.quirks.add(f"{where}-{how}")
    if form is None:
        page = await browser.get("/x", headers=headers)
    else:
        page = await browser.submit(form, username="alice", password="alice")
    assert page.status == 503
    assert not any("-session=" in line for line in page.set_cookies)
    world.provider.quirks.clear()
    reload(world, introspection="json")
    world.clock.advance(61)
    assert (await world.browser().login()).status == 200
