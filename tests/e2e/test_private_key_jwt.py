"""The gateway proves who it is by a signature (RFC 7523), against a provider that checks it for real."""

import json
import re

import jwt
import pytest
from cryptography import x509

from gateway.config.settings.root import Settings
from gateway.core.tokens.client_keys import public_members, thumbprint
from gateway.demo.clients import Registration
from gateway.syntax.private_keys import SigningKey, read_signing_key
from tests.support.client_keys import certified, pem
from tests.support.jose import holds_jwt
from tests.support.ports import free_port
from tests.support.world import World, merge

pytestmark = pytest.mark.asyncio

KINDS = [("RS", None), ("RS", "PS256"), ("ES256", None), ("ES384", None), ("ES512", None), ("EdDSA", None)]


def signed(*keys: str, **more: object) -> dict:
    """Return the settings of a provider where the gateway signs with these keys."""
    provider = {"client_secret": None, "client_auth": "private_key_jwt", "signing_keys": list(keys), **more}
    return {"session": {"rotation_grace": "60s"}, "providers": {"demo": provider}}


def register(world: World, **more: object) -> None:
    """Let the provider know the client by what the gateway publishes."""
    uri = f"{world.base}/.gateway/jwks/demo"
    world.provider.client = Registration(auth="private_key_jwt", jwks_uri=uri, **more)


@pytest.fixture
async def world(request, valkey_url, tmp_path):
    marker = request.node.get_closest_marker("settings")
    override = merge(signed(pem()), marker.args[0] if marker else {})
    async with World(valkey_url, tmp_path, **override) as world:
        register(world)
        yield world


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
async def test_r15_every_kind_of_key(valkey_url, tmp_path, kind: str, algorithm: str | None):
    """R15 [11.5]: code, refresh and revocation, each with a signature that is made for it and used once."""
    more = {"signing_algorithm": algorithm} if algorithm else {}
    async with World(valkey_url, tmp_path, **signed(pem(kind), **more)) as world:
        register(world)
        browser = world.browser()
        await browser.login()
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        await browser.submit(await browser.get("/.gateway/logout"))
        await world.eventually(lambda: world.provider.counts["revocation"])
        await world.eventually(lambda: world.audit("token_revoked"))
        # code, refresh, revocation: none was taken twice, and the keys were looked for once
        assert len(world.provider.client.seen) == 3
        assert world.provider.client.looks == 1
        (key,) = world.provider.client.keys.values()
        assert key.algorithm_name == (algorithm or {"RS": "RS256"}.get(kind, kind))


@pytest.mark.settings({"providers": {"demo": {"assertion_audience": "endpoint"}}})
async def test_the_url_that_is_called_as_audience(world: World):
    """R15 [11.5]: assertion_audience: endpoint names the very URL at each endpoint, and no other one's."""
    register(world, audience="endpoint")
    browser = world.browser()
    await browser.login()
    await browser.submit(await browser.get("/.gateway/logout"))
    await world.eventually(lambda: world.audit("token_revoked"))


async def test_an_assertion_for_another_audience_is_refused(world: World):
    """R15 [11.5]: the provider judges it: for one that wants the URL, the issuer is nobody."""
    register(world, audience="endpoint")
    page = await world.browser().login()
    assert page.status == 503
    assert not holds_jwt(page.text)
    assert not any(holds_jwt(json.dumps(line)) for line in world.lines)


