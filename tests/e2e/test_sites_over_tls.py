"""One login for several sites as it is meant: over TLS, with a wildcard certificate."""

import pytest

from tests.support.certificates import Authority
from tests.support.sites import SiteBrowser, SiteWorld

pytestmark = pytest.mark.asyncio
SITES = ("wiki", "files", "shop")


class TlsWorld(SiteWorld):
    """The same sites below ``example.test``, over TLS."""

    def __init__(self, *parts, **override) -> None:
        super().__init__(*parts, **override)
        self.authority = Authority(self.tmp_path)
        names = ("*.apps.example.test", "shop.example.test", "login.example.test")
        pair = self.authority.issue(*names)
        self.override["tls"] = {"certificates": [pair.written], "hsts": {"max_age": "1d"}}

    def site(self, name: str) -> str:
        """Return the origin of a site."""
        domain = name if name in ("login", "shop") else f"{name}.apps"
        return f"https://{domain}.example.test:{self.public_port}"

    def browser(self) -> SiteBrowser:
        """Return a new browser, which believes this authority."""
        browser = super().browser()
        browser.session._connector._ssl = self.authority.trusting()
        return browser


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_r38_r39_each_site_has_a_cookie_for_itself(valkey_url, tmp_path, mode: str):
    """R38 R39 [11.2]: __Host-, Secure, no Domain; one login; HSTS under the wildcard as well."""
    async with TlsWorld(valkey_url, tmp_path, session={"mode": mode}) as world:
        alice = world.browser()
        page = await alice.login(world.site("wiki") + "/x")
        assert (page.status, str(page.url)) == (200, world.site("wiki") + "/x")
        for site in SITES:
            page = await alice.get(world.site(site) + "/y")
            assert (page.status, str(page.url)) == (200, world.site(site) + "/y")
            assert page.headers["Strict-Transport-Security"] == "max-age=86400"
            assert alice.at(site)["__Host-gateway-session"]
        url = await alice.ticket("notes")
        page = await alice.get(url, follow=False)
        (line,) = [each for each in page.set_cookies if each.startswith("__Host-gateway-session=")]
        assert "; Secure" in line
        assert "; Path=/" in line
        assert "Domain" not in line
        assert len(world.audit("login")) == 1


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_one_cookie_for_a_domain(valkey_url, tmp_path, mode: str):
    """[11.2]: where that is asked for: every site is sent it, refreshes and logouts are of all."""
    more = {"session": {"mode": mode}, "cookie_domain": "example.test"}
    async with TlsWorld(valkey_url, tmp_path, **more) as world:
        alice = world.browser()
        await alice.login(world.site("wiki") + "/x")
        for site in SITES:
            page = await alice.get(world.site(site) + "/y", follow=False)
            assert page.status == 200, "no way to the host of logins is needed"
        assert [line["site"] for line in world.audit("site_join")] == [world.site("wiki")]
        for turn in range(1, 4):
            world.clock.advance(61)
            for site in SITES:
                assert (await alice.fetch(world.site(site) + "/z")).status == 200
            assert world.provider.counts["token:refresh_token"] == turn
        assert not world.audit("reuse_detected")
        origin = world.site("shop")
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Origin": origin}
        await alice.request("POST", origin + "/.gateway/logout", follow=True, headers=headers)
        assert "__Secure-gateway-session" not in alice.at("wiki")
        assert (await alice.fetch(world.site("files") + "/")).status == 401


@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_one_cookie_for_a_domain_without_a_host_of_logins(valkey_url, tmp_path, mode: str):
    """[11.2]: each site has its own callback, and its login is good at the others."""
    world = TlsWorld(valkey_url, tmp_path, session={"mode": mode}, cookie_domain="example.test")
    world.override |= {"login_host": None, "public_url": [world.site("wiki"), world.site("shop")]}
    async with world:
        world.provider.redirect_uris = tuple(
            f"{world.site(site)}/.gateway/callback" for site in ("wiki", "shop")
        )
        alice = world.browser()
        page = await alice.login(world.site("shop") + "/x")
        assert (page.status, str(page.url)) == (200, world.site("shop") + "/x")
        for _ in range(3):
            for site in ("wiki", "shop"):
                assert (await alice.get(world.site(site) + "/y", follow=False)).status == 200
            world.clock.advance(61)
        assert not world.audit("reuse_detected")
