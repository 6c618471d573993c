"""What came first is told by the store's order of events, at every worker, after every loss (R66)."""

import asyncio
import json
import time
from dataclasses import replace

import pytest

from gateway.core.decision.needs import Revoke
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.core.sessions.model import Session
from gateway.edge.revocation import denylist_sync as module
from gateway.edge.revocation.denylist_log import TAG, WRITE
from gateway.edge.revocation.denylist_sync import Revocations
from tests.support.store import eventually

pytestmark = pytest.mark.asyncio
ISSUER = "https://issuer.example"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Compare ten times as often, so that noticing takes a tenth of the time."""
    monkeypatch.setattr(module, "BEAT_INTERVAL", 0.1)


@pytest.fixture
async def worker(store):
    """A maker of workers, each with a replica of its own."""
    made = []

    async def make(on=store, ahead: float = 0.0) -> Revocations:
        revocations = Revocations(on, Denylist(), lambda: time.time() + ahead, worker_id="w")
        await revocations.start()
        made.append(revocations)
        return revocations

    yield make
    for revocations in made:
        await revocations.close()


def entry(kind: str = "sub", value: str = "alice", ahead: float = 0.0, **changes) -> DenyEntry:
    now = time.time() + ahead
    return replace(DenyEntry(kind, ISSUER, value, now, now + 1000, AS_WRITTEN), **changes)


def login(at: Revocations, ahead: float = 0.0) -> Session:
    """Return a session that begins at this worker now, whose machine's clock is ``ahead``."""
    now = time.time() + ahead
    return Session(
        session_id="s",
        provider="p",
        issuer=ISSUER,
        subject="alice",
        sid="sid",
        claims={},
        scopes=frozenset(),
        login_at=now,
        ends_at=now + 9999,
        seen_at=now,
        renewed_at=now,
        access_expires_at=now + 60,
        position=at._denylist.position,
    )


def lives(session: Session, at: Revocations) -> bool:
    return not at._denylist.judge_session(session, time.time())


@pytest.mark.parametrize(("kind", "value"), [("sub", "alice"), ("sid", "sid"), ("all", "")])
@pytest.mark.parametrize("ahead", [0.0, 3.0, -3.0, 600.0])
async def test_r66_before_is_out_and_after_is_in_at_every_worker(worker, kind, value, ahead: float):
    """R66 [1.4]: whatever the clock of the machine where a session began says; at later workers too."""
    first, second = await worker(), await worker()
    before = login(second, ahead)
    await first.revoke(Revoke((entry(kind, value),)))
    after = login(first, ahead)
    assert not lives(before, first)
    assert lives(after, first)
    await eventually(lambda: not lives(before, second))
    third = await worker()
    for each in (second, third):
        assert lives(after, each)
        assert not lives(before, each)
        assert lives(login(each, ahead), first)
    await first.publish([entry(kind, value)])
    for each in (first, second, third):
        assert not lives(after, each)


async def test_r66_a_worker_that_has_not_applied_it_loses_its_login_when_it_does(worker):
    """R66 [1.4]: let in with a lower position, and out as soon as the entry comes."""
    first, slow = await worker(), await worker()
    slow._task.cancel()
    await first.revoke(Revoke((entry(),)))
    session = login(slow, ahead=9.0)
    assert lives(session, slow)
    assert not lives(session, first)
    slow._task = asyncio.ensure_future(slow._run())
    await eventually(lambda: not lives(session, slow))
    assert lives(login(slow), first)


async def test_r66_repeating_an_entry_ends_nothing_that_began_since(worker):
    """R66 [1.4]: the same entry written again, as after an answer that was lost, keeps its place."""
    first, second = await worker(), await worker()
    revoked = entry()
    await first.publish([revoked])
    since = login(second)
    await first.publish([revoked])
    await second.publish([revoked])
    await first.publish([replace(revoked, expires=revoked.expires + 5)])
    for each in (first, second, await worker()):
        assert lives(since, each)


async def test_r66_an_answer_that_was_lost_costs_nobody_a_session(worker, store, monkeypatch):
    """R66 [1.4]: written, and not known to be: written again, it ends nothing that began in between."""
    first = await worker()
    run = store.run

    async def lossy(script, *more):
        answer = await run(script, *more)
        if script is WRITE:
            monkeypatch.setattr(store, "run", run)
            raise Fault("store", Reason.STORE_UNAVAILABLE)
        return answer

    monkeypatch.setattr(store, "run", lossy)
    with pytest.raises(Fault):
        await first.revoke(Revoke((entry(),)))
    await eventually(lambda: lives(login(first), first))
    since = login(first)
    seen = []
    first._on_added = lambda _: seen.append(lives(since, first))
    await eventually(lambda: first.stats()["unwritten"] == 0)
    assert all(seen)
    assert lives(since, first)


