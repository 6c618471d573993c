"""The operator's console in a whole gateway: who is let in, what they see, and what keeps others out."""

import html
import json
import re
import socket

import pytest

from gateway.edge.admin import people
from tests.support.certificates import Authority
from tests.support.console import TOKENS, Desk, csrf_of, inert, words_of
from tests.support.ports import free_port
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
    """R89 [12.console] No script reads it, no other site sends it, no other path; it is not the token."""
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
    """R89 [12.console] A form that another page sent is refused, with the cookie and the form's token too."""
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.log_in()
        data = {"csrf": csrf_of(page)}
        assert (await desk.ask("POST", "logout", headers=headers, data=data)).status == 403
        assert (await desk.ask("POST", "login", headers=headers, data={"token": "x"})).status == 403
        assert (await desk.get()).status == 200


async def test_a_form_needs_the_token_of_its_own_session(world: World):
    """R89 [12.console] Without it, with another one's, or twice: nothing is done."""
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
        refused = 0
        while (await desk.ask("POST", "login", data={"token": "wrong"})).status == 401:
            refused += 1
        assert refused >= 10
        told = len(world.audit("console_login"))
        # each six seconds one more is let in, which may be just now
        for _ in range(10):
            if (page := await desk.log_in()).status == 429:
                break
        assert page.status == 429
        assert "Try again in" in words_of(page)
        assert told >= refused


async def test_a_foreign_host_and_a_link_from_elsewhere(world: World):
    """R89 [12.console] DNS rebinding is refused; a link on another page leads on by a page of our own."""
    async with Desk(world.gateway.admin_port) as desk:
        assert (await desk.get(headers={"Host": "evil.example"})).status == 421
        # the browser sends no Strict cookie along
        page = await desk.get("?live=off", headers={"Sec-Fetch-Site": "cross-site"})
        assert page.headers["Refresh"] == "0; url=/console/?live=off"
        assert "Log in" not in words_of(page)
        page = await desk.get("nothing-of-the-kind")
        assert page.status == 404
        assert (await desk.ask("PUT", "login")).status == 405
        for short in ("/console", "/"):
            page = await desk.get(f"{desk.origin}{short}")
            assert page.url.path == "/console/"


async def test_over_tls_the_cookie_is_for_this_host_alone(valkey_url, tmp_path):
    """[12.console] `__Host-`, Secure and the whole site; the origin is https, and no other counts."""
    authority = Authority(tmp_path)
    admin = {"console": {}, "tokens": TOKENS, "tls": authority.issue("localhost").written}
    async with World(valkey_url, tmp_path, admin=admin) as world:
        desk = Desk(world.gateway.admin_port, scheme="https", trust=authority.trusting())
        async with desk:
            page = await desk.ask("POST", "login", follow=False, data={"token": TOKENS["rita"]["token"]})
            assert page.status == 303
            (cookie,) = page.set_cookies
            assert cookie.startswith("__Host-gateway-console=")
            assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Strict")
            page = await desk.get()
            assert page.status == 200
            data = {"csrf": csrf_of(page)}
            plain = {"Origin": desk.origin.replace("https", "http")}
            assert (await desk.ask("POST", "logout", headers=plain, data=data)).status == 403
            assert (await desk.send(page, "logout")).status == 200


PUBLIC = "ops.example.com"


@pytest.mark.settings(
    {"admin": {"console": {"url": f"https://{PUBLIC}"}, "hosts": [PUBLIC], "tokens": TOKENS}}
)
async def test_behind_a_proxy_that_ends_tls(world: World):
    """[12.console] By the name of `admin.console.url` the origin is https, and cookies are Secure."""
    async with Desk(world.gateway.admin_port) as desk:
        data = {"token": TOKENS["rita"]["token"]}
        for origin, status in ((f"https://{PUBLIC}", 303), (f"http://{PUBLIC}", 403), (desk.origin, 403)):
            headers = {"Host": PUBLIC, "Origin": origin}
            page = await desk.ask("POST", "login", follow=False, headers=headers, data=data)
            assert page.status == status, origin
            for cookie in page.set_cookies:
                assert cookie.startswith("__Host-gateway-console=")
                assert "; Secure;" in cookie


async def test_without_tls_a_network_is_refused(valkey_url, tmp_path):
    """[12.console] Over plain HTTP only this machine is answered, whatever the Host says; a page says why."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but the loopback's")
    admin = {"listen": f"0.0.0.0:{free_port()}", "console": {}, "tokens": TOKENS}
    async with World(valkey_url, tmp_path, admin=admin) as world:
        port = world.gateway.admin_port
        async with Desk(port, address) as desk, Desk(port) as here:
            for host in (f"{address}:{port}", f"localhost:{port}", f"127.0.0.1:{port}"):
                page = await desk.get(headers={"Host": host})
                assert page.status == 403
                assert "Not without TLS" in words_of(page)
            assert (await desk.ask("POST", "login", data={"token": TOKENS["rita"]["token"]})).status == 403
            assert (await here.log_in()).status == 200
        assert {each["why"] for each in world.audit("admin_refused")} == {"cleartext"}


def own_address() -> str | None:
    """Return an address of this machine that is not the loopback's, None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # nothing is sent; the route tells the address
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


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
        assert (await desk.get(f"{desk.origin}/")).status == 404
        assert (await desk.ask("POST", "login", data={"token": TOKENS["carol"]["token"]})).status in (
            403,
            404,
        )


