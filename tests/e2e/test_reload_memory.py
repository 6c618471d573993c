"""What a reload leaves behind: nothing of the configuration that it replaced."""

import gc

import pytest

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
