"""The store fails under load: nobody is logged out, refusals are those of the policy, and it mends itself.

Each scenario has people at work the whole time, and lets their access tokens expire while the store is away:
what is valid goes on, a refresh waits a moment and then is a 503 that keeps every cookie, and afterwards each
rotation has made one token call. The counts are printed (``pytest -s``).
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.admin.readiness import Readiness
from tests.support.redis import DURABLE, ClusterStore, Replicated
from tests.support.store import ValkeyServer
from tests.support.world import Browser, Page, World

PEOPLE = ("alice", "bob", "alice")
PACE = 0.03
# a key of the denylist, whose server is the one that fails
DENYLIST = "outage:{denylist}:log"
MODES = pytest.mark.parametrize("mode", ["cookie", "redis"])


@dataclass
class Load:
    """People who go on asking, and what they were answered."""

    world: World
    browsers: list[Browser]
    counts: Counter[int] = field(default_factory=Counter)
    cleared: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    away: Counter[int] = field(default_factory=Counter)
    served: set[str] = field(default_factory=set)
    slowest: float = 0.0

    def note(self, page: Page, name: str) -> None:
        """Count an answer."""
        self.counts[page.status] += 1
        self.away[page.status] += 1
        self.served.add(name)
        self.cleared += [line for line in page.set_cookies if "Max-Age=0" in line or "1970" in line]
        if page.status != 200:
            self.reasons[page.headers.get("Retry-After", "no Retry-After")] += 1

    async def work(self, browser: Browser, name: str) -> None:
        """Ask one page after the other."""
        loop, number = asyncio.get_running_loop(), 0
        while True:
            number += 1
            began = loop.time()
            self.note(await browser.fetch(f"/{name}/{number}"), name)
            self.slowest = max(self.slowest, loop.time() - began)
            await asyncio.sleep(PACE)

    def begin(self) -> None:
        """Count from here on what happens while the store is away."""
        self.take()
        self.away.clear()

    def take(self) -> dict[int, int]:
        """Return the counts since the last time."""
        counts, self.counts = dict(self.counts), Counter()
        self.served.clear()
        return counts


@contextlib.asynccontextmanager
async def at_work(world: World) -> AsyncIterator[Load]:
    """Log people in, and let each of them work in a browser until the end."""
    browsers = [world.browser() for _ in PEOPLE]
    for browser, user in zip(browsers, PEOPLE, strict=True):
        assert (await browser.login(user=user)).status == 200
    load = Load(world, browsers)
    tasks = [asyncio.create_task(load.work(each, f"p{n}")) for n, each in enumerate(browsers)]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(found, asyncio.CancelledError), found


def settings(mode: str, redis: dict[str, Any]) -> dict[str, Any]:
    """Return what the worlds of these scenarios change."""
    return {"session": {"mode": mode, "rotation_grace": "30s"}, "redis": redis}


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, mode: str, redis: dict[str, Any] | None = None, **more: Any) -> Any:
    """People at work on one server with an append-only file, which is yielded, too."""
    server = ValkeyServer(*DURABLE).start()
    try:
        override = settings(mode, redis or {}) | more
        async with World(server.url, tmp_path, **override) as world, at_work(world) as load:
            yield server, load
    finally:
        server.close()


async def only(load: Load, status: int) -> None:
    """What is answered from now on has this status alone."""
    await asyncio.sleep(0.2)
    load.take()
    await asyncio.sleep(0.3)
    assert set(load.counts) == {status}, load.counts


async def fail_over(load: Load, victim: ValkeyServer) -> None:
    """Kill a server that has a replica, and let access tokens expire meanwhile."""
    await refreshed_once(load)
    load.begin()
    victim.kill()
    await only(load, 200)
    load.world.clock.advance(61)
    await until_well(load, 20)
    await refreshed_once(load)
    assert load.world.gateway.ready() == Readiness({"denylist": None})


async def until_well(load: Load, seconds: float = 12.0) -> None:
    """Wait until everybody has been answered 200 for a while, and nobody otherwise."""
    loop = asyncio.get_running_loop()
    end, good = loop.time() + seconds, 0
    while good < 3:
        assert loop.time() < end, f"it did not recover: {load.counts}, {load.world.gateway.ready()}"
        load.take()
        await asyncio.sleep(0.2)
        is_good = len(load.served) == len(load.browsers) and set(load.counts) == {200}
        good = good + 1 if is_good else 0


async def refreshed_once(load: Load) -> None:
    """R32: everybody's access token expires at once: one token call for each of them."""
    world = load.world
    before = world.provider.counts["token:refresh_token"]
    world.clock.advance(61)
    pages = await asyncio.gather(*(each.fetch(f"/burst/{n}") for each in load.browsers for n in range(20)))
    assert {page.status for page in pages} == {200}, [page.text for page in pages if page.status != 200][:1]
    await until_well(load)
    assert world.provider.counts["token:refresh_token"] - before == len(PEOPLE)


def tell(line: str) -> None:
    """Print the counts (``pytest -s``)."""
    print(f"\n{line}")  # noqa: T201 - they are the report


async def revoke(world: World, subject: str) -> dict[str, Any]:
    """Revoke a subject as an operator does."""
    page = await world.admin("POST", "/revoke", json={"provider": "demo", "sub": subject})
    return {"status": page.status} | (json.loads(page.text) if page.text.startswith("{") else {})


