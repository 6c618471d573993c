"""The demo's upstream: it shows what it got, and nothing of it becomes HTML."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from gateway.demo.upstream import DemoUpstream

pytestmark = pytest.mark.asyncio

EVIL = "<script>alert('1')</script>\"&"


@pytest.fixture
async def upstream():
    upstream = DemoUpstream()
    await upstream.start()
    yield upstream
    await upstream.close()


@pytest.fixture
async def session(upstream):
    async with aiohttp.ClientSession(upstream.url) as session:
        yield session


async def raw(upstream, request: bytes) -> str:
    """Send bytes and read the answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
async def test_everything_is_escaped(upstream, accept):
    """Markup in path, query, header names and values, bytes that are no text: shown, never obeyed."""
    lines = [
        f"GET /{EVIL.replace(' ', '')}?q={EVIL} HTTP/1.1",
        "Host: <b>",
        f"X-Forwarded-User: {EVIL}",
        f"X-Forwarded-Host: {EVIL}",
        "X-Control: a\tb\xff",
        f"Accept: {accept}",
        "Connection: close",
    ]
    answer = await raw(upstream, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")
    if accept == "text/html":
        assert "<script" not in body
        assert "<b>" not in body
        assert "&lt;script&gt;" in body
        assert "default-src 'none'" in head
    else:
        assert "text/plain" in head


async def test_the_page_highlights_the_identity(session):
    """Who is calling is in the heading and explained; a caller without identity is told so."""
    headers = {"Accept": "text/html", "X-Forwarded-User": "alice", "X-Forwarded-Groups": "admins"}
    async with session.get("/admin/x", headers=headers) as answer:
        page = await answer.text()
    assert "Hello alice" in page
    assert '<tr class="identity"><th scope="row">X-Forwarded-Groups</th><td>admins</td>' in page
    async with session.get("/public/x", headers={"Accept": "text/html"}) as answer:
        page = await answer.text()
    assert "no identity" in page
    assert 'class="identity"' not in page


async def test_the_api_echoes_json(session):
    """Method, path, user, headers and the size of the body."""
    async with session.put("/api/a?b=c", data=b"x" * 100_000, headers={"X-Forwarded-User": "bob"}) as answer:
        document = await answer.json()
    assert (document["method"], document["path"], document["user"]) == ("PUT", "/api/a?b=c", "bob")
    assert document["body_bytes"] == 100_000
    assert ["X-Forwarded-User", "bob"] in document["headers"]


async def test_uploads_are_counted(session, upstream):
    """Bytes are counted, over all uploads."""
    for total in (300_000, 600_000):
        async with session.post("/upload", data=b"x" * 300_000) as answer:
            assert await answer.text() == f"300000 bytes received, {total} since the start\n"
    assert upstream.uploaded == 600_000


async def test_events_name_the_user(session):
    """The stream begins at once and says for whom it is."""
    async with session.get("/events", headers={"X-Forwarded-User": "alice"}) as answer:
        assert answer.content_type == "text/event-stream"
        assert await answer.content.readuntil(b"\n\n") == b"id: 1\ndata: event 1 for alice\n\n"


async def test_the_websocket_echoes(session):
    """Text and bytes come back; a plain request is told to upgrade."""
    async with session.ws_connect("/ws") as socket:
        await socket.send_str("hällo")
        assert (await socket.receive()).data == "hällo"
        await socket.send_bytes(b"\x00\xff")
        assert (await socket.receive()).data == b"\x00\xff"
    async with session.get("/ws") as answer:
        assert answer.status == 426


@pytest.mark.parametrize(
    ("seconds", "status"), [("0", 200), ("-5", 200), ("nan", 200), ("x", 400), ("", 400)]
)
async def test_slow(session, seconds, status):
    """It waits as long as it is told, within bounds; garbage is a 400."""
    async with session.get(f"/slow?seconds={seconds}") as answer:
        assert answer.status == status


async def test_closing_cuts_streams(session, upstream):
    """An open event stream does not keep the demo from ending."""
    async with session.get("/events") as answer:
        await answer.content.readuntil(b"\n\n")
        await upstream.close()
        with contextlib.suppress(aiohttp.ClientError):
            while await answer.content.readany():
                pass
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get("/slow?seconds=0")


async def test_json_is_json(session):
    """Bytes in headers that are no text still make a JSON document."""
    async with session.get("/api/x", headers={"X-App": "\u00ff"}) as answer:
        json.loads(await answer.text())
