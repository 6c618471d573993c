"""The shared count against a real store."""

import asyncio
import time

import pytest

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.rules.rate_limit import MICROSECONDS, compile_rate_limit
from gateway.edge.limits.rate_limits import RateLimits
from gateway.edge.store.store import Store

HOURLY = compile_rate_limit(RateLimitSettings(requests=10, per=3600.0, shared=True), "hourly")


def limits(store):
    return RateLimits(store)


async def test_no_more_than_the_burst_passes_anywhere(store):
    """Forty requests at once through four gateways: exactly ten pass."""
    gateways = [limits(store) for _ in range(4)]
    found = await asyncio.gather(*(gateways[index % 4].check_shared(HOURLY, "alice") for index in range(40)))
    passed = [each for each in found if each.wait is None]
    assert len(passed) == 10
    assert sorted(each.remaining for each in passed) == list(range(10))
    assert all(1 <= each.wait <= 360 for each in found if each.wait is not None)
    assert (await gateways[0].check_shared(HOURLY, "bob")).wait is None


async def test_two_limits_do_not_meet(store):
    """The same caller under another limit has another count."""
    other = compile_rate_limit(RateLimitSettings(requests=1, per=3600.0, shared=True), "other")
    here = limits(store)
    assert [(await here.check_shared(other, "alice")).wait is None for _ in range(2)] == [True, False]
    assert (await here.check_shared(HOURLY, "alice")).remaining == 9


async def test_what_is_kept(store, prefix):
    """One key for each caller, under the prefix, that names nobody and goes away by itself."""
    await limits(store).check_shared(HOURLY, "ialice@example.com")
    keys = await store.execute("KEYS", f"{prefix}*")
    assert len(keys) == 1
    assert keys[0].startswith(f"{prefix}rate:".encode())
    assert b"alice" not in keys[0]
    assert 0 < await store.execute("PTTL", keys[0]) <= 360_000


async def test_the_allowance_grows_back(store):
    """It does so by the store's clock."""
    quick = compile_rate_limit(RateLimitSettings(requests=1, per=0.05, shared=True), "quick")
    assert (await limits(store).check_shared(quick, "k")).wait is None
    for _ in range(200):
        if (await limits(store).check_shared(quick, "k")).wait is None:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never grew back")


@pytest.mark.parametrize("value", ["99999999999999999999", "-5", "0", "garbage"])
async def test_odd_values(store, value):
    """A value from a clock that ran ahead, or from nowhere, shuts nobody out for longer than one burst."""
    here = limits(store)
    await here.check_shared(HOURLY, "k")
    (key,) = await store.execute("KEYS", f"{store.key('rate')}*")
    await store.execute("SET", key, value)
    found = await limits(store).check_shared(HOURLY, "k")
    assert found.wait is None or found.wait <= HOURLY.interval / MICROSECONDS


async def test_a_store_that_hangs_is_asked_once(own_store, server):
    """While the store is away every gateway counts for itself, and only one request waits to find out."""
    here = limits(own_store)
    await here.check_shared(HOURLY, "k")
    server.pause()
    try:
        found = [await here.check_shared(HOURLY, "k") for _ in range(11)]
    finally:
        server.resume()
    assert [each.wait is None for each in found] == [True] * 9 + [False] * 2
    assert here.stats()["unshared_total"] == 9


async def test_the_store_counts_again_when_it_is_back(own_store, server):
    """After a rest the store is asked again, and what passed before it went away still counts."""
    now = [0.0]
    here = RateLimits(own_store, lambda: now[0])
    for _ in range(5):
        await here.check_shared(HOURLY, "k")
    server.kill()
    assert (await here.check_shared(HOURLY, "k")).wait is None
    server.start()
    assert (await here.check_shared(HOURLY, "k")).wait is None
    assert here.unshared == 2
    now[0] += 2
    assert (await here.check_shared(HOURLY, "k")).remaining == 4
    assert here.unshared == 2


async def test_an_unreachable_store_never_raises(prefix):
    """No Fault comes out of a limiter."""
    store = Store("unix:///nowhere/at/all", prefix, 0.2, time.time)
    try:
        assert (await limits(store).check_shared(HOURLY, "k")).remaining == 9
    finally:
        await store.close()
