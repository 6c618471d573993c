"""Who is logged in: asked over the admin listener and with the command, and ended there."""

import asyncio
import json
import sys

import pytest
import yaml

from gateway.edge.sessions.index import Filter
from tests.support.world import ADMIN_TOKEN, World

REDIS = {"session": {"mode": "redis", "rotation_grace": "60s"}}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(REDIS)]


async def ask(world: World, method: str, path: str):
    page = await world.admin(method, path)
    return page.status, json.loads(page.text)


async def sessions(world: World, query: str = "") -> list[dict]:
    status, document = await ask(world, "GET", f"/sessions{query}")
    assert status == 200, document
    assert document["cursor"] is None
    return document["sessions"]


async def logged_in(world: World, user: str):
    browser = world.browser()
    browser.session.headers.update({"User-Agent": "Browser/1.0 " + "x" * 500})
    await browser.login("/", user)
    return browser


async def test_who_is_logged_in(world: World):
    """Since when, last seen, from where, with which provider; who was seen last comes first."""
    before = world.clock()
    await logged_in(world, "alice")
    world.clock.advance(5)
    await logged_in(world, "bob")
    bob, alice = await sessions(world)
    assert (alice["subject"], bob["subject"]) == ("alice", "bob")
    assert alice["provider"] == "demo"
    assert alice["issuer"] == world.provider.issuer
    assert alice["address"] == "127.0.0.1"
    assert alice["user_agent"].startswith("Browser/1.0 xxx")
    assert len(alice["user_agent"]) == 200
    assert before <= alice["since"] <= alice["last_seen"] <= world.clock()
    assert alice["ends"] == pytest.approx(alice["since"] + 7 * 86400, abs=1)
    status, shown = await ask(world, "GET", f"/sessions/{alice['session_id']}")
    assert (status, shown) == (200, alice)
    assert not {"handle", "access_token", "refresh_token", "claims"} & set(alice)


async def test_by_subject_and_by_sid(world: World):
    """The list of one person, and that of one session at the provider."""
    for user in ("alice", "alice", "bob"):
        await logged_in(world, user)
    assert len(await sessions(world, "?sub=alice")) == 2
    assert len(await sessions(world, "?sub=alice&provider=demo")) == 2
    assert await sessions(world, "?sub=nobody") == []
    (bob,) = await sessions(world, "?sub=bob")
    assert bob["sid"]
    assert await sessions(world, f"?sid={bob['sid']}") == [bob]


async def test_pages(world: World):
    """A long list comes in pages, each session once."""
    for _ in range(5):
        await logged_in(world, "alice")
        world.clock.advance(1)
    found, cursor = [], ""
    for _ in range(3):
        status, document = await ask(world, "GET", f"/sessions?limit=2{cursor and '&cursor=' + cursor}")
        assert status == 200
        found += [each["session_id"] for each in document["sessions"]]
        cursor = document["cursor"] or ""
    assert len(found) == len(set(found)) == 5
    assert cursor == ""


async def test_r44_one_session_is_ended(world: World):
    """R44: ended by its public id: refused at once, off the list, its record gone; the other goes on."""
    alice, other = await logged_in(world, "alice"), await logged_in(world, "alice")
    ended, kept = (await sessions(world, "?sub=alice"))[::-1]
    status, answer = await ask(world, "DELETE", f"/sessions/{ended['session_id']}")
    assert status == 200
    assert answer["ended"] == 1
    assert answer["missing"] == []
    page = await alice.fetch("/x")
    assert page.status == 401
    assert json.loads(page.text)["reason"] == "revoked"
    assert (await other.fetch("/x")).status == 200
    assert [each["session_id"] for each in await sessions(world)] == [kept["session_id"]]
    await world.gateway.sessions.drain()
    assert await world.gateway.sessions.index.read(ended["session_id"]) is None
    assert (await ask(world, "DELETE", f"/sessions/{ended['session_id']}"))[0] == 404
    assert world.audit("revocation")


async def test_r44_all_sessions_of_a_person_are_ended(world: World):
    """R44: by subject: every session of hers, none of his; her bearer tokens are another matter."""
    alices = [await logged_in(world, "alice") for _ in range(2)]
    bob = await logged_in(world, "bob")
    status, answer = await ask(world, "DELETE", "/sessions?sub=alice")
    assert (status, answer["ended"]) == (200, 2)
    assert [(await each.fetch("/x")).status for each in alices] == [401, 401]
    assert (await bob.fetch("/x")).status == 200
    token = world.provider.mint("alice", scope="api")
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 200


