"""Login, refresh and logout against a provider that this project did not write: canaille."""

import html
import json
import re
from datetime import UTC, datetime

import aiohttp
import pytest
from yarl import URL

from gateway.config.settings.root import Settings
from tests.support.client_keys import pem
from tests.support.world import World, merge

pytestmark = pytest.mark.asyncio

LIFETIME = 40


@pytest.fixture(scope="session")
def iam_configuration(iam_configuration):
    """Canaille with access tokens that live shortly."""
    return {
        **iam_configuration,
        "OAUTH2_TOKEN_EXPIRES_IN": {"authorization_code": LIFETIME, "refresh_token": LIFETIME},
    }


async def registered(world: World, issuer: str, **more: object) -> dict[str, object]:
    """Register the gateway at canaille by RFC 7591, and return its settings there."""
    registration = {
        "client_name": "token gateway",
        "redirect_uris": [f"{world.base}/.gateway/callback"],
        "post_logout_redirect_uris": [f"{world.base}/.gateway/logged-out"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "openid profile email groups",
        "contacts": ["operator@example.com"],
        **more,
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{issuer}/oauth/register", json=registration) as answer,
    ):
        assert answer.status == 201, await answer.text()
        client = await answer.json()
    return {
        "issuer": issuer,
        "client_id": client["client_id"],
        "client_secret": client.get("client_secret"),
        "scopes": ["openid", "profile", "email", "groups"],
        "audiences": [client["client_id"]],
    }


@pytest.fixture
async def canaille_world(iam_server, valkey_url, tmp_path):
    """A gateway whose one provider is canaille, which knows it by its secret."""
    world, issuer = World(valkey_url, tmp_path), iam_server.url.rstrip("/")
    known = await registered(world, issuer, token_endpoint_auth_method="client_secret_basic")
    world.override = {"providers": {"demo": known}}
    async with world:
        yield world


@pytest.fixture
async def signing_world(iam_server, valkey_url, tmp_path):
    """The same, but canaille knows it by the keys that it publishes."""
    world, issuer = World(valkey_url, tmp_path), iam_server.url.rstrip("/")
    known = await registered(
        world,
        issuer,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="ES256",
        jwks_uri=f"{world.base}/.gateway/jwks/demo",
    )
    signs = {
        "client_secret": None,
        "client_auth": "private_key_jwt",
        "assertion_audience": "endpoint",
        "signing_keys": [pem()],
    }
    world.override = {"providers": {"demo": known | signs}}
    async with world:
        yield world


async def test_r15_it_finds_our_keys_and_takes_our_signatures(signing_world: World, iam_server):
    """R15 [11.5]: an implementation of RFC 7523 that is not ours, for code and refresh."""
    world = signing_world
    user = iam_server.random_user(user_name="hamilton", emails=["hamilton@example.com"])
    iam_server.login(user)
    iam_server.consent(user)
    browser = world.browser()
    try:
        page = await browser.get("/wanted")
    finally:
        iam_server.logout()
    assert page.status == 200, page.text
    assert page.text.startswith("hello hamilton GET /wanted")
    world.clock.advance(LIFETIME + 1)
    assert (await browser.fetch("/later")).status == 200
    assert world.audit("refresh")


async def test_login_refresh_logout(canaille_world: World, iam_server):
    """The same way with an independent provider: consent, code, ID token, refresh with rotation, logout."""
    world = canaille_world
    user = iam_server.random_user(user_name="margaret", emails=["margaret@example.com"])
    iam_server.login(user)
    iam_server.consent(user)
    browser = world.browser()
    try:
        page = await browser.get("/wanted?x=1")
    finally:
        iam_server.logout()
    assert page.status == 200, page.text
    assert page.text.startswith("hello margaret GET /wanted?x=1")
    assert world.upstream.last().headers["X-Forwarded-Email"] == "margaret@example.com"
    before = browser.cookies()
    world.clock.advance(LIFETIME + 1)
    page = await browser.fetch("/later")
    assert page.status == 200, page.text
    assert page.text.startswith("hello margaret ")
    assert world.audit("refresh")
    assert browser.cookies() != before
    assert json.loads((await browser.fetch("/.gateway/userinfo")).text)["sub"] == "margaret"
    page = await browser.submit(await browser.get("/.gateway/logout"))
    assert page.url.path == "/.gateway/logged-out"
    assert (await browser.fetch("/x")).status == 401


async def test_its_opaque_access_tokens_are_asked_about(canaille_world: World, iam_server):
    """RFC 7662 [11.6]: an endpoint that is not ours: who it is, and that a token was revoked."""
    world = canaille_world
    client_id = world.settings.providers["demo"].client_id
    changes = {"providers": {"demo": {"introspection": "json"}}}
    world.gateway.reload(Settings.model_validate(merge(world.config(), changes)))
    with iam_server.app.app_context():
        client = iam_server.backend.get(iam_server.models.Client, client_id=client_id)
    user = iam_server.random_user(user_name="katherine", emails=["katherine@example.com"])
    token = iam_server.random_token(user, client)

    async def ask(text: str):
        page = await world.browser().fetch("/wanted", headers={"Authorization": f"Bearer {text}"})
        return page.status, page.text.split()[1] if page.status == 200 else json.loads(page.text)["reason"]

    assert await ask(token.access_token) == (200, "katherine")
    assert await ask(token.access_token + "x") == (401, "token_inactive")
    with iam_server.app.app_context():
        iam_server.backend.update(token, revokation_date=datetime.now(UTC))
        iam_server.backend.save(token)
    assert await ask(token.access_token) == (200, "katherine")
    world.clock.advance(61)
    assert await ask(token.access_token) == (401, "token_inactive")


@pytest.fixture(params=["cookie", "redis"])
async def both(request, iam_server, valkey_url, tmp_path):
    """A gateway with the demo provider and canaille beside one another."""
    world = World(valkey_url, tmp_path)
    section = await registered(
        world,
        iam_server.url.rstrip("/"),
        redirect_uris=[f"{world.base}/.gateway/callback/canaille"],
        token_endpoint_auth_method="client_secret_basic",
    )
    section["claims"] = {"groups": {"list_of": ["groups", "name"]}, "place": {"value": "canaille"}}
    common = {"upstream": "app", "access": "required"}
    world.override = {
        "session": {"mode": request.param},
        "choose_provider": True,
        "providers": {"canaille": section, "demo": {"claims": {"place": {"value": "demo"}}}},
        "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Issuer": "iss", "X-Place": "place"},
        "routes": [
            {**common, "path": "/demo/", "provider": "demo"},
            {**common, "path": "/canaille/", "provider": "canaille"},
            {**common, "path": "/"},
        ],
    }
    async with world:
        yield world


