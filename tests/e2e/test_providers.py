"""Several providers beside one another: whose people come in where, and at whose callback."""

import contextlib
import html
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from gateway.demo.faults import Canned
from gateway.demo.provider import DemoProvider
from tests.support.world import CLIENT_SECRET, World

pytestmark = pytest.mark.asyncio

ROUTES = [
    {"path": "/demo/", "access": "required", "provider": "demo"},
    {"path": "/partner/", "access": "required", "provider": "partner"},
    {"path": "/optional/", "access": "optional", "provider": "demo"},
    {"path": "/both/", "access": "required", "providers": ["partner", "demo"]},
    {
        "path": "/strong/",
        "access": "required",
        "providers": ["partner", "demo"],
        "require": {"acr": ["mfa"]},
    },
    {"path": "/", "access": "required"},
]


@contextlib.asynccontextmanager
async def two_providers(
    valkey_url: str, tmp_path: Any, partner_section: Any = None, **override: Any
) -> AsyncIterator[tuple[World, DemoProvider]]:
    """A world with a second provider, ``partner``, whose alice is somebody else."""
    worlds: list[World] = []
    partner = DemoProvider(
        "demo", CLIENT_SECRET, (), "demo-api", clock=lambda: worlds[0].clock() if worlds else time.time()
    )
    await partner.start()
    section = {
        "issuer": partner.issuer,
        "client_id": "demo",
        "client_secret": CLIENT_SECRET,
        "scopes": ["openid", "offline_access"],
        "audiences": ["demo-api"],
    }
    override = {
        "providers": {"partner": section if partner_section is None else partner_section(partner)},
        "routes": [{"upstream": "app", **route} for route in ROUTES],
        "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Issuer": "iss"},
        **override,
    }
    try:
        async with World(valkey_url, tmp_path, **override) as world:
            worlds.append(world)
            partner.redirect_uris = tuple(
                f"{world.base}/.gateway/callback{end}" for end in ("", "/partner", "/demo")
            )
            yield world, partner
    finally:
        await partner.close()


@pytest.fixture(params=["cookie", "redis"])
async def two(request, valkey_url, tmp_path):
    """Both, in each session mode."""
    session = {"mode": request.param, "rotation_grace": "60s"}
    async with two_providers(valkey_url, tmp_path, session=session) as both:
        yield both


