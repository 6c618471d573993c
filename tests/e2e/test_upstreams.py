"""Upstreams and routes as configured, through a whole gateway."""

import asyncio

import aiohttp
import pytest

from gateway.config.settings.root import Settings
from tests.support.ports import free_port
from tests.support.world import World


@pytest.mark.settings(
    {
        "upstreams": {"app": {"host": "rewrite", "response_timeout": "1h", "connect_timeout": "200ms"}},
        "routes": [
            {
                "path": "/old/",
                "upstream": "app",
                "access": "public",
                "replace_prefix": "/new/",
                "timeout": "100ms",
            }
        ],
    }
)
async def test_a_route_s_prefix_and_time_out(world):
    """The upstream sees its own Host and another path; a route's time-out ends a wait, others go on."""
    browser = world.browser()
    page = await browser.fetch("/old/x?y=1")
    assert (page.status, page.text) == (200, "hello nobody GET /new/x?y=1 0")
    headers = world.upstream.last().headers
    assert headers["Host"] == f"127.0.0.1:{world.upstream.port}"
    assert headers["X-Forwarded-Host"] == f"localhost:{world.public_port}"
    assert headers["X-Forwarded-Prefix"] == "/old"
    world.upstream.hold = asyncio.Event()
    assert (await browser.fetch("/old/x")).status == 504
    world.upstream.hold.set()


@pytest.mark.settings({"upstreams": {"app": {"servers": ["http://127.0.0.1:1", "unix:/nowhere/app.sock"]}}})
async def test_nobody_is_there(world):
    """502, and 503 once nobody is tried any more, with Retry-After; and the figures of each server."""
    browser = world.browser()
    for turn in range(7):
        page = await browser.fetch("/public/x")
        assert page.status == (502 if turn < 5 else 503)
        assert int(page.headers["Retry-After"]) >= 1
        assert page.headers["Content-Type"].startswith("application/problem+json")
    text = world.gateway.metrics.render()[0].decode()
    assert 'gateway_http_upstream_server_breaker{server="0",upstream="app"} 1.0' in text
    assert 'gateway_http_upstream_server_healthy{server="1",upstream="app"} 1.0' in text


async def test_a_gateway_that_is_its_own_upstream(valkey_url, tmp_path):
    """[3.13]: the request ends with 508 at the fifth pass, again and again; what is no circle goes on."""
    async with World(valkey_url, tmp_path) as world:
        config = world.config()
        config["listen"] = f"127.0.0.1:{free_port()}"
        config["public_url"] = [f"http://{config['listen']}"]
        config["upstreams"]["itself"] = {"servers": config["public_url"]}
        open_to = {"upstream": "itself", "access": "public"}
        config["routes"] = [{"path": "/circle/", **open_to}, *config["routes"]]
        gateway = await world.start_gateway(Settings.model_validate(config))
        async with aiohttp.ClientSession() as session:
            for number in range(3):
                async with session.get(f"{config['public_url'][0]}/circle/{number}") as answer:
                    assert answer.status == 508
                    assert "loop_detected" in await answer.text()
            async with session.get(f"{config['public_url'][0]}/public/x") as answer:
                assert answer.status == 200
        assert gateway.server.in_flight == 0
        passed = [line for line in world.audit("request") if line.get("path") == "/circle/1"]
        assert len(passed) == 5
