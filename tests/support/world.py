"""A whole gateway in this process with real parts around it: provider, upstream, store, browsers."""

import asyncio
import base64
import contextlib
import html
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

from gateway.app.gateway import Gateway
from gateway.config.settings.root import Settings
from gateway.demo.provider import DemoProvider
from gateway.edge.telemetry.logs import Logs
from tests.support.audit_events import hold
from tests.support.ports import free_port

SECRET_KEY = base64.b64encode(bytes(range(32))).decode()
ADMIN_TOKEN = "admin-token-of-the-tests-0123456789abcdef"
CLIENT_SECRET = "demo-secret"
NAVIGATE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


class Clock:
    """Wall time that a test can push forward; starts at the real time."""

    def __init__(self) -> None:
        self.offset = 0.0
        self.listeners: list[Any] = []

    def __call__(self) -> float:
        """Return the time, in seconds since the epoch."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Let time pass in which everything went on as before: replicas were kept fresh."""
        self.offset += seconds
        for listener in self.listeners:
            listener(seconds)

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing happened: replicas grow stale."""
        self.offset += seconds


class Upstream:
    """A real aiohttp server that records what reached it and answers as told.

    A WebSocket gets back what it sends; ``close 4001 why`` closes it so. ``closed`` are the status codes with
    which they ended here. A path that ends in ``/events`` is an event stream, one that ends in ``/download``
    a body without an end: both get what is put into ``feeds``, in the order in which they came, up to None.
    """

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.headers: list[tuple[str, str]] = []
        self.hold: asyncio.Event | None = None
        self.feeds: list[asyncio.Queue[bytes | None]] = []
        self.closed: list[int | None] = []
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self) -> None:
        """Listen on an ephemeral port of the loopback."""
        server = web.Server(self._handle, access_log=None)
        self.runner = web.ServerRunner(server)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._echo(request)
        if request.path.endswith(("/events", "/download")):
            return await self._feed(request)
        body = await request.read()
        if self.hold is not None:
            await self.hold.wait()
        who = request.headers.get("X-Forwarded-User", "nobody")
        response = web.Response(text=f"hello {who} {request.method} {request.path_qs} {len(body)}")
        for name, value in self.headers:
            response.headers.add(name, value)
        return response

    async def _echo(self, request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=("chat.v2", "chat.v1"))
        await ws.prepare(request)
        self._sockets.add(ws)
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            elif message.data.startswith("close "):
                _, code, why = message.data.split(" ", 2)
                await ws.close(code=int(code), message=why.encode())
            else:
                await ws.send_str(message.data)
        self.closed.append(ws.close_code)
        self._sockets.discard(ws)
        return ws

    async def _feed(self, request: web.BaseRequest) -> web.StreamResponse:
        feed: asyncio.Queue[bytes | None] = asyncio.Queue()
        kind = "text/event-stream" if request.path.endswith("/events") else "application/octet-stream"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        self.feeds.append(feed)
        with contextlib.suppress(ConnectionError):
            while (data := await feed.get()) is not None:
                await response.write(data)
        return response

    def last(self) -> web.BaseRequest:
        """Return the last request that reached it."""
        return self.seen[-1]

    async def close(self) -> None:
        """Stop listening."""
        if self.hold is not None:
            self.hold.set()
        for feed in self.feeds:
            feed.put_nowait(None)
        for ws in tuple(self._sockets):
            await ws.close()
        await self.runner.cleanup()


@dataclass
class Page:
    """An answer with its body read."""

    status: int
    headers: Any
    text: str
    url: URL
    history: list[int] = field(default_factory=list)

    @property
    def onwards(self) -> str:
        """Where a browser goes on to by itself, empty where it stays."""
        return str(self.headers.get("Location", self.headers.get("Refresh", "").partition("url=")[2]))

    @property
    def set_cookies(self) -> list[str]:
        """The Set-Cookie fields of the answer."""
        return self.headers.getall("Set-Cookie", [])


class Browser:
    """A cookie jar with a memory of how forms work."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self.session = aiohttp.ClientSession(
            cookie_jar=self.jar,
            timeout=aiohttp.ClientTimeout(total=30),
            connector=aiohttp.TCPConnector(limit=0),
        )

    def url(self, path: str) -> str:
        """Return the absolute URL of a path at the gateway."""
        return path if path.startswith("http") else self.world.base + path

    async def get(self, path: str, *, follow: bool = True, headers: dict | None = None, **more: Any) -> Page:
        """Navigate."""
        return await self.request("GET", path, follow=follow, headers={**NAVIGATE, **(headers or {})}, **more)

    async def fetch(
        self, path: str, *, method: str = "GET", headers: dict | None = None, **more: Any
    ) -> Page:
        """Ask as a script of the page would."""
        sent = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", **(headers or {})}
        return await self.request(method, path, follow=False, headers=sent, **more)

    async def request(self, method: str, path: str, *, follow: bool, headers: dict, **more: Any) -> Page:
        """Send one request."""
        url = URL(self.url(path), encoded=True)
        async with self.session.request(
            method, url, allow_redirects=follow, headers=headers, **more
        ) as answer:
            history = [each.status for each in answer.history]
            page = Page(
                answer.status, answer.headers, await answer.text(errors="replace"), answer.url, history
            )
        if follow and "Refresh" in page.headers:
            return await self.get(page.onwards)
        return page

    async def submit(self, page: Page, **fields: str) -> Page:
        """Fill in and send the page's form; follow where it leads."""
        return await self.send(page, fields, follow=True)

    async def send(self, page: Page, fields: dict[str, str], *, follow: bool) -> Page:
        """Fill in and send the page's form."""
        action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        target = page.url.join(URL(html.unescape(action[1]), encoded=True)) if action else page.url
        hidden = dict(
            re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page.text)
        )
        data = {name: html.unescape(value) for name, value in hidden.items()} | fields
        return await self.request(
            "POST",
            str(target),
            follow=follow,
            headers={**NAVIGATE, "Origin": str(target.origin())},
            data=data,
        )

    async def login(self, path: str = "/", user: str = "alice") -> Page:
        """Navigate to a page, log in at the provider's form, and come back."""
        page = await self.get(path)
        assert "password" in page.text, f"no login form at {page.url}: {page.status} {page.text[:500]}"
        return await self.submit(page, username=user, password=user)

    def cookies(self) -> dict[str, str]:
        """Return the jar's cookies for the gateway."""
        return {name: morsel.value for name, morsel in self.jar.filter_cookies(URL(self.world.base)).items()}

    def clone(self) -> "Browser":
        """Return another browser with the same cookies: a tab that does not share updates, or a thief."""
        other = Browser(self.world)
        other.jar.update_cookies(self.cookies(), URL(self.world.base))
        self.world.browsers.append(other)
        return other

    async def close(self) -> None:
        """Close its connections."""
        await self.session.close()


