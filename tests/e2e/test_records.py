"""What the record of a request says: whose fault it was, where, who it was, and by which names."""

import asyncio
import json
import re

import pytest

from tests.support.store import ValkeyServer
from tests.support.world import World

LOG = {
    "claims": ["email", "preferred_username", "nothing"],
    "request_headers": ["User-Agent", "X-Request-ID"],
}


async def faults(world: World, source: str) -> float:
    """Return how many faults of a source a scrape tells."""
    text = (await world.admin("GET", "/metrics")).text
    found = [
        line
        for line in text.splitlines()
        if line.startswith(f'gateway_request_faults_total{{source="{source}"}}')
    ]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def last_request(world: World) -> dict:
    """Return the last access line."""
    return world.audit("request")[-1]


async def test_a_providers_fault_is_counted(world: World):
    """[4.3] A refresh that the provider does not answer: whose fault, which route, and who had to wait."""
    browser = world.browser()
    await browser.login()
    world.provider.quirks.add("token-5xx")
    world.clock.advance(61)
    assert (await browser.fetch("/page/x")).status == 503
    line = last_request(world)
    assert line["fault"] == "issuer"
    assert line["route"]
    assert (line["subject"], line["issuer"]) == ("alice", world.provider.issuer)
    assert line["session"]
    assert await faults(world, "issuer") == 1


async def test_a_providers_fault_before_a_login_is_counted(world: World):
    """[4.3] A navigation that cannot be sent to the provider is told with its route."""
    await world.provider.close()
    assert (await world.browser().get("/admin/x")).status == 503
    line = last_request(world)
    assert (line["fault"], line["decision"]) == ("issuer", "refuse")
    assert line["route"] == "/admin/"
    assert await faults(world, "issuer") == 1


async def test_the_stores_fault_is_counted(tmp_path):
    """[4.3] A store that is away when a login is redeemed."""
    server = ValkeyServer().start()
    try:
        async with World(server.url, tmp_path) as world:
            browser = world.browser()
            page = await browser.get("/x")
            server.kill()
            assert (await browser.submit(page, username="alice", password="alice")).status == 503
            assert last_request(world)["fault"] == "store"
            assert await faults(world, "store") == 1
    finally:
        server.close()


async def test_our_own_fault_is_counted(world: World, monkeypatch):
    """[4.3] What breaks inside the gateway is a fault with a source like any other."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.gateway.logins, "start", broken)
    assert (await world.browser().get("/admin/x")).status == 500
    assert last_request(world)["fault"] == "gateway"
    assert await faults(world, "gateway") == 1


async def test_a_malformed_request_is_its_clients_fault(world: World):
    """[4.3] Bytes that are no request are counted as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.public_port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert last_request(world)["fault"] == "client"
    assert await faults(world, "client") == 1


@pytest.mark.settings({"log": LOG})
async def test_lines_name_people_as_one_knows_them(world: World):
    """[4.8] Access lines and audit events have the claims that are asked for, and no others."""
    browser = world.browser()
    await browser.login()
    (login,) = world.audit("login")
    await browser.get("/hello", headers={"User-Agent": "Mozilla/5.0 (test)"})
    for told in (login, last_request(world)):
        assert told["claims"] == {"email": "alice@example.com", "preferred_username": "alice"}
    assert last_request(world)["request_headers"] == {"user-agent": "Mozilla/5.0 (test)"}
    await browser.get("/public/hello", headers={"User-Agent": "x", "X-Request-ID": "from-the-balancer"})
    line = last_request(world)
    assert "claims" not in line
    assert line["request_headers"]["x-request-id"] == "from-the-balancer"
    assert line["request_id"] != "from-the-balancer"


