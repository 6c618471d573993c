"""Tokens that are bound to a key: each request with its own proof, each proof once in the whole fleet."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientError
from multidict import CIMultiDict

from gateway.config.settings.root import Settings
from tests.support.dpop import ath, proof, thumbprint
from tests.support.mcp_parts import CALLBACK, Person
from tests.support.ports import free_port
from tests.support.store import ValkeyServer
from tests.support.world import World, merge

ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public", "authorization": "pass"},
    {"path": "/passed/", "upstream": "app", "access": "required", "authorization": "pass"},
    {"path": "/own/", "upstream": "app", "access": "required", "authorization": "access_token"},
    {"path": "/optional/", "upstream": "app", "access": "optional"},
    {"path": "/dpop/", "upstream": "app", "access": "required", "bound_tokens": "dpop"},
    {"path": "/bound/", "upstream": "app", "access": "required", "bound_tokens": "required"},
    {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
    {"path": "/raw/", "upstream": "app", "access": "required", "raw_path": True},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "reject"},
]
SETTINGS = {"routes": ROUTES}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(SETTINGS)]


def bound(world: World, user: str = "alice", **more: Any) -> str:
    return world.provider.mint(user, **{"lifetime": 3600, "cnf": {"jkt": thumbprint()}, **more})


def shown(world: World, token: str, path: str = "/x", *, base: str = "", **more: Any) -> dict[str, str]:
    url = (base or world.base) + path
    return {"Authorization": f"DPoP {token}", "DPoP": proof(token, url, world.clock(), **more)}


async def ask(world: World, headers: Any, path: str = "/x", *, method: str = "GET", **more: Any):
    page = await world.browser().fetch(path, method=method, headers=headers, **more)
    return (page.status, json.loads(page.text)["reason"]) if page.status >= 400 else (200, None)


async def test_each_request_with_its_own_proof(world: World):
    """[11.7] Again and again, by any method; the upstream sees neither token nor proof."""
    token = bound(world)
    for method in ("GET", "POST", "GET"):
        assert await ask(world, shown(world, token, method=method), method=method) == (200, None)
    assert world.upstream.last().headers["X-Forwarded-User"] == "alice"
    assert not {"Authorization", "DPoP"} & set(world.upstream.last().headers)
    assert token not in json.dumps(world.lines)


async def test_a_bound_token_is_no_bearer_token(world: World):
    """[11.7] RFC 9449 section 7.2: without a proof, or by the wrong scheme, however often it was proven."""
    token = bound(world)
    good = shown(world, token)
    assert await ask(world, good) == (200, None)
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"Bearer {token}", "DPoP": shown(world, token)["DPoP"]},
    ):
        for path in ("/x", "/optional/x", "/dpop/x"):
            assert await ask(world, headers, path) == (401, "proof_missing")
    page = await world.browser().fetch("/x", headers={"Authorization": f"Bearer {token}"})
    challenge = page.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP realm="gateway", error="invalid_token"')
    assert 'algs="ES256 ' in challenge


async def test_a_proof_of_something_else(world: World):
    """[11.7] Another method, URL, token or key; an old one; two of them."""
    token, other = bound(world), bound(world, jti="other")
    for more in ({"method": "POST"}, {"name": "thief"}, {"ath": ...}, {"htu": "http://elsewhere.example/x"}):
        assert await ask(world, shown(world, token, **more)) == (401, "proof_invalid")
    swapped = {"Authorization": f"DPoP {token}", "DPoP": shown(world, other)["DPoP"]}
    assert await ask(world, swapped) == (401, "proof_invalid")
    assert await ask(world, shown(world, token, iat=int(world.clock()) - 61)) == (401, "proof_expired")
    twice = CIMultiDict([*shown(world, token).items(), ("DPoP", shown(world, token)["DPoP"])])
    answer = await world.browser().session.get(f"{world.base}/x", headers=twice)
    assert (answer.status, (await answer.json(content_type=None))["reason"]) == (401, "proof_invalid")
    page = await world.browser().fetch("/x", headers=shown(world, token, method="POST"))
    assert 'error="invalid_dpop_proof"' in page.headers["WWW-Authenticate"]
    assert await ask(world, shown(world, token)) == (200, None)


async def test_a_proof_needs_a_bound_token(world: World):
    """[11.7] RFC 9449 section 7.1: a bearer token beside somebody's proof is no bound token."""
    token = world.provider.mint("alice")
    assert await ask(world, shown(world, token)) == (401, "token_unbound")
    assert await ask(world, {"Authorization": f"Bearer {token}"}) == (200, None)
    assert await ask(world, shown(world, token)) == (401, "token_unbound")


