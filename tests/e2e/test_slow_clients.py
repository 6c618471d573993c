"""Thousands of slow clients of a whole gateway: nobody else waits, memory is bounded, all are cut."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator

import pytest
from aiohttp import web

from tests.support.fleet import Fleet
from tests.support.slow_clients import SlowClients
from tests.support.world import Upstream

WANTED, LEAST = 5000, 1000
ADDRESSES = [f"127.0.0.{last}" for last in range(2, 7)]
BEYOND = 10
SLOW_BODIES, MOST_CONNECTIONS = 2400, 1024
KIB = 1024
MOST_UNREAD = 4096 * KIB
# by kind: its share of all in percent, the most KiB by which one may make the resident memory grow, and its
# end. Held are an incomplete head, up to `limits.head` (32 KiB), and of an answer that is not taken 64 KiB
# and one read beyond (256 KiB); of a body nothing, since it streams. The rest is for connection and request.
MIXTURE = {
    "silent": (10, 8, "closed"),
    "head": (30, 8, "408 closed"),
    "fat head": (10, 32 + 8, "408 closed"),
    "body": (15, 16, "408 closed"),
    "chunked": (15, 16, "408 closed"),
    "refused": (10, 16, "401 closed"),
    "unread": (10, 64 + 256 + 40, "200 reset"),
}
FORWARDED = {"body", "chunked", "unread"}
RESIDENT = "gateway_process_resident_memory_bytes"
TIMEOUTS = ("head_timeout", "body_timeout", "idle_timeout", "write_timeout")


class Endless(Upstream):
    """What is called ``endless`` has no end. ``begun`` counts requests, ``written`` the bytes without end."""

    begun = 0
    written = 0

    async def start(self) -> None:
        """Listen on an ephemeral port, for many at once, with a kernel that holds little of what is sent."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=WANTED)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
        self.runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self.runner.setup()
        await web.SockSite(self.runner, listener, backlog=WANTED).start()
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.begun += 1
        with contextlib.suppress(ConnectionError):
            if not request.path.endswith("/endless"):
                return await super()._handle(request)
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(bytes(64 * KIB))
                self.written += 64 * KIB
        return web.Response()


class SlowFleet(Fleet):
    """A gateway that is asked how many it holds."""

    upstream_class = Endless
    upstream: Endless

    async def hold(self, many: int) -> None:
        """Wait until exactly so many clients are connected."""

        async def is_so() -> bool:
            return await self.counted("gateway_http_client_connections") == many

        await self.eventually(is_so)

    async def settle(self, many: int) -> None:
        """Wait until so many endless answers are stuck; gateway and kernels take no more than so much."""
        written = -1
        while written != self.upstream.written:
            written = self.upstream.written
            assert written < many * MOST_UNREAD
            await asyncio.sleep(0.5)

    async def answers(self) -> list[int]:
        """Log in, and ask over new and over kept connections: return the status codes."""
        person, public = self.browser(), [self.browser() for _ in range(20)]
        await person.login()
        pages = [await person.fetch(f"/{turn}") for turn in range(20)]
        for turn in range(10):
            pages += await asyncio.gather(*(each.fetch(f"/public/{turn}") for each in public))
        for each in (person, *public):
            await each.close()
        return [page.status for page in pages]


