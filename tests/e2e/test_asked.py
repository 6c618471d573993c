"""Decision endpoints as any proxy asks them, by hand: faults, records, and what is asked once."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.world import NAVIGATE, Page, World

pytestmark = pytest.mark.settings(
    {
        "trusted_proxies": ["127.0.0.1"],
        "asked_by": ["caddy", "traefik", "envoy"],
        "session": {"rotation_grace": "60s"},
    }
)


async def ask(
    world: World, target: str, cookies: dict[str, str], method: str = "GET", kind: str = "caddy", **more: str
) -> Page:
    """Ask as a proxy does; ``more`` are fields of its client, with underscores for hyphens."""
    headers = {
        "X-Forwarded-Method": method,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": world.base.removeprefix("http://"),
        "X-Forwarded-Uri": target,
        "X-Forwarded-For": "203.0.113.9",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    url = f"http://127.0.0.1:{world.public_port}/.gateway/decide/{kind}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        return Page(answer.status, answer.headers, await answer.text(), answer.url)


def requests(world: World) -> list[dict[str, Any]]:
    """Return the access lines so far."""
    return world.audit("request")


async def test_the_record_is_of_the_original(world: World):
    """[11.10] R16: method, host and path of what was asked about, by whom; the query stays out of the log."""
    browser = world.browser()
    await browser.login()
    page = await ask(world, "/x?secret=1", browser.cookies(), method="PUT", Origin=world.base)
    assert page.status == 200
    line = requests(world)[-1]
    told = {
        name: line[name] for name in ("method", "path", "decision", "reason", "route", "status", "client")
    }
    assert list(told.values()) == ["PUT", "/x", "allow", "authenticated", "/", 200, "203.0.113.9"]
    assert (line["subject"], line["host"]) == ("alice", world.base.removeprefix("http://"))
    page = await ask(world, "/admin/x?secret=1", {}, Accept="*/*")
    assert page.status == 401
    line = requests(world)[-1]
    assert (line["path"], line["decision"], line["reason"]) == ("/admin/x", "refuse", "credentials_missing")
    page = await ask(world, "/x", {}, **{"X_Forwarded_Users": "x", "Remote-User": "mallory"})
    assert page.status == 400
    line = requests(world)[-1]
    assert (line["path"], line["reason"]) == ("/x", "identity_forged")
    assert "secret" not in json.dumps(world.lines)
    metrics = (await world.admin("GET", "/metrics", token=None)).text
    assert (
        'gateway_requests_total{decision="allow",reason="authenticated",route="/",status="2xx"} 1.0'
        in metrics
    )


async def test_a_provider_that_is_away_is_no_logout(world: World):
    """[11.10] R61, R85: 503 with Retry-After and a way to log in anew for this page; the session is kept."""
    browser = world.browser()
    await browser.login()
    before = browser.cookies()
    world.clock.advance(world.provider.access_lifetime + 60)
    port = world.provider.port
    await world.provider.close()
    page = await ask(world, "/x?y", before, **NAVIGATE)
    assert page.status == 503
    assert page.headers["Retry-After"]
    assert "/.gateway/login?return_to=/x%3Fy" in page.text
    assert page.set_cookies == []
    line = requests(world)[-1]
    assert (line["path"], line["route"], line["reason"]) == ("/x", "/", "issuer_unavailable")
    world.provider.port = port
    await world.provider.start()
    page = await ask(world, "/x?y", before)
    assert page.status == 200
    assert page.headers["X-Forwarded-User"] == "alice"


async def test_a_renewal_rides_on_the_answer(world: World):
    """[11.10] R33: all cookies of a renewed session, in one answer; the old ones are good for a while."""
    browser = world.browser()
    await browser.login()
    before = browser.cookies()
    world.clock.advance(world.provider.access_lifetime + 60)
    first = await ask(world, "/x", before)
    again = await ask(world, "/y", before, kind="traefik")
    for page in (first, again):
        assert page.status == 200
        names = {line.partition("=")[0].rpartition("-")[2] for line in page.set_cookies}
        assert names == {"session", "refresh"}
        assert page.headers["Cache-Control"] == "private"
    assert world.provider.counts["token:refresh_token"] == 1
    assert "Cache-Control" not in (await ask(world, "/public/x", {})).headers


async def test_a_revoked_session_is_refused_at_once(world: World):
    """[11.10] R44, R59: whoever asks next is told, with the cookies cleared."""
    browser = world.browser()
    await browser.login()
    assert (await ask(world, "/x", browser.cookies())).status == 200
    revoked = await world.admin("POST", "/revoke", json={"sub": "alice"})
    assert revoked.status == 200
    page = await ask(world, "/x", browser.cookies())
    assert (page.status, json.loads(page.text)["reason"]) == (401, "revoked")
    assert any("Max-Age=0" in line for line in page.set_cookies)
    page = await ask(world, "/optional/x", browser.cookies())
    assert (page.status, page.headers["X-Forwarded-User"]) == (200, "")


async def test_the_store_is_away(world: World):
    """[11.10] R61: where the replica is too old, nobody is let through, and nobody logged out."""
    browser = world.browser()
    await browser.login()
    world.clock.jump(120)
    page = await ask(world, "/x", browser.cookies())
    assert (page.status, json.loads(page.text)["reason"]) == (503, "denylist_stale")
    assert page.set_cookies == []
