"""WebSockets through a whole gateway: what passes, who may open one, and what ends it."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import WSMsgType

from gateway.config.settings.root import Settings
from gateway.edge.revocation import streams as long_lived
from tests.support.ports import free_port
from tests.support.world import Browser, World

pytestmark = pytest.mark.asyncio
PATIENCE = 20.0
ALLOWED = {
    "routes": [
        {"path": "/api/", "upstream": "app", "access": "required", "unauthenticated": "reject"},
        {"path": "/optional/", "upstream": "app", "access": "optional"},
        {"path": "/public/", "upstream": "app", "access": "public"},
        {
            "path": "/shared/",
            "upstream": "app",
            "access": "required",
            "websocket_origins": ["https://partner.example.com", "https://spa.example.com:8443"],
        },
        {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
    ]
}


@pytest.fixture(autouse=True)
def without_sweeps(monkeypatch):
    """The net that finds what nobody told of is away: what ends here was told of, or swept by the test."""
    monkeypatch.setattr(long_lived, "SWEEP_INTERVAL", 3600.0)


async def connect(browser: Browser, path: str = "/ws", origin: str | None = "own", **more):
    """Open a WebSocket as a page of ``origin`` would."""
    origin = browser.world.base if origin == "own" else origin
    return await browser.session.ws_connect(browser.url(path), origin=origin, **more)


async def opened(world: World, user: str = "alice"):
    """Log somebody in and open a WebSocket that works."""
    browser = world.browser()
    await browser.login("/", user)
    ws = await connect(browser)
    await echoes(ws)
    return browser, ws


async def echoes(ws, text: str = "hello"):
    """Send a text and get it back."""
    await ws.send_str(text)
    assert await ws.receive_str(timeout=PATIENCE) == text


async def code_of(ws) -> int | None:
    """Wait for the end and return its status code."""
    message = await ws.receive(timeout=PATIENCE)
    assert message.type is WSMsgType.CLOSE, message
    return message.data


async def refusal(browser: Browser, path: str = "/ws", **more) -> int:
    """Return the status of a handshake that is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await connect(browser, path, **more)
    return caught.value.status


async def revoke(world: World, **entry):
    """Revoke as an operator does."""
    page = await world.admin("POST", "/revoke", json=entry)
    assert page.status == 200
    return json.loads(page.text)


async def test_what_passes(world: World):
    """Texts, binaries, large and small, both ways; the subprotocol is the upstream's; it knows who calls."""
    browser = world.browser()
    await browser.login()
    ws = await connect(browser, protocols=("chat.v0", "chat.v1"))
    assert ws.protocol == "chat.v1"
    assert world.upstream.last().headers["X-Forwarded-User"] == "alice"
    assert "Cookie" not in world.upstream.last().headers
    for size in (0, 1, 125, 126, 65_535, 65_536, 1_000_000):
        await echoes(ws, "t" * size)
        await ws.send_bytes(b"\0" * size)
        assert await ws.receive_bytes(timeout=PATIENCE) == b"\0" * size
    await ws.close()
    await world.eventually(lambda: world.upstream.closed)


async def test_pings_and_close_codes_pass(world: World):
    """A ping is answered by the upstream, and a code reaches the other side, whoever closes."""
    _, ws = await opened(world)
    assert ws._autoping
    ws._autoping = False
    await ws.ping(b"are you there")
    message = await ws.receive(timeout=PATIENCE)
    assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")
    await ws.send_str("close 4001 why")
    message = await ws.receive(timeout=PATIENCE)
    assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "why")
    _, ws = await opened(world)
    await ws.close(code=4002, message=b"enough")
    await world.eventually(lambda: 4002 in world.upstream.closed)


async def test_fragments_pass(world: World):
    """A message in three frames, one of them in two segments, with a ping in between, arrives as one."""
    browser = world.browser()
    await browser.login()
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    reader, writer = await asyncio.open_connection("127.0.0.1", world.public_port)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: localhost:{world.public_port}\r\nOrigin: {world.base}\r\n"
        f"Cookie: {cookies}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        mask = bytes(4)
        writer.write(b"\x01\x82" + mask + b"fr" + b"\x00\x83" + mask + b"a")
        await writer.drain()
        writer.write(b"gm" + b"\x89\x81" + mask + b"p" + b"\x80\x84" + mask + b"ents")
        assert await reader.readexactly(3) == b"\x8a\x01p"
        assert await reader.readexactly(11) == b"\x81\x09fragments"
    writer.close()