async def test_a_route_may_ask_for_bound_tokens(world: World):
    """[11.7] What was learned of a token elsewhere lets it in nowhere else."""
    token = world.provider.mint("alice")
    bearer = {"Authorization": f"Bearer {token}"}
    for _ in range(2):
        assert await ask(world, bearer) == (200, None)
        assert await ask(world, bearer, "/dpop/x") == (401, "token_unbound")
        assert await ask(world, bearer, "/bound/x") == (401, "token_unbound")
    for path in ("/dpop/x", "/bound/x", "/x"):
        assert await ask(world, shown(world, bound(world), path), path) == (200, None)
    by_certificate = world.provider.mint("alice", cnf={"x5t#S256": thumbprint()})
    page = await world.browser().fetch("/dpop/x", headers={"Authorization": f"Bearer {by_certificate}"})
    assert (page.status, json.loads(page.text)["reason"]) == (401, "token_unbound")
    nobody = await world.browser().fetch("/dpop/x")
    assert nobody.headers["WWW-Authenticate"].startswith('DPoP realm="gateway", algs="')


async def test_a_proof_counts_once_in_the_whole_fleet(world: World):
    """R51 [11.7]: whichever gateway it comes to, and though all of them get it at once."""
    data = merge(world.config(), {"listen": f"127.0.0.1:{(port := free_port())}", "admin": {"listen": ""}})
    data["admin"]["listen"] = f"127.0.0.1:{free_port()}"
    await world.start_gateway(Settings.model_validate(data))
    elsewhere = {"Host": f"localhost:{world.public_port}"}
    token = bound(world)
    once = shown(world, token)
    assert await ask(world, once) == (200, None)
    assert await ask(world, once) == (401, "proof_replayed")
    assert await ask(world, once | elsewhere, f"http://localhost:{port}/x") == (401, "proof_replayed")
    raced = shown(world, token)
    answers = await asyncio.gather(
        *(
            ask(world, raced | elsewhere, f"http://localhost:{each}/x")
            for each in (port, world.public_port) * 8
        )
    )
    assert sorted(answers, key=str) == [(200, None), *[(401, "proof_replayed")] * 15]
    # a proof for something else is another one, whatever it is called; the same name is the same
    named = {"jti": "mine"}
    assert await ask(world, shown(world, token, **named)) == (200, None)
    assert await ask(world, shown(world, token, "/y", **named), "/y") == (401, "proof_replayed")


async def test_refused_elsewhere_is_not_used_up(world: World):
    """[11.7] Garbage costs no place in the store; a revoked token, an unmet policy are told as ever."""
    token = bound(world, "bob")
    refused = shown(world, token, "/admin/x")
    for _ in range(2):
        # nginx asks a second time what its client is to be told
        assert await ask(world, refused, "/admin/x") == (403, "group_missing")
    assert (await world.admin("POST", "/revoke", json={"sub": "bob"})).status == 200
    assert await ask(world, shown(world, token)) == (401, "revoked")


@pytest.mark.settings(
    {
        **SETTINGS,
        "public_url": ["https://api.example.com"],
        "trusted_proxies": ["127.0.0.1/32"],
        "forwarding": {"host": "X-Forwarded-Host"},
    }
)
async def test_the_url_is_as_the_client_sees_it(world: World):
    """R64 [11.7]: by the site and what trusted proxies tell, never by the hop to here."""
    token, base = bound(world), "https://api.example.com"
    told = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "api.example.com",
    }
    assert await ask(world, shown(world, token, base=base) | told) == (200, None)
    assert await ask(world, shown(world, token) | told) == (401, "proof_invalid")
    other = told | {"X-Forwarded-Host": "evil.example"}
    assert (await ask(world, shown(world, token, base=base) | other))[0] == 421
    default_port = told | {"X-Forwarded-Host": "api.example.com:443"}
    assert await ask(world, shown(world, token, base=base) | default_port) == (200, None)


