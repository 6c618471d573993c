"""What one gateway keeps and lets go when it goes on with other settings."""

import asyncio
import base64

import aiohttp
import pytest

from gateway.config.settings.root import Settings
from tests.support.ports import free_port
from tests.support.world import NAVIGATE, World, merge

OTHER_KEY = base64.b64encode(bytes(range(100, 132))).decode()


def changed(world: World, **override) -> Settings:
    """Return the world's settings with other values merged in."""
    return Settings.model_validate(merge(merge(world.config(), {"listen": world.settings.listen}), override))


async def ask(world: World, port: int, cookies: dict[str, str]) -> int:
    """Return the status that the gateway at this port answers with."""
    headers = {**NAVIGATE, "Host": world.base.removeprefix("http://")}
    headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/x", headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


async def test_who_has_prepared_opens_what_others_seal_already(world: World):
    """Between the steps of a rotation a session sealed under the new key is good in both gateways."""
    other = await world.start_gateway(changed(world, listen=f"127.0.0.1:{free_port()}"))
    rotated = changed(world, secret_keys=[OTHER_KEY, *world.config()["secret_keys"]])
    prepared = world.gateway.prepare(rotated)
    browser = world.browser()
    await browser.login()
    assert await ask(world, other.port, browser.cookies()) == 200
    other.prepare(rotated)
    world.gateway.commit(prepared)
    late = world.browser()
    await late.login()
    assert await ask(world, other.port, late.cookies()) == 200
    other.abandon()
    assert await ask(world, other.port, late.cookies()) == 303
    assert await ask(world, other.port, browser.cookies()) == 200


async def test_requests_under_way_end_as_they_began(world: World):
    """A request that the upstream holds is answered although its route and its upstream are gone by then."""
    world.upstream.hold = asyncio.Event()
    browser = world.browser()
    held = asyncio.create_task(browser.fetch("/public/held"))
    await world.eventually(lambda: world.upstream.seen)
    routes = [{"path": "/", "upstream": "new", "access": "required"}]
    world.override = {"upstreams": {}}
    data = merge(world.config(), {"listen": world.settings.listen, "routes": routes})
    data["upstreams"] = {"new": {"servers": ["http://127.0.0.1:1"]}}
    world.gateway.reload(Settings.model_validate(data))
    assert (await browser.fetch("/public/other")).status == 401
    world.upstream.hold.set()
    assert (await held).status == 200


async def test_a_request_that_waits_for_facts_keeps_its_routes(world: World):
    """The decision is taken again, with the new facts, under the configuration that it began with."""
    gate = asyncio.Event()
    providers = world.gateway.providers
    find = providers.keys_for

    async def slow(need):
        await gate.wait()
        return await find(need)

    resolvers = world.gateway.pipeline.ways.resolvers
    resolvers[next(kind for kind in resolvers if kind.__name__ == "Keys")] = slow
    token = await mint(world)
    browser = world.browser()
    bearer = {"Authorization": f"Bearer {token}"}
    waiting = asyncio.create_task(browser.fetch("/api/x", headers=bearer))
    await world.eventually(lambda: world.gateway.pipeline.ways.spawned)
    settings = changed(
        world, routes=[{"path": "/", "upstream": "app", "access": "required", "methods": ["POST"]}]
    )
    world.gateway.reload(settings)
    gate.set()
    assert (await waiting).status == 200
    assert (await browser.fetch("/api/x", headers=bearer)).status in (404, 405)


async def mint(world: World) -> str:
    """Return an access token for the API."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{world.provider.issuer}/mint", params={"user": "alice", "scope": "api"}) as answer,
    ):
        return (await answer.text()).strip()


async def test_what_is_the_same_is_kept(world: World):
    """Keys, metadata and connections of what did not change stay; what changed is asked for anew."""
    browser = world.browser()
    await browser.login()
    asked = world.provider.counts["jwks"]
    assert asked
    pool, keys = world.gateway.server.pools["app"], world.gateway.providers.keys["demo"]
    world.gateway.reload(changed(world, limits={"body": 1000}))
    assert world.gateway.server.pools["app"] is pool
    assert world.gateway.providers.keys["demo"] is keys
    assert world.gateway.server.limits.body == 1000
    assert (await browser.fetch("/x")).status == 200
    assert (await world.browser().login()).status == 200
    assert world.provider.counts["jwks"] == asked
    calls = world.gateway.providers.stats()["demo"].calls
    settings = changed(
        world, providers={"demo": {"clock_skew": "5s"}}, upstreams={"app": {"keepalive": "5s"}}
    )
    world.gateway.reload(settings)
    assert "demo" not in world.gateway.providers.keys
    assert world.gateway.server.pools["app"] is not pool
    assert world.gateway.providers.stats()["demo"].calls == calls
    assert (await browser.fetch("/x")).status == 200
    assert (await world.browser().login()).status == 200
    assert world.provider.counts["jwks"] == asked + 1
    await world.eventually(lambda: pool.is_done)


async def test_what_cannot_be_used_changes_nothing(world: World):
    """A file of authorities that went away in between: refused, and all is as it was."""
    knowledge, pools = world.gateway.pipeline.knowledge, dict(world.gateway.server.pools)
    missing = str(world.tmp_path / "missing.pem")
    broken = {"servers": ["https://127.0.0.1:1"], "tls": {"ca_file": missing}}
    with pytest.raises(OSError, match="No such file"):
        world.gateway.reload(changed(world, upstreams={"app": broken}))
    assert world.gateway.pipeline.knowledge is knowledge
    assert world.gateway.server.pools == pools
    assert (await world.browser().fetch("/public/x")).status == 200