@pytest.mark.settings(ALLOWED)
@pytest.mark.parametrize(
    ("path", "origin", "is_allowed"),
    [
        ("/ws", "own", True),
        ("/ws", "https://evil.example", False),
        ("/ws", None, False),
        ("/ws", "null", False),
        ("/ws", "https://partner.example.com", False),
        ("/optional/ws", "https://evil.example", False),
        ("/optional/ws", "own", True),
        ("/public/ws", "https://evil.example", True),
        ("/shared/ws", "own", True),
        ("/shared/ws", "https://partner.example.com", True),
        ("/shared/ws", "https://spa.example.com:8443", True),
        ("/shared/ws", "https://spa.example.com", False),
        ("/shared/ws", "http://partner.example.com", False),
    ],
)
async def test_r49_origin_with_a_session(world: World, path: str, origin: str | None, is_allowed: bool):
    """R49: with a session cookie, only the site's own pages and those of the route's origins connect."""
    browser = world.browser()
    await browser.login()
    if is_allowed:
        ws = await connect(browser, path, origin)
        await echoes(ws)
        await ws.close()
        return
    before = len(world.upstream.seen)
    assert await refusal(browser, path, origin=origin) == 403
    assert len(world.upstream.seen) == before
    (event,) = world.audit("refusal")
    assert (event["reason"], event["subject"]) == ("origin_forbidden", "alice")
    assert (await browser.fetch("/x")).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", None])
async def test_r49_origin_without_ambient_authority(world: World, origin: str | None):
    """R49: a bearer token is no cookie: no page can make a browser present it. Nor is nobody anybody."""
    token = world.provider.mint("alice", scope="api")
    headers = {"Authorization": f"Bearer {token}"}
    for path, more in (("/api/ws", {"headers": headers}), ("/optional/ws", {})):
        ws = await connect(world.browser(), path, origin, **more)
        await echoes(ws)
        await ws.close()


async def test_r49_revocation_closes_with_1008(world: World):
    """R44, R49: alice is revoked: her WebSockets end with 1008, of session and token; bob's stays open."""
    _, hers = await opened(world)
    _, his = await opened(world, "bob")
    token = world.provider.mint("alice", scope="api", jti="one")
    api = await connect(world.browser(), "/api/ws", None, headers={"Authorization": f"Bearer {token}"})
    await echoes(api)
    anybodys = await connect(world.browser(), "/public/ws", None)
    await echoes(anybodys)
    gauge = world.gateway.long_lived.stats
    assert gauge()["open"] == 3
    assert (await revoke(world, sub="alice"))["streams"] == 2
    assert [await code_of(ws) for ws in (hers, api)] == [1008, 1008]
    await echoes(his)
    await echoes(anybodys)
    # the upstream is told as well, not only left
    await world.eventually(lambda: world.upstream.closed == [1001, 1001])
    events = world.audit("stream_ended")
    assert {event["reason"] for event in events} == {"revoked"}
    assert {event["subject"] for event in events} == {"alice"}
    requests = {line["request_id"]: line["path"] for line in world.audit("request")}
    assert sorted(requests[event["request_id"]] for event in events) == ["/api/ws", "/ws"]
    assert (
        b'gateway_streams_ended_total{outcome="ended",reason="revoked"} 2.0'
        in (world.gateway.metrics.render()[0])
    )
    assert gauge()["open"] == 1


@pytest.mark.parametrize("kind", ["session", "sid", "jti", "all"])
async def test_r49_every_kind_of_entry(world: World, kind: str):
    """R49: one session, one session at the provider, one token, everybody."""
    browser, hers = await opened(world)
    _, his = await opened(world, "bob")
    token = world.provider.mint("carol", scope="api", jti="token-1")
    api = await connect(world.browser(), "/api/ws", None, headers={"Authorization": f"Bearer {token}"})
    await echoes(api)
    (login,) = [event for event in world.audit("login") if event["subject"] == "alice"]
    claims = json.loads((await browser.fetch("/.gateway/userinfo")).text)
    entry = {"session": login["session"], "sid": claims["sid"], "jti": "token-1", "all": True}[kind]
    ended = {"session": [hers], "sid": [hers], "jti": [api], "all": [hers, his, api]}[kind]
    assert (await revoke(world, **{kind: entry}))["streams"] == len(ended)
    for ws in (hers, his, api):
        if ws in ended:
            assert await code_of(ws) == 1008
        else:
            await echoes(ws)


