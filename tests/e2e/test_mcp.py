"""Agents in front of the gateway, tools behind it: both of them the official SDK (Model Context Protocol)."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from mcp import Client
from mcp.client.sse import sse_client

from tests.support.certificates import Authority
from tests.support.mcp_parts import CALLBACK, Agent, Person, ToolServer, serve
from tests.support.world import World

pytestmark = pytest.mark.asyncio
RULES = {"access": "required", "unauthenticated": "reject"}


def text_of(result: Any) -> str:
    return result.content[0].text


class Tools(World):
    """A world with a server of tools."""

    tools: ToolServer


@pytest.fixture
async def world(request: pytest.FixtureRequest, valkey_url: str, tmp_path: Path) -> AsyncIterator[Tools]:
    """Tools at /mcp over Streamable HTTP, and at /old/sse, for who has the scopes of the parameter."""
    require = {"scopes": getattr(request, "param", ["api"])}
    tools = ToolServer()
    old = tools.mcp.sse_app(sse_path="/old/sse", message_path="/old/messages/")
    async with serve(tools.mcp.streamable_http_app()) as new_url, serve(old) as old_url:
        routes = [
            {**RULES, "path": path, "upstream": name, "require": require, "resource": {"scopes": ["api"]}}
            for path, name in (("/mcp", "tools"), ("/old", "old"))
        ]
        upstreams = {"tools": {"servers": [new_url]}, "old": {"servers": [old_url]}}
        async with Tools(valkey_url, tmp_path, routes=routes, upstreams=upstreams) as world:
            world.tools = tools
            world.provider.registered.resources |= {f"{world.base}/mcp", f"{world.base}/old"}
            yield world
            tools.go_on.set()


async def test_an_agent_finds_its_way(world: Tools):
    """[11.11] Discovery, registration, login and a tool call, and never a token for anybody else."""
    agent = Agent(f"{world.base}/mcp")
    async with Client(agent.transport()) as client:
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == {"whoami", "wait"}
        assert text_of(await client.call_tool("whoami", {})) == "alice"
    (asked,) = agent.person.asked
    fields = {name: values[0] for name, values in parse_qs(urlsplit(asked).query).items()}
    assert fields["resource"] == f"{world.base}/mcp"
    assert fields["scope"] == "api offline_access"
    assert fields["code_challenge_method"] == "S256"
    assert world.provider.counts["register"] == 1
    seen = world.tools.headers[-1]
    assert "authorization" not in seen
    assert seen["x-forwarded-email"] == "alice@example.com"
    token = agent.storage.given[0].access_token
    claims = world.provider.read_access_token(token)
    assert claims is not None
    assert claims["aud"] == f"{world.base}/mcp"
    # the token that it has is for these tools alone
    page = await world.browser().fetch("/old/sse", headers={"Authorization": f"Bearer {token}"})
    assert (page.status, json.loads(page.text)["reason"]) == (401, "token_audience")
    assert token not in json.dumps(world.lines)


async def test_over_the_older_transport(world: Tools):
    """[11.11] SSE: a stream for the answers, and requests beside it; each of them is judged."""
    agent = Agent(f"{world.base}/old/sse", Person("bob"))
    async with Client(sse_client(agent.url, auth=agent.auth), mode="legacy") as client:
        assert text_of(await client.call_tool("whoami", {})) == "bob"
    (asked,) = agent.person.asked
    assert parse_qs(urlsplit(asked).query)["resource"] == [f"{world.base}/old"]


async def test_a_client_that_is_known_by_its_url(world: Tools, tmp_path: Path):
    """[11.11] A client id metadata document instead of a registration."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    document: dict[str, Any] = {}
    app = web.Application()

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(document)

    app.router.add_get("/agent.json", tell)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    await site.start()
    try:
        url = f"https://localhost:{runner.addresses[0][1]}/agent.json"
        document |= {
            "client_id": url,
            "client_name": "Agent",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
        }
        world.provider.registered.trusted = authority.trusting()
        agent = Agent(f"{world.base}/mcp", client_metadata_url=url)
        async with Client(agent.transport()) as client:
            assert text_of(await client.call_tool("whoami", {})) == "alice"
        assert agent.storage.client is not None
        assert agent.storage.client.client_id == url
        assert not world.provider.counts["register"]
    finally:
        await runner.cleanup()


async def test_refresh(world: Tools):
    """[11.11] A token that is over is renewed by the client, and nobody has to log in again."""
    world.provider.access_lifetime = 1.0
    agent = Agent(f"{world.base}/mcp")
    async with Client(agent.transport()) as client:
        assert text_of(await client.call_tool("whoami", {})) == "alice"
        first = agent.storage.given[-1].access_token
        await asyncio.sleep(1.1)
        assert text_of(await client.call_tool("whoami", {})) == "alice"
    assert len(agent.person.asked) == 1
    assert world.provider.counts["token:refresh_token"] >= 1
    renewed = agent.storage.given[-1].access_token
    assert renewed != first
    claims = world.provider.read_access_token(renewed)
    assert claims is None or claims["aud"] == f"{world.base}/mcp"


@pytest.mark.parametrize("world", [["api", "profile"]], indirect=True)
async def test_a_scope_more(world: Tools):
    """[11.11] A 403 says which scope is lacking, and the client asks for it beside what it has."""
    agent = Agent(f"{world.base}/mcp")
    async with Client(agent.transport()) as client:
        assert text_of(await client.call_tool("whoami", {})) == "alice"
    scopes = [parse_qs(urlsplit(url).query)["scope"][0].split() for url in agent.person.asked]
    assert "profile" not in scopes[0]
    assert {"api", "profile"} <= set(scopes[1])
    assert len(scopes) == 2


@pytest.mark.parametrize("transport", ["streamable", "sse"])
async def test_r49_revoked_in_the_middle_of_a_stream(world: Tools, transport: str):
    """R49 [11.11]: the stream ends in the same moment, no call goes on, and a login leads back in."""
    if transport == "sse":
        agent = Agent(f"{world.base}/old/sse")
        client = Client(sse_client(agent.url, auth=agent.auth), mode="legacy")
    else:
        agent = Agent(f"{world.base}/mcp")
        client = Client(agent.transport())
    progress: list[float] = []

    async def note(done: float, *_: object) -> None:
        progress.append(done)

    async def work() -> None:
        async with client as connected:
            assert text_of(await connected.call_tool("whoami", {})) == "alice"
            await connected.call_tool("wait", {}, read_timeout_seconds=15, progress_callback=note)

    task = asyncio.create_task(work())
    await world.eventually(lambda: len(progress) > 2 or task.done())
    assert not task.done()
    assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    await world.eventually(lambda: world.audit("stream_ended"))
    assert world.audit("stream_ended")[0]["reason"] == "revoked"
    held = agent.storage.given[-1].access_token
    page = await world.browser().fetch(urlsplit(agent.url).path, headers={"Authorization": f"Bearer {held}"})
    assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.clock.advance(40)
    again = Agent(f"{world.base}/mcp")
    async with Client(again.transport()) as connected:
        assert text_of(await connected.call_tool("whoami", {})) == "alice"
