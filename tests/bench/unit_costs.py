"""What one login, refresh, session and revocation cost the store: ``python -m tests.bench.unit_costs``.

A real Valkey with an append-only file, and a real gateway in each session mode; the store is asked for its
processor time and its memory before and after so many of each. docs/capacity.md reckons with these.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis

from tests.support.store import ValkeyServer
from tests.support.world import Browser, World

PEOPLE, REVOCATIONS, FOLLOWERS = 200, 2000, 100


@dataclass
class Cost:
    """Of one step: microseconds of the store's processor, bytes of its memory, commands."""

    name: str
    microseconds: float
    octets: float
    commands: float


class Meter:
    """Asks the store what something took."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.costs: list[Cost] = []

    def _read(self) -> tuple[float, int, int]:
        told = self.client.info()
        cpu = sum(told[f"used_cpu_{kind}"] for kind in ("user", "sys"))
        return cpu, told["used_memory"], told["total_commands_processed"]

    @contextmanager
    def measured(self, name: str, count: int) -> Iterator[None]:
        """Note what so many of something took."""
        before = self._read()
        yield
        cpu, memory, commands = (after - start for after, start in zip(self._read(), before, strict=True))
        self.costs.append(Cost(name, cpu / count * 1e6, memory / count, commands / count))


async def each(browsers: list[Browser], step: Callable[[Browser], Awaitable[object]]) -> None:
    """Take a step with everybody, ten at a time."""
    gate = asyncio.Semaphore(10)

    async def one(browser: Browser) -> None:
        async with gate:
            await step(browser)

    await asyncio.gather(*map(one, browsers))


async def sessions(meter: Meter, store: ValkeyServer, mode: str) -> None:
    """Measure logins, requests and refreshes in one mode."""
    with tempfile.TemporaryDirectory() as directory:
        async with World(store.url, directory, session={"mode": mode}) as world:
            await world.browser().login()
            people = [world.browser() for _ in range(PEOPLE)]
            with meter.measured(f"a login, {mode}", PEOPLE):
                await each(people, Browser.login)
            with meter.measured(f"a request, {mode}", PEOPLE * 5):
                for _ in range(5):
                    await each(people, lambda browser: browser.fetch("/x"))
            world.clock.advance(61)
            with meter.measured(f"a refresh and its confirmation, {mode}", PEOPLE):
                await each(people, lambda browser: browser.fetch("/x"))
                await each(people, lambda browser: browser.fetch("/x"))
            with meter.measured(f"a logout, {mode}", PEOPLE):
                origin = {"Origin": world.base}
                await each(
                    people, lambda browser: browser.fetch("/.gateway/logout", method="POST", headers=origin)
                )


def entries(meter: Meter, client: Redis, followers: list[Redis]) -> None:
    """Measure an entry of the denylist's log, with so many workers that follow it."""
    name = f"an entry of the log, {len(followers)} workers follow"
    pools = [each.connection_pool.get_connection() for each in followers]
    last = client.xadd("log", {"s": "0"})
    with meter.measured(name, REVOCATIONS // 10):
        for _ in range(REVOCATIONS // 10):
            for connection in pools:
                connection.send_command("XREAD", "BLOCK", "5000", "STREAMS", "log", last)
            newest = client.xadd("log", {"s": "1", "e": "x" * 100, "x": "1"}, maxlen=10_000, approximate=True)
            for connection in pools:
                connection.read_response()
            last = newest
    for each_one, connection in zip(followers, pools, strict=True):
        each_one.connection_pool.release(connection)


async def main() -> int:
    """Measure, and print a table."""
    store = ValkeyServer("--appendonly", "yes", "--appendfsync", "everysec").start()
    try:
        with store.client() as client:
            meter = Meter(client)
            for mode in ("cookie", "redis"):
                sys.stderr.write(f"sessions in {mode} ...\n")
                await sessions(meter, store, mode)
            for count in (0, FOLLOWERS):
                sys.stderr.write(f"the log, {count} workers follow ...\n")
                entries(meter, client, [store.client() for _ in range(count)])
    finally:
        store.close()
    print("| | store's CPU, microseconds | memory, bytes | commands |\n|---|---:|---:|---:|")  # noqa: T201
    for cost in meter.costs:
        print(f"| {cost.name} | {cost.microseconds:.0f} | {cost.octets:,.0f} | {cost.commands:.1f} |")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
