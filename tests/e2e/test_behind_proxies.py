"""A gateway behind real proxies, by the files of config/proxies/front/; ALB and Cloudflare as they send."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from tests.support.before import BEFORE, CLIENT, SETTINGS, BehindWorld, many_groups, reached_through, without
from tests.support.fronts import SHIPPED, Front, raw
from tests.support.shaped import RAY, TRACE, ShapedWorld, alb, cloudflare
from tests.support.world import NAVIGATE

pytestmark = pytest.mark.asyncio
PATIENCE = 20.0
FORGED = [
    {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "intern.test"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "6.6.6.6", "X-Forwarded-Port": "6666"},
    {"X-Forwarded-For": "unknown, 6.6.6.6", "X-Forwarded-Proto": "ftp"},
    {"Forwarded": "for=6.6.6.6;host=intern.test;proto=http", "X-Forwarded-Server": "intern.test"},
    {"CF-Connecting-IP": "6.6.6.6", "True-Client-IP": "6.6.6.6", "X-Client-IP": "6.6.6.6"},
    {"X-Forwarded-User": "mallory", "X-Forwarded-Email": "mallory@example.com", "Remote-User": "mallory"},
    {"X-Amzn-Oidc-Identity": "mallory", "X-Amzn-Oidc-Data": "x.y.z", "X-MS-CLIENT-PRINCIPAL-NAME": "mallory"},
    {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_User": "mallory"},
    {"Connection": "X-Forwarded-For, X-Forwarded-Proto, Host, Cookie", "X-Forwarded-For": "6.6.6.6"},
    {"Connection": "close, X-Forwarded-For"},
    {"X-Request-ID": "forged-1", "CF-Ray": "forged-1"},
    {"X-Original-URL": "/open/x", "X-Rewrite-URL": "/open/x", "X-HTTP-Method-Override": "DELETE"},
]


@pytest.fixture(params=list(BEFORE))
def front(request: pytest.FixtureRequest) -> Front:
    """Each kind of proxy that is here."""
    found = BEFORE[request.param]
    if found.program is None:
        pytest.skip(f"{found.name} is not installed ({found.package})")
    return found


@pytest.fixture
async def world(front: Front, valkey_url: str, tmp_path) -> AsyncIterator[BehindWorld]:
    """A gateway behind such a proxy."""
    # Traefik writes none, so there it would be the client's
    told = {} if front.name == "traefik" else {"log": {"proxy_request_id": "X-Request-ID"}}
    async with reached_through(front, valkey_url, tmp_path, **SETTINGS, **told) as started:
        yield started


async def test_r64_a_whole_visit(world: BehindWorld):
    """R64, R40 [12.behind]: login, 14 KB of cookies, a WebSocket, uploads, slow answers, a logout."""
    world.provider.accounts["alice"]["groups"] = many_groups()
    alice = world.browser()
    page = await alice.login("/page?x=1&y=%20")
    assert (page.text, page.url.origin()) == ("hello alice GET /page?x=1&y=%20 0", URL(world.base))
    held = sum(len(name) + len(value) for name, value in alice.cookies().items())
    assert held > 12_000
    alice.jar.update_cookies({"app": "x" * (14_000 - held)}, URL(world.base))
    assert (await alice.fetch("/x")).status == 200
    assert world.told("X-Forwarded-For") == [f"{CLIENT}, 127.0.0.1"]
    assert world.told("X-Forwarded-Proto") == ["https"]
    assert world.told("X-Forwarded-Host") == [world.base.removeprefix("https://")]
    # renewed: as much comes back in the head of an answer
    world.clock.advance(world.provider.access_lifetime + 60)
    pages = await asyncio.gather(*(alice.fetch(f"/x?{index}") for index in range(4)))
    assert [each.status for each in pages] == [200] * 4
    assert world.provider.counts["token:refresh_token"] == 1
    await _web_socket(alice)
    await _upload(world, alice)
    await _slow(world, alice)
    headers = {**NAVIGATE, "Origin": world.base}
    # an ID token that long goes into no URL, and this provider ends nothing without one
    page = await alice.request("POST", "/.gateway/logout", follow=True, headers=headers)
    assert page.url.path == "/logout"
    assert (await alice.fetch("/x")).status == 401


async def _web_socket(alice) -> None:
    ws = await alice.session.ws_connect(
        alice.url("/ws"), origin=alice.world.base, protocols=("chat.v0", "chat.v1")
    )
    assert ws.protocol == "chat.v1"
    for size in (1, 70_000, 300_000):
        await ws.send_bytes(b"\0" * size)
        assert await ws.receive_bytes(timeout=PATIENCE) == b"\0" * size
    await ws.send_str("close 4001 why")
    message = await ws.receive(timeout=PATIENCE)
    assert (message.data, message.extra) == (4001, "why")


async def _upload(world: BehindWorld, alice) -> None:
    """An upload that goes on only once the application has seen how it begins: nothing holds it up."""
    before = len(world.upstream.seen)

    async def body():
        yield b"x" * 70_000
        await world.eventually(lambda: len(world.upstream.seen) > before)
        for _ in range(8):
            yield b"y" * 100_000

    page = await alice.fetch("/up", method="PUT", data=body(), headers={"Origin": world.base})
    assert page.text == f"hello alice PUT /up {70_000 + 800_000}"
    page = await alice.fetch("/up", method="POST", data=b"z" * 900_000, headers={"Origin": world.base})
    assert page.text == "hello alice POST /up 900000"


async def _slow(world: BehindWorld, alice) -> None:
    """What comes late comes, and what comes piece by piece comes piece by piece."""
    world.upstream.hold = asyncio.Event()
    task = asyncio.create_task(alice.fetch("/slow"))
    await world.eventually(lambda: world.upstream.last().path == "/slow")
    world.upstream.hold.set()
    assert (await task).text == "hello alice GET /slow 0"
    async with alice.session.get(alice.url("/a/events"), headers={"Accept": "text/event-stream"}) as answer:
        for number in range(3):
            await world.eventually(lambda: world.upstream.feeds)
            world.upstream.feeds[-1].put_nowait(f"data: {number}\n\n".encode())
            async with asyncio.timeout(PATIENCE):
                assert await answer.content.readuntil(b"\n\n") == f"data: {number}\n\n".encode()
        world.upstream.feeds[-1].put_nowait(None)
        assert await answer.read() == b""


async def test_r64_nothing_that_a_client_forges_comes_through(world: BehindWorld):
    """R64, R53 [12.behind]: whatever it says of itself, it is itself, at the site that it asked for."""
    nobody = world.browser()
    host = world.base.removeprefix("https://")
    for forged in FORGED:
        # Envoy refuses a Connection that names what it needs itself
        odd = {400} if "Connection" in forged else set()
        assert (await nobody.fetch("/secret", headers=forged)).status in {401, *odd}, forged
        world.upstream.seen.clear()
        page = await nobody.fetch("/open/x", headers=forged)
        assert page.status in {200, *odd}, forged
        if page.status == 400:
            assert not world.upstream.seen
            continue
        assert world.told("X-Forwarded-For") == [f"{CLIENT}, 127.0.0.1"], forged
        assert world.told("X-Forwarded-Proto") == ["https"]
        assert world.told("X-Forwarded-Host") == [host]
        assert world.told("Host") == [host]
        told = str(list(world.upstream.last().headers.items()))
        for word in ("6.6.6.6", "intern.test", "mallory", "6666", "x.y.z"):
            assert word not in told, (forged, told)
    assert {line["client"] for line in world.audit("request")} == {CLIENT}
    # the proxy's own name for a request is told, where it has one; a client's is not
    named = [line.get("proxy_request_id") for line in world.audit("request")]
    assert "forged-1" not in named
    assert len(set(named)) == len(named) or world.front.name == "traefik"
    # a fresh forgery gives no fresh allowance
    statuses = [(await nobody.fetch("/few/x", headers=forged)).status for forged in FORGED[:5]]
    assert statuses == [200, 200, 429, 429, 429]
    # which site it is, is what the client asks for: here it is another one's, or nobody's
    world.upstream.seen.clear()
    await raw(world, "/secret", "Accept: */*", f"X-Forwarded-Host: {host}", host="other.test")
    assert not world.upstream.seen
    # paths arrive as they were sent, and the gateway alone reads them
    for target in ("/raw/a%2Fb%20c?d=%2F", "/raw/a//b;c=1"):
        assert await raw(world, target, "Accept: */*") == 200
        assert str(world.upstream.last().raw_path) == target
    for target in ("/open/..%2fsecret", "/open/%2e%2e/secret", "/open/../secret", "/open//../secret"):
        world.upstream.seen.clear()
        assert await raw(world, target, "Accept: */*") in (301, 308, 400, 401, 404)
        assert not world.upstream.seen


LACKING = [
    ("nginx", "proxy_bu", "site.conf", 502),
    ("nginx", "large_client_header_buffers", "site.conf", 400),
    ("haproxy", "tune.bufsize", "haproxy.cfg", 400),
]


@pytest.mark.parametrize(("name", "word", "file", "status"), LACKING)
async def test_r40_what_the_lines_on_cookies_are_for(
    name: str, word: str, file: str, status: int, valkey_url: str, tmp_path
):
    """R40 [12.behind]: without them people with many groups cannot log in, or cannot go on."""
    front = without(BEFORE[name], word, file)
    if front.program is None:
        pytest.skip(f"{front.name} is not installed ({front.package})")
    async with reached_through(front, valkey_url, tmp_path, **SETTINGS) as world:
        world.provider.accounts["alice"]["groups"] = many_groups()
        alice = world.browser()
        page = await alice.login("/page")
        if page.status == 200:
            alice.jar.update_cookies({"app": "x" * 4000}, URL(world.base))
            page = await alice.fetch("/x")
        assert page.status == status
        assert "hello" not in page.text


async def test_nobody_keeps_unused_connections_for_longer_than_the_gateway():
    """[12.behind]: each file has a time for them, below limits.idle_timeout; HAProxy's default is seconds."""
    found = {
        "nginx.conf": r"keepalive_timeout (\d+)s",
        "Caddyfile": r"keepalive (\d+)s",
        "envoy.yaml": r"common_http_protocol_options: \{idle_timeout: (\d+)s",
        "traefik.yaml": r"idleConnTimeout: (\d+)s",
    }
    for name, pattern in found.items():
        (seconds,) = re.findall(pattern, (SHIPPED / "front" / name).read_text(encoding="utf-8"))
        assert 0 < int(seconds) < 75, name


