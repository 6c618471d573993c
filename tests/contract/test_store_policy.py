"""A store that may forget revocations is told of: when it first answers, and by ``gateway check``."""

import asyncio
import time

import pytest

from gateway.config.settings.root import Settings
from gateway.edge.store.check import check_store
from gateway.edge.store.store import Store
from gateway.edge.store.watch import StoreWatch
from gateway.edge.telemetry.logs import Logs
from tests.support.pure import settings
from tests.support.store import ValkeyServer, eventually

EVICTING = ["allkeys-lru", "volatile-ttl", "allkeys-random"]


@pytest.fixture
def server():
    """A maker of servers with options; each is closed."""
    made = []

    def make(*options: str) -> ValkeyServer:
        made.append(ValkeyServer(*options).start())
        return made[-1]

    yield make
    for each in made:
        each.close()


def with_store(url: str) -> Settings:
    return settings(redis={"url": url})


@pytest.mark.parametrize("policy", EVICTING)
def test_check_warns_of_a_store_that_evicts(server, policy):
    """[4.9] The warning names the setting and what it is now."""
    warning = check_store(with_store(server("--maxmemory-policy", policy).url))
    assert warning is not None
    assert "maxmemory-policy" in warning
    assert policy in warning


def test_check_says_nothing_of_other_stores(server):
    """[4.9] One that keeps everything, one that is away, one that does not tell, and none."""
    assert check_store(with_store(server("--maxmemory-policy", "noeviction").url)) is None
    away = server()
    away.kill()
    assert check_store(with_store(away.url)) is None
    assert check_store(settings()) is None


async def test_a_store_that_evicts_is_told_in_the_log(server):
    """[4.9] One warning when it answers, and another when what answers next evicts as well."""
    evicting = server("--maxmemory-policy", "allkeys-lfu")
    lines: list[str] = []
    store = Store(evicting.url, "t:", 1.0, time.time)
    watch = StoreWatch(store, Logs(settings().log, write=lines.append))
    await store.start()
    watch.start()
    try:
        await eventually(lambda: any("allkeys-lfu" in line for line in lines))
        await asyncio.sleep(0)
        assert sum("noeviction" in line for line in lines) == 1
    finally:
        await watch.close()
        await store.close()


async def test_a_store_that_may_not_tell_is_no_trouble(server):
    """[4.9] An ACL without INFO: nothing is warned of, and nothing counts as an outage."""
    shut = server()
    with shut.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-info")
    store = Store(shut.url, "t:", 1.0, time.time)
    await store.start()
    try:
        assert await store.eviction_policy() is None
        assert store.trouble is None
        assert store.available
    finally:
        await store.close()
