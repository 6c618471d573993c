"""Transparent refresh with a real provider and a real store: nobody is logged out, nobody waits twice."""

import asyncio

import pytest

from tests.support.world import World

pytestmark = pytest.mark.asyncio


def refreshes(world: World) -> int:
    return world.provider.counts["token:refresh_token"]


async def test_r32_a_thousand_parallel_requests_make_one_token_call(world: World):
    """R32: 1,000 parallel requests of one expired session: one token call, 1,000 times 200."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    pages = await asyncio.gather(*(browser.fetch(f"/n{i}") for i in range(1000)))
    assert {page.status for page in pages} == {200}
    assert refreshes(world) == 1


async def test_r32_all_carry_the_same_new_tokens(world: World):
    """R32: every answer of a burst carries cookies that go on as the same session, with no second call."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    tabs = [browser.clone() for _ in range(5)]
    for page in await asyncio.gather(*(tab.fetch("/x") for tab in tabs)):
        assert page.status == 200
        assert any("-refresh=" in line for line in page.set_cookies)
    for tab in tabs:
        assert (await tab.fetch("/y")).status == 200
    assert refreshes(world) == 1


async def test_a_refresh_behind_the_requests_back(world: World):
    """Ahead of expiry the request goes on at once and the refresh happens behind its back."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(50)
    assert (await browser.fetch("/x")).status == 200
    await world.eventually(lambda: refreshes(world) == 1)
    await world.eventually(lambda: len(world.gateway.refresher._outcomes))
    page = await browser.fetch("/y")
    assert any("-refresh=" in line for line in page.set_cookies)
    page = await browser.fetch("/z")
    assert page.status == 200
    assert not page.set_cookies
    assert refreshes(world) == 1


async def test_a_background_refresh_then_ten_minutes_of_silence(world: World):
    """The browser never saw the new cookie, went to lunch, comes back with the old one: still logged in."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(50)
    assert (await browser.fetch("/x")).status == 200
    await world.eventually(lambda: world.audit("refresh"))
    world.clock.advance(600)
    page = await browser.get("/after-lunch", follow=False)
    assert page.status == 200
    assert "alice" in page.text
    assert not world.audit("reuse_detected")


async def test_r33_a_response_lost_on_its_way(world: World):
    """R33: the refresh succeeded, the response was lost; an hour later the old cookie still works, twice."""
    browser = world.browser()
    await browser.login()
    for _ in range(2):
        world.clock.advance(3600)
        lost = browser.clone()
        assert (await lost.fetch("/lost")).status == 200
    world.clock.advance(3600)
    assert (await browser.get("/x", follow=False)).status == 200
    assert refreshes(world) == 3
    assert not world.audit("reuse_detected")


@pytest.mark.grace("1s")
async def test_r37_reuse_after_confirmation_and_grace(world: World):
    """R37: the old cookie, after the new one was shown and the grace has passed, ends the whole family."""
    browser = world.browser()
    await browser.login()
    tab, thief = browser.clone(), browser.clone()
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert (await browser.fetch("/confirms")).status == 200
    assert (await tab.fetch("/in-grace")).status == 200
    assert refreshes(world) == 1
    await expire_grace(world)
    other = browser.clone()
    page = await thief.fetch("/late")
    assert page.status == 401
    assert "session_reused" in page.text
    assert world.audit("reuse_detected")
    await world.eventually(lambda: len(world.gateway.denylist))
    assert (await other.fetch("/x")).status == 401
    assert (await browser.get("/x", follow=False)).status == 401


async def expire_grace(world: World) -> None:
    """Let the store's own clock pass the rotation grace, which these tests keep at a second."""
    await asyncio.sleep(1.6)
    world.clock.advance(120)


async def test_r34_invalid_grant_ends_the_session(world: World):
    """R34: revoked at the provider: a navigation is sent to log in again, a script gets 401."""
    browser = world.browser()
    await browser.login()
    world.provider.revoke_all()
    world.clock.advance(61)
    assert (await browser.clone().fetch("/x")).status == 401
    page = await browser.get("/x", follow=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(world.provider.issuer)


@pytest.mark.parametrize(
    "quirk", ["token-5xx", "token-html", "token-truncated", "token-huge", "token-non-json"]
)
async def test_r34_an_outage_keeps_the_session(world: World, quirk: str):
    """R34: 5xx and garbage are no verdict: 503 with Retry-After, no cookie cleared, and it goes on after."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    before = browser.cookies()
    world.provider.quirks.add(quirk)
    page = await browser.get("/x", follow=False)
    assert page.status == 503
    assert page.headers["Retry-After"]
    assert not page.set_cookies
    assert browser.cookies() == before
    world.provider.quirks.clear()
    assert (await browser.get("/x", follow=False)).status == 200


async def test_r35_a_refresh_about_somebody_else_ends_the_session(world: World):
    """R35: a new ID token with another subject or issuer is refused."""
    for quirk in ("refresh-invalid-sub", "refresh-invalid-issuer"):
        browser = world.browser()
        await browser.login()
        world.clock.advance(61)
        world.provider.quirks.add(quirk)
        assert (await browser.fetch("/x")).status == 401
        world.provider.quirks.clear()


@pytest.mark.parametrize("quirk", ["no-id-token-at-refresh", "lower-case-bearer"])
async def test_r36_what_real_providers_leave_out(world: World, quirk: str):
    """R36: no ID token at refresh, token_type in lower case: handled, identity kept."""
    browser = world.browser()
    world.provider.quirks.add(quirk)
    await browser.login()
    for _ in range(3):
        world.clock.advance(61)
        page = await browser.fetch("/x")
        assert page.status == 200
        assert "alice" in page.text


async def test_two_people_mid_refresh(world: World):
    """CVE-2024-51987: two people refreshing at once; each answer carries only its own session."""
    people = {name: world.browser() for name in ("alice", "bob")}
    for name, browser in people.items():
        await browser.login("/", name)
    for _ in range(3):
        world.clock.advance(61)
        names = list(people) * 20
        pages = await asyncio.gather(*(people[name].fetch("/x") for name in names))
        for name, page in zip(names, pages, strict=True):
            assert page.text.startswith(f"hello {name} ")
    assert refreshes(world) == 6


async def test_a_client_that_leaves_does_not_cancel_the_refresh(world: World):
    """The token call belongs to the worker: the next request finds its result."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    task = asyncio.create_task(browser.fetch("/x"))
    await asyncio.sleep(0.005)
    task.cancel()
    assert (await browser.fetch("/y")).status == 200
    assert refreshes(world) == 1


async def test_two_gateways_share_one_store(world: World):
    """Two gateways, one store: a burst against both makes one token call."""
    from tests.support.ports import free_port

    data = world.config()
    port = free_port()
    data["listen"] = f"127.0.0.1:{port}"
    settings = type(world.settings).model_validate(data)
    await world.start_gateway(settings)
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    host = f"localhost:{world.public_port}"
    other = world.browser()
    calls = [
        other.fetch(f"http://127.0.0.1:{target}/x", headers={"Host": host, "Cookie": cookie})
        for target in (world.public_port, port) * 30
    ]
    pages = await asyncio.gather(*calls)
    assert {page.status for page in pages} == {200}
    assert refreshes(world) == 1
