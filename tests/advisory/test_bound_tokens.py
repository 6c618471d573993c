"""Old attacks on proxies, tried on tokens that are bound to a key, and on those that name a resource."""

import json
from typing import Any

import pytest

from tests.support.dpop import proof, thumbprint
from tests.support.world import World

ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public"},
    {"path": "/optional/", "upstream": "app", "access": "optional"},
    {
        "path": "/tools",
        "upstream": "app",
        "access": "required",
        "unauthenticated": "reject",
        "resource": {},
        "bound_tokens": "dpop",
    },
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "reject"},
]
pytestmark = [pytest.mark.asyncio, pytest.mark.settings({"routes": ROUTES})]


@pytest.fixture
async def world(request, valkey_url, tmp_path):
    """A gateway that trusts no proxy."""
    marker = request.node.get_closest_marker("settings")
    async with World(valkey_url, tmp_path, **marker.args[0]) as world:
        yield world


def bound(world: World, **more: Any) -> str:
    return world.provider.mint("alice", **{"lifetime": 3600, "cnf": {"jkt": thumbprint()}, **more})


async def ask(world: World, path: str, headers: Any, method: str = "GET") -> tuple[int, str | None]:
    page = await world.browser().fetch(path, method=method, headers=headers)
    return page.status, json.loads(page.text)["reason"] if page.status >= 400 else None


@pytest.mark.parametrize(
    "told",
    [
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Original-URL": "/y", "X-Rewrite-URL": "/y"},
        {"X-Forwarded-Uri": "/y", "X-Forwarded-Prefix": "/y"},
    ],
)
async def test_cve_2026_33495_nobody_says_which_url_it_was(world: World, told: dict[str, str]):
    """CVE-2026-33495, CVE-2026-40575 [11.7]: a proof is for the URL that was asked for, whatever is told."""
    token = bound(world)
    for url in ("https://evil.example/x", world.base.replace("http:", "https:") + "/x", f"{world.base}/y"):
        made = {"Authorization": f"DPoP {token}", "DPoP": proof(token, url, world.clock())}
        assert await ask(world, "/x", made | told) == (401, "proof_invalid")
    made = {"Authorization": f"DPoP {token}", "DPoP": proof(token, f"{world.base}/x", world.clock())}
    assert await ask(world, "/x", made | told) == (200, None)


@pytest.mark.parametrize("named", ["DPoP", "Authorization", "dpop, authorization, close", "Client-Cert"])
async def test_cve_2024_45410_a_proof_cannot_be_taken_off(world: World, named: str):
    """CVE-2024-45410 [11.7]: Connection names what ends at us; what is judged, it does not take away."""
    token = bound(world)
    shown = {"Authorization": f"DPoP {token}", "Connection": named}
    assert await ask(world, "/x", shown) == (401, "proof_missing")
    good = shown | {"DPoP": proof(token, f"{world.base}/x", world.clock())}
    assert await ask(world, "/x", good) == (200, None)
    assert await ask(world, "/x", good) == (401, "proof_replayed")
    assert not {"DPoP", "Authorization"} & set(world.upstream.last().headers)


async def test_cve_2022_29226_what_is_no_token_is_nobody(world: World):
    """CVE-2022-29226 [11.7]: a scheme, a key and a good proof are no login."""
    for token in ("x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", world.provider.sign({"sub": "alice"})):
        shown = {
            "Authorization": f"DPoP {token}",
            "DPoP": proof(token, f"{world.base}/x", world.clock()),
        }
        assert (await ask(world, "/x", shown))[0] == 401
        assert (await ask(world, "/optional/x", shown))[0] == 401


async def test_cve_2021_32701_what_is_known_of_a_token_opens_no_other_route(world: World):
    """CVE-2021-32701 [11.7, 11.11]: audience and binding are judged by each route, however warm it is."""
    audience = f"{world.base}/tools"
    plain = world.provider.mint("alice", audience=["demo-api", audience], lifetime=3600)
    mine = bound(world, audience=audience)
    for _ in range(3):
        assert await ask(world, "/x", {"Authorization": f"Bearer {plain}"}) == (200, None)
        assert await ask(world, "/tools/x", {"Authorization": f"Bearer {plain}"}) == (401, "token_unbound")
        for path, answer in (("/tools/x", (200, None)), ("/x", (401, "token_audience"))):
            made = proof(mine, world.base + path, world.clock())
            assert await ask(world, path, {"Authorization": f"DPoP {mine}", "DPoP": made}) == answer


async def test_the_secret_of_a_proof_is_nowhere(world: World):
    """R16 [11.7]: neither token nor proof stands in a log, a page, a metric or an audit event."""
    token = bound(world)
    made = proof(token, f"{world.base}/other", world.clock())
    page = await world.browser().fetch("/x", headers={"Authorization": f"DPoP {token}", "DPoP": made})
    metrics = (await world.admin("GET", "/metrics")).text
    for text in (page.text, str(page.headers), json.dumps(world.lines), metrics):
        for secret in (token, made, *token.split("."), *made.split(".")):
            assert secret not in text