async def check_end(load: Load, what: str, rotations: int) -> None:
    """What holds after every scenario, whatever failed."""
    world, away = load.world, dict(load.away)
    assert not load.cleared, load.cleared
    assert set(away) <= {200, 503}, away
    assert not set(load.reasons) - {"5"}, load.reasons
    assert not [line for line in world.lines if line.get("event") in ("reuse_detected", "refresh_failed")]
    calls = world.provider.counts["token:refresh_token"]
    assert calls == rotations * len(PEOPLE)
    tell(
        f"{what}: {away} until well, {calls} token calls for {rotations} rotations of {len(PEOPLE)} sessions,"
        f" slowest answer {load.slowest:.2f} s, logged out 0, cookies cleared 0"
    )
    # and a revocation still reaches everybody
    load.take()
    told = await revoke(world, "bob")
    assert told["status"] == 200, told
    assert not told["missing"]
    await world.eventually(lambda: load.counts[401])
    assert (await load.browsers[0].fetch("/still")).status == 200


async def test_r87_ready_without_the_store(tmp_path):
    """R87 [4.2]: requests go on while the store is away, so no balancer is told otherwise."""
    async with serving(tmp_path, "cookie") as (server, load):
        server.kill()
        await load.world.eventually(lambda: load.world.gateway.store.trouble)
        await only(load, 200)
        page = await load.world.admin("GET", "/readyz")
        told = json.loads(page.text)
        assert (page.status, told["status"]) == (200, "ready")
        assert told["troubles"]["store"]
        metrics = (await load.world.admin("GET", "/metrics")).text
        assert "gateway_store_up 0.0" in metrics


@MODES
async def test_kill_and_restart(tmp_path, mode: str):
    """R33, R61: ``kill -9`` of the store and a restart with its append-only file."""
    async with serving(tmp_path, mode) as (server, load):
        await refreshed_once(load)
        load.begin()
        server.kill()
        await only(load, 200)
        # now they need a refresh: it waits for the store for a moment, then it is a 503
        load.world.clock.advance(61)
        await load.world.eventually(lambda: load.counts[503] >= len(PEOPLE), tries=400)
        server.start()
        await until_well(load)
        await refreshed_once(load)
        await check_end(load, f"kill -9 and restart ({mode})", 3)


async def test_a_restart_that_nobody_notices(tmp_path):
    """R61: access tokens expire while the store restarts: the refresh waits, and everybody gets 200."""
    async with serving(tmp_path, "redis") as (server, load):
        load.begin()
        server.kill()
        load.world.clock.advance(61)
        await asyncio.sleep(0.3)
        server.start()
        await until_well(load)
        assert set(load.away) == {200}
        await check_end(load, "a short restart (redis)", 1)


async def test_client_pause(tmp_path):
    """R61: the store takes commands and answers none (CLIENT PAUSE): the same; no claim is left behind."""
    async with serving(tmp_path, "cookie", redis={"timeout": "500ms"}) as (server, load):
        load.begin()
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", 4000, "ALL")
        await only(load, 200)
        load.world.clock.advance(61)
        await load.world.eventually(lambda: load.counts[503] >= len(PEOPLE), tries=400)
        await until_well(load)
        await refreshed_once(load)
        await check_end(load, "CLIENT PAUSE (cookie)", 2)


@pytest.mark.parametrize("when_stale", ["refuse", "allow"])
async def test_r61_beyond_max_staleness(tmp_path, when_stale: str):
    """R61: valid tokens go on until ``max_staleness``; then the policy decides, until the store is back."""
    denylist = {"max_staleness": "2s", "when_stale": when_stale}
    async with serving(tmp_path, "cookie", denylist=denylist) as (server, load):
        load.begin()
        server.kill()
        await only(load, 200)
        # the age is measured on a monotonic clock, which no test can push
        await asyncio.sleep(2.2)
        await only(load, 503 if when_stale == "refuse" else 200)
        server.start()
        await until_well(load)
        await check_end(load, f"longer than max_staleness ({when_stale})", 0)


async def test_a_sentinel_failover(tmp_path):
    """R32, R33, R61: the master is killed; its replica takes over and nobody has lost a thing."""
    with Replicated() as store:
        override = settings("redis", store.settings)
        async with World("", tmp_path, **override) as world, at_work(world) as load:
            await fail_over(load, store.master)
            await check_end(load, "Sentinel failover (redis)", 3)


async def test_a_server_of_a_cluster_fails(tmp_path):
    """R32, R33, R61: the server that holds the denylist is killed; its replica is elected."""
    with ClusterStore(DENYLIST) as store:
        override = settings("redis", store.settings | {"prefix": "outage:"})
        async with World("", tmp_path, **override) as world, at_work(world) as load:
            await fail_over(load, store.holder)
            await check_end(load, "a Cluster's server fails (redis)", 3)


async def test_a_revocation_without_the_store_is_in_the_audit_log(tmp_path):
    """R44 [4.7]: 503, since it is not certain; it holds here, and who asked for it stands in the log."""
    server = ValkeyServer(*DURABLE).start()
    try:
        async with World(server.url, tmp_path) as world:
            browser = world.browser()
            await browser.login()
            server.kill()
            body = {"sub": "alice", "actor": "carol", "reason": "left"}
            assert (await world.admin("POST", "/revoke", json=body)).status == 503
            assert (await browser.fetch("/x")).status == 401
            (event,) = world.audit("revocation")
            assert (event["actor"], event["on_behalf_of"], event["reason"]) == ("token", "carol", "left")
            assert event["value"] == "alice"
            assert event["postponed"] == "store_unavailable"
    finally:
        server.close()
