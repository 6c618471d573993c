"""A person's own sessions: shown to her alone, in both modes, and ended by her, one or all others."""

import json

import pytest

from gateway.cli.online.store import EVERYWHERE, SOMETIMES
from gateway.config.settings.root import Settings
from gateway.core.endpoints.sessions import page_tokens
from gateway.core.sessions.codec import decode_session
from tests.e2e.test_providers import two_providers
from tests.support.ports import free_port
from tests.support.sites import SiteWorld
from tests.support.store import ValkeyServer
from tests.support.world import NAVIGATE, Browser, World

pytestmark = pytest.mark.asyncio
PAGE = "/.gateway/sessions"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
MODES = ("cookie", "redis")


def in_mode(mode: str) -> dict:
    """Return the settings of a mode with a list."""
    return {"mode": mode, "index": mode == "cookie", "rotation_grace": "60s"}


@pytest.fixture(params=MODES)
async def world(request, valkey_url, tmp_path):
    """A gateway with a list of sessions, in each mode."""
    more = {}
    if marker := request.node.get_closest_marker("settings"):
        more = marker.args[0]
    async with World(valkey_url, tmp_path, session=in_mode(request.param), **more) as world:
        yield world


async def noted(world: World) -> None:
    """Wait until what is written behind people's backs has been written."""
    for gateway in world.gateways:
        await gateway.noted.drain()


async def logged_in(world: World, user: str = "alice", agent: str = FIREFOX) -> Browser:
    browser = world.browser()
    browser.session.headers.update({"User-Agent": agent})
    await browser.login("/", user)
    await noted(world)
    return browser


async def own(browser: Browser) -> list[dict]:
    page = await browser.fetch(PAGE, headers={"Accept": "application/json"})
    assert page.status == 200, page.text
    assert page.headers["Cache-Control"] == "no-store"
    return json.loads(page.text)["sessions"]


def token_of(world: World, session_id: str) -> str:
    """Return what the form of a session's page holds."""
    return page_tokens(world.gateway.runtime.ring, session_id)[0]


async def end(browser: Browser, query: str, **more):
    page = await browser.fetch(f"{PAGE}?{query}", method="DELETE", **more)
    return page.status, json.loads(page.text)


async def test_a_person_sees_her_sessions(world: World):
    """R93 [12.sessions]: device, network, since, last seen, which one asks; nobody else's, and no address."""
    before = world.clock()
    alice = await logged_in(world)
    world.clock.advance(5)
    other = await logged_in(world, agent="<script>alert(1)</script>\u202e")
    await logged_in(world, "bob")
    first, second = await own(alice)
    assert (first["this"], second["this"]) == (True, False)
    assert (first["browser"], first["system"], first["network"]) == ("Firefox", "Windows", None)
    assert (second["browser"], second["system"]) == (None, None)
    assert first["network_kind"] == second["network_kind"] == "here"
    assert before - 1 <= first["since"] <= first["last_seen"] <= world.clock() + 1
    assert first["ends"] == pytest.approx(first["since"] + 7 * 86400, abs=2)
    assert first["sites"] == [world.base]
    page = await alice.fetch(PAGE)
    assert not [each for each in ("127.0.0.1", "script", "Mozilla", "bob") if each in page.text]
    seen = await own(other)
    assert {each["id"]: each["this"] for each in seen} == {first["id"]: False, second["id"]: True}


async def test_one_session_ends(world: World):
    """R93 [12.sessions]: at every worker and at once, with its WebSockets; who did it is kept."""
    alice, other = await logged_in(world), await logged_in(world)
    more = {"listen": f"127.0.0.1:{free_port()}", "admin": {"listen": f"127.0.0.1:{free_port()}"}}
    worker = await world.start_gateway(Settings.model_validate(world.config() | more))
    socket = await other.session.ws_connect(other.url("/ws"), origin=world.base)
    (_, there) = await own(alice)
    assert await end(alice, f"session={there['id']}") == (200, {"ended": 1})
    message = await socket.receive(5)
    assert message.data == 1008
    page = await other.fetch("/x")
    # and that browser keeps nothing of what it was shown
    assert (page.status, page.headers["Clear-Site-Data"]) == (401, '"cache"')
    await world.eventually(lambda: worker.denylist.why_ended(there["id"], world.clock()))
    assert [each["this"] for each in await own(alice)] == [True]
    assert (await alice.fetch("/x")).status == 200
    (event,) = world.audit("logout")
    assert (event["how"], event["reason"], event["count"]) == ("sessions_page", "sessions_ended", "1")
    assert (event["ended"], event["subject"]) == (there["id"], "alice")
    metrics = await world.admin("GET", "/metrics")
    assert 'gateway_logouts_total{outcome="completed",reason="sessions_ended"} 1.0' in metrics.text
    # and the store keeps nothing of it on the list
    await world.gateway.sessions.drain()
    assert await world.gateway.sessions.index.read(there["id"]) is None


