"""The operator's console in a whole gateway: who is let in, what they see, and what keeps others out."""

import json

import pytest

from tests.support.console import TOKENS, Desk, csrf_of, words_of
from tests.support.world import World

pytestmark = pytest.mark.settings({"admin": {"console": {}, "tokens": TOKENS}})


async def test_an_operator_logs_in_by_a_token_and_out_again(world: World):
    """[12.console] Nothing is shown before; a wrong token says so; the log tells who came and who did not."""
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.get()
        assert page.status == 401
        assert "Log in" in words_of(page)
        assert "Requests" not in page.text
        page = await desk.ask("POST", "login", data={"token": "not-a-token-of-anybody-0123456789"})
        assert (page.status, "This is no admin token." in words_of(page)) == (401, True)
        assert "not-a-token" not in page.text
        page = await desk.log_in()
        assert page.status == 200
        assert "carol" in page.text
        assert "All is well" in words_of(page)
        assert page.headers["Refresh"] == "5; url=/console/?auto=1"
        assert "Refresh" not in (await desk.get("?live=off")).headers
        kept = {each.key: each.value for each in desk.jar}
        page = await desk.send(page, "logout")
        assert page.status == 200
        assert "Log in" in words_of(page)
        # a copy of the cookie is of no use
        desk.jar.update_cookies(kept)
        assert (await desk.get()).status == 401
    told = [(each["outcome"], each.get("actor")) for each in world.audit("console_login")]
    assert told == [("failed", None), ("completed", "carol")]
    (out,) = world.audit("console_logout")
    assert (out["actor"], out["actor_by"], out["client"]) == ("carol", "token", "127.0.0.1")
    assert TOKENS["carol"]["token"] not in json.dumps(world.lines)


async def test_the_cookie_is_for_the_console_alone(world: World):
    """[12.console] No script reads it, no other site sends it, no other path sees it; it is not the token."""
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.ask("POST", "login", follow=False, data={"token": TOKENS["rita"]["token"]})
        assert (page.status, page.headers["Location"]) == (303, "/console/")
        (cookie,) = page.set_cookies
        name, _, rest = cookie.partition("=")
        assert name == f"gateway-console-{world.gateway.admin_port}"
        assert rest.endswith("; Path=/console/; HttpOnly; SameSite=Strict")
        assert TOKENS["rita"]["token"] not in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
async def test_no_other_page_changes_anything(world: World, headers: dict[str, str]):
    """[12.console] A form that another page sent is refused, with the cookie and the form's token too."""
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.log_in()
        data = {"csrf": csrf_of(page)}
        assert (await desk.ask("POST", "logout", headers=headers, data=data)).status == 403
        assert (await desk.ask("POST", "login", headers=headers, data={"token": "x"})).status == 403
        assert (await desk.get()).status == 200


async def test_a_form_needs_the_token_of_its_own_session(world: World):
    """[12.console] Without it, with another one's, or twice: nothing is done."""
    async with Desk(world.gateway.admin_port) as desk, Desk(world.gateway.admin_port) as other:
        page, theirs = await desk.log_in(), await other.log_in()
        assert csrf_of(page) != csrf_of(theirs)
        for body in (
            {},
            {"csrf": ""},
            {"csrf": csrf_of(theirs)},
            {"csrf": csrf_of(page)[:-1]},
            {"csrf": "ä" * 43},
        ):
            assert (await desk.ask("POST", "logout", data=body)).status == 403
        twice = f"csrf={csrf_of(page)}&csrf={csrf_of(page)}"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await desk.ask("POST", "logout", headers=form, data=twice)).status == 400
        assert (await desk.ask("POST", "logout", json={"csrf": csrf_of(page)})).status == 400
        assert (await desk.ask("POST", "logout", headers=form, data="a" * 100_000)).status == 413
        assert (await desk.get()).status == 200


async def test_whoever_guesses_is_made_to_wait(world: World):
    """[12.console] Beyond ten attempts the right token waits as well, and no more is told in the log."""
    async with Desk(world.gateway.admin_port) as desk:
        for _ in range(10):
            assert (await desk.ask("POST", "login", data={"token": "wrong"})).status == 401
        assert (await desk.log_in()).status == 429
    assert len(world.audit("console_login")) == 10


async def test_a_foreign_host_and_a_link_from_elsewhere(world: World):
    """[12.console] DNS rebinding is refused; a link on another page leads on by a page of our own."""
    async with Desk(world.gateway.admin_port) as desk:
        assert (await desk.get(headers={"Host": "evil.example"})).status == 421
        # the browser sends no Strict cookie along
        page = await desk.get("?live=off", headers={"Sec-Fetch-Site": "cross-site"})
        assert page.headers["Refresh"] == "0; url=/console/?live=off"
        assert "Log in" not in words_of(page)
        page = await desk.get("nothing-of-the-kind")
        assert page.status == 404
        assert (await desk.ask("PUT", "login")).status == 405
        page = await desk.get(f"{desk.origin}/console")
        assert page.url.path == "/console/"


async def test_the_listener_goes_on_as_before(world: World):
    """[12.console] The rest of the listener knows no cookie, and still takes no change from a page."""
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("alan")
        assert (await desk.get(f"{desk.origin}/sessions")).status == 401
        page = await desk.ask("POST", f"{desk.origin}/revoke", data={"sub": "alice"})
        assert page.status == 403


@pytest.mark.settings({"admin": {"tokens": TOKENS}})
async def test_without_its_section_there_is_none(world: World):
    """[12.console] Off by default: the path is as unknown as any other."""
    async with Desk(world.gateway.admin_port) as desk:
        assert (await desk.get()).status == 404
        assert (await desk.ask("POST", "login", data={"token": TOKENS["carol"]["token"]})).status in (
            403,
            404,
        )
