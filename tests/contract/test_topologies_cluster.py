"""A real Cluster: each script stays within one slot, slots move, and a server dies; nobody has to help."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from redis.exceptions import MovedError, ResponseError

from gateway.cli.online.names import Names
from gateway.cli.online.running import answer
from gateway.cli.online.store import checks as store_checks
from gateway.config.settings.audit import KeepSettings
from gateway.config.settings.logs import LogSettings
from gateway.config.settings.store import RedisSettings
from gateway.config.store_address import StoreAddress, address_of
from gateway.core.decision.needs import Confirm, Revoke, SessionRecord, Touch, UseOnce
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions.seal import KeyRing
from gateway.edge.audit.anchoring import anchor
from gateway.edge.audit.reading import AuditTrail, Question
from gateway.edge.audit.writing import AuditWriter
from gateway.edge.limits.rate_limits import RateLimits
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Stored, Success
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.sessions.index import Filter
from gateway.edge.store.clients import Opener
from gateway.edge.store.cluster import Cluster, _redirection, read_slots
from gateway.edge.store.store import Script, Store
from gateway.edge.telemetry.logs import Logs
from tests.contract.test_rate_limits import HOURLY
from tests.contract.test_sessions import Desk
from tests.support import pure
from tests.support.ports import free_port
from tests.support.redis import HOST, ClusterStore
from tests.support.store import ValkeyServer, eventually

PREFIX = "c:"
LOG = f"{PREFIX}{{denylist}}:log"
PUT = Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")
READ = Script("return redis.call('GET', KEYS[1]) or ''")


@pytest.fixture(scope="module")
def cluster():
    """Three masters, and a replica of the one that holds the denylist."""
    with ClusterStore(LOG) as cluster:
        yield cluster


@pytest.fixture
async def store(cluster: ClusterStore):
    """A store on it."""
    store = await open_store(cluster)
    yield store
    await store.close()


async def open_store(cluster: ClusterStore) -> Store:
    store = Store(address_of(RedisSettings.model_validate(cluster.settings)), PREFIX, 1.0, time.time)
    await store.start()
    assert store.available, store.trouble
    return store


def entry(value: str) -> DenyEntry:
    return DenyEntry("sub", "https://issuer.example", value, time.time(), time.time() + 1000)


async def follower(store: Store, name: str) -> Revocations:
    revocations = Revocations(store, Denylist(), time.time, worker_id=name)
    await revocations.start()
    return revocations


async def test_check_online_asks_a_cluster(cluster: ClusterStore):
    """[12.cli]: each server that is named, and what any of them says of itself."""
    asked = pure.settings({"path": "/"}, redis={**cluster.settings, "timeout": 5})
    found = await answer(store_checks(asked, Names(), 10.0), 20.0)
    assert len([each for each in found if each.question.endswith(" reached")]) == len(asked.redis.cluster)
    answers = {each.question: each.answer for each in found}
    assert answers["does it answer"] == "yes"
    assert answers["does it permit every command"] == "yes"
    assert {each.answer for each in found if "reached" in each.question} == {"yes"}


async def test_values_are_used_once_on_every_server(cluster: ClusterStore, store: Store):
    """Keys spread over all slots; each is the first of its kind once, at whichever server."""
    needs = [UseOnce("login", f"s{n}", time.time() + 60) for n in range(40)]
    first = await asyncio.gather(*(store.use_once(need) for need in needs))
    again = await asyncio.gather(*(store.use_once(need) for need in needs))
    assert (first, again) == ([True] * 40, [False] * 40)
    held = []
    for each in cluster.masters:
        with each.client() as client:
            held.append(client.dbsize())
    assert all(held)


async def test_every_script_touches_one_slot(store: Store):
    """Leases, the denylist, sessions with their list and limits work as they are: no CROSSSLOT."""
    claims = Leases(store, time.time, grace=1.0, idle=60.0)

    async def call():
        return Success(b"sealed")

    for number in range(8):
        name = f"claim-{number}"
        assert await claims.obtain(name, call) == Stored(b"sealed")
        await claims.confirm(Confirm((name,), time.time() + 60))
    await claims.close()
    desk = Desk(store)
    for number in range(1, 6):
        need = await desk.begin(number)
        found = await desk.sessions.fetch(SessionRecord(need.record, need.current.session.session_id))
        assert found.body
        await desk.sessions.touch(Touch(need.record, time.time(), need.current.session))
        await desk.sessions.retire([need.record])
    listed, _ = await desk.sessions.index.page(Filter(), 100)
    assert len(listed) == 5
    await desk.sessions.ended([DenyEntry("session", "", listed[0].about.session_id, 0.0, time.time() + 60)])
    await desk.sessions.close()
    limits = RateLimits(store)
    for caller in range(8):
        assert (await limits.check_shared(HOURLY, f"k{caller}")).wait is None
    assert not limits.unshared


async def test_a_revocation_is_pushed_and_a_replica_confirms(cluster: ClusterStore):
    """The blocking read is at the server of the denylist's slot, and so is WAIT."""
    here, there = await open_store(cluster), await open_store(cluster)
    first, second = await follower(here, "a"), await follower(there, "b")
    told = await first.publish([entry("pushed")])
    assert not told.missing
    assert told.replicated is True
    assert any(each.value == "pushed" for each in second._denylist.entries(0))
    for each in (first, second):
        await each.close()
    await here.close()
    await there.close()