async def test_what_is_published(world: World):
    """R16 [11.5]: the public members alone, at a path of the provider's own; nothing else below it."""
    page = await world.browser().fetch("/.gateway/jwks/demo")
    assert page.status == 200
    assert page.headers["Content-Type"] == "application/jwk-set+json"
    (key,) = json.loads(page.text)["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert (key["kty"], key["alg"], key["use"]) == ("EC", "ES256", "sig")
    assert (
        await world.browser().request("HEAD", "/.gateway/jwks/demo", follow=False, headers={})
    ).status == 200
    for path in ("jwks/other", "jwks/", "jwks", "jwks/demo/", "jwks/Demo"):
        assert (await world.browser().fetch(f"/.gateway/{path}")).status == 404, path
    assert (await world.browser().fetch("/.gateway/jwks/demo", method="POST")).status == 405


async def test_without_keys_nothing_is_published(valkey_url, tmp_path):
    """[11.5]: a provider with a secret has no such endpoint."""
    async with World(valkey_url, tmp_path) as world:
        assert (await world.browser().fetch("/.gateway/jwks/demo")).status == 404


async def test_keys_rotate_without_a_failed_login(world: World):
    """[11.5]: a new key is published behind the old one first, then in front of it; then the old one goes."""
    old, new = (public_id(pem(name=name)) for name in ("client", "new"))
    published: list[str] = []
    for keys in ([pem()], [pem(), pem(name="new")], [pem(name="new"), pem()], [pem(name="new")]):
        data = world.config()
        data["providers"]["demo"]["signing_keys"] = keys
        world.gateway.reload(Settings.model_validate(data))
        before = world.provider.client.looks
        assert (await world.browser().login()).text.startswith("hello alice")
        # a provider that keeps what it has seen is never shown a key that it does not know
        assert world.provider.client.looks == before + (published == [])
        document = json.loads((await world.browser().fetch("/.gateway/jwks/demo")).text)
        published = [key["kid"] for key in document["keys"]]
        # it looks again now and then
        world.provider.client.keys = {key["kid"]: jwt.PyJWK(key) for key in document["keys"]}
    assert published == [new] != [old]


def public_id(text: str) -> str:
    """Return the id that a key is published under."""
    found = read_signing_key(text)
    assert isinstance(found, SigningKey)
    return thumbprint(public_members(found.key))


async def test_a_client_that_the_provider_does_not_know(world: World):
    """R85 [11.5]: invalid_client is the operator's fault: 503, and the session goes on once it is mended."""
    browser = world.browser()
    await browser.login()
    world.provider.quirks.add("client-refused")
    world.clock.advance(61)
    page = await browser.fetch("/x")
    assert page.status == 503
    assert "issuer_misconfigured" in page.text
    world.provider.quirks.clear()
    world.clock.advance(20)
    assert (await browser.fetch("/x")).status == 200


async def test_a_key_that_the_provider_does_not_know(world: World):
    """R15 [11.5]: whoever signs with another key is nobody: what is published counts alone."""
    port = free_port()
    data = merge(
        world.config(),
        {"listen": f"127.0.0.1:{port}", "admin": {"listen": f"127.0.0.1:{free_port()}"}},
    )
    data["providers"]["demo"]["signing_keys"] = [pem(name="thief")]
    data["redis"]["prefix"] += "other:"
    await world.start_gateway(Settings.model_validate(data))
    browser = world.browser()
    page = await browser.get("/x")
    assert "password" in page.text
    page = await browser.submit(page, username="alice", password="alice")
    assert page.text.startswith("hello alice")
    # the other gateway comes back to its own callback, under the same name
    headers = {"Host": f"localhost:{world.public_port}"}
    thief = world.browser()
    answer = await thief.get(f"http://127.0.0.1:{port}/x", follow=False, headers=headers)
    assert answer.status == 303
    form = await thief.get(answer.headers["Location"])
    back = await thief.request(
        "POST",
        str(form.url.with_path("/login").with_query({})),
        follow=False,
        headers={},
        data={
            "transaction": re.search(r'name="transaction"[^>]*value="([^"]*)"', form.text)[1],
            "username": "alice",
            "password": "alice",
        },
    )
    query = back.headers["Location"].partition("?")[2]
    cookie = answer.set_cookies[0].partition(";")[0]
    page = await thief.get(
        f"http://127.0.0.1:{port}/.gateway/callback?{query}",
        follow=False,
        headers={**headers, "Cookie": cookie},
    )
    assert page.status == 503
    assert not any("-session=" in each for each in page.set_cookies)


@pytest.mark.settings(
    {"providers": {"demo": {"signing_keys": [certified("RS")], "signing_algorithm": "PS256"}}}
)
async def test_a_certificate_beside_the_key_names_it(world: World):
    """R15 [11.5]: as Entra ID knows its clients: x5t#S256 in the header; it is published with the key."""
    page = await world.browser().login()
    assert page.text.startswith("hello alice")
    (key,) = world.gateway.runtime.client_keys[b"jwks/demo"]["keys"]
    assert x509.load_pem_x509_certificate(
        certified("RS").partition("-----BEGIN CERT")[2].join(("-----BEGIN CERT", "")).encode()
    )
    assert set(key) >= {"x5c", "x5t#S256"}


async def test_r16_no_key_and_no_assertion_anywhere(world: World):
    """R16 [11.5]: not in a log line, not in metrics, not at any endpoint."""
    world.provider.quirks.add("token-5xx")
    browser = world.browser()
    page = await browser.login()
    assert page.status == 503
    metrics = (await world.admin("GET", "/metrics")).text
    told = json.dumps(world.lines) + page.text + metrics
    assert not holds_jwt(told)
    assert "PRIVATE KEY" not in told
    assert 'call="token"' in metrics


EXCHANGING = {
    "routes": [
        {
            "path": "/orders/",
            "upstream": "app",
            "access": "required",
            "authorization": {"exchange": {"audience": "orders-api", "scopes": ["openid"]}},
        },
        {"path": "/", "upstream": "app", "access": "required"},
    ]
}


@pytest.mark.settings(EXCHANGING)
async def test_r15_an_exchange_is_signed_as_well(world: World):
    """R15 [11.5] [11.9]: whatever call the client makes, it has an assertion of its own."""
    browser = world.browser()
    await browser.login()
    before = len(world.provider.client.seen)
    assert (await browser.fetch("/orders/x")).status == 200
    assert world.upstream.last().headers["Authorization"].startswith("Bearer ")
    assert len(world.provider.client.seen) == before + 1
