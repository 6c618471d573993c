"""Rate limits of routes, end to end: 429 with advice, by identity, session or address, alone or shared."""

import asyncio
import re
from types import SimpleNamespace

import pytest

from gateway.config.settings.root import Settings
from gateway.core import decide
from gateway.core.access import access
from tests.support.store import ValkeyServer
from tests.support.world import World

BURST = {"requests": 3, "per": "1h"}


def routes(**limits):
    """Return the routes of the tests: each path with its limit."""
    return {
        "routes": [
            *(
                {"path": f"/{name}/", "upstream": "app", "access": "public", "rate_limit": limit}
                for name, limit in limits.items()
            ),
            {"path": "/mine/", "upstream": "app", "access": "required", "rate_limit": BURST},
            {"path": "/optional/", "upstream": "app", "access": "optional", "rate_limit": BURST},
            {
                "path": "/admins/",
                "upstream": "app",
                "access": "required",
                "require": {"groups": ["nobody"]},
                "rate_limit": BURST,
            },
            {
                "path": "/many/",
                "upstream": "app",
                "access": "required",
                "rate_limit": {"requests": 1000, "per": "1s", "by": "address", "shared": True},
            },
            *(
                {
                    "path": f"/guarded{name}/",
                    "upstream": "app",
                    "access": "required",
                    "rate_limit": BURST | {"by": "address", "shared": bool(name)},
                }
                for name in ("", "-shared")
            ),
            {
                "path": "/session/",
                "upstream": "app",
                "access": "required",
                "rate_limit": BURST | {"by": "session"},
            },
            {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
        ]
    }


@pytest.fixture
async def world(valkey_url, tmp_path):
    """A gateway whose routes have limits, behind a trusted proxy on the loopback."""
    override = routes(
        open=BURST | {"by": "address"},
        quick={"requests": 1, "per": "100ms", "burst": 1},
        common="common",
        also="common",
        together=BURST | {"by": "address", "shared": True},
    )
    override |= {"rate_limits": {"common": BURST}, "trusted_proxies": ["127.0.0.0/8"]}
    async with World(valkey_url, tmp_path, **override) as world:
        yield world


async def statuses(browser, path, times, **headers):
    """Ask several times; return the statuses."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return [(await browser.fetch(path, headers=sent)).status for _ in range(times)]


async def test_too_many_requests(world):
    """The fourth of three is 429 with Retry-After and both RateLimit fields; nothing reaches the upstream."""
    browser = world.browser()
    first = await browser.fetch("/open/x")
    assert first.status == 200
    assert first.headers["RateLimit-Policy"] == '"/open/";q=3;w=3600'
    assert re.fullmatch(r'"/open/";r=2;t=1[12]\d\d', first.headers["RateLimit"])
    assert await statuses(browser, "/open/x", 2) == [200, 200]
    refused = await browser.fetch("/open/x")
    assert refused.status == 429
    assert 1100 <= int(refused.headers["Retry-After"]) <= 1200
    assert re.fullmatch(r'"/open/";r=0;t=3\d\d\d', refused.headers["RateLimit"])
    assert refused.headers["RateLimit-Policy"] == first.headers["RateLimit-Policy"]
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert '"reason":"rate_limited"' in refused.text
    assert len(world.upstream.seen) == 3
    page = await browser.get("/open/x")
    assert page.status == 429
    assert "too fast" in page.text


async def test_other_routes_are_not_touched(world):
    """A route without a limit has no fields of one, and goes on when another is used up."""
    browser = world.browser()
    assert await statuses(browser, "/open/x", 4) == [200, 200, 200, 429]
    await browser.login()
    answer = await browser.fetch("/")
    assert answer.status == 200
    assert "RateLimit" not in answer.headers


async def test_the_allowance_grows_back(world):
    """After the interval the next request passes."""
    browser = world.browser()

    async def passes():
        return (await browser.fetch("/quick/x")).status == 200

    assert await passes()
    for _ in range(200):
        await asyncio.sleep(0.02)
        if await passes():
            return
    raise AssertionError("it never grew back")


async def test_each_address_for_itself(world):
    """By the address that the trusted proxy names; an IPv6 /64 is one address."""
    browser = world.browser()
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8:0:1::1"):
        found = await statuses(browser, "/open/x", 4, X_Forwarded_For=address)
        assert found == [200, 200, 200, 429]
    assert await statuses(browser, "/open/x", 1, X_Forwarded_For="2001:db8:0:1:ffff::9") == [429]
    assert await statuses(browser, "/open/x", 1, X_Forwarded_For="2001:db8:0:2::9") == [200]


async def test_routes_that_share_a_name_count_together(world):
    """Two routes with the same named limit have one allowance."""
    browser = world.browser()
    assert await statuses(browser, "/common/x", 2) == [200, 200]
    assert await statuses(browser, "/also/x", 2) == [200, 429]
    assert await statuses(browser, "/common/x", 1) == [429]


async def test_each_identity_for_itself(world):
    """By issuer and subject, in every session; nobody else pays for it (R26)."""
    alice, again, bob = world.browser(), world.browser(), world.browser()
    await alice.login(user="alice")
    await again.login(user="alice")
    await bob.login(user="bob")
    assert await statuses(alice, "/mine/x", 2) == [200, 200]
    assert await statuses(again, "/mine/x", 2) == [200, 429]
    assert await statuses(alice, "/mine/x", 1) == [429]
    assert await statuses(bob, "/mine/x", 1) == [200]
    # counted by session, both have an allowance of their own
    assert await statuses(alice, "/session/x", 4) == [200, 200, 200, 429]
    assert await statuses(again, "/session/x", 4) == [200, 200, 200, 429]


async def test_nobody_counts_by_address(world):
    """Where an identity is optional, everybody without one at an address counts together."""
    alice, nobody = world.browser(), world.browser()
    await alice.login(user="alice")
    assert await statuses(nobody, "/optional/x", 4) == [200, 200, 200, 429]
    assert await statuses(alice, "/optional/x", 3) == [200, 200, 200]


async def test_refusals_count(world):
    """[2.32]: whoever is refused counts by address, and takes nothing from those who are known there."""
    nobody, guesser, alice = world.browser(), world.browser(), world.browser()
    assert await statuses(nobody, "/mine/x", 4) == [401, 401, 401, 429]
    assert await statuses(guesser, "/mine/x", 1, Authorization="Bearer x") == [429]
    await alice.login(user="alice")
    assert await statuses(alice, "/mine/x", 4) == [200, 200, 200, 429]
    # who is known, and may not, counts as who it is
    assert await statuses(alice, "/admins/x", 4) == [403, 403, 403, 429]


@pytest.mark.parametrize("path", ["/guarded/x", "/guarded-shared/x"])
async def test_by_address_before_any_signature(world, path, monkeypatch):
    """[2.32]: beyond a limit by address nothing is decided: no token is looked at, no login begun."""
    decided = []

    def noting(context, *rest):
        decided.append(context.request.target)
        return access.access(context, *rest)

    monkeypatch.setattr(decide, "access", SimpleNamespace(access=noting))
    browser = world.browser()
    guesses = [(await browser.fetch(path, headers={"Authorization": f"Bearer {n}"})).status for n in range(5)]
    assert guesses == [401, 401, 401, 429, 429]
    page = await browser.get(path)
    assert page.status == 429
    assert len([target for target in decided if target == path.encode()]) == 3


async def test_nobody_is_taken_for_another_who_waited(world):
    """[2.32]: what is decided after a wait for the store is remembered under nobody else's name."""
    tokens = {name: world.provider.mint(name) for name in ("alice", "bob", "carol")}
    browsers = {name: world.browser() for name in tokens}

    async def who(name: str, number: int) -> str:
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        page = await browsers[name].fetch(f"/many/{number}", headers=headers)
        assert page.status == 200
        return page.text.split()[1]

    for number in range(60):
        names = [*tokens] * 2
        assert await asyncio.gather(*(who(name, number) for name in names)) == names


async def test_metrics_and_log(world):
    """A limited request is told by its reason in metrics and access log, and not in the audit log."""
    browser = world.browser()
    await statuses(browser, "/open/x", 5)
    text = (await world.admin("GET", "/metrics")).text
    assert (
        'gateway_requests_total{decision="refuse",reason="rate_limited",route="/open/",status="4xx"} 2.0'
        in text
    )
    assert "gateway_rate_limit_callers 1.0" in text
    assert not world.audit("refusal")


async def test_two_gateways_one_count(world):
    """A shared limit holds over all gateways of a store; each one's own limits do not."""
    data = world.config()
    data |= {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
    other = await world.start_gateway(Settings.model_validate(data))
    browser = world.browser()
    same = {"Host": f"localhost:{world.public_port}"}

    async def ask(port, path):
        return await browser.fetch(f"http://127.0.0.1:{port}{path}", headers=same)

    here, there = world.public_port, other.port
    found = [(await ask(port, "/together/x")).status for port in (here, there, here)]
    assert found == [200, 200, 200]
    refused = await ask(there, "/together/x")
    assert refused.status == 429
    assert 1100 <= int(refused.headers["Retry-After"]) <= 1200
    assert refused.headers["RateLimit"].startswith('"/together/";r=0;t=3')
    for port in (here, there):
        assert [(await ask(port, "/open/x")).status for _ in range(4)] == [200, 200, 200, 429]


async def test_a_reload_keeps_the_count(world):
    """Going on with other settings gives nobody a fresh start where the limit is the same."""
    browser = world.browser()
    assert await statuses(browser, "/open/x", 3) == [200, 200, 200]
    world.gateway.reload(Settings.model_validate(world.config() | {"groups_claim": "roles"}))
    assert await statuses(browser, "/open/x", 1) == [429]


async def test_the_store_is_away(tmp_path):
    """Without the store a shared limit goes on in each process: never a 503 because of it (R61)."""
    server = ValkeyServer().start()
    limits = routes(together=BURST | {"by": "address", "shared": True})
    try:
        async with World(server.url, tmp_path, **limits) as world:
            browser = world.browser()
            assert await statuses(browser, "/together/x", 1) == [200]
            server.kill()
            assert await statuses(browser, "/together/x", 3) == [200, 200, 429]
            assert world.gateway.rate_limits.stats()["unshared_total"] == 2
    finally:
        server.close()


async def test_logins_of_one_address(valkey_url, tmp_path):
    """Beyond the limit a login ends in 429, before its state is used up: the same link works later."""
    async with World(valkey_url, tmp_path, limits={"logins_per_address": 1}) as world:
        assert (await world.browser().login()).status == 200
        browser = world.browser()
        page = await browser.login()
        assert page.status == 429
        assert 1 <= int(page.headers["Retry-After"]) <= 60
        assert not [line for line in world.lines if line.get("message") == "fault"]
        world.gateway.rate_limits.configure(())
        assert (await browser.get(str(page.url))).status == 200
