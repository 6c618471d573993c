"""What upstreams get as Authorization: access tokens kept fresh, exchanged tokens, Basic credentials."""

import asyncio
import base64
import json
from typing import Any

import jwt
import pytest

from gateway.config.settings.root import Settings
from gateway.demo.faults import Canned
from gateway.demo.grants import EXCHANGE
from tests.e2e.test_api_keys import create
from tests.support.oauth2 import ServiceWorld
from tests.support.ports import free_port
from tests.support.world import Browser, World, merge

pytestmark = pytest.mark.asyncio

BASE = {"upstream": "app", "access": "required"}
ROUTES = [
    {**BASE, "path": "/token/", "authorization": "access_token"},
    {**BASE, "path": "/maybe/", "access": "optional", "authorization": "access_token"},
    {**BASE, "path": "/basic/", "authorization": {"basic": {"username": "email", "password": "p4ss"}}},
    {**BASE, "path": "/nobody/", "authorization": {"basic": {"username": "employee", "password": "p4ss"}}},
    {
        **BASE,
        "path": "/orders/",
        "authorization": {"exchange": {"audience": "orders-api", "scopes": ["openid"]}},
    },
    {**BASE, "path": "/billing/", "authorization": {"exchange": {"resource": "https://billing.example.com"}}},
    {**BASE, "path": "/unknown/", "authorization": {"exchange": {"audience": "unknown"}}},
    {**BASE, "path": "/", "unauthenticated": "login"},
]
ON = {"routes": ROUTES}
REDIS = {**ON, "session": {"mode": "redis"}}
EXCHANGES = f"token:{EXCHANGE}"
FORGED = {"Authorization": "Basic cm9vdDpyb290"}
modes = pytest.mark.parametrize(
    "mode",
    [
        pytest.param("cookie", marks=pytest.mark.settings(ON)),
        pytest.param("redis", marks=pytest.mark.settings(REDIS)),
    ],
)


def got(world: World) -> str:
    """Return the one Authorization field that the upstream got last."""
    (value,) = world.upstream.last().headers.getall("Authorization")
    return value


def claims(world: World) -> dict[str, Any]:
    """Return what the token says that the upstream got last."""
    scheme, _, token = got(world).partition(" ")
    assert scheme == "Bearer"
    return jwt.decode(token, options={"verify_signature": False})


async def asked(browser: Browser, path: str) -> None:
    """Ask as a script does, whatever it claims to be."""
    page = await browser.fetch(path, headers=FORGED)
    assert page.status == 200, page.text


async def another(world: World, **changes: Any) -> str:
    """Start another gateway on the same store; return where it listens."""
    port = free_port()
    more = {"listen": f"127.0.0.1:{port}", "admin": {"listen": f"127.0.0.1:{free_port()}"}, **changes}
    await world.start_gateway(Settings.model_validate(merge(world.config(), more)))
    return f"http://localhost:{port}"


async def ask_at(world: World, browser: Browser, origin: str, path: str) -> int:
    """Ask another gateway with a browser's cookies, as if a balancer had chosen it."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    host = world.base.removeprefix("http://")
    page = await world.browser().fetch(origin + path, headers={"Cookie": cookies, "Host": host})
    return page.status


@modes
async def test_the_access_token_is_kept_fresh(world: World, mode: str):
    """[11.9]: the session's own, renewed before it ends, and none that has ended; nobody else sees it."""
    browser = world.browser()
    await browser.login("/")
    tokens = set()
    for _ in range(4):
        await asked(browser, "/token/x")
        told = claims(world)
        assert (told["sub"], told["aud"]) == ("alice", "demo-api")
        assert told["exp"] > world.clock()
        tokens.add(got(world))
        world.clock.advance(61)
    assert len(tokens) == 4
    shown = json.dumps(world.lines) + str(browser.cookies())
    assert not any(token.partition(" ")[2] in shown for token in tokens)
    await asked(browser, "/x")
    assert "Authorization" not in world.upstream.last().headers


@modes
async def test_where_nobody_is_there_is_no_token(world: World, mode: str):
    """[11.9]: on optional routes; with a bearer token the upstream gets that one."""
    assert (await world.browser().fetch("/maybe/x", headers=FORGED)).status == 200
    assert "Authorization" not in world.upstream.last().headers
    bearer = f"Bearer {world.provider.mint('bob', 'api')}"
    for path in ("/token/x", "/maybe/x"):
        assert (await world.browser().fetch(path, headers={"Authorization": bearer})).status == 200
        assert got(world) == bearer
    assert (await world.browser().fetch("/token/x")).status == 401
    browser = world.browser()
    await browser.login("/")
    await asked(browser, "/maybe/x")
    assert claims(world)["sub"] == "alice"