async def test_r66_an_entry_for_a_time_goes_by_time(worker):
    """R66 [1.4]: who names a time means it, at every worker, from the log and from the snapshot."""
    first, second = await worker(), await worker()
    now = time.time()
    await first.publish([entry(before=now + 100, position=None)])
    for each in (first, second, await worker()):
        assert not lives(login(each), each)
        assert not lives(login(each, ahead=104), each)
        assert lives(login(each, ahead=106), each)


async def test_r66_a_store_that_lost_its_data_ends_nothing_that_began_after(server, own_store, worker):
    """R66 [1.4]: what is written back keeps its place: out stays out, in stays in, at new workers too."""
    first, second = await worker(own_store), await worker(own_store)
    out = login(first, ahead=9)
    await first.publish([entry(), entry("jti", "j", position=None)])
    since = login(second)
    epoch, _ = first._denylist.position
    with server.client() as client:
        client.flushall()
    await eventually(lambda: first._denylist.position[0] != epoch and second._denylist.position[0] != epoch)
    await eventually(lambda: _written(own_store, 2))
    workers = [first, second, await worker(own_store)]
    for each in workers:
        assert lives(since, each)
        assert not lives(out, each)
        assert lives(login(each, ahead=6), each)
    await first.publish([entry()])
    for each in workers:
        assert not lives(since, each)
        # what was revoked in another epoch goes by time
        assert lives(login(each, ahead=6), first)


async def _written(store, count) -> bool:
    return await store.execute("ZCARD", store.key(TAG, "entries")) == count


async def test_r66_history_that_was_lost_is_another_epoch(worker, store):
    """R66 [1.4]: a failover that lost the latest: the same seqs mean something else, so no position holds."""
    first, second = await worker(), await worker()
    await first.publish([entry(value=f"user-{index}") for index in range(5)])
    session = login(second)
    epoch, seq = session.position
    assert seq == 5
    await store.execute("SET", store.key(TAG, "seq"), 2)
    await first.revoke(Revoke((entry(),)))
    for each in (first, second):
        await eventually(lambda each=each: each._denylist.position[0] != epoch and not lives(session, each))
    assert not lives(session, await worker())


async def test_r66_seqs_that_come_again_in_the_log_are_another_epoch(worker, store):
    """R66 [1.4]: the same, written by a worker that had not applied what was lost."""
    first = await worker()
    await first.publish([entry(value=f"user-{index}") for index in range(5)])
    epoch, _ = first._denylist.position
    text = json.dumps(["sub", ISSUER, "bob", 1.0])
    await store.execute(
        "XADD", store.key(TAG, "log"), "*", "s", 5, "e", text, "x", time.time() + 9, "p", f"{epoch} 5"
    )
    await eventually(lambda: first._denylist.position[0] != epoch)