async def test_a_refreshed_session_stays_listed_and_is_ended(world: World):
    """The id stays the same through refreshes, and ending it ends the newest handle, too."""
    browser = await logged_in(world, "alice")
    (first,) = await sessions(world)
    for _ in range(3):
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
    (later,) = await sessions(world)
    assert later["session_id"] == first["session_id"]
    assert later["last_seen"] > first["last_seen"]
    assert (await ask(world, "DELETE", f"/sessions/{first['session_id']}"))[0] == 200
    assert (await browser.fetch("/x")).status == 401


async def test_what_has_idled_out_is_not_listed(world: World):
    """Whoever was away for the idle lifetime is on the list no more."""
    await logged_in(world, "alice")
    world.clock.advance(8 * 3600 + 1)
    assert await sessions(world) == []


async def test_revoked_by_subject_is_not_listed(world: World):
    """``POST /revoke`` takes sessions off the list, too."""
    await logged_in(world, "alice")
    assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    assert await sessions(world) == []
    await world.gateway.sessions.drain()
    assert await world.gateway.sessions.index.named(Filter(subject="alice")) == []


async def test_everything_needs_the_token(world: World):
    """Reading needs the admin token, too: who is logged in is not for everybody who reaches the port."""
    browser = await logged_in(world, "alice")
    for token in (None, "wrong"):
        for method, path in (("GET", "/sessions"), ("GET", "/sessions/x"), ("DELETE", "/sessions?sub=alice")):
            page = await world.admin(method, path, token=token)
            assert page.status == 401, (method, path, token)
            assert "alice" not in page.text
    assert (await browser.fetch("/x")).status == 200


GARBAGE = [
    ("GET", "/sessions?limit=0", 400),
    ("GET", "/sessions?limit=1001", 400),
    ("GET", "/sessions?limit=x", 400),
    ("GET", "/sessions?limit=%C2%B2", 400),
    ("GET", "/sessions?cursor=x", 400),
    ("GET", "/sessions?cursor=9.0", 400),
    ("GET", "/sessions?cursor=0.-1", 400),
    ("GET", "/sessions?sub=a&sid=b", 400),
    ("GET", "/sessions?sub=", 400),
    ("GET", "/sessions?sub=a&sub=b", 400),
    ("GET", "/sessions?id=a", 400),
    ("GET", "/sessions?provider=nobody", 400),
    ("GET", "/sessions?nope=1", 400),
    ("GET", f"/sessions?sub={'a' * 1025}", 400),
    ("GET", "/sessions/x", 404),
    ("GET", "/sessions/%7Ball%7D", 404),
    ("GET", f"/sessions/{'A' * 43}", 404),
    ("DELETE", "/sessions", 400),
    ("DELETE", "/sessions?provider=demo", 400),
    ("DELETE", "/sessions?sub=nobody", 404),
    ("DELETE", "/sessions/x?sub=alice", 400),
    ("DELETE", "/sessions/x?limit=1", 400),
    ("POST", "/sessions", 405),
]


async def test_garbage_ends_nothing(world: World):
    """Whatever is no question is refused with a word of why, and nobody is logged out."""
    browser = await logged_in(world, "alice")
    for method, path, status in GARBAGE:
        page = await world.admin(method, path)
        assert page.status == status, (method, path)
        assert json.loads(page.text)["detail"]
    assert (await browser.fetch("/x")).status == 200


@pytest.mark.settings({})
async def test_in_cookie_mode_there_is_no_list(world: World):
    """Sessions in cookies are nowhere else: a clear word, and what to do instead."""
    for method, path in (("GET", "/sessions"), ("GET", "/sessions/x"), ("DELETE", "/sessions?sub=alice")):
        status, document = await ask(world, method, path)
        assert status == 409
        assert "session.mode is cookie" in document["detail"]


