"""Calls to providers through a real HTTP proxy; nothing else goes there."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.world import World


class Proxy:
    """A forward proxy: absolute-form requests and CONNECT, as RFC 9110 and RFC 9112 have them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []
        self.refuse = False

    async def start(self) -> str:
        """Listen; return its URL."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, _, rest = head.partition("\r\n")
            self.lines.append(line)
            self.heads.append(head)
            if self.refuse:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                await self._forward(line.split(" "), rest, reader, writer)
        writer.close()

    async def _forward(self, line: list[str], rest: str, reader, writer) -> None:
        method, target, version = line
        address = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = address.rpartition(":")
        theirs, ours = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            path = "/" + target.split("/", 3)[3]
            ours.write(f"{method} {path} {version}\r\n{rest}".encode("latin-1"))
        there = asyncio.ensure_future(self._pipe(reader, ours))
        await self._pipe(theirs, writer)
        there.cancel()
        ours.close()

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

    def close(self) -> None:
        """Stop listening."""
        self.server.close()


@pytest.fixture
async def proxy(monkeypatch) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy, and an environment that names none."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = Proxy()
    yield made, await made.start()
    made.close()


async def test_the_proxy_of_the_environment(proxy, monkeypatch, valkey_url, tmp_path):
    """[2.13]: every call to the provider goes through it, and no request to an upstream."""
    made, url = proxy
    monkeypatch.setenv("HTTP_PROXY", url)
    async with World(valkey_url, tmp_path) as world:
        browser = world.browser()
        assert (await browser.login("/x")).status == 200
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        asked = {
            line.split(" ")[1].removeprefix(world.provider.issuer).partition("?")[0] for line in made.lines
        }
        assert asked == {"/.well-known/openid-configuration", "/jwks", "/token"}


async def test_no_proxy_for_this_provider(proxy, monkeypatch, valkey_url, tmp_path):
    """[2.13]: NO_PROXY, and the setting's none, are direct."""
    made, url = proxy
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    async with World(valkey_url, tmp_path) as world:
        assert (await world.browser().login("/x")).status == 200
    monkeypatch.delenv("NO_PROXY")
    async with World(valkey_url, tmp_path, providers={"demo": {"proxy": "none"}}) as world:
        assert (await world.browser().login("/x")).status == 200
    assert not made.lines


async def test_the_proxy_of_the_setting(proxy, valkey_url, tmp_path):
    """[2.13]: with a name and a password, which stand in no log and no page."""
    made, url = proxy
    setting = url.replace("http://", "http://user:geheim123@")
    async with World(valkey_url, tmp_path, providers={"demo": {"proxy": setting}}) as world:
        assert (await world.browser().login("/x")).status == 200
        told = base64.b64encode(b"user:geheim123").decode()
        assert all(f"Proxy-Authorization: Basic {told}" in head for head in made.heads)
        assert "geheim123" not in repr(world.settings)
    made.close()
    async with World(valkey_url, tmp_path, providers={"demo": {"proxy": setting}}) as world:
        page = await world.browser().get("/x")
        assert page.status == 503
        assert "geheim123" not in page.text + repr(world.lines)
        assert "the proxy cannot be reached" in repr(world.lines)


async def test_https_goes_through_a_tunnel(proxy, valkey_url, tmp_path):
    """[2.13]: by CONNECT, so that the proxy sees no token; its refusal is told."""
    made, url = proxy
    settings = {"demo": {"issuer": "https://127.0.0.1:9", "proxy": url, "timeout": "2s"}}
    made.refuse = True
    async with World(valkey_url, tmp_path, providers=settings) as world:
        assert (await world.browser().get("/x")).status == 503
        assert made.lines[0] == "CONNECT 127.0.0.1:9 HTTP/1.1"
        assert "the proxy answered 407" in repr(world.lines)
