"""A provider that is down, or publishes what cannot be used, is told before the first person meets it."""

import asyncio
import json

import pytest
import yaml

from gateway.cli.main import main
from gateway.demo.faults import Canned
from tests.support.client_keys import pem
from tests.support.jose import jwk
from tests.support.world import World


def told(world: World, event: str) -> list[dict]:
    return [line for line in world.lines if line.get("event") == event or line.get("message") == event]


def usable(world: World) -> bool:
    stats = world.gateway.providers.stats()["demo"]
    return stats.up is True and stats.keys is not None and stats.keys > 0


async def test_a_provider_is_probed_without_a_login(world: World):
    """[4.5]: metadata and keys are fetched at the start, and the metric says that all is well."""
    await world.eventually(lambda: usable(world))
    metrics = (await world.admin("GET", "/metrics")).text
    assert 'gateway_issuer_up{provider="demo"} 1.0' in metrics
    assert 'gateway_issuer_keys_left_out{provider="demo"} 0.0' in metrics


@pytest.mark.settings({"providers": {"demo": {"issuer": "https://login.invalid", "timeout": "1s"}}})
async def test_a_provider_that_does_not_resolve_is_told_at_the_start(world: World):
    """[4.5]: a warning with the cause and a metric; the gateway has started and serves what is public."""
    await world.eventually(lambda: told(world, "provider unusable"))
    (line, *_) = told(world, "provider unusable")
    assert line["provider"] == "demo"
    assert "login.invalid" in line["detail"]
    assert 'gateway_issuer_up{provider="demo"} 0.0' in (await world.admin("GET", "/metrics")).text
    assert (await world.browser().get("/public/x")).status == 200


async def test_a_trouble_is_told_once_and_its_end(world: World):
    """[4.5]: not at each try; and that it is over."""
    await world.eventually(lambda: usable(world))
    published = world.gateway.providers._by_name["demo"].published
    world.provider.canned["jwks"] = Canned(500, b"oops")
    for _ in range(3):
        with pytest.raises(Exception, match="500"):
            await published._fetch_keys()
    assert len(told(world, "provider unusable")) == 1
    assert world.gateway.providers.stats()["demo"].up is False
    world.provider.canned.clear()
    await published._fetch_keys()
    assert len(told(world, "provider usable again")) == 1
    assert usable(world)


async def test_a_key_set_of_which_every_key_is_left_out(world: World):
    """[2.33]: the log says that there is none, and of each key which it is and why; so does the metric."""
    await world.eventually(lambda: usable(world))
    keys = [jwk(kid="small", n="AQAB"), jwk(kid="for-encryption", use="enc"), jwk("ES256", kid="k", crv="x")]
    world.provider.canned["jwks"] = Canned(200, json.dumps({"keys": keys}).encode())
    await world.gateway.providers._by_name["demo"].published._fetch_keys()
    (line,) = told(world, "no key of the provider can be used")
    for part in ("small", "bits", "for-encryption", "use is not sig", "crv"):
        assert part in line["detail"]
    metrics = (await world.admin("GET", "/metrics")).text
    assert 'gateway_issuer_keys{provider="demo"} 0.0' in metrics
    assert 'gateway_issuer_keys_left_out{provider="demo"} 3.0' in metrics


@pytest.mark.settings({"session": {"rotation_grace": "60s"}})
async def test_check_asks_the_providers(world: World, tmp_path, capsys):
    """[2.33] [4.5]: ``gateway check --providers`` names the keys that are left out, and who is not there."""
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(world.config()))

    async def check(*more: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["check", "--config", str(path), *more])
        lines = capsys.readouterr().err.splitlines()
        return code, "\n".join(line for line in lines if "providers.demo" in line)

    assert await check("--providers") == (0, "")
    keys = [jwk(kid="small", n="AQAB"), jwk(kid="for-encryption", use="enc")]
    world.provider.canned["jwks"] = Canned(200, json.dumps({"keys": keys}).encode())
    assert await check() == (0, "")
    code, errors = await check("--providers")
    assert code == 0
    for part in ("providers.demo", "no key of the provider can be used", "small", "for-encryption"):
        assert part in errors
    world.provider.canned["discovery"] = Canned(404, b"no")
    assert "answered 404" in (await check("--providers"))[1]


