"""Sessions that the store keeps: what holds for sessions in cookies holds for them, too, and more."""

import asyncio
import json

import pytest
from redis.asyncio import Redis

from gateway.core.sessions.record import decode_handle
from tests.e2e import test_refresh as in_cookies

# the very same scenarios as in cookie mode, asked once more of this one
from tests.e2e.test_login import (  # noqa: F401
    test_a_person_logs_in_and_comes_back,
    test_garbage_in_any_own_cookie,
    test_r4_missing_foreign_or_replayed_state,
    test_r17_parallel_tabs,
    test_r41_b_logs_in_after_a,
)
from tests.e2e.test_logout import (  # noqa: F401
    test_a_plain_logout_leaves_her_other_browser_alone,
    test_backchannel_before_a_refresh,
    test_everywhere_ends_both_of_her_browsers_and_not_his,
    test_r50_over_the_provider_and_back,
    test_r51_r52_backchannel_by_sid,
    test_the_refresh_token_is_revoked,
)
from tests.e2e.test_refresh import (  # noqa: F401
    expire_grace,
    refreshes,
    test_a_background_refresh_then_ten_minutes_of_silence,
    test_a_client_that_leaves_does_not_cancel_the_refresh,
    test_r32_a_thousand_parallel_requests_make_one_token_call,
    test_r33_a_response_lost_on_its_way,
    test_r34_invalid_grant_ends_the_session,
    test_r35_a_refresh_about_somebody_else_ends_the_session,
    test_r36_what_real_providers_leave_out,
    test_r37_reuse_after_confirmation_and_grace,
    test_two_gateways_share_one_store,
    test_two_people_mid_refresh,
)
from tests.e2e.test_revocation import (  # noqa: F401
    test_everybody_is_logged_out,
    test_r44_a_revoked_subject_is_refused_on_the_next_request,
    test_revoked_by_sid,
)
from tests.e2e.test_sessions import (  # noqa: F401
    test_groups_are_required,
    test_r42_idle_lifetime,
    test_r43_logout_kills_server_side,
    test_r45_a_flipped_cookie_refuses_alike,
    test_r46_the_same_cookie_twice,
    test_rotating_secret_keys_logs_nobody_out,
    test_userinfo_shows_no_token,
)
from tests.support.jose import holds_jwt
from tests.support.ports import free_port
from tests.support.store import ValkeyServer
from tests.support.world import World

OUTAGE = in_cookies.test_r34_an_outage_keeps_the_session
REDIS = {"session": {"mode": "redis", "rotation_grace": "60s", "claims_max_age": "3d"}}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(REDIS)]


def name_of(world: World) -> str:
    return f"gateway-{world.public_port}-session"


def handle_of(world: World, browser):
    """Return the handle that a browser's cookie seals, as only the gateway can."""
    sealed = browser.cookies()[name_of(world)]
    payload = world.gateway.runtime.ring.open(f"handle {world.base}", sealed)
    return decode_handle(payload)


async def second(world: World, **changes) -> str:
    """Start another gateway on the same store, and return its address."""
    port = free_port()
    data = world.config() | {"listen": f"127.0.0.1:{port}"} | changes
    await world.start_gateway(type(world.settings).model_validate(data))
    return f"http://127.0.0.1:{port}"


