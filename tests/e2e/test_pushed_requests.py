"""Logins that push what they ask for (RFC 9126), at a provider that takes it in earnest."""

import asyncio
import json

import pytest
from yarl import URL

from gateway.demo.faults import Canned
from tests.support.client_keys import pem
from tests.support.world import World

pytestmark = pytest.mark.asyncio

ALWAYS = {"providers": {"demo": {"pushed_requests": "always"}}}
NEVER = {"providers": {"demo": {"pushed_requests": "never"}}}


def par(world: World) -> int:
    return world.provider.counts["par"]


async def begun(world: World, path: str = "/x") -> URL:
    """Return where a navigation is sent to log in."""
    page = await world.browser().get(path, follow=False)
    assert page.status == 303
    return URL(page.headers["Location"], encoded=True)


@pytest.mark.parametrize("mode", ["offered", "required"])
@pytest.mark.parametrize("auth", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
async def test_what_a_login_asks_for_goes_by_the_back_channel(valkey_url, tmp_path, mode: str, auth: str):
    """R2 R15 [11.5]: the browser carries client_id and request_uri alone; the client authenticates."""
    provider: dict = {"client_auth": auth}
    if auth == "private_key_jwt":
        provider |= {"client_secret": None, "signing_keys": [pem()]}
    async with World(valkey_url, tmp_path, providers={"demo": provider}) as world:
        world.provider.pushed_requests = mode
        if auth == "private_key_jwt":
            world.provider.client.auth = "private_key_jwt"
            world.provider.client.jwks_uri = f"{world.base}/.gateway/jwks/demo"
        location = await begun(world, "/deep?x=1")
        assert set(location.query) == {"client_id", "request_uri"}
        assert location.query["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
        page = await world.browser().login("/deep?x=1")
        assert page.text == "hello alice GET /deep?x=1 0"
        assert par(world) == 2
        metrics = (await world.admin("GET", "/metrics")).text
        assert 'gateway_issuer_calls_total{call="par",outcome="ok",provider="demo"} 2.0' in metrics


async def test_where_nothing_is_offered_nothing_is_pushed(world: World):
    """[11.5]: the usual login asks the provider nothing before the browser comes to it."""
    asked = par(world)
    location = await begun(world)
    assert "request_uri" not in location.query
    assert location.query["code_challenge_method"] == "S256"
    assert par(world) == asked == 0


@pytest.mark.settings(NEVER)
async def test_never(world: World):
    """[11.5]: whoever does not want it goes without, though it is offered."""
    world.provider.pushed_requests = "offered"
    assert "request_uri" not in (await begun(world)).query
    assert (await world.browser().login()).status == 200
    assert par(world) == 0


@pytest.mark.settings(ALWAYS)
async def test_always_where_nothing_is_offered(world: World):
    """[11.5]: no login, and nothing about it in the browser's URL: the operator is told what is missing."""
    page = await world.browser().get("/x", follow=False)
    assert page.status == 503
    assert "Location" not in page.headers
    assert any("pushed_authorization_request_endpoint" in json.dumps(line) for line in world.lines)


@pytest.mark.parametrize(
    ("quirk", "word"),
    [
        ("par-refused", "issuer_misconfigured"),
        ("client-refused", "issuer_misconfigured"),
        ("par-no-request-uri", "issuer_unavailable"),
        ("par-5xx", "issuer_unavailable"),
        ("par-html", "issuer_unavailable"),
        ("par-non-json", "issuer_unavailable"),
        ("par-huge", "issuer_unavailable"),
        ("par-truncated", "issuer_unavailable"),
    ],
)
async def test_a_failure_never_falls_back(world: World, quirk: str, word: str):
    """R60 R61 [11.5]: no login goes by the URL because the call was disturbed; the next one is well again."""
    world.provider.pushed_requests = "offered"
    world.provider.quirks.add(quirk)
    page = await world.browser().get("/x", follow=False, headers={"Accept": "text/html"})
    assert page.status == 503
    assert "Location" not in page.headers
    assert not page.set_cookies
    assert any(line.get("reason") == word for line in world.lines)
    world.provider.quirks.clear()
    assert (await world.browser().login()).status == 200


@pytest.mark.settings({"providers": {"demo": {"timeout": "300ms"}}})
async def test_a_call_that_hangs_is_given_up(world: World):
    """R60 [11.5]: within the provider's time-out; meanwhile whoever is at the provider already comes in."""
    world.provider.pushed_requests = "offered"
    browser = world.browser()
    form = await browser.get("/x")
    world.provider.held["par"] = asyncio.Event()
    waiting = [asyncio.create_task(world.browser().get("/x", follow=False)) for _ in range(40)]
    await world.eventually(lambda: par(world) > 20)
    assert (await browser.submit(form, username="alice", password="alice")).text.startswith("hello alice")
    assert {page.status for page in await asyncio.gather(*waiting)} == {503}
    world.provider.held.clear()
    world.provider.slow_seconds = 0.5
    world.provider.quirks.add("par-slow")
    assert (await world.browser().get("/x", follow=False)).status == 503
    world.provider.quirks.clear()
    assert (await begun(world)).query["request_uri"]


async def test_what_has_expired_is_the_providers_page(world: World):
    """[11.5]: whoever comes late to the provider is told there, and a new visit begins a new login."""
    world.provider.pushed_requests = "offered"
    world.provider.quirks.add("par-expired")
    browser = world.browser()
    page = await browser.get("/x")
    assert page.status == 400
    assert "has expired" in page.text
    world.provider.quirks.clear()
    assert (await browser.login("/x")).text.startswith("hello alice")


@pytest.mark.parametrize(
    "reference",
    ["", " ", "a b", "urn:x\r\nSet-Cookie: a=b", "é", 'a"b', "<script>", "x" * 1025, 7, None, ["urn:x"]],
)
async def test_garbage_for_a_reference(world: World, reference: object):
    """R29 [11.5]: what is no reference is taken for none, and reaches neither header nor page."""
    world.provider.pushed_requests = "offered"
    body = json.dumps({"request_uri": reference, "expires_in": 60}).encode()
    world.provider.canned["par"] = Canned(201, body)
    page = await world.browser().get("/x", follow=False)
    assert page.status == 503
    assert "Location" not in page.headers


@pytest.mark.settings({"limits": {"logins_per_address": 3}})
async def test_nobody_can_make_the_gateway_call_without_end(world: World):
    """R84 [11.5]: logins that cost the provider a call are as bounded by address as those that end."""
    world.provider.pushed_requests = "offered"
    answers = [(await world.browser().get("/x", follow=False)).status for _ in range(6)]
    assert answers == [303, 303, 303, 429, 429, 429]
    assert par(world) == 3
    page = await world.browser().get("/x", follow=False)
    assert int(page.headers["Retry-After"]) >= 1
    # a link that is loaded ahead of anybody's wish, and a script, begin none at all
    assert (await world.browser().fetch("/x", headers={"Sec-Purpose": "prefetch"})).status == 401
    assert par(world) == 3


@pytest.mark.settings({"limits": {"logins_per_address": 1}})
async def test_the_bound_is_for_calls_alone(world: World):
    """[11.5]: where nothing is pushed, a login that begins costs nobody anything, and is not counted."""
    assert [(await world.browser().get("/x", follow=False)).status for _ in range(4)] == [303] * 4
