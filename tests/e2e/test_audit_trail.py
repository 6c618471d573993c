"""The audit trail in the store: who was where, asked over the admin listener."""

import asyncio
import base64
import json

import pytest
import yaml

from gateway.cli.main import main
from gateway.edge.audit.writing import MOST_WAITING
from tests.support.world import SECRET_KEY, World

KEPT = {
    "audit": {"keep": {"for": "30d", "most": 1000}},
    "log": {"claims": ["email"]},
    "routes": [
        {"path": "/admin/", "upstream": "app", "access": "required", "audit": True},
        {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
    ],
}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(KEPT)]


async def trail(world: World, query: str = "", path: str = "/audit", method: str = "GET") -> dict:
    """Return what the admin listener tells, once what has happened is kept."""
    await world.gateway.audit_writer.flush()
    page = await world.admin(method, f"{path}?{query}")
    assert page.status == 200, page.text
    return json.loads(page.text)


async def test_who_was_at_admin(world: World):
    """[12.logs] Each request of a route that asks for it, by whom, never with its query; refusals too."""
    alice, bob = world.browser(), world.browser()
    await alice.login("/", "alice")
    await bob.login("/", "bob")
    assert (await alice.get("/admin/people?code=secret-of-a-query")).status == 200
    assert (await alice.get("/elsewhere")).status == 200
    found = (await trail(world, "path=/admin&event=access"))["entries"]
    assert [(each["subject"], each["path"], each["status"]) for each in found] == [
        ("alice", "/admin/people", 200)
    ]
    assert found[0]["claims"] == {"email": "alice@example.com"}
    assert found[0]["route"] == "/admin/"
    assert "secret-of-a-query" not in json.dumps(found)
    assert not (await trail(world, "path=/adm"))["entries"]
    alices = (await trail(world, "sub=alice"))["entries"]
    assert [each["event"] for each in alices] == ["access", "login"]
    session = alices[0]["session"]
    assert (await trail(world, f"session={session}"))["entries"] == alices
    assert not (await trail(world, "sub=alice&issuer=https://elsewhere.example"))["entries"]
    ages = (
        (await trail(world, "until=1000000000"))["entries"],
        (await trail(world, "since=1000000000"))["entries"],
    )
    assert not ages[0]
    assert {each["event"] for each in ages[1]} == {"access", "login", "chain_began"}


async def test_pages_follow_one_another(world: World):
    """The newest first; a cursor leads on, through the index as well as without one."""
    for number in range(7):
        world.gateway.recorder.audit("login", subject="alice" if number % 2 else "bob", detail=str(number))
    told = [each["detail"] for each in (await trail(world, "event=login"))["entries"]]
    assert told == ["6", "5", "4", "3", "2", "1", "0"]
    for query, expected in (("event=login", told), ("sub=alice", ["5", "3", "1"])):
        seen, before = [], ""
        while before is not None:
            page = await trail(world, f"{query}&limit=2" + (f"&before={before}" if before else ""))
            assert len(page["entries"]) <= 2
            seen += [each["detail"] for each in page["entries"]]
            before = page["before"]
        assert seen == expected


async def test_a_person_is_forgotten(world: World):
    """[12.logs] What is personal goes, what happened stays, and the trail says that this was done."""
    for subject in ("alice", "bob", "alice"):
        world.gateway.recorder.audit("login", subject=subject, client="192.0.2.7", reason="login_completed")
    await trail(world)
    answer = await trail(world, "sub=alice&reason=she+asked&actor=dpo", method="DELETE")
    assert answer == {"forgotten": 2}
    entries = (await trail(world))["entries"]
    assert not (await trail(world, "sub=alice"))["entries"]
    gone = [each for each in entries if each.get("forgotten")]
    assert [each["event"] for each in gone] == ["login", "login"]
    assert all(each.keys().isdisjoint({"subject", "client", "salt"}) for each in gone)
    assert "alice" not in json.dumps(entries)
    assert entries[0]["event"] == "audit_forgotten"
    assert (entries[0]["entries"], entries[0]["reason"]) == (2, "she asked")


@pytest.mark.settings({})
async def test_off_by_default(world: World):
    """Nothing is kept unless the configuration says so."""
    world.gateway.recorder.audit("login", subject="alice")
    await world.gateway.audit_writer.flush()
    page = await world.admin("GET", "/audit")
    assert page.status == 409
    assert "audit.keep" in page.text
    client = world.gateway.store
    assert await client.execute("EXISTS", client.key("{audit}", "log")) == 0


@pytest.mark.parametrize(
    "query",
    [
        "sub=",
        "sub=a&sub=b",
        "since=yesterday",
        "since=nan",
        "since=-1",
        "until=9e99",
        "limit=0",
        "limit=1001",
        "limit=%C2%B2",
        "before=1-1-1",
        "before=%2B",
        "before=(1-1",
        "what=ever",
        f"sub={'x' * 1025}",
    ],
)
async def test_questions_that_make_no_sense(world: World, query: str):
    """400, whatever a parameter holds."""
    assert (await world.admin("GET", f"/audit?{query}")).status == 400


