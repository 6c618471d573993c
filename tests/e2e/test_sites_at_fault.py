"""One login for several sites, when something is not as it should be."""

import html
import json
import re

import pytest
from yarl import URL

from gateway.config.settings.root import Settings
from tests.support.redis import DURABLE
from tests.support.sites import SiteWorld
from tests.support.store import ValkeyServer
from tests.support.world import NAVIGATE, SECRET_KEY, merge

pytestmark = pytest.mark.asyncio
MODES = pytest.mark.parametrize("mode", ["cookie", "redis"])


@MODES
async def test_r61_the_store_is_away(tmp_path, mode: str):
    """R61 [11.2]: no site gets a new session and none loses its own; afterwards all is well."""
    server = ValkeyServer(*DURABLE).start()
    try:
        async with SiteWorld(server.url, tmp_path, session={"mode": mode}) as world:
            alice = world.browser()
            await alice.login(world.site("wiki") + "/")
            url = await alice.ticket("shop")
            before = {name: alice.at(name) for name in ("wiki", "login", "shop")}
            server.kill()
            page = await alice.get(url, follow=False)
            assert (page.status, page.headers["Retry-After"]) == (503, "5")
            page = await alice.get(world.site("files") + "/")
            assert page.status == 503
            assert {name: alice.at(name) for name in before} == before
            assert (await alice.fetch(world.site("wiki") + "/")).status in (200, 503)
            server.start()
            await world.eventually(lambda: all(each.ready().is_ready for each in world.gateways))
            for site in ("wiki", "files", "shop"):
                page = await alice.get(world.site(site) + "/")
                assert (page.status, str(page.url)) == (200, world.site(site) + "/")
    finally:
        server.close()


@MODES
async def test_a_reload_in_the_middle(valkey_url, tmp_path, mode: str):
    """[11.2]: a site that is no longer one of ours gets no ticket, and takes none; the others go on."""
    async with SiteWorld(valkey_url, tmp_path, session={"mode": mode}) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        url = await alice.ticket("shop")
        link = (await alice.until(world.site("shop") + "/", "/join?request=")).headers["Location"]
        fewer = merge(world.config(), {"public_url": [world.site("*")]})
        listens = [gateway.settings.listen for gateway in world.gateways]
        for gateway, listen in zip(world.gateways, listens, strict=True):
            admin = gateway.settings.admin.model_dump(exclude_unset=True)
            data = fewer | {"listen": listen, "admin": {**fewer["admin"], "listen": admin["listen"]}}
            gateway.reload(Settings.model_validate(data))
        assert (await alice.get(url, follow=False)).status == 421
        assert (await alice.get(link, follow=False)).status == 400
        assert (await alice.get(world.site("wiki") + "/", follow=False)).status == 200
        assert (await alice.get(world.site("files") + "/")).status == 200


@MODES
async def test_keys_are_rotated(valkey_url, tmp_path, mode: str):
    """[11.2]: tickets, requests and sessions of the key before go on."""
    key = "8oQp0sUZyAPRUSBcqwkOvIMg1ZxkQfOXCYAgkL5aa0Y="
    async with SiteWorld(valkey_url, tmp_path, session={"mode": mode}) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        url = await alice.ticket("shop")
        for gateway in world.gateways:
            settings = gateway.settings.model_copy(
                update={
                    "secret_keys": Settings.model_validate(
                        merge(world.config(), {"secret_keys": [key, SECRET_KEY]})
                    ).secret_keys
                }
            )
            gateway.reload(settings)
        assert (await alice.get(url)).status == 200
        assert (await alice.get(world.site("files") + "/")).status == 200
        assert (await alice.get(world.site("wiki") + "/", follow=False)).status == 200


@MODES
async def test_the_same_session_twice_does_not_go_round(valkey_url, tmp_path, mode: str):
    """[11.2]: what a site has and cannot use is not given to it again; the person is told, not sent round."""
    routes = [
        {"path": "/", "upstream": "app", "access": "required", "require": {"acr": ["never"]}},
    ]
    async with SiteWorld(valkey_url, tmp_path, session={"mode": mode}, routes=routes) as world:
        alice = world.browser()
        page = await alice.login(world.site("wiki") + "/")
        for _ in range(4):
            if "password" not in page.text:
                break
            page = await alice.submit(page, username="alice", password="alice")
        assert (page.status, "authentication_too_weak" in page.text) == (401, True)
        assert len(world.audit("login")) <= 2


@MODES
async def test_a_browser_that_keeps_no_session(valkey_url, tmp_path, mode: str):
    """R17 [11.2]: where a site's session cookie never comes back, a page says so after a few rounds."""
    async with SiteWorld(valkey_url, tmp_path, session={"mode": mode}) as world:
        alice = world.browser()
        await alice.login(world.site("files") + "/")
        name = f"gateway-{world.public_port}-session"
        host = URL(world.site("wiki")).host
        for _ in range(6):
            url = await alice.ticket("wiki")
            page = await alice.get(url, follow=False)
            alice.jar.clear(
                lambda morsel: morsel.key.startswith(name[:-7] + "session") and morsel["domain"] == host
            )
            alice.jar.clear(lambda morsel: morsel.key.endswith("-refresh") and morsel["domain"] == host)
            if page.status != 303:
                break
        assert (page.status, "login_loop" in page.text) == (400, True)


