"""What providers really answer, given by the demo provider: who stays in, and who is out."""

import asyncio
import gzip
import json
import zlib
from pathlib import Path

import pytest

from gateway.demo.faults import Canned
from tests.support.world import World

JSON = {"Content-Type": "application/json"}


def refreshes(world: World) -> int:
    return world.provider.counts["token:refresh_token"]


def answer(status: int, body: object) -> Canned:
    return Canned(status, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}),
        (200, {"error": "bad_refresh_token"}),
        (401, {"error": "token_expired"}),
        (400, {"error": "custom_code"}),
        (400, b""),
    ],
    ids=str,
)
async def test_r85_what_ends_a_session_and_what_keeps_it(world: World, status: int, body: object):
    """R85 [2.7]: the provider's own no, in the forms that it takes: out, once, and to a new login."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    world.provider.canned["token:refresh_token"] = answer(status, body)
    assert (await browser.clone().fetch("/x")).status == 401
    page = await browser.get("/x", follow=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(world.provider.issuer)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"timestamp": "2026-01-01T00:00:00Z", "status": 404, "error": "Not Found", "path": "/token"}),
        (400, {"error": "Bad Request"}),
        (400, {"error": "server_error"}),
        (400, {"errorCode": "E0000011"}),
        (400, b"<html>Bad request</html>"),
        (401, {"error": "custom_code"}),
        (401, {"error": "invalid_client"}),
        (413, b"too large"),
        (200, {"error": "slow_down"}),
        (200, b"<html>maintenance</html>"),
        (429, {"error": "rate_limited"}),
    ],
    ids=str,
)
async def test_r85_a_kept_session_and_the_way_out(world: World, status: int, body: object):
    """R85 [2.7]: what says nothing of the grant keeps the session; a page offers a new login, which works."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    before = browser.cookies()
    world.provider.canned["token:refresh_token"] = answer(status, body)
    script = await browser.fetch("/deep?x=1")
    assert (script.status, "Retry-After" in script.headers) == (503, True)
    page = await browser.get("/deep?x=1", follow=False)
    assert (page.status, "Retry-After" in page.headers) == (503, True)
    assert browser.cookies() == before
    assert f"{world.base}/.gateway/login?return_to=/deep%3Fx%3D1" in page.text
    # the login goes on although the refresh does not, and its session is another one
    form = await browser.get("/.gateway/login?return_to=/deep%3Fx%3D1")
    page = await browser.submit(form, username="alice", password="alice")
    assert (page.status, page.url.path_qs) == (200, "/deep?x=1")
    assert browser.cookies() != before
    assert (await browser.fetch("/x")).status == 200


async def test_r85_a_kept_session_goes_on_by_itself(world: World):
    """R85 [2.7]: once the provider answers again, the session that was kept is renewed."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    world.provider.canned["token:refresh_token"] = answer(404, {"error": "Not Found"})
    assert (await browser.get("/x", follow=False)).status == 503
    world.provider.canned.clear()
    world.clock.advance(61)
    assert (await browser.get("/x", follow=False)).status == 200


@pytest.mark.parametrize("expires_in", [0, -1, None, "soon", "", [], True])
async def test_an_unusable_expires_in(world: World, expires_in: object):
    """[2.6]: it means unknown: one token call, and the session goes on."""
    browser = world.browser()
    await browser.login()
    world.provider.alter["refresh_token"] = lambda tokens: {**tokens, "expires_in": expires_in}
    world.clock.advance(61)
    for path in ("/a", "/b", "/c"):
        assert (await browser.get(path, follow=False)).status == 200
    assert refreshes(world) == 1


@pytest.mark.parametrize(
    "change",
    [{"scope": ["openid", "email"]}, {"scope": 7}, {"token_type": None}, {"expires_in": {}}, {"id_token": 5}],
    ids=str,
)
async def test_a_rotated_refresh_token_is_kept(world: World, change: dict):
    """[2.28], [2.8], [2.25]: an odd member beside a rotated refresh token throws nothing away."""
    browser = world.browser()
    await browser.login()
    world.provider.alter["refresh_token"] = lambda tokens: {**tokens, **change}
    for _ in range(3):
        world.clock.advance(301)
        assert (await browser.get("/x", follow=False)).status == 200
    assert refreshes(world) == 3


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip"])
async def test_compressed_answers_with_201_and_a_byte_order_mark(world: World, coding: str):
    """[2.25]: a BOM, gzip and 201 are accepted at the token endpoint and of the key set."""
    squeeze = zlib.compress if coding == "deflate" else gzip.compress
    headers = {**JSON, "Content-Encoding": coding}
    keys = json.dumps(world.provider.keys.jwks()).encode()
    world.provider.canned["jwks"] = Canned(201, squeeze(b"\xef\xbb\xbf" + keys), headers)
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    tokens = {"access_token": "new", "refresh_token": "newer"}
    body = squeeze(b"\xef\xbb\xbf" + json.dumps(tokens).encode())
    world.provider.canned["token:refresh_token"] = Canned(201, body, headers)
    assert (await browser.get("/x", follow=False)).status == 200


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(b"{" + b" " * (64 << 20) + b"}"), "gzip"),
        (gzip.compress(b'{"access_token":"x"}')[:-6], "gzip"),
        (b"no gzip at all", "gzip"),
        (b'{"access_token":"x"}', "br"),
        (b"", "gzip"),
    ],
    ids=["a bomb", "cut", "garbage", "unknown", "empty"],
)
async def test_broken_compressed_answers(world: World, body: bytes, coding: str):
    """[2.25]: what does not decompress within the limit is no answer, and keeps the session."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    world.provider.canned["token:refresh_token"] = Canned(200, body, {**JSON, "Content-Encoding": coding})
    assert (await browser.get("/x", follow=False)).status == 503
    assert browser.cookies()