# people

CONSOLE = {"admin": {"console": {}, "tokens": TOKENS}}
KEPT = {"session": {"mode": "redis", "rotation_grace": "60s"}}
LISTED = {"session": {"index": True, "rotation_grace": "60s"}}


@pytest.mark.parametrize("term", ["alice", "ALICE@example.com", "lice@exa", "Alice Ex", "aLiCe eXaMpLe"])
@pytest.mark.parametrize(
    "mode", [pytest.param(None, marks=pytest.mark.settings(CONSOLE | each)) for each in (KEPT, LISTED)]
)
async def test_a_person_is_found_by_what_they_are_called(world: World, mode: None, term: str):
    """[12.console] By name, address or subject, whole or in part, in whatever case, in both modes."""
    for user in ("alice", "bob"):
        await world.browser().login("/", user)
    await world.gateway.noted.drain()
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("rita")
        page = await desk.get("people", params={"q": term})
        assert page.status == 200
        assert "alice@example.com" in words_of(page)
        assert "bob@example.com" not in words_of(page)
        assert "provider=demo&amp;sub=alice" in page.text
        assert "bob@example.com" in words_of(await desk.get("people"))
        page = await desk.get("people", params={"q": "nobody-of-this-name"})
        assert "Nobody who is logged in" in words_of(page)


@pytest.mark.settings(CONSOLE | KEPT)
async def test_a_session_is_ended_with_a_reason(world: World):
    """[12.console] Asked why, told what it met, audited with actor and reason; the browser is out at once."""
    laptop, phone = world.browser(), world.browser()
    for browser in (laptop, phone):
        await browser.login("/", "alice")
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("carol")
        page = await desk.get("person?provider=demo&sub=alice")
        assert "Sessions (2)" in words_of(page)
        first = re.findall(r'href="/console/(end\?kind=session&amp;value=[^"]*)"', page.text)[1]
        page = await desk.get(html.unescape(first))
        assert "This ends 1 session." in words_of(page)
        for nothing in ("", "   ", "...", "x" * 301):
            refused = await desk.send(page, "end", reason=nothing)
            assert refused.status == 400
        assert (await laptop.fetch("/x")).status == (await phone.fetch("/x")).status == 200
        done = await desk.send(page, "end", reason="left on the train <b>")
        assert done.url.path == "/console/person"
        assert "Done. It met 1 session. 1 of 1 workers hold it." in words_of(done)
        assert "Sessions (1)" in words_of(done)
        # told once
        assert "Done." not in words_of(await desk.get("people"))
        assert sorted([(await laptop.fetch("/x")).status, (await phone.fetch("/x")).status]) == [200, 401]
        # the form sent once more meets nothing
        again = await desk.send(page, "end", reason="again")
        assert "It met no session that lives." in words_of(again)
    event = world.audit("revocation")[0]
    assert (event["actor"], event["actor_by"], event["kind"]) == ("carol", "token", "session")
    assert (event["reason"], event["client"]) == ("left on the train <b>", "127.0.0.1")


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(name, marks=pytest.mark.settings(CONSOLE | each))
        for name, each in (("kept", KEPT), ("listed", LISTED), ("unlisted", {}))
    ],
)
async def test_everything_of_a_person_ends(world: World, mode: str):
    """[12.console] Of all devices, in every mode; nobody else's; where there is no list it says so."""
    browsers = {user: world.browser() for user in ("alice", "bob")}
    for user, browser in browsers.items():
        await browser.login("/", user)
    await world.gateway.noted.drain()
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("alan")
        page = await desk.get("people")
        assert ("So nobody can be looked for" in words_of(page)) == (mode == "unlisted")
        page = await desk.get("end?kind=sub&value=alice&provider=demo")
        page = await desk.send(page, "end", reason="left the company")
        assert "Done." in words_of(page)
    assert (await browsers["alice"].fetch("/x")).status == 401
    assert (await browsers["bob"].fetch("/x")).status == 200
    assert world.audit("revocation")[0]["actor"] == "alan"