# the script that wrote entries in the version before
_WRITE_BEFORE = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
if redis.call('ZADD', KEYS[3], 'GT', 'CH', ARGV[3], ARGV[2]) == 1 then
  local seq = redis.call('INCR', KEYS[2])
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 's', seq, 'e', ARGV[2], 'x', ARGV[3])
end
return redis.call('GET', KEYS[2])
"""


async def test_r66_entries_of_the_version_before_go_by_time_everywhere(worker, store):
    """R66 [1.4]: written by it, now or earlier: by time and 5 s, from log and snapshot alike."""
    first = await worker()
    now = round(time.time(), 3)
    keys = [store.key(TAG, name) for name in ("epoch", "seq", "entries", "log")]
    text = json.dumps(["sub", ISSUER, "alice", now], separators=(",", ":"))
    await store.execute("EVAL", _WRITE_BEFORE, 4, *keys, "drawn", text, now + 1000)
    await eventually(lambda: len(first._denylist))
    for each in (first, await worker()):
        assert not lives(login(each), each)
        assert not lives(replace(login(each), login_at=now + 5), each)
        assert lives(replace(login(each), login_at=now + 5.5), each)


async def test_the_version_before_reads_what_is_written(worker, store):
    """[1.4] A fleet of both: members are lists of four, items of the log have ``s``, ``e`` and ``x``."""
    first = await worker()
    await first.publish(
        [entry(), entry("sid", "s"), entry("all", "", issuer=""), entry(position=None, before=5.0)]
    )
    members = await store.execute("ZRANGE", store.key(TAG, "entries"), 0, -1)
    assert all(len(json.loads(member)) == 4 for member in members)
    items = await store.execute("XRANGE", store.key(TAG, "log"), "-", "+")
    assert len(items) == len(members) == 4
    for number, (_, fields) in enumerate(items, 1):
        seq, text, expires = (fields[name] for name in (b"s", b"e", b"x"))
        assert int(seq) == number
        assert text in members
        assert float(expires) > time.time()


async def test_r66_without_the_store_whoever_is_named_stays_out(server, own_store, worker):
    """R66 [1.4]: an entry that waits to be written ends all there is; written, those after it live."""
    first, second = await worker(own_store), await worker(own_store)
    server.kill()
    with pytest.raises(Fault):
        await first.revoke(Revoke((entry(),)))
    waiting = login(first)
    assert not lives(waiting, first)
    server.start()
    await eventually(lambda: first.stats()["unwritten"] == 0)
    await eventually(lambda: not lives(waiting, second))
    assert not lives(waiting, first)
    await eventually(lambda: lives(login(first), first) and lives(login(first), second))


async def test_r66_a_worker_that_was_told_goes_by_the_place_once_it_is_written(worker):
    """R66 [1.4]: the other workers of a gateway refuse at once, until it is written."""
    first, told = await worker(), await worker()
    revoked = entry()
    told.deny([revoked])
    assert not lives(login(told), told)
    await first.publish([revoked])
    assert lives(login(told), told)


async def test_r66_what_a_worker_was_told_is_written_though_the_writer_is_gone(worker):
    """R66 [1.4]: also where a gateway whose clock is ahead revoked the same before; nobody is shut out."""
    first, told, ahead = await worker(), await worker(), await worker(ahead=3.0)
    await ahead.publish([entry(ahead=3.0)])
    session = login(first)
    told.deny([entry()])
    assert not lives(session, told)
    await eventually(lambda: not lives(session, first))
    assert not lives(session, told)
    await eventually(lambda: lives(login(told), told) and lives(login(told), first))
    # how long it needs to be kept is the writer's to say
    told.deny([DenyEntry("session", "", "s", 9.0, time.time() + 900)])
    assert told.stats()["unwritten"] == 0
    with pytest.raises(ValueError, match="no entry"):
        told.deny([entry(value="")])


async def test_r67_a_writers_clock_that_stepped_makes_the_store_forget_nothing(worker, store):
    """R67 [1.5]: expired is what both clocks say is expired."""
    first, stepped = await worker(), await worker(ahead=7200.0)
    await first.publish([entry(), entry(value="old", expires=time.time() - 400)])
    assert await _written(store, 1)
    await stepped.publish([entry(value="bob", ahead=7200.0)])
    assert await _written(store, 2)


async def test_an_end_that_was_put_off_outlives_the_worker_that_did(worker, store):
    """R41 [1.17]: another worker writes it when it is due, once; nobody refuses anything before."""
    ended, other = await worker(), await worker()
    now = round(time.time(), 3)
    late = DenyEntry("session", "", "s", now + 999, now + 900)
    await ended.put_off(late, 0.6)
    await ended.put_off(replace(late, expires=late.expires + 5), 60)
    soon = replace(late, value="t")
    await ended.put_off(soon, 0.01)
    # as if its process had been killed
    ended._task.cancel()
    await eventually(lambda: other._denylist.why_ended("t", time.time()) is Reason.REVOKED)
    assert other._denylist.why_ended("s", time.time()) is None
    third = await worker()
    await eventually(lambda: not lives(login(other), other))
    assert list(other._denylist.entries(0)) == [soon, late]
    await eventually(lambda: not lives(login(third), third))
    assert other._denylist.position[1] == 2
    assert await store.execute("ZCARD", store.key(TAG, "due")) == 1


@pytest.mark.parametrize(
    "garbage", ["", "x", "1 ", " [1]", "1.2.3 []", "nan []", "1e3 [2]", "-1 [1]", "9" * 400]
)
async def test_garbage_among_what_was_put_off_ends_nothing(worker, store, garbage):
    """[1.17]: it goes, and the replica stays fresh."""
    first = await worker()
    await store.execute("ZADD", store.key(TAG, "due"), 0, garbage)
    await first.put_off(DenyEntry("session", "", "s", 9.0, round(time.time() + 900, 3)), 0)
    await eventually(lambda: not lives(login(first), first))
    assert first._denylist.is_fresh(time.time(), 1.0)
    assert await store.execute("ZCARD", store.key(TAG, "due")) == 0
