"""The gateway proves who it is by its certificate (RFC 8705), at a provider that asks for it in TLS."""

import json
import ssl

import pytest

from gateway.demo.clients import Registration, thumbprint_of
from gateway.demo.provider import DemoProvider
from tests.support.certificates import Authority
from tests.support.world import World

pytestmark = pytest.mark.asyncio

NAME = "gateway.example.com"


class Setting:
    """An authority, the gateway's certificate, and a world whose provider asks for it."""

    def __init__(self, store_url: str, tmp_path, **more: object) -> None:
        self.authority = Authority(tmp_path)
        self.own = self.authority.issue(NAME, client=True, file="own")
        server = self.authority.issue("localhost", "127.0.0.1", file="server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.certificate, server.key)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.authority.file)
        provider = {
            "client_secret": None,
            "client_auth": "tls_client_auth",
            "client_certificate": str(self.own.certificate),
            "client_key": str(self.own.key),
            "ca_file": str(self.authority.file),
            "userinfo": True,
            "access_token": "jwt",
            **more,
        }

        class Provider(DemoProvider):
            def __init__(self, **options: object) -> None:
                super().__init__(**options)
                self.tls = context
                self.client = Registration(auth="tls_client_auth", subject_dn=f"CN={NAME}")

        class Its(World):
            provider_class = Provider

        self.world = Its(store_url, tmp_path, providers={"demo": provider}, session={"rotation_grace": "60s"})
        self.bound: list[str] = []

    def watch(self) -> None:
        """Take note of the certificate that each token is bound to."""

        def note(answer: dict) -> dict:
            claims = self.world.provider.keys.verify(answer["access_token"])
            assert claims is not None
            self.bound.append(claims["cnf"]["x5t#S256"])
            return answer

        for grant in ("authorization_code", "refresh_token"):
            self.world.provider.alter[grant] = note

    def thumbprint(self) -> str:
        """Return that of the certificate that is in the file now."""
        return thumbprint_of(ssl.PEM_cert_to_DER_cert(self.own.certificate.read_text()))


@pytest.mark.parametrize("pushed", ["no", "offered"])
async def test_r15_every_call_of_the_client_shows_it(valkey_url, tmp_path, pushed: str):
    """R15 [11.5]: code, UserInfo by a bound token, refresh, revocation, where certificates are asked."""
    setting = Setting(valkey_url, tmp_path)
    async with setting.world as world:
        world.provider.pushed_requests = pushed
        setting.watch()
        browser = world.browser()
        assert (await browser.login()).text.startswith("hello alice")
        assert world.provider.counts["userinfo"] == 1
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        assert setting.bound == [setting.thumbprint()] * 2
        await browser.submit(await browser.get("/.gateway/logout"))
        await world.eventually(lambda: world.audit("token_revoked"))


async def test_a_renewed_certificate_is_shown_without_a_restart(valkey_url, tmp_path):
    """[11.5]: the files are looked at with each call; one that is half written leaves the former in use."""
    setting = Setting(valkey_url, tmp_path)
    async with setting.world as world:
        setting.watch()
        browser = world.browser()
        await browser.login()
        first = setting.thumbprint()
        whole = setting.own.certificate.read_bytes()
        setting.own.certificate.write_bytes(whole[:100])
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        setting.authority.issue(NAME, client=True, file="own")
        second = setting.thumbprint()
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        assert setting.bound == [first, first, second]
        assert first != second


@pytest.mark.parametrize("whose", ["nobody", "another"])
async def test_whoever_shows_another_is_nobody(valkey_url, tmp_path, whose: str):
    """R15 [11.5]: with no certificate, or another's of the same authority: no session, no detail."""
    setting = Setting(valkey_url, tmp_path)
    if whose == "another":
        other = setting.authority.issue("other.example.com", client=True, file="other")
        for name in ("certificate", "key"):
            getattr(setting.own, name).write_bytes(getattr(other, name).read_bytes())
    async with setting.world as world:
        if whose == "nobody":
            # the endpoints without TLS: nothing can be shown there, so nothing is sent
            world.provider.tls_port = 0
        browser = world.browser()
        page = await browser.login()
        assert page.status == 503
        assert not any("-session" in name for name in browser.cookies())
        assert any(line.get("reason") == "issuer_misconfigured" for line in world.lines)
        asked = world.provider.counts["token:authorization_code"]
        assert asked == (0 if whose == "nobody" else 1)
        assert "CN=" not in page.text + json.dumps(world.lines)


async def test_a_token_that_is_bound_to_us_is_nobody_elses(valkey_url, tmp_path):
    """R23 [11.5]: presented as a bearer token by somebody else, it is refused, here and at UserInfo."""
    setting = Setting(valkey_url, tmp_path)
    async with setting.world as world:
        taken: list[str] = []
        world.provider.alter["authorization_code"] = lambda answer: (
            taken.append(answer["access_token"]) or answer
        )
        await world.browser().login()
        bearer = {"Authorization": f"Bearer {taken[0]}"}
        page = await world.browser().fetch("/x", headers=bearer)
        assert page.status == 401
        page = await world.browser().fetch(f"{world.provider.base}/userinfo", headers=bearer)
        assert page.status == 401


async def test_a_certificate_beside_another_method(valkey_url, tmp_path):
    """R15 [11.5]: who has a secret may show one as well: its tokens are bound, its endpoints used."""
    setting = Setting(valkey_url, tmp_path, client_auth="client_secret_basic", client_secret="demo-secret")
    async with setting.world as world:
        world.provider.client.auth = "client_secret"
        setting.watch()
        assert (await world.browser().login()).text.startswith("hello alice")
        assert setting.bound == [setting.thumbprint()]
