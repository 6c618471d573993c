"""Every way in which a login ends, with a provider that plays its part, and one that does not."""

import json
import re
import uuid

import aiohttp
import pytest
from yarl import URL

from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.syntax.encoding import decode_base64url
from tests.support.jose import holds_jwt
from tests.support.ports import free_port
from tests.support.world import NAVIGATE, World

pytestmark = pytest.mark.asyncio
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def log_out(world: World, browser, *, follow: bool = True, **fields: str):
    """Submit the logout form of a page that a person has opened."""
    headers = {**NAVIGATE, "Origin": world.base}
    return await browser.request(
        "POST", "/.gateway/logout", follow=follow, headers=headers, data=fields or None
    )


def kept(browser, path: str = "/.gateway/") -> set[str]:
    """Return the names of the gateway's cookies that the browser would send there."""
    cookies = browser.jar.filter_cookies(URL(browser.world.base + path))
    return {name.rpartition("-")[2] for name in cookies}


async def sid_of(browser) -> str:
    return json.loads((await browser.fetch("/.gateway/userinfo")).text)["sid"]


async def test_r50_over_the_provider_and_back(world: World):
    """R50: the browser goes over the provider with hint and state, comes back, and keeps no cookie."""
    browser = world.browser()
    await browser.login()
    assert "hint" in kept(browser)
    assert "hint" not in kept(browser, "/x")
    page = await log_out(world, browser, follow=False)
    assert page.status == 303
    assert page.headers["Cache-Control"] == "no-store"
    location = URL(page.headers["Location"])
    assert str(location.with_query(None)) == f"{world.provider.issuer}/logout"
    assert location.query["client_id"] == "demo"
    assert location.query["post_logout_redirect_uri"] == f"{world.base}/.gateway/logged-out"
    assert len(location.query["state"]) >= 43
    assert location.query["id_token_hint"].count(".") == 2
    assert kept(browser) == {"logout"}
    page = await browser.get(str(location))
    assert (page.status, page.url.path) == (200, "/.gateway/logged-out")
    assert "so has the login of the account" in page.text
    assert kept(browser) == set()
    (event,) = world.audit("logout")
    assert (event["how"], event["provider_logout"]) == ("local", "started")
    assert (event["subject"], event["issuer"]) == ("alice", world.provider.issuer)
    assert location.query["id_token_hint"] not in json.dumps(world.lines)


@pytest.mark.parametrize("quirk", ["rp-init-logout-no-state", "rp-init-logout-other-state"])
async def test_r50_a_state_that_is_not_ours(world: World, quirk: str):
    """R50, rp-init-logout-no-state, -other-state: logged out here, and no more is claimed."""
    world.provider.quirks.add(quirk)
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    page = await log_out(world, browser)
    assert (page.status, page.url.path) == (200, "/.gateway/logged-out")
    assert "may still be open" in " ".join(page.text.split())
    assert kept(browser) == set()
    assert (await copy.fetch("/x")).status == 401


@pytest.mark.settings({"providers": {"demo": {"logout": "local"}}})
async def test_logout_local_leaves_the_provider_alone(world: World):
    """``logout: local``: no ID token is kept, and the browser stays here."""
    browser = world.browser()
    await browser.login()
    assert "hint" not in kept(browser)
    page = await log_out(world, browser)
    assert (page.status, page.url.path, page.history) == (200, "/.gateway/logged-out", [303])
    assert world.provider.counts["logout"] == 0


@pytest.mark.parametrize("knows", [True, False], ids=["metadata known", "metadata unknown"])
async def test_r50_the_provider_is_down(world: World, knows: bool):
    """R50: the session is dead at once, here and in every copy, whatever the provider does."""
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    await world.provider.close()
    gateway = world.gateway
    base = world.base
    if not knows:
        # a gateway that has just started has not met the provider
        data = world.config()
        port = free_port()
        data["listen"] = f"127.0.0.1:{port}"
        gateway = await world.start_gateway(type(world.settings).model_validate(data))
        base = f"http://localhost:{port}"
    headers = {**NAVIGATE, "Origin": world.base, "Host": f"localhost:{world.public_port}"}
    page = await browser.request("POST", f"{base}/.gateway/logout", follow=False, headers=headers)
    assert page.status == 303
    if not knows:
        assert page.headers["Location"] == f"{world.base}/.gateway/logged-out"
        assert world.audit("logout")[0]["provider_logout"] == "unavailable"
    page = await copy.fetch("/x")
    assert page.status == 401
    assert "revoked" in page.text
    await gateway.token_revocations.drain()
    (event,) = world.audit("token_revocation_failed")
    assert (event["subject"], event["reason"]) == ("alice", "issuer_unavailable")
    await world.provider.start()