class World:
    """Everything together; ``settings`` may be overridden by deep-merged keys."""

    provider_class: type[DemoProvider] = DemoProvider

    def __init__(self, store_url: str, tmp_path: Any, **override: Any) -> None:
        self.clock = Clock()
        self.store_url = store_url
        self.tmp_path = tmp_path
        self.override = override
        self.browsers: list[Browser] = []
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.gateways: list[Gateway] = []
        self.prefix = f"t{uuid.uuid4().hex[:12]}:"
        self.public_port = free_port()
        self.base = f"http://localhost:{self.public_port}"

    def config(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        data: dict[str, Any] = {
            "public_url": [self.base],
            "listen": f"127.0.0.1:{self.public_port}",
            "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
            "secret_keys": [SECRET_KEY],
            "redis": {"url": self.store_url, "prefix": self.prefix},
            "state_dir": str(self.tmp_path),
            "providers": {
                "demo": {
                    "issuer": self.provider.issuer,
                    "client_id": "demo",
                    "client_secret": CLIENT_SECRET,
                    "scopes": ["openid", "profile", "email", "offline_access"],
                    "audiences": ["demo-api"],
                }
            },
            "upstreams": {"app": {"servers": [self.upstream.url]}},
            "routes": [
                {"path": "/public/", "upstream": "app", "access": "public"},
                {"path": "/optional/", "upstream": "app", "access": "optional"},
                {
                    "path": "/api/",
                    "upstream": "app",
                    "access": "required",
                    "unauthenticated": "reject",
                    "require": {"scopes": ["api"]},
                },
                {
                    "path": "/admin/",
                    "upstream": "app",
                    "access": "required",
                    "require": {"groups": ["admins"]},
                },
                {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
            ],
        }
        return merge(data, self.override)

    async def __aenter__(self) -> Self:
        self.provider = self.provider_class(
            client_id="demo",
            client_secret=CLIENT_SECRET,
            redirect_uris=(),
            audience="demo-api",
            clock=self.clock,
        )
        await self.provider.start()
        self.provider.redirect_uris = (f"{self.base}/.gateway/callback",)
        self.upstream = Upstream()
        await self.upstream.start()
        self.settings = Settings.model_validate(self.config())
        self.gateway = await self.start_gateway(self.settings)
        return self

    async def start_gateway(self, settings: Settings) -> Gateway:
        """Start another gateway with these settings, sharing store, clock and log."""
        gateway = Gateway(settings, clock=self.clock, logs=Logs(settings.log, write=self._log))
        await gateway.start()
        self.gateways.append(gateway)

        def keep_fresh(seconds: float) -> None:
            if gateway.denylist.synchronised_at is not None:
                gateway.denylist.synchronised_at += seconds

        self.clock.listeners.append(keep_fresh)
        return gateway

    def _log(self, line: str) -> None:
        import json

        self.raw.append(line)
        self.lines.append(json.loads(line))

    def browser(self) -> Browser:
        """Return a new browser."""
        browser = Browser(self)
        self.browsers.append(browser)
        return browser

    def audit(self, event: str) -> list[dict[str, Any]]:
        """Return the audit events of this name so far."""
        return [line for line in self.lines if line.get("event") == event]

    async def admin(self, method: str, path: str, token: str | None = ADMIN_TOKEN, **more: Any) -> Page:
        """Ask the admin listener."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.gateway.admin_port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, **more) as answer,
        ):
            return Page(answer.status, answer.headers, await answer.text(), answer.url)

    async def eventually(self, probe: Any, *, tries: int = 200) -> Any:
        """Return the probe's first true value; fails after some seconds."""
        for _ in range(tries):
            if value := probe():
                return value
            await asyncio.sleep(0.025)
        raise AssertionError("it never happened")

    async def __aexit__(self, kind: object = None, *_: object) -> None:
        for browser in self.browsers:
            await browser.close()
        for gateway in self.gateways:
            await gateway.close()
        with contextlib.suppress(Exception):
            await self.upstream.close()
        await self.provider.close()
        for line in self.lines if kind is None else ():
            hold(line)


def merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``more`` merged in, mapping by mapping; anything else replaces."""
    result = dict(base)
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result
