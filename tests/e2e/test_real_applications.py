"""Jupyter, Streamlit and a container registry, as they are, behind a gateway with a login."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import WSMsgType
from yarl import URL

from gateway.syntax.api_keys import compose, id_of
from tests.support import apps
from tests.support.browser import NEEDS_CHROMIUM, Tab
from tests.support.recipes import RECIPES, SECRET, ApplicationWorld
from tests.support.running import Running, running
from tests.support.world import Browser, Page, World

pytestmark = pytest.mark.asyncio
PATIENCE = 60.0
PREPARE = "python -m tests.support.apps prepares it"


def interpreter() -> str:
    """Return the Python that has the applications, or skip."""
    found = apps.python()
    if found is None:
        pytest.skip(f"the applications of requirements-apps.lock are not installed: {PREPARE}")
    return str(found)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Jupyter Server with the configuration that is shipped beside its recipe."""
    options = (
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=@port", "--ServerApp.port_retries=0"),
        *("--ServerApp.base_url=/jupyter/", f"--config={RECIPES / 'apps' / 'jupyter_config.py'}"),
    )
    directory = tmp_path_factory.mktemp("jupyter")
    command = (interpreter(), "-m", "jupyter_server", *options)
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


STREAMLIT = """\
import streamlit as st

st.title("Numbers")
st.write("called by", st.context.headers.get("X-Forwarded-User"))
st.write("cookies", sorted(st.context.cookies))
found = st.file_uploader("File")
if found:
    st.write("bytes:", len(found.getvalue()))
if st.button("More"):
    st.write("pressed")
"""


@pytest.fixture(scope="module")
def streamlit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A page of Streamlit."""
    directory = tmp_path_factory.mktemp("streamlit")
    (directory / "page.py").write_text(STREAMLIT)
    options = ("--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false")
    command = (interpreter(), "-m", "streamlit", "run", "page.py", "--server.port=@port", *options)
    with running(directory, *command) as started:
        yield started


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
async def test_streamlit(streamlit: Running, valkey_url: str, tmp_path, tab: Tab):
    """[12.recipes]: in a real browser: its WebSocket, who calls, a button, an upload, none of our cookies."""
    override = {"upstreams": {"app": {"servers": [streamlit.url]}}}
    async with World(valkey_url, tmp_path, **override) as world:
        await tab.log_in(f"{world.base}/", "alice")
        text = "document.body.innerText"
        await tab.until(f"{text}.includes('called by alice')")
        assert "gateway-" not in await tab.run(text)
        more = "[...document.querySelectorAll('button')].find(each => each.innerText === 'More')"
        await tab.until(f"{more} !== undefined")
        await tab.run(f"{more}.click()")
        await tab.until(f"{text}.includes('pressed')")
        await tab.run(
            "(() => { const field = document.querySelector('input[type=file]');"
            " const files = new DataTransfer();"
            " files.items.add(new File(['x'.repeat(3000000)], 'a b.txt')); field.files = files.files;"
            " field.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        await tab.until(f"/bytes:\\s*3000000/.test({text})")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A container registry that asks nobody who they are."""
    if not apps.registry().exists():
        pytest.skip(f"the container registry is not built: {PREPARE}, with Go")
    directory = tmp_path_factory.mktemp("registry")
    (directory / "config.yml").write_text(
        "version: 0.1\nlog: {level: error}\nstorage: {inmemory: {}, delete: {enabled: true}}\n"
        "http: {addr: 127.0.0.1:0}\n"
    )
    command = (str(apps.registry()), "serve", "config.yml")
    with running(directory, *command, REGISTRY_HTTP_ADDR="127.0.0.1:@port") as started:
        yield started


@pytest.fixture
async def images(registry: Running, valkey_url: str, tmp_path):
    """A gateway with the registry's recipe."""
    override = {"upstreams": {"registry": {"servers": [registry.url]}}}
    async with ApplicationWorld("registry", valkey_url, tmp_path, **override) as world:
        yield world