CLIENTS = [
    ({"client_auth": "client_secret_post"}, {}, ""),
    (
        {"client_auth": "client_secret_post"},
        {"token_endpoint_auth_methods_supported": None},
        "client_auth is",
    ),
    ({"client_auth": "none", "client_secret": None}, {}, ""),
    ({"client_auth": "private_key_jwt"}, {}, ""),
    (
        {"client_auth": "private_key_jwt"},
        {"token_endpoint_auth_methods_supported": ["client_secret_basic", "tls_client_auth"]},
        "names client_secret_basic, tls_client_auth",
    ),
    (
        {"client_auth": "private_key_jwt"},
        {"token_endpoint_auth_signing_alg_values_supported": ["PS256"]},
        "the first signs with ES256, and its metadata names PS256",
    ),
    ({"pushed_requests": "always"}, {}, "names no endpoint for it"),
    (
        {"pushed_requests": "never"},
        {"require_pushed_authorization_requests": True},
        "says that requests have to be pushed",
    ),
]


@pytest.mark.parametrize(("client", "metadata", "expected"), CLIENTS)
async def test_check_tells_where_the_client_does_not_fit(
    world: World, tmp_path, capsys, client: dict, metadata: dict, expected: str
):
    """[11.5]: ``gateway check --providers`` compares the client here with what is said of it there."""
    if client.get("client_auth") == "private_key_jwt":
        client = client | {"client_secret": None, "signing_keys": [pem()]}
    data = world.config()
    data["providers"]["demo"] |= client
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(data))
    browser = world.browser()
    document = json.loads(
        (await browser.fetch(f"{world.provider.base}/.well-known/openid-configuration")).text
    )
    told = {name: value for name, value in (document | metadata).items() if value is not None}
    world.provider.canned["discovery"] = Canned(200, json.dumps(told).encode())
    code = await asyncio.to_thread(main, ["check", "--config", str(path), "--providers"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "providers.demo" in line]
    assert code == 0
    assert len(lines) == bool(expected)
    assert expected in "".join(lines)


@pytest.mark.settings({"providers": {"demo": {"userinfo": True}}, "identity_headers": {"X-Nick": "nickname"}})
async def test_signed_userinfo(world: World):
    """[2.41]: a JWT of the provider's is read like JSON (OIDC Core section 5.3.2)."""
    provider = world.provider
    claims = {"iss": provider.issuer, "aud": "demo", "sub": "alice", "nickname": "ally"}
    headers = {"Content-Type": "application/jwt"}
    provider.canned["userinfo"] = Canned(200, provider.sign(claims).encode(), headers)
    browser = world.browser()
    assert (await browser.login("/x")).status == 200
    assert world.upstream.last().headers["X-Nick"] == "ally"


@pytest.mark.settings({"providers": {"demo": {"userinfo": True}}})
@pytest.mark.parametrize(
    ("change", "alg"),
    [
        ({"iss": "https://other.example"}, "RS256"),
        ({"aud": "another-client"}, "RS256"),
        ({"sub": "bob"}, "RS256"),
        ({"exp": 1}, "RS256"),
        ({}, "none"),
        ({}, "HS256"),
        ({"token_use": "access"}, "RS256"),
    ],
    ids=str,
)
async def test_signed_userinfo_that_does_not_hold(world: World, change: dict, alg: str):
    """R18, R30 [2.41]: signed by nobody, for somebody else, or about somebody else: nobody is logged in."""
    provider = world.provider
    claims = {"iss": provider.issuer, "aud": "demo", "sub": "alice", **change}
    body = provider.sign(claims, alg=alg).encode()
    provider.canned["userinfo"] = Canned(200, body, {"Content-Type": "application/jwt"})
    page = await world.browser().login("/x")
    assert page.status in {401, 503}
    assert not world.upstream.seen


@pytest.mark.settings({"providers": {"demo": {"userinfo": True}}})
@pytest.mark.parametrize(
    "body", [b"", b"a.b.c", b"{}", b"a.b.c.d.e", b"\xff" * 40, b"x" * (1 << 19)], ids=len
)
async def test_garbage_as_signed_userinfo(world: World, body: bytes):
    """[2.41]: whatever comes, it is a fault of the provider's."""
    world.provider.canned["userinfo"] = Canned(200, body, {"Content-Type": "application/jwt"})
    assert (await world.browser().login("/x")).status == 503
