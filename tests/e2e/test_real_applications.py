"""Streamlit, Socket.IO, WebDAV and a container registry, as they are, behind a gateway with a login."""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator

import pytest

from gateway.syntax.api_keys import compose, id_of
from tests.support import apps
from tests.support.browser import NEEDS_CHROMIUM, Tab
from tests.support.recipes import ApplicationWorld
from tests.support.running import Running, running
from tests.support.world import Browser, Page, World

pytestmark = pytest.mark.asyncio
PATIENCE = 60.0


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
    command = (apps.interpreter(), "-m", "streamlit", "run", "page.py", "--server.port=@port", *options)
    with running(directory, *command) as started:
        yield started


async def shown(tab: Tab, condition: str) -> None:
    """Wait for what a large page takes long to show."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(AssertionError):
                await tab.until(condition)
                return


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
async def test_streamlit(streamlit: Running, valkey_url: str, tmp_path, tab: Tab):
    """[12.recipes]: in a real browser: its WebSocket, who calls, a button, an upload, none of our cookies."""
    override = {"upstreams": {"app": {"servers": [streamlit.url]}}}
    async with World(valkey_url, tmp_path, **override) as world:
        await tab.log_in(f"{world.base}/", "alice")
        text = "document.body.innerText"
        await shown(tab, f"{text}.includes('called by alice')")
        await shown(tab, f"{text}.includes('File')")
        # what it lists as cookies are its own
        assert "cookies" in await tab.run(text)
        assert "gateway-" not in await tab.run(text)
        more = "[...document.querySelectorAll('button')].find(each => each.innerText === 'More')"
        await shown(tab, f"{more} !== undefined")
        await tab.run(f"{more}.click()")
        await shown(tab, f"{text}.includes('pressed')")
        await tab.run(
            "(() => { const field = document.querySelector('input[type=file]');"
            " const files = new DataTransfer();"
            " files.items.add(new File(['x'.repeat(3000000)], 'a b.txt')); field.files = files.files;"
            " field.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        await shown(tab, f"/bytes:\\s*3000000/.test({text})")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A container registry that asks nobody who they are."""
    if not apps.registry().exists():
        pytest.skip("the container registry is not built: python -m tests.support.apps does it, with Go")
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


CHAT = """\
import socketio

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])


@server.event
async def connect(sid, environ):
    await server.emit("who", environ.get("HTTP_X_FORWARDED_USER", "nobody"), to=sid)


@server.event
async def say(sid, text):
    await server.emit("said", text)


app = socketio.ASGIApp(server)
"""


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of Socket.IO, which by default takes pages of its own host alone."""
    directory = tmp_path_factory.mktemp("chat")
    (directory / "chat.py").write_text(CHAT)
    options = ("--host=127.0.0.1", "--port=@port", "--log-level=warning", "--no-access-log")
    with running(directory, apps.interpreter(), "-m", "uvicorn", "chat:app", *options) as started:
        yield started


async def test_socket_io(chat: Running, valkey_url: str, tmp_path):
    """[12.recipes]: long polls, posts between them, the upgrade to a WebSocket; nothing for another site."""
    override = {"upstreams": {"app": {"servers": [chat.url]}}}
    async with World(valkey_url, tmp_path, **override) as world:
        alice = world.browser()
        await alice.login("/socket.io/?EIO=4&transport=polling")
        own = {"Origin": world.base, "Sec-Fetch-Site": "same-origin"}
        poll = "/socket.io/?EIO=4&transport=polling"
        page = await alice.fetch(poll, headers=own)
        sid = json.loads(page.text[1:])["sid"]
        poll += f"&sid={sid}"
        sent = {**own, "Content-Type": "text/plain;charset=UTF-8"}
        assert (await alice.fetch(poll, method="POST", data="40", headers=sent)).text == "OK"
        texts = (await alice.fetch(poll, headers=own)).text
        while '["who"' not in texts:
            texts += (await alice.fetch(poll, headers=own)).text
        assert '["who","alice"]' in texts
        # a poll that waits is answered by what a post brings
        waiting = asyncio.create_task(alice.fetch(poll, headers=own))
        assert (await alice.fetch(poll, method="POST", data='42["say","x"]', headers=sent)).text == "OK"
        assert '42["said","x"]' in (await waiting).text
        ws = await alice.session.ws_connect(
            alice.url(poll.replace("polling", "websocket")), origin=world.base
        )
        await ws.send_str("2probe")
        assert await ws.receive_str(timeout=PATIENCE) == "3probe"
        await ws.send_str("5")
        await ws.send_str('42["say","over the socket"]')
        while (text := await ws.receive_str(timeout=PATIENCE)) != '42["said","over the socket"]':
            assert text in ("6", "2"), text
        await ws.close()
        strange = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        page = await alice.fetch(poll, method="POST", data="42", headers=sent | strange)
        assert (page.status, json.loads(page.text)["reason"]) == (403, "origin_forbidden")


@pytest.fixture(scope="module")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A WebDAV share."""
    directory = tmp_path_factory.mktemp("dav")
    (directory / "files").mkdir()
    options = ("--host=127.0.0.1", "--port=@port", f"--root={directory / 'files'}", "--auth=anonymous")
    with running(
        directory, apps.interpreter(), "-m", "wsgidav.server.server_cli", *options, "--no-config"
    ) as started:
        yield started


async def test_webdav(dav: Running, valkey_url: str, tmp_path):
    """[12.recipes]: its methods, what is copied where (Destination), locks, and names with signs in them."""
    routes = [{"path": "/", "upstream": "app", "access": "required", "raw_path": True}]
    async with World(valkey_url, tmp_path, routes=routes, upstreams={"app": {"servers": [dav.url]}}) as world:
        client = world.browser()
        token = {"Authorization": f"Bearer {world.provider.mint('alice')}"}

        async def ask(method: str, path: str, data: object = None, **headers: str) -> Page:
            return await client.fetch(path, method=method, data=data, headers=token | headers)

        name = "/a%20b/%C3%A4%23%3Bc.txt"
        assert (await client.fetch("/", method="PROPFIND")).status == 401
        assert (await ask("MKCOL", "/a%20b")).status == 201
        assert (await ask("PUT", name, b"x" * 900_000, Expect="100-continue")).status == 201
        page = await ask("PROPFIND", "/a%20b", Depth="1")
        assert page.status == 207
        assert name in page.text
        # an absolute URL at the name that was asked for
        place = f"{world.base}/a%20b/copy.txt"
        assert (await ask("COPY", name, Destination=place, Overwrite="F")).status == 201
        assert (await ask("MOVE", name, Destination=place, Overwrite="F")).status == 412
        lock = (
            '<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
            "<D:locktype><D:write/></D:locktype></D:lockinfo>"
        )
        page = await ask("LOCK", "/a%20b/copy.txt", lock, Timeout="Second-60")
        assert page.status == 200
        held = page.headers["Lock-Token"]
        assert (await ask("PUT", "/a%20b/copy.txt", b"y")).status == 423
        assert (await ask("PUT", "/a%20b/copy.txt", b"y", If=f"({held})")).status == 204
        assert (await ask("UNLOCK", "/a%20b/copy.txt", **{"Lock-Token": held})).status == 204
        page = await ask("GET", "/a%20b/copy.txt")
        assert (page.status, page.text) == (200, "y")
        assert (await ask("DELETE", "/a%20b")).status == 204
