"""What people see of requests that cannot be read, and what the server says of itself."""

import asyncio
import re
from base64 import b64encode
from typing import Any

import pytest

from tests.support.http import Client
from tests.support.world import World

ROUTES: dict[str, Any] = {
    "routes": [{"path": "/", "upstream": "app", "access": "public"}],
    "extra_methods": ["SUBSCRIBE"],
    "limits": {"head": 4096, "connections_per_address": 8},
}
HTML = b"Accept: text/html,application/xhtml+xml\r\n"
NAVIGATION = HTML + b"Sec-Fetch-Mode: navigate\r\nX-Requested-With: com.example.app\r\n"
BAD = {
    "target": (b"GET /<a> HTTP/1.1\r\n%bHost: %b\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n%bX-Was: %b\r\n\r\n", 400),
    "header": (b"GET / HTTP/1.1\r\n%bHost: %b\r\nX : y\r\n\r\n", 400),
    "head too large": (b"GET / HTTP/1.1\r\n%bHost: %b\r\nCookie: " + b"x" * 5000 + b"\r\n\r\n", 431),
    "head too large, unfinished": (b"GET / HTTP/1.1\r\n%bHost: %b\r\nCookie: " + b"x" * 5000, 431),
    "method": (b"TRACE / HTTP/1.1\r\n%bHost: %b\r\n\r\n", 405),
    "unknown method": (b"LIST / HTTP/1.1\r\n%bHost: %b\r\n\r\n", 501),
    "form": (b"POST / HTTP/1.1\r\n%bHost: %b\r\nContent-Length: x\r\n\r\n", 400),
    "path": (b"GET /a%%2Fb HTTP/1.1\r\n%bHost: %b\r\n\r\n", 400),
    "expectation": (b"GET / HTTP/1.1\r\n%bHost: %b\r\nExpect: x\r\n\r\n", 417),
}


async def ask(world: World, data: bytes) -> Any:
    """Send bytes, and return the answer."""
    client = Client(*await asyncio.open_connection("127.0.0.1", world.public_port))
    try:
        return await client.ask(data)
    finally:
        client.writer.transport.abort()


def host_of(world: World) -> bytes:
    """Return the Host of the site."""
    return world.base.partition("://")[2].encode()


@pytest.mark.settings(ROUTES)
@pytest.mark.parametrize(("head", "status"), BAD.values(), ids=BAD)
async def test_a_person_never_sees_json(world: World, head: bytes, status: int):
    """[2.43]: whatever is wrong with a navigation, a person gets a page and a program its document."""
    host = host_of(world)
    for lines in (HTML, NAVIGATION):
        answer = await ask(world, head % (lines, host))
        assert answer.status == status
        assert answer.get("content-type") == "text/html; charset=utf-8"
        assert b"<html" in answer.body
    for lines in (
        b"",
        b"Accept: */*\r\n",
        HTML + b"Sec-Fetch-Mode: cors\r\n",
        HTML + b"X-Requested-With: XMLHttpRequest\r\n",
    ):
        answer = await ask(world, head % (lines, host))
        assert answer.status == status
        assert answer.get("content-type") == "application/problem+json"


@pytest.mark.settings(ROUTES)
async def test_they_are_told_in_their_language(world: World):
    """[12.pages]: of a head that cannot be read as well; a program reads English, garbage asks for none."""
    host = host_of(world)
    for name, (head, status) in BAD.items():
        answer = await ask(world, head % (HTML + b"Accept-Language: de-CH, en;q=0.5\r\n", host))
        assert (answer.status, answer.get("content-language")) == (status, "de"), name
        assert answer.get("vary") == "Accept-Language"
        assert b'<html lang="de"' in answer.body
        answer = await ask(world, head % (HTML + b"Accept-Language: \xff;q=\x80,,;,*;q=9\r\n", host))
        assert answer.get("content-language") == "en", name
        answer = await ask(world, head % (b"Accept-Language: de\r\n", host))
        assert answer.get("content-language") is None, name
        assert b'"detail":"' in answer.body


@pytest.mark.settings(ROUTES)
async def test_options_of_the_server(world: World):
    """[3.6]: ``OPTIONS *`` is answered here with the methods that are taken, and reaches no upstream."""
    answer = await ask(world, b"OPTIONS * HTTP/1.1\r\nHost: %b\r\n\r\n" % host_of(world))
    assert answer.status == 204
    assert answer.get("allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, SUBSCRIBE"
    assert (await ask(world, b"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n")).status == 421
    assert not world.upstream.seen


@pytest.mark.settings(ROUTES)
async def test_methods_by_choice(world: World):
    """[3.6]: a method of ``extra_methods`` is forwarded, others are 501; a host may end with a dot."""
    host = host_of(world)
    name, _, port = host.partition(b":")
    answer = await ask(world, b"\r\n\r\nSUBSCRIBE /x HTTP/1.1\r\nHost: %b.:%b\r\n\r\n" % (name, port))
    assert answer.status == 200
    assert world.upstream.last().method == "SUBSCRIBE"
    assert world.upstream.last().headers["Host"] == host.decode()
    assert (await ask(world, b"LIST /x HTTP/1.1\r\nHost: %b\r\n\r\n" % host)).status == 501


@pytest.mark.settings(ROUTES)
async def test_a_connection_too_many_is_told_in_words(world: World):
    """[2.43]: before anything is read nobody knows who asks: people can read it, programs have a status."""
    clients = []
    try:
        for _ in range(9):
            client = Client(*await asyncio.open_connection("127.0.0.1", world.public_port))
            clients.append(client)
        answer = await clients[-1].answer()
        assert answer.status == 503
        assert answer.get("content-type") == "text/html; charset=utf-8"
        assert answer.get("retry-after")
    finally:
        for client in clients:
            client.writer.transport.abort()


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path d="M0 0h4v4z"/></svg>'
BRAND = {
    "contact": "it@example.com",
    "pages": {"name": "A & B", "logo": f"data:image/svg+xml;base64,{b64encode(SVG.encode()).decode()}"},
}


@pytest.mark.settings(BRAND)
async def test_a_logo_is_shown_to_anybody(world: World):
    """[12.pages]: under any host, as pages are; opened by itself it runs nothing; pages name its address."""
    host = host_of(world)
    page = await ask(world, b"GET /x HTTP/1.1\r\n%bHost: elsewhere.example\r\n\r\n" % HTML)
    assert (page.status, b"img-src 'self'" in page.get("content-security-policy").encode()) == (421, True)
    (path,) = set(re.findall(rb'src="(/[^"]*)"', page.body))
    assert b"A &amp; B" in page.body
    assert b'<a href="mailto:it@example.com">' in page.body
    for name in (host, b"elsewhere.example"):
        logo = await ask(world, b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, name))
        assert (logo.status, logo.get("content-type"), logo.body) == (200, "image/svg+xml", SVG.encode())
        assert "immutable" in logo.get("cache-control")
        assert "sandbox" in logo.get("content-security-policy")
        assert logo.get("x-content-type-options") == "nosniff"
    stale = await ask(world, b"GET /.gateway/logo?v=x HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert (stale.status, stale.get("cache-control")) == (200, "public, max-age=60")
    posted = await ask(world, b"POST /.gateway/logo HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n" % host)
    assert (posted.status, posted.get("allow")) == (405, "GET")
    assert (await ask(world, b"GET /.gateway/logo-dark HTTP/1.1\r\nHost: %b\r\n\r\n" % host)).status == 404
