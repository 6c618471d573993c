"""``gateway doctor`` walks through a login, behind a proxy that is good and then wrong in each way."""

import asyncio
import contextlib
import ssl
import time
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp import web

from gateway.cli.doctor.browser import NoAnswerError, get
from gateway.cli.doctor.lacks import ask_what_it_lacks
from gateway.cli.doctor.walk import Start, Walk
from gateway.cli.online.findings import Finding
from gateway.config.settings.admin import AdminSettings
from gateway.config.sites import site_urls
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.store import ValkeyServer
from tests.support.world import World

WITHIN = 20.0
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Front:
    """A proxy in front of a gateway, over TLS or not; ``faults`` are what it does wrong."""

    def __init__(self, target: str, context: ssl.SSLContext | None) -> None:
        self.target = target
        self.context = context
        self.faults: set[str] = set()
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where browsers come."""
        return f"http{'s' if self.context else ''}://localhost:{self.port}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Forward a request, with the proxy's faults."""
        if "own paths" in self.faults and request.path.startswith("/.gateway/"):
            return web.Response(status=404, text="<h1>Not Found</h1>")
        if "down" in self.faults:
            return web.Response(status=502, text="<h1>Bad Gateway</h1>")
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        if "host" in self.faults:
            headers = [*((n, v) for n, v in headers if n.lower() != "host"), ("Host", "backend.internal")]
        headers.append(("X-Forwarded-Proto", "http" if "scheme" in self.faults else "https"))
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
            session.get(self.target + request.path_qs, headers=headers, allow_redirects=False) as answer,
        ):
            response = web.Response(status=answer.status, body=await answer.read())
            for name, value in answer.headers.items():
                if name.lower() in _HOP or (name == "Set-Cookie" and "cookies" in self.faults):
                    continue
                if name == "Set-Cookie" and "secure" in self.faults:
                    response.headers.add(name, value.replace("; Secure", ""))
                elif name == "Set-Cookie" and "domain" in self.faults:
                    response.headers.add(name, f"{value}; Domain=example.org")
                elif name == "Date" and "clock" in self.faults:
                    response.headers[name] = formatdate(time.time() + 600, usegmt=True)
                elif name.lower() != "content-type":
                    response.headers.add(name, value)
                else:
                    response.headers[name] = value
            return response


