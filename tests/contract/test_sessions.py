"""Sessions in a real store: records, the list, and what becomes of both."""

import asyncio
import re
import time
from dataclasses import replace

import pytest

from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Revoke, SaveSession, SessionRecord, Touch
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions.model import Grant, Renewed, Session
from gateway.core.sessions.record import record_name
from gateway.edge.sessions.index import Filter
from gateway.edge.sessions.records import Sessions
from gateway.edge.sessions.scripts import KEEP
from gateway.edge.store.store import Store
from gateway.syntax.encoding import encode_base64url
from tests.support.decisions import compiled
from tests.support.pure import ISSUER
from tests.support.store import eventually

pytestmark = pytest.mark.asyncio
KNOWN = compiled(session={"mode": "redis", "rotation_grace": "1s", "idle_lifetime": "100s"})


def text(number: int) -> str:
    return encode_base64url(number.to_bytes(32, "big"))


class Desk:
    """One worker's sessions, with what it heard and did."""

    def __init__(self, store: Store, clock=time.time) -> None:
        self.denylist = Denylist()
        self.memory = Memory()
        self.knowledge = Knowledge(KNOWN, {}, self.denylist, self.memory, lambda _: None, lambda _: False)
        self.events: list[tuple[str, dict]] = []
        self.later: list[tuple] = []
        self.now = clock
        self.sessions = Sessions(
            store,
            lambda: self.knowledge,
            self.revoke,
            clock,
            lambda event, **more: self.events.append((event, more)),
            self.put_off,
        )

    async def put_off(self, entry, seconds: float) -> None:
        """Hear what the store is to write later."""
        self.later.append((entry, seconds))

    async def revoke(self, need: Revoke) -> None:
        """Take entries as the replica would."""
        for entry in need.entries:
            self.denylist.add(entry)

    def session(self, number: int = 1, **changes) -> Session:
        """Return alice's session of this number, or as changed."""
        now = self.now()
        fields = {
            "session_id": text(number), "provider": "corporate", "issuer": ISSUER, "subject": "alice",
            "sid": f"sid-{number}", "claims": {"sub": "alice"}, "scopes": frozenset(), "login_at": now,
            "ends_at": now + 1000, "seen_at": now, "renewed_at": now, "access_expires_at": now + 60,
        }  # fmt: skip
        return Session(**fields | changes)

    async def begin(self, number: int = 1, replaces: str = "", **changes) -> SaveSession:
        """Keep a session that begins, and return the need that asked for it."""
        session, handle = self.session(number, **changes), text(1000 + number)
        current = Renewed(session, Grant(session.session_id, 0, "refresh-token", handle=handle))
        need = SaveSession(record_name(handle), handle, current, "192.0.2.1", "agent", replaces)
        await self.sessions.save(need)
        return need


@pytest.fixture
def desk(store):
    """A worker."""
    return Desk(store)


def of(need: SaveSession) -> SessionRecord:
    return SessionRecord(need.record, need.current.session.session_id)


async def life(store: Store, kind: str, name: str) -> int:
    return await store.execute("PTTL", store.key(kind, f"{{{name}}}"))


async def test_what_is_kept_expires_by_itself(desk: Desk, store: Store):
    """R42: record and list entry live as long as the session may idle, and never beyond its end."""
    need = await desk.begin()
    assert 99_000 < await life(store, "session", need.record) <= 100_000
    assert 99_000 < await life(store, "listed", text(1)) <= 100_000
    short = await desk.begin(2, ends_at=desk.now() + 10)
    assert 9_000 < await life(store, "session", short.record) <= 10_000
    stored = await desk.sessions.fetch(of(need))
    assert stored.body
    assert not stored.is_spent
    assert await desk.sessions.fetch(SessionRecord(text(9), text(9))) == type(stored)()