async def fetch_at(world: World, base: str, browser, path: str = "/x"):
    """Ask another gateway with a browser's cookies."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    headers = {"Host": f"localhost:{world.public_port}", "Cookie": cookie}
    return await world.browser().fetch(base + path, headers=headers)


async def contents(world: World) -> dict[str, list[bytes]]:
    """Return all that the store holds for this world, by key."""
    found: dict[str, list[bytes]] = {}
    async with Redis.from_url(world.store_url, protocol=2) as client:
        async for key in client.scan_iter(f"{world.prefix}*"):
            kind = (await client.type(key)).decode()
            if kind == "string":
                values = [await client.get(key)]
            elif kind == "hash":
                values = [part for pair in (await client.hgetall(key)).items() for part in pair]
            elif kind == "zset":
                values = await client.zrange(key, 0, -1)
            else:
                values = [str(await client.xrange(key)).encode()] if kind == "stream" else []
            found[key.decode().removeprefix(world.prefix)] = values
    return found


def records(found: dict[str, list[bytes]]) -> list[str]:
    return [key for key in found if key.startswith("session:")]


async def test_one_short_cookie(world: World):
    """The browser holds one cookie well below 200 bytes, on every request, however many groups it has."""
    world.provider.accounts["alice"]["groups"] = [f"group-{i:05d}" for i in range(300)]
    browser = world.browser()
    assert (await browser.login()).status == 200
    sent = {name: value for name, value in browser.cookies().items() if "recent" not in name}
    assert list(sent) == [name_of(world)]
    assert len(name_of(world)) + len(sent[name_of(world)]) < 180
    assert "alice" in (await browser.fetch("/x")).text


async def test_r40_what_no_record_holds_fails_the_login(world: World):
    """R40: a session beyond the bound of a record fails the login, with a page."""
    world.provider.accounts["alice"]["groups"] = [f"group-{i:05d}" for i in range(6000)]
    page = await world.browser().login()
    assert page.status == 400
    assert "login_cookie_too_large" in page.text


async def test_r32_every_tab_gets_a_handle_that_goes_on(world: World):
    """R32: the answers of a burst carry one and the same new handle, which goes on without a second call."""
    browser = world.browser()
    await browser.login()
    old = handle_of(world, browser)
    world.clock.advance(61)
    tabs = [browser.clone() for _ in range(5)]
    for page in await asyncio.gather(*(tab.fetch("/x") for tab in tabs)):
        assert page.status == 200
        assert len(page.set_cookies) == 1
    handles = {handle_of(world, tab).secret for tab in tabs}
    assert len(handles) == 1
    assert old.secret not in handles
    assert {handle_of(world, tab).session_id for tab in tabs} == {old.session_id}
    for tab in tabs:
        assert (await tab.fetch("/y")).status == 200
    assert refreshes(world) == 1


async def test_a_refresh_behind_the_requests_back(world: World):
    """The new handle rides on the next answer, and no later one carries a cookie."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(50)
    assert not (await browser.fetch("/x")).set_cookies
    await world.eventually(lambda: len(world.gateway.refresher._outcomes))
    assert len((await browser.fetch("/y")).set_cookies) == 1
    page = await browser.fetch("/z")
    assert page.status == 200
    assert not page.set_cookies
    assert refreshes(world) == 1


@pytest.mark.parametrize("quirk", ["token-5xx", "token-html"])
async def test_r34_an_outage_keeps_the_session(world: World, quirk: str):
    """R34: 5xx and garbage are no verdict: 503, no cookie cleared, and it goes on after."""
    await OUTAGE(world, quirk)


@pytest.mark.grace("1s")
async def test_r37_reuse_at_a_worker_that_remembers_nothing(world: World):
    """R37: an old handle, after the grace, at a gateway that never saw it: the family ends everywhere."""
    other = await second(world)
    browser = world.browser()
    await browser.login()
    thief = browser.clone()
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert (await browser.fetch("/confirms")).status == 200
    await world.eventually(lambda: not world.gateway.refresher._running)
    await expire_grace(world)
    page = await fetch_at(world, other, thief)
    assert page.status == 401
    assert json.loads(page.text)["reason"] == "session_reused"
    (event,) = world.audit("reuse_detected")
    assert event["subject"] == "alice"
    await world.eventually(lambda: len(world.gateway.denylist))
    page = await browser.fetch("/x")
    assert page.status == 401
    assert json.loads(page.text)["reason"] == "revoked"