async def test_paths_of_every_kind(world: World):
    """R56 [11.7]: with a query, with escapes, and where it goes on as it came."""
    token = bound(world)
    assert await ask(world, shown(world, token, "/x"), "/x?y=z") == (200, None)
    assert await ask(world, shown(world, token, "/a%62"), "/%61b") == (200, None)
    assert await ask(world, shown(world, token, "/raw/a%2Fb"), "/raw/a%2Fb") == (200, None)
    assert await ask(world, shown(world, token, "/raw/a/b"), "/raw/a%2Fb") == (401, "proof_invalid")


async def test_where_the_credential_goes_on(world: World):
    """R54 [11.7]: token and proof pass together, or neither does."""
    token = bound(world)
    assert await ask(world, shown(world, token, "/passed/x"), "/passed/x") == (200, None)
    assert {"Authorization", "DPoP"} <= set(world.upstream.last().headers)
    assert await ask(world, shown(world, token, "/public/x"), "/public/x") == (200, None)
    assert {"Authorization", "DPoP"} <= set(world.upstream.last().headers)
    assert await ask(world, {"DPoP": "x"}, "/optional/x") == (200, None)
    assert "DPoP" not in world.upstream.last().headers
    # an upstream that is to get the caller's token could not use it
    assert await ask(world, shown(world, token, "/own/x"), "/own/x") == (401, "access_token_missing")


async def test_with_the_store_away(tmp_path):
    """R61 [11.7]: whether a proof is new nobody can say then, so it is refused; bearer tokens go on."""
    store = await asyncio.to_thread(ValkeyServer(port=free_port()).start)
    try:
        async with World(store.url, tmp_path, **SETTINGS, denylist={"max_staleness": "60s"}) as world:
            token, bearer = bound(world), {"Authorization": f"Bearer {world.provider.mint('alice')}"}
            assert await ask(world, shown(world, token)) == (200, None)
            await asyncio.to_thread(store.kill)
            assert await ask(world, shown(world, token)) == (503, "store_unavailable")
            assert await ask(world, shown(world, token, method="PUT")) == (401, "proof_invalid")
            assert await ask(world, bearer) == (200, None)
            await asyncio.to_thread(store.start)
            await world.eventually(lambda: world.gateway.store.available)
            assert await ask(world, shown(world, token)) == (200, None)
    finally:
        await asyncio.to_thread(store.close)


@pytest.mark.settings({**SETTINGS, "dpop": {"nonce": True, "nonce_lifetime": "60s"}})
async def test_nonces(world: World):
    """[11.7] RFC 9449 section 9: told with the refusal, the same for the fleet, and good for a while."""
    token = bound(world)
    page = await world.browser().fetch("/x", headers=shown(world, token))
    assert (page.status, json.loads(page.text)["reason"]) == (401, "proof_nonce")
    assert 'error="use_dpop_nonce"' in page.headers["WWW-Authenticate"]
    nonce = page.headers["DPoP-Nonce"]
    assert await ask(world, shown(world, token, nonce=nonce)) == (200, None)
    assert await ask(world, shown(world, token, nonce=f"{nonce}x")) == (401, "proof_nonce")
    page = await world.browser().fetch("/x", headers=shown(world, token, nonce=nonce))
    assert "DPoP-Nonce" not in page.headers
    world.clock.advance(60)
    page = await world.browser().fetch("/x", headers=shown(world, token, nonce=nonce))
    # RFC 9449 section 8.2: told before it is needed
    assert (page.status, page.headers["DPoP-Nonce"] != nonce) == (200, True)
    assert await ask(world, shown(world, token, nonce=page.headers["DPoP-Nonce"])) == (200, None)
    lacking = await world.browser().fetch("/x", headers=shown(world, token, nonce=nonce, method="PUT"))
    assert (lacking.status, lacking.headers["DPoP-Nonce"]) == (401, page.headers["DPoP-Nonce"])
    world.clock.advance(200)
    assert await ask(world, shown(world, token, nonce=nonce)) == (401, "proof_nonce")


