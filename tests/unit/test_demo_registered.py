"""Clients that the demo provider has never heard of: what they may register, and what they may not."""

import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from gateway.demo.provider import DemoProvider
from gateway.syntax.encoding import encode_base64url
from tests.support.certificates import Authority
from tests.support.dpop import proof, public, thumbprint

pytestmark = pytest.mark.asyncio
BACK = "http://127.0.0.1:3030/callback"
RESOURCE = "https://mcp.example.com/mcp"
VERIFIER = "v" * 43
GOOD = {"redirect_uris": [BACK], "token_endpoint_auth_method": "none"}


@pytest.fixture
async def provider() -> AsyncIterator[DemoProvider]:
    """A provider that knows one resource."""
    provider = DemoProvider("demo", "demo-secret", ("http://localhost/cb",), "demo-api")
    provider.registered.resources.add(RESOURCE)
    await provider.start()
    yield provider
    await provider.close()


class Caller:
    """A client, and the person before it."""

    def __init__(self, provider: DemoProvider) -> None:
        self.provider = provider

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Return status and JSON, or where it leads, or its text."""
        async with aiohttp.ClientSession() as session:
            url = self.provider.base + path
            async with session.request(method, url, allow_redirects=False, **more) as answer:
                text = await answer.text()
                if answer.content_type == "application/json":
                    return answer.status, json.loads(text)
                return answer.status, answer.headers.get("Location") or text

    async def register(self, **changes: Any) -> tuple[int, Any]:
        """Register a public client; members given as ``...`` are left out."""
        document = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
        return await self.ask("POST", "/register", json=document)

    async def code(self, client_id: str, **changes: str) -> str:
        """Return a code, or the error that came instead; text of a page where it leads nowhere."""
        from hashlib import sha256

        challenge = encode_base64url(sha256(VERIFIER.encode()).digest())
        fields = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": BACK,
            "scope": "api offline_access",
            "state": "s",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": RESOURCE,
            **changes,
        }
        status, page = await self.ask("GET", "/authorize", params={k: v for k, v in fields.items() if v})
        if status != 200:
            return page if status == 400 else parse_qs(urlsplit(page).query)["error"][0]
        found = re.search(r'name="transaction" value="([^"]+)"', page)
        assert found is not None
        form = {"transaction": found[1], "username": "alice", "password": "alice"}
        _, back = await self.ask("POST", "/login", data=form)
        return parse_qs(urlsplit(back).query)["code"][0]

    async def token(self, client_id: str, code: str, **changes: str) -> tuple[int, Any]:
        """Redeem a code."""
        fields = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            **changes,
        }
        return await self.ask("POST", "/token", data=fields)


async def test_what_is_published(provider: DemoProvider):
    """[11.11] RFC 8414: the same as OpenID Connect's, at its own path."""
    caller = Caller(provider)
    status, found = await caller.ask("GET", "/.well-known/oauth-authorization-server")
    assert status == 200
    assert found == (await caller.ask("GET", "/.well-known/openid-configuration"))[1]
    assert found["registration_endpoint"] == f"{provider.base}/register"
    assert found["client_id_metadata_document_supported"] is False


async def test_a_public_client(provider: DemoProvider):
    """[11.11] RFC 7591, PKCE, and tokens for the resource that it named, renewed for the same."""
    caller = Caller(provider)
    status, client = await caller.register(client_name="Agent", software_id="x")
    assert status == 201
    assert "client_secret" not in client
    assert client["client_name"] == "Agent"
    status, found = await caller.token(client["client_id"], await caller.code(client["client_id"]))
    assert status == 200
    assert "id_token" not in found
    claims = provider.read_access_token(found["access_token"])
    assert claims is not None
    assert (claims["aud"], claims["client_id"], claims["sub"]) == (RESOURCE, client["client_id"], "alice")
    fields = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    status, renewed = await caller.ask(
        "POST", "/token", data={**fields, "client_id": client["client_id"], "resource": RESOURCE}
    )
    assert status == 200
    claims = provider.read_access_token(renewed["access_token"])
    assert claims is not None
    assert claims["aud"] == RESOURCE


