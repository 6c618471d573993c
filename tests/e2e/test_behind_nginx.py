"""A real nginx in front, with its defaults and as docs/behind-a-proxy.md has it."""

import asyncio
import http.client
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.ports import free_port
from tests.support.world import World

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
pytestmark = pytest.mark.skipif(not Path(NGINX).exists(), reason="no nginx on this machine")

PAGE = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"
CLIENT = "127.0.0.2"
CONFIG = """\
daemon off;
master_process off;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {map}
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
DEFAULT = "location / { proxy_pass http://127.0.0.1:8080; }"
ROUTES = [
    {"path": "/", "upstream": "app", "access": "public", "hosts": ["intern.test"], "name": "intern"},
    {"path": "/open/", "upstream": "app", "access": "public"},
    {"path": "/few/", "upstream": "app", "access": "public", "rate_limit": "few"},
    {"path": "/", "upstream": "app", "access": "required"},
]
FORGED = [
    {},
    {"X-Forwarded-Host": "intern.test"},
    {"Forwarded": "for=6.6.6.6;host=intern.test;proto=https"},
    {"Forwarded": "x", "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"},
    {"X-Forwarded-For": "unknown", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"},
    {"Connection": "X-Forwarded-For, Host", "X-Forwarded-Host": "intern.test"},
]


class Answer(NamedTuple):
    """What nginx's client got."""

    status: int
    text: str


class Behind(NamedTuple):
    """A gateway behind nginx."""

    world: World
    port: int

    async def get(self, path: str, headers: dict[str, str] | None = None, host: str = "") -> Answer:
        """Ask nginx, from an address of one's own."""

        def ask() -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, 20, (CLIENT, 0))
            sent = {"Host": host or f"localhost:{self.port}", **(headers or {})}
            try:
                connection.request("GET", path, headers=sent)
                answer = connection.getresponse()
                return Answer(answer.status, answer.read().decode())
            finally:
                connection.close()

        return await asyncio.to_thread(ask)


def recommended() -> tuple[str, str]:
    """Return the documented location, and what goes beside it."""
    lines = PAGE.read_text(encoding="utf-8").partition("## nginx")[2]
    location = re.search(r"    location / \{.*?\n    \}\n", lines, re.DOTALL)
    beside = re.search(r"    (map .*\})\n", lines)
    assert location is not None
    assert beside is not None
    return location[0], beside[1]


@contextmanager
def written(directory: Path, location: str, beside: str, port: int, gateway: int) -> Iterator[Path]:
    """Write nginx's configuration."""
    file = directory / "nginx.conf"
    location = location.replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
    file.write_text(CONFIG.format(directory=directory, map=beside, port=port, location=location))
    yield file


@asynccontextmanager
async def behind(
    valkey_url: str, directory: Path, location: str, beside: str = "", **more: object
) -> AsyncIterator[Behind]:
    """Run a gateway that trusts nginx, and nginx."""
    port = free_port()
    override = {
        "public_url": [f"http://localhost:{port}"],
        "trusted_proxies": ["127.0.0.1"],
        "routes": ROUTES,
        "rate_limits": {"few": {"requests": 2, "per": "1h", "by": "address"}},
        **more,
    }
    async with World(valkey_url, directory, **override) as world:
        with written(directory, location, beside, port, world.public_port) as file:
            command = (NGINX, "-p", str(directory), "-c", str(file))
            nginx = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
            try:
                await listening(port, nginx)
                yield Behind(world, port)
            finally:
                nginx.terminate()
                await nginx.communicate()


