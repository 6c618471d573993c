"""The denylist's way through a real store: pushed, acknowledged, and whole again after every kind of loss."""

import asyncio
import contextlib
import json
import time
from dataclasses import replace

import pytest
from redis import Redis

from gateway.core.decision.needs import Revoke
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.edge.revocation import denylist_sync as module
from gateway.edge.revocation import denylist_writer
from gateway.edge.revocation.denylist_log import TAG
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.store.store import Store
from tests.support.store import ValkeyServer, eventually

pytestmark = pytest.mark.asyncio
ISSUER = "https://issuer.example"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Compare ten times as often, so that noticing takes a tenth of the time."""
    monkeypatch.setattr(module, "BEAT_INTERVAL", 0.1)


class Clock:
    """Wall time that a test may move."""

    offset = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.time() + self.offset


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def worker(store, clock):
    """A maker of workers, each with a replica of its own."""
    made = []

    async def make(on: Store = store, name: str = "w", **options) -> Revocations:
        revocations = Revocations(on, Denylist(), clock, worker_id=name, **options)
        await revocations.start()
        made.append(revocations)
        return revocations

    yield make
    for revocations in made:
        await revocations.close()


def sub(value: str, before: float | None = None, lifetime: float = 1000.0) -> DenyEntry:
    now = round(time.time(), 3)
    return DenyEntry("sub", ISSUER, value, now if before is None else before, round(now + lifetime, 3))


def subjects(revocations: Revocations) -> set[str]:
    return {entry.value for entry in revocations._denylist.entries(0)}


def key(store: Store, name: str) -> str:
    return store.key(TAG, name)


async def test_r44_a_revocation_is_pushed_and_acknowledged_by_every_worker(worker):
    """R44: ``publish`` returns once every live worker has applied the entries, and names them."""
    first, second, third = [await worker(name=name) for name in ("a", "b", "c")]
    entries = [
        sub("alice"),
        DenyEntry("jti", ISSUER, "j", 0.0, time.time() + 9),
        DenyEntry("sid", ISSUER, "s", 1.0, time.time() + 9),
        DenyEntry("session", "", "x", 1.0, time.time() + 9),
        DenyEntry("all", "", "", 1.0, time.time() + 9),
        DenyEntry("all", ISSUER, "", 1.0, time.time() + 9),
    ]
    answer = await first.publish(entries)
    assert answer.acknowledged == sorted(each.worker_id for each in (first, second, third))
    assert answer.missing == []
    assert answer.replicated is None
    assert json.loads(json.dumps(answer.to_json()))["acknowledged"] == answer.acknowledged
    for each in (first, second, third):
        assert len(each._denylist) == len(entries)
        assert each.stats()["seq"] == answer.seq == len(entries)


async def test_r44_a_worker_that_does_not_apply_is_named(worker, monkeypatch):
    """R44: a worker that hangs is missing by name; the caller is not kept longer than the bound."""
    monkeypatch.setattr(denylist_writer, "ACKNOWLEDGE_WITHIN", 0.2)
    first, hung = await worker(name="a"), await worker(name="hung")
    hung._task.cancel()
    answer = await first.publish([sub("alice")])
    assert answer.acknowledged == [first.worker_id]
    assert answer.missing == [hung.worker_id]


async def test_workers_that_left_or_died_are_not_waited_for(worker, store):
    """One that closed is gone at once; one that was not heard of for ``live_for`` is not waited for."""
    first, left, dead = await worker(live_for=0.5), await worker(), await worker()
    await left.close()
    dead._task.cancel()
    await eventually(lambda: _unheard(store, dead))
    assert (await first.publish([sub("alice")])).missing == []


async def _unheard(store, worker):
    seconds, _ = await store.execute("TIME")
    score = await store.execute("ZSCORE", key(store, "workers"), worker.worker_id)
    return int(seconds) * 1000 - float(score) > 600


async def test_workers_of_one_process_have_names_of_their_own(worker):
    """Two in one process are two: neither acknowledges for the other."""
    first, second = await worker(name="host:1"), await worker(name="host:1")
    assert first.worker_id != second.worker_id
    assert len((await first.publish([sub("alice")])).acknowledged) == 2


async def test_revoke_holds_here_at_once_and_everywhere_soon(worker):
    """``revoke`` returns with this worker's own replica holding the entries; others hear of it."""
    first, second = await worker(), await worker()
    await first.revoke(Revoke((sub("alice"),)))
    assert subjects(first) == {"alice"}
    await eventually(lambda: subjects(second) == {"alice"})


