"""What a reload leaves behind: nothing of the configuration that it replaced."""

import gc

import aiohttp
import pytest

from gateway.core.identity import Identity
from gateway.core.runtime import RuntimeConfig
from tests.support.world import World

pytestmark = pytest.mark.asyncio


async def test_a_replaced_configuration_is_not_kept(world: World):
    """What is remembered for heads does not keep alive the configuration, with its keys, that it rests on."""
    gateway = world.gateway
    idle = world.settings.limits.idle_timeout
    for turn in range(3):
        for _ in range(3):
            assert (await world.browser().fetch(f"/public/{turn}")).status == 200
        limits = world.settings.limits.model_copy(update={"idle_timeout": idle + turn + 1})
        gateway.reload(world.settings.model_copy(update={"limits": limits}))
    for browser in world.browsers:
        await browser.close()
    gc.collect()
    listen = world.settings.listen
    alive = [
        each for each in gc.get_objects() if type(each) is RuntimeConfig and each.settings.listen == listen
    ]
    assert alive == [gateway.runtime]


async def test_whom_a_replaced_configuration_knew_is_gone_at_once(world: World):
    """[10.hold.3]: with the reload, and not when cycles are collected."""
    gateway = world.gateway
    world.provider.accounts["rosalind"] = world.provider.accounts["alice"] | {"sub": "rosalind"}
    token = world.provider.mint("rosalind", scope="api")
    headers = {"Authorization": f"Bearer {token}"}

    def alive() -> int:
        return sum(type(each) is Identity and each.subject == "rosalind" for each in gc.get_objects())

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        for _ in range(3):
            async with client.get(world.browser().url("/api/x"), headers=headers) as answer:
                assert answer.status == 200
    gc.collect()
    assert alive() == 1
    gc.disable()
    try:
        gateway.reload(world.settings)
        assert alive() == 0
    finally:
        gc.enable()