@MODES
async def test_a_login_in_the_same_browser_as_the_same_person(valkey_url, tmp_path, mode: str):
    """R41 [11.2]: a new session id; the other sites go on with it and nobody is asked anything."""
    session = {"mode": mode, "rotation_grace": "600ms", "refresh_before_expiry": "500ms"}
    async with SiteWorld(valkey_url, tmp_path, session=session) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        await alice.get(world.site("files") + "/")
        page = await alice.get(world.site("files") + "/.gateway/login?account=other&return_to=/x")
        page = await alice.submit(page, username="alice", password="alice")
        assert (page.status, page.url.path) == (200, "/x")
        await world.ended(world.audit("site_join")[0]["session"])
        page = await alice.get(world.site("wiki") + "/y")
        assert (page.status, str(page.url)) == (200, world.site("wiki") + "/y")
        assert len({line["session"] for line in world.audit("site_join")}) == 2
        if mode == "redis":
            (listed,) = json.loads((await world.admin("GET", "/sessions")).text)["sessions"]
            assert listed["sites"] == [world.site(each) for each in ("login", "files", "wiki")]


async def test_no_log_shows_a_ticket(valkey_url, tmp_path):
    """R16 [11.2]: neither a ticket, a request, nor what either seals."""
    log = {"access": True, "request_headers": ["Referer"]}
    async with SiteWorld(valkey_url, tmp_path, log=log) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        url = URL(await alice.ticket("shop"), encoded=True)
        await alice.get(str(url), headers={"Referer": str(url)})
        await alice.get(str(url), headers={"Referer": str(url)})
        text = json.dumps(world.lines)
        assert url.query["ticket"][:20] not in text
        assert url.query["state"][:20] not in text


async def test_a_proxy_that_asks(valkey_url, tmp_path):
    """[11.10 11.2]: Traefik passes on the way to the host, and the cookie with the secret."""
    more = {"trusted_proxies": ["127.0.0.1"], "asked_by": ["traefik"]}
    async with SiteWorld(valkey_url, tmp_path, **more) as world:
        browser = world.browser()
        headers = {
            **NAVIGATE,
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": URL(world.site("wiki")).authority,
            "X-Forwarded-Uri": "/x",
            "X-Forwarded-For": "192.0.2.9",
        }
        url = f"http://127.0.0.1:{world.public_port}/.gateway/decide/traefik"
        page = await browser.get(url, follow=False, headers=headers)
        assert page.status == 303
        assert page.headers["Location"].startswith(world.site("login") + "/.gateway/join?request=")
        assert any("-login-" in line for line in page.set_cookies)


async def test_what_a_login_asks_for_reaches_the_provider(valkey_url, tmp_path):
    """[11.5 11.2]: what the page's route wants, and what a link says, by way of the host of logins."""
    routes = [
        {
            "path": "/strong/",
            "upstream": "app",
            "access": "required",
            "require": {"acr": ["mfa", "hwk"], "max_age": "60s"},
            "extra_authorization_parameters": {"ui_locales": "de"},
        },
        {"path": "/", "upstream": "app", "access": "required"},
    ]
    async with SiteWorld(valkey_url, tmp_path, routes=routes) as world:
        browser = world.browser()
        page = await browser.until(world.site("wiki") + "/strong/x", "/authorize")
        sent = URL(page.headers["Location"], encoded=True).query
        assert (sent["acr_values"], sent["max_age"], sent["ui_locales"]) == ("mfa hwk", "60", "de")
        assert sent["redirect_uri"] == world.site("login") + "/.gateway/callback"
        path = "/.gateway/login?return_to=/x&login_hint=a%40b.example&account=other&max_age=0"
        page = await browser.until(world.site("wiki") + path, "/authorize")
        sent = URL(page.headers["Location"], encoded=True).query
        assert (sent["login_hint"], sent["prompt"], sent["max_age"]) == ("a@b.example", "select_account", "0")


@MODES
async def test_r85_whose_session_cannot_be_renewed_logs_in_anew(valkey_url, tmp_path, mode: str):
    """R85 [11.2]: the page of an outage at the host of logins offers a login for the page of the site."""
    async with SiteWorld(valkey_url, tmp_path, session={"mode": mode}) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/")
        world.clock.advance(61)
        world.provider.quirks.add("token-503-retry-after")
        page = await alice.get(world.site("shop") + "/basket")
        assert page.status == 503
        link = html.unescape(re.search(r'href="([^"]*/.gateway/login[^"]*)"', page.text)[1])
        assert link.startswith(world.site("login") + "/.gateway/login?return_to=")
        world.provider.quirks.clear()
        page = await alice.get(link)
        page = await alice.submit(page, username="alice", password="alice")
        assert (page.status, str(page.url)) == (200, world.site("shop") + "/basket")