@modes
async def test_sessions_from_before_are_renewed_first(world: World, mode: str):
    """[11.9]: one that began when no upstream was to get a token gets one by a refresh."""
    plain = [{**route, "authorization": "strip"} for route in ROUTES]
    world.gateway.reload(Settings.model_validate(merge(world.config(), {"routes": plain})))
    browser = world.browser()
    await browser.login("/")
    world.gateway.reload(Settings.model_validate(world.config()))
    await asked(browser, "/token/x")
    assert claims(world)["sub"] == "alice"
    assert world.provider.counts["token:refresh_token"] == 1
    await asked(browser, "/token/x")
    assert world.provider.counts["token:refresh_token"] == 1


@modes
async def test_a_session_that_outlives_its_token(world: World, mode: str):
    """[11.9]: without a refresh token the session goes on; an upstream that wants its token has a login."""
    world.provider.quirks.add("no-refresh-token")
    browser = world.browser()
    await browser.login("/token/")
    await asked(browser, "/token/x")
    world.clock.advance(61)
    await asked(browser, "/x")
    page = await browser.fetch("/token/x")
    assert (page.status, json.loads(page.text)["reason"]) == (401, "access_token_missing")
    assert "login_url" in json.loads(page.text)
    assert not page.set_cookies
    await asked(browser, "/maybe/x")
    assert "Authorization" not in world.upstream.last().headers
    assert "password" in (await browser.get("/token/x")).text


@pytest.mark.settings(ON)
async def test_basic_credentials(world: World):
    """[11.9]: made of claims; whoever lacks one is refused, and told nothing of the password."""
    browser = world.browser()
    await browser.login("/")
    await asked(browser, "/basic/x")
    assert got(world) == "Basic " + base64.b64encode(b"alice@example.com:p4ss").decode()
    page = await browser.fetch("/nobody/x", headers=FORGED)
    assert (page.status, json.loads(page.text)["reason"]) == (403, "claim_mismatch")
    assert "p4ss" not in page.text + json.dumps(world.lines)


@modes
async def test_a_token_for_the_upstream(world: World, mode: str):
    """[11.9]: exchanged once for many requests, at every gateway; each target has its own."""
    browser = world.browser()
    await browser.login("/")
    other = await another(world)
    await asyncio.gather(*(asked(browser, "/orders/x") for _ in range(20)))
    told = claims(world)
    assert (told["sub"], told["aud"], told["act"], told["scope"]) == (
        "alice",
        "orders-api",
        {"sub": "demo"},
        "openid",
    )
    first = got(world)
    assert await ask_at(world, browser, other, "/orders/y") == 200
    assert got(world) == first
    assert world.provider.counts[EXCHANGES] == 1
    await asked(browser, "/billing/x")
    assert claims(world)["aud"] == "https://billing.example.com"
    assert world.provider.counts[EXCHANGES] == 2
    assert len(world.audit("token_exchanged")) == 2
    metrics = (await world.admin("GET", "/metrics")).text
    assert 'gateway_issuer_calls_total{call="exchange",outcome="ok",provider="demo"} 2.0' in metrics
    shown = json.dumps(world.lines) + str(browser.cookies())
    assert first.partition(" ")[2] not in shown


@pytest.mark.settings(ON)
async def test_exchanged_tokens_are_renewed(world: World):
    """[11.9]: behind a request's back while one still holds; anew with a new access token."""
    world.provider.access_lifetime = 3600.0
    browser = world.browser()
    await browser.login("/")
    world.provider.access_lifetime = 60.0
    await asked(browser, "/orders/x")
    first = got(world)
    world.clock.advance(50)
    await asked(browser, "/orders/x")
    assert got(world) == first
    await world.eventually(lambda: world.provider.counts[EXCHANGES] == 2)

    for _ in range(200):
        await asked(browser, "/orders/x")
        if got(world) != first:
            break
        await asyncio.sleep(0.01)
    assert claims(world)["exp"] > world.clock() + 50
    assert world.provider.counts[EXCHANGES] == 2
    world.clock.advance(3600)
    await asked(browser, "/orders/x")
    assert claims(world)["exp"] > world.clock()