async def test_r49_whoever_asks_is_told_of_every_entry(worker):
    """R49: of what this worker writes, is told of, reads from the log or finds in the snapshot."""
    told: dict[str, set[str]] = {"first": set(), "second": set()}

    def note(name: str):
        def noted(entries) -> None:
            told[name].update(entry.value for entry in entries)

        return noted

    first = await worker(on_added=note("first"))
    await first.revoke(Revoke((sub("written"),)))
    assert told["first"] == {"written"}
    first.deny(iter([sub("told")]))
    assert told["first"] == {"written", "told"} == subjects(first)
    second = await worker(on_added=note("second"))
    assert told["second"] == {"written"}
    await first.publish([sub("pushed")])
    assert told["second"] == {"written", "pushed"} == subjects(second)


async def test_step_2_a_worker_begins_with_the_snapshot(worker):
    """Steps 1 and 2: whoever starts later holds everything, over many pages, and is fresh."""
    first = await worker(log_length=50)
    await first.revoke(Revoke(tuple(sub(f"user-{i}") for i in range(2500))))
    second = await worker()
    assert len(subjects(second)) == 2500
    assert second._denylist.is_fresh(time.time(), 10)
    assert second.stats()["garbage"] == 0


async def test_step_3_a_trimmed_log_is_noticed_by_its_gap(worker, store, monkeypatch):
    """Step 3: entries trimmed before they were read leave a gap in the seq: everything is read anew."""
    slow, fast = await worker(), await worker()
    with _deaf(slow):
        await fast.publish([sub("first")])
        await fast.revoke(Revoke((sub("second"),)))
        await store.execute("XTRIM", key(store, "log"), "MAXLEN", 1)
    await eventually(lambda: {"first", "second"} <= subjects(slow))
    assert slow.stats()["resyncs"] >= 1


@contextlib.contextmanager
def _deaf(worker: Revocations):
    """Keep a worker from reading and comparing for a while."""
    worker._task.cancel()
    history = worker._history
    epoch, seq, last = history.epoch, history.seq, history.last
    yield
    history.epoch, history.seq, history.last = epoch, seq, last

    async def goes_on():
        await worker._follow()
        worker._counts.resyncs += 1
        await worker._run()

    worker._task = asyncio.ensure_future(goes_on())


async def test_step_4_what_the_read_does_not_bring_is_noticed(worker, store):
    """Step 4: the store counts a change that the log never shows: synchronised again within the beat."""
    first = await worker()
    lost = sub("lost")
    text = json.dumps(["sub", ISSUER, "lost", lost.before], separators=(",", ":"))
    await store.execute("ZADD", key(store, "entries"), lost.expires, text)
    await store.execute("INCR", key(store, "seq"))
    await eventually(lambda: subjects(first) == {"lost"})
    assert first.stats()["resyncs"] == 1


@pytest.mark.parametrize("change", ["another epoch", "no epoch", "lower seq"])
async def test_step_4_what_does_not_fit_means_synchronising(worker, store, change: str):
    """Step 4: another or a missing epoch, or a lower seq, as after a failover that lost the latest."""
    first = await worker()
    await first.publish([sub("alice"), sub("bob")])
    await store.execute(
        "ZREM", key(store, "entries"), *await store.execute("ZRANGE", key(store, "entries"), 0, 0)
    )
    if change == "another epoch":
        await store.execute("SET", key(store, "epoch"), "other")
    elif change == "no epoch":
        await store.execute("DEL", key(store, "epoch"))
    else:
        await store.execute("SET", key(store, "seq"), 1)
    await eventually(lambda: _holds(store, 2))
    assert subjects(first) == {"alice", "bob"}
    assert subjects(await worker()) == {"alice", "bob"}
    assert first._denylist.is_fresh(time.time(), 10)


async def _holds(store, count):
    return await store.execute("ZCARD", key(store, "entries")) == count


async def test_step_5_lost_data_is_written_back(server: ValkeyServer, own_store: Store, worker, clock):
    """Step 5: after FLUSHALL the workers give back their unexpired entries; none of them forgets any."""
    first, second = await worker(own_store), await worker(own_store)
    await first.publish([sub("alice"), sub("bob")])
    await first.publish([sub("alice", before=time.time() + 5), sub("short", lifetime=5)])
    clock.offset = 10
    with server.client() as client:
        client.flushall()
    await eventually(lambda: _holds(own_store, 2))
    third = await worker(own_store)
    assert subjects(third) == {"alice", "bob"}
    assert {"alice", "bob"} <= subjects(second)
    await third.publish([sub("carol")])
    assert "carol" in subjects(first)
    assert "carol" in subjects(second)