@contextlib.asynccontextmanager
async def fronted(store_url, tmp_path, *, tls: bool = True):
    """A world whose public URL is a proxy's; yields both and the authority's file."""
    pair, authority = None, Authority(tmp_path)
    context = None
    if tls:
        pair = authority.issue("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    world = World(store_url, tmp_path)
    front = Front(world.base.replace("localhost", "127.0.0.1"), context)
    public = front.url.replace("http://", "https://")
    world.override = {"public_url": [public], "trusted_proxies": ["127.0.0.1"]}
    async with world:
        world.provider.redirect_uris = (f"{public}/.gateway/callback",)
        runner = web.ServerRunner(web.Server(front.handle))
        await runner.setup()
        await web.TCPSite(runner, "localhost", front.port, ssl_context=context).start()
        try:
            yield world, front, str(authority.file)
        finally:
            await runner.cleanup()


async def walked(world: World, url: str, ca_file: str | None = None, *, knows: bool = True) -> list[Finding]:
    """Walk, with what the configuration says or without."""
    sites = site_urls(world.settings) if knows else ()
    issuers = (world.provider.issuer,) if knows else ()
    return await Walk(Start(url, WITHIN, sites=sites, issuers=issuers, ca_file=ca_file)).go()


def wrong(findings: list[Finding]) -> list[str]:
    """Return what is not well, in lines."""
    return [each.to_line() for each in findings if each.answer != "yes"]


@pytest.mark.parametrize(("path", "knows"), [("/", True), ("/api/orders", False), ("/public/", True)])
async def test_a_login_that_is_well(valkey_url, tmp_path, path, knows):
    """[12.cli]: as far as the provider's page and back: yes, from a page that asks for it or not."""
    async with World(valkey_url, tmp_path) as world:
        findings = await walked(world, world.base + path, knows=knows)
        assert wrong(findings) == []
        assert [each.question for each in findings][-1].startswith("is the login remembered")
        # the probe says that the provider refused, or from outside is not believed: no session, no token call
        assert world.audit("login")[-1]["reason"] == ("login_denied" if knows else "login_issuer_mismatch")
        assert not world.provider.counts["token"]


async def test_a_login_that_is_pushed(valkey_url, tmp_path):
    """[12.cli]: what the browser does not carry cannot be told."""
    async with World(valkey_url, tmp_path) as world:
        world.provider.pushed_requests = "required"
        findings = await walked(world, world.base)
        assert [each.answer for each in findings if "(PAR)" in each.detail] == ["cannot be told"]
        assert not [line for line in wrong(findings) if "(PAR)" not in line]


@pytest.mark.parametrize(
    ("fault", "question", "detail", "advice"),
    [
        ("none", "", "", ""),
        ("scheme", "is at https", "it is told http", "X-Forwarded-Proto: https"),
        ("cookies", "keep the cookie", "set none", "Set-Cookie"),
        ("secure", "keep the cookie", "__Host-", "rewrites cookies"),
        ("domain", "keep the cookie", "__Host-", "rewrites cookies"),
        ("host", "page is reached", "host_unknown", "Host"),
        ("own paths", "is the login remembered", "not in the gateway's way", "pass this path"),
        ("down", "page is reached", "answered 502, and not in the gateway's way", "reach the gateway"),
        ("clock", "has it the same time", "s behind it", "NTP"),
    ],
)
async def test_a_proxy_in_front(valkey_url, tmp_path, fault, question, detail, advice):
    """[12.cli]: what a proxy does wrong to a login is named, with what to change; a good one is well."""
    async with fronted(valkey_url, tmp_path) as (world, front, ca_file):
        front.faults.add(fault)
        findings = await walked(world, front.url, ca_file)
    if fault == "none":
        assert wrong(findings) == []
        return
    first = next(each for each in findings if each.answer == "no")
    assert question.replace("page is reached", "is the page reached") in first.question, findings
    assert detail in first.detail
    assert advice in first.advice


async def test_http_where_https_is_meant(valkey_url, tmp_path):
    """[12.cli]: a browser at http whose proxy says https comes back elsewhere, and keeps no Secure cookie."""
    async with fronted(valkey_url, tmp_path, tls=False) as (world, front, _):
        findings = await walked(world, front.url)
    found = {each.question: each for each in findings}
    assert found["is this address in public_url"].answer == "no"
    back = found["does the provider send the browser back to this site"]
    assert back.answer == "no"
    assert "https" in back.advice


async def test_a_certificate_that_is_not_trusted(valkey_url, tmp_path):
    """[12.cli]: said as what it is, and --ca-file mends it."""
    async with fronted(valkey_url, tmp_path) as (world, front, _):
        (finding,) = [each for each in await walked(world, front.url) if each.answer == "no"]
    assert "its certificate is refused" in finding.detail
    assert "--ca-file" in finding.advice


async def test_a_provider_that_is_not_well(valkey_url, tmp_path):
    """[12.cli]: one that does not know the redirect URI, and one that is away."""
    async with World(valkey_url, tmp_path) as world:
        world.provider.redirect_uris = ()
        finding = next(each for each in await walked(world, world.base) if each.answer == "no")
        assert finding.subject == "provider"
        assert "register what gateway check prints" in finding.advice
    async with World(valkey_url, tmp_path) as world:
        await world.provider.close()
        finding = next(each for each in await walked(world, world.base) if each.answer == "no")
        assert "issuer_unavailable" in finding.detail
        assert "gateway check --online" in finding.advice


async def test_a_login_for_several_sites(valkey_url, tmp_path):
    """[12.cli]: by way of login_host, where the provider sends people back to."""
    world = World(valkey_url, tmp_path)
    site = world.base.replace("localhost", "127.0.0.1")
    world.override = {"public_url": [site], "login_host": world.base}
    async with world:
        findings = await walked(world, f"{site}/wanted")
        assert wrong(findings) == []
        begun = next(each for each in findings if each.question == "does a login begin")
        assert begun.detail.startswith(world.base)
        assert await walked(world, f"{site}/wanted", knows=False)


HOSTILE = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<form>" * 200_000,
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: javascript:alert(1)\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /?client_id=a&redirect_uri=%1b%5b2J&state=%00\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /?client_id=a&redirect_uri=http://%5b::1&state=a\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: //\xe2\x80\xaegnp.example/?client_id=1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /?client_id=1\r\nSet-Cookie: a\x7f=" + b"x" * 6000 + b"\r\n\r\n",
    b'HTTP/1.1 503 X\r\nX-Request-ID: 1\r\nContent-Length: 26\r\n\r\n{"reason": ["login_loop"]}',
    b"HTTP/1.1 400 X\r\nX-Request-ID: 1\r\nContent-Length: 9\r\n\r\n\xff\xfe\x1b[2J\x00ab",
    b"HTTP/1.1 200 OK\r\nDate: a long time ago\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"",
]