async def command(world: World, tmp_path, *words: str) -> tuple[int, str]:
    config = tmp_path / "gateway.yaml"
    admin = {"admin": {"listen": f"127.0.0.1:{world.gateway.admin_port}", "token": ADMIN_TOKEN}}
    told = world.config() | admin
    # the worlds of these tests let old cookies go at once, which the command takes for a mistake
    told["session"] = told.get("session", {}) | {"rotation_grace": "1m"}
    config.write_text(yaml.safe_dump(told))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "sessions", *words, "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert ADMIN_TOKEN.encode() not in output
    return process.returncode, output.decode()


async def test_the_command(world: World, tmp_path):
    """``gateway sessions list``, ``show`` and ``end``, as an operator types them."""
    browser = await logged_in(world, "alice")
    (listed,) = await sessions(world)
    code, output = await command(world, tmp_path, "list", "--sub", "alice", "--limit", "5")
    assert code == 0, output
    (line,) = output.splitlines()
    assert line.split()[0] == listed["session_id"]
    assert line.endswith("127.0.0.1  demo  alice")
    code, output = await command(world, tmp_path, "list", "--json")
    assert code == 0
    assert json.loads(output) == listed
    code, output = await command(world, tmp_path, "show", listed["session_id"])
    assert code == 0
    assert "user_agent  Browser/1.0" in output
    code, output = await command(world, tmp_path, "end", listed["session_id"])
    assert (code, output) == (0, "ended: 1\n")
    assert (await browser.fetch("/x")).status == 401
    code, output = await command(world, tmp_path, "end", "--sub", "alice")
    assert code == 1
    assert "404" in output


@pytest.mark.settings({})
async def test_the_command_in_cookie_mode(world: World, tmp_path):
    """The command says clearly that there is no list."""
    code, output = await command(world, tmp_path, "list")
    assert code == 1
    assert "session.mode is cookie" in output


async def test_what_a_revocation_met_and_who_asked(world: World):
    """[4.7] How many sessions it ended, and none said so; reason, actor and address in the audit event."""
    for user in ("alice", "alice", "bob"):
        await logged_in(world, user)
    (bob,) = [each for each in await sessions(world) if each["subject"] == "bob"]
    now = world.clock()
    for body, met in (
        ({"sub": "nobody"}, 0),
        ({"sub": "alice", "before": now - 3600}, 0),
        ({"sub": "alice", "reason": "left", "actor": "carol@desk"}, 2),
        ({"sub": "alice"}, 0),
        ({"sid": "unknown"}, 0),
        ({"session": bob["session_id"]}, 1),
        ({"session": bob["session_id"]}, 0),
        ({"jti": "x"}, None),
    ):
        page = await world.admin("POST", "/revoke", json=body)
        told = json.loads(page.text)
        assert (page.status, told["sessions"], told["streams"]) == (200, met, 0), body
        until = told["tokens_refused_until"]
        if "sub" in body or "sid" in body:
            skew = world.settings.providers["demo"].clock_skew
            assert until == pytest.approx(body.get("before", now) + skew, abs=30)
        else:
            assert until is None
        await world.gateway.sessions.drain()
    events = world.audit("revocation")
    assert len(events) == 8
    (event,) = [each for each in events if each.get("reason") == "left"]
    assert (event["on_behalf_of"], event["client"], event["value"]) == ("carol@desk", "127.0.0.1", "alice")
    assert (event["actor"], event["actor_by"]) == ("token", "token")
    await logged_in(world, "bob")
    assert json.loads((await world.admin("POST", "/revoke", json={"all": True})).text)["sessions"] == 1
    await logged_in(world, "alice")
    (alice,) = await sessions(world)
    path = f"/sessions/{alice['session_id']}?reason=lost+laptop&actor=carol"
    page = await world.admin("DELETE", path)
    assert (page.status, json.loads(page.text)["ended"]) == (200, 1)
    event = world.audit("revocation")[-1]
    assert (event["reason"], event["on_behalf_of"], event["kind"]) == ("lost laptop", "carol", "session")
    assert event["actor"] == "token"


async def test_an_entry_lives_no_longer_than_the_session_that_it_names(world: World):
    """[1.17] Ten minutes before its end, however long a copy may idle."""
    await logged_in(world, "bob")
    (bob,) = await sessions(world)
    world.clock.advance(bob["ends"] - world.clock() - 600)
    page = await world.admin("POST", "/revoke", json={"session": bob["session_id"]})
    assert page.status == 200
    (entry,) = world.gateway.denylist.entries(0)
    assert entry.expires == pytest.approx(bob["ends"])