async def test_no_chain_without_progress(world: World):
    """[2.6]: with tokens that are over at once, a request makes one call at most, and nobody is out."""
    browser = world.browser()
    await browser.login()
    world.provider.alter["refresh_token"] = lambda tokens: {**tokens, "expires_in": 0.001}
    world.clock.advance(61)
    for number in range(1, 5):
        assert (await browser.get("/y", follow=False)).status == 200
        assert refreshes(world) == number
    pages = await asyncio.gather(*(tab.fetch("/x") for tab in [browser.clone() for _ in range(20)]))
    assert {page.status for page in pages} == {200}
    assert refreshes(world) <= 4 + 20


async def test_one_outcome_for_one_refusal(world: World):
    """[2.30]: a hundred requests that wait for one refused refresh: one call, one event, one count."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    world.provider.canned["token:refresh_token"] = answer(400, {"error": "invalid_grant"})
    pages = await asyncio.gather(*(browser.fetch(f"/{i}") for i in range(100)))
    assert {page.status for page in pages} == {401}
    assert refreshes(world) == 1
    assert len(world.audit("refresh_failed")) == 1
    (event,) = world.audit("refresh_failed")
    assert (event["reason"], event["error"]) == ("session_ended", "invalid_grant")


@pytest.mark.parametrize(("mode", "status"), [("cookie", 200), ("redis", 401)])
async def test_where_reuse_cannot_be_detected(valkey_url, tmp_path, mode: str, status: int):
    """[2.42]: docs/sessions.md says so: in cookie mode with a provider that does not rotate, a copy lives."""
    async with World(valkey_url, tmp_path, session={"mode": mode, "rotation_grace": "1s"}) as world:
        world.provider.quirks.add("refresh-no-rotation")
        browser = world.browser()
        await browser.login()
        copy = browser.clone()
        world.clock.advance(61)
        for _ in range(2):
            assert (await browser.fetch("/x")).status == 200
        await asyncio.sleep(1.6)
        world.clock.advance(120)
        assert (await copy.fetch("/x")).status == status
        assert bool(world.audit("reuse_detected")) is (status == 401)


def test_the_documentation_says_where_and_what_is_called():
    """[2.42]: the page on sessions says where reuse cannot be detected; revocation is among the calls."""
    docs = Path(__file__).parents[2] / "docs"
    assert "### Where reuse cannot be detected" in (docs / "sessions.md").read_text(encoding="utf-8")
    assert "`revocation`" in (docs / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.settings({"providers": {"demo": {"access_token": "jwt", "audiences": ["demo-api"]}}})
async def test_a_verified_access_token_without_expires_in(world: World):
    """[2.6]: the session is renewed when its access token ends, though only that says when."""
    world.provider.alter["authorization_code"] = lambda tokens: {**tokens, "expires_in": "soon"}
    browser = world.browser()
    await browser.login()
    world.clock.advance(100)
    assert (await browser.get("/x", follow=False)).status == 200
    assert refreshes(world) == 1
