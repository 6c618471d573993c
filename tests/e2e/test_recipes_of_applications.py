"""Each application's recipe behind a real gateway, with what that application asks for and checks.

Jupyter and the registry run for real (test_jupyter.py, test_real_applications.py), agents in test_mcp.py.
"""

import asyncio
import hashlib
import hmac
import json
from urllib.parse import quote

import aiohttp
import jwt
import pytest
import yaml
from aiohttp import WSMsgType

from tests.support.configuration import TREE
from tests.support.recipes import RECIPES, ApplicationWorld
from tests.support.world import Browser

pytestmark = pytest.mark.asyncio
PATIENCE = 20.0


async def raw(world: ApplicationWorld, method: str, target: str, *lines: str, body: bytes = b"") -> bytes:
    """Send one request as these very bytes; return its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.public_port)
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "Connection: close", "", ""))
    writer.write(head.encode() + body)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return answer


async def test_grafana(valkey_url: str, tmp_path):
    """[12.recipes]: what its [auth.jwt] checks holds; a forged assertion never arrives; its own tokens do."""
    async with ApplicationWorld("grafana", valkey_url, tmp_path) as world:
        world.set_groups("grafana-admins")
        alice, nobody = world.browser(), world.browser()
        forged = {"X-Gateway-Assertion": "eyJhbGciOiJub25lIn0.e30.", "X-WEBAUTH-USER": "admin"}
        assert (await alice.login("/d/abc?orgId=1")).status == 200
        await alice.fetch("/api/dashboards/home", headers=forged)
        seen = world.upstream.last().headers
        (assertion,) = seen.getall("X-Gateway-Assertion")
        assert "X-WEBAUTH-USER" not in seen
        # as Grafana does, by jwk_set_url, expect_claims and the names of claims
        page = await nobody.fetch("/.gateway/jwks.json")
        keys = jwt.PyJWKSet.from_dict(json.loads(page.text))
        key = keys[jwt.get_unverified_header(assertion)["kid"]]
        claims = jwt.decode(assertion, key, ["ES256"], audience="grafana", issuer=world.base)
        assert (claims["preferred_username"], claims["email"]) == ("alice", "alice@example.com")
        assert "grafana-admins" in claims["groups"]
        # Grafana Live
        ws = await alice.session.ws_connect(alice.url("/api/live/ws"), origin=world.base)
        await ws.send_str("{}")
        assert await ws.receive_str(timeout=PATIENCE) == "{}"
        await ws.close()
        token = {"Authorization": "Bearer glsa_0123", **forged}
        assert (await nobody.fetch("/api/annotations?limit=1", headers=token)).status == 200
        seen = world.upstream.last().headers
        assert seen["Authorization"] == "Bearer glsa_0123"
        assert "X-Gateway-Assertion" not in seen
        assert (await nobody.fetch("/api/annotationsx", headers=token)).status == 401
        world.set_groups("others")
        assert (await world.browser().login("/")).status == 403


KEY = "minio-secret-key"


def signature(method: str, target: str, headers: dict[str, str], signed: list[str]) -> str:
    """Return the signature of a request as AWS Signature Version 4 has it, with names in lower case."""
    path, _, query = target.partition("?")
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{headers[name]}" for name in signed),
            "",
            ";".join(signed),
            headers["x-amz-content-sha256"],
        )
    )
    scope = "20261129/eu-central-1/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


OBJECTS = [
    ("GET", "/bucket?list-type=2&prefix=a%2Fb%20c%2B&delimiter=%2F", b""),
    ("PUT", f"/bucket/{quote('a/ä;x=1/c d', safe='/')}", b"x" * 5000),
    ("PUT", "/bucket/a%2Fb//c?partNumber=1&uploadId=x", b"x"),
    ("DELETE", "/bucket/..hidden", b""),
    ("POST", "/bucket?delete", b"<Delete/>"),
]


@pytest.mark.parametrize(("method", "target", "body"), OBJECTS, ids=lambda value: str(value)[:20])
async def test_minio(method: str, target: str, body: bytes, valkey_url: str, tmp_path):
    """[12.recipes]: what a client has signed (SigV4) is signed for MinIO as well, whatever is in the path."""
    async with ApplicationWorld("minio", valkey_url, tmp_path) as world:
        headers = {
            "host": "s3.example.com",
            "accept-encoding": "identity",
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            "x-amz-date": "20261129T120000Z",
            "x-amz-meta-note": "a, b;  c",
            **({"content-length": str(len(body))} if body else {}),
        }
        signed = sorted(headers)
        value = signature(method, target, headers, signed)
        credential = "AWS4-HMAC-SHA256 Credential=key/20261129/eu-central-1/s3/aws4_request"
        headers["authorization"] = f"{credential}, SignedHeaders={';'.join(signed)}, Signature={value}"
        lines = [f"{name}: {each}" for name, each in headers.items()]
        answer = await raw(world, method, target, *lines, body=body)
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        seen = world.upstream.last()
        arrived = {name.lower(): each for name, each in seen.headers.items()}
        assert signature(seen.method, str(seen.raw_path), arrived, signed) == value
        assert arrived["authorization"] == headers["authorization"]
        assert "X-Forwarded-User" not in seen.headers


async def test_minio_s_ways_of_uploading(valkey_url: str, tmp_path):
    """[12.recipes]: Expect, chunks with a trailer (aws-chunked); the console is behind the login."""
    async with ApplicationWorld("minio", valkey_url, tmp_path) as world:
        lines = ["Host: s3.example.com", "Authorization: AWS4-HMAC-SHA256 x", "Expect: 100-continue"]
        body = (
            b"5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
        )
        lines += ["Content-Encoding: aws-chunked", "X-Amz-Decoded-Content-Length: 5"]
        lines += ["X-Amz-Trailer: x-amz-checksum-crc32", f"Content-Length: {len(body)}"]
        answer = await raw(world, "PUT", "/bucket/x", *lines, body=body)
        assert b"HTTP/1.1 200" in answer
        assert f" {len(body)}".encode() in answer
        seen = world.upstream.last().headers
        assert (seen["Content-Encoding"], seen["X-Amz-Trailer"]) == ("aws-chunked", "x-amz-checksum-crc32")
        # an empty object has a length, too
        for method, target in (("PUT", "/bucket/folder/"), ("POST", "/bucket/x?uploads")):
            answer = await raw(world, method, target, *lines[:2], "Content-Length: 0")
            assert answer.startswith(b"HTTP/1.1 200")
            assert world.upstream.last().headers.get("Content-Length") == "0"
        nobody = world.browser()
        assert (await nobody.fetch("/api/v1/session")).status == 401
        world.set_groups("storage")
        assert (await world.browser().login("/browser")).status == 200
        # no other name leads to the store
        answer = await raw(world, "GET", "/bucket", "Host: other.example.com")
        assert answer.startswith(b"HTTP/1.1 421")


async def test_gitea(valkey_url: str, tmp_path):
    """[12.recipes]: people are named by the header that it reads, git is not; names with %2F stay whole."""
    async with ApplicationWorld("gitea", valkey_url, tmp_path) as world:
        alice = world.browser()
        await alice.login("/")
        forged = {"X-WEBAUTH-USER": "root", "X_WEBAUTH_USER": "root", "X-WEBAUTH-FULLNAME": "root"}
        page = await alice.fetch("/acme/app/src/branch/feature%2Fx/a%20b?ref=%2F", headers=forged)
        assert page.status == 200
        seen = world.upstream.last()
        assert str(seen.raw_path) == "/acme/app/src/branch/feature%2Fx/a%20b?ref=%2F"
        assert seen.headers.getall("X-WEBAUTH-USER") == ["alice"]
        assert "root" not in str(list(seen.headers.items()))
        basic = "Authorization: Basic YWxpY2U6dG9rZW4="
        own = [f"{name}: {value}" for name, value in forged.items()]
        pack = ["Content-Type: application/x-git-upload-pack-request", "Transfer-Encoding: chunked"]
        for method, target, lines, body in (
            ("GET", "/acme/app.git/info/refs?service=git-upload-pack", ["Git-Protocol: version=2"], b""),
            ("POST", "/acme/app.git/git-upload-pack", pack, b"4\r\n0000\r\n0\r\n\r\n"),
        ):
            answer = await raw(world, method, target, "Host: git.example.com", basic, *own, *lines, body=body)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
            seen = world.upstream.last()
            assert seen.headers["Authorization"] == basic.partition(": ")[2]
            assert "root" not in str(list(seen.headers.items()))


async def test_a_websocket_application(valkey_url: str, tmp_path):
    """[12.recipes], R49: a session or a token opens one, a strange page does not; a revocation ends it."""
    async with ApplicationWorld("websocket", valkey_url, tmp_path) as world:
        alice, nobody = world.browser(), world.browser()
        assert await refused(nobody, world.base) == 401
        await alice.login("/")
        assert await refused(alice, "https://evil.example") == 403
        token = {"Authorization": f"Bearer {world.provider.mint('alice')}"}
        opened = [
            await alice.session.ws_connect(alice.url("/ws/x"), origin=world.base),
            await alice.session.ws_connect(alice.url("/ws/x"), origin="https://www.example.com"),
            await nobody.session.ws_connect(nobody.url("/ws/x"), headers=token),
        ]
        for ws in opened:
            await ws.send_str("hello")
            assert await ws.receive_str(timeout=PATIENCE) == "hello"
            assert world.upstream.last().headers["X-Forwarded-User"] == "alice"
        # through a whole renewal
        world.clock.advance(world.provider.access_lifetime + 20)
        assert (await alice.fetch("/x")).status == 200
        await opened[0].send_str("still")
        assert await opened[0].receive_str(timeout=PATIENCE) == "still"
        assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
        for ws in opened[:2]:
            message = await ws.receive(timeout=PATIENCE)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)


async def refused(browser: Browser, origin: str) -> int:
    """Return the status of a handshake that is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await browser.session.ws_connect(browser.url("/ws/x"), origin=origin)
    return caught.value.status


