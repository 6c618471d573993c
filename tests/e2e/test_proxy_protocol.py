"""A balancer that passes bytes on in front of a whole gateway: the PROXY protocol's header."""

import asyncio
import re
import socket
import ssl
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.world import World
from tests.unit.test_proxy_header import block, four, six, summed, told

pytestmark = pytest.mark.asyncio

BALANCER, OTHER = "127.0.0.1", "127.0.0.2"
ROUTES = [
    {"path": "/open/", "upstream": "app", "access": "public"},
    {"path": "/few/", "upstream": "app", "access": "public", "rate_limit": "few"},
]
SETTINGS: dict[str, Any] = {
    "proxy_protocol": [BALANCER],
    "trusted_proxies": ["198.51.100.9"],
    "forwarding": {},
    "routes": ROUTES,
    "rate_limits": {"few": {"requests": 1, "per": "1h", "by": "address"}},
    "limits": {"head_timeout": "1s"},
}
ONE = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n"
TWO = block(0x21, 0x11, four("203.0.113.7"))


class Asked:
    """A gateway, and how it is asked."""

    def __init__(self, world: World, tls: ssl.SSLContext | None) -> None:
        self.world = world
        self.tls = tls

    async def ask(
        self, header: bytes, path: str = "/open/x", *lines: str, source: str = BALANCER, cut: int = 0
    ) -> bytes:
        """Send a header, in two pieces, then a request; return all that comes."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((source, 0))
        await loop.sock_connect(sock, ("127.0.0.1", self.world.public_port))
        try:
            if cut:
                await loop.sock_sendall(sock, header[:cut])
                await asyncio.sleep(0.01)
            host = f"localhost:{self.world.public_port}"
            head = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""]
            request = "\r\n".join(head)
            if self.tls is None:
                # header and request in one packet: not a byte too much is taken for the header
                await loop.sock_sendall(sock, header[cut:] + request.encode())
                reader, writer = await asyncio.open_connection(sock=sock)
            else:
                await loop.sock_sendall(sock, header[cut:])
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=self.tls, server_hostname="localhost"
                )
                writer.write(request.encode())
            try:
                return await asyncio.wait_for(reader.read(), 20)
            finally:
                writer.close()
        except OSError:
            return b""
        finally:
            sock.close()

    def client(self) -> str:
        """Return whom the upstream was told of last."""
        return str(self.world.upstream.last().headers["X-Forwarded-For"])


@pytest.fixture(params=["plain", "tls"])
async def asked(request, valkey_url, tmp_path):
    """A gateway behind a balancer, with TLS or without."""
    override, context = dict(SETTINGS), None
    if request.param == "tls":
        authority = Authority(tmp_path)
        override["tls"] = authority.issue("localhost").written
        context = authority.trusting()
    async with World(valkey_url, tmp_path, **override) as world:
        yield Asked(world, context)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (ONE, "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", "unknown"),
        (TWO, "203.0.113.7"),
        (block(0x21, 0x21, six("2001:db8::1")), "2001:db8::1"),
        (block(0x21, 0x11, four("203.0.113.7", told(4, bytes(500)))), "203.0.113.7"),
        (summed(0x21, 0x11, four("203.0.113.7"), told(4, bytes(500))), "203.0.113.7"),
        (block(0x21, 0x00, b""), "unknown"),
        (block(0x20, 0x00, b""), BALANCER),
    ],
)
async def test_the_client_is_whom_the_header_tells(asked: Asked, header: bytes, client: str):
    """[3.16]: both versions, whole and in pieces; who is not told is nobody, and never the balancer."""
    for cut in (0, 1, 14):
        answer = await asked.ask(header, "/open/x", "X-Forwarded-For: 6.6.6.6", cut=cut)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert asked.client() == client


async def test_trusted_proxies_judges_the_address_in_it(asked: Asked):
    """[3.16]: a proxy behind the balancer is believed by the address that the header tells of it."""
    trusted = block(0x21, 0x11, four("198.51.100.9"))
    assert b" 200 " in await asked.ask(trusted, "/open/x", "X-Forwarded-For: 6.6.6.6, 203.0.113.8")
    assert asked.client() == "203.0.113.8, 198.51.100.9"
    assert b" 400 " in await asked.ask(trusted, "/open/x", "X-Forwarded-For: garbage")
    assert b" 200 " in await asked.ask(TWO, "/open/x", "X-Forwarded-For: garbage")


async def test_limits_by_address_count_clients(asked: Asked):
    """[3.16]: each client behind the balancer has an allowance of its own."""
    headers = [block(0x21, 0x11, four(f"203.0.113.{number}")) for number in (1, 2, 1, 2)]
    statuses = [(await asked.ask(header, "/few/x"))[9:12] for header in headers]
    assert statuses == [b"200", b"200", b"429", b"429"]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n",
        b"PROXY TCP4 garbage\r\n",
        b"PROXY " + b"x" * 300,
        block(0x21, 0x11, four()[:8]),
        block(0x21, 0x11, four("203.0.113.7", bytes(4097))),
        block(0x31, 0x11, four()),
        block(0x21, 0x11, four("203.0.113.7", bytes(500))),
        block(0x21, 0x11, four("203.0.113.7", told(3, bytes(4)))),
    ],
)
async def test_the_header_is_required(asked: Asked, header: bytes):
    """[3.16]: without a good one the connection is closed, counted, and reaches nobody."""
    assert await asked.ask(header) == b""
    assert not asked.world.upstream.seen
    text = (await asked.world.admin("GET", "/metrics", token=None)).text
    assert re.search(r"gateway_http_proxy_headers_missing_total 1(\.0)?\n", text)


async def test_a_header_that_never_ends(asked: Asked):
    """[3.16]: within head_timeout, or not at all."""
    loop = asyncio.get_running_loop()
    for begun in (b"", b"PROXY TCP4 ", TWO[:20]):
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.bind((BALANCER, 0))
            await loop.sock_connect(sock, ("127.0.0.1", asked.world.public_port))
            await loop.sock_sendall(sock, begun)
            assert await asyncio.wait_for(loop.sock_recv(sock, 1), 20) == b""


@pytest.mark.parametrize("header", [ONE, b"PROXY UNKNOWN\r\n", TWO, block(0x20, 0x00, b"")])
async def test_from_others_a_header_is_an_error(asked: Asked, header: bytes):
    """[3.16]: nobody else says who he is; without one he is let in as ever."""
    answer = await asked.ask(header, source=OTHER)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert not asked.world.upstream.seen
    assert b" 200 " in await asked.ask(b"", source=OTHER)
    assert asked.client() == OTHER


async def test_many_clients_behind_one_balancer(valkey_url, tmp_path):
    """[3.16]: connections_per_address counts clients: the balancer has any number, one client has not."""
    override = SETTINGS | {"limits": {"connections_per_address": 1}}
    async with World(valkey_url, tmp_path, **override) as world:
        held = []
        for number in range(4):
            place = ("127.0.0.1", world.public_port)
            reader, writer = await asyncio.open_connection(*place, local_addr=(BALANCER, 0))
            writer.write(block(0x21, 0x11, four(f"203.0.113.{number}")))
            writer.write(f"GET /open/x HTTP/1.1\r\nHost: localhost:{world.public_port}\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            held.append(writer)
        assert b" 200 " not in await Asked(world, None).ask(block(0x21, 0x11, four("203.0.113.2")))
        for writer in held:
            writer.close()
