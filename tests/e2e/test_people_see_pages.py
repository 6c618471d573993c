"""What people see of requests that cannot be read, and what the server says of itself."""

import asyncio
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