async def test_a_single_page_application(valkey_url: str, tmp_path):
    """[12.recipes], R57: its shell is open, its API answers scripts; changes need the own origin."""
    override = {"providers": {"corporate": {"scopes": ["openid", "profile", "email", "api"]}}}
    world = ApplicationWorld("spa-and-api", valkey_url, tmp_path, **override)
    # the scopes that the demo provider knows
    world.text = world.text.replace("orders.read", "api").replace("orders.write", "profile")
    async with world:
        page = await world.browser().fetch("/assets/app.js")
        assert (page.status, page.text.split()[1]) == (200, "nobody")
        alice = world.browser()
        page = await alice.fetch("/api/orders")
        assert page.status == 401
        assert json.loads(page.text)["login_url"].startswith(f"{world.base}/.gateway/login")
        await alice.login("/account/")
        page = await alice.fetch("/.gateway/userinfo")
        assert json.loads(page.text)["sub"] == "alice"
        assert (await alice.fetch("/api/orders")).status == 200
        # the API gets an access token with every call, the browser never sees one
        claims = world.provider.read_access_token(world.upstream.last().headers["Authorization"].split()[1])
        assert claims is not None
        assert claims["sub"] == "alice"
        page = await alice.fetch("/api/orders", method="POST", headers={"Origin": world.base}, data=b"{}")
        assert page.status == 200
        strange = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await alice.fetch("/api/orders", method="POST", headers=strange, data=b"{}")).status == 403
        asked = {"Origin": "https://partner.example.com", "Access-Control-Request-Method": "GET"}
        page = await world.browser().fetch("/api/orders", method="OPTIONS", headers=asked)
        assert page.headers["Access-Control-Allow-Origin"] == "https://partner.example.com"


async def test_every_recipe_is_written_of_and_tested():
    """[12.recipes]: docs/recipes.md names each file, and says how it is tested."""
    text = (TREE / "docs/recipes.md").read_text(encoding="utf-8")
    for path in sorted(RECIPES.glob("*/*.yaml")):
        name = str(path.relative_to(TREE))
        (row,) = [line for line in text.splitlines() if f"](../{name})" in line]
        (module,) = [word.strip("`") for word in row.split() if word.startswith("`tests/")]
        assert (TREE / module).exists(), row
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["routes"]