@pytest.mark.settings(ON)
async def test_a_bearer_token_is_exchanged_too(world: World):
    """[11.9]: as a session's; a token that the gateway refuses is never sent to be exchanged."""
    for lifetime, status in ((60, 200), (-600, 401)):
        token = world.provider.mint("bob", "openid api", lifetime=lifetime)
        page = await world.browser().fetch("/orders/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == status
    assert (claims(world)["sub"], claims(world)["aud"]) == ("bob", "orders-api")
    assert world.provider.counts[EXCHANGES] == 1


@pytest.mark.settings(ON)
async def test_what_the_provider_refuses(world: World):
    """[11.9]: a caller is refused for a moment without another call; what the operator must mend is 503."""
    browser = world.browser()
    await browser.login("/")
    world.provider.canned[EXCHANGES] = Canned(
        400, b'{"error": "invalid_request"}', {"Content-Type": "application/json"}
    )
    for _ in range(3):
        page = await browser.fetch("/orders/x")
        assert (page.status, json.loads(page.text)["reason"]) == (403, "exchange_refused")
    assert world.provider.counts[EXCHANGES] == 1
    (event,) = world.audit("token_exchange_refused")
    assert (event["subject"], event["error"]) == ("alice", "invalid_request")
    assert "You may not open this page" in (await browser.get("/orders/x")).text
    del world.provider.canned[EXCHANGES]
    page = await browser.fetch("/unknown/x")
    assert (page.status, json.loads(page.text)["reason"]) == (503, "issuer_misconfigured")
    world.clock.advance(11)
    await asked(browser, "/orders/x")


@pytest.mark.settings(ON)
async def test_a_provider_that_is_down(world: World):
    """[11.9]: what is exchanged holds on; else 503, calls are paused, and nobody is logged out."""
    browser = world.browser()
    await browser.login("/")
    await asked(browser, "/orders/x")
    world.provider.canned[EXCHANGES] = Canned(500, b"", {})
    await asked(browser, "/orders/x")
    for _ in range(4):
        page = await browser.fetch("/billing/x")
        assert page.status == 503
        assert int(page.headers["Retry-After"]) >= 1
        assert not page.set_cookies
    assert world.provider.counts[EXCHANGES] <= 3
    await asked(browser, "/x")
    del world.provider.canned[EXCHANGES]
    world.clock.advance(20)
    await asked(browser, "/billing/x")


@pytest.mark.settings(ON)
async def test_revocation_ends_what_was_exchanged(world: World):
    """[11.9]: nobody who is out gets to the upstream with what was exchanged before."""
    browser = world.browser()
    await browser.login("/")
    await asked(browser, "/orders/x")
    seen = len(world.upstream.seen)
    body = {"sub": "alice", "provider": "demo"}
    assert (await world.admin("POST", "/revoke", json=body)).status == 200
    assert (await browser.fetch("/orders/x")).status == 401
    assert (await browser.fetch("/token/x")).status == 401
    assert len(world.upstream.seen) == seen


@pytest.mark.settings(merge(ON, {"providers": {"demo": {"introspection": "json"}}}))
async def test_opaque_tokens_are_given_and_exchanged_as_others(world: World):
    """[11.6] [11.9]: a bearer's and a session's, which nobody but the provider can read."""
    world.provider.quirks.add("opaque-access-tokens")
    token = world.provider.mint("bob", "openid api")
    assert "." not in token
    headers = {"Authorization": f"Bearer {token}"}
    assert (await world.browser().fetch("/token/x", headers=headers)).status == 200
    assert got(world) == f"Bearer {token}"
    browser = world.browser()
    await browser.login("/")
    await asked(browser, "/token/x")
    own = got(world)
    assert "." not in own
    assert own != f"Bearer {token}"
    for caller, more in ((world.browser(), headers), (browser, {})):
        for _ in range(2):
            assert (await caller.fetch("/orders/x", headers=more)).status == 200
            assert got(world) not in (own, f"Bearer {token}")
    assert world.provider.counts[EXCHANGES] == 2


@pytest.mark.settings({"api_keys": {}, "routes": [{**each, "api_keys": True} for each in ROUTES]})
async def test_an_api_key_has_no_access_token(world: World):
    """[11.8] [11.9]: where the upstream is to get one it is refused, however it comes, and never given on."""
    key = await create(world)
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        for path in ("/token/x", "/orders/x"):
            page = await world.browser().fetch(path, headers=headers)
            assert (page.status, json.loads(page.text)["reason"]) == (401, "access_token_missing")
        assert (await world.browser().fetch("/x", headers=headers)).status == 200
        assert key not in str(world.upstream.last().headers)
    assert world.provider.counts[EXCHANGES] == 0


@pytest.mark.settings({})
@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_a_service_without_openid_connect(valkey_url, tmp_path, mode: str):
    """[11.4] [11.9]: an upstream gets the token for the service's own API, which only that can read."""
    routes = [{**BASE, "path": "/service/", "providers": ["service"], "authorization": "access_token"}]
    async with ServiceWorld(valkey_url, tmp_path, "github", session={"mode": mode}) as world:
        data = world.config()
        data["routes"] = [*routes, *data["routes"][1:]]
        world.gateway.reload(Settings.model_validate(data))
        browser = world.browser()
        await browser.login("/service/x", "alice")
        scheme, _, token = got(world).partition(" ")
        assert scheme == "Bearer"
        async with browser.session.get(
            f"{world.provider.base}/github/api/v3/user", headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert (await answer.json())["id"] == 1001