async def test_in_the_grace_another_worker_follows_the_old_handle(world: World):
    """A tab with the old handle, at another gateway, within the grace: the same session, no second call."""
    other = await second(world)
    browser = world.browser()
    await browser.login()
    tab = browser.clone()
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert (await browser.fetch("/confirms")).status == 200
    assert (await fetch_at(world, other, tab)).status == 200
    assert refreshes(world) == 1


async def test_r33_a_crash_between_result_and_record(world: World):
    """R33: the result was stored, the record it leads to was not: whoever follows the result writes it."""
    other = await second(world)
    browser = world.browser()
    await browser.login()
    lost = browser.clone()
    world.clock.advance(61)
    assert (await lost.fetch("/lost")).status == 200
    record = f"session:{{{handle_of(world, lost).record}}}"
    async with Redis.from_url(world.store_url, protocol=2) as client:
        assert await client.delete(world.prefix + record) == 1
    page = await fetch_at(world, other, browser)
    assert page.status == 200
    assert len(page.set_cookies) == 1
    assert record in await contents(world)
    assert refreshes(world) == 1


async def test_activity_is_told_after_a_tenth_of_the_idle_lifetime(world: World):
    """Being active counts, at every gateway, and is told to the store now and then; no cookie changes."""
    world.provider.access_lifetime = 86400.0
    other = await second(world)
    browser = world.browser()
    await browser.login()
    assert (await fetch_at(world, other, browser)).status == 200
    (listed,) = (await world.gateway.session_admin.answer("list", {}, {})).document["sessions"]
    for _ in range(4):
        world.clock.advance(2.5 * 3600)
        page = await browser.fetch("/x")
        assert page.status == 200
        assert not page.set_cookies
        await world.gateway.sessions.drain()
    # ten hours later the other one, which remembers it as idle, asks the store
    assert (await fetch_at(world, other, browser)).status == 200
    (later,) = (await world.gateway.session_admin.answer("list", {}, {})).document["sessions"]
    assert later["last_seen"] > listed["last_seen"] + 9 * 3600
    assert later["since"] == listed["since"]


async def test_within_a_tenth_nothing_is_told(world: World):
    """Not every request is told to the store."""
    world.provider.access_lifetime = 86400.0
    browser = world.browser()
    await browser.login()
    before = await contents(world)
    world.clock.advance(2800)
    assert (await browser.fetch("/x")).status == 200
    await world.gateway.sessions.drain()
    assert await contents(world) == before


async def test_a_dump_gives_no_session_away(world: World):
    """Neither tokens nor handles nor names are in the store; with the ring key, names are, tokens are not."""
    browser = world.browser()
    await browser.login()
    old = handle_of(world, browser)
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    new = handle_of(world, browser)
    tokens = [token.encode() for token in world.provider.grants._refresh_tokens]
    assert len(tokens) >= 2
    found = await contents(world)
    assert len(records(found)) == 2
    text = b"\n".join(
        [key.encode() for key in found] + [each for values in found.values() for each in values]
    )
    assert not holds_jwt(text)
    for secret in (b"alice", old.secret.encode(), new.secret.encode(), *tokens):
        assert secret not in text
    ring = world.gateway.runtime.ring
    sealed = found[f"session:{{{new.record}}}"]
    assert not any(ring.open("session record", value.decode()) for value in sealed)
    assert any(ring.open_under(new.secret, "session record", value.decode()) for value in sealed)
    assert not any(ring.open_under(old.secret, "session record", value.decode()) for value in sealed)


async def test_logout_deletes_what_was_kept(world: World):
    """After a logout neither record nor list has anything of the session."""
    browser = world.browser()
    await browser.login()
    found = await contents(world)
    assert len(records(found)) == 1
    assert [key for key in found if key.startswith("listed:")]
    await browser.submit(await browser.get("/.gateway/logout"))
    await world.gateway.sessions.drain()
    found = await contents(world)
    assert not records(found)
    assert not [key for key in found if key.startswith(("listed:", "sessions:"))]