def digest(data: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def pushed(client: Browser, data: bytes, headers: dict[str, str]) -> None:
    """Push a blob in two pieces without a length (chunked), as docker does."""
    page = await client.fetch("/v2/acme/app/blobs/uploads/", method="POST", headers=headers)
    assert page.status == 202, page.text
    for part in (data[: len(data) // 2], data[len(data) // 2 :]):

        async def pieces(part: bytes = part):
            for start in range(0, len(part), 65_536):
                yield part[start : start + 65_536]

        place = page.headers["Location"]
        # at the name that was asked for, since Host and X-Forwarded-* tell it
        assert place.startswith(f"{client.world.base}/v2/acme/app/blobs/uploads/"), place
        more = {**headers, "Content-Type": "application/octet-stream"}
        page = await client.fetch(place, method="PATCH", data=pieces(), headers=more)
        assert page.status == 202, page.text
    place = f"{page.headers['Location']}&digest={digest(data).replace(':', '%3A')}"
    page = await client.fetch(place, method="PUT", headers=headers)
    assert page.status == 201, page.text


async def test_a_registry(images: ApplicationWorld):
    """[12.recipes] [11.8]: push and pull, in pieces and whole, by access tokens and by an API key."""
    client = images.browser()
    scopes = "registry.pull registry.push"
    ci = {"Authorization": f"Bearer {images.provider.mint('ci', scope=scopes)}"}
    page = await client.fetch("/v2/")
    assert page.status == 401
    assert page.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await client.fetch("/v2/", headers=ci)).status == 200
    layer, config = bytes(range(256)) * 8000, b'{"architecture": "amd64", "os": "linux"}'
    for blob in (layer, config):
        await pushed(client, blob, ci)
    described = [
        {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(blob), "size": len(blob)}
        for kind, blob in (("config.v1+json", config), ("layer.v1.tar", layer))
    ]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    place, sent = "/v2/acme/app/manifests/v1", {**ci, "Content-Type": MANIFEST}
    page = await client.fetch(place, method="PUT", data=json.dumps(manifest), headers=sent)
    assert page.status == 201, page.text
    await _pulled(images, layer, json.dumps(manifest).encode())


async def _pulled(images: ApplicationWorld, layer: bytes, manifest: bytes) -> None:
    client = images.browser()
    reader = {"X-API-Key": await made(images, "registry.pull")}
    page = await client.fetch("/v2/acme/app/tags/list", headers=reader)
    assert json.loads(page.text)["tags"] == ["v1"]
    accepted = {**reader, "Accept": MANIFEST}
    page = await client.fetch("/v2/acme/app/manifests/v1", method="HEAD", headers=accepted)
    assert (page.status, page.headers["Docker-Content-Digest"]) == (200, digest(manifest))
    url = client.url(f"/v2/acme/app/blobs/{digest(layer)}")
    async with client.session.get(url, headers=reader) as answer:
        assert (answer.status, await answer.read()) == (200, layer)
    ranged = {**reader, "Range": "bytes=256-511"}
    async with client.session.get(url, headers=ranged) as answer:
        assert (answer.status, await answer.read()) == (206, bytes(range(256)))
    # who may pull may not push, and nobody's token is no key
    page = await client.fetch("/v2/acme/app/blobs/uploads/", method="POST", headers=reader)
    assert (page.status, json.loads(page.text)["reason"]) == (403, "scope_missing")
    page = await client.fetch("/v2/", headers={"Authorization": "Basic YTpi"})
    assert page.status == 401


async def made(world: World, *scopes: str) -> str:
    """Return a new API key."""
    key = compose(os.urandom(10), os.urandom(32))
    told = {"id": id_of(key), "sha256": hashlib.sha256(key.encode()).hexdigest(), "owner": "reader"}
    told |= {"scopes": list(scopes), "expires": world.clock() + 3600}
    page = await world.admin("POST", "/keys", json=told)
    assert page.status == 200, page.text
    return key