async def test_a_client_with_a_secret(provider: DemoProvider):
    """[11.11] It has to show it."""
    caller = Caller(provider)
    _, client = await caller.register(token_endpoint_auth_method=...)
    client_id, secret = client["client_id"], client["client_secret"]
    code = await caller.code(client_id)
    for wrong in ({}, {"client_secret": ""}, {"client_secret": secret + "x"}):
        assert (await caller.token(client_id, code, **wrong))[1]["error"] == "invalid_client"
    assert (await caller.token(client_id, code, client_secret=secret))[0] == 200
    _, public = await caller.register()
    code = await caller.code(public["client_id"])
    assert (await caller.token(public["client_id"], code, client_secret="x"))[1]["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"redirect_uris": ...}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": BACK}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"redirect_uris": [BACK] * 11}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://elsewhere.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [f"{BACK}#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://a@b.example/", "//x"]}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": 7}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"client_name": "x" * 6000}, "invalid_client_metadata"),
    ],
)
async def test_what_is_not_registered(provider: DemoProvider, change: dict[str, Any], error: str):
    """[11.11] RFC 7591 section 3.2.2."""
    status, found = await Caller(provider).register(**change)
    assert (status, found["error"]) == (400, error)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"7"])
async def test_garbage_is_not_registered(provider: DemoProvider, body: bytes):
    """[11.11] And nothing raises."""
    headers = {"Content-Type": "application/json"}
    status, found = await Caller(provider).ask("POST", "/register", data=body, headers=headers)
    assert (status, found["error"]) == (400, "invalid_client_metadata")
    assert (await Caller(provider).ask("POST", "/register", data={"a": "b"}))[0] == 400


async def test_what_such_a_client_may_not(provider: DemoProvider):
    """[11.11] Another's code or refresh token, no resource or an unknown one, what is the gateway's alone."""
    caller = Caller(provider)
    mine, theirs = [(await caller.register())[1]["client_id"] for _ in range(2)]
    assert await caller.code(mine, resource="") == "invalid_target"
    assert await caller.code(mine, resource="https://elsewhere.example") == "invalid_target"
    assert "not registered" in await caller.code(mine, redirect_uri="http://localhost/cb")
    assert "cannot be known" in await caller.code("c-unknown")
    code = await caller.code(theirs)
    assert (await caller.token(mine, code))[1]["error"] == "invalid_grant"
    assert (await caller.token(theirs, code))[1]["error"] == "invalid_grant"
    _, found = await caller.token(theirs, await caller.code(theirs))
    refresh = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    for data, error in (
        ({**refresh, "client_id": mine}, "invalid_grant"),
        ({"grant_type": "client_credentials", "client_id": mine}, "unauthorized_client"),
    ):
        assert (await caller.ask("POST", "/token", data=data))[1]["error"] == error
    own = {"Authorization": aiohttp.encode_basic_auth("demo", "demo-secret")}
    assert (await caller.ask("POST", "/token", data=refresh, headers=own))[1]["error"] == "invalid_grant"
    told = {"client_id": mine, "token": found["access_token"]}
    assert (await caller.ask("POST", "/introspect", data=told))[1]["error"] == "unauthorized_client"
    for token in (found["access_token"], found["refresh_token"]):
        assert (await caller.ask("POST", "/revoke", data={**told, "token": token}))[0] == 200
    assert provider.read_access_token(found["access_token"]) is not None
    assert (await caller.ask("POST", "/token", data={**refresh, "client_id": theirs}))[0] == 200