async def test_two_providers_at_once(both: World, iam_server):
    """R70 R71 [11.4]: two people of one name at two providers, side by side from login to logout."""
    world = both
    user = iam_server.random_user(user_name="alice", emails=["alice@canaille.example.com"])
    iam_server.login(user)
    iam_server.consent(user)
    theirs, ours = world.browser(), world.browser()
    issuer = iam_server.url.rstrip("/")
    try:
        page = await theirs.get("/")
        links = re.findall(r'href="([^"]*provider=[a-z]+[^"]*)"', page.text)
        assert [URL(html.unescape(link)).query["provider"] for link in links] == ["demo", "canaille"]
        page = await theirs.get(html.unescape(links[1]))
        assert page.text == "hello alice GET / 0"
        seen = world.upstream.last().headers
        assert (seen["X-Forwarded-Issuer"], seen["X-Place"]) == (issuer, "canaille")
        assert (await ours.login("/demo/x", "alice")).text == "hello alice GET /demo/x 0"
        seen = world.upstream.last().headers
        assert (seen["X-Forwarded-Issuer"], seen["X-Place"]) == (world.provider.issuer, "demo")

        # each comes in where its provider's people do, and nowhere else
        assert (await theirs.fetch("/canaille/x")).status == 200
        assert (await theirs.fetch("/demo/x")).status == 401
        assert (await ours.fetch("/canaille/x")).status == 401
        # an answer of one at the other's callback is nobody's
        tab = theirs.clone()
        page = await tab.get("/demo/y", follow=False)
        state = URL(page.headers["Location"]).query["state"]
        page = await tab.get(f"/.gateway/callback/canaille?state={state}&code=x", follow=False)
        assert page.status == 400
    finally:
        iam_server.logout()

    # each is refreshed where it comes from
    world.clock.advance(70)
    for browser, name in ((theirs, issuer), (ours, world.provider.issuer)):
        assert (await browser.fetch("/x")).status == 200
        assert world.upstream.last().headers["X-Forwarded-Issuer"] == name
    assert {event["issuer"] for event in world.audit("refresh")} == {issuer, world.provider.issuer}
    assert world.provider.counts["token:refresh_token"] == 1

    # whoever revokes one alice leaves the other alone
    answer = await world.admin("POST", "/revoke", json={"provider": "canaille", "sub": "alice"})
    assert answer.status == 200, answer.text
    assert (await theirs.fetch("/x")).status == 401
    assert (await ours.fetch("/x")).status == 200
    token = {"Authorization": f"Bearer {world.provider.mint('alice')}"}
    assert (await world.browser().fetch("/demo/x", headers=token)).status == 200
    assert (await world.browser().fetch("/canaille/x", headers=token)).status == 401