@pytest.mark.parametrize("answer", HOSTILE)
async def test_a_hostile_site(answer):
    """[12.cli]: whatever answers, it comes to an end, breaks nothing and drives no terminal."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        findings = await Walk(Start(f"http://127.0.0.1:{port}/", WITHIN)).go()
    assert findings
    for each in findings:
        assert each.to_line().isprintable()
        assert len(each.to_line()) < 2000


async def test_what_the_gateway_lacks(tmp_path):
    """[12.cli]: the gateway that runs is asked first: without its store no login ends."""
    server = ValkeyServer("--appendonly", "yes", port=free_port()).start()
    try:
        async with World(server.url, tmp_path) as world:
            admin = AdminSettings(listen=f"127.0.0.1:{world.gateway.admin_port}")
            found = await asyncio.to_thread(ask_what_it_lacks, admin, WITHIN)
            assert (found.answer, found.detail) == ("yes", "")
            server.kill()
            await world.browser().fetch("/x", headers={"Authorization": "Bearer x"})
            async with asyncio.timeout(WITHIN):
                while found.answer != "no":
                    await asyncio.sleep(0.05)
                    found = await asyncio.to_thread(ask_what_it_lacks, admin, WITHIN)
            assert found.detail.startswith("store: the store cannot be reached")
            assert "docs/runbook.md" in found.advice
    finally:
        server.close()
    found = await asyncio.to_thread(
        ask_what_it_lacks, AdminSettings(listen=f"127.0.0.1:{free_port()}"), WITHIN
    )
    assert (found.answer, found.question) == ("cannot be told", "has it all that it needs")


async def test_nobody_at_the_address():
    """[12.cli]: a closed port is a no, and nothing else is claimed."""
    (finding,) = await Walk(Start(f"http://127.0.0.1:{free_port()}/", WITHIN)).go()
    assert (finding.answer, finding.question) == ("no", "is the page reached")


async def test_a_name_below_localhost(tmp_path):
    """[12.cli]: it is this machine, as it is to browsers, and its certificate has to be for it."""

    async def serve(_request):
        return web.Response(text="hello")

    authority = Authority(tmp_path)
    pair = authority.issue("app.localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, "localhost", port, ssl_context=context).start()
        page = await get(f"https://app.localhost:{port}/", WITHIN, ca_file=str(authority.file))
        assert (page.status, page.body) == (200, "hello")
        with pytest.raises(NoAnswerError, match="certificate"):
            await get(f"https://other.localhost:{port}/", WITHIN, ca_file=str(authority.file))
    finally:
        await runner.cleanup()