@pytest.mark.parametrize(
    ("ahead", "reason", "told"),
    [
        (412.0, "token_not_yet_valid", r"the provider.s clock is 4(0\d|1[0-2]) s ahead"),
        (-4000.0, "token_expired", r"it expired \d+ s ago by this clock"),
    ],
)
async def test_a_clock_that_is_wrong_is_told_in_seconds(world: World, ahead: float, reason: str, told: str):
    """[4.8] A login that fails for two clocks says by how much they differ, in the log and on the page."""
    browser = world.browser()
    page = await browser.get("/x")
    world.provider.tokens._clock = lambda: world.clock() + ahead
    page = await browser.submit(page, username="alice", password="alice")
    failed = [line for line in world.audit("login") if line["reason"] == reason]
    assert failed, [line["reason"] for line in world.audit("login")]
    assert re.search(told, failed[-1]["detail"])
    assert failed[-1]["detail"].replace("'", "&#x27;") in page.text.replace("&#39;", "&#x27;")


async def test_nothing_more_is_told_by_default(world: World):
    """[4.8] Whoever does not ask for names and agents has none in the log."""
    browser = world.browser()
    await browser.login()
    await browser.get("/hello", headers={"User-Agent": "Mozilla/5.0 (test)"})
    assert "alice@example.com" not in json.dumps(world.lines)
    assert "Mozilla" not in json.dumps(world.lines)


async def test_every_answer_names_its_request(world: World):
    """[4.8] Forwarded answers carry the id of the access line, whatever the upstream says of its own."""
    browser = world.browser()
    await browser.login()
    world.upstream.seen.clear()
    world.lines.clear()
    world.upstream.headers = [("X-Request-ID", "the upstream's own"), ("x-request-id", "another")]
    for path in ("/public/x", "/public/x", "/public/y", "/x"):
        page = await browser.get(path)
        assert page.headers.getall("X-Request-ID") == [last_request(world)["request_id"]]
    assert world.upstream.seen[0].headers["X-Request-ID"] == world.audit("request")[0]["request_id"]


CORRELATED = {
    "trusted_proxies": ["127.0.0.1/32"],
    "forwarding": {"address": "X-Forwarded-For"},
    "log": {"proxy_request_id": "X-Request-ID", "request_headers": ["traceparent"]},
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.settings(CORRELATED)
async def test_a_proxys_id_correlates(world: World):
    """[12.logs] The id of a trusted proxy is told beside ours, traceparent where it is asked for."""
    headers = {"X-Request-ID": "id-of-the-proxy", "traceparent": TRACE, "X-Forwarded-For": "203.0.113.7"}
    await world.browser().get("/public/hello", headers=headers)
    line = last_request(world)
    assert line["proxy_request_id"] == "id-of-the-proxy"
    assert line["request_headers"] == {"traceparent": TRACE}
    assert line["client"] == "203.0.113.7"
    await world.browser().get("/public/hello", headers=headers | {"X-Request-ID": 'forged" id'})
    assert "proxy_request_id" not in last_request(world)


@pytest.mark.settings({"log": CORRELATED["log"] | {"sample": 0.5}, "trusted_proxies": ["192.0.2.0/24"]})
async def test_anybody_elses_id_correlates_nothing(world: World):
    """[12.logs] Nor does a client choose by it which of its requests are logged."""
    for number in range(40):
        await world.browser().get(f"/public/{number}", headers={"X-Request-ID": "0"})
    lines = world.audit("request")
    assert 0 < len(lines) < 40
    assert not any("proxy_request_id" in line or "x-request-id" in str(line) for line in lines)


ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public", "log": False},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]


@pytest.mark.settings({"log": {"format": "combined", "user": "email"}, "routes": ROUTES})
async def test_a_combined_log_of_a_visit(world: World):
    """[12.logs] The e-mail address as the user, though nothing else asks for it; a route without lines."""
    browser = world.browser()
    await browser.login()
    await browser.get(
        "/hello?code=secret", headers={"User-Agent": 'Mozilla/5.0 "x"', "Referer": f"{world.base}/?state=s"}
    )
    await browser.get("/public/unseen")
    line = re.sub(r"\[[^]]+\]", "[time]", world.raw[-1])
    line = re.sub(r" 200 \d+ ", " 200 size ", line)
    assert line == (
        f'127.0.0.1 - alice@example.com [time] "GET /hello HTTP/1.1" 200 size "{world.base}/"'
        ' "Mozilla/5.0 \\"x\\""'
    )
    assert "unseen" not in "".join(world.raw)