async def test_step_5_writing_back_converges(own_store, server, worker):
    """Step 5: many workers giving back the same entries write each once."""
    workers = [await worker(own_store) for _ in range(4)]
    await workers[0].publish([sub(f"user-{i}") for i in range(20)])
    with server.client() as client:
        client.flushall()
    await eventually(lambda: _holds(own_store, 20))
    await eventually(lambda: all(each.stats()["seq"] == 20 for each in workers))
    assert await own_store.execute("XLEN", key(own_store, "log")) == 20


async def test_step_6_only_a_good_comparison_is_fresh(server: ValkeyServer, own_store: Store, worker, clock):
    """Step 6, R61: without the store the replica ages and is stale after the bound; with it, fresh again."""
    first = await worker(own_store)
    await first.publish([sub("alice")])
    server.kill()
    at = first._good_at
    await asyncio.sleep(0.3)
    assert first._good_at == at
    assert first._denylist.is_fresh(clock(), 10)
    assert not first._denylist.is_fresh(clock() + 11, 10)
    server.start()
    await eventually(lambda: first._good_at > at)
    assert subjects(first) == {"alice"}


async def test_step_6_never_synchronised_is_stale(prefix, clock):
    """Step 6: a store that is away at the start: no error, not fresh; it comes, and the replica with it."""
    server = ValkeyServer()
    store = Store(server.url, prefix, 0.2, clock)
    first = Revocations(store, Denylist(), clock, worker_id="w")
    await first.start()
    assert first._denylist.synchronised_at is None
    assert first.stats()["staleness_seconds"] == float("inf")
    server.start()
    await eventually(lambda: first._denylist.is_fresh(clock(), 10))
    await first.close()
    await store.close()
    server.close()


async def test_a_step_of_the_clock_changes_no_age(worker, clock):
    """A wall clock that jumps makes no replica stale for longer than a beat, nor a stale one fresh."""
    first = await worker()
    for offset in (7200.0, -7200.0):
        clock.offset = offset
        await eventually(lambda: first._denylist.is_fresh(clock(), 10))
    first._good_at -= 100
    first._age()
    assert not first._denylist.is_fresh(clock(), 10)


async def test_r67_a_machine_that_slept_has_an_old_replica(worker, clock, monkeypatch):
    """R67 [1.5]: what was in step an hour's sleep ago is stale, until it is compared anew."""
    first = await worker()
    first._task.cancel()
    slept = module.since_boot
    monkeypatch.setattr(module, "since_boot", lambda: slept() + 3600)
    clock.offset = 3600
    assert not first._denylist.is_fresh(clock(), 10)
    first._age()
    assert not first._denylist.is_fresh(clock(), 10)
    assert first.stats()["staleness_seconds"] > 3000
    first._task = asyncio.ensure_future(first._run())
    await eventually(lambda: first._denylist.is_fresh(clock(), 10))


async def test_r67_each_step_of_the_clock_means_reading_anew(worker):
    """R67 [1.5]: what a step may have cost is read from the store again."""
    steps = 0
    first = await worker(steps=lambda: steps)
    await first.publish([sub("alice")])
    for steps in (1, 2):  # noqa: B007 - the worker reads it
        first._denylist.expire(9e9)
        await eventually(lambda: subjects(first) == {"alice"})
    assert first.stats()["resyncs"] == 2


async def test_killed_connections_lose_nothing(server: ValkeyServer, own_store: Store, worker):
    """CLIENT KILL of the blocked reader: it reads on where it was, and says so."""
    first, second = await worker(own_store), await worker(own_store)
    with server.client() as client:
        for turn in range(3):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await _publish(first, f"user-{turn}")
    await eventually(lambda: subjects(second) == {"user-0", "user-1", "user-2"})
    assert second.stats()["reconnects"] >= 1
    assert second.stats()["resyncs"] == 0


async def _publish(worker, value):
    with contextlib.suppress(Fault):
        await worker.publish([sub(value)])


async def test_a_restart_of_the_store_keeps_the_list(server: ValkeyServer, own_store: Store, worker):
    """Killed and started again from its append-only file: same epoch, no entry lost, pushing goes on."""
    first, second = await worker(own_store), await worker(own_store)
    await first.publish([sub("alice")])
    server.kill()
    server.start()
    await eventually(lambda: own_store.available)
    await first.publish([sub("bob")])
    await eventually(lambda: subjects(second) == {"alice", "bob"})


async def test_a_revocation_without_the_store_holds_here_and_is_written_later(server, own_store, worker):
    """The caller hears of the Fault; this worker refuses at once, the others once the store is back."""
    first, second = await worker(own_store), await worker(own_store)
    server.kill()
    with pytest.raises(Fault):
        await first.revoke(Revoke((sub("alice"),)))
    assert subjects(first) == {"alice"}
    assert first.stats()["unwritten"] == 1
    server.start()
    await eventually(lambda: subjects(second) == {"alice"})
    await eventually(lambda: first.stats()["unwritten"] == 0)