async def test_touching_prolongs_and_never_brings_back(desk: Desk, store: Store):
    """R42: in use: record and place on the list live on; one that is gone stays gone, and is forgotten."""
    need = await desk.begin()
    session = need.current.session
    for key in (store.key("session", f"{{{need.record}}}"), store.key("listed", f"{{{text(1)}}}")):
        await store.execute("PEXPIRE", key, 5000)
    await desk.sessions.touch(Touch(need.record, desk.now() + 7, session))
    assert await life(store, "session", need.record) > 90_000
    assert await life(store, "listed", text(1)) > 90_000
    assert (await desk.sessions.fetch(of(need))).seen_at == pytest.approx(desk.now() + 7, abs=1)
    (listed,) = (await desk.sessions.index.page(Filter(), 10))[0]
    assert listed.seen_at == pytest.approx(desk.now() + 7, abs=1)
    assert desk.memory.sessions.get(need.record).session.seen_at == pytest.approx(desk.now() + 7, abs=1)
    await desk.sessions.index.remove(listed)
    await desk.sessions.touch(Touch(need.record, desk.now() + 8, session))
    assert desk.memory.sessions.get(need.record) is None
    assert await store.execute("EXISTS", store.key("session", f"{{{need.record}}}")) == 0
    assert await desk.sessions.index.page(Filter(), 10) == ([], None)


async def test_a_late_touch_takes_nothing_back(desk: Desk):
    """Two workers tell of activity out of order: the later time counts."""
    need = await desk.begin()
    at = desk.now()
    for seen in (at + 20, at + 10):
        await desk.sessions.touch(Touch(need.record, seen, need.current.session))
    assert (await desk.sessions.fetch(of(need))).seen_at == pytest.approx(at + 20, abs=0.01)
    assert (await desk.sessions.index.find(text(1))).seen_at == pytest.approx(at + 20, abs=0.01)


async def test_the_record_of_a_rotation_is_written_once(desk: Desk, store: Store):
    """However many follow a rotation's result, in however many workers, one record comes of it."""
    need = await desk.begin()
    session, other = need.current.session, Desk(store)
    grant = Grant(session.session_id, 1, "rotated", (need.record,), handle=text(77))
    renewed = Renewed(replace(session, generation=1), grant)
    await asyncio.gather(*(each.sessions.install(renewed) for each in (desk, other) * 50))
    record = record_name(text(77))
    first = await desk.sessions.fetch(SessionRecord(record, session.session_id))
    third = Desk(store)
    await third.sessions.install(renewed)
    assert await third.sessions.fetch(SessionRecord(record, session.session_id)) == first
    listed = await desk.sessions.index.find(session.session_id)
    assert listed.records == (record, need.record)


async def test_r37_spent_counts_once_the_result_has_gone(desk: Desk, store: Store):
    """R37: confirmed, and the result still there: the grace. Gone: reuse, which ends the family."""
    need = await desk.begin()
    tag = f"{{{need.record}}}"
    await store.execute("SET", store.key("refresh", tag, "spent"), "1")
    await store.execute("SET", store.key("refresh", tag, "result"), "sealed")
    assert not (await desk.sessions.fetch(of(need))).is_spent
    await store.execute("DEL", store.key("refresh", tag, "result"))
    assert (await desk.sessions.fetch(of(need))).is_spent
    ((event, fields),) = desk.events
    assert (event, fields["subject"], fields["session"]) == ("reuse_detected", "alice", text(1))
    assert desk.denylist.judge_session(need.current.session, desk.now())


async def test_r37_confirmed_before_its_result_was_stored_is_no_reuse(desk: Desk, store: Store):
    """R37: the claim protocol keeps the time instead of a mark then: it alone judges."""
    need = await desk.begin()
    await store.execute("SET", store.key("refresh", f"{{{need.record}}}", "spent"), "1700000000000")
    assert not (await desk.sessions.fetch(of(need))).is_spent
    assert not desk.events


async def test_a_replaced_record_goes_after_the_grace(desk: Desk, store: Store):
    """A confirmed rotation's old record outlives the grace by little; what has less left keeps that."""
    need, other = await desk.begin(), await desk.begin(2)
    await store.execute("PEXPIRE", store.key("session", f"{{{other.record}}}"), 500)
    await desk.sessions.retire((need.record, other.record, "gone"))
    assert 1000 < await life(store, "session", need.record) <= 6000
    assert await life(store, "session", other.record) <= 500