async def test_r70_a_session_of_another_provider_is_none(two):
    """R70 [1.8]: a route's provider restricts: a navigation logs in there, a script gets 401."""
    world, partner = two
    browser = world.browser()
    await browser.login("/partner/x", "alice")
    seen = world.upstream.last().headers
    assert (seen["X-Forwarded-User"], seen["X-Forwarded-Issuer"]) == ("alice", partner.issuer)
    count = len(world.upstream.seen)

    page = await browser.fetch("/demo/x")
    assert page.status == 401
    assert not page.set_cookies, "it is neither cleared nor renewed"
    page = await browser.get("/demo/x", follow=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(world.provider.issuer)
    assert not any("-session=" in line or "-refresh=" in line for line in page.set_cookies)
    assert len(world.upstream.seen) == count

    assert (await browser.fetch("/optional/x")).text == "hello nobody GET /optional/x 0"
    assert "X-Forwarded-Issuer" not in world.upstream.last().headers
    for path in ("/partner/y", "/both/x", "/x"):
        assert (await browser.fetch(path)).status == 200
        assert world.upstream.last().headers["X-Forwarded-Issuer"] == partner.issuer


async def test_r70_nothing_of_another_provider_is_refreshed(two):
    """R70 [1.8]: an expired session of another provider is neither renewed nor lost on a restricted route."""
    world, partner = two
    browser = world.browser()
    await browser.login("/partner/x", "alice")
    world.clock.advance(70)
    for path in ("/demo/x", "/optional/x"):
        assert not (await browser.fetch(path)).set_cookies
    assert partner.counts["token:refresh_token"] == 0
    assert (await browser.fetch("/partner/x")).status == 200
    assert partner.counts["token:refresh_token"] == 1


async def test_r70_a_bearer_token_of_another_provider_is_refused(two):
    """R70 [1.8]: 401 token_issuer, on optional routes too, and for a token that was accepted elsewhere."""
    world, partner = two
    mine = {"Authorization": f"Bearer {world.provider.mint('alice')}"}
    theirs = {"Authorization": f"Bearer {partner.mint('alice')}"}
    browser = world.browser()
    for _ in range(2):
        for path, headers, status in (
            ("/x", theirs, 200),
            ("/partner/x", theirs, 200),
            ("/both/x", theirs, 200),
            ("/both/x", mine, 200),
            ("/demo/x", mine, 200),
            ("/demo/x", theirs, 401),
            ("/optional/x", theirs, 401),
            ("/partner/x", mine, 401),
        ):
            page = await browser.fetch(path, headers=headers)
            assert page.status == status, path
            if status == 401:
                assert "token_issuer" in page.text
    # a session of the other provider, which counts as none, is in no conflict with the token
    await browser.login("/partner/x", "bob")
    assert (await browser.fetch("/demo/x", headers=mine)).text.startswith("hello alice")
    assert (await browser.fetch("/both/x", headers=mine)).status == 400


async def test_r70_going_to_and_fro_is_no_loop(two):
    """R70 [1.8]: each visit to the other provider's part is a login, and never a login_loop."""
    world, _ = two
    browser = world.browser()
    for _ in range(4):
        for part in ("demo", "partner"):
            page = await browser.login(f"/{part}/x", "alice")
            assert page.text.startswith("hello alice"), page.text


async def at_callback(world, browser, page) -> str:
    """Fill in the provider's form and stop at the callback's address."""
    hidden = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page.text))
    action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
    url = page.url.join(URL(action[1]))
    data = {**hidden, "username": "alice", "password": "alice"}
    async with browser.session.post(url, data=data, allow_redirects=False) as answer:
        return answer.headers["Location"]


async def test_r71_each_provider_has_its_own_callback(two):
    """R71 [1.9]: the first keeps the one that is registered, each other one comes back under its name."""
    world, _ = two
    for path, callback in (("/demo/x", "/.gateway/callback"), ("/partner/x", "/.gateway/callback/partner")):
        browser = world.browser()
        location = await at_callback(world, browser, await browser.get(path))
        assert location.startswith(f"{world.base}{callback}?")
        assert (await browser.get(location)).text.startswith("hello alice")


async def test_r71_a_response_at_another_callback_is_refused(two):
    """R71 [1.9]: mix-up: an answer at another provider's callback is refused before any token call."""
    world, partner = two
    for path, wrong in (("/partner/x", "/.gateway/callback?"), ("/demo/x", "/.gateway/callback/partner?")):
        browser = world.browser()
        location = await at_callback(world, browser, await browser.get(path))
        for change in ("", "without iss"):
            query = location.partition("?")[2]
            if change:
                query = "&".join(each for each in query.split("&") if not each.startswith("iss="))
            page = await browser.clone().get(world.base + wrong + query, follow=False)
            assert page.status == 400
            assert "login_issuer_mismatch" in page.text
            # what is offered leads to the page that was wanted
            assert f"return_to={path}" in page.text
    assert world.provider.counts["token:authorization_code"] == 0
    assert partner.counts["token:authorization_code"] == 0
    page = await world.browser().get("/.gateway/callback/nobody?state=x&code=y", follow=False)
    assert page.status == 404


async def test_r71_a_callback_of_ones_own(valkey_url, tmp_path):
    """R71 [1.9]: a path that is registered already can be kept; the token request repeats it."""
    async with two_providers(valkey_url, tmp_path, providers={"demo": {"callback": "/.gateway/back"}}) as (
        world,
        _,
    ):
        world.provider.redirect_uris = (f"{world.base}/.gateway/back",)
        page = await world.browser().login("/demo/x")
        assert page.text == "hello alice GET /demo/x 0"
        page = await world.browser().get("/.gateway/callback?state=x&code=y", follow=False)
        assert (page.status, "login_state_unknown" in page.text) == (400, True)


