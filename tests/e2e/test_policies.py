"""Policies in a whole gateway: who comes in, and what the others are told."""

import html
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from gateway.config.settings.root import Settings
from tests.support.world import Browser, World

OFFICE = {"networks": ["198.51.100.0/24"]}
SETTINGS: dict[str, Any] = {
    "trusted_proxies": ["127.0.0.1"],
    "contact": "it@example.com",
    "policies": {
        "people": {"email_domains": ["example.com"]},
        "office": OFFICE,
        "payroll": {"description": "You have to work in payroll.", "groups": ["payroll"]},
    },
    "require": "people",
    "routes": [
        {"path": "/", "exact": True, "upstream": "app", "access": "public"},
        {"path": "/optional/", "upstream": "app", "access": "optional"},
        {"path": "/office/", "upstream": "app", "access": "required", "require": "office"},
        {
            "path": "/admin/",
            "upstream": "app",
            "access": "required",
            "require": {"groups": ["admins", "chiefs"]},
        },
        {
            "path": "/payroll/",
            "upstream": "app",
            "access": "required",
            "require": "payroll",
            "contact": "https://example.com/payroll",
        },
        {
            "path": "/either/",
            "upstream": "app",
            "access": "required",
            "require": {"any": ["office", {"acr": ["gold"]}]},
        },
        {"path": "/free/", "upstream": "app", "access": "required", "default_require": False},
        {
            "path": "/kept-out/",
            "upstream": "app",
            "access": "required",
            "require": {"not": {"groups": ["admins"]}},
        },
        {"path": "/pages/", "upstream": "app", "access": "required"},
    ],
}


@pytest.fixture(params=["cookie", "redis"])
async def world(request, valkey_url, tmp_path) -> AsyncIterator[World]:
    """A gateway in either session mode."""
    async with World(valkey_url, tmp_path, session={"mode": request.param}, **SETTINGS) as world:
        yield world


async def logged_in(world: World, user: str = "bob", path: str = "/pages/") -> Browser:
    """Return a browser of somebody."""
    browser = world.browser()
    assert (await browser.login(path, user)).status == 200
    return browser


async def test_a_refused_person_is_told_what_is_missing(world: World):
    """[11.1]: on a page: what, whom to ask, who they are, another account; to a script: what and whom."""
    bob = await logged_in(world)
    page = await bob.get("/admin/")
    assert page.status == 403
    text = html.unescape(page.text)
    assert "What is missing" in text
    assert "<li>one of the groups admins or chiefs</li>" in text
    assert 'Whom to ask: <a href="mailto:it@example.com">it@example.com</a>' in text
    assert "You are logged in as <strong>bob@example.com</strong>" in text
    for button in ("Use another account", "Log out"):
        assert re.search(rf'<a class="button[^"]*" href="[^"]+">{button}</a>', text), button
    assert "chiefs" not in text.partition("<main")[0]
    page = await bob.get("/payroll/")
    text = html.unescape(page.text)
    assert "<li>You have to work in payroll.</li>" in text
    assert '<a href="https://example.com/payroll">https://example.com/payroll</a>' in text
    problem = await bob.fetch("/payroll/")
    assert problem.status == 403
    assert '"reason":"group_missing"' in problem.text
    assert '"missing":["You have to work in payroll."]' in problem.text.replace(": ", ":")
    assert '"contact":"https://example.com/payroll"' in problem.text
    page = await bob.get("/kept-out/")
    assert page.status == 200
    alice = await logged_in(world, "alice")
    page = await alice.get("/kept-out/")
    assert "policy_unmet" in page.text
    assert "admins" not in page.text
    found = [line for line in world.audit("refusal") if line["reason"] == "group_missing"]
    assert found[0]["missing"] == ["one of the groups admins or chiefs"]
    metrics = (await world.admin("GET", "/metrics")).text
    assert re.search(r'gateway_requests_total\{[^}]*reason="policy_unmet"[^}]*\} 1', metrics)


