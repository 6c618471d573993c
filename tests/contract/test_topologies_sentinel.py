"""A real master with replicas and Sentinels: the master is found, and found again after a failover."""

import asyncio
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.cli.online.names import Names
from gateway.cli.online.running import answer
from gateway.cli.online.store import checks as store_checks
from gateway.config.settings.store import RedisSettings
from gateway.config.store_address import StoreAddress, address_of
from gateway.core.decision.needs import Revoke
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Stored, Success
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.store.clients import OneServer, Opener
from gateway.edge.store.sentinel import Sentinels, _read
from gateway.edge.store.store import Script, Store
from tests.support import pure
from tests.support.ports import free_port
from tests.support.redis import HOST, Replicated
from tests.support.store import ValkeyServer, eventually

PUT = Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")


@pytest.fixture(scope="module")
def replicated():
    """One master, one replica, three Sentinels."""
    with Replicated() as replicated:
        yield replicated


@pytest.fixture
async def store(replicated: Replicated):
    """A store behind them."""
    store = Store(address_of(RedisSettings.model_validate(replicated.settings)), "s:", 1.0, time.time)
    await store.start()
    yield store
    await store.close()


def entry(value: str) -> DenyEntry:
    return DenyEntry("sub", "https://issuer.example", value, time.time(), time.time() + 1000)


async def follower(store: Store, name: str) -> Revocations:
    revocations = Revocations(store, Denylist(), time.time, worker_id=name)
    await revocations.start()
    return revocations


def holds(revocations: Revocations, value: str) -> bool:
    return any(each.value == value for each in revocations._denylist.entries(0))


async def test_check_online_asks_sentinels(replicated: Replicated):
    """[12.cli]: each Sentinel that is named, and the master that they name; one that is gone is a no."""
    here = replicated.settings
    gone = f"{HOST}:{free_port()}"
    nodes = [*here["sentinel"]["nodes"], gone]
    told = {**here, "sentinel": {**here["sentinel"], "nodes": nodes}, "timeout": 5}
    found = await answer(store_checks(pure.settings({"path": "/"}, redis=told), Names(), 10.0), 20.0)
    reached = {each.question: each.answer for each in found if each.question.endswith(" reached")}
    assert reached.pop(f"is {gone} reached") == "no"
    assert set(reached.values()) == {"yes"}
    answers = {each.question: each.answer for each in found}
    assert answers["does it answer"] == "yes"
    assert answers["does it permit every command"] == "yes"


async def test_the_master_is_found(replicated: Replicated, store: Store):
    """Commands go to the master, and a replica confirms a write."""
    assert store.available
    role = await store.execute("ROLE")
    assert role[0] == b"master"
    assert await store.run_replicated(PUT, ["s:k"], ["v"]) == (b"v", True)


async def test_a_sentinel_that_hangs_or_is_gone(replicated: Replicated):
    """Another one is asked within the time limit, and first from then on."""
    address = address_of(RedisSettings.model_validate(replicated.settings))
    gone = (HOST, free_port())
    address = StoreAddress("sentinel", (address.nodes[0], gone, *address.nodes[1:]), service="main")
    replicated.sentinels[0].files.pause()
    store = Store(address, "s:", 1.0, time.time)
    try:
        assert await store.execute("PING")
        assert await store._servers._sentinels.master() == (HOST, replicated.master.port)
        assert store._servers._sentinels._clients[0].connection_pool.connection_kwargs["port"] == (
            replicated.sentinels[1].port
        )
    finally:
        replicated.sentinels[0].files.resume()
        await store.close()


async def test_a_service_that_nobody_knows(replicated: Replicated):
    """A Fault within the time limit; it names neither service nor address."""
    nodes = address_of(RedisSettings.model_validate(replicated.settings)).nodes
    store = Store(StoreAddress("sentinel", nodes, service="hunter2"), "s:", 1.0, time.time)
    with pytest.raises(Fault, match="cannot be reached") as caught:
        await store.execute("PING")
    assert "hunter2" not in str(caught.value)
    await store.close()


