"""What is promised about the whole, where no other test drives the whole gateway for it."""

import pytest
from yarl import URL

from tests.support.world import World

pytestmark = pytest.mark.asyncio


async def test_r48_no_origin_is_ever_reflected(world: World):
    """R48: with a session, and whatever Origin asks, no answer of ours lets another site read it."""
    browser = world.browser()
    await browser.login()
    for origin in ("https://evil.example", "null", world.base + ".evil.example", "http://localhost"):
        for method, path in (
            ("GET", "/x"),
            ("GET", "/api/x"),
            ("GET", "/.gateway/userinfo"),
            ("GET", "/.gateway/callback?state=x&code=y"),
            ("POST", "/.gateway/logout"),
            ("GET", "/%2e%2e/x"),
            ("OPTIONS", "/x"),
            ("OPTIONS", "/.gateway/userinfo"),
        ):
            asks = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            page = await browser.fetch(path, method=method, headers=asks)
            granted = [name for name in page.headers if name.lower().startswith("access-control-")]
            assert not granted, (method, path, origin)
            if method == "OPTIONS":
                assert page.status in (403, 405)
    assert (await browser.fetch("/x")).status == 200, "the foreign POST has logged nobody out"


async def test_r48_an_upstream_speaks_for_itself(world: World):
    """R48: the CORS fields of an application are its own, and are not widened."""
    world.upstream.headers = [("Access-Control-Allow-Origin", "https://partner.example")]
    page = await world.browser().fetch("/public/x", headers={"Origin": "https://evil.example"})
    assert page.headers.getall("Access-Control-Allow-Origin") == ["https://partner.example"]
    assert "Access-Control-Allow-Credentials" not in page.headers


async def test_r62_nothing_of_the_admin_listener_is_public(world: World):
    """R62: metrics, health, revocation and sessions are on their own listener alone, even with its token."""
    token = {"Authorization": "Bearer admin-token-of-the-tests-0123456789abcdef"}
    browser = world.browser()
    for method, path in (
        ("GET", "/metrics"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("POST", "/revoke"),
        ("POST", "/reload"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
    ):
        for prefix in ("", "/.gateway"):
            page = await browser.request(method, prefix + path, follow=False, headers=token)
            assert page.status in (401, 404), (prefix, path)
            assert "gateway_requests_total" not in page.text
        assert "checks" not in page.text
    assert not world.upstream.seen
    assert world.gateway.admin_port != world.public_port
    assert "gateway_requests_total" in (await world.admin("GET", "/metrics")).text


async def test_r62_trace_is_refused_for_everybody(world: World):
    """R62: TRACE would show cookies to a script; nobody may send it, logged in or not."""
    browser = world.browser()
    await browser.login()
    page = await browser.request("TRACE", "/public/x", follow=False, headers={})
    assert page.status in (400, 405, 501)
    assert "session" not in page.text
    assert [request.method for request in world.upstream.seen] == ["GET"]


async def test_r41_a_session_id_chosen_by_somebody_else_is_not_kept(world: World):
    """R41: session fixation. A login in a browser with a session gives another session, and other cookies."""
    browser = world.browser()
    await browser.login()
    planted = browser.cookies()
    page = await browser.get("/.gateway/login?return_to=/me")
    if "password" in page.text:
        await browser.submit(page, username="alice", password="alice")
        ids = [event["session"] for event in world.audit("login")]
        assert len(set(ids)) == len(ids) == 2
        assert browser.cookies() != planted
    fresh = world.browser()
    name = f"gateway-{world.public_port}-session"
    fresh.jar.update_cookies({name: "chosen"}, URL(world.base))
    await fresh.login("/", "bob")
    assert fresh.cookies()[name] != "chosen"
    assert len({event["session"] for event in world.audit("login")}) == len(world.audit("login"))


async def test_a_login_that_cannot_begin_is_told_with_its_route(world: World):
    """R61: with the provider down, the record of the 503 says for which route, and one line says why."""
    await world.provider.close()
    page = await world.browser().get("/admin/x")
    assert page.status == 503
    record = world.audit("request")[-1]
    assert (record["route"], record["decision"], record["reason"]) == (
        "/admin/",
        "refuse",
        "issuer_unavailable",
    )
    fault = next(line for line in world.lines if line.get("message") == "fault")
    assert fault["source"] == "issuer"
    assert "is the provider up?" in fault["detail"]
    assert not page.set_cookies
