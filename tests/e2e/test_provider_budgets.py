"""What one kind of call to the provider may not do to another: logins, refreshes, keys, time."""

import asyncio
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.demo.faults import Canned
from tests.support.world import World

GATE = "token:authorization_code"


def refreshes(world: World) -> int:
    return world.provider.counts["token:refresh_token"]


def bearer(world: World, user: str = "alice") -> dict[str, str]:
    return {"Authorization": f"Bearer {world.provider.mint(user, scope='api')}"}


def stale_keys(world: World) -> Canned:
    """Return the key set with the key ids that it has, and other keys behind them."""
    ours, others = world.provider.keys.jwks(), None
    world.provider.rotate_keys()
    world.provider.rotate_keys()
    others = world.provider.keys.jwks()
    kids = [key["kid"] for key in ours["keys"] if key["kty"] == "RSA"]
    keys = [key for key in others["keys"] if key["kty"] == "RSA"]
    mixed = [{**key, "kid": kid} for kid, key in zip(kids, keys, strict=False)]
    return Canned(200, json.dumps({"keys": mixed}).encode())


@pytest.mark.settings({"limits": {"logins_per_address": 0}})
async def test_r84_logins_cannot_starve_refreshes(world: World):
    """R84 [1.23]: more callbacks than there are connections wait at the provider; a refresh does not."""
    browser = world.browser()
    await browser.login()
    world.provider.held[GATE] = asyncio.Event()
    callbacks = []
    for _ in range(70):
        stranger = world.browser()
        page = await stranger.get("/x", follow=False)
        state = parse_qs(urlsplit(page.headers["Location"]).query)["state"][0]
        query = urlencode({"state": state, "code": "bogus", "iss": world.provider.issuer})
        callbacks.append(asyncio.ensure_future(stranger.get(f"/.gateway/callback?{query}", follow=False)))
    await world.eventually(lambda: world.provider.counts[GATE] >= 32)
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert refreshes(world) == 1
    world.provider.held[GATE].set()
    assert {page.status for page in await asyncio.gather(*callbacks)} == {400}


async def test_r84_strangers_key_ids_delay_no_login_and_no_refresh(world: World):
    """R84 [2.38]: the cool-down is used up, the provider has new keys: who comes from it is in at once."""
    browser = world.browser()
    await browser.login()
    assert (await browser.fetch("/api/x", headers=bearer(world))).status == 200
    for index in range(40):
        token = world.provider.sign({"iss": world.provider.issuer, "sub": "a"}, header={"kid": f"k{index}"})
        page = await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == 401
    for _ in range(2):
        world.provider.rotate_keys()
        page = await world.browser().login("/x")
        assert (page.status, page.url.path) == (200, "/x")
    world.provider.rotate_keys()
    world.clock.advance(61)
    before = world.provider.counts["jwks"]
    assert (await browser.fetch("/x")).status == 200
    assert world.provider.counts["jwks"] - before == 1


async def test_r84_a_new_key_under_the_old_key_id(world: World):
    """R84 [2.31]: a signature that fails under a known key id has the keys fetched, once per signature."""
    world.provider.canned["jwks"] = stale_keys(world)
    # before the first fetch: the gateway knows other keys under these ids than those that sign
    headers = bearer(world)
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 401
    world.provider.canned.clear()
    before = world.provider.counts["jwks"]
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 401
    assert world.provider.counts["jwks"] == before
    world.clock.advance(31)
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 200
    assert world.provider.counts["jwks"] - before == 1


async def test_r84_a_login_finds_a_new_key_under_the_old_key_id(world: World):
    """R84 [2.31]: a login's own token has the keys fetched whatever strangers did before."""
    world.provider.canned["jwks"] = stale_keys(world)
    assert (await world.browser().fetch("/api/x", headers=bearer(world))).status == 401
    form = await world.browser().get("/x")
    assert "password" in form.text
    world.provider.canned.clear()
    page = await world.browser().login("/x")
    assert (page.status, page.url.path) == (200, "/x")


@pytest.mark.parametrize(
    "wait",
    [
        {"Retry-After": "30"},
        {"Retry-After": "9999"},
        {"Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"},
    ],
    ids=str,
)
async def test_retry_after_is_obeyed_but_not_for_logins(world: World, wait: dict):
    """[2.30]: one call, then none until the time has come, whoever asks; a login goes on meanwhile."""
    browser, other = world.browser(), world.browser()
    await browser.login()
    await other.login(user="bob")
    world.clock.advance(61)
    world.provider.canned["token:refresh_token"] = Canned(429, b'{"error":"rate_limited"}', wait)
    for index in range(50):
        page = await (browser, other)[index % 2].fetch("/x")
        assert (page.status, "Retry-After" in page.headers) == (503, True)
    assert refreshes(world) == 1
    assert (await world.browser().login("/y")).status == 200
    world.provider.canned.clear()
    assert (await browser.fetch("/x")).status == 503
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert (await other.fetch("/x")).status == 200


async def test_a_pause_after_failed_calls(world: World):
    """[2.30]: a hundred requests against an endpoint that fails make few calls."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    world.provider.canned["token:refresh_token"] = Canned(500, b"oops")
    pages = await asyncio.gather(*(browser.fetch("/x") for _ in range(50)))
    assert {page.status for page in pages} == {503}
    for _ in range(20):
        assert (await browser.fetch("/x")).status == 503
        if refreshes(world) == 4:
            break
    assert refreshes(world) <= 4


async def test_a_due_refresh_is_not_tried_at_each_request(world: World):
    """[2.30]: behind the requests' back as little: one call, one event."""
    browser = world.browser()
    await browser.login()
    world.provider.canned["token:refresh_token"] = Canned(503, b"", {"Retry-After": "20"})
    world.clock.advance(50)
    for _ in range(20):
        assert (await browser.fetch("/x")).status == 200
        await world.eventually(lambda: world.audit("refresh_postponed"))
    assert refreshes(world) == 1
    assert len(world.audit("refresh_postponed")) == 1


@pytest.mark.settings({"providers": {"demo": {"timeout": "1s"}}})
@pytest.mark.parametrize("broken", ["hangs", "breaks off"])
async def test_the_timeout_bounds_all_tries_together(world: World, broken: str):
    """[2.40]: a token endpoint that hangs, or breaks off, is asked once within a request's time."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    if broken == "hangs":
        world.provider.held["token:refresh_token"] = asyncio.Event()
    else:
        world.provider.quirks.add("token-truncated")
    async with asyncio.timeout(4):
        page = await browser.get("/x", follow=False)
    assert page.status == 503
    assert refreshes(world) == 1
    for gate in world.provider.held.values():
        gate.set()


@pytest.mark.settings({"limits": {"logins_per_address": 0}, "providers": {"demo": {"timeout": "2s"}}})
async def test_a_refresh_that_finds_no_connection_was_never_sent(world: World):
    """[2.40]: more refreshes than there are connections, all hanging: each is told in time, none is lost."""
    browsers = [world.browser() for _ in range(40)]
    for browser in browsers:
        await browser.login()
    world.clock.advance(61)
    gate = world.provider.held["token:refresh_token"] = asyncio.Event()
    async with asyncio.timeout(15):
        pages = await asyncio.gather(*(browser.fetch("/x") for browser in browsers))
    assert {page.status for page in pages} == {503}
    assert refreshes(world) == 32
    gate.set()