BALANCERS = {"alb.yaml": alb, "cloudflare.yaml": cloudflare}


@pytest.mark.parametrize("file", list(BALANCERS))
async def test_r64_as_a_balancer_sends(file: str, valkey_url: str, tmp_path):
    """R64, R53 [12.behind]: logins, WebSockets, forged fields, with what ALB and Cloudflare send."""
    async with ShapedWorld(file, BALANCERS[file], valkey_url, tmp_path, **SETTINGS) as world:
        alice, nobody = world.browser(), world.browser()
        page = await alice.login("/page?x=1")
        assert (page.text, page.url.origin()) == ("hello alice GET /page?x=1 0", URL(world.base))
        await _web_socket(alice)
        page = await alice.fetch("/up", method="POST", data=b"z" * 900_000, headers={"Origin": world.base})
        assert page.text == "hello alice POST /up 900000"
        for forged in FORGED:
            assert (await nobody.fetch("/secret", headers=forged)).status == 401, forged
            page = await nobody.fetch("/open/x", headers=forged)
            assert page.status == 200, (forged, page.text)
            assert world.told("X-Forwarded-For") == [f"{CLIENT}, 127.0.0.1"], forged
            assert world.told("X-Forwarded-Proto") == ["https"]
            told = str(list(world.upstream.last().headers.items()))
            for word in ("6.6.6.6", "intern.test", "mallory", "6666", "x.y.z"):
                assert word not in told, (forged, told)
        # what tells of the way, and of nobody, goes on, and is in the log beside the gateway's own
        name, value = ("X-Amzn-Trace-Id", TRACE) if file == "alb.yaml" else ("CF-Ray", RAY)
        assert world.told(name) == [value]
        forged = {"X-Amzn-Trace-Id": "Root=forged-1", "CF-Ray": "forged-1"}
        assert (await nobody.fetch("/open/x", headers=forged)).status == 200
        assert {line.get("proxy_request_id") for line in world.audit("request")} <= {value, None}
        assert value in {line.get("proxy_request_id") for line in world.audit("request")}
        assert {line["client"] for line in world.audit("request")} == {CLIENT}
        headers = {**NAVIGATE, "Origin": world.base}
        page = await alice.request("POST", "/.gateway/logout", follow=True, headers=headers)
        assert (page.status, page.url.path) == (200, "/.gateway/logged-out")


async def test_r64_heads_as_long_as_the_balancer_takes(valkey_url: str, tmp_path):
    """R64 [12.behind]: 40 KB in several fields pass at ALB; one field of 16 KB is as far as it goes."""
    async with ShapedWorld("alb.yaml", alb, valkey_url, tmp_path, **SETTINGS) as world:
        long = [f"X-Long-{number}: {'x' * 8000}" for number in range(5)]
        assert await raw(world, "/open/x", *long) == 200
        assert await raw(world, "/open/x", f"Cookie: app={'x' * 17_000}") == 400


async def test_r64_the_balancer_s_own_question(valkey_url: str, tmp_path):
    """R64 [12.behind]: ALB asks for health without X-Forwarded-For, and with an address as Host."""
    async with ShapedWorld("alb.yaml", alb, valkey_url, tmp_path, **SETTINGS) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.public_port)
        writer.write(
            b"GET /healthz HTTP/1.1\r\nHost: 10.0.1.15:8080\r\nConnection: close\r\n"
            b"User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