@pytest.mark.settings({**SETTINGS, "providers": {"demo": {"introspection": "json"}}})
async def test_opaque_tokens_are_bound_too(world: World):
    """[11.6, 11.7] RFC 9449 section 6.2: by what the provider says of them, each time."""
    world.provider.quirks.add("opaque-access-tokens")
    token = bound(world)
    for _ in range(2):
        assert await ask(world, shown(world, token)) == (200, None)
        assert await ask(world, {"Authorization": f"Bearer {token}"}) == (401, "proof_missing")
    world.provider.alter["introspection"] = lambda found: {**found, "token_type": "DPoP"}
    named = bound(world)
    assert await ask(world, shown(world, named)) == (200, None)
    del world.provider.alter["introspection"]
    plain = world.provider.mint("alice")
    for _ in range(2):
        assert await ask(world, {"Authorization": f"Bearer {plain}"}) == (200, None)
        assert await ask(world, {"Authorization": f"Bearer {plain}"}, "/dpop/x") == (401, "token_unbound")


@pytest.mark.parametrize("value", ["DPoP", "DPoP ", "DPoP x", "dpop a.b.c", f"DPoP {'x' * 17000}"])
async def test_garbage(world: World, value: str):
    """R29 [11.7]: 401, or what no head may be."""
    page = await world.browser().fetch("/x", headers={"Authorization": value, "DPoP": "garbage"})
    assert page.status in (400, 401)


async def test_streams_end_with_their_token(world: World):
    """R49 [11.7]: what a proof let in is watched as any other."""
    token = bound(world)
    path = "/x/events"
    async with world.browser().session.get(world.base + path, headers=shown(world, token, path)) as answer:
        await world.eventually(lambda: world.upstream.feeds)
        assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
        with pytest.raises(ClientError):
            await asyncio.wait_for(answer.content.read(), 5)


FOUND = {"path": "/tools", "upstream": "app", "access": "required", "unauthenticated": "reject"}


@pytest.mark.settings({"routes": [{**FOUND, "resource": {"scopes": ["api"]}, "bound_tokens": "dpop"}]})
async def test_the_whole_way(world: World):
    """[11.7, 11.11] Found, registered, logged in, bound to a key, called, refreshed."""
    resource = f"{world.base}/tools"
    world.provider.registered.resources.add(resource)
    nobody = await world.browser().fetch("/tools")
    assert nobody.headers["WWW-Authenticate"].startswith('DPoP realm="gateway", resource_metadata="')
    told = json.loads((await world.browser().fetch("/.well-known/oauth-protected-resource/tools")).text)
    assert told["dpop_bound_access_tokens_required"] is True
    (issuer,) = told["authorization_servers"]
    session = world.browser().session
    server = await (await session.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
    metadata = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    client = await (await session.post(server["registration_endpoint"], json=metadata)).json()
    verifier = "v" * 43
    asked = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": CALLBACK,
        "scope": "api offline_access",
        "state": "s",
        "code_challenge": ath(verifier),
        "code_challenge_method": "S256",
        "resource": resource,
    }
    person = Person()
    await person.open(f"{server['authorization_endpoint']}?{urlencode(asked)}")
    form = {
        "grant_type": "authorization_code",
        "client_id": client["client_id"],
        "code": (await person.come_back()).code,
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
    }

    async def fetch_token(data: dict[str, str]) -> dict[str, Any]:
        made = proof("", server["token_endpoint"], world.clock(), method="POST")
        async with session.post(server["token_endpoint"], data=data, headers={"DPoP": made}) as answer:
            return await answer.json()

    tokens = await fetch_token(form)
    assert tokens["token_type"] == "DPoP"
    for _ in range(2):
        assert await ask(world, shown(world, tokens["access_token"], "/tools"), "/tools") == (200, None)
        stolen = shown(world, tokens["access_token"], "/tools", name="thief")
        assert await ask(world, stolen, "/tools") == (401, "proof_invalid")
        form = {
            "grant_type": "refresh_token",
            "client_id": client["client_id"],
            "refresh_token": tokens["refresh_token"],
        }
        tokens = await fetch_token(form)