async def test_a_claim_is_awaited_across_workers(cluster: ClusterStore):
    """What one server publishes is heard at any other: a second worker waits for the first one's result."""
    here, there = await open_store(cluster), await open_store(cluster)
    first = Leases(here, time.time, grace=1.0, idle=60.0)
    second = Leases(there, time.time, grace=1.0, idle=60.0)
    gate, calls = asyncio.Event(), []

    async def call():
        calls.append(1)
        await gate.wait()
        return Success(b"once")

    waiting = [asyncio.create_task(each.obtain("shared", call)) for each in (first, second)]
    await eventually(lambda: calls and (first.announcements._listener or second.announcements._listener))
    gate.set()
    assert await asyncio.gather(*waiting) == [Stored(b"once")] * 2
    assert len(calls) == 1
    for each in (first, second):
        await each.close()
    await here.close()
    await there.close()


def key_at(member: int) -> str:
    """Return a key that this master holds at first."""
    return next(
        key
        for n in range(1000)
        if key_slot((key := f"{PREFIX}k{member}-{n}").encode()) * 3 // 16384 == member
    )


async def test_a_slot_that_moves(cluster: ClusterStore, store: Store):
    """While a key's slot moves ASK is followed, afterwards MOVED is, and neither is noticed."""
    # neither has a replica
    old, new = [each for each in cluster.masters if each is not cluster.holder]
    key = key_at(cluster.masters.index(old))
    slot = key_slot(key.encode())
    assert await store.run(PUT, [key], ["before"]) == b"before"
    with old.client() as source, new.client() as target:
        names = [each.execute_command("CLUSTER", "MYID") for each in (source, target)]
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
        assert await store.run(READ, [key], []) == b"before"
        source.execute_command("MIGRATE", HOST, new.port, key, 0, 1000)
        # gone here, and not served there without ASKING
        assert await store.run(READ, [key], []) == b"before"
        assert await store.run_replicated(PUT, [key], ["during"]) == (b"during", None)
        for each in (target, source):
            each.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[1])
        with pytest.raises(MovedError):
            source.get(key)
    assert await asyncio.gather(*(store.run(READ, [key], []) for _ in range(20))) == [b"during"] * 20
    assert store.available


async def test_the_line_follows_its_slot(cluster: ClusterStore, store: Store):
    """A blocking read that is sent to a server that lost the slot is a Fault; the next one finds the key."""
    held, elsewhere = cluster.masters.index(cluster.holder), cluster.holder is cluster.masters[0]
    key = key_at(held)
    line = store.line(key)
    await line.execute("XADD", key, "*", "a", "1", patience=1)
    assert await line.execute("XREAD", "BLOCK", 10, "STREAMS", key, "0", patience=1)
    other = store._servers._opener.server((HOST, cluster.masters[1 if elsewhere else 0].port), 1)
    await line.close()
    line._client = other
    with pytest.raises(Fault):
        await line.execute("XREAD", "BLOCK", 10, "STREAMS", key, "0", patience=1)
    assert await line.execute("XREAD", "BLOCK", 10, "STREAMS", key, "0", patience=1)
    await line.close()


async def test_a_server_that_dies(cluster: ClusterStore):
    """R44: the denylist's server is killed; its replica takes over, and every revocation arrives.

    Slots of the other servers answer again as soon as the Cluster does.
    """
    here, there = await open_store(cluster), await open_store(cluster)
    first, second = await follower(here, "a"), await follower(there, "b")
    await first.publish([entry("before")])
    cluster.holder.kill()
    lost = entry("meanwhile")
    with pytest.raises(Fault) as caught:
        await first.revoke(Revoke((lost,)))
    assert str(HOST) not in str(caught.value)
    assert first._denylist.entries(0)
    # its replica is elected; what was refused is written late, and pushed
    await eventually(
        lambda: any(each.value == "meanwhile" for each in second._denylist.entries(0)), tries=1500
    )
    told = await first.publish([entry("after")])
    assert not told.missing
    assert await here.use_once(UseOnce("login", "after", time.time() + 60))
    for each in (first, second):
        assert {x.value for x in each._denylist.entries(0)} >= {"before", "meanwhile", "after"}
        await each.close()
    await here.close()
    await there.close()