async def test_a_replica_is_not_taken_for_the_master():
    """Whoever the Sentinels name must say itself that it is the master."""
    master = ValkeyServer(port=free_port()).start()
    replica = ValkeyServer("--replicaof", f"{HOST} {master.port}", port=free_port()).start()
    where, refused = [(HOST, replica.port)], []

    async def find():
        return where[0]

    client = Opener(StoreAddress("sentinel", ((HOST, 1),), service="main"), 1.0).master(
        find, refused.append, 2
    )
    with pytest.raises(RedisConnectionError, match="not the master"):
        await client.execute_command("PING")
    assert set(refused) == {(HOST, replica.port)}
    where[0] = (HOST, master.port)
    assert await client.execute_command("PING")
    await client.aclose()
    replica.close()
    master.close()


async def test_a_failover(replicated: Replicated, store: Store):
    """R32, R44: the master is killed; reads, claims and revocations go on at the new one, by themselves.

    What a replica had confirmed is there: a result is not asked of the provider again.
    """
    first, second = await follower(store, "a"), await follower(store, "b")
    claims = Leases(store, time.time, grace=1.0, idle=60.0)
    calls = []

    async def call():
        calls.append(1)
        return Success(b"sealed")

    assert await claims.obtain("before", call) == Stored(b"sealed")
    listener = asyncio.create_task(claims.announcements._listen())
    await first.publish([entry("before")])
    replicated.master.kill()
    with pytest.raises(Fault):
        await first.revoke(Revoke((entry("meanwhile"),)))

    async def is_back() -> bool:
        try:
            return bool(await store.execute("PING"))
        except Fault:
            return False

    await eventually(is_back, tries=1500)
    # the Sentinels hear of it one after the other
    await eventually(lambda: replicated.told_master() == replicated.replicas[0].port)
    await eventually(lambda: holds(second, "meanwhile"), tries=600)
    told = await second.publish([entry("after")])
    assert not told.missing
    assert holds(first, "after")
    assert await claims.obtain("before", call) == Stored(b"sealed")
    assert len(calls) == 1
    # the old master comes back and takes itself for one; nobody follows it
    replicated.master.start()
    with replicated.master.client() as old:
        assert old.info("replication")["role"] == "master"
        await store._servers.doubt()
        assert await store.run(PUT, ["s:new"], ["v"]) == b"v"
        assert not old.exists("s:new")
    listener.cancel()
    for each in (first, second):
        await each.close()
    await claims.close()


async def test_a_master_that_is_demoted_while_connected():
    """READONLY at a connection that is still open leads to the new master without an error."""
    old = ValkeyServer(port=free_port()).start()
    new = ValkeyServer("--replicaof", f"{HOST} {old.port}", port=free_port()).start()
    where = [(HOST, old.port)]

    async def find():
        return where[0]

    opener = Opener(StoreAddress("sentinel", ((HOST, 1),), service="main"), 1.0)
    store = Store("unix:///nowhere", "s:", 2.0, time.time)
    store._servers = OneServer(lambda connections: opener.master(find, lambda _: None, connections))
    assert await store.run(PUT, ["s:k"], ["1"]) == b"1"
    with old.client() as here, new.client() as there:
        there.execute_command("REPLICAOF", "NO", "ONE")
        here.execute_command("REPLICAOF", HOST, new.port)
    where[0] = (HOST, new.port)
    assert await store.run(PUT, ["s:k"], ["2"]) == b"2"
    with new.client() as there:
        assert there.get("s:k") == b"2"
    await store.close()
    new.close()
    old.close()


async def test_sentinels_that_talk_nonsense():
    """A reply of another shape is no address."""
    for reply in (None, b"x", [], [b"h"], [b"h", b"x"], [b"", b"1"], [b"h", b"0"], [b"h", b"99999"], [1, 2]):
        assert _read(reply) is None
    assert _read([b"h", b"6379"]) == ("h", 6379)
    opener = Opener(StoreAddress("sentinel", ((HOST, free_port()),), service="main"), 0.5)
    sentinels = Sentinels(opener)
    with pytest.raises(RedisConnectionError, match="no Sentinel names a master"):
        await sentinels.master()
    await sentinels.close()
