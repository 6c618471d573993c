"""Issuers whose bearer tokens count and where nobody logs in."""

import json

import pytest

from tests.e2e.test_providers import at_callback, two_providers

pytestmark = pytest.mark.asyncio

ROUTES = [
    {"path": "/machines/", "access": "required", "providers": ["partner"]},
    {"path": "/optional/", "access": "optional", "providers": ["partner"]},
    {"path": "/strong/", "access": "required", "require": {"acr": ["mfa"]}},
    {"path": "/", "access": "required"},
]


@pytest.fixture
async def machines(valkey_url, tmp_path):
    """A world whose partner is an issuer for bearer tokens alone."""
    routes = [{"upstream": "app", **route} for route in ROUTES]

    def section(partner):
        return {"issuer": partner.issuer, "audiences": ["demo-api"], "bearer_only": True}

    async with two_providers(valkey_url, tmp_path, section, routes=routes) as both:
        yield both


async def test_its_bearer_tokens_count_and_nobody_logs_in(machines):
    """R70 [11.4]: a token of it passes; a browser is sent nowhere, nor offered a login without an end."""
    world, partner = machines
    browser = world.browser()
    token = {"Authorization": f"Bearer {partner.mint('robot')}"}
    for path in ("/machines/x", "/optional/x", "/x"):
        assert (await browser.fetch(path, headers=token)).text.startswith("hello robot"), path
    assert (await browser.fetch("/optional/x")).text.startswith("hello nobody")
    page = await browser.get("/machines/x", follow=False)
    assert page.status == 401
    assert "/.gateway/login" not in page.text
    assert "login_url" not in json.loads((await browser.fetch("/machines/x")).text)
    # where others come in as well, logins go to them
    page = await browser.get("/x", follow=False)
    assert page.headers["Location"].startswith(world.provider.issuer)
    assert partner.counts["authorize"] == 0


async def test_no_login_can_be_begun_or_ended_there(machines):
    """R71 [11.4]: neither by its name nor its issuer, and its callback is none."""
    world, partner = machines
    browser = world.browser()
    for query in ("provider=partner", f"iss={partner.issuer}"):
        page = await browser.get(f"/.gateway/login?{query}", follow=False)
        assert (page.status, "request_malformed" in page.text) == (400, True)
    page = await browser.get("/.gateway/callback/partner?state=x&code=y", follow=False)
    assert page.status == 404


async def test_a_challenge_offers_no_login_there(machines):
    """R70 [11.4]: step-up is asked of a token's caller, with no link to a login that does not exist."""
    world, partner = machines
    token = {"Authorization": f"Bearer {partner.mint('robot')}"}
    page = await world.browser().fetch("/strong/x", headers=token)
    assert page.status == 401
    assert "authentication_too_weak" in page.text
    assert "/.gateway/login" not in page.text


async def test_a_logout_token_without_a_client_is_refused(machines):
    """R51 [11.4]: logout tokens are for clients, and there is none; also not with an empty aud."""
    world, partner = machines
    for aud in ("demo", "", None):
        token = partner.logout_token(sub="robot", aud=aud)
        page = await world.browser().request(
            "POST",
            "/.gateway/backchannel-logout",
            follow=False,
            headers={"Accept": "*/*"},
            data={"logout_token": token},
        )
        assert page.status == 400, page.text
    sent = {"Authorization": f"Bearer {partner.mint('robot')}"}
    assert (await world.browser().fetch("/x", headers=sent)).status == 200


async def test_a_provider_that_becomes_bearer_only_has_no_sessions(valkey_url, tmp_path):
    """R70 [11.4]: by a reload; neither its sessions nor a login under way there go on."""
    async with two_providers(valkey_url, tmp_path) as (world, partner):
        browser, other = world.browser(), world.browser()
        await browser.login("/partner/x", "bob")
        under_way = await at_callback(world, other, await other.get("/partner/x"))
        data = world.config()
        data["providers"]["partner"] |= {"bearer_only": True}
        data["routes"] = [{"upstream": "app", "path": "/", "access": "required"}]
        world.gateway.reload(world.settings.model_validate(data))
        assert (await browser.fetch("/x")).status == 401
        calls = partner.counts["token:authorization_code"]
        assert (await other.get(under_way, follow=False)).status == 404
        assert partner.counts["token:authorization_code"] == calls
