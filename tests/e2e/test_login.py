"""Logging in, with a real provider, a real store and a browser's cookie jar."""

import asyncio
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from yarl import URL

from tests.support.world import World

pytestmark = pytest.mark.asyncio


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_a_person_logs_in_and_comes_back(world: World):
    """The whole way: redirect, form, callback, and the page that was wanted, with the identity upstream."""
    page = await world.browser().login("/wanted?x=1&y=%20")
    assert page.status == 200
    assert page.text == "hello alice GET /wanted?x=1&y=%20 0"
    seen = world.upstream.last().headers
    assert seen["X-Forwarded-User"] == "alice"
    assert seen["X-Forwarded-Groups"] == "admins"
    assert world.audit("login")[0]["subject"] == "alice"
    assert world.provider.counts["token:authorization_code"] == 1


async def test_r1_r2_r10_r13_the_authorization_request(world: World):
    """R1, R2, R10, R13: code only, PKCE S256 fresh each time, the scopes configured, our own redirect URI."""
    seen = []
    for host in (None, "evil.example"):
        headers = {"Host": host} if host else {}
        page = await world.browser().get("/x", follow=False, headers=headers)
        if host:
            assert page.status == 421
            continue
        for _ in range(2):
            page = await world.browser().get("/x", follow=False)
            assert page.status == 303
            seen.append(query(page.headers["Location"]))
    for sent in seen:
        assert sent["response_type"] == "code"
        assert sent["code_challenge_method"] == "S256"
        assert sent["redirect_uri"] == f"{world.base}/.gateway/callback"
        assert sent["scope"] == "openid profile email offline_access"
    for name in ("state", "nonce", "code_challenge"):
        assert seen[0][name] != seen[1][name]
        assert len(seen[0][name]) >= 43


async def callback_of(world: World, browser, path: str = "/") -> str:
    """Log in at the provider and stop before the callback is followed."""
    page = await browser.get(path)
    hidden = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page.text))
    action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
    url = page.url.join(URL(action[1])) if action else page.url
    async with browser.session.post(
        url, data={**hidden, "username": "alice", "password": "alice"}, allow_redirects=False
    ) as answer:
        location = answer.headers["Location"]
    assert location.startswith(f"{world.base}/.gateway/callback?")
    return location


async def test_r4_missing_foreign_or_replayed_state(world: World):
    """R4: a callback without its own state is refused, and no token call is made."""
    browser = world.browser()
    location = await callback_of(world, browser)
    for bad in (
        "/.gateway/callback",
        "/.gateway/callback?code=x",
        "/.gateway/callback?state=&code=x",
        "/.gateway/callback?state=foreign&code=x",
        "/.gateway/callback?state=a&state=b&code=x",
        "/.gateway/callback?" + "x" * 9000,
        "/.gateway/callback?state=%ff%fe&code=%00",
    ):
        page = await browser.get(bad, follow=False)
        assert page.status in (400, 401), bad
        assert not any("-session=" in line for line in page.set_cookies)
    assert world.provider.counts["token:authorization_code"] == 0
    page = await browser.get(location, follow=False)
    assert page.status == 303
    assert world.provider.counts["token:authorization_code"] == 1
    replay = await browser.get(location, follow=False)
    assert replay.status == 303  # it has a session by now: it simply goes on
    assert world.provider.counts["token:authorization_code"] == 1


async def test_r3_the_state_is_used_once_even_with_its_cookie(world: World):
    """R3: replaying callback and login cookie together, as a thief would, makes no second token call."""
    browser = world.browser()
    location = await callback_of(world, browser)
    thief = browser.clone()
    assert (await browser.get(location, follow=False)).status == 303
    page = await thief.get(location, follow=False)
    assert page.status == 400
    assert "login_state_replayed" in page.text
    assert world.provider.counts["token:authorization_code"] == 1


