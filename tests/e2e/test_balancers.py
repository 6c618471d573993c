"""A whole gateway that a balancer asks whether it serves."""

import asyncio

import pytest

from gateway.config.settings.root import Settings
from tests.support.world import World


@pytest.fixture
async def world(valkey_url, tmp_path):
    """A gateway whose every route needs a login."""
    async with World(valkey_url, tmp_path, health_path="/healthz") as world:
        yield world


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


async def test_the_public_listener_tells_balancers(world):
    """[3.8]: 200 without login, Host or route; after a reload without it the path is nobody's."""
    for data in (
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n",
    ):
        assert (await ask(world.public_port, data)).startswith(b"HTTP/1.1 200 OK\r\n")
    assert not [line for line in world.lines if line.get("path") == "/healthz"]
    config = world.config()
    del config["health_path"]
    world.gateway.reload(Settings.model_validate(config))
    answer = await ask(world.public_port, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_gateway_that_would_refuse_everything_says_so(valkey_url, tmp_path):
    """[3.8], R87: what it tells is what /readyz tells."""
    async with World(valkey_url, tmp_path, health_path="/healthz") as world:
        world.gateway.denylist.synchronised_at = None
        answer = await ask(world.public_port, b"GET /healthz HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
