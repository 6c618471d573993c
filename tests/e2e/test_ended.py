"""Sessions that end elsewhere: at the provider, by a later login, by a revocation at another worker."""

import re

import pytest
from aiohttp import WSMsgType
from yarl import URL

from tests.support.ports import free_port
from tests.support.world import NAVIGATE, Browser, World

pytestmark = pytest.mark.asyncio
COOKIE = {"session": {"mode": "cookie"}}
REDIS = {"session": {"mode": "redis"}}
MODES = pytest.mark.parametrize(
    "mode",
    [
        pytest.param("cookie", marks=pytest.mark.settings(COOKIE)),
        pytest.param("redis", marks=pytest.mark.settings(REDIS)),
    ],
)


class Elsewhere:
    """Another gateway on the same store, asked with a browser's cookies."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.port = free_port()

    async def start(self) -> "Elsewhere":
        """Start it."""
        data = self.world.config() | {"listen": f"127.0.0.1:{self.port}"}
        self.gateway = await self.world.start_gateway(type(self.world.settings).model_validate(data))
        return self

    def fields(self, browser: Browser) -> dict[str, str]:
        """Return what a browser sends."""
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
        return {"Host": f"localhost:{self.world.public_port}", "Cookie": cookie}

    async def ask(self, browser: Browser, path: str = "/x", **more: str):
        """Ask with a browser's cookies, as a script does."""
        stranger = self.world.browser()
        headers = {"Accept": "*/*", "Sec-Fetch-Mode": "cors"} | self.fields(browser) | more
        return await stranger.request(
            "GET", f"http://127.0.0.1:{self.port}{path}", follow=False, headers=headers
        )


def word_of(page) -> str:
    """Return the reason that a problem document names."""
    return re.search(r'"reason": ?"(\w+)"', page.text)[1]


@MODES
async def test_r74_a_session_that_the_provider_ends_is_over_everywhere(world: World, mode: str):
    """R74 [1.12]: refused at one, its WebSocket at the other closes; it is no revocation."""
    assert world.settings.session.mode == mode
    world.provider.access_lifetime = 60.0
    elsewhere = await Elsewhere(world).start()
    browser, bob = world.browser(), world.browser()
    await browser.login()
    await bob.login("/", "bob")
    copy = browser.clone()
    open_at = []
    for who in (browser, bob):
        headers = elsewhere.fields(who) | {"Origin": world.base}
        ws = await world.browser().session.ws_connect(
            f"http://127.0.0.1:{elsewhere.port}/ws", headers=headers
        )
        await ws.send_str("there?")
        assert (await ws.receive(5)).data == "there?"
        open_at.append(ws)
    for family in world.provider.grants.families.values():
        family.alive = family.user == "bob"
    world.clock.advance(61)
    assert word_of(await browser.fetch("/x")) == "session_ended"
    message = await open_at[0].receive(5)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
    assert {line["reason"] for line in world.audit("stream_ended")} == {"session_ended"}
    await open_at[1].send_str("there?")
    assert (await open_at[1].receive(5)).data == "there?"
    for answer in (await elsewhere.ask(copy), await copy.fetch("/x")):
        assert (answer.status, word_of(answer)) == (401, "session_ended")
    # no page about a revocation: a new login begins by itself
    answer = await elsewhere.ask(copy, **NAVIGATE)
    assert answer.status == 303
    assert answer.headers["Location"].startswith(world.provider.issuer)
    assert world.provider.counts["token:refresh_token"] == 1


@pytest.mark.settings(COOKIE)
async def test_r41_a_later_login_of_the_same_person_ends_the_session_before(world: World):
    """R41 [1.17]: a copy of the earlier cookies lives for the grace, for her other tabs, and no longer."""
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    page = await browser.get("/.gateway/login?return_to=/x")
    await browser.submit(page, username="alice", password="alice")
    assert (await copy.fetch("/x")).status == 200
    (timer, _), *others = world.gateway.sessions._replaced.values()
    assert not others
    left = timer.when() - timer._loop.time()
    assert 0 < left <= world.settings.session.rotation_grace
    # what was put off is done
    await world.gateway.sessions.drain()
    assert (await copy.fetch("/x")).status == 401
    assert (await browser.fetch("/x")).status == 200


@pytest.mark.settings(COOKIE)
async def test_r41_a_later_login_of_another_ends_it_at_once(world: World):
    """R41 [1.17]: B after A: A's copy is out; and A's entry lives no longer than a copy may idle."""
    browser = world.browser()
    await browser.login("/", "alice")
    copy = browser.clone()
    page = await browser.get("/.gateway/login?return_to=/x")
    await browser.submit(page, username="bob", password="bob")
    assert (await copy.fetch("/x")).status == 401
    assert not world.gateway.sessions._replaced
    (entry,) = world.gateway.denylist.entries(0)
    session = world.settings.session
    assert entry.kind == "session"
    assert world.clock() + session.idle_lifetime < entry.expires <= world.clock() + session.idle_lifetime + 60