async def test_the_refresh_token_is_revoked(world: World):
    """RFC 7009: after a logout the provider refuses the refresh token; the log holds no trace of it."""
    browser = world.browser()
    await browser.login()
    tokens = [family.current for family in world.provider.grants.families.values()]
    await log_out(world, browser)
    await world.eventually(lambda: world.audit("token_revoked"))
    assert world.provider.counts["revocation"] == 1
    assert not any(family.alive for family in world.provider.grants.families.values())
    assert world.audit("token_revoked")[0]["subject"] == "alice"
    assert not any(token in json.dumps(world.lines) for token in tokens)
    page = await world.admin("GET", "/metrics", token=None)
    assert re.search(r'gateway_audit_events_total\{event="token_revoked"\} 1\.0', page.text)


async def test_everywhere_ends_both_of_her_browsers_and_not_his(world: World):
    """R44: two browsers and a bearer token of alice end; bob's session goes on; she may log in again."""
    one, two, bob = world.browser(), world.browser(), world.browser()
    await one.login("/", "alice")
    await two.login("/", "alice")
    await bob.login("/", "bob")
    bearer = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 200
    page = await one.get("/.gateway/logout")
    assert 'name="everywhere"' in page.text
    page = await one.submit(page, everywhere="1")
    assert page.status == 200
    for browser, status in ((two, 401), (bob, 200)):
        assert (await browser.fetch("/x")).status == status
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 401
    assert world.audit("logout")[0]["how"] == "everywhere"
    world.clock.advance(1)
    await one.login("/", "alice")
    assert (await one.fetch("/x")).status == 200


async def test_a_plain_logout_leaves_her_other_browser_alone(world: World):
    """One session ends, not the person's others."""
    one, two = world.browser(), world.browser()
    await one.login()
    await two.login()
    await log_out(world, one)
    assert (await two.fetch("/x")).status == 200


async def test_a_script_logs_out(world: World):
    """A single-page application is told where to navigate; a form of another origin is refused (R47)."""
    browser = world.browser()
    await browser.login()
    sent = {"Origin": world.base, "Sec-Fetch-Site": "same-origin"}
    page = await browser.fetch("/.gateway/logout", method="POST", headers=sent)
    assert page.status == 200
    assert page.headers["Clear-Site-Data"] == '"cache"'
    page = await browser.get(json.loads(page.text)["logout_url"])
    assert (page.status, page.url.path) == (200, "/.gateway/logged-out")
    assert (await browser.fetch("/x")).status == 401


async def test_a_body_that_is_too_large(world: World):
    """R60: a logout form and a logout request are small."""
    browser = world.browser()
    await browser.login()
    page = await log_out(world, browser, a="x" * 5000)
    assert page.status == 413
    page = await browser.fetch(
        "/.gateway/backchannel-logout", method="POST", headers=FORM, data=b"logout_token=" + b"a" * 40_000
    )
    assert page.status == 413
    assert (await browser.fetch("/x")).status == 200


async def test_r51_r52_backchannel_by_sid(world: World):
    """R51, R52: the next request of that session is 401, that of her other session is not; never stored."""
    one, two = world.browser(), world.browser()
    await one.login()
    await two.login()
    uri = f"{world.base}/.gateway/backchannel-logout"
    answer = await world.provider.backchannel_logout(uri=uri, sub="alice", sid=await sid_of(one))
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["Cache-Control"] == "no-store"
    page = await one.fetch("/x")
    assert page.status == 401
    assert "revoked" in page.text
    assert (await two.fetch("/x")).status == 200
    (event,) = world.audit("logout")
    assert (event["how"], event["subject"], event["issuer"]) == (
        "backchannel",
        "alice",
        world.provider.issuer,
    )
    assert not holds_jwt(json.dumps(world.lines))