async def test_the_way_to_log_in_keeps_provider_and_page(two):
    """R70 [2.4]: the URL that a script, a form or a page is told leads to the route's provider and back."""
    world, partner = two

    async def leads_to(text: str) -> tuple[str, str]:
        url = html.unescape(re.search(r'http://localhost:\d+/\.gateway/login[^\s"<]*', text)[0])
        browser = world.browser()
        page = await browser.get(url)
        page = await browser.submit(page, username="alice", password="alice")
        return world.upstream.last().headers["X-Forwarded-Issuer"], str(page.url)

    browser = world.browser()
    here = {"Referer": f"{world.base}/partner/app?tab=2"}
    page = await browser.fetch("/partner/data.json", headers=here)
    assert await leads_to(page.text) == (partner.issuer, f"{world.base}/partner/app?tab=2")
    page = await browser.fetch("/partner/data.json")
    assert await leads_to(page.text) == (partner.issuer, f"{world.base}/partner/data.json")
    page = await browser.fetch("/partner/x", headers={"Referer": "https://evil.example/partner/"})
    assert await leads_to(page.text) == (partner.issuer, f"{world.base}/partner/x")
    page = await browser.request(
        "POST", "/partner/form", follow=False, headers={"Accept": "text/html", **here}, data="x"
    )
    assert page.status == 401
    assert await leads_to(page.text) == (partner.issuer, f"{world.base}/partner/app?tab=2")
    # without a word on the provider, the page's own route says where its people log in
    assert (await leads_to(f"{world.base}/.gateway/login?return_to=/partner/y"))[0] == partner.issuer


async def test_a_script_steps_up_at_the_sessions_own_provider(two):
    """R70 [2.4]: another one's login would begin another session, of somebody else."""
    world, partner = two
    for path, issuer in (("/demo/x", world.provider.issuer), ("/partner/x", partner.issuer)):
        browser = world.browser()
        await browser.login(path, "bob")
        page = await browser.fetch("/strong/x", headers={"Referer": f"{world.base}/x"})
        assert page.status == 401
        assert "authentication_too_weak" in page.text
        page = await browser.get(json.loads(page.text)["login_url"], follow=False)
        assert page.headers["Location"].startswith(issuer)
        assert URL(page.headers["Location"]).query["acr_values"] == "mfa"


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_claims_that_are_too_old_are_asked_for_at_the_sessions_own_provider(valkey_url, tmp_path, mode):
    """R68 R70 [1.6] [2.4]: the session holds, so it is its own provider that has to tell them anew."""
    session = {"mode": mode, "claims_max_age": "30s"}
    async with two_providers(valkey_url, tmp_path, session=session) as (world, partner):
        for path, provider in (("/demo/x", world.provider), ("/partner/x", partner)):
            provider.quirks = {"no-id-token-at-refresh"}
            issuer = provider.issuer
            browser = world.browser()
            await browser.login(path, "alice")
            world.clock.advance(65)
            for target in ("/x", "/both/x"):
                page = await browser.fetch(target)
                assert (page.status, "claims_too_old" in page.text) == (401, True)
                for url in (json.loads(page.text)["login_url"], target):
                    began = await browser.get(url, follow=False)
                    assert began.headers["Location"].startswith(issuer), (path, url)


async def test_r85_the_new_login_is_at_the_sessions_own_provider(two):
    """R85 [2.7]: a session that cannot be renewed is replaced by one of the same provider."""
    world, partner = two
    browser = world.browser()
    await browser.login("/partner/x", "alice")
    world.clock.advance(70)
    partner.canned["token:refresh_token"] = Canned(404, b"<html>")
    for path in ("/x", "/both/x", "/partner/x"):
        page = await browser.get(path, follow=False)
        assert page.status == 503
        (link,) = re.findall(r'href="([^"]*/login[^"]*)"', page.text)
        page = await browser.get(html.unescape(link), follow=False)
        assert page.headers["Location"].startswith(partner.issuer)