@pytest.mark.parametrize("what", ["logout", "revoke"])
@MODES
async def test_entries_of_sessions_live_as_long_as_a_copy_may_idle(world: World, mode: str, what: str):
    """[1.17]: whoever writes them, and until then a copy stays out."""
    assert world.settings.session.mode == mode
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    (login,) = world.audit("login")
    if what == "logout":
        await browser.fetch("/.gateway/logout", method="POST", headers={"Sec-Fetch-Site": "same-origin"})
    else:
        await world.admin("POST", "/revoke", json={"session": login["session"]})
    (entry,) = world.gateway.denylist.entries(0)
    idle = world.settings.session.idle_lifetime
    assert entry.value == login["session"]
    assert world.clock() + idle < entry.expires <= world.clock() + idle + 60
    world.clock.advance(entry.expires - world.clock() - 1)
    assert (await copy.fetch("/x")).status == 401
    world.clock.advance(2)
    world.gateway.denylist.expire(world.clock())
    assert (await copy.fetch("/x")).status == 401


@pytest.mark.parametrize("how", ["sub", "sid"])
@MODES
async def test_r44_the_answer_is_the_same_whatever_a_worker_remembers(world: World, mode: str, how: str):
    """R44 [3.15]: a page for navigations, 401 for scripts, anonymous on optional routes."""
    assert world.settings.session.mode == mode
    stranger = await Elsewhere(world).start()
    browser = world.browser()
    await browser.login()
    sid = re.search(r'"sid": ?"([^"]+)"', (await browser.fetch("/.gateway/userinfo")).text)[1]
    before = browser.clone()
    assert (await world.admin("POST", "/revoke", json={how: "alice" if how == "sub" else sid})).status == 200
    # what the store still holds of it is deleted behind the answer
    await world.gateway.sessions.drain()
    late = await Elsewhere(world).start()
    here = Elsewhere(world)
    here.port = world.public_port
    for at in (here, stranger, late):
        answer = await at.ask(before)
        assert (answer.status, word_of(answer)) == (401, "revoked")
        answer = await at.ask(before, **NAVIGATE)
        assert answer.status == 401
        assert "text/html" in answer.headers["Content-Type"]
        assert "revoked" in answer.text
        for fields in ({}, NAVIGATE):
            answer = await at.ask(before, "/optional/x", **fields)
            assert (answer.status, answer.text) == (200, "hello nobody GET /optional/x 0")


@pytest.mark.settings(COOKIE)
async def test_r41_a_session_that_was_replaced_ends_though_its_worker_is_gone(world: World):
    """R41 [1.17]: the end is in the store before the grace is over, for whoever lives then."""
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    elsewhere = await Elsewhere(world).start()
    page = await browser.get("/.gateway/login?return_to=/x")
    await browser.submit(page, username="alice", password="alice")
    (timer, entry), *_ = world.gateway.sessions._replaced.values()
    timer.cancel()
    due = world.gateway.store.key("{denylist}", "due")
    await world.eventually(lambda: not world.gateway.sessions._clearing)
    (member,) = await world.gateway.store.execute("ZRANGE", due, 0, -1)
    assert (await elsewhere.ask(copy)).status == 200
    # the grace is over
    await world.gateway.store.execute("ZADD", due, 1, member)
    await world.eventually(lambda: [*elsewhere.gateway.denylist.entries(0)])
    assert [each.value for each in elsewhere.gateway.denylist.entries(0)] == [entry.value]
    assert (await elsewhere.ask(copy)).status == 401


@pytest.mark.parametrize(
    "late",
    [
        pytest.param("stale", marks=pytest.mark.settings({"denylist": {"when_stale": "allow"}})),
        pytest.param("slow", marks=pytest.mark.settings({"denylist": {"max_staleness": "2h"}})),
    ],
)
async def test_r44_a_copy_that_a_worker_sealed_anew_meanwhile_stays_out(world: World, late: str):
    """R44 [1.17]: it has not heard of the session's end for an hour; what it gave is of no use ever."""
    assert late in ("stale", "slow")
    world.provider.access_lifetime = 86_400.0
    browser = world.browser()
    await browser.login()
    copy, thief = browser.clone(), browser.clone()
    elsewhere = await Elsewhere(world).start()
    # cut off from the store
    await elsewhere.gateway.revocations.close()
    (login,) = world.audit("login")
    await world.admin("POST", "/revoke", json={"session": login["session"]})
    assert (await copy.fetch("/x")).status == 401
    world.clock.advance(3500)
    answer = await elsewhere.ask(thief)
    assert answer.status == 200
    thief.jar.update_cookies(
        {
            name: value
            for name, _, value in (one.partition(";")[0].partition("=") for one in answer.set_cookies)
        },
        URL(world.base),
    )
    world.clock.advance(world.settings.session.idle_lifetime - 600)
    world.gateway.denylist.expire(world.clock())
    assert (await thief.fetch("/x")).status == 401
