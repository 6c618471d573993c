"""Tokens that are bound to a certificate of a client (RFC 8705 section 3): its own, or told of it."""

import base64
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.certificates import Authority, Pair
from tests.support.dpop import proof, thumbprint
from tests.support.jose import b64
from tests.support.world import World

ROUTES = [
    {"path": "/mtls/", "upstream": "app", "access": "required", "bound_tokens": "mtls"},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "reject"},
]
PROXIED = {
    "routes": ROUTES,
    "trusted_proxies": ["127.0.0.1/32"],
    "forwarding": {"client_certificate": "Client-Cert"},
}
pytestmark = pytest.mark.asyncio


def der(pair: Pair) -> bytes:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).public_bytes(Encoding.DER)


def x5t(pair: Pair) -> str:
    return b64(hashlib.sha256(der(pair)).digest())


def bound(world: World, pair: Pair, **more: Any) -> str:
    return world.provider.mint("alice", lifetime=3600, cnf={"x5t#S256": x5t(pair), **more})


async def answer_of(answer: aiohttp.ClientResponse) -> tuple[int, str | None]:
    text = await answer.text()
    return answer.status, json.loads(text)["reason"] if answer.status >= 400 else None


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_on_its_own_connection(valkey_url: str, tmp_path: Path, version: str):
    """[11.7] The certificate of this very connection, and no other one."""
    authority = Authority(tmp_path)
    site, own, other = (
        authority.issue("localhost"),
        authority.issue("alice", client=True),
        authority.issue("mallory", client=True),
    )
    tls = {**site.written, "client_certificates": "optional", "client_ca": str(authority.file)}
    async with World(valkey_url, tmp_path, routes=ROUTES, tls=tls) as world:
        world.base = world.base.replace("http:", "https:")
        token, url = bound(world, own), f"https://localhost:{world.public_port}"
        headers = {"Authorization": f"Bearer {token}"}

        async def ask(pair: Pair | None, path: str = "/x", sent: Any = headers) -> tuple[int, str | None]:
            context = authority.trusting(pair)
            if version == "1.2":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            connector = aiohttp.TCPConnector(ssl=context, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                found = set()
                for _ in range(2):
                    async with session.get(url + path, headers=sent) as answer:
                        found.add(await answer_of(answer))
                (one,) = found
                return one

        for path in ("/x", "/mtls/x"):
            assert await ask(own, path) == (200, None)
            assert await ask(other, path) == (401, "proof_invalid")
            assert await ask(None, path) == (401, "proof_missing")
        # whoever shows a certificate has a bearer token all the same
        plain = {"Authorization": f"Bearer {world.provider.mint('alice')}"}
        assert await ask(own, "/x", plain) == (200, None)
        assert await ask(own, "/mtls/x", plain) == (401, "token_unbound")
        # nobody is believed about it who is no trusted proxy
        told = headers | {"Client-Cert": f":{base64.b64encode(der(own)).decode()}:"}
        assert await ask(None, "/x", told) == (401, "proof_missing")
        both = bound(world, own, jkt=thumbprint())
        assert await ask(own, "/x", {"Authorization": f"Bearer {both}"}) == (401, "proof_missing")
        shown = {"Authorization": f"DPoP {both}", "DPoP": proof(both, f"{world.base}/x", world.clock())}
        assert await ask(None, "/x", shown) == (401, "proof_missing")


@pytest.mark.settings(PROXIED)
async def test_told_by_a_trusted_proxy(world: World, tmp_path: Path):
    """R64 [11.7]: in the field that is named, as RFC 9440 has it or nginx; upstreams see none."""
    authority = Authority(tmp_path)
    own, other = authority.issue("alice", client=True), authority.issue("mallory", client=True)
    token = bound(world, own)
    good = f":{base64.b64encode(der(own)).decode()}:"
    pem = quote(own.certificate.read_text())

    async def ask(*told: str, name: str = "Client-Cert") -> tuple[int, str | None]:
        headers = [("Authorization", f"Bearer {token}"), *((name, each) for each in told)]
        async with world.browser().session.get(f"{world.base}/x", headers=headers) as answer:
            return await answer_of(answer)

    assert await ask(good) == (200, None)
    assert "Client-Cert" not in world.upstream.last().headers
    assert await ask(pem) == (200, None)
    assert await ask(quote(base64.b64encode(der(own)).decode(), safe="")) == (200, None)
    hashed = hashlib.sha256(der(own)).hexdigest()
    assert await ask(f'By=spiffe://x;Hash={hashed};Subject="a;b"') == (200, None)
    for element in (
        f"Hash={hashed[1:]}",
        f"hash={hashed}",
        f'Subject=";Hash={hashed[1:]}"',
        "Hash=",
        # whoever has a certificate has a say in its subject
        f'Subject=";Hash={hashed};"',
        f'Subject="Hash={hashed}"',
        f'Subject="\\";Hash={hashed};"',
        f"Hash={hashed};Hash={hashed}",
        f'Subject="x;Hash={hashed}',
        "Cert=x",
    ):
        assert await ask(element) == (401, "proof_missing")
    assert await ask(f"Hash={hashed},Hash={hashed}") == (401, "proof_missing")
    assert await ask(f"Hash={'0' * 64}") == (401, "proof_invalid")
    assert await ask() == (401, "proof_missing")
    assert await ask(f":{base64.b64encode(der(other)).decode()}:") == (401, "proof_invalid")
    # a proxy that adds its own line to its client's tells nothing
    assert await ask(good, good) == (401, "proof_missing")
    assert await ask(good, name="Client_Cert") == (401, "proof_missing")
    assert await ask(good, name="X-Forwarded-Client-Cert") == (401, "proof_missing")
    for garbage in (
        "",
        ":",
        "::",
        ":x:",
        "x",
        ":AA",
        good[:-5],
        f"{good},{good}",
        "%2D" * 40,
        ":é:",
        "A" * 20000,
    ):
        assert await ask(garbage) == (401, "proof_missing"), garbage[:40]


@pytest.mark.settings({"routes": ROUTES[1:], "trusted_proxies": ["127.0.0.1/32"]})
async def test_nobody_is_believed_who_was_not_named(world: World, tmp_path: Path):
    """R53, R64 [11.7]: without the setting the field is dropped unread, whoever sends it."""
    pair = Authority(tmp_path).issue("alice", client=True)
    told = {"Client-Cert": f":{base64.b64encode(der(pair)).decode()}:", "Client-Cert-Chain": "x"}
    headers = {"Authorization": f"Bearer {bound(world, pair)}", **told}
    async with world.browser().session.get(f"{world.base}/x", headers=headers) as answer:
        assert await answer_of(answer) == (401, "proof_missing")
    plain = {"Authorization": f"Bearer {world.provider.mint('alice')}", **told}
    async with world.browser().session.get(f"{world.base}/x", headers=plain) as answer:
        assert answer.status == 200
    assert not {"Client-Cert", "Client-Cert-Chain"} & set(world.upstream.last().headers)


@pytest.mark.parametrize("name", ["Client-Cert", "X-Client-Cert"])
@pytest.mark.parametrize("asker", ["haproxy", "nginx"])
async def test_told_by_a_proxy_that_asks(valkey_url: str, tmp_path: Path, name: str, asker: str):
    """[11.7, 11.10] The certificate of its client, and DPoP of what its client asked for."""
    more: dict[str, Any] = {
        "routes": ROUTES,
        "trusted_proxies": ["127.0.0.1/32"],
        "forwarding": {"client_certificate": name},
        "asked_by": [asker],
        "session": {"mode": "redis"},
    }
    authority = Authority(tmp_path)
    own, other = authority.issue("alice", client=True), authority.issue("mallory", client=True)
    async with World(valkey_url, tmp_path, **more) as world:
        told = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": f"localhost:{world.public_port}",
            "X-Forwarded-Uri": "/mtls/x?y",
            "X-Original-Method": "GET",
            "X-Original-URL": f"{world.base}/mtls/x?y",
            "X-Forwarded-For": "192.0.2.7",
            "Host": "gateway:8080",
        }

        async def ask(headers: dict[str, str]) -> int:
            url = f"http://127.0.0.1:{world.public_port}/.gateway/decide/{asker}"
            async with world.browser().session.get(url, headers=told | headers) as answer:
                return answer.status

        bearer = {"Authorization": f"Bearer {bound(world, own)}"}
        assert await ask(bearer) == 401
        for form in (f":{base64.b64encode(der(own)).decode()}:", quote(own.certificate.read_text())):
            assert await ask(bearer | {name: form}) == 200
        assert await ask(bearer | {name: quote(other.certificate.read_text())}) == 401
        both = bound(world, own, jkt=thumbprint())
        shown = {"Authorization": f"DPoP {both}", name: quote(own.certificate.read_text())}
        good = proof(both, f"{world.base}/mtls/x", world.clock())
        assert await ask(shown | {"DPoP": good}) == 200
        assert await ask(shown | {"DPoP": good}) == 401
        there = f"{world.base}/.gateway/decide/{asker}"
        assert await ask(shown | {"DPoP": proof(both, there, world.clock())}) == 401
