"""A real Jupyter Server behind a gateway with its recipe: kernels, files, identity, its own defences."""

import json
import uuid
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import WSMsgType
from yarl import URL

from tests.support import apps
from tests.support.recipes import RECIPES, SECRET, ApplicationWorld
from tests.support.running import Running, running
from tests.support.world import Browser, Page, World

pytestmark = pytest.mark.asyncio
PATIENCE = 60.0


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Jupyter Server with the configuration that is shipped beside its recipe."""
    options = (
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=@port", "--ServerApp.port_retries=0"),
        *("--ServerApp.base_url=/jupyter/", f"--config={RECIPES / 'apps' / 'jupyter_config.py'}"),
    )
    directory = tmp_path_factory.mktemp("jupyter")
    command = (apps.interpreter(), "-m", "jupyter_server", *options)
    with running(directory, *command, JUPYTER_TOKEN=SECRET, JUPYTER_PLATFORM_DIRS="1") as started:
        yield started


@pytest.fixture
async def notebooks(jupyter: Running, valkey_url: str, tmp_path):
    """A gateway with Jupyter's recipe."""
    override = {"upstreams": {"jupyter": {"servers": [jupyter.url]}}}
    async with ApplicationWorld("jupyter", valkey_url, tmp_path, **override) as world:
        world.set_groups("data-science")
        yield world


async def opened(world: World) -> Browser:
    """Log alice in, at a page by which Jupyter gives its own cookie against forgery (XSRF)."""
    alice = world.browser()
    page = await alice.login("/jupyter/nothing")
    assert any(line.startswith("_xsrf=") and "Path=/jupyter/" in line for line in page.set_cookies)
    assert (page.status, "Jupyter" in page.text) == (404, True)
    return alice


def xsrf(browser: Browser) -> str:
    """Return the value of that cookie."""
    held = browser.jar.filter_cookies(URL(f"{browser.world.base}/jupyter/"))
    return held["_xsrf"].value


async def send(browser: Browser, path: str, method: str, data: object = None, **headers: str) -> Page:
    """Send JSON as the page's own script does."""
    own = {"Origin": browser.world.base, "Sec-Fetch-Site": "same-origin", "X-XSRFToken": xsrf(browser)}
    return await browser.fetch(path, method=method, json=data, headers=own | headers)


def message(code: str) -> dict[str, object]:
    """Return what asks a kernel to execute something (Jupyter's messaging protocol 5.3)."""
    session = uuid.uuid4().hex
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
    return {
        "channel": "shell",
        "header": header | {"session": session, "username": "", "date": ""},
        "parent_header": {},
        "metadata": {},
        "content": content | {"allow_stdin": False, "stop_on_error": True},
    }


async def printed(ws: aiohttp.ClientWebSocketResponse, code: str) -> str:
    """Have a kernel execute something, and return what it prints."""
    await ws.send_json(message(code))
    while True:
        told = await ws.receive_json(timeout=PATIENCE)
        if told["msg_type"] == "stream":
            return str(told["content"]["text"])


async def test_jupyter_by_the_name_of_a_site(jupyter: Running):
    """[12.recipes]: on the loopback it answers for a site as well, and still asks for its token."""
    headers = {"Host": "notebooks.example.com", "X-Forwarded-User": "alice"}
    async with aiohttp.ClientSession(headers=headers) as client:
        async with client.get(f"{jupyter.url}/jupyter/api/me") as refused:
            assert refused.status == 403
        token = {"Authorization": f"token {SECRET}"}
        async with client.get(f"{jupyter.url}/jupyter/api/me", headers=token) as answer:
            assert (await answer.json())["identity"]["username"] == "alice"


async def test_jupyter_s_kernels(notebooks: ApplicationWorld):
    """[12.recipes], R49: identity, a kernel's WebSocket with much in it, and its end by a revocation."""
    alice, bob = await opened(notebooks), notebooks.browser()
    page = await alice.fetch("/jupyter/api/me")
    assert json.loads(page.text)["identity"]["username"] == "alice", page.text
    # no other site's page starts anything: the gateway looks where it is from, Jupyter for its cookie's value
    strange = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    page = await send(alice, "/jupyter/api/kernels", "POST", {"name": "python3"}, **strange)
    assert (page.status, json.loads(page.text)["reason"]) == (403, "origin_forbidden")
    page = await send(alice, "/jupyter/api/kernels", "POST", {"name": "python3"}, **{"X-XSRFToken": "x"})
    assert (page.status, "XSRF" in page.text) == (403, True)
    page = await send(alice, "/jupyter/api/kernels", "POST", {"name": "python3"})
    assert page.status == 201, page.text
    kernel = json.loads(page.text)["id"]
    url = alice.url(f"/jupyter/api/kernels/{kernel}/channels?session_id=")
    ws = await alice.session.ws_connect(f"{url}1", origin=notebooks.base, max_msg_size=0)
    assert await printed(ws, "print(6 * 7)") == "42\n"
    assert len(await printed(ws, "print('x' * 900_000)")) == 900_001
    # the subprotocol that JupyterLab asks for
    newer = await alice.session.ws_connect(
        f"{url}2", origin=notebooks.base, protocols=("v1.kernel.websocket.jupyter.org",)
    )
    assert newer.protocol == "v1.kernel.websocket.jupyter.org"
    await newer.close()
    assert (await bob.login("/jupyter/api/status", "bob")).status == 403
    assert (await notebooks.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    while (told := await ws.receive(timeout=PATIENCE)).type is WSMsgType.TEXT:
        pass
    assert (told.type, told.data) == (WSMsgType.CLOSE, 1008)


async def test_jupyter_alone_lets_nobody_in(jupyter: Running, notebooks: ApplicationWorld):
    """[12.recipes]: whoever reaches its port has no token, and a name in a header is none."""
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"X-Forwarded-User": "alice"}, {"Authorization": "token x"}):
            async with session.get(f"{jupyter.url}/jupyter/api/contents", headers=headers) as answer:
                assert answer.status == 403
    # what a client itself sends as Authorization never gets there
    page = await notebooks.browser().fetch(
        "/jupyter/api/me", headers={"Authorization": f"token {SECRET}", "X-Forwarded-User": "alice"}
    )
    assert page.status == 401


async def test_jupyter_s_files(notebooks: ApplicationWorld):
    """[12.recipes]: an upload of megabytes, a download, names with spaces and signs, and a redirect."""
    alice = await opened(notebooks)
    text = "x" * 4_000_000
    data = {"type": "file", "format": "text", "content": text}
    name = "/jupyter/api/contents/a%20b%2C%20%C3%A4%3B1.txt"
    page = await send(alice, name, "PUT", data)
    assert page.status == 201, page.text[:300]
    # Jupyter compares where a link was with the host that was asked for
    link = {"Referer": f"{notebooks.base}/jupyter/lab"}
    page = await alice.fetch(name.replace("api/contents", "files"), headers=link)
    assert (page.status, page.text) == (200, text)
    assert (await send(alice, name, "DELETE")).status == 204
    # where it sends somebody is at the site that was asked for
    page = await alice.fetch("/jupyter/view")
    location = URL(page.headers.get("Location", "/"))
    assert location.host in (None, "localhost")
