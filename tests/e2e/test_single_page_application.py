"""A single-page application as its recipe has it, in a real browser, which never sees a token."""

import json

import pytest
from aiohttp import web

from tests.support.browser import NEEDS_CHROMIUM, Tab
from tests.support.recipes import ApplicationWorld

pytestmark = NEEDS_CHROMIUM
SHELL = """<!doctype html><title>Orders</title><p id="who">?</p><ul id="orders"></ul><script>
async function call(path, options) {
  const answer = await fetch(path, options);
  if (answer.status !== 401) return answer;
  // log in, and come back to this very place, fragment and all
  const told = await answer.json();
  const login = new URL(told.login_url);
  login.searchParams.set("return_to", location.pathname + location.search + location.hash);
  location.assign(login);
  return new Promise(() => {});
}
async function show() {
  const who = await (await fetch("/.gateway/userinfo")).json();
  document.querySelector("#who").textContent = who.sub ?? "nobody";
  const orders = await (await call("/api/orders")).json();
  document.querySelector("#orders").innerHTML = orders.map(each => `<li>${each}</li>`).join("");
}
async function add(name) {
  const body = JSON.stringify(name), headers = {"Content-Type": "application/json"};
  return (await call("/api/orders", {method: "POST", headers, body})).status;
}
if (location.hash) show();
</script>"""


class Application:
    """The shell, its API, and the events that it hears of."""

    def __init__(self) -> None:
        self.orders = ["tea"]
        self.seen: list[web.Request] = []

    async def start(self) -> None:
        """Listen on an ephemeral port of the loopback."""
        application = web.Application()
        application.router.add_get("/api/orders", self.listed)
        application.router.add_post("/api/orders", self.added)
        application.router.add_get("/events/", self.told)
        application.router.add_get("/{path:.*}", self.shell)
        self.runner = web.AppRunner(application, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def shell(self, _: web.Request) -> web.Response:
        """Tell no secrets."""
        return web.Response(text=SHELL, content_type="text/html")

    async def listed(self, request: web.Request) -> web.Response:
        """Tell the orders."""
        self.seen.append(request)
        return web.json_response(self.orders)

    async def added(self, request: web.Request) -> web.Response:
        """Take one more."""
        self.seen.append(request)
        self.orders.append(json.loads(await request.text()))
        return web.json_response(self.orders, status=201)

    async def told(self, request: web.Request) -> web.WebSocketResponse:
        """Tell what becomes of an order."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(f"ordered {message.data}")
        return ws


@pytest.fixture
async def application():
    """Such an application."""
    started = Application()
    await started.start()
    yield started
    await started.runner.cleanup()


@pytest.fixture
async def world(application: Application, valkey_url: str, tmp_path):
    """A gateway with the recipe; the scopes are those that the demo provider knows."""
    upstreams = {name: {"servers": [application.url]} for name in ("files", "api", "events")}
    section = {"corporate": {"scopes": ["openid", "profile", "email", "offline_access", "api"]}}
    started = ApplicationWorld("spa-and-api", valkey_url, tmp_path, upstreams=upstreams, providers=section)
    started.text = started.text.replace("orders.read", "api").replace("orders.write", "profile")
    async with started:
        yield started


async def test_a_visit(world: ApplicationWorld, application: Application, tab: Tab):
    """[12.recipes], R38, R57: a shell for nobody, a login by a script and back, changes, events, the end."""
    await tab.open(f"{world.base}/")
    assert await tab.run("document.querySelector('#who').textContent") == "?"
    place = f"{world.base}/list?sort=name#/open/7"
    await tab.open(place)
    await tab.sign_in("alice")
    await tab.at(place)
    await tab.until("document.querySelector('#who').textContent === 'alice'")
    assert await tab.run("add('coffee')") == 201
    assert application.orders == ["tea", "coffee"]
    # the API has an access token of hers, the page nothing but a name
    token = application.seen[-1].headers["Authorization"].partition(" ")[2]
    claims = world.provider.read_access_token(token)
    assert claims is not None
    assert claims["sub"] == "alice"
    assert await tab.run("document.cookie") == ""
    assert token not in str(await tab.run("fetch('/.gateway/userinfo').then(answer => answer.text())"))
    told = await tab.run(
        "new Promise((done, failed) => { const ws = new WebSocket('/events/');"
        " ws.onopen = () => ws.send('tea');"
        " ws.onmessage = event => done(event.data); ws.onclose = event => failed(event.code); })"
    )
    assert told == "ordered tea"
    # a token that is over is renewed behind the page's back
    world.clock.advance(world.provider.access_lifetime + 20)
    assert await tab.run("add('milk')") == 201
    renewed = application.seen[-1].headers["Authorization"].partition(" ")[2]
    assert renewed != token
    assert world.provider.read_access_token(renewed) is not None
    # after a revocation its next call leads to a login, and back to this place
    assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    world.clock.advance(40)
    await tab.run("void show()")
    await tab.sign_in("alice")
    await tab.at(place)
    await tab.until("document.querySelectorAll('li').length === 3")