async def test_r5_a_callback_in_another_browser_fails(world: World):
    """R5: the code of one browser opens nothing in another."""
    location = await callback_of(world, world.browser())
    page = await world.browser().get(location, follow=False)
    assert page.status == 400
    assert world.provider.counts["token:authorization_code"] == 0


async def test_r6_issuer_of_the_response(world: World):
    """R6, RFC 9207: a wrong or missing iss is refused before any token call."""
    for change in (
        lambda u: u.update_query(iss="https://evil.example"),
        lambda u: u.without_query_params("iss"),
    ):
        browser = world.browser()
        location = await callback_of(world, browser)
        page = await browser.get(str(change(URL(location))), follow=False)
        assert page.status == 400
        assert "login_issuer_mismatch" in page.text
    assert world.provider.counts["token:authorization_code"] == 0


async def test_r7_an_error_callback_creates_no_session(world: World):
    """R7: the provider's error ends the login with a page; its text is escaped."""
    browser = world.browser()
    state = query(await callback_of(world, browser))["state"]
    issuer = world.provider.issuer
    page = await browser.get(
        str(
            URL(world.base + "/.gateway/callback").with_query(
                state=state, error="<script>alert(1)</script>", error_description="<b>", iss=issuer
            )
        ),
        follow=False,
    )
    assert page.status == 400
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text
    assert not any("-session=" in line for line in page.set_cookies)
    assert [event["reason"] for event in world.audit("login")] == ["login_denied"]