async def test_nobody_asks_without_a_token(world: World):
    """Who was where is told to operators alone."""
    for path in ("/audit", "/audit/chain", "/audit/heads"):
        assert (await world.admin("GET", path, token=None)).status == 401
    assert (await world.admin("DELETE", "/audit?sub=alice", token=None)).status == 401
    assert (await world.admin("GET", "/audit/other")).status == 404


async def test_what_is_personal_is_sealed_in_the_store(world: World):
    """Whoever reads the store learns what happened, and nothing of whom."""
    world.gateway.recorder.audit(
        "login", subject="alice-the-subject", client="192.0.2.7", session="s-of-alice"
    )
    await trail(world)
    store = world.gateway.store
    kept = []
    for name in ("log", "who", "by", "heads"):
        key = store.key("{audit}", name)
        kind = (await store.execute("TYPE", key)).decode()
        command = {
            "stream": ("XRANGE", key, "-", "+"),
            "hash": ("HGETALL", key),
            "zset": ("ZRANGE", key, 0, -1),
        }
        kept.append(repr(await store.execute(*command[kind])))
    assert "login" in kept[0]
    for word in ("alice-the-subject", "192.0.2.7", "s-of-alice"):
        assert word not in "".join(kept)


async def test_old_ones_make_room(world: World, valkey_url: str):
    """[12.logs] Bound in number and in age; where a chain begins by then is signed."""
    for number in range(1300):
        world.gateway.recorder.audit("refresh", subject="alice", generation=number)
        if number % 400 == 0:
            await asyncio.sleep(0)
    await world.gateway.audit_writer.flush()
    await world.gateway.audit_writer.trim()
    store = world.gateway.store
    assert await store.execute("XLEN", store.key("{audit}", "log")) == 1000
    assert await store.execute("HLEN", store.key("{audit}", "who")) == 1000
    assert await store.execute("ZCARD", store.key("{audit}", "by")) == 1000
    firsts = (await trail(world, path="/audit/heads"))["firsts"]
    assert [text.split()[0] for text in firsts.values()] == ["302"]
    assert 30 * 86_400_000 < await store.execute("PTTL", store.key("{audit}", "log")) <= 31 * 86_400_000
    world.clock.advance(31 * 86400)
    await world.gateway.audit_writer.trim()
    assert await store.execute("XLEN", store.key("{audit}", "log")) == 0
    assert await store.execute("ZCARD", store.key("{audit}", "by")) == 0
    # after so long a silence another chain begins, and nothing is amiss
    world.gateway.recorder.audit("refresh", subject="alice", generation=0)
    assert {each["event"] for each in (await trail(world))["entries"]} == {"refresh", "chain_began"}
    assert not [each for each in world.lines if each.get("level") == "error"]


async def command(world: World, capsys, *words: str) -> tuple[int, str, str]:
    """Run the command against this gateway; return its exit code and both outputs."""
    path = world.tmp_path / "gateway.yaml"
    data = world.config()
    data["admin"]["listen"] = f"127.0.0.1:{world.gateway.admin_port}"
    path.write_text(yaml.safe_dump(data))
    code = await asyncio.to_thread(main, ["audit", *words, "--config", str(path)])
    told = capsys.readouterr()
    return code, told.out, told.err


async def test_the_command(world: World, capsys):
    """[12.logs] gateway audit list, export, forget and verify, as an operator has them."""
    world.gateway.recorder.audit("access", subject="alice", path="/admin/\u202ex\x1b[31m", client="192.0.2.7")
    world.gateway.recorder.audit("logout", subject="bob")
    await world.gateway.audit_writer.flush()
    code, out, _ = await command(world, capsys, "list", "--sub", "alice", "--since", "1h")
    assert code == 0
    assert len(out.splitlines()) == 1
    assert "access  alice  -  /admin/?x?[31m" in out
    code, out, _ = await command(world, capsys, "list", "--json", "--event", "logout")
    assert [json.loads(line)["subject"] for line in out.splitlines()] == ["bob"]
    target = world.tmp_path / "events.jsonl"
    code, out, err = await command(world, capsys, "export", "--output", str(target))
    assert (code, out, err) == (0, "", "3 events\n")
    assert target.stat().st_mode & 0o777 == 0o600
    assert (await command(world, capsys, "export", "--output", str(target)))[0] == 1
    code, out, _ = await command(world, capsys, "forget", "--sub", "alice", "--reason", "she asked")
    assert (code, out) == (0, "forgotten: what is personal in 1 events\n")
    await world.gateway.audit_writer.flush()
    code, out, _ = await command(world, capsys, "verify")
    assert code == 0, out
    assert ": good: entries 1 to 4" in out
    assert ", 1 forgotten" in out
    assert out.endswith("1 chains, 4 entries: good\n")
    code, out, _ = await command(world, capsys, "verify", "--json")
    assert json.loads(out)["verdict"] == "good"