async def test_r49_revoked_just_before_it_opened(world: World):
    """R49: what is revoked between the decision and the upstream's 101 never carries a message."""
    browser = world.browser()
    await browser.login()
    gateway = world.gateway

    class Late:
        """The replica hears of it when the upstream has been asked."""

        def watch(self, *bond):
            from gateway.core.rules.entries import DenyEntry

            now = world.clock()
            gateway.denylist.add(DenyEntry("sub", world.provider.issuer, "alice", now, now + 60))
            gateway.long_lived.watch(*bond)

    from dataclasses import replace

    gateway.pipeline.ways = replace(gateway.pipeline.ways, watcher=Late())
    assert await code_of(await connect(browser)) == 1008


async def test_r44_another_gateway_closes_it(world: World):
    """R44, R49: revoked at one gateway, closed at another one on the same store."""
    data = world.config()
    port = free_port()
    data["listen"] = f"127.0.0.1:{port}"
    await world.start_gateway(Settings.model_validate(data))
    token = world.provider.mint("alice", scope="api")
    headers = {"Host": f"localhost:{world.public_port}", "Authorization": f"Bearer {token}"}
    ws = await connect(world.browser(), f"http://127.0.0.1:{port}/api/ws", None, headers=headers)
    await echoes(ws)
    await revoke(world, sub="alice")
    assert await code_of(ws) == 1008


async def test_r43_logout_closes_that_browsers_sockets(world: World):
    """R43, R49: her logout ends what this browser has open, and nothing of her other browser."""
    browser, here = await opened(world)
    _, there = await opened(world)
    second = await connect(browser)
    sent = {"Origin": world.base, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.fetch("/.gateway/logout", method="POST", headers=sent)).status == 200
    assert [await code_of(ws) for ws in (here, second)] == [1008, 1008]
    await echoes(there)


async def test_r49_the_absolute_end_of_a_session(world: World):
    """R49: at its absolute end, and not when it has merely idled: who is connected is there."""
    _, ws = await opened(world)
    world.clock.advance(8 * 3600 + 1)
    swept(world)
    await echoes(ws)
    world.clock.advance(7 * 86400)
    swept(world)
    assert await code_of(ws) == 1008
    (event,) = world.audit("stream_ended")
    assert event["reason"] == "session_expired"


def swept(world: World) -> None:
    """Let the watch look at everything once."""
    world.gateway.long_lived._sweep()


async def test_r49_the_exp_of_a_bearer_token(world: World):
    """R49: at ``exp`` and the skew that every check of it allows."""
    token = world.provider.mint("alice", scope="api", lifetime=60)
    ws = await connect(world.browser(), "/api/ws", None, headers={"Authorization": f"Bearer {token}"})
    world.clock.advance(80)
    swept(world)
    await echoes(ws)
    world.clock.advance(11)
    swept(world)
    assert await code_of(ws) == 1008
    (event,) = world.audit("stream_ended")
    assert event["reason"] == "token_expired"


async def test_a_refreshed_session_lives_on(world: World):
    """A refresh goes by unnoticed; the session that it led to is still the one that is revoked."""
    world.provider.access_lifetime = 60.0
    browser, ws = await opened(world)
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert world.audit("refresh")
    swept(world)
    await echoes(ws)
    (login,) = world.audit("login")
    await revoke(world, session=login["session"])
    assert await code_of(ws) == 1008


async def test_a_session_that_the_provider_refuses_to_renew(world: World):
    """A refresh that ends the session ends its WebSockets."""
    world.provider.access_lifetime = 60.0
    browser, ws = await opened(world)
    _, his = await opened(world, "bob")
    world.provider.revoke_all()
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 401
    assert await code_of(ws) == 1008
    (event,) = world.audit("stream_ended")
    assert (event["reason"], event["subject"]) == ("session_ended", "alice")
    await echoes(his)


async def test_a_reload_ends_nothing(world: World):
    """An open WebSocket goes on, even where its route is gone; it is still ended with its session."""
    _, ws = await opened(world)
    data = world.config()
    data["routes"] = [{"path": "/elsewhere/", "upstream": "app", "access": "public"}]
    world.gateway.reload(Settings.model_validate(data))
    await echoes(ws)
    await revoke(world, sub="alice")
    assert await code_of(ws) == 1008


async def test_a_drain_says_going_away(world: World):
    """SIGTERM: 1001, whatever else there would be to say."""
    _, ws = await opened(world)
    draining = asyncio.create_task(world.gateway.drain(5))
    assert await code_of(ws) == 1001
    await draining
    assert not world.audit("stream_ended")


async def test_a_stale_replica_ends_nothing(world: World):
    """An outage of the store is no verdict: what is open goes on; new requests are refused meanwhile."""
    browser, ws = await opened(world)
    await world.gateway.revocations.close()
    world.clock.jump(11)
    swept(world)
    assert await refusal(browser) == 503
    await echoes(ws)
