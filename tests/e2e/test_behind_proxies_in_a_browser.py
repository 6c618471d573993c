"""Chromium before a proxy before a gateway: HTTP/2, cookies in pieces, WebSockets, streams and uploads."""

import asyncio

import pytest

from tests.support.before import BEFORE, SETTINGS, many_groups, reached_through
from tests.support.browser import NEEDS_CHROMIUM, Tab

pytestmark = NEEDS_CHROMIUM
SOCKET = """
new Promise((done, failed) => {
  const ws = new WebSocket(location.origin.replace("http", "ws") + "/ws", ["chat.v0", "chat.v1"]);
  ws.onopen = () => ws.send("x".repeat(100000));
  ws.onmessage = event => { ws.close(); done(`${ws.protocol} ${event.data.length}`); };
  ws.onclose = event => failed(`closed ${event.code}`);
})
"""
UPLOAD = """
fetch("/up", {method: "POST", body: new Blob(["x".repeat(900000)])}).then(answer => answer.text())
"""
STREAM = """
new Promise((done, failed) => {
  const source = new EventSource("/a/events"), seen = [];
  source.onmessage = event => {
    seen.push(event.data);
    if (seen.length === 3) { source.close(); done(seen.join()); }
  };
  source.onerror = () => failed("the stream failed");
})
"""


@pytest.mark.parametrize("name", list(BEFORE))
async def test_r64_a_visit_in_a_browser(name: str, valkey_url: str, tmp_path, tab: Tab):
    """R64, R40 [12.behind]: over HTTP/2, but for nginx, whose file is for versions without http2 on."""
    front = BEFORE[name]
    if front.program is None:
        pytest.skip(f"{front.name} is not installed ({front.package})")
    async with reached_through(front, valkey_url, tmp_path, **SETTINGS) as world:
        world.provider.accounts["alice"]["groups"] = many_groups()
        await tab.command("Security.setIgnoreCertificateErrors", ignore=True)
        await tab.log_in(f"{world.base}/page", "alice")
        assert (await tab.text()).startswith("hello alice")
        held = await tab.person.cookies(world.base)
        assert sum(len(each["value"]) for each in held.values()) > 12_000
        spoken = await tab.run("performance.getEntriesByType('navigation')[0].nextHopProtocol")
        assert spoken == ("http/1.1" if name == "nginx" else "h2")
        assert await tab.run(SOCKET) == "chat.v1 100000"
        assert await tab.run(UPLOAD) == "hello alice POST /up 900000"
        stream = asyncio.create_task(tab.run(STREAM))
        await world.eventually(lambda: world.upstream.feeds)
        for number in range(3):
            world.upstream.feeds[-1].put_nowait(f"data: {number}\n\n".encode())
        assert await stream == "0,1,2"
        world.upstream.feeds[-1].put_nowait(None)
        # cookies come in one field, however they were sent
        assert [line for line in world.audit("request") if line["status"] in (400, 431, 502)] == []