async def test_all_others_end(world: World):
    """[12.sessions]: all but the one that asks; bob's goes on."""
    alice, bob = await logged_in(world), await logged_in(world, "bob")
    others = [await logged_in(world) for _ in range(3)]
    assert await end(alice, "others=1") == (200, {"ended": 3})
    assert [(await each.fetch("/x")).status for each in others] == [401] * 3
    assert [(await each.fetch("/x")).status for each in (alice, bob)] == [200, 200]
    assert await end(alice, "others=1") == (200, {"ended": 0})
    assert len(await own(bob)) == 1


async def test_nobody_elses(world: World):
    """R93 [12.sessions]: another's session and none at all are told alike, and nothing ends."""
    alice, bob = await logged_in(world), await logged_in(world, "bob")
    ((his),) = await own(bob)
    told = []
    for wanted in (his["id"], "A" * 43, "x", "%00", "a" * 900):
        status, document = await end(alice, f"session={wanted}")
        document.pop("request_id")
        told.append((status, document))
    assert [status for status, _ in told] == [404] * 5
    assert all(each == told[0] for each in told)
    assert (await bob.fetch("/x")).status == 200
    assert not world.audit("logout")
    (mine,) = await own(alice)
    status, document = await end(alice, f"session={mine['id']}")
    assert (status, document["reason"]) == (400, "request_malformed")
    for query in ("", "session=", "others=0", "others=1&session=x", "session=a&session=b", "x=y"):
        assert (await end(alice, query))[0] == 400, query


async def test_a_subject_of_another_provider_is_somebody_else(valkey_url, tmp_path):
    """R70 [12.sessions]: alice here and alice there are two people: neither sees or ends the other's."""
    async with two_providers(valkey_url, tmp_path, session=in_mode("cookie")) as (world, _):
        here, there = world.browser(), world.browser()
        await here.login("/demo/", "alice")
        await there.login("/partner/", "alice")
        await noted(world)
        ((mine), (hers)) = *(await own(here)), *(await own(there))
        assert mine["this"]
        assert hers["this"]
        assert (await end(here, f"session={hers['id']}"))[0] == 404
        assert await end(here, "others=1") == (200, {"ended": 0})
        assert (await there.fetch("/partner/")).status == 200


async def test_other_sites_pages_end_nothing(world: World):
    """R81 [12.sessions]: no form or script of another site, no form that this session's page has not made."""
    alice, other = await logged_in(world), await logged_in(world)
    token, theirs = [token_of(world, (await own(each))[0]["id"]) for each in (alice, other)]
    foreign = [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": world.base, "Sec-Fetch-Site": "cross-site"},
    ]
    for headers in foreign:
        assert (await end(alice, "others=1", headers=headers))[0] == 403
        sent = {**NAVIGATE, **headers}
        answer = await alice.request("POST", PAGE, follow=False, headers=sent, data={"others": "1"})
        assert answer.status == 403
    own_page = {**NAVIGATE, "Origin": world.base, "Sec-Fetch-Site": "same-origin"}
    for form in (
        {"others": "1"},
        {"others": "1", "token": ""},
        {"others": "1", "token": theirs},
        {"others": "1", "token": token[:-1]},
        {"others": "1", "token": token, "more": "x"},
        {"token": token},
    ):
        answer = await alice.request("POST", PAGE, follow=False, headers=own_page, data=form)
        assert answer.status == 400, form
    answer = await alice.request(
        "POST", PAGE, follow=False, headers=own_page, json={"others": "1", "token": token}
    )
    assert answer.status == 400
    assert (await alice.fetch(PAGE, method="PUT")).status == 405
    assert (await alice.fetch(PAGE, method="OPTIONS")).status == 405
    assert (await other.fetch("/x")).status == 200
    form = {"others": "1", "token": token}
    answer = await alice.request("POST", PAGE, follow=False, headers=own_page, data=form)
    assert (answer.status, answer.headers["Location"]) == (303, f"{world.base}{PAGE}?ended=1")
    assert (await other.fetch("/x")).status == 401