async def test_a_login_replaces_the_session_before(desk: Desk, store: Store):
    """What the browser had before ends after the grace: requests under way may carry its handle."""
    before = await desk.begin(1)
    await desk.begin(2, replaces=text(1))
    assert not desk.denylist.judge_session(before.current.session, desk.now())
    assert len((await desk.sessions.index.page(Filter(), 10))[0]) == 2
    await desk.sessions.drain()
    assert desk.denylist.judge_session(before.current.session, desk.now())
    (listed,) = (await desk.sessions.index.page(Filter(), 10))[0]
    assert listed.about.session_id == text(2)
    assert 0 < await life(store, "session", before.record) <= 6000


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        (lambda now: DenyEntry("session", "", text(1), now, now + 99), {2, 3}),
        (lambda now: DenyEntry("sid", ISSUER, "sid-2", now, now + 99), {1, 3}),
        (lambda now: DenyEntry("sub", ISSUER, "alice", now, now + 99), {3}),
        (lambda now: DenyEntry("sub", ISSUER, "alice", now - 3600, now + 99), {1, 2, 3}),
        (lambda now: DenyEntry("sub", "https://elsewhere.example", "alice", now, now + 99), {1, 2, 3}),
        (lambda now: DenyEntry("session", "", "{all}", now, now + 99), {1, 2, 3}),
        (lambda now: DenyEntry("jti", ISSUER, "x", now, now + 99), {1, 2, 3}),
    ],
)
async def test_the_ended_are_deleted(desk: Desk, store: Store, entry, left: set[int]):
    """R43, R44: records and list follow the denylist, and only as far as it goes."""
    needs = {1: await desk.begin(1), 2: await desk.begin(2), 3: await desk.begin(3, subject="bob")}
    written = entry(desk.now())
    desk.denylist.add(written)
    await desk.sessions.ended((written,))
    stored = {number: await desk.sessions.fetch(need) for number, need in needs.items()}
    kept = {number for number, found in stored.items() if found.body}
    # who has only the handle learns from the denylist, or from the record, that it was revoked
    assert {number for number, found in stored.items() if found.is_revoked} == (
        set() if written.kind == "session" else {1, 2, 3} - left
    )
    listed = {each.about.session_id for each in (await desk.sessions.index.page(Filter(), 10))[0]}
    assert kept == left
    assert listed == {text(number) for number in left}


async def test_everybody_ended_leaves_nobody_on_the_list(desk: Desk):
    """``all`` deletes no records, yet what it ended is not shown."""
    await desk.begin()
    desk.denylist.add(DenyEntry("all", "", "", desk.now(), desk.now() + 99))
    assert await desk.sessions.index.page(Filter(), 10) == ([], None)