async def test_r51_backchannel_by_subject(world: World):
    """R51: without sid every session of the subject ends; bob's does not."""
    one, two, bob = world.browser(), world.browser(), world.browser()
    await one.login()
    await two.login()
    await bob.login("/", "bob")
    answer = await world.provider.backchannel_logout(
        uri=f"{world.base}/.gateway/backchannel-logout", sub="alice"
    )
    assert answer.status == 200
    for browser, status in ((one, 401), (two, 401), (bob, 200)):
        assert (await browser.fetch("/x")).status == status


async def test_backchannel_before_a_refresh(world: World):
    """A session that was ended is not renewed: the provider is not even asked."""
    browser = world.browser()
    await browser.login()
    await world.provider.backchannel_logout(uri=f"{world.base}/.gateway/backchannel-logout", sub="alice")
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 401
    assert world.provider.counts["token:refresh_token"] == 0


@pytest.mark.parametrize(
    "quirk",
    [
        "backchannel-alg-none",
        "backchannel-no-event",
        "backchannel-with-nonce",
        "backchannel-wrong-alg",
        "backchannel-wrong-aud",
        "backchannel-wrong-event",
        "backchannel-wrong-iss",
    ],
)
async def test_r52_each_faulty_logout_token(world: World, quirk: str):
    """R51, R52: the OpenID Foundation's faults: 400 with JSON, never stored, and the session goes on."""
    browser = world.browser()
    await browser.login()
    world.provider.quirks.add(quirk)
    answer = await world.provider.backchannel_logout(
        uri=f"{world.base}/.gateway/backchannel-logout", sub="alice"
    )
    assert answer.status == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(answer.text)["error"] == "invalid_request"
    assert (await browser.fetch("/x")).status == 200
    assert world.audit("logout_refused")
    assert world.audit("logout") == []


async def test_r51_a_replay_across_gateways(world: World):
    """R51: a logout token counts once, whichever gateway it is sent to, and ends no session begun since."""
    data = world.config()
    port = free_port()
    data["listen"] = f"127.0.0.1:{port}"
    await world.start_gateway(type(world.settings).model_validate(data))
    token = world.provider.logout_token(sub="alice")
    headers = {"Host": f"localhost:{world.public_port}"}
    async with aiohttp.ClientSession() as session:
        statuses = []
        for at in (world.public_port, port, world.public_port):
            url = f"http://127.0.0.1:{at}/.gateway/backchannel-logout"
            async with session.post(url, data={"logout_token": token}, headers=headers) as answer:
                statuses.append(answer.status)
            if len(statuses) == 1:
                world.clock.advance(1)
                browser = world.browser()
                await browser.login()
    assert statuses == [200, 400, 400]
    assert (await browser.fetch("/x")).status == 200


async def test_backchannel_while_the_provider_rotates_its_keys(world: World):
    """R27: a logout token that is signed with a key nobody has seen yet is honoured."""
    browser = world.browser()
    await browser.login()
    world.provider.rotate_keys()
    world.clock.advance(31)
    answer = await world.provider.backchannel_logout(
        uri=f"{world.base}/.gateway/backchannel-logout", sub="alice"
    )
    assert answer.status == 200
    assert (await browser.fetch("/x")).status == 401


async def test_the_store_is_down(world: World):
    """A logout that cannot be made known is 5xx, so that whoever asked tries again; no cookie is cleared."""
    browser = world.browser()
    await browser.login()

    async def away(*_: object, **__: object):
        raise Fault("store", Reason.STORE_UNAVAILABLE, "away", 5)

    world.gateway.store.run = world.gateway.store.run_patiently = away
    answer = await world.provider.backchannel_logout(
        uri=f"{world.base}/.gateway/backchannel-logout", sub="alice"
    )
    assert answer.status == 503
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Retry-After"]
    page = await log_out(world, browser, follow=False)
    assert page.status == 503
    assert not page.set_cookies


