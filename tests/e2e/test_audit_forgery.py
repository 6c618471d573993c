"""What the gateway signs of the audit trail, while somebody who may write to the store wants it signed.

Neither making room nor forgetting somebody takes part in it: what goes so stays missed.
"""

import asyncio
import json

import pytest
import yaml

from gateway.cli.main import main
from tests.support.world import World

MOST = 100
KEPT = {"audit": {"keep": {"for": "30d", "most": MOST}}}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(KEPT)]


class Thief:
    """Somebody who may write to the store, and has no key of the gateway."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.gateway.store
        names = ("log", "who", "by", "heads", "firsts")
        self.log, self.who, self.by, self.heads, self.firsts = (
            self.store.key("{audit}", name) for name in names
        )

    async def rows(self) -> list[tuple[bytes, bytes]]:
        """Return places and entries."""
        return [(row[0], row[1][b"e"]) for row in await self.store.execute("XRANGE", self.log, "-", "+")]

    async def rewrite(self, rows: list[tuple[str | bytes, str | bytes]]) -> None:
        """Put these in the place of the entries, each with the personal part that it had."""
        old = {entry: await self.store.execute("HGET", self.who, place) for place, entry in await self.rows()}
        await self.store.execute("DEL", self.log)
        for place, entry in rows:
            await self.store.execute("XADD", self.log, place, "e", entry)
            if (held := old.get(entry)) is not None:
                await self.store.execute("HSET", self.who, place, held)

    async def take_away(self, *numbers: int) -> None:
        """Delete the entries of these numbers, and what is personal in them."""
        for place, entry in await self.rows():
            if json.loads(entry)[1] in numbers:
                await self.store.execute("XDEL", self.log, place)
                await self.store.execute("HDEL", self.who, place)


async def written(world: World, count: int) -> Thief:
    """Let so many events be kept, one chain's, and let the thief in."""
    for number in range(count - 1 - int(world.gateway.audit_writer.stats()["waiting"])):
        world.gateway.recorder.audit("refresh", subject="eve", generation=number)
    await world.gateway.audit_writer.flush()
    thief = Thief(world)
    assert len(await thief.rows()) == count
    return thief


async def verify(world: World, capsys) -> tuple[int, str]:
    """Return the exit code of ``gateway audit verify``, and what it says."""
    path = world.tmp_path / "gateway.yaml"
    data = world.config()
    data["admin"]["listen"] = f"127.0.0.1:{world.gateway.admin_port}"
    path.write_text(yaml.safe_dump(data))
    code = await asyncio.to_thread(main, ["audit", "verify", "--config", str(path)])
    return code, capsys.readouterr().out


async def test_a_number_that_nobody_wrote(world: World, capsys):
    """[12.logs] An entry that no process has written, with a high number, makes room and hides nothing."""
    thief = await written(world, 6)
    rows = await thief.rows()
    chain = json.loads(rows[0][1])[0]
    forged = json.dumps([chain, 1_000_000, "", "0" * 64, "{}", "0" * 64])
    await thief.rewrite([("1-1", forged), *rows])
    await world.gateway.audit_writer.trim()
    await thief.take_away(1, 2, 3, 4, 5, 6, 1_000_000)
    code, told = await verify(world, capsys)
    assert code == 1, told


async def test_a_late_one_before_all_others(world: World, capsys):
    """[12.logs] One that is moved to the front makes room before its turn: those before it are missed."""
    thief = await written(world, MOST)
    world.gateway.recorder.audit("refresh", subject="eve", generation=1000)
    await world.gateway.audit_writer.flush()
    rows = await thief.rows()
    moved = rows[90]
    await thief.rewrite([("1-1", moved[1]), *(row for row in rows if row is not moved)])
    await world.gateway.audit_writer.trim()
    await thief.take_away(*range(1, 91))
    code, told = await verify(world, capsys)
    assert code == 1, told


async def test_places_that_say_another_time(world: World, capsys):
    """[12.logs] How old an event is it says itself: under places of long ago nothing makes room."""
    thief = await written(world, 6)
    await thief.rewrite([(f"{number}-1", row[1]) for number, row in enumerate(await thief.rows(), 1)])
    await world.gateway.audit_writer.trim()
    await thief.take_away(1, 2, 3)
    code, told = await verify(world, capsys)
    assert code == 1, told


async def test_a_flood(world: World, capsys):
    """[12.logs] What nobody of ours wrote counts for nothing: beyond the bound it takes no other's room."""
    thief = await written(world, 6)
    rows = await thief.rows()
    last = int(rows[-1][0].partition(b"-")[0])
    junk = [(f"{last + 1 + number}-1", "[]") for number in range(MOST + 10)]
    await thief.rewrite([*rows, *junk])
    await world.gateway.audit_writer.trim()
    for place, entry in await thief.rows():
        if entry == b"[]":
            await thief.store.execute("XDEL", thief.log, place)
    await thief.take_away(1, 2, 3)
    code, told = await verify(world, capsys)
    assert code == 1, told


async def test_somebody_elses_events_under_a_name(world: World, capsys):
    """[12.logs] Whoever is forgotten takes along no event of another that was given their name."""
    world.gateway.recorder.audit("login", subject="alice", client="192.0.2.7")
    thief = await written(world, 5)
    rows = await thief.rows()
    alices, eves = rows[1][0], rows[2][0]
    held = await thief.store.execute("HGET", thief.who, alices)
    await thief.store.execute("HSET", thief.who, eves, held)
    for name in held.partition(b"|")[0].split():
        ms, _, number = eves.decode().partition("-")
        await thief.store.execute("ZADD", thief.by, 0, f"{name.decode()}:{int(ms):013d}-{int(number):08d}")
    page = await world.admin("DELETE", "/audit?sub=alice")
    assert (page.status, json.loads(page.text)) == (200, {"forgotten": 2})
    # what was there of her is gone all the same
    assert held not in (await thief.store.execute("HGETALL", thief.who)).values()
    code, told = await verify(world, capsys)
    assert code == 1, told
    assert "altered: entry 3: what is personal is gone, and nobody has forgotten it" in told


async def test_making_room_by_age_and_number_goes_on(world: World, capsys):
    """[12.logs] Ours makes room as ever, in number and in age, and all of it is good."""
    await written(world, MOST + 40)
    await world.gateway.audit_writer.trim()
    thief = Thief(world)
    assert len(await thief.rows()) == MOST
    code, told = await verify(world, capsys)
    assert code == 0, told
    assert f"entries 41 to {MOST + 40}" in told
    world.clock.advance(31 * 86400)
    await world.gateway.audit_writer.trim()
    assert not await thief.rows()
    code, told = await verify(world, capsys)
    assert code == 0, told


async def test_what_is_not_as_it_was_written_is_told_with_a_mark(world: World):
    """R92 [12.logs] Whoever reads the trail sees which of its events nobody of ours wrote so."""
    world.gateway.recorder.audit("login", subject="alice", client="192.0.2.7")
    thief = await written(world, 5)
    rows = await thief.rows()
    chain = json.loads(rows[0][1])[0]
    public = json.dumps({"event": "revocation", "actor": "bob", "time": "2026-01-01T00:00:00.000Z"})
    await thief.rewrite([*rows, ("9999999999999-1", json.dumps([chain, 6, "", "0" * 64, public, "0" * 64]))])
    held = await thief.store.execute("HGET", thief.who, rows[1][0])
    await thief.store.execute("HSET", thief.who, rows[2][0], held)
    entries = json.loads((await world.admin("GET", "/audit")).text)["entries"]
    assert [each.get("unverified") for each in entries] == [True, None, None, True, None, None]
