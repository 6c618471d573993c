"""Sessions for which no refresh token came: how long they last, and what still ends them."""

import pytest

from tests.support.world import World, merge

pytestmark = pytest.mark.asyncio

HOUR = 3600.0


def override(mode: str, **session: object) -> dict:
    return {"session": {"mode": mode, "rotation_grace": "60s", **session}}


@pytest.fixture(params=["cookie", "redis"])
async def alone(request, valkey_url, tmp_path):
    """A world whose provider gives no refresh tokens, and access tokens of a minute."""
    marker = request.node.get_closest_marker("settings")
    settings = merge(override(request.param), marker.args[0] if marker else {})
    async with World(valkey_url, tmp_path, **settings) as world:
        world.provider.quirks = ("no-refresh-token",)
        yield world


async def test_r42_it_does_not_end_with_the_access_token(alone: World):
    """R42 [11.3]: it lasts for idle_lifetime from its login, used or not, and asks the provider nothing."""
    browser = alone.browser()
    await browser.login()
    asked = alone.provider.counts.copy()
    for _ in range(7):
        alone.clock.advance(HOUR)
        assert (await browser.fetch("/x")).status == 200
    alone.clock.advance(HOUR - 60)
    assert (await browser.fetch("/x")).status == 200
    alone.clock.advance(61)
    page = await browser.fetch("/x")
    assert page.status == 401
    assert "session_expired" in page.text
    assert alone.provider.counts == asked


@pytest.mark.settings({"session": {"without_refresh": "10m"}})
async def test_r42_as_long_as_the_operator_says(alone: World):
    """R42 [11.3]: without_refresh bounds it, and its cookies' Max-Age says so; a navigation logs in anew."""
    browser = alone.browser()
    await browser.login()
    alone.clock.advance(599)
    assert (await browser.fetch("/x")).status == 200
    alone.clock.advance(2)
    assert (await browser.fetch("/x")).status == 401
    assert "password" in (await browser.get("/x")).text


@pytest.mark.settings({"session": {"without_refresh": "6h", "idle_lifetime": "1h", "claims_max_age": "6h"}})
async def test_r42_the_idle_lifetime_holds_as_well(alone: World):
    """R42 [11.3]: being unused ends it as it ends any other; being used does not prolong it."""
    busy, idle = alone.browser(), alone.browser()
    await busy.login()
    await idle.login()
    for _ in range(7):
        alone.clock.advance(HOUR / 2)
        assert (await busy.fetch("/x")).status == 200
        await alone.gateway.sessions.drain()
    assert (await idle.fetch("/x")).status == 401
    alone.clock.advance(2.6 * HOUR)
    assert (await busy.fetch("/x")).status == 401


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_the_absolute_lifetime_is_the_most(valkey_url, tmp_path, mode: str):
    """R42 [11.3]: where idle_lifetime stands in, no session outlives absolute_lifetime."""
    session = override(mode, idle_lifetime="2h", absolute_lifetime="2h")
    async with World(valkey_url, tmp_path, **session) as world:
        world.provider.quirks = ("no-refresh-token",)
        browser = world.browser()
        await browser.login()
        world.clock.advance(2 * HOUR - 10)
        assert (await browser.fetch("/x")).status == 200
        world.clock.advance(11)
        assert (await browser.fetch("/x")).status == 401


async def test_a_refresh_cookie_that_was_thrown_away_prolongs_nothing(world: World):
    """R42 [11.3]: a session that had a refresh token ends with its access token where that is withheld.

    Else whoever holds the cookies keeps the provider from ever being asked again: a disabled account goes on.
    """
    browser = world.browser()
    await browser.login()
    cookies = browser.cookies()
    session_only = {name: value for name, value in cookies.items() if "-refresh" not in name}
    assert len(session_only) < len(cookies)
    thief = world.browser()
    header = {"Cookie": "; ".join(f"{name}={value}" for name, value in session_only.items())}
    assert (await thief.fetch("/x", headers=header)).status == 200
    world.clock.advance(61)
    page = await thief.fetch("/x", headers=header)
    assert page.status == 401
    assert "session_expired" in page.text