@contextlib.contextmanager
def descriptors() -> Iterator[int]:
    """Let this process and those that it starts open as many files as they may; yield how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 4 * WANTED if hard == resource.RLIM_INFINITY else min(hard, 4 * WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def holdable(most: int) -> dict[str, int]:
    """Return how many of each kind one gateway with so many descriptors can hold; the forwarded take two."""
    share = sum(MIXTURE[kind][0] for kind in FORWARDED)
    many = min(WANTED, (most - 500) * 100 // (100 + share)) // 100 * 100
    return {kind: many * percent // 100 for kind, (percent, _, _) in MIXTURE.items()}


async def test_r60_thousands_of_slow_clients_keep_nobody_waiting() -> None:
    """R60: 5,000 trickle heads and bodies, are silent or do not read; every request of others is answered.

    They come from five addresses, each of which has as many connections as it may: more get 503. By how much
    each kind makes the resident memory grow is bounded. They stay until the time-outs are made short, so that
    no machine is too slow for this test; then each ends as its kind does.
    """
    with descriptors() as most:
        kinds = holdable(most)
        total = sum(kinds.values())
        if total < LEAST:
            pytest.skip(f"{most} open files are too few to hold {LEAST} slow clients")
        limits = {"connections_per_address": total // len(ADDRESSES), **dict.fromkeys(TIMEOUTS, "10m")}
        # those that are forwarded take a connection to the upstream each
        upstreams = {"app": {"max_connections": WANTED, "connect_timeout": "60s"}}
        async with (
            SlowFleet(1, limits=limits, upstreams=upstreams) as fleet,
            SlowClients(fleet.public_port) as slow,
        ):
            assert set(await fleet.answers()) == {200}
            await fleet.hold(0)
            grown = await hold_all(fleet, slow, kinds)
            assert {kind: kib for kind, kib in grown.items() if kib > MIXTURE[kind][1]} == {}
            for address in ADDRESSES:
                await slow.open("beyond", BEYOND, address)
            answers = await fleet.answers()
            assert len(answers) == 220
            assert set(answers) == {200}
            await fleet.hold(total)
            refused = await fleet.counted("gateway_http_connections_refused_per_address_total")
            assert refused == BEYOND * len(ADDRESSES)

            fleet.write(limits=dict.fromkeys(TIMEOUTS, "1s"))
            code, text = await fleet.command("reload")
            assert code == 0, text
            await fleet.hold(0)
            assert await slow.ends() == {
                "beyond": {"503 closed": BEYOND * len(ADDRESSES)},
                **{kind: {MIXTURE[kind][2]: many} for kind, many in kinds.items()},
            }
            assert await fleet.counted("gateway_http_requests_in_flight") == 0
            assert await fleet.counted("gateway_http_upstream_server_busy") == 0
            assert (await fleet.browser().fetch("/public/after")).status == 200


async def test_r60_slow_bodies_take_no_connection_from_others() -> None:
    """R60: with upstreams as they are by default, 2,400 unfinished bodies leave room for everybody else.

    Short ones are kept until they are whole, and stay; of longer and chunked ones half as many as there may
    be connections reach the upstream, and those that stand still end for those that wait. No time-out is at
    work but that of the queue.
    """
    with descriptors() as most:
        if most < 3 * SLOW_BODIES:
            pytest.skip(f"{most} open files are too few to hold {SLOW_BODIES} slow clients")
        limits = dict.fromkeys(TIMEOUTS, "10m")
        many = SLOW_BODIES // 3
        async with (
            SlowFleet(1, limits=limits) as fleet,
            SlowClients(fleet.public_port) as slow,
        ):
            assert set(await fleet.answers()) == {200}
            for kind in ("short body", "body", "chunked"):
                await slow.open(kind, many, ADDRESSES[0])
                answers = await fleet.answers()
                assert len(answers) == 220
                assert set(answers) == {200}
            state = 'gateway_http_upstream_connections{.*state="%s".*}'
            assert await fleet.counted(state % "gathering") == many
            assert await fleet.counted(state % "uploading") <= MOST_CONNECTIONS // 2
            browser = fleet.browser()
            for turn in range(20):
                page = await browser.fetch(f"/public/{turn}", method="POST", data=bytes(1000))
                assert page.status == 200

            async def uploads() -> bool:
                page = await browser.fetch("/public/long", method="POST", data=bytes(1 << 20))
                return page.status == 200

            await fleet.eventually(uploads)
            assert await fleet.counted(state % "gathering") == many
            ended = await slow.ended()
            assert set(ended) <= {"body", "chunked"}
            assert {end for ends in ended.values() for end in ends} <= {"408 closed", "503 closed"}


async def hold_all(fleet: SlowFleet, slow: SlowClients, kinds: dict[str, int]) -> dict[str, float]:
    """Connect the slow clients kind by kind; return by how many KiB each one made the gateway grow."""
    grown, held = {}, 0
    before = await fleet.counted(RESIDENT)
    for kind, many in kinds.items():
        begun = fleet.upstream.begun
        for address in ADDRESSES:
            await slow.open(kind, many // len(ADDRESSES), address)
        held += many
        await fleet.hold(held)
        if kind in FORWARDED:
            await fleet.eventually(lambda: fleet.upstream.begun == begun + many)  # noqa: B023
        if kind == "unread":
            await fleet.settle(many)
        after = await fleet.counted(RESIDENT)
        grown[kind] = (after - before) / many / KIB
        before = after
    return grown