async def test_a_server_that_is_no_cluster():
    """An ordinary server at the address of a Cluster is a Fault that says so, not a hang."""
    server = ValkeyServer(port=(port := free_port())).start()
    store = Store(StoreAddress("cluster", ((HOST, port),)), PREFIX, 0.5, time.time)
    with pytest.raises(Fault, match="cannot be reached"):
        await store.execute("PING")
    await store.close()
    server.close()


async def test_nobody_is_there():
    """No server of the Cluster answers: a Fault within the time limit, without an address."""
    store = Store(StoreAddress("cluster", (("127.0.0.1", free_port()),)), PREFIX, 0.3, time.time)
    with pytest.raises(Fault, match="cannot be reached"):
        await store.execute("PING")
    await store.close()


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ResponseError("MOVED 1 a:7"), ("MOVED", ("a", 7))),
        (MovedError("1 a:7"), ("MOVED", ("a", 7))),
        (MovedError("1 :7"), ("MOVED", ("asked", 7))),
        (ResponseError("ASK 1 ::1:7"), ("ASK", ("::1", 7))),
        (ResponseError("MOVED 1 a:0"), ("MOVED", None)),
        (ResponseError("MOVED 1 a:99999999999"), ("MOVED", None)),
        (ResponseError("MOVED"), ("MOVED", None)),
        (ResponseError("ERR no"), ("ERR", None)),
    ],
)
async def test_redirections(error: ResponseError, found: tuple):
    """MOVED and ASK name a server; without a host it is the one that was asked."""
    assert _redirection(error, ("asked", 1)) == found


async def test_maps_of_slots():
    """The reply to CLUSTER SLOTS, as servers of several versions give it; nothing else is one."""
    reply = [[0, 9, [b"a", 1, b"id", []], [b"r", 2, b"id"]], [10, 16383, [b"", 3, b"id"]]]
    slots = read_slots(reply, ("asked", 9))
    assert (slots[0], slots[9], slots[10], slots[16383]) == (("a", 1), ("a", 1), ("asked", 3), ("asked", 3))
    assert read_slots([[5, 5, [None, 3, b"id"]]], ("asked", 9))[5] == ("asked", 3)
    for garbage in (None, [], b"OK", [[0]], [[0, 99999, [b"a", 1]]], [[0, 1, [b"a", 0]]], [[0, 1, b"a"]]):
        assert read_slots(garbage, ("asked", 9)) is None


json_like = st.recursive(
    st.one_of(st.none(), st.integers(), st.binary(max_size=5)), lambda inner: st.lists(inner, max_size=4)
)


@given(json_like)
def test_any_reply_is_a_map_or_none(reply):
    """A server that answers nonsense breaks nothing."""
    slots = read_slots(reply, ("asked", 9))
    assert slots is None or len(slots) == 16384


async def test_a_cluster_keeps_clients_of_its_members_alone(cluster: ClusterStore):
    """Addresses that members had once are forgotten with their connections."""
    address = address_of(RedisSettings.model_validate(cluster.settings))
    servers = Cluster(Opener(address, 1.0))
    servers._client(("192.0.2.1", 1))
    await servers.ask(None, [("PING",)])
    assert ("192.0.2.1", 1) not in servers._clients
    await servers.close()


async def test_the_audit_trail(store: Store):
    """[12.logs] Each script of it stays within one slot, and what is asked of it is answered."""
    ring = KeyRing((bytes(range(32)),))
    writer = AuditWriter(store, lambda: ring, time.time, Logs(LogSettings(), write=lambda _: None))
    writer.configure(KeepSettings.model_validate({"most": 100}))
    trail = AuditTrail(store, lambda: ring)
    for number in range(150):
        writer.take(f'{{"event":"login","subject":"s{number % 3}"}}', is_strangers=False)
    await writer.flush()
    await writer.trim()
    assert len((await trail.read(Question(limit=1000))).entries) == 100
    assert len((await trail.read(Question(subject="s1", limit=1000))).entries) == 33
    assert await trail.forget("s1") == 33
    entries, after = await trail.walk("", 1000)
    assert (len(entries), after) == (100, None)
    await anchor(store, "chain", "7 k m s")
    assert (await trail.anchors())["files"] == {"chain": "7 k m s"}
