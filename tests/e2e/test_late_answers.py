"""Answers that come late, beside a login or a refresh that came first: whose cookies the browser has then."""

import asyncio
import json
from typing import Any

import pytest

from gateway.config.settings.root import Settings
from tests.support.world import Browser, World

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.settings({"session": {"rotation_grace": "60s"}}),
]


@pytest.fixture(params=["cookie", "redis"])
async def late(request, valkey_url, tmp_path):
    """A world in each session mode, with its tokens' life of 20 s."""
    async with World(valkey_url, tmp_path, session={"mode": request.param, "rotation_grace": "60s"}) as world:
        world.provider.access_lifetime = 20.0
        yield world


async def held(world: World, browser: Browser, path: str) -> "asyncio.Task[Any]":
    """Begin a request that the upstream does not answer until ``release``."""
    world.upstream.hold = asyncio.Event()
    before = len(world.upstream.seen)
    task = asyncio.create_task(browser.fetch(path))
    await world.eventually(lambda: len(world.upstream.seen) > before)
    return task


def release(world: World, hold: asyncio.Event) -> None:
    hold.set()
    if world.upstream.hold is hold:
        world.upstream.hold = None


async def rotate(world: World, browser: Browser) -> None:
    """Let this browser's session be renewed, and show its new cookie."""
    before = world.provider.counts["token:refresh_token"]
    world.clock.advance(21)
    assert (await browser.fetch("/rotates")).status == 200
    assert world.provider.counts["token:refresh_token"] == before + 1
    assert (await browser.fetch("/confirms")).status == 200


def names(page: Any) -> list[str]:
    return [line.partition("=")[0] for line in page.set_cookies]


async def test_r75_a_late_answer_brings_back_no_old_generation(late: World):
    """R75 [1.13]: a request of generation 0, answered after two rotations: nothing is set back."""
    browser = late.browser()
    await browser.login()
    late.clock.advance(16)
    old = browser.clone()
    task = await held(late, old, "/slow")
    hold = late.upstream.hold
    assert hold is not None
    await late.eventually(lambda: late.audit("refresh") and not late.gateway.refresher._running)
    late.upstream.hold = None
    assert (await browser.fetch("/y")).status == 200
    await rotate(late, browser)
    await rotate(late, browser)
    release(late, hold)
    page = await task
    assert page.status == 200
    assert not page.set_cookies
    assert (await browser.fetch("/x")).status == 200
    assert not late.audit("reuse_detected")


async def test_r75_what_another_gateway_has_made_is_not_set_back(late: World):
    """R75 [1.13]: soon enough, but another worker has gone on meanwhile: this one gives nothing older."""
    config = late.config() | {"listen": "127.0.0.1:0"}
    config["admin"] = {**config["admin"], "listen": "127.0.0.1:0"}
    other = await late.start_gateway(Settings.model_validate(config))
    browser = late.browser()
    await browser.login()
    late.clock.advance(16)
    old = browser.clone()
    task = await held(late, old, "/slow")
    hold = late.upstream.hold
    assert hold is not None
    await late.eventually(lambda: late.audit("refresh") and not late.gateway.refresher._running)
    late.upstream.hold = None
    assert (await browser.fetch("/y")).status == 200
    late.clock.advance(16)
    headers = {
        "Host": f"localhost:{late.public_port}",
        "Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies().items()),
    }
    for _ in range(2):
        async with browser.session.get(
            f"http://127.0.0.1:{other.port}/x", headers=headers, cookies={}
        ) as answer:
            assert answer.status == 200
    await late.eventually(lambda: late.provider.counts["token:refresh_token"] == 2)
    await late.eventually(lambda: len(late.gateway.leases.announcements._superseded) == 2)
    release(late, hold)
    page = await task
    assert page.status == 200
    assert not page.set_cookies


async def test_r75_a_late_answer_of_the_session_before_a_new_login(late: World):
    """R75 [1.29]: the same person logs in anew; the old session's answer overwrites nothing."""
    browser = late.browser()
    await browser.login()
    late.clock.advance(16)
    old = browser.clone()
    task = await held(late, old, "/slow")
    hold = late.upstream.hold
    assert hold is not None
    late.upstream.hold = None
    await late.eventually(lambda: late.audit("refresh") and not late.gateway.refresher._running)
    page = await browser.get("/.gateway/login")
    if "password" in page.text:
        page = await browser.submit(page, username="alice", password="alice")
    assert page.status == 200
    release(late, hold)
    page = await task
    assert page.status == 200
    assert not page.set_cookies


async def test_r75_a_401_that_waited_clears_nothing(late: World):
    """R75 [1.29]: A's refresh is refused while B logs in; B's cookies stay."""
    browser = late.browser()
    await browser.login()
    old = browser.clone()
    late.provider.revoke_all()
    late.clock.advance(21)
    page = await old.fetch("/x")
    assert page.status == 401
    assert not page.set_cookies
    # the next one need not wait to know
    page = await old.fetch("/x")
    assert page.status == 401
    if late.gateway.settings.session.mode == "cookie":
        assert any("Max-Age=0" in line for line in page.set_cookies)


def sealed_generation(world: World, browser: Browser) -> int:
    """Return the generation that the browser's session cookie has, in cookie mode."""
    name = f"gateway-{world.public_port}-session"
    payload = world.gateway.runtime.ring.open(f"session {world.base}", browser.cookies()[name])
    assert payload is not None
    return json.loads(payload)["g"]


@pytest.mark.parametrize("thin", [True, False])
async def test_r69_a_saved_session_cookie_brings_no_right_back(world: World, thin: bool):
    """R69 [1.26]: an old session cookie with the newest refresh cookie: the groups are gone."""
    browser = world.browser()
    await browser.login()
    saved = browser.cookies()[f"gateway-{world.public_port}-session"]
    assert (await browser.fetch("/admin/x")).status == 200
    world.provider.accounts["alice"]["groups"] = ["staff"]
    world.clock.advance(61)
    assert (await browser.fetch("/admin/x")).status == 403
    assert sealed_generation(world, browser) == 1
    if thin:
        world.provider.quirks = ("no-id-token-at-refresh",)
    for _ in range(3):
        cookies = {**browser.cookies(), f"gateway-{world.public_port}-session": saved}
        fresh = world.browser()
        page = await fresh.fetch(
            "/admin/x", headers={"Cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())}
        )
        assert page.status == 403
        world.clock.advance(61)


async def test_a_client_that_stores_no_cookies(late: World):
    """[2.29]: from its 33rd refresh on as before: the chain of results may be of any length."""
    world = late
    world.provider.access_lifetime = 30.0
    browser = world.browser()
    await browser.login()
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies().items())}
    for n in range(40):
        world.clock.advance(31)
        client = world.browser()
        assert (await client.fetch("/x", headers=headers)).status == 200, n
    assert world.provider.counts["token:refresh_token"] == 40
