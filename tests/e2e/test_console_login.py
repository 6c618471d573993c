"""Operators who log in to the console at a provider: who is let in, who is not, and who is out again."""

import html
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from yarl import URL

from gateway.config.settings.root import Settings
from tests.support.console import TOKENS, Desk, csrf_of, words_of
from tests.support.ports import free_port
from tests.support.world import Page, World, merge

EVIL = ("<script>", "a" * 5000, "\x00", "%0d%0aSet-Cookie:x=y", "'\"")


@pytest.fixture
async def world(valkey_url, tmp_path):
    """A gateway whose operators log in at its provider: admins, who may revoke."""
    port = free_port()
    console = {
        "url": f"http://localhost:{port}",
        "provider": "demo",
        "require": {"groups": ["admins"]},
        "role": "revoke",
    }
    admin = {"listen": f"127.0.0.1:{port}", "console": console, "tokens": TOKENS}
    async with World(valkey_url, tmp_path, admin=admin, session={"mode": "redis"}) as world:
        world.provider.redirect_uris = (*world.provider.redirect_uris, f"{console['url']}/console/callback")
        yield world


async def to_provider(desk: Desk, to: str = "") -> str:
    """Begin a log-in; return where the browser is sent."""
    page = await desk.get(f"login/provider{to}", follow=False)
    assert page.status == 303, page.text
    return page.headers["Location"]


async def answered(desk: Desk, world: World, user: str, to: str = "") -> str:
    """Log in at the provider; return where it sends the browser back to."""
    url = await to_provider(desk, to)
    async with desk.client.get(URL(url, encoded=True)) as answer:
        text, action = await answer.text(), answer.url
    found = re.search(r'<form[^>]*action="([^"]*)"', text)
    where = action.join(URL(html.unescape(found[1]), encoded=True)) if found else action
    hidden = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', text)
    data = {name: html.unescape(value) for name, value in hidden} | {"username": user, "password": user}
    async with desk.client.post(where, data=data, allow_redirects=False) as answer:
        assert answer.status in (302, 303), await answer.text()
        return answer.headers["Location"]


async def log_in(desk: Desk, world: World, user: str = "alice", to: str = "") -> Page:
    """Log in at the provider and come back to the callback, whose page leads on."""
    back = await answered(desk, world, user, to)
    return await desk.get(back, headers={"Sec-Fetch-Site": "cross-site"})


async def test_who_has_the_group_is_an_operator(world: World):
    """[12.console] One who may revoke; the log has the name as actor; the provider's tokens are in no log."""
    person = world.browser()
    await person.login("/", "bob")
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.get()
        assert "Log in with demo" in words_of(page)
        page = await log_in(desk, world, to="?to=/console/people%3Fq%3Dbob")
        # the session's cookie is Strict, so a page of our own leads on
        assert (page.status, page.headers["Refresh"]) == (200, "0; url=/console/people?q=bob")
        session, pending = page.set_cookies
        assert session.endswith("; HttpOnly; SameSite=Strict")
        assert pending.startswith(f"gateway-console-login-{world.gateway.admin_port}=;")
        page = await desk.get("end?kind=sub&value=bob&provider=demo")
        assert "alice@example.com" in page.text
        page = await desk.send(page, "end", reason="left")
        assert "Done. It met 1 session." in words_of(page)
        await desk.send(page, "logout")
        assert (await desk.get()).status == 401
    assert (await person.fetch("/x")).status == 401
    (told,) = world.audit("console_login")
    assert (told["actor"], told["actor_by"], told["role"]) == ("alice@example.com", "login", "revoke")
    assert (told["subject"], told["provider"]) == ("alice", "demo")
    event = world.audit("revocation")[0]
    assert (event["actor"], event["actor_by"], event["reason"]) == ("alice@example.com", "login", "left")
    assert "eyJ" not in json.dumps(world.lines)


async def test_what_is_asked_of_the_provider(world: World):
    """[12.console] PKCE, state and nonce of its own, at the console's address, nothing to refresh with."""
    async with Desk(world.gateway.admin_port) as desk:
        first, second = [parse_qs(urlsplit(await to_provider(desk)).query) for _ in range(2)]
    assert first["redirect_uri"] == [f"http://localhost:{world.gateway.admin_port}/console/callback"]
    assert first["code_challenge_method"] == ["S256"]
    assert "offline_access" not in first["scope"][0]
    assert "openid" in first["scope"][0]
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name][0]) == 43


async def test_a_login_alone_makes_nobody_an_operator(world: World):
    """[12.console] Whoever lacks the group is told so, has no session, and stands in the audit log."""
    async with Desk(world.gateway.admin_port) as desk:
        page = await log_in(desk, world, "bob")
        assert page.status == 403
        assert "you are no operator" in words_of(page)
        assert "Log in with demo" in words_of(page)
        assert all("Max-Age=0" in each for each in page.set_cookies)
        assert (await desk.get()).status == 401
    (told,) = world.audit("console_login")
    assert (told["outcome"], told["why"]) == ("failed", "group_missing")