@pytest.mark.settings({"providers": {"demo": {"frontchannel_logout": True}}})
async def test_frontchannel(world: World):
    """Front-Channel Logout: a frame of the provider's page, without cookies, ends the session it names."""
    browser, other = world.browser(), world.browser()
    await browser.login()
    await other.login()
    query = {"iss": world.provider.issuer, "sid": await sid_of(browser)}
    url = URL("/.gateway/frontchannel-logout").with_query(query)
    page = await world.browser().get(str(url))
    assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert f"frame-ancestors {world.provider.issuer}" in page.headers["Content-Security-Policy"]
    assert (await browser.fetch("/x")).status == 401
    assert (await other.fetch("/x")).status == 200
    assert world.audit("logout")[0]["how"] == "frontchannel"


@pytest.mark.settings({"providers": {"demo": {"frontchannel_logout": True}}, "session": {"mode": "redis"}})
async def test_frontchannel_in_redis_mode(world: World):
    """[1.24] A flood of made-up sids adds nothing; the sid of a refreshed session ends it."""
    browser = world.browser()
    await browser.login()
    families = world.provider.grants.families
    (sid,) = families
    families[sid].sid = "another"
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert await sid_of(browser) == "another"
    url = URL("/.gateway/frontchannel-logout")
    for number in range(100):
        query = {"iss": world.provider.issuer, "sid": f"made-up-{number}"}
        assert (await world.browser().get(str(url.with_query(query)))).status == 200
    assert len(world.gateway.denylist) == 0
    assert world.audit("logout") == []
    query = {"iss": world.provider.issuer, "sid": "another"}
    assert (await world.browser().get(str(url.with_query(query)))).status == 200
    assert (await browser.fetch("/x")).status == 401


async def test_frontchannel_is_off_unless_asked_for(world: World):
    """Nothing proves that the provider asks, so an operator decides."""
    browser = world.browser()
    await browser.login()
    url = URL("/.gateway/frontchannel-logout").with_query(
        iss=world.provider.issuer, sid=await sid_of(browser)
    )
    assert (await world.browser().get(str(url))).status == 404
    assert (await browser.fetch("/x")).status == 200


async def hint_of(world: World, browser) -> str:
    """Log out, and return the ID token that the provider is sent."""
    page = await log_out(world, browser, follow=False)
    return URL(page.headers["Location"]).query["id_token_hint"]


def claims_of(token: str) -> dict:
    return json.loads(decode_base64url(token.split(".")[1], 100_000) or b"")


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_each_refresh_replaces_the_hint(valkey_url, tmp_path, mode: str):
    """R50 [2.37]: after a refresh the provider is sent the ID token of that refresh, not of the login."""
    async with World(valkey_url, tmp_path, session={"mode": mode}) as world:
        browser = world.browser()
        await browser.login()
        before = world.clock()
        for _ in range(2):
            world.clock.advance(61)
            assert (await browser.fetch("/x")).status == 200
        await world.gateway.logout_hints.drain()
        assert claims_of(await hint_of(world, browser))["iat"] >= int(before + 122)
        # nothing is left of it
        assert not await world.gateway.store.execute("KEYS", f"{world.prefix}hint:*")


async def test_a_long_login_answer_leaves_the_hint_to_the_store(world: World):
    """[4.12]: the answer that ends a login stays under 4 KiB of head; the hint is in the store, sealed."""
    world.provider.accounts["alice"]["groups"] = ["admins", *(str(uuid.uuid4()) for _ in range(12))]
    browser = world.browser()
    page = await browser.get("/")
    page = await browser.submit(page, username="alice", password="alice")
    assert page.status == 200
    assert "hint" not in kept(browser)
    assert not [line for line in world.lines if "too long" in str(line.get("message"))]
    await world.gateway.logout_hints.drain()
    (key,) = await world.gateway.store.execute("KEYS", f"{world.prefix}hint:*")
    sealed = await world.gateway.store.execute("GET", key)
    assert b".eyJ" not in sealed
    assert claims_of(await hint_of(world, browser))["sub"] == "alice"


async def test_a_login_answer_that_is_too_long_is_warned_of(world: World):
    """[4.12]: beyond what proxies take by default, the log says how long it is and what helps."""
    world.provider.accounts["alice"]["groups"] = ["admins", *(str(uuid.uuid4()) for _ in range(90))]
    browser = world.browser()
    await browser.login()
    (line,) = [line for line in world.lines if "too long" in str(line.get("message"))]
    assert line["level"] == "warning"
    assert line["bytes"] > line["most"] == 4096
    assert "proxy_buffer_size" in line["help"]
