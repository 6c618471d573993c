"""Several sites with one login: two gateways on one store, and browsers that reach either under any name."""

import itertools
import socket
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.config.settings.root import Settings
from tests.support.ports import free_port
from tests.support.world import Browser, Page, World, merge


class Balancer(AbstractResolver):
    """Leads every name of a site to one gateway after the other, as a balancer in front would."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.turns = itertools.count()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return where the next connection leads."""
        if host.endswith(("localhost", ".test")):
            port = self.ports[next(self.turns) % len(self.ports)]
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Close nothing."""


class SiteBrowser(Browser):
    """A browser whose every request may reach another gateway."""

    def __init__(self, world: "SiteWorld") -> None:
        self.world = world
        self.jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self.session = aiohttp.ClientSession(
            cookie_jar=self.jar,
            timeout=aiohttp.ClientTimeout(total=30),
            connector=aiohttp.TCPConnector(
                limit=0, force_close=True, resolver=Balancer(world.ports), use_dns_cache=False
            ),
        )

    def at(self, site: str) -> dict[str, str]:
        """Return the jar's cookies for a site."""
        found = self.jar.filter_cookies(URL(self.world.site(site)))
        return {name: morsel.value for name, morsel in found.items()}

    async def until(self, path: str, part: str) -> Page:
        """Navigate until an answer leads to an address with this part, which is not followed."""
        page = await self.get(path, follow=False)
        while page.onwards:
            location = str(page.url.join(URL(page.onwards, encoded=True)))
            if part in location:
                return page
            page = await self.get(location, follow=False)
        raise AssertionError(f"nothing led to {part}: {page.status} at {page.url}")

    async def ticket(self, site: str, path: str = "/") -> str:
        """Return the address that a ticket for a site leads to, without going there."""
        page = await self.until(self.world.site(site) + path, "ticket?ticket=")
        return page.onwards


class SiteWorld(World):
    """Sites ``wiki`` and ``files`` under a wildcard, ``shop`` beside them; people log in at ``login``."""

    gateway_count = 2

    def site(self, name: str) -> str:
        """Return the origin of a site."""
        domain = {"login": "login", "shop": "shop"}.get(name, f"{name}.apps")
        return f"http://{domain}.localhost:{self.public_port}"

    def config(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        sites = {"public_url": [self.site("*"), self.site("shop")], "login_host": self.site("login")}
        return merge(super().config(), merge(sites, self.override))

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.provider.redirect_uris = (f"{self.site('login')}/.gateway/callback",)
        self.ports = [self.public_port]
        for _ in range(1, self.gateway_count):
            port = free_port()
            more = {"listen": f"127.0.0.1:{port}", "admin": {"listen": f"127.0.0.1:{free_port()}"}}
            await self.start_gateway(Settings.model_validate(self.config() | more))
            self.ports.append(port)
        return self

    async def told(self) -> None:
        """Wait until every gateway knows of what was revoked so far."""
        await self.eventually(lambda: len({each.denylist.position for each in self.gateways}) == 1)

    async def ended(self, session: str) -> None:
        """Wait until every gateway knows that a session has ended."""
        await self.eventually(
            lambda: all(each.denylist.why_ended(session, self.clock()) for each in self.gateways)
        )

    def browser(self) -> SiteBrowser:
        """Return a new browser."""
        browser = SiteBrowser(self)
        self.browsers.append(browser)
        return browser