@pytest.mark.settings(CONSOLE | KEPT)
async def test_a_token_is_revoked_by_pasting_it(world: World):
    """[12.console] Only its jti, iss and exp are read; the token is in no page and in no log."""
    token = world.provider.mint("alice", "openid api", jti="the-jti")
    assert (await call(world, token)).status == 200
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.get("login")
        page = await desk.log_in("carol")
        page = await desk.get("token")
        page = await desk.send(page, "token", pasted=f"Bearer {token}\n", provider="demo")
        assert "the-jti" in page.text
        assert token not in page.text
        assert "alice" not in page.text
        page = await desk.send(page, "end", reason="found in a chat")
        assert "Done." in words_of(page)
        assert token not in page.text
        for wrong in ("a b", "eyJ.eyJ.x", "eyJhbGciOiJub25lIn0.e30.", "x" * 2000, ""):
            refused = await desk.ask(
                "POST", "token", data={"csrf": csrf_of(page), "pasted": wrong, "provider": "demo"}
            )
            assert refused.status == 400
            assert 'name="reason"' not in refused.text
    assert (await call(world, token)).status == 401
    assert token not in json.dumps(world.lines)
    assert world.audit("revocation")[0]["value"] == "the-jti"


async def call(world: World, token: str):
    """Call the API with a bearer token."""
    return await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.settings(CONSOLE | KEPT)
async def test_a_role_that_looks_ends_nothing(world: World):
    """[12.console] `read` is shown no button, and is refused the action all the same, however it is asked."""
    browser = world.browser()
    await browser.login("/", "alice")
    async with Desk(world.gateway.admin_port) as desk:
        page = await desk.log_in("rita")
        csrf = csrf_of(page)
        for path in ("people", "person?provider=demo&sub=alice", "token"):
            page = await desk.get(path)
            assert page.status == 200
            assert "console/end" not in page.text
        assert (await desk.get("end?kind=sub&value=alice&provider=demo")).status == 403
        data = {"csrf": csrf, "kind": "sub", "value": "alice", "provider": "demo", "reason": "no"}
        assert (await desk.ask("POST", "end", data=data)).status == 403
        assert (await desk.ask("POST", "token", data={"csrf": csrf, "pasted": "x"})).status == 403
    assert (await browser.fetch("/x")).status == 200
    refused = world.audit("admin_refused")
    assert {(each["why"], each["actor"]) for each in refused} == {("role", "rita")}


@pytest.mark.settings(CONSOLE | KEPT)
async def test_people_who_are_called_like_attacks(world: World):
    """R90 [12.console] Names, addresses, user agents and reasons of any content change no page, no line."""
    evil = "<script>alert(1)</script>\"'{{csrf}}\u202e\u0000\u001b[2J"
    world.provider.accounts["mallory"] = {
        "password": "mallory",
        "name": evil,
        "email": f"{evil}@example.com",
        "preferred_username": evil,
        "groups": [evil],
    }
    browser = world.browser()
    page = await browser.get("/", headers={"User-Agent": "<img src=x onerror=alert(1)>"})
    await browser.submit(page, username="mallory", password="mallory")
    await world.browser().login("/", "alice")
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("carol")
        for term in ("", evil[:20], "<script>", "%00", "A" * 10_000, "\u202e", "' OR 1=1 --"):
            page = await desk.get("people", params={"q": term})
            assert page.status == 200
            inert(page.text)
        for path in (
            "person?provider=demo&sub=mallory",
            "people?cursor=<script>",
            "people?cursor=99999.99999",
            "people?q=a&q=b",
            "people?" + "&".join(f"a{number}=1" for number in range(200)),
            "person?provider=<script>&sub=x",
            "person?provider=demo&sub=" + "x" * 5000,
            "end?kind=<script>&value=x",
            "end?kind=session&value=" + "%3Cscript%3E",
            "end?kind=sub&provider=demo&value=" + "A" * 5000,
            "<script>",
            "%3Cscript%3E/../..",
        ):
            page = await desk.get(path)
            assert page.status in (200, 400, 404), path
            inert(page.text)
        page = await desk.get("end?kind=sub&value=mallory&provider=demo")
        page = await desk.send(page, "end", reason=evil)
        inert(page.text)
        assert page.status == 200
    assert len(world.audit("revocation")) == 1


@pytest.mark.settings(CONSOLE | KEPT)
async def test_a_search_goes_on_where_a_page_ends(world: World, monkeypatch):
    """[12.console] However many there are, a page is bounded, and the next one begins where it ended."""
    for each in ("MOST_PAGE", "_MOST_PEOPLE"):
        monkeypatch.setattr(people, each, 2)
    for user in ("alice", "bob", "alice", "bob", "alice"):
        await world.browser().login("/", user)
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("rita")
        page, seen = await desk.get("people"), 0
        while True:
            seen += sum(map(int, re.findall(r'data-label="Sessions"[^>]*><span>(\d+)<', page.text)))
            following = re.search(r'href="/console/(people\?cursor=[^"]*)"', page.text)
            if following is None:
                break
            page = await desk.get(html.unescape(following[1]))
        assert seen == 5
