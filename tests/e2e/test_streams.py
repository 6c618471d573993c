"""Event streams, long downloads and long polls through a whole gateway."""

import asyncio

import aiohttp
import pytest

from gateway.config.settings.root import Settings
from gateway.edge.revocation import streams as long_lived
from gateway.http.downstream import exchange as client_exchange
from tests.e2e.test_websocket import PATIENCE, revoke
from tests.support.world import Browser, World

pytestmark = pytest.mark.asyncio


class Stream:
    """An answer that goes on, and the upstream's end of it."""

    def __init__(self, answer: aiohttp.ClientResponse, feed) -> None:
        self.answer = answer
        self.feed = feed

    async def passes(self, data: bytes) -> None:
        """Put something in at the upstream, and get it before anything follows."""
        self.feed.put_nowait(data)
        async with asyncio.timeout(PATIENCE):
            assert await self.answer.content.readexactly(len(data)) == data

    async def is_broken_off(self) -> bool:
        """Wait for an end that no client can take for the whole."""
        try:
            async with asyncio.timeout(PATIENCE):
                while await self.answer.content.readany():
                    pass
        except (aiohttp.ClientPayloadError, ConnectionError):
            return True
        return False


async def open_stream(browser: Browser, path: str = "/events", **more) -> Stream:
    """Open a stream that works."""
    feeds = browser.world.upstream.feeds
    before = len(feeds)
    answer = await browser.session.get(browser.url(path), headers={"Sec-Fetch-Mode": "cors"}, **more)
    assert answer.status == 200
    stream = Stream(answer, (await browser.world.eventually(lambda: feeds[before:]))[0])
    await stream.passes(b"data: first\n\n")
    return stream


async def logged_in(world: World, user: str = "alice") -> Browser:
    browser = world.browser()
    await browser.login("/", user)
    return browser


async def test_events_arrive_one_by_one(world: World):
    """Each event is flushed at once: the next is sent only when the last has arrived."""
    stream = await open_stream(await logged_in(world))
    assert stream.answer.headers["Content-Type"] == "text/event-stream"
    for number in range(20):
        await stream.passes(b"id: %d\ndata: x\n\n" % number)
    stream.feed.put_nowait(None)
    assert await stream.answer.content.read() == b""


@pytest.mark.settings({"upstreams": {"app": {"idle_timeout": "50ms"}}})
async def test_a_silent_event_stream_is_not_cut(world: World):
    """The idle time-out of a body does not hold for event streams; it does for others."""
    browser = await logged_in(world)
    events, download = await open_stream(browser), await open_stream(browser, "/download")
    assert await download.is_broken_off()
    await events.passes(b"data: later\n\n")


async def test_r49_revocation_breaks_event_streams(world: World, monkeypatch):
    """R44, R49: hers ends at once and visibly; his goes on, and so does the one that serves anybody."""
    monkeypatch.setattr(long_lived, "SWEEP_INTERVAL", 3600.0)
    hers = await open_stream(await logged_in(world))
    his = await open_stream(await logged_in(world, "bob"))
    public = await open_stream(world.browser(), "/public/events")
    assert world.gateway.long_lived.stats()["open"] == 2
    await revoke(world, sub="alice")
    assert await hers.is_broken_off()
    await his.passes(b"data: x\n\n")
    await public.passes(b"data: x\n\n")
    (event,) = world.audit("stream_ended")
    assert (event["reason"], event["subject"], event["route"]) == ("revoked", "alice", "/")


async def test_r49_revocation_breaks_long_downloads_and_polls(world: World, monkeypatch):
    """R44, R49: what has been under way for long ends as well, a poll that has no answer yet included."""
    monkeypatch.setattr(client_exchange, "_LONG_SECONDS", 0.0)
    hers, his = await logged_in(world), await logged_in(world, "bob")
    download, other = await open_stream(hers, "/download"), await open_stream(his, "/download")
    world.upstream.hold = asyncio.Event()
    # no GET, which the client would send again by itself, to be refused
    poll = asyncio.create_task(hers.fetch("/poll", method="POST"))
    await world.eventually(lambda: world.gateway.long_lived.stats()["open"] == 3)
    await revoke(world, sub="alice")
    assert await download.is_broken_off()
    with pytest.raises(aiohttp.ClientError):
        await poll
    await other.passes(b"more")


async def test_r49_revoked_before_it_was_long(world: World, monkeypatch):
    """R49: a download that began just before the revocation is ended when it turns out to be long."""
    monkeypatch.setattr(client_exchange, "_LONG_SECONDS", 3600.0)
    download = await open_stream(await logged_in(world), "/download")
    await revoke(world, sub="alice")
    await download.passes(b"still")
    monkeypatch.setattr(client_exchange, "_LONG_SECONDS", 0.0)
    assert await download.is_broken_off()


async def test_ordinary_requests_are_not_watched(world: World):
    """Nothing is kept of an exchange that ends at once."""
    browser = await logged_in(world)
    watched = []
    world.gateway.pipeline.outlive = watched.append
    for _ in range(20):
        assert (await browser.fetch("/x")).status == 200
    assert watched == []


async def test_an_ended_stream_is_forgotten(world: World):
    """What ended by itself leaves nothing behind."""
    stream = await open_stream(await logged_in(world))
    long_lived = world.gateway.long_lived
    stream.feed.put_nowait(None)
    assert await stream.answer.content.read() == b""
    await world.eventually(lambda: not long_lived._streams and not long_lived._named)
    assert long_lived._timer is None


async def test_the_absolute_end_breaks_a_stream(world: World):
    """A stream ends with its session, as a WebSocket does; a reload in between changes nothing."""
    stream = await open_stream(await logged_in(world))
    world.gateway.reload(Settings.model_validate(world.config()))
    world.clock.advance(7 * 86400 + 1)
    assert await stream.is_broken_off()
    (event,) = world.audit("stream_ended")
    assert event["reason"] == "session_expired"