@pytest.mark.parametrize(
    ("change", "works"),
    [
        ({}, True),
        ({"client_id": "https://elsewhere.example/agent.json"}, False),
        ({"client_id": None}, False),
        ({"client_secret": "x"}, False),
        ({"token_endpoint_auth_method": "client_secret_post"}, False),
        ({"redirect_uris": ["http://127.0.0.1:3031/callback"]}, False),
        ({"redirect_uris": []}, False),
        ({"client_name": "x" * 6000}, False),
    ],
)
async def test_a_client_id_that_is_a_url(
    provider: DemoProvider, tmp_path: Path, change: dict[str, Any], works: bool
):
    """[11.11] The document is fetched from there alone, and has to be of that very URL."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    document: dict[str, Any] = {}

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(document)

    async def lead(_: web.Request) -> web.Response:
        raise web.HTTPFound("/agent.json")

    app = web.Application()
    app.router.add_get("/agent.json", tell)
    app.router.add_get("/moved.json", lead)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
    caller, base = Caller(provider), f"https://localhost:{runner.addresses[0][1]}"
    try:
        url = f"{base}/agent.json"
        document |= {"client_id": url, **GOOD, **change}
        assert "cannot be known" in await caller.code(url)
        provider.registered.trusted = authority.trusting()
        found = await caller.code(url)
        assert ("<" not in found) is works
        if works:
            assert (await caller.token(url, found))[0] == 200
        for other in (f"{base}/moved.json", f"{base}/none", f"{base}/", f"{url}?x", "https://192.0.2.1/x"):
            assert "cannot be known" in await caller.code(other)
    finally:
        await runner.cleanup()


def shown(caller: Caller, **more: Any) -> dict[str, str]:
    """Return the field with a proof for the token endpoint."""
    url = f"{caller.provider.base}/token"
    return {"DPoP": proof("", url, caller.provider.clock(), **{"method": "POST", **more})}


async def test_tokens_that_are_bound_to_a_key(provider: DemoProvider):
    """[11.7] RFC 9449 section 5: the access token, and of a public client the refresh token as well."""
    caller = Caller(provider)
    client_id = (await caller.register())[1]["client_id"]
    fields = {"client_id": client_id, "redirect_uri": BACK, "code_verifier": VERIFIER}
    form = {"grant_type": "authorization_code", **fields, "code": await caller.code(client_id)}
    status, found = await caller.ask("POST", "/token", data=form, headers=shown(caller))
    assert (status, found["token_type"]) == (200, "DPoP")
    claims = provider.read_access_token(found["access_token"])
    assert claims is not None
    assert claims["cnf"] == {"jkt": thumbprint()}
    refresh = {
        "grant_type": "refresh_token",
        "client_id": client_id,
        "refresh_token": found["refresh_token"],
    }
    for headers in ({}, shown(caller, name="thief")):
        status, refused = await caller.ask("POST", "/token", data=refresh, headers=headers)
        assert (status, refused["error"]) == (400, "invalid_grant")
    status, found = await caller.ask("POST", "/token", data=refresh, headers=shown(caller))
    assert (status, found["token_type"]) == (200, "DPoP")
    bearer = {"Authorization": f"Bearer {found['access_token']}"}
    assert (await caller.ask("GET", "/userinfo", headers=bearer))[0] == 401


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"htu": "https://elsewhere.example/token"},
        {"iat": 1},
        {"iat": ...},
        {"jti": ...},
        {"jti": "same"},
        {"header": {"typ": "JWT"}},
        {"header": {"jwk": ...}},
        {"header": {"jwk": {"kty": "oct", "k": "AAAA"}}},
        {"header": {"alg": "none"}},
        {"alg": "RS256"},
        {"name": "thief", "header": {"jwk": public()}},
    ],
)
async def test_what_is_no_proof_at_the_provider(provider: DemoProvider, change: dict[str, Any]):
    """[11.7] Nothing is bound, or issued, by a proof of something else."""
    caller = Caller(provider)
    data = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret"}
    assert (await caller.ask("POST", "/token", data=data, headers=shown(caller, jti="same")))[0] == 200
    status, found = await caller.ask("POST", "/token", data=data, headers=shown(caller, **change))
    assert (status, found["error"]) == (400, "invalid_dpop_proof")


async def test_a_registered_client_logs_out(provider: DemoProvider):
    """A hint of its own login leads to where it registered, and nowhere else; a stranger's ends nothing."""
    caller = Caller(provider)
    after = "http://127.0.0.1:3030/logged-out"
    _, client = await caller.register(post_logout_redirect_uris=[after])
    assert client["post_logout_redirect_uris"] == [after]
    hint = provider.keys.sign({"aud": client["client_id"], "sub": "alice", "sid": "s"})
    for place, leads in ((after, True), ("http://127.0.0.1:3030/other", False)):
        asked = {"id_token_hint": hint, "post_logout_redirect_uri": place, "state": "x"}
        status, found = await caller.ask("GET", "/logout", params=asked)
        assert (status, found == f"{after}?state=x") == ((303 if leads else 200), leads)
    stranger = provider.keys.sign({"aud": "c-nobody", "sub": "alice", "sid": "s"})
    assert (await caller.ask("GET", "/logout", params={"id_token_hint": stranger}))[0] == 400
    for wrong in ("text", [], ["http://elsewhere.example/"], [7]):
        assert (await caller.register(post_logout_redirect_uris=wrong))[0] == 400
