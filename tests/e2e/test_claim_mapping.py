"""Claims under the names that the configuration gives them, in sessions of either mode and by refreshes."""

import pytest

from tests.support.world import World

pytestmark = pytest.mark.asyncio

CLAIMS = {
    "groups": {"list_of": ["realm_access.roles", "more[].name"]},
    "who": {"template": "{name} <{sub}>"},
    "tenant": {"value": "corporate"},
}


@pytest.fixture(params=["cookie", "redis"])
async def mapped(request, valkey_url, tmp_path):
    """A world whose provider has other names for things."""
    override = {
        "session": {"mode": request.param},
        "providers": {"demo": {"claims": CLAIMS, "userinfo": True}},
        "identity_headers": {
            "X-Forwarded-User": "sub",
            "X-Forwarded-Groups": "groups",
            "X-Who": "who",
            "X-Tenant": "tenant",
        },
    }
    async with World(valkey_url, tmp_path, **override) as world:
        alice = world.provider.accounts["alice"]
        alice["groups"] = ["impostors"]
        alice["realm_access"] = {"roles": ["admins"]}
        alice["more"] = [{"name": "night, shift"}]
        yield world


async def test_sessions_and_their_refreshes_are_mapped(mapped):
    """R68 [11.4]: what a refresh tells anew is mapped anew; what the provider calls `groups` never counts."""
    world = mapped
    browser = world.browser()
    assert (await browser.login("/admin/x", "alice")).status == 200
    seen = world.upstream.last().headers
    assert seen["X-Forwarded-Groups"] == "admins,night%2C shift"
    assert seen["X-Who"] == "Alice Example <alice>"
    assert seen["X-Tenant"] == "corporate"
    world.provider.accounts["alice"]["realm_access"] = {"roles": ["staff"]}
    world.provider.accounts["alice"]["groups"] = ["admins"]
    world.clock.advance(70)
    assert (await browser.fetch("/x")).status == 200
    assert world.upstream.last().headers["X-Forwarded-Groups"] == "staff,night%2C shift"
    assert (await browser.fetch("/admin/x")).status == 403


async def test_bearer_tokens_are_mapped(mapped):
    """R57 [11.4]: a client's headers are dropped, its token's claims are mapped."""
    world = mapped
    token = world.provider.mint("alice", groups=["admins"], realm_access={"roles": ["staff"]})
    sent = {"Authorization": f"Bearer {token}", "X-Tenant": "evil", "X_Who": "evil"}
    browser = world.browser()
    assert (await browser.fetch("/admin/x", headers=sent)).status == 403
    assert (await browser.fetch("/x", headers=sent)).status == 200
    seen = world.upstream.last().headers
    assert seen.getall("X-Tenant") == ["corporate"]
    assert seen["X-Forwarded-Groups"] == "staff,night%2C shift"
    assert "X_Who" not in seen


async def test_r80_an_unverified_address_is_told_under_no_other_name(valkey_url, tmp_path):
    """R80 [11.4]: of sessions as well, though nothing else there asks whether it is verified."""
    override = {
        "providers": {"demo": {"claims": {"contact": "email", "line": {"template": "<{email}>"}}}},
        "identity_headers": {"X-Forwarded-User": "sub", "X-Contact": "contact", "X-Line": "line"},
    }
    async with World(valkey_url, tmp_path, **override) as world:
        browser = world.browser()
        await browser.login("/x", "alice")
        assert world.upstream.last().headers["X-Contact"] == "alice@example.com"
        world.provider.accounts["alice"]["email_verified"] = False
        world.clock.advance(70)
        await browser.fetch("/x")
        seen = world.upstream.last().headers
        assert "X-Contact" not in seen
        assert "X-Line" not in seen