async def test_repeating_an_entry_changes_nothing_and_widening_does(worker, store):
    """The same entry again is no change; a later time or expiry is one, and the widest holds."""
    first, second = await worker(), await worker()
    entry = sub("alice")
    for _ in range(3):
        await first.publish([entry])
    assert first.stats()["seq"] == 1
    await first.publish([replace(entry, expires=entry.expires + 10)])
    await first.publish([replace(entry, before=entry.before + 10)])
    await first.publish([replace(entry, expires=entry.expires - 10)])
    assert first.stats()["seq"] == 3
    (held,) = second._denylist.entries(0)
    assert held == replace(entry, before=entry.before + 10, expires=entry.expires + 10)


async def test_the_store_forgets_what_has_expired_and_trims_its_log(worker, store):
    """Expired entries go by the store's clock and with a margin; the log keeps about as many as asked."""
    first = await worker(log_length=10)
    await first.revoke(Revoke((sub("old", lifetime=-400), sub("recent", lifetime=-200))))
    assert await _holds(store, 1)
    await first.revoke(Revoke(tuple(sub(f"user-{i}") for i in range(600))))
    assert await store.execute("XLEN", key(store, "log")) < 300


async def test_garbage_in_the_store_is_skipped_and_counted(worker, store):
    """Whatever somebody writes there: no crash, the good entries around it apply, and it is counted."""
    first = await worker()
    log, entries = key(store, "log"), key(store, "entries")
    await store.execute("ZADD", entries, 9e9, "no json", "inf", '["sub","i","v",1]', 9e9, b"\xff\x00")
    for fields in ((b"x", b"y"), (b"s", b"-1"), (b"s", b"9" * 99, b"e", b"["), (b"e", b"\xff" * 100)):
        await store.execute("XADD", log, "*", *fields)
    await first.publish([sub("alice")])
    await eventually(lambda: first.stats()["garbage"] >= 4)
    assert subjects(first) == {"alice"}
    second = await worker()
    assert subjects(second) == {"alice"}
    assert second.stats()["garbage"] == 3
    assert (await first.publish([sub("bob")])).missing == []


@pytest.mark.parametrize("name", ["seq", "epoch", "log", "entries"])
async def test_a_store_turned_upside_down_leaves_the_replica_stale_and_alive(
    worker, store, valkey_url, name: str
):
    """A key of another type, or no number: no crash, nothing forgotten; mended, it is fresh again."""
    first = await worker()
    await first.publish([sub("alice")])
    broken = key(store, name)
    client = Redis.from_url(valkey_url)
    kept = client.dump(broken)
    client.delete(broken)
    client.hset(broken, "a", "b") if name != "seq" else client.set(broken, "abc")
    await _publish(first, "bob")
    await eventually(lambda: first.stats()["failures"] or not store.available)
    at = first._good_at
    assert subjects(first) == {"alice", "bob"}
    client.restore(broken, 0, kept, replace=True)
    client.close()
    await eventually(lambda: first._good_at > at and not first.stats()["unwritten"], tries=800)
    assert subjects(await worker()) == {"alice", "bob"}


@pytest.mark.parametrize(
    "change",
    [
        {"value": ""},
        {"issuer": ""},
        {"value": "x" * 20_000},
        {"before": float("inf")},
        {"expires": float("nan")},
    ],
)
async def test_an_entry_of_the_wrong_shape_is_refused_by_its_writer(worker, store, change):
    """What no reader would take is not written, and does not hold here either."""
    first = await worker()
    with pytest.raises(ValueError, match=r"."):
        await first.publish([sub("good"), replace(sub("alice"), **change)])
    assert len(first._denylist) == 0
    assert await _holds(store, 0)


async def test_the_figures(worker):
    """Lag is measured on the store's own clock; expired entries leave the replica."""
    first, second = await worker(), await worker()
    await first.publish([sub("alice")])
    await eventually(lambda: second.stats()["entries"] == 1)
    figures = second.stats()
    assert set(figures) == {
        "entries", "seq", "lag_seconds", "staleness_seconds", "unwritten",
        "resyncs", "reconnects", "garbage", "failures",
    }  # fmt: skip
    assert all(isinstance(value, float) for value in figures.values())


async def test_closing_twice_and_without_a_store(server, own_store, worker):
    """Closing never fails, whatever has gone before."""
    first = await worker(own_store)
    server.kill()
    await first.close()
    await first.close()