async def test_no_answer_but_that_to_a_login_of_this_browser(world: World):
    """[12.console] Another's answer, an altered state, none, or something else: nobody is in."""
    async with Desk(world.gateway.admin_port) as desk, Desk(world.gateway.admin_port) as other:
        back = await answered(desk, world, "alice")
        page = await other.get(back)
        assert page.status == 403
        assert (await other.get()).status == 401
        state = parse_qs(urlsplit(back).query)["state"][0]
        for query in (
            "",
            f"state={state}",
            "code=x",
            f"code=x&state={state[:-1]}",
            f"code=x&state={state}&state={state}",
            *(f"code={each}&state={each}" for each in EVIL),
        ):
            page = await other.get(f"callback?{query}")
            assert page.status in (403, 429), query
            assert "<script>" not in page.text


async def test_an_answer_serves_once(world: World):
    """[12.console] The back button logs nobody in again, with the cookie of the log-in put back as well."""
    async with Desk(world.gateway.admin_port) as desk:
        back = await answered(desk, world, "alice")
        kept = {each.key: each.value for each in desk.jar}
        assert (await desk.get(back)).status == 200
        page = await desk.get()
        await desk.send(page, "logout")
        desk.jar.update_cookies(kept, URL(f"{desk.origin}/console/"))
        page = await desk.get(back)
        assert page.status == 403
        assert (await desk.get()).status == 401


@pytest.mark.parametrize(
    ("quirk", "why"),
    [
        ("nonce-invalid", "token_nonce"),
        ("invalid-aud", "token_audience"),
        ("invalid-iss", "token_issuer"),
        ("invalid-sig-rs256", "token_signature"),
        ("idtoken-sig-none", "token_algorithm"),
        ("missing-sub", "token_claims"),
    ],
)
async def test_a_wrong_id_token_makes_nobody_an_operator(world: World, quirk: str, why: str):
    """[12.console] It is held to all that a person's is held to."""
    world.provider.quirks = {quirk}
    async with Desk(world.gateway.admin_port) as desk:
        page = await log_in(desk, world)
        assert page.status == 403
        assert (await desk.get()).status == 401
    assert world.audit("console_login")[0]["why"] == why


async def test_the_provider_is_away(world: World):
    """[12.console] The page says so, keeps the other way in, and nobody is let in."""
    async with Desk(world.gateway.admin_port) as desk:
        back = await answered(desk, world, "alice")
        world.provider.quirks = {"token-5xx"}
        page = await desk.get(back)
        assert page.status == 503
        assert "admin token" in words_of(page)
        assert (await desk.get()).status == 401


async def test_a_revoked_operator_is_out_at_once(world: World):
    """[12.console] By subject, from the next request on; so is one whom the configuration admits no more."""
    async with Desk(world.gateway.admin_port) as desk:
        await log_in(desk, world)
        page = await desk.get()
        assert page.status == 200
        csrf = csrf_of(page)
        assert (
            await world.admin("POST", "/revoke", json={"sub": "alice"}, token=TOKENS["alan"]["token"])
        ).status == 200
        data = {"csrf": csrf, "kind": "sub", "value": "bob", "provider": "demo", "reason": "x"}
        page = await desk.ask("POST", "end", data=data)
        assert page.status == 401
        assert (await desk.get()).status == 401
    assert len(world.audit("revocation")) == 1


async def test_a_configuration_that_asks_for_more_lets_nobody_stay(world: World):
    """[12.console] After a reload the policy of then counts, also where it is one by name."""
    async with Desk(world.gateway.admin_port) as desk:
        await log_in(desk, world)
        assert (await desk.get()).status == 200
        changed = merge(world.config(), {"groups_claim": "teams"})
        world.gateway.reload(Settings.model_validate(changed))
        assert (await desk.get()).status == 401


async def test_nobody_who_may_have_been_revoked_is_let_in(world: World):
    """[12.console] R44: where the replica is too old to tell, no log-in at a provider counts."""
    async with Desk(world.gateway.admin_port) as desk, Desk(world.gateway.admin_port) as other:
        await log_in(desk, world)
        back = await answered(other, world, "alice")
        assert (await desk.get()).status == 200
        await world.gateway.revocations.close()
        world.clock.jump(300)
        assert (await desk.get()).status == 401
        page = await other.get(back)
        assert page.status == 403
        assert "denylist_stale" in words_of(page)
        assert (await other.log_in("rita")).status == 200


async def test_another_name_leads_to_the_right_one(world: World):
    """[12.console] Cookies are for one host: whoever comes by another is sent there first, once."""
    async with Desk(world.gateway.admin_port, "127.0.0.1") as desk:
        page = await desk.get("login/provider", follow=False)
        assert page.headers["Location"].startswith(
            f"http://localhost:{world.gateway.admin_port}/console/login/provider?here=1"
        )
        page = await desk.get("login/provider?here=1", follow=False)
        assert page.status == 400
        assert "admin.console.url" in words_of(page)


async def test_no_secret_of_a_login_is_told(world: World):
    """[12.console] Neither code nor state nor verifier stands in a page or a line of the log."""
    async with Desk(world.gateway.admin_port) as desk:
        back = await answered(desk, world, "bob")
        page = await desk.get(back)
        said = page.text + json.dumps(world.lines)
        for values in parse_qs(urlsplit(back).query).values():
            for value in values:
                if len(value) > 20 and not value.startswith("http"):
                    assert value not in said
