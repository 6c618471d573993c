"""A gateway before real proxies with applications behind them, by the files of config/proxies/behind/."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.after import AFTER, BeforeWorld, forwarding_to
from tests.support.before import many_groups

pytestmark = pytest.mark.asyncio
PATIENCE = 20.0
CLIENT = "127.0.0.7"
ASSERTED = {"upstreams": {"app": {"assertion": {"audience": "app"}}}}


@pytest.fixture(params=list(AFTER))
async def world(request: pytest.FixtureRequest, valkey_url: str, tmp_path) -> AsyncIterator[BeforeWorld]:
    """A gateway before each kind of proxy that is here."""
    found = AFTER[request.param]
    if found.program is None:
        pytest.skip(f"{found.name} is not installed ({found.package})")
    async with forwarding_to(found, valkey_url, tmp_path, **ASSERTED) as started:
        yield started


async def test_r53_what_the_gateway_tells_arrives(world: BeforeWorld):
    """R53, R54 [12.behind]: identity, client, names and paths go through whole; and from nobody else."""
    alice = world.browser()
    await alice.login()
    token = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{world.base}/api/x?a=1&b=2", headers=token) as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "hello alice GET /api/x?a=1&b=2 0")
    seen = world.upstream.last().headers
    host = world.base.removeprefix("http://")
    assert seen.getall("X-Forwarded-User") == ["alice"]
    assert seen["X-Forwarded-For"].split(",")[0] == CLIENT
    assert (seen["X-Forwarded-Proto"], seen["X-Forwarded-Host"], seen["Host"]) == ("http", host, host)
    assert seen["X-Gateway-Assertion"].count(".") == 2
    assert f"for={CLIENT}" in seen["Forwarded"]
    assert len(seen.getall("X-Request-ID")) == 1
    # past the gateway nobody is anybody, whatever address is told
    passed = len(world.upstream.seen)
    assert b" 403 " in await world.direct("127.0.0.9")
    assert len(world.upstream.seen) == passed


async def test_what_lasts_and_what_is_long(world: BeforeWorld):
    """[12.behind]: a WebSocket, an upload that goes on while it is read, a stream, and 5 KB of groups."""
    world.provider.accounts["alice"]["groups"] = many_groups()[:200]
    alice = world.browser()
    alice.jar._limits_enabled = False
    await alice.login()
    assert len(world.upstream.last().headers["X-Forwarded-Groups"]) > 4_900
    ws = await alice.session.ws_connect(alice.url("/ws"), origin=world.base, protocols=("chat.v1",))
    assert ws.protocol == "chat.v1"
    await ws.send_bytes(b"\0" * 100_000)
    assert await ws.receive_bytes(timeout=PATIENCE) == b"\0" * 100_000
    await ws.send_str("close 4001 why")
    assert (await ws.receive(timeout=PATIENCE)).data == 4001
    before = len(world.upstream.seen)

    async def body():
        yield b"x" * 70_000
        await world.eventually(lambda: len(world.upstream.seen) > before)
        yield b"y" * 500_000

    page = await alice.fetch("/up", method="POST", data=body(), headers={"Origin": world.base})
    assert page.text == "hello alice POST /up 570000"
    async with alice.session.get(alice.url("/a/events")) as answer:
        for number in range(3):
            await world.eventually(lambda: world.upstream.feeds)
            world.upstream.feeds[-1].put_nowait(f"data: {number}\n\n".encode())
            async with asyncio.timeout(PATIENCE):
                assert await answer.content.readuntil(b"\n\n") == f"data: {number}\n\n".encode()
        world.upstream.feeds[-1].put_nowait(None)