async def test_huge_and_odd_inputs(world: World):
    """[12.sessions]: each has a bound, and whatever cannot be read ends nothing."""
    alice, other = await logged_in(world), await logged_in(world)
    own_page = {**NAVIGATE, "Origin": world.base}
    form = "others=1&token=" + "x" * 2000
    headers = {**own_page, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await alice.request("POST", PAGE, follow=False, headers=headers, data=form)
    assert answer.status == 413
    for body in (b"\xff=\x00", b"others", b"&&&", b"token=%ff", "tökén=1".encode(), b"others=1;token=x"):
        answer = await alice.request("POST", PAGE, follow=False, headers=headers, data=body)
        assert answer.status == 400, body
    assert (await end(alice, "session=" + "x" * 6000))[0] == 404
    page = await alice.fetch(PAGE, method="HEAD")
    assert (page.status, page.text) == (200, "")
    assert (await other.fetch("/x")).status == 200


async def test_a_session_that_was_replaced_is_not_shown(world: World):
    """R41 [12.sessions]: whoever logs in anew in the same browser has one session there, and not two."""
    alice = await logged_in(world)
    await alice.submit(await alice.get("/.gateway/login?account=other"), username="alice", password="alice")
    await noted(world)
    assert [each["this"] for each in await own(alice)] == [True]
    world.clock.advance(61)
    for gateway in world.gateways:
        await gateway.sessions.drain()
    assert [each["this"] for each in await own(alice)] == [True]


async def test_whoever_is_nobody_here(world: World):
    """[12.sessions]: 401 without a session that holds, a bearer token or not; and a way to log in."""
    stranger, alice = world.browser(), await logged_in(world)
    page = await stranger.get(PAGE, follow=False)
    assert page.status == 401
    assert f"/.gateway/login?return_to={PAGE}" in page.text
    assert (await stranger.fetch(PAGE, method="DELETE")).status == 401
    bearer = {"Authorization": f"Bearer {'x' * 40}"}
    assert (await stranger.fetch(PAGE, headers=bearer)).status == 401
    copy = alice.clone()
    headers = {**NAVIGATE, "Origin": world.base}
    await alice.request("POST", "/.gateway/logout", follow=True, headers=headers)
    page = await copy.fetch(PAGE, method="DELETE", headers={"Accept": "application/json"})
    assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")


async def test_too_often(world: World):
    """R77 [12.sessions]: the store is asked for all that somebody has, so nobody asks without end."""
    alice, bob = await logged_in(world), await logged_in(world, "bob")
    statuses = [(await alice.fetch(PAGE)).status for _ in range(32)]
    assert statuses[:30] == [200] * 30
    assert statuses[-1] == 429
    assert (await bob.fetch(PAGE)).status == 200


async def test_the_page(world: World):
    """[12.sessions]: by forms without script: one ends, all others end, and the page says so."""
    alice, other = (
        await logged_in(world),
        await logged_in(world, agent="<script>Windows NT Firefox/1</script>"),
    )
    another = await logged_in(world, agent='"><img src=x onerror=alert(1)>')
    page = await alice.get(PAGE)
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert {"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"} <= set(policy.split("; "))
    assert page.text.count("Firefox on Windows") >= 2
    assert "An unknown device" in page.text
    assert not [each for each in ("<script", "<img", "127.0.0.1", "Mozilla", "onerror") if each in page.text]
    hers = next(each["id"] for each in await own(other) if each["this"])
    page = await alice.submit(page, session=hers)
    assert (page.status, page.history) == (200, [303])
    assert "One session has ended." in page.text
    assert (await other.fetch("/x")).status == 401
    page = await alice.submit(page, others="1")
    assert "One session has ended." in page.text
    assert "You are logged in nowhere else." in page.text
    assert (await another.fetch("/x")).status == 401
    ((mine),) = await own(alice)
    page = await alice.submit(page, session=mine["id"])
    assert str(page.url) == f"{world.base}/.gateway/logout"
    assert f'href="{PAGE}"' in page.text
    german = await alice.get(f"{PAGE}?ended=0012", headers={"Accept-Language": "de"})
    assert "12 Sitzungen sind beendet." in german.text
    for odd in ("1%3Cb%3E", "99999", "-1", "1&ended=2", "%D9%A1", ""):
        page = await alice.get(f"{PAGE}?ended={odd}")
        assert (page.status, 'role="status"' in page.text) == (200, False), odd


@pytest.mark.settings({"networks": {"Office <b>": ["127.0.0.0/8"], "VPN": ["10.8.0.0/16"]}})
async def test_named_networks(world: World):
    """[12.sessions]: a network has the name that the configuration gives."""
    alice = await logged_in(world)
    (mine,) = await own(alice)
    assert (mine["network"], mine["network_kind"]) == ("Office <b>", "named")
    assert "<dd><bdi>Office &lt;b&gt;</bdi></dd>" in (await alice.get(PAGE)).text


async def test_an_expired_access_token_is_renewed_first(world: World):
    """R75 [12.sessions]: the page is a request as any other: a refresh, and its cookies with the answer."""
    alice = await logged_in(world)
    world.clock.advance(3700)
    page = await alice.fetch(PAGE)
    assert page.status == 200
    assert any("session" in line for line in page.set_cookies)
    assert len(await own(alice)) == 1
    assert world.provider.counts["token:refresh_token"] == 1


async def test_a_stale_replica_ends_nothing(world: World):
    """R44 [12.sessions]: what may have ended elsewhere, unheard of, ends nobody's sessions."""
    alice = await logged_in(world)
    world.gateway.denylist.synchronised_at -= 100
    page = await alice.fetch(PAGE, method="DELETE")
    assert (page.status, json.loads(page.text)["reason"]) == (503, "denylist_stale")


async def test_off_by_default(valkey_url, tmp_path):
    """[12.sessions]: in cookie mode there is no list, nothing of one in the store, and no page."""
    async with World(valkey_url, tmp_path) as world:
        alice = await logged_in(world)
        for method in ("GET", "DELETE", "POST"):
            assert (await alice.fetch(PAGE, method=method)).status == 404
        store = world.gateway.store
        assert not await store.execute("EXISTS", store.key("sessions", "{all}", "index"))


@pytest.fixture
async def cookie_world(valkey_url, tmp_path):
    """Sessions in browsers, and a list of them."""
    async with World(valkey_url, tmp_path, session=in_mode("cookie")) as world:
        yield world


async def test_requests_write_nothing(cookie_world: World):
    """[12.sessions]: cookie mode writes at login, refresh and logout; a refresh says when it was seen."""
    world = cookie_world
    alice = await logged_in(world)
    watcher = await logged_in(world)
    index = world.gateway.sessions.index
    (mine,) = [each for each in await own(alice) if each["this"]]
    before = await index.read(mine["id"])
    world.clock.advance(30)
    for _ in range(5):
        await alice.fetch("/x")
    await noted(world)
    assert await index.read(mine["id"]) == before
    world.clock.advance(3600)
    await alice.fetch("/x")
    await noted(world)
    (hers,) = [each for each in await own(watcher) if each["id"] == mine["id"]]
    assert hers["last_seen"] == pytest.approx(world.clock(), abs=5)
    assert (hers["browser"], hers["since"]) == ("Firefox", mine["since"])


async def test_operators_see_the_list_as_well(cookie_world: World):
    """[12.sessions]: what people are shown of their own sessions operators can ask for, and end."""
    world = cookie_world
    alice = await logged_in(world)
    await logged_in(world, "bob")
    listed = json.loads((await world.admin("GET", "/sessions")).text)["sessions"]
    assert sorted(each["subject"] for each in listed) == ["alice", "bob"]
    (mine,) = await own(alice)
    page = await world.admin("DELETE", f"/sessions/{mine['id']}")
    assert (page.status, json.loads(page.text)["ended"]) == (200, 1)
    assert (await alice.fetch("/x")).status == 401
    await world.gateway.sessions.drain()
    listed = json.loads((await world.admin("GET", "/sessions")).text)["sessions"]
    assert [each["subject"] for each in listed] == ["bob"]


async def test_the_list_forgets(cookie_world: World):
    """[12.sessions]: an entry has an end in the store: no later than the session's, and than it can idle."""
    world = cookie_world
    alice = await logged_in(world)
    ((mine),) = await own(alice)
    store = world.gateway.store
    key = store.key("listed", f"{{{mine['id']}}}")
    left = int(await store.execute("PTTL", key)) / 1000
    access_token, idle = world.provider.access_lifetime, 8 * 3600
    assert idle < left <= access_token + idle + 1


async def test_a_store_that_forgot(cookie_world: World):
    """[12.sessions]: who is not on the list sees herself, and is on it again with the next refresh."""
    world = cookie_world
    alice, watcher = await logged_in(world), await logged_in(world)
    store = world.gateway.store
    for each in await own(alice):
        await store.execute("DEL", store.key("listed", f"{{{each['id']}}}"))
    assert [each["this"] for each in await own(alice)] == [True]
    world.clock.advance(3700)
    await alice.fetch("/x")
    await noted(world)
    assert len(await own(watcher)) == 2


async def test_what_ended_does_not_come_back(cookie_world: World):
    """R74 [12.sessions]: a note that comes late is no session: not even once its entry has been forgotten."""
    world = cookie_world
    alice, watcher = await logged_in(world), await logged_in(world)
    (mine,) = [each for each in await own(alice) if each["this"]]
    runtime = world.gateway.runtime
    site = runtime.sites[world.base.removeprefix("http://").encode()]
    payload = runtime.ring.open(site.purpose("session"), alice.cookies()[site.session_cookie])
    await end(watcher, "others=1")
    await world.gateway.sessions.drain()
    world.gateway.noted.renewed(decode_session(payload))
    await noted(world)
    assert await world.gateway.sessions.index.read(mine["id"]) is None


async def test_a_person_is_bounded(cookie_world: World, monkeypatch: pytest.MonkeyPatch):
    """R77 [12.sessions]: whoever logs in without end fills a list that has one."""
    monkeypatch.setattr("gateway.edge.sessions.index.MOST_NOTED", 3)
    for _ in range(5):
        alice = await logged_in(cookie_world)
    assert len(await own(alice)) == 3


@pytest.mark.parametrize("mode", MODES)
async def test_the_store_is_away(tmp_path, mode: str):
    """R54 [12.sessions]: the page says so and nothing ends; whoever is logged in goes on."""
    server = ValkeyServer().start()
    try:
        async with World(server.url, tmp_path, session=in_mode(mode)) as world:
            alice = await logged_in(world)
            assert (await alice.fetch("/x")).status == 200
            server.close()
            page = await alice.fetch(PAGE)
            assert (page.status, json.loads(page.text)["reason"]) == (503, "store_unavailable")
            assert (await alice.get(PAGE)).status == 503
            page = await alice.fetch(f"{PAGE}?others=1", method="DELETE")
            assert page.status == 503
            assert (await alice.fetch("/x")).status == 200
    finally:
        server.close()


@pytest.mark.parametrize("mode", MODES)
async def test_a_session_of_several_sites(valkey_url, tmp_path, mode: str):
    """R39 [12.sessions]: one that several sites share is one line, and ends at all of them."""
    async with SiteWorld(valkey_url, tmp_path, session=in_mode(mode)) as world:
        alice, other = world.browser(), world.browser()
        for browser in (alice, other):
            await browser.login(world.site("wiki") + "/")
        await alice.get(world.site("shop") + "/")
        await noted(world)
        page = await other.fetch(world.site("wiki") + PAGE, headers={"Accept": "application/json"})
        mine, hers = json.loads(page.text)["sessions"]
        assert mine["this"]
        assert set(hers["sites"]) == {world.site(each) for each in ("login", "wiki", "shop")}
        assert len(mine["sites"]) == 2
        page = await other.fetch(f"{world.site('wiki')}{PAGE}?session={hers['id']}", method="DELETE")
        assert page.status == 200
        await world.ended(hers["id"])
        for site in ("wiki", "shop", "login"):
            assert (await alice.fetch(world.site(site) + "/.gateway/userinfo")).status == 401


@pytest.mark.parametrize("mode", MODES)
async def test_a_user_of_the_store_that_may_do_no_more_than_is_told(tmp_path, mode: str):
    """[12.sessions]: the commands of docs/store.md, as `check --online` asks for them, will do."""
    server = ValkeyServer().start()
    try:
        known = {command[0] for command in (*EVERYWHERE, *SOMETIMES)}
        known |= {"CLIENT", "SELECT", "UNSUBSCRIBE"}
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-@all", *(f"+{each}" for each in known))
        async with World(server.url, tmp_path, session=in_mode(mode)) as world:
            alice, other = await logged_in(world), await logged_in(world)
            world.clock.advance(70)
            for browser in (alice, other):
                assert (await browser.fetch("/x")).status == 200
            await noted(world)
            assert len(await own(alice)) == 2
            assert await end(alice, "others=1") == (200, {"ended": 1})
            await world.gateway.sessions.drain()
            assert len(await own(alice)) == 1
            assert not [line for line in world.lines if line.get("event") == "error"]
    finally:
        server.close()
