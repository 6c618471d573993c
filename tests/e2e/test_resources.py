"""Protected resources: what is published of a route, what refusals say, whose tokens count (RFC 9728)."""

import json
from typing import Any

import pytest

from tests.support.world import World

SERVER = {
    "path": "/mcp",
    "upstream": "app",
    "access": "required",
    "unauthenticated": "reject",
    "require": {"scopes": ["mcp:tools"]},
    "resource": {
        "scopes": ["mcp:tools", "mcp:read"],
        "name": "Example tools",
        "documentation": "https://docs.example.com/mcp",
    },
}
ADMIN = {
    **SERVER,
    "path": "/mcp/admin",
    "require": {"groups": ["admins"]},
    "resource": {"scopes": ["mcp:admin"]},
}
REST = {"path": "/", "upstream": "app", "access": "required"}
SETTINGS = {"routes": [SERVER, ADMIN, REST]}
WELL_KNOWN = "/.well-known/oauth-protected-resource"
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(SETTINGS)]


async def ask(world: World, token: str | None, path: str, **more: Any):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await world.browser().fetch(path, headers=headers, **more)


async def told(world: World, token: str | None, path: str):
    page = await ask(world, token, path)
    return (page.status, json.loads(page.text)["reason"]) if page.status >= 400 else (200, None)


async def test_the_metadata_of_a_resource(world: World):
    """[11.11] RFC 9728 sections 2 and 3: at the path of the resource, to anybody, whatever is presented."""
    for sent in ({}, {"Authorization": "Bearer garbage"}, {"Cookie": "gateway-1-session=x"}):
        page = await world.browser().fetch(f"{WELL_KNOWN}/mcp", headers=sent)
        assert page.status == 200
        assert page.headers["Content-Type"] == "application/json"
        assert page.headers["Access-Control-Allow-Origin"] == "*"
        assert not page.set_cookies
        assert json.loads(page.text) == {
            "resource": f"{world.base}/mcp",
            "authorization_servers": [world.provider.issuer],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["mcp:tools", "mcp:read"],
            "resource_name": "Example tools",
            "resource_documentation": "https://docs.example.com/mcp",
            "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "PS256", "RS256"],
        }
    page = await world.browser().fetch(f"{WELL_KNOWN}/mcp/admin")
    assert json.loads(page.text)["resource"] == f"{world.base}/mcp/admin"
    assert not world.upstream.seen