async def test_large_lists_are_read_in_bounded_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Each session once, whatever the sizes of pages, with others ended in between."""
    monkeypatch.setattr("gateway.edge.sessions.index.MOST_PAGE", 7)
    monkeypatch.setattr("gateway.edge.sessions.index._MOST_SCANNED", 20)
    await asyncio.gather(*(desk.begin(number) for number in range(1, 61)))
    for number in range(1, 61, 2):
        desk.denylist.add(DenyEntry("session", "", text(number), desk.now(), desk.now() + 99))
    found, cursor, calls = [], "", 0
    while cursor is not None:
        page, cursor = await desk.sessions.index.page(Filter(), 9, cursor or "")
        assert len(page) <= 9
        found += [each.about.session_id for each in page]
        calls += 1
    assert sorted(found) == sorted(text(number) for number in range(2, 61, 2))
    assert calls > 3
    assert len(await desk.sessions.index.named(Filter(subject="alice"))) == 60


async def test_what_has_idled_out_leaves_the_lists(desk: Desk, store: Store):
    """Lists are pruned as they grow, with a margin for clocks that differ."""
    await desk.begin(1)
    index = store.key("sessions", "{all}", "index")
    await store.execute("ZADD", index, time.time() - 1000, text(1))
    assert await desk.sessions.index.page(Filter(), 10) == ([], None)
    await desk.begin(2)
    assert await store.execute("ZRANGE", index, 0, -1) == [text(2).encode()]


@pytest.mark.parametrize("field", ["m", "s", "r"])
@pytest.mark.parametrize("garbage", [b"", b"\xff\x00", b"x" * 50_000, b"{}"])
async def test_garbage_in_the_store_is_no_session(desk: Desk, store: Store, field: str, garbage: bytes):
    """What somebody else wrote there shows nothing and breaks nothing."""
    await desk.begin()
    await store.execute("HSET", store.key("listed", f"{{{text(1)}}}"), field, garbage)
    listed, _ = await desk.sessions.index.page(Filter(), 10)
    assert len(listed) <= 1
    await desk.sessions.ended((DenyEntry("session", "", text(1), desk.now(), desk.now() + 9),))


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"inf", b"nan", b"1e999", b"-inf"])
async def test_r42_a_garbled_time_prolongs_nothing(desk: Desk, store: Store, garbage: bytes):
    """R42: a last sight that is no time counts as none."""
    need = await desk.begin()
    await store.execute("HSET", store.key("session", f"{{{need.record}}}"), "s", garbage)
    assert (await desk.sessions.fetch(of(need))).seen_at == 0.0
    await store.execute("HSET", store.key("listed", f"{{{text(1)}}}"), "s", garbage)
    await desk.sessions.touch(Touch(need.record, desk.now(), need.current.session))


async def test_an_entry_under_another_name_is_not_shown(desk: Desk, store: Store):
    """A sealed description counts only under its own session's id."""
    await desk.begin(1)
    sealed = await store.execute("HGET", store.key("listed", f"{{{text(1)}}}"), "m")
    await store.execute("HSET", store.key("listed", f"{{{text(2)}}}"), "m", sealed, "s", "1", "r", "")
    assert await desk.sessions.index.read(text(2)) is None


async def test_each_script_touches_one_slot(desk: Desk, store: Store, monkeypatch: pytest.MonkeyPatch):
    """In a cluster, the keys of one script share their hash tag, and every key has the prefix and a tag."""
    calls: list[list[str]] = []
    run = store.run

    async def recorded(script, keys, arguments):
        calls.append(list(keys))
        return await run(script, keys, arguments)

    monkeypatch.setattr(store, "run", recorded)
    need = await desk.begin()
    await desk.sessions.fetch(of(need))
    await desk.sessions.touch(Touch(need.record, desk.now(), need.current.session))
    await desk.sessions.retire((need.record,))
    assert len(calls) > 8
    for keys in calls:
        assert all(key.startswith(store.key("")) for key in keys)
        assert len({re.search(r"\{([^{}]+)\}", key)[1] for key in keys}) == 1


async def test_the_store_is_away(server, own_store: Store):
    """Every question is a Fault of the store, and each caller has its own."""
    desk = Desk(own_store)
    need = await desk.begin()
    server.kill()
    found = await asyncio.gather(*(desk.sessions.fetch(of(need)) for _ in range(5)), return_exceptions=True)
    assert {type(each) for each in found} == {Fault}
    assert len({id(each) for each in found}) == 5
    for question in (desk.begin(2), desk.sessions.index.page(Filter(), 1), desk.sessions.install(
        Renewed(need.current.session, Grant(text(1), 1, "r", handle=text(5)))
    )):  # fmt: skip
        with pytest.raises(Fault) as raised:
            await question
        assert raised.value.source == "store"
    await desk.sessions.ended((DenyEntry("session", "", text(1), desk.now(), desk.now() + 9),))
    desk.sessions.start(Touch(need.record, desk.now(), need.current.session))
    await desk.sessions.drain()
    server.start()

    async def again() -> bool:
        try:
            return bool((await desk.sessions.fetch(of(need))).body)
        except Fault:
            return False

    await eventually(again)


async def test_a_command_that_is_not_permitted_is_not_waited_for(
    server, own_store: Store, monkeypatch: pytest.MonkeyPatch
):
    """[12.sessions]: the store is there and refuses: whoever asks patiently hears of it."""
    monkeypatch.setattr("gateway.edge.store.store.PATIENCE", 0.1)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-hset")
    with pytest.raises(Fault):
        await own_store.run_patiently(KEEP, [own_store.key("session", "{x}")], ["a", 1, 1000])
