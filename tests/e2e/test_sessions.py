"""The life of a session in cookies."""

import json

import pytest

from tests.support.jose import holds_jwt
from tests.support.world import World

pytestmark = pytest.mark.asyncio
HTTPS = {"public_url": ["https://app.example.com"]}


async def test_r42_idle_lifetime(world: World):
    """R42: a session that was not used for the idle lifetime is over."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(8 * 3600 - 60)
    assert (await browser.fetch("/x")).status == 200
    world.clock.advance(8 * 3600 + 1)
    page = await browser.fetch("/x")
    assert page.status == 401
    assert "session_expired" in page.text


@pytest.mark.settings({"session": {"absolute_lifetime": "10h", "idle_lifetime": "8h"}})
async def test_r42_absolute_lifetime(world: World):
    """R42: however busy it is, a session ends at its absolute lifetime."""
    browser = world.browser()
    await browser.login()
    for _ in range(9):
        world.clock.advance(3600)
        assert (await browser.fetch("/x")).status == 200
    world.clock.advance(3601)
    assert (await browser.fetch("/x")).status == 401


async def test_resealed_after_a_tenth_of_the_idle_lifetime(world: World):
    """An active session is resealed, so that being active counts; not at every request."""
    world.provider.access_lifetime = 7200.0
    browser = world.browser()
    await browser.login()
    assert not (await browser.fetch("/x")).set_cookies
    world.clock.advance(2881)
    page = await browser.fetch("/x")
    assert len(page.set_cookies) == 1
    assert "-session=" in page.set_cookies[0]
    assert not (await browser.fetch("/x")).set_cookies


async def test_r43_logout_kills_server_side(world: World):
    """R43: after logout a copy of the cookie is 401, and every cookie of ours is gone from the browser."""
    browser = world.browser()
    await browser.login()
    copy = browser.clone()
    page = await browser.get("/.gateway/logout")
    assert page.status == 200
    page = await browser.submit(page)
    assert page.status == 200
    assert page.url.path == "/.gateway/logged-out"
    assert browser.cookies() == {}
    page = await copy.fetch("/x")
    assert page.status == 401
    assert "revoked" in page.text
    assert world.audit("logout")[0]["subject"] == "alice"


async def test_logout_of_a_foreign_origin_is_refused(world: World):
    """R47: a cross-site form cannot log anybody out."""
    browser = world.browser()
    await browser.login()
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        page = await browser.request("POST", "/.gateway/logout", follow=False, headers=headers)
        assert page.status == 403
    assert (await browser.fetch("/x")).status == 200


async def test_userinfo_shows_no_token(world: World):
    """CVE-2024-39315: the page may ask who is logged in; no token is in the answer."""
    browser = world.browser()
    await browser.login()
    page = await browser.fetch("/.gateway/userinfo")
    document = json.loads(page.text)
    assert document["sub"] == "alice"
    assert document["email"]
    assert not holds_jwt(page.text)
    assert "no-store" in page.headers["Cache-Control"]
    assert (await world.browser().fetch("/.gateway/userinfo")).status == 401


async def test_r45_a_flipped_cookie_refuses_alike(world: World):
    """R45: a session cookie flipped anywhere gives one and the same answer."""
    browser = world.browser()
    await browser.login()
    name = f"gateway-{world.public_port}-session"
    value = browser.cookies()[name]
    answers = set()
    for index in range(0, len(value), max(1, len(value) // 40)):
        flipped = value[:index] + chr(ord(value[index]) ^ 1) + value[index + 1 :]
        page = await world.browser().fetch("/x", headers={"Cookie": f"{name}={flipped}"})
        answers.add((page.status, json.loads(page.text)["reason"]))
    assert answers == {(401, "session_invalid")}


async def test_r46_the_same_cookie_twice(world: World):
    """R46: a tossed duplicate makes neither count."""
    browser = world.browser()
    await browser.login()
    name = f"gateway-{world.public_port}-session"
    value = browser.cookies()[name]
    for sent in (f"{name}={value}; {name}=x", f"{name}=x; {name}={value}", f"{name}={value}; {name}={value}"):
        assert (await world.browser().fetch("/x", headers={"Cookie": sent})).status == 401
    assert (await world.browser().fetch("/x", headers={"Cookie": f"{name}={value}; a=b"})).status == 200


@pytest.mark.settings(HTTPS)
async def test_r38_r39_cookies_with_an_https_public_url(world: World):
    """R38, R39: __Host-, Secure, HttpOnly, SameSite, Path=/, no Domain."""
    page = await world.browser().get("/x", follow=False, headers={"Host": "app.example.com"})
    assert page.status == 303
    (line,) = page.set_cookies
    assert line.startswith("__Host-gateway-login-")
    for attribute in ("Path=/", "HttpOnly", "SameSite=Lax", "Secure"):
        assert attribute in line
    assert "Domain" not in line


@pytest.mark.settings({"public_url": ["https://a.example.com", "https://b.example.com"]})
async def test_each_host_has_its_own_session(world: World):
    """A cookie sealed for one public URL opens on no other."""
    from tests.support.session import forge

    sealed = forge(world, "https://a.example.com")
    for host, status in (("a.example.com", 200), ("b.example.com", 401)):
        page = await world.browser().fetch(
            "/x", headers={"Host": host, "Cookie": f"__Host-gateway-session={sealed}"}
        )
        assert page.status == status


async def test_r40_a_huge_session_fails_the_login_and_names_the_size(world: World):
    """R40: beyond four chunks the login fails with a page that names the size, not with a 431 later."""
    world.provider.accounts["alice"]["groups"] = [f"group-{i:05d}" for i in range(3000)]
    page = await world.browser().login()
    assert page.status == 400
    assert "login_cookie_too_large" in page.text
    assert "characters" in page.text


async def test_r40_a_large_session_is_chunked(world: World):
    """R40: some hundred groups travel in chunks; going back to few clears the leftovers."""
    world.provider.accounts["alice"]["groups"] = [f"group-{i:05d}" for i in range(300)]
    browser = world.browser()
    page = await browser.login()
    assert page.status == 200
    assert f"gateway-{world.public_port}-session-1" in browser.cookies()
    world.provider.accounts["alice"]["groups"] = ["admins"]
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 200
    assert f"gateway-{world.public_port}-session-1" not in browser.cookies()
    assert world.upstream.last().headers["X-Forwarded-Groups"] == "admins"


async def test_rotating_secret_keys_logs_nobody_out(world: World):
    """The first key seals, all keys open."""
    from tests.support.ports import free_port
    from tests.support.world import SECRET_KEY

    browser = world.browser()
    await browser.login()
    data = world.config()
    port = free_port()
    data |= {"listen": f"127.0.0.1:{port}", "secret_keys": ["B" * 43 + "=", SECRET_KEY]}
    await world.start_gateway(type(world.settings).model_validate(data))
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    world.clock.advance(61)
    page = await world.browser().fetch(
        f"http://127.0.0.1:{port}/x", headers={"Host": f"localhost:{world.public_port}", "Cookie": cookie}
    )
    assert page.status == 200


async def test_groups_are_required(world: World):
    """A route's groups are asked of the session; 403 names the reason."""
    alice, bob = world.browser(), world.browser()
    await alice.login("/", "alice")
    await bob.login("/", "bob")
    assert (await alice.fetch("/admin/x")).status == 200
    page = await bob.fetch("/admin/x")
    assert page.status == 403
    assert "group_missing" in page.text
    page = await bob.get("/admin/x")
    assert page.status == 403
    assert "text/html" in page.headers["Content-Type"]