async def test_the_store_is_tampered_with(world: World, capsys):
    """[12.logs] Deleted, cut off, altered in the store itself: verify says which, and exits with 1."""
    for number in range(5):
        world.gateway.recorder.audit("refresh", subject="alice", generation=number)
    await world.gateway.audit_writer.flush()
    store = world.gateway.store
    log, who = (store.key("{audit}", name) for name in ("log", "who"))
    ids = [row[0] for row in await store.execute("XRANGE", log, "-", "+")]
    held = await store.execute("HGET", who, ids[2])
    await store.execute("HSET", who, ids[2], await store.execute("HGET", who, ids[3]))
    code, out, _ = await command(world, capsys, "verify")
    assert code == 1
    assert "altered: entry 3: tells of a person otherwise than was written" in out
    await store.execute("HDEL", who, ids[2])
    code, out, _ = await command(world, capsys, "verify")
    assert (code, "altered: entry 3: what is personal is gone" in out) == (1, True)
    await store.execute("HSET", who, ids[2], held)
    assert (await command(world, capsys, "verify"))[0] == 0
    await store.execute("XDEL", log, ids[-1])
    code, out, _ = await command(world, capsys, "verify")
    assert (code, "cut off: entry 6: entry 6 is missing at its end" in out) == (1, True)
    await store.execute("XDEL", log, ids[1])
    code, out, _ = await command(world, capsys, "verify")
    assert (code, "gap: entry 2: entry 2 is missing" in out) == (1, True)


async def test_the_process_notices_a_trail_that_is_not_its_own(world: World):
    """[12.logs] Taken away under a running process: it says so, and begins another chain that tells of it."""
    world.gateway.recorder.audit("login", subject="alice")
    await world.gateway.audit_writer.flush()
    store = world.gateway.store
    await store.execute(
        "DEL", *(store.key("{audit}", name) for name in ("log", "who", "by", "heads", "firsts"))
    )
    world.gateway.recorder.audit("login", subject="bob")
    await world.gateway.audit_writer.flush()
    entries = (await trail(world))["entries"]
    assert any(
        each.get("message") == "the audit trail in the store is not as it was left" for each in world.lines
    )
    assert [each["event"] for each in entries] == ["login", "chain_began"]
    assert entries[0]["subject"] == "bob"
    assert world.gateway.audit_writer.stats()["lost_total"] == 0
    began = entries[-1]
    assert (began["event"], began["seq"]) == ("chain_began", 1)
    assert began["after"]


async def test_another_secret_key(world: World, capsys):
    """[12.logs] After a rotation older chains are verified; without the old key that cannot be told: 3."""
    world.gateway.recorder.audit("login", subject="alice")
    await world.gateway.audit_writer.flush()
    other = base64.b64encode(bytes(range(100, 132))).decode()
    world.override = {**world.override, "secret_keys": [other, SECRET_KEY]}
    code, out, err = await command(world, capsys, "verify")
    assert code == 0, (out, err)
    world.override = {**world.override, "secret_keys": [other]}
    code, out, _ = await command(world, capsys, "verify")
    assert code == 3
    assert "its key is not among secret_keys" in out


async def test_while_the_store_is_away(world: World):
    """[12.logs] Requests go on; what happens waits, up to a bound, and what is lost is told in the trail."""
    writer = world.gateway.audit_writer
    await writer.flush()
    for number in range(MOST_WAITING + 25):
        writer.take(json.dumps({"event": "refresh", "generation": number}), is_strangers=False)
    assert writer.stats()["lost_total"] == 25
    await writer.flush()
    entries = (await trail(world, "event=audit_lost"))["entries"]
    assert [each["count"] for each in entries] == [25]


async def test_strangers_do_not_displace_what_is_kept(world: World):
    """[12.logs] Refusals of nobody are not kept; other events of strangers are bounded, and counted."""
    for _ in range(100):
        world.gateway.recorder.audit("refusal", reason="no_credentials", client="198.51.100.1")
        world.gateway.recorder.audit("login", reason="state_invalid", client="198.51.100.1")
        world.gateway.recorder.audit("admin_refused", why="unknown_token", client="198.51.100.1")
        world.gateway.recorder.audit("admin_refused", why="role", actor="rita", client="192.0.2.1")
    world.gateway.recorder.audit("refusal", reason="policy", subject="alice")
    entries = (await trail(world, "limit=1000"))["entries"]
    strangers = [each for each in entries if each.get("client") == "198.51.100.1"]
    assert {each["event"] for each in strangers} == {"login", "admin_refused"}
    assert len(strangers) == 60
    assert [each.get("actor") for each in entries].count("rita") == 100
    assert [each["subject"] for each in entries if each["event"] == "refusal"] == ["alice"]
    assert [each["count"] for each in entries if each["event"] == "audit_skipped"] == [140]
