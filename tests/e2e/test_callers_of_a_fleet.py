"""Every kind of caller at two workers of one gateway, in both session modes, with all that routes can ask."""

import asyncio
import json
import time

import aiohttp
import pytest

from tests.support.dpop import proof, thumbprint
from tests.support.fleet import Fleet

pytestmark = pytest.mark.asyncio
CONNECTIONS = 12
RESPONSE = {"X-Frame-Options": "DENY"}
ROUTES = [
    {"path": "/mcp", "upstream": "app", "access": "required", "unauthenticated": "reject"}
    | {"resource": {"scopes": ["tools"]}, "require": {"scopes": ["tools"]}},
    {"path": "/payments/", "upstream": "app", "access": "required", "bound_tokens": "dpop"},
    {"path": "/staff/", "upstream": "app", "access": "required", "require": "staff"},
    {"path": "/closed/", "upstream": "app", "access": "required", "require": {"not": "staff"}},
    {"path": "/told/", "upstream": "app", "access": "required", "identity_headers": {"X-Tenant": "tenant"}}
    | {"request_headers": {"X-From": "gateway"}, "response_headers": RESPONSE},
    {"path": "/", "upstream": "app", "access": "required"},
]
MORE = {
    "routes": ROUTES,
    "policies": {"staff": {"claims": {"tenant": {"matches": "corp[a-z]+"}}}},
    "providers": {"demo": {"claims": {"tenant": {"value": "corporate"}}}},
    "asked_by": ["caddy"],
    "trusted_proxies": ["127.0.0.2/32"],
}


@pytest.fixture(params=["cookie", "redis"])
async def fleet(request, valkey_url):
    """Two workers, and a provider that takes pushed requests."""
    mode = {"session": {"mode": request.param}, "redis": {"url": valkey_url, "prefix": f"{request.param}:"}}
    async with Fleet(2, **MORE, **mode) as fleet:
        fleet.provider.pushed_requests = "offered"
        yield fleet


async def everywhere(fleet: Fleet, path: str, browser=None, **headers: str) -> list:
    """Ask on several connections; return the answers."""
    browsers = [fleet.browser() if browser is None else browser.clone() for _ in range(CONNECTIONS)]
    return await asyncio.gather(*(each.fetch(path, headers=headers) for each in browsers))


async def decided(fleet: Fleet, path: str, cookies: dict[str, str]) -> list[int]:
    """Ask as a proxy does, on several connections; return what is answered."""
    headers = {
        "Host": "gateway.internal",
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": fleet.base.removeprefix("http://"),
        "X-Forwarded-Uri": path,
    }
    url = f"http://127.0.0.1:{fleet.public_port}/.gateway/decide/caddy"
    found = []
    for _ in range(CONNECTIONS):
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            found.append(answer.status)
    return found


async def test_whoever_comes_to_whichever_worker(fleet: Fleet):
    """[11.1] [11.4] [11.5] [11.7] [11.9] [11.10] [11.11]: each worker, in each mode, answers as the other."""
    browser = fleet.browser()
    assert (await browser.login()).status == 200
    assert fleet.provider.counts["par"] == 1
    assert {page.status for page in await everywhere(fleet, "/staff/x", browser)} == {200}
    refused = await everywhere(fleet, "/closed/x", browser)
    assert {(page.status, json.loads(page.text)["reason"]) for page in refused} == {(403, "policy_unmet")}
    told = await everywhere(fleet, "/told/x", browser)
    assert {(page.status, page.headers["X-Frame-Options"]) for page in told} == {(200, "DENY")}
    seen = fleet.upstream.last().headers
    assert (seen["X-From"], seen["X-Tenant"]) == ("gateway", "corporate")

    metadata = f"{fleet.base}/.well-known/oauth-protected-resource/mcp"
    for page in await everywhere(fleet, "/mcp"):
        assert page.status == 401
        assert f'resource_metadata="{metadata}"' in page.headers["WWW-Authenticate"]
    assert {page.status for page in await everywhere(fleet, metadata)} == {200}
    token = fleet.provider.mint("alice", scope="tools", aud=f"{fleet.base}/mcp")
    bearer = {"Authorization": f"Bearer {token}"}
    assert {page.status for page in await everywhere(fleet, "/mcp", **bearer)} == {200}
    assert {page.status for page in await everywhere(fleet, "/staff/x", **bearer)} == {401}

    token = fleet.provider.mint("alice", cnf={"jkt": thumbprint()})
    shown = {
        "Authorization": f"DPoP {token}",
        "DPoP": proof(token, f"{fleet.base}/payments/x", time.time()),
    }
    answers = await everywhere(fleet, "/payments/x", **shown)
    assert sorted(page.status for page in answers) == [200, *[401] * (CONNECTIONS - 1)]

    assert set(await decided(fleet, "/staff/x", browser.cookies())) == {200}
    assert set(await decided(fleet, "/closed/x", browser.cookies())) == {403}
    await fleet.eventually(lambda: len({line["worker"] for line in fleet.events("request")}) == 2)