async def listening(port: int, nginx: asyncio.subprocess.Process) -> None:
    """Wait until nginx listens."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert nginx.returncode is None, await nginx.communicate()
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError("nginx does not listen")


async def test_r64_nginx_as_recommended(valkey_url, tmp_path):
    """R64 [1.1] [1.2]: whatever a client forges, it is itself, on the site that it asked for."""
    async with behind(valkey_url, tmp_path, *recommended()) as proxied:
        for forged in FORGED:
            assert (await proxied.get("/secret", forged)).status == 401
            assert (await proxied.get("/open/x", forged)).status == 200
            seen = proxied.world.upstream.last().headers
            assert seen["X-Forwarded-For"] == f"{CLIENT}, 127.0.0.1"
            assert seen["X-Forwarded-Host"] == f"localhost:{proxied.port}"
            assert seen["X-Forwarded-Proto"] == "http"
            assert "6.6.6.6" not in str(seen)
            assert "intern.test" not in str(seen)
        # a fresh forgery gives no fresh allowance
        statuses = [(await proxied.get("/few/x", forged)).status for forged in FORGED]
        assert statuses == [200, 200, 429, 429, 429, 429]
        # which site it is, is what the client asks for, and nothing else
        assert (await proxied.get("/secret", host="intern.test")).status == 200


async def test_r64_nginx_that_appends(valkey_url, tmp_path):
    """R64 [1.2]: what is left of the address that nginx appended is neither read nor passed on."""
    location, beside = recommended()
    location = location.replace("$remote_addr", "$proxy_add_x_forwarded_for")
    async with behind(valkey_url, tmp_path, location, beside) as proxied:
        for value in ("6.6.6.6", "unknown", "garbage", '"', "127.0.0.1", "6.6.6.6, 127.0.0.1", ","):
            assert (await proxied.get("/open/x", {"X-Forwarded-For": value})).status == 200
            seen = proxied.world.upstream.last().headers
            assert seen["X-Forwarded-For"] == f"{CLIENT}, 127.0.0.1"


async def test_r64_nginx_with_its_defaults(valkey_url, tmp_path):
    """R64 [1.1]: its Host is $proxy_host; the page names the setting, and no field stands in for it."""
    async with behind(valkey_url, tmp_path, DEFAULT) as proxied:
        for forged in FORGED[:3]:
            answer = await proxied.get("/open/x", {"Accept": "text/html", **forged})
            assert answer.status == 421
            assert "forwarding.host" in answer.text
            assert "proxy_set_header Host" in answer.text
        assert not proxied.world.upstream.seen


async def test_r64_an_absent_address_is_nobody_s(valkey_url, tmp_path):
    """R64 [1.1]: behind a proxy that tells no address a client is not the proxy."""
    location, beside = recommended()
    location = location.replace("X-Forwarded-For $remote_addr", 'X-Forwarded-For ""')
    async with behind(valkey_url, tmp_path, location, beside) as proxied:
        assert (await proxied.get("/open/x", {"X-Real-IP": "6.6.6.6"})).status == 200
        assert proxied.world.upstream.last().headers["X-Forwarded-For"] == "unknown, 127.0.0.1"


async def test_r64_a_field_of_one_address(valkey_url, tmp_path):
    """R64 [1.1]: X-Real-IP, where it is named; sent twice or not at all it is refused, or nobody's."""
    location, beside = recommended()
    location = location.replace("X-Forwarded-For $remote_addr", "X-Real-IP $remote_addr")
    more = {"forwarding": {"address": "X-Real-IP"}}
    async with behind(valkey_url, tmp_path, location, beside, **more) as proxied:
        for forged in FORGED:
            assert (await proxied.get("/open/x", forged)).status == 200
            seen = proxied.world.upstream.last().headers
            assert seen["X-Forwarded-For"] == f"{CLIENT}, 127.0.0.1"


async def test_r64_what_cannot_be_read_at_all_is_not_the_proxy_s(valkey_url, tmp_path):
    """R64 [1.2]: the record of a malformed head from a trusted proxy does not blame the proxy."""
    async with behind(valkey_url, tmp_path, *recommended()) as proxied:
        for source, client in (("127.0.0.1", "unknown"), (CLIENT, CLIENT)):
            place = ("127.0.0.1", proxied.world.public_port)
            reader, writer = await asyncio.open_connection(*place, local_addr=(source, 0))
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
            writer.close()
            assert proxied.world.audit("request")[-1]["client"] == client


async def test_a_proxy_that_says_http_of_an_https_site(valkey_url, tmp_path):
    """[2.22]: a browser on https goes on, with one warning; any other gets a page that names the field."""
    location, beside = recommended()
    site = f"https://localhost:{free_port()}"
    async with behind(valkey_url, tmp_path, location, beside, public_url=[site]) as proxied:
        host, page = site.removeprefix("https://"), {"Accept": "text/html"}
        for _ in range(2):
            answer = await proxied.get("/secret", page | {"Sec-Fetch-Site": "none"}, host)
            assert answer.status == 303
            refused = await proxied.get("/secret", page, host)
            assert refused.status == 400
            assert "X-Forwarded-Proto" in refused.text
            assert "login_insecure" in refused.text
            assert f'href="{site}/.gateway/login?return_to=/secret&amp;provider=demo"' in refused.text
        (line,) = [each for each in proxied.world.lines if "says http" in str(each.get("message"))]
        assert (line["level"], line["site"]) == ("warning", site)
