"""Single sign-on over three sites at two gateways in processes of their own, with one store."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Self

import pytest
from aiohttp import WSMsgType
from yarl import URL

from gateway.core.sessions.joining import decode_ticket, encode_ticket, ticket_purpose
from gateway.core.sessions.seal import KeyRing
from tests.support.fleet import Fleet
from tests.support.ports import free_port
from tests.support.sites import SiteBrowser, SiteWorld
from tests.support.world import SECRET_KEY

pytestmark = pytest.mark.asyncio
SITES = ("wiki", "files", "shop")
PATIENCE = 20.0


class SiteFleet(Fleet):
    """A gateway with ``SiteWorld``'s sites; the second has the provider and upstream of the first."""

    site = SiteWorld.site
    first: "SiteFleet | None" = None

    def config(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        first = self.first or self
        sites = {
            "public_url": [first.site("*"), first.site("shop")],
            "login_host": first.site("login"),
        }
        return super().config() | sites

    async def __aenter__(self) -> Self:
        if self.first is None:
            await super().__aenter__()
            self.provider.redirect_uris = (f"{self.site('login')}/.gateway/callback",)
            return self
        self.provider, self.upstream = self.first.provider, self.first.upstream
        self.write()
        await self.run()
        return self

    def browser(self) -> SiteBrowser:
        """Return a new browser, each of whose requests may reach another gateway."""
        browser = SiteBrowser(self)
        self.browsers.append(browser)
        return browser


@contextlib.asynccontextmanager
async def two_gateways(url: str, mode: str) -> AsyncIterator[tuple[SiteFleet, SiteFleet]]:
    """Two supervisors with two workers each."""
    more = {"redis": {"url": url, "prefix": f"f{free_port()}:"}, "session": {"mode": mode}}
    one, two = SiteFleet(2, **more), SiteFleet(2, **more)
    two.first = one
    async with one:
        try:
            async with two:
                one.ports = [one.public_port, two.public_port]
                yield one, two
        finally:
            await two.__aexit__()


def aged(fleet: SiteFleet, site: str, url: str, seconds: float) -> str:
    """Return the address of a ticket as if it had been given some seconds earlier."""
    ring, purpose, address = (
        KeyRing((base64.b64decode(SECRET_KEY),)),
        ticket_purpose(fleet.site(site)),
        URL(url),
    )
    payload = ring.open(purpose, address.query["ticket"])
    ticket = None if payload is None else decode_ticket(payload)
    assert ticket is not None
    older = replace(ticket, at=ticket.at - seconds)
    return str(address.update_query(ticket=ring.seal(purpose, encode_ticket(older), bytes(12))))


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_single_sign_on_over_three_sites(valkey_url, mode: str):
    """[11.2]: one login; tickets replayed, stolen and late are refused; logout at one site ends all."""
    async with two_gateways(valkey_url, mode) as (one, two):
        alice, thief = one.browser(), one.browser()
        page = await alice.login(one.site("wiki") + "/x?y=1")
        assert (page.status, str(page.url)) == (200, one.site("wiki") + "/x?y=1")
        for site in SITES:
            page = await alice.get(one.site(site) + "/z")
            assert (page.status, str(page.url)) == (200, one.site(site) + "/z")

        def told(event: str) -> list[dict[str, Any]]:
            return one.events(event) + two.events(event)

        # logs are written in batches
        await one.eventually(lambda: len(told("site_join")) == len(SITES) and told("login"))
        assert len(told("login")) == 1
        joined = told("site_join")
        assert {line["site"] for line in joined} == {one.site(site) for site in SITES}
        assert len({line["session"] for line in joined}) == 1

        url = await alice.ticket("notes")
        copies = [one.browser() for _ in range(8)]
        for copy in copies:
            copy.jar.update_cookies(alice.at("notes"), URL(one.site("notes")))
        pages = await asyncio.gather(*(copy.get(url, follow=False) for copy in copies))
        assert sorted(page.status for page in pages) == [303, *[400] * 7], "replayed"
        url = await alice.ticket("plans")
        assert (await thief.get(url, follow=False)).status == 400, "stolen"
        assert (await alice.get(url, follow=False)).status == 400, "spent by the thief"
        assert not thief.at("plans")
        url = await alice.ticket("drafts")
        page = await alice.get(aged(one, "drafts", url, 31), follow=False)
        assert page.status == 400, "late"
        url = await alice.ticket("drafts")
        page = await alice.get(aged(one, "drafts", url, 20), follow=False)
        assert page.status == 303, "or the ticket before was refused for something else"

        # a socket of one site ends with the session, whichever site and gateway that ends at
        socket = await alice.session.ws_connect(one.site("files") + "/ws", origin=one.site("files"))
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=PATIENCE) == "hello"
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Origin": one.site("shop")}
        page = await alice.request(
            "POST", one.site("shop") + "/.gateway/logout", follow=False, headers=headers
        )
        assert page.status == 303
        message = await socket.receive(timeout=PATIENCE)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)

        async def is_over(site: str) -> bool:
            return (await alice.fetch(one.site(site) + "/.gateway/userinfo")).status == 401

        for site in ("wiki", "files", "notes", "login"):
            await one.eventually(lambda site=site: is_over(site))