@pytest.mark.grace("1s")
async def test_a_new_login_replaces_the_session_on_the_list(world: World):
    """The same person logs in again in the same browser: the session before ends, also for a copy of it."""
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    first = handle_of(world, browser).session_id
    page = await browser.get("/.gateway/login")
    if "password" in page.text:
        await browser.submit(page, username="alice", password="alice")
    assert handle_of(world, browser).session_id != first
    assert (await copy.fetch("/under-way")).status == 200
    await world.eventually(lambda: len(world.gateway.denylist))
    assert (await copy.fetch("/x")).status == 401
    assert (await browser.fetch("/x")).status == 200
    listed = (await world.gateway.session_admin.answer("list", {}, {})).document["sessions"]
    assert [each["session_id"] for each in listed] == [handle_of(world, browser).session_id]


@pytest.mark.settings({})
async def test_from_cookies_to_the_store_and_back(world: World):
    """A cookie of the other mode is no session: a new login, never an error; leftovers are cleared."""
    browser = world.browser()
    await browser.login()
    in_cookies = browser.clone()
    for mode, stale in (("redis", in_cookies), ("cookie", browser)):
        session = {"mode": mode, "rotation_grace": "60s"}
        data = world.config() | {"session": session}
        world.gateway.reload(type(world.settings).model_validate(data))
        assert (await stale.fetch("/x")).status == 401
        fresh = stale.clone()
        if mode == "redis":
            page = await browser.get("/x")
            if "password" in page.text:
                await browser.submit(page, username="alice", password="alice")
            assert (await browser.fetch("/x")).status == 200
            assert not [name for name in browser.cookies() if name.endswith("-refresh")]
        assert (await fresh.get("/x", follow=False)).status == 303


async def test_r61_the_store_is_down(tmp_path):
    """R61: a session that this worker knows goes on; another is 503, nothing is cleared; it recovers."""
    server = ValkeyServer("--appendonly", "yes", "--appendfsync", "always").start()
    try:
        async with World(server.url, tmp_path, **REDIS, denylist={"when_stale": "allow"}) as world:
            world.provider.access_lifetime = 86400.0
            browser = world.browser()
            await browser.login()
            forgotten = await second(world)
            server.kill()
            assert (await browser.fetch("/x")).status == 200
            page = await fetch_at(world, forgotten, browser)
            assert page.status == 503
            assert page.headers["Retry-After"]
            assert not page.set_cookies
            # whatever is no handle of ours costs no question to the store
            garbage = await world.browser().fetch("/x", headers={"Cookie": f"{name_of(world)}={'A' * 130}"})
            assert garbage.status == 401
            server.start()
            for _ in range(100):
                if (await fetch_at(world, forgotten, browser)).status == 200:
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("it did not recover")
    finally:
        server.close()


async def test_a_refresh_while_the_store_is_down(tmp_path):
    """The provider rotated and the store is away: 503, nothing cleared; later the same result serves."""
    server = ValkeyServer("--appendonly", "yes", "--appendfsync", "always").start()
    try:
        async with World(server.url, tmp_path, **REDIS, denylist={"when_stale": "allow"}) as world:
            browser = world.browser()
            await browser.login()
            world.clock.advance(61)
            calls = world.gateway.providers.refresh_call

            async def and_then_the_store_dies(provider: str, token: str):
                answer = await calls(provider, token)
                server.kill()
                return answer

            world.gateway.refresher._tokens.refresh_call = and_then_the_store_dies
            page = await browser.fetch("/x")
            assert page.status == 503
            assert not page.set_cookies
            world.gateway.refresher._tokens.refresh_call = calls
            server.start()
            for _ in range(100):
                page = await browser.fetch("/x")
                if page.status == 200:
                    break
                await asyncio.sleep(0.05)
            assert page.status == 200
            assert len(page.set_cookies) == 1
            assert refreshes(world) == 1
    finally:
        server.close()