async def test_what_else_is_asked_of_the_metadata(world: World):
    """[11.11] Other methods, other paths, other hosts; nothing of it ever reaches an upstream."""
    head = await world.browser().fetch(f"{WELL_KNOWN}/mcp", method="HEAD")
    assert (head.status, head.text) == (200, "")
    options = await world.browser().fetch(
        f"{WELL_KNOWN}/mcp",
        method="OPTIONS",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "mcp-protocol-version",
        },
    )
    assert options.status == 204
    assert options.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in options.headers
    post = await world.browser().fetch(f"{WELL_KNOWN}/mcp", method="POST", data=b"x")
    assert (post.status, post.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    # the rest of the site is what it is: asking for the metadata changes nothing of it
    for _ in range(3):
        for path in (f"{WELL_KNOWN}/other", f"{WELL_KNOWN}", f"{WELL_KNOWN}/mcp/x", "/.well-known/x"):
            assert (await ask(world, None, path)).status == 401
        assert (await ask(world, None, f"{WELL_KNOWN}/mcp")).status == 200
    for path in (f"{WELL_KNOWN}/mcp/", f"{WELL_KNOWN}/MCP", f"{WELL_KNOWN}/mcp;x"):
        assert (await ask(world, None, path)).status in (400, 401, 404)
    page = await world.browser().fetch(f"{WELL_KNOWN}/mcp", headers={"Host": "elsewhere.example"})
    assert page.status == 421
    assert not world.upstream.seen


async def test_refusals_lead_to_it(world: World):
    """[11.11] RFC 9728 section 5.1: 401 and 403 say where the metadata is, and what to ask for."""
    at = f'resource_metadata="{world.base}{WELL_KNOWN}/mcp"'
    nobody = await ask(world, None, "/mcp")
    assert nobody.headers["WWW-Authenticate"] == f'Bearer realm="gateway", {at}, scope="mcp:tools mcp:read"'
    garbage = await ask(world, "garbage", "/mcp/x")
    assert (
        garbage.headers["WWW-Authenticate"]
        == 'Bearer realm="gateway", error="invalid_token", error_description="token_malformed", '
        f'{at}, scope="mcp:tools mcp:read"'
    )
    without = world.provider.mint("alice", "mcp:read", audience=f"{world.base}/mcp")
    lacking = await ask(world, without, "/mcp")
    assert lacking.status == 403
    assert (
        lacking.headers["WWW-Authenticate"]
        == 'Bearer realm="gateway", error="insufficient_scope", error_description="scope_missing", '
        f'{at}, scope="mcp:tools"'
    )
    bob = world.provider.mint("bob", audience=f"{world.base}/mcp/admin")
    other = await ask(world, bob, "/mcp/admin/x")
    assert other.status == 403
    assert (
        other.headers["WWW-Authenticate"]
        == f'Bearer realm="gateway", resource_metadata="{world.base}{WELL_KNOWN}/mcp/admin", '
        'scope="mcp:admin"'
    )
    elsewhere = await ask(world, "garbage", "/x")
    assert "resource_metadata" not in elsewhere.headers["WWW-Authenticate"]


async def test_tokens_have_to_name_it(world: World):
    """R24 [11.11]: a token for this very resource (RFC 8707) counts nowhere else, and no other one here."""
    scope = "mcp:tools"
    mine, admin = (
        world.provider.mint("alice", scope, audience=f"{world.base}{path}", lifetime=3600)
        for path in ("/mcp", "/mcp/admin")
    )
    general = world.provider.mint("alice", scope, lifetime=3600)
    both = world.provider.mint("alice", scope, audience=["demo-api", f"{world.base}/mcp"], lifetime=3600)
    refused = (401, "token_audience")
    for _ in range(3):
        assert await told(world, mine, "/mcp/x") == (200, None)
        assert await told(world, mine, "/mcp/admin") == refused
        assert await told(world, mine, "/x") == refused
        assert await told(world, admin, "/mcp/admin") == (200, None)
        assert await told(world, admin, "/mcp") == refused
        assert await told(world, general, "/mcp") == refused
        assert await told(world, general, "/x") == (200, None)
        assert await told(world, both, "/mcp") == (200, None)
        assert await told(world, both, "/x") == (200, None)
        assert await told(world, both, "/mcp/admin") == refused
    for audience in (
        "",
        [],
        f"{world.base}/mcp/",
        f"{world.base}/MCP",
        world.base,
        f"{world.base}/mcpx",
        [7],
    ):
        token = world.provider.mint("alice", scope, audience=audience)
        assert await told(world, token, "/mcp") == refused, audience
    assert "Authorization" not in world.upstream.last().headers


@pytest.mark.settings({**SETTINGS, "providers": {"demo": {"introspection": "json"}}})
async def test_opaque_tokens_have_to_name_it(world: World):
    """R24 [11.6, 11.11]: by what the provider says of them; what one route learned opens no other."""
    world.provider.quirks.add("opaque-access-tokens")
    mine = world.provider.mint("alice", "mcp:tools", audience=f"{world.base}/mcp")
    general = world.provider.mint("alice", "mcp:tools")
    for _ in range(2):
        assert await told(world, mine, "/mcp") == (200, None)
        assert await told(world, mine, "/x") == (401, "token_audience")
        assert await told(world, general, "/x") == (200, None)
        assert await told(world, general, "/mcp") == (401, "token_audience")


async def test_r44_revoked_at_once(world: World):
    """R44 [11.11]: the denylist judges them as any other."""
    token = world.provider.mint("alice", "mcp:tools", audience=f"{world.base}/mcp", jti="one")
    assert await told(world, token, "/mcp") == (200, None)
    assert (await world.admin("POST", "/revoke", json={"jti": "one"})).status == 200
    assert await told(world, token, "/mcp") == (401, "revoked")