async def test_what_ends_any_session_ends_it(alone: World):
    """R43 R44 [11.3]: logout, an operator and the provider's back channel, hours after the token expired."""
    logs_out, revoked, by_provider = (alone.browser() for _ in range(3))
    await logs_out.login()
    await revoked.login(user="bob")
    await by_provider.login()
    alone.clock.advance(2 * HOUR)
    copy = logs_out.clone()
    assert (await copy.fetch("/x")).status == 200
    await logs_out.submit(await logs_out.get("/.gateway/logout"))
    assert (await copy.fetch("/x")).status == 401
    body = {"sub": "bob"}
    assert (await alone.admin("POST", "/revoke", json=body)).status == 200
    page = await revoked.fetch("/x")
    assert page.status == 401
    assert "revoked" in page.text
    sid = list(alone.provider.grants.families)[-1]
    uri = f"{alone.base}/.gateway/backchannel-logout"
    assert (await alone.provider.backchannel_logout(uri=uri, sid=sid)).status == 200
    assert (await by_provider.fetch("/x")).status == 401


JWT = {"providers": {"demo": {"access_token": "jwt", "scopes": ["openid", "profile", "email", "api"]}}}


@pytest.mark.settings(JWT)
async def test_r18_an_access_token_that_is_verified_holds_as_it_came(alone: World):
    """R18 [11.3]: access_token: jwt: scopes and claims go on as at the login, under keys that still count."""
    browser = alone.browser()
    await browser.login()
    alone.clock.advance(7 * HOUR)
    assert (await browser.fetch("/api/x")).status == 200
    # the provider withdraws the key: what it signed says nothing any more, once its keys were fetched again
    alone.provider.keys.rotate(overlap=False)
    stranger = {"Authorization": f"Bearer {alone.provider.mint('alice', 'openid api')}"}
    assert (await alone.browser().fetch("/api/x", headers=stranger)).status == 200
    page = await browser.fetch("/api/x")
    assert page.status == 401
    assert "token_key_unknown" in page.text


async def test_r23_a_bearer_token_still_ends_at_its_exp(alone: World):
    """R21 [11.3]: only a session's own token is held to what it was; presented, an expired one is refused."""
    token = alone.provider.mint("alice", "openid api")
    script = alone.browser()
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await script.fetch("/api/x", headers=bearer)).status == 200
    alone.clock.advance(60 + 31)
    page = await script.fetch("/api/x", headers=bearer)
    assert page.status == 401
    assert "token_expired" in page.text


@pytest.mark.settings({"session": {"claims_max_age": "30m"}})
async def test_r68_what_was_told_still_ages(alone: World):
    """R68 [11.3]: claims that nothing can tell anew count no longer than claims_max_age."""
    browser = alone.browser()
    await browser.login()
    alone.clock.advance(1790)
    assert (await browser.fetch("/x")).status == 200
    alone.clock.advance(11)
    page = await browser.fetch("/x")
    assert page.status == 401
    assert "claims_too_old" in page.text


TOLD = {
    "routes": [
        {"path": "/token/", "upstream": "app", "access": "required", "authorization": "access_token"},
        {"path": "/", "upstream": "app", "access": "required"},
    ]
}


@pytest.mark.settings(TOLD)
async def test_an_upstream_gets_no_token_that_has_ended(alone: World):
    """[11.3]: where an upstream is to get the session's access token, the session does only while that holds.

    Elsewhere it goes on; a navigation logs in anew, and the upstream gets the token of that login.
    """
    browser = alone.browser()
    await browser.login()
    assert (await browser.fetch("/token/x")).status == 200
    first = alone.upstream.last().headers["Authorization"]
    alone.clock.advance(61)
    seen = len(alone.upstream.seen)
    page = await browser.fetch("/token/x")
    assert page.status == 401
    assert "access_token_missing" in page.text
    assert len(alone.upstream.seen) == seen
    assert (await browser.fetch("/x")).status == 200
    assert "Authorization" not in alone.upstream.last().headers
    assert (await browser.login("/token/y")).status == 200
    assert alone.upstream.last().headers["Authorization"] not in ("", first)
