"""Whoever logs in again after a revocation is in at once, everywhere, and who was before is out."""

import pytest

from tests.support.ports import free_port
from tests.support.world import Browser, World

pytestmark = pytest.mark.asyncio
MODES = pytest.mark.parametrize(
    "mode",
    [
        pytest.param("cookie", marks=pytest.mark.settings({"session": {"mode": "cookie"}})),
        pytest.param("redis", marks=pytest.mark.settings({"session": {"mode": "redis"}})),
    ],
)


async def second(world: World) -> str:
    """Start another gateway on the same store, and return its address."""
    port = free_port()
    data = world.config() | {"listen": f"127.0.0.1:{port}"}
    await world.start_gateway(type(world.settings).model_validate(data))
    return f"http://127.0.0.1:{port}"


async def statuses(world: World, bases: tuple[str, ...], browser: Browser) -> list[int]:
    """Ask every gateway with a browser's cookies."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    headers = {"Host": f"localhost:{world.public_port}", "Cookie": cookie}
    return [(await world.browser().fetch(base + "/x", headers=headers)).status for base in bases]


async def end(world: World, how: str, browser: Browser) -> None:
    """Revoke alice in one of the ways that there are."""
    if how == "everywhere":
        headers = {"Sec-Fetch-Site": "same-origin"}
        answer = await browser.clone().fetch(
            "/.gateway/logout", method="POST", headers=headers, data={"everywhere": "1"}
        )
    elif how in ("sub", "all"):
        answer = await world.admin(
            "POST", "/revoke", json={"sub": "alice"} if how == "sub" else {"all": True}
        )
    else:
        about = {"sub": "alice"} if how == "logout of sub" else {"sub": "alice", "sid": "one"}
        uri = f"{world.base}/.gateway/backchannel-logout"
        answer = await world.provider.backchannel_logout(uri=uri, **about)
    assert answer.status == 200


def reuse_sid(world: World) -> None:
    """Let the provider give every login the same sid (keycloak#32197, #46239)."""
    grants = world.provider.grants
    begin = grants.begin

    def begins(*arguments):
        code = begin(*arguments)
        grants._codes[code].family.sid = "one"
        return code

    grants.begin = begins


@MODES
@pytest.mark.parametrize("how", ["sub", "all", "logout of sub", "logout of sid", "everywhere"])
async def test_r66_a_login_after_it_is_in_at_every_gateway(world: World, mode: str, how: str):
    """R66 [1.4]: 0 s and 1 s after ``revoke --sub``, a logout by sub, and by a sid that comes again."""
    assert world.settings.session.mode == mode
    reuse_sid(world)
    bases = (world.base, await second(world))
    browser = world.browser()
    await browser.login()
    before = browser.clone()
    for seconds in (0, 1):
        await end(world, how, browser)
        await world.eventually(lambda: len({gateway.denylist.position for gateway in world.gateways}) == 1)
        assert await statuses(world, bases, before) == [401, 401]
        world.clock.advance(seconds)
        after = world.browser()
        assert (await after.login()).status == 200
        assert await statuses(world, bases, after) == [200, 200]
        assert await statuses(world, bases, before) == [401, 401]
        before = browser = after


@MODES
async def test_r66_a_session_of_a_machine_whose_clock_is_ahead_ends(world: World, mode: str):
    """R66 [1.4]: begun 3 s, or an hour, in the future: out all the same."""
    assert world.settings.session.mode == mode
    for ahead in (3, 3000):
        browser = world.browser()
        world.clock.advance(ahead)
        await browser.login()
        world.clock.advance(-ahead)
        await end(world, "sub", browser)
        assert (await browser.fetch("/x")).status == 401


async def test_r66_a_token_of_a_provider_whose_clock_is_ahead(world: World):
    """R66 [1.4]: 20 s ahead, inside clock_skew, issued before: refused; later ones are good."""
    now = int(world.clock())
    token = world.provider.mint("alice", scope="api", iat=now + 20)
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 200
    await end(world, "sub", world.browser())
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 401
    skew = int(world.settings.providers["demo"].clock_skew)
    world.clock.advance(skew + 2)
    later = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    assert (await world.browser().fetch("/api/x", headers=later)).status == 200


@MODES
@pytest.mark.parametrize("how", ["sub", "all", "logout of sub", "logout of sid"])
async def test_r72_a_login_under_way_becomes_no_session(world: World, mode: str, how: str):
    """R72 [1.10]: begun before, finished after: one new login begins by itself, to the same page."""
    assert world.settings.session.mode == mode
    reuse_sid(world)
    browser = world.browser()
    form = await browser.get("/deep/page?x=1")
    await end(world, how, browser)
    page = await browser.submit(form, username="alice", password="alice")
    # the callback gave no session: the browser is at the provider again
    assert "password" in page.text
    assert f"gateway-{world.public_port}-session" not in browser.cookies()
    page = await browser.submit(page, username="alice", password="alice")
    assert (page.status, page.url.path_qs) == (200, "/deep/page?x=1")
    assert (await browser.fetch("/x")).status == 200
    # each login ends once in the records (R86)
    assert [event["reason"] for event in world.audit("login")] == ["revoked", "login_completed"]


async def test_r72_it_begins_anew_only_once(world: World):
    """R72 [1.10]: where that one is overtaken as well a page says why, and nothing goes round in circles."""
    browser = world.browser()
    form = await browser.get("/deep")
    await end(world, "sub", browser)
    form = await browser.submit(form, username="alice", password="alice")
    await end(world, "sub", browser)
    page = await browser.submit(form, username="alice", password="alice")
    assert (page.status, page.url.path) == (401, "/.gateway/callback")
    assert "revoked" in page.text
    assert (await browser.login("/deep")).status == 200


async def test_r72_a_time_to_come_shuts_out_without_a_circle(world: World):
    """R72 [1.10]: revoked until tomorrow: every login ends at the page, after one more round at most."""
    until = world.clock() + 86_400
    assert (await world.admin("POST", "/revoke", json={"sub": "alice", "before": until})).status == 200
    browser = world.browser()
    page = await browser.login()
    page = await browser.submit(page, username="alice", password="alice")
    assert page.status == 401
    assert "revoked" in page.text