async def test_another_account_comes_in(world: World):
    """[11.1]: what a refused person is offered leads to the page that they wanted."""
    bob = await logged_in(world)
    page = await bob.get("/admin/x")
    offer = re.search(r'href="([^"]+)">Use another account', page.text)
    assert offer is not None
    form = await bob.get(html.unescape(offer[1]))
    page = await bob.submit(form, username="alice", password="alice")
    assert page.status == 200
    assert str(page.url) == f"{world.base}/admin/x"


async def test_networks_count_by_the_clients_address(world: World):
    """[11.1] R64: each request by its own, on a warm gateway too; nobody is believed but a trusted proxy."""
    bob = await logged_in(world)
    inside, outside = {"X-Forwarded-For": "198.51.100.7"}, {"X-Forwarded-For": "203.0.113.7"}
    for _ in range(3):
        assert (await bob.fetch("/office/", headers=inside)).status == 200
        page = await bob.fetch("/office/", headers=outside)
        assert (page.status, "network_forbidden" in page.text) == (403, True)
        assert "198.51" not in page.text
        # what a client says before its proxy is not believed, and the proxy itself is in no network
        spoofed = {"X-Forwarded-For": "198.51.100.7, 203.0.113.7"}
        assert (await bob.fetch("/office/", headers=spoofed)).status == 403
        assert (await bob.fetch("/office/")).status == 403
        assert (await bob.fetch("/office/", headers={"X-Forwarded-For": "198.51.100"})).status == 400
        assert (await bob.fetch("/office/", headers={"X-Real-IP": "198.51.100.7"})).status == 403


async def test_the_policy_of_all_routes(world: World):
    """[11.1]: it holds beside each route's own; on an optional one somebody whom it leaves out is nobody."""
    world.provider.accounts["bob"] |= {"email_verified": False}
    stranger = world.browser()
    page = await stranger.login("/free/", "bob")
    assert page.text == "hello bob GET /free/ 0"
    for path in ("/pages/", "/office/", "/admin/"):
        for _ in range(2):
            page = await stranger.get(path, headers={"X-Forwarded-For": "198.51.100.7"})
            assert page.status == 403
            assert "a verified e-mail address of example.com" in page.text
    assert (await stranger.get("/optional/")).text == "hello nobody GET /optional/ 0"
    assert "bob" not in str(world.upstream.last().headers)
    alice = await logged_in(world, "alice")
    assert (await alice.get("/optional/")).text == "hello alice GET /optional/ 0"
    token = world.provider.mint("bob")
    for path in ("/optional/", "/pages/"):
        page = await world.browser().fetch(path, headers={"Authorization": f"Bearer {token}"})
        assert page.status == 403
    assert (await stranger.get("/")).text == "hello nobody GET / 0"
    assert (await stranger.get("/.gateway/userinfo")).status == 200


async def test_a_stronger_login_is_one_of_two_ways(world: World):
    """[11.1]: whoever is elsewhere is sent to step up, and nobody else is (RFC 9470)."""
    bob = await logged_in(world)
    inside = {"X-Forwarded-For": "198.51.100.7"}
    assert (await bob.get("/either/", headers=inside)).status == 200
    answer = await bob.get("/either/", follow=False)
    assert answer.status in (302, 303)
    assert URL(answer.headers["Location"]).query["acr_values"] == "gold"
    problem = await bob.fetch("/either/")
    assert problem.status == 401
    assert 'acr_values="gold"' in problem.headers["WWW-Authenticate"]
    # nobody who is not logged in is asked for it before it is known that it is needed
    answer = await world.browser().get("/either/", follow=False)
    assert "acr_values" not in URL(answer.headers["Location"]).query


async def test_a_reload_holds_at_once_for_who_was_let_in(world: World):
    """[11.1]: what is remembered of an identity is forgotten with the configuration."""
    alice = await logged_in(world, "alice")
    for _ in range(3):
        assert (await alice.get("/admin/")).status == 200
    data = world.config()
    people = {"email_domains": ["example.com"], "not": {"groups": ["admins"]}}
    data["policies"] = {**data["policies"], "people": people}
    world.gateway.reload(Settings.model_validate(data))
    for _ in range(3):
        assert (await alice.get("/admin/")).status == 403
    world.gateway.reload(world.settings)
    assert (await alice.get("/admin/")).status == 200