@pytest.mark.parametrize(
    ("wanted", "lands"),
    [
        ("/ok?x=1", "/ok?x=1"),
        ("//evil.example/x", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("http:evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("/%5cevil.example", "/"),
        ("@evil.example", "/"),
        ("", "/"),
        ("/" + "x" * 5000, "/" + "x" * 5000),
        ("/%0d%0aSet-Cookie:x=1", "/"),
    ],
)
async def test_r11_no_open_redirect(world: World, wanted: str, lands: str):
    """R11: whatever return URL is asked for, the browser ends on this site, as a browser reads it."""
    browser = world.browser()
    start = URL(world.base + "/.gateway/login").with_query(return_to=wanted)
    page = await browser.get(str(start))
    page = await browser.submit(page, username="alice", password="alice")
    assert page.status == 200
    assert str(page.url) == world.base + lands


async def test_r12_r14_redirects_and_referrer(world: World):
    """R12, R14: 303 everywhere, the code leaves the URL at once, no Referrer, nothing cacheable (R59)."""
    browser = world.browser()
    location = await callback_of(world, browser, "/deep")
    page = await browser.get(location, follow=False)
    assert page.status == 303
    assert page.headers["Location"] == world.base + "/deep"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page.headers["Cache-Control"]


async def test_r17_parallel_tabs(world: World):
    """R17: three tabs, each with its own login; the slowest still ends on its own page."""
    browser = world.browser()
    pages = [await browser.get(f"/tab{index}") for index in range(3)]
    ends = [await browser.submit(page, username="alice", password="alice") for page in reversed(pages)]
    assert [page.url.path for page in ends] == ["/tab2", "/tab1", "/tab0"]
    assert all(page.status == 200 for page in ends)


async def test_r17_pending_logins_are_capped(world: World):
    """R17 [2.21]: the one after the twentieth evicts the oldest, so cookies never pile up to a 431."""
    browser = world.browser()
    for index in range(24):
        assert (await browser.get(f"/tab{index}", follow=False)).status == 303
    assert sum("-login-" in name for name in browser.cookies()) == 20


async def test_no_login_is_begun_for_a_script(world: World):
    """A script's request gets 401 JSON with the login URL, no redirect and no pending login."""
    page = await world.browser().fetch("/data")
    assert page.status == 401
    assert "application/problem+json" in page.headers["Content-Type"]
    assert f"{world.base}/.gateway/login" in page.text
    assert page.headers["WWW-Authenticate"].startswith("Bearer")
    assert not page.set_cookies


async def test_an_unsafe_method_is_never_redirected(world: World):
    """A POST without a session is told with 401: a redirect would lose it."""
    page = await world.browser().request(
        "POST", "/form", follow=False, headers={"Accept": "text/html"}, data="x"
    )
    assert page.status == 401


async def test_three_callbacks_for_one_page_are_a_loop(world: World):
    """[2.3]: the third callback within 30 s to which no session came gives a page that says why."""
    browser = world.browser()

    async def turn() -> tuple[int, str]:
        location = await callback_of(world, browser, "/.gateway/login?return_to=/again")
        page = await browser.get(location, follow=False)
        # what a browser does that keeps no cookie for long
        browser.jar.clear(lambda morsel: morsel.key.endswith(("-session", "-refresh")))
        return page.status, page.text

    assert [(await turn())[0] for _ in range(2)] == [303, 303]
    status, text = await turn()
    assert status == 400
    assert "login_loop" in text
    world.clock.advance(31)
    assert (await turn())[0] == 303


async def test_logins_of_a_browser_that_keeps_its_session_are_no_loop(world: World):
    """[2.3]: B after A, another account, the same page again: each arrives with a session."""
    browser = world.browser()
    for turn in range(6):
        user = ("alice", "bob")[turn % 2]
        page = await browser.get("/.gateway/login?return_to=/again")
        page = await browser.submit(page, username=user, password=user)
        assert page.text == f"hello {user} GET /again 0"
    assert world.provider.counts["token:authorization_code"] == 6


async def test_a_login_after_a_session_that_was_ended_is_no_loop(world: World):
    """[2.3]: the session came back each time, and an administrator ended it each time."""
    browser = world.browser()
    for _ in range(4):
        page = await browser.login("/again", "alice")
        assert page.text == "hello alice GET /again 0"
        assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
        page = await browser.get("/again", follow=False)
        assert (page.status, "revoked" in page.text) == (401, True)


async def test_r41_b_logs_in_after_a(world: World):
    """R41, CVE-2026-34454: B's login kills A's session in that browser, also for who kept a copy of it."""
    browser = world.browser()
    await browser.login("/", "alice")
    copy = browser.clone()
    assert (await copy.get("/x", follow=False)).status == 200
    old = browser.cookies()
    page = await browser.get("/.gateway/login?return_to=/me")
    page = await browser.submit(page, username="bob", password="bob")
    assert page.text.startswith("hello bob")
    assert (await copy.fetch("/x")).status == 401
    assert old != browser.cookies()


async def test_the_gateway_starts_while_the_provider_is_down(world: World):
    """Discovery is lazy and retried: a provider that is down is a 503 page, then a login."""
    await world.provider.close()
    browser = world.browser()
    page = await browser.get("/x")
    assert page.status == 503
    assert "issuer_unavailable" in page.text
    assert page.headers["Retry-After"]
    assert (await world.admin("GET", "/livez")).status == 200


@pytest.mark.parametrize("garbage", ["x", "a.b.c", "~", "2~", "4~x", "é", "A" * 5000])
async def test_garbage_in_any_own_cookie(world: World, garbage: str):
    """Cookies of any garbage are no session, and no error."""
    name = f"gateway-{world.public_port}-"
    sent = "; ".join(f"{name}{kind}={garbage}" for kind in ("session", "refresh", "recent", "login-x"))
    page = await world.browser().fetch("/x", headers={"Cookie": sent.encode().decode("latin-1")})
    assert page.status == 401
    page = await world.browser().get(
        "/.gateway/callback?state=x&code=y", headers={"Cookie": sent}, follow=False
    )
    assert page.status == 400


async def test_logging_in_in_parallel_browsers(world: World):
    """Twenty people at once: each gets their own session."""
    pages = await asyncio.gather(
        *(world.browser().login(f"/p{i}", ("alice", "bob")[i % 2]) for i in range(20))
    )
    for index, page in enumerate(pages):
        assert page.text == f"hello {('alice', 'bob')[index % 2]} GET /p{index} 0"
