"""What the store needs of a client for Sentinels and for a Cluster: of ours, and of redis-py's own [10.2].

Each test runs with both. Where redis-py's fails, the test says with what; once it does not, the test fails
and ADR 12 is to be read again.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.connection import MaxConnectionsError
from redis.asyncio.sentinel import MasterNotFoundError
from redis.crc import key_slot
from redis.exceptions import ClusterError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.config.store_address import StoreAddress, StoreTls
from gateway.edge.store.clients import Servers, hang_up
from gateway.edge.store.store import open_servers
from tests.contract.test_topologies import documented_commands, needs_tls, tls_options
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.redis import HOST, REPLICATION, ClusterStore, Sentinel, debian_redis, until
from tests.support.redis_py import Nonsense, open_redis_py
from tests.support.store import ValkeyServer, eventually

ADR = Path(__file__).parents[2] / "docs/adr/0012-clients-of-our-own-for-sentinels-and-clusters.md"
TIMEOUT = 1.0
KINDS = {"ours": open_servers, "redis-py": open_redis_py}
AT_SENTINEL = ("+sentinel|get-master-addr-by-name", "+client|setinfo", "+client|setname")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Whose clients."""
    return request.param


@asynccontextmanager
async def opened(kind: str, address: StoreAddress) -> AsyncIterator[Servers]:
    servers = KINDS[kind](address, TIMEOUT)
    try:
        yield servers
    finally:
        await servers.close()
        await tidy(servers)


async def tidy(servers: Any) -> None:
    if hasattr(servers, "tidy"):
        await servers.tidy()


@contextmanager
def lacking(kind: str, *errors: type[Exception], match: str | None = None) -> Iterator[None]:
    """Let ours do what is inside, and see redis-py's fail with one of these."""
    if kind == "ours":
        yield
        return
    with pytest.raises(errors, match=match) as caught:
        yield
    # a subclass of ours is not what is meant where AssertionError stands for a wrong outcome
    assert type(caught.value) in errors


async def one(servers: Servers, *command: Any, key: str | None = None) -> Any:
    async with asyncio.timeout(5 * TIMEOUT):
        return (await servers.ask(key or str(command[1]), [command]))[0]


class Watched:
    """A master and two Sentinels that know of it."""

    def __init__(self) -> None:
        self.master = ValkeyServer(*REPLICATION, port=free_port())
        self.sentinels = [Sentinel(self.master.port, 2) for _ in range(2)]

    def address(self, *nodes: int, **more: Any) -> StoreAddress:
        """Return the address of these Sentinels, in this order; of both if none is named."""
        ports = nodes or [each.port for each in self.sentinels]
        return StoreAddress("sentinel", tuple((HOST, port) for port in ports), service="main", **more)

    def permit(self, number: int, *permissions: str) -> None:
        """Let a user do this at one of the Sentinels."""
        with self.sentinels[number].client() as client:
            client.execute_command("ACL", "SETUSER", "gateway", "on", ">p", "-@all", *permissions)


def await_sentinel(sentinel: Sentinel) -> None:
    with sentinel.client() as client:
        until(client.ping, "the Sentinel answers")


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """Sentinels and what they watch."""
    rig = Watched()
    rig.master.start()
    for each in rig.sentinels:
        await_sentinel(each.start())
    yield rig
    for each in (*rig.sentinels, rig.master):
        each.close()


@pytest.fixture(scope="module")
def singles() -> Iterator[list[ValkeyServer]]:
    """Two servers for Clusters, started first: for two seconds they serve nobody."""
    servers = [
        ValkeyServer(
            "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
            "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no", port=free_port(),
        ).start()
        for _ in range(2)
    ]  # fmt: skip
    yield servers
    for each in servers:
        each.close()


@pytest.fixture(scope="module")
def cluster(singles: list[ValkeyServer]) -> Iterator[ClusterStore]:
    """Three masters, and a replica of the first; what one does not serve does not stop the others."""
    with ClusterStore(key_in(0)) as rig:
        for each in rig.members:
            with each.client() as client:
                client.config_set("cluster-require-full-coverage", "no")
                # one that hangs for a moment is not replaced
                client.config_set("cluster-node-timeout", 15_000)
        yield rig


def key_in(part: int, number: int = 0) -> str:
    """Return a key, another one for each number, of this third of the slots."""
    found = (key for n in range(10_000) if key_slot((key := f"c:{n}").encode()) * 3 // 16384 == part)
    return next(key for n, key in enumerate(found) if n == number)


def address_of(cluster: ClusterStore, **more: Any) -> StoreAddress:
    return StoreAddress("cluster", tuple((HOST, each.port) for each in cluster.masters), **more)


@contextmanager
def moving(old: ValkeyServer, new: ValkeyServer, key: str, *, ends: bool = True) -> Iterator[None]:
    """Be in the midst of moving a key's slot, and have moved it afterwards unless that is given up."""
    slot = key_slot(key.encode())
    with old.client() as source, new.client() as target:
        names = [each.execute_command("CLUSTER", "MYID") for each in (source, target)]
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
        source.execute_command("MIGRATE", HOST, new.port, key, 0, 1000)
        try:
            yield
        finally:
            for each in (target, source):
                end = ("NODE", names[1]) if ends else ("STABLE",)
                each.execute_command("CLUSTER", "SETSLOT", slot, *end)


def connected(server: ValkeyServer | Sentinel) -> int:
    """Return how many connections a server has from clients of this file."""
    with server.client() as client:
        return sum(each["name"] == "token-gateway" for each in client.client_list())


def test_the_decision_names_each_test():
    """[10.2] ADR 12 names every test of both clients, and none that is not there."""
    named = set(re.findall(r"`(test_\w+)`", ADR.read_text(encoding="utf-8")))
    here = {
        name
        for name, each in globals().items()
        if name.startswith("test_") and "kind" in signature(each).parameters
    }
    assert named == here


# -- both topologies --------------------------------------------------------------------------------------


@pytest.fixture(params=["sentinel", "cluster"])
def address(request: pytest.FixtureRequest) -> StoreAddress:
    """Where the store is, of either topology."""
    if request.param == "sentinel":
        return request.getfixturevalue("watched").address()
    return address_of(request.getfixturevalue("cluster"))


async def test_more_callers_than_connections_wait(kind: str, address: StoreAddress):
    """A burst of callers waits for connections to come free; none of them is refused."""
    async with opened(kind, address) as servers:
        await one(servers, "SET", key_in(0), "v")
        with lacking(kind, MaxConnectionsError):
            got = await asyncio.gather(*(one(servers, "GET", key_in(0)) for _ in range(200)))
            assert got == [b"v"] * 200


async def test_who_gives_up_leaves_the_connection_in_step(kind: str, address: StoreAddress):
    """The late reply to a cancelled command is nobody else's."""
    async with opened(kind, address) as servers:
        await one(servers, "SET", key_in(0), "v")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await servers.ask(key_in(0), [("BLPOP", key_in(0, 1), 0.2)])
        got = await asyncio.gather(*(one(servers, "GET", key_in(0)) for _ in range(5)))
        assert got == [b"v"] * 5


async def test_a_blocking_read_outlasts_the_limit_of_others(kind: str, address: StoreAddress):
    """A blocking XREAD has its own connection, without the time limit of a command."""
    stream = key_in(0, 2 + list(KINDS).index(kind))
    async with opened(kind, address) as servers:
        client = await servers.open(stream)
        reading = asyncio.ensure_future(
            client.execute_command("XREAD", "BLOCK", 5000, "STREAMS", stream, "$")
        )
        await asyncio.sleep(0.75 * TIMEOUT)
        await one(servers, "XADD", stream, "*", "a", "1")
        async with asyncio.timeout(TIMEOUT):
            assert await reading
        await (client.aclose() if isinstance(client, RedisCluster) else hang_up(client))


async def test_a_paused_server_is_waited_for(
    kind: str, address: StoreAddress, request: pytest.FixtureRequest
):
    """CLIENT PAUSE, as in a planned failover: shorter than the time limit it is not noticed."""
    holder = request.getfixturevalue(address.kind.replace("sentinel", "watched"))
    holder = holder.holder if address.kind == "cluster" else holder.master
    async with opened(kind, address) as servers:
        await one(servers, "SET", key_in(0), "v")
        with holder.client() as client:
            client.execute_command("CLIENT", "PAUSE", 200, "ALL")
        assert await one(servers, "GET", key_in(0)) == b"v"


# -- Sentinels --------------------------------------------------------------------------------------------


async def test_no_sentinel_is_forgotten(kind: str, watched: Watched):
    """One hung while two connections were made at once; when the other one is gone, it is asked again."""
    first, second = watched.sentinels
    async with opened(kind, watched.address()) as servers:
        first.files.pause()
        try:
            await asyncio.gather(one(servers, "GET", "a"), one(servers, "GET", "b"))
        finally:
            first.files.resume()
        await_sentinel(first)
        second.files.kill()
        try:
            await servers.doubt()
            with lacking(kind, MasterNotFoundError):
                assert await one(servers, "SET", "a", "1")
        finally:
            await_sentinel(second.start())


async def test_a_permission_to_ask_for_the_master_suffices(kind: str, watched: Watched):
    """At a Sentinel the user of docs/store.md may ask where the master is, and nothing else."""
    for number in range(2):
        watched.permit(number, *AT_SENTINEL)
    user = {"sentinel_username": "gateway", "sentinel_password": "p"}
    async with opened(kind, watched.address(**user)) as servers:
        with lacking(kind, NoPermissionError):
            assert await one(servers, "SET", "a", "1")


async def test_a_sentinel_that_refuses_is_passed_over(kind: str, watched: Watched):
    """One Sentinel of two does not let us ask: the other one is asked."""
    watched.permit(0, "+client")
    watched.permit(1, "+@all")
    user = {"sentinel_username": "gateway", "sentinel_password": "p"}
    async with opened(kind, watched.address(**user)) as servers:
        with lacking(kind, NoPermissionError):
            assert await one(servers, "SET", "a", "1")


async def test_a_sentinel_that_talks_nonsense_is_passed_over(kind: str, watched: Watched):
    """Whatever a Sentinel says, the next one is asked, and no error but the store's gets out."""
    async with (
        Nonsense() as nonsense,
        opened(kind, watched.address(nonsense.port, watched.sentinels[0].port)) as servers,
    ):
        with lacking(kind, TypeError):
            assert await one(servers, "SET", "a", "1")


async def test_a_sentinel_that_lags_is_passed_over(kind: str, watched: Watched):
    """One names a server that is a replica by now and does not hear of it: another one is asked."""
    replica = ValkeyServer("--replicaof", f"{HOST} {watched.master.port}", port=free_port()).start()
    lagging = Sentinel(replica.port, 2).start()
    await_sentinel(lagging)
    try:
        async with opened(kind, watched.address(lagging.port, watched.sentinels[0].port)) as servers:
            with lacking(kind, RedisConnectionError, match="not the master"):
                assert await one(servers, "SET", "a", "1")
    finally:
        lagging.close()
        replica.close()


async def test_sentinels_are_asked_once_by_many(kind: str, watched: Watched):
    """Connections that are made at the same time ask the Sentinels together."""
    async with opened(kind, watched.address()) as servers:
        await asyncio.gather(*(one(servers, "GET", "a") for _ in range(30)))
        with lacking(kind, AssertionError):
            assert connected(watched.sentinels[0]) <= 2


async def test_a_sentinel_that_hangs_leaves_time_for_another(kind: str, watched: Watched):
    """Within the time limit of one command the next Sentinel is asked."""
    watched.sentinels[0].files.pause()
    try:
        async with opened(kind, watched.address()) as servers, asyncio.timeout(TIMEOUT):
            assert await servers.ask("a", [("SET", "a", "1")])
    finally:
        watched.sentinels[0].files.resume()


async def test_a_master_that_was_demoted_is_left(kind: str):
    """READONLY at an open connection: the Sentinels are asked again, and the new master has the write."""
    old = ValkeyServer(*REPLICATION, port=free_port()).start()
    new = ValkeyServer(*REPLICATION, port=free_port()).start()
    sentinel = Sentinel(old.port, 2).start()
    await_sentinel(sentinel)
    try:
        where = StoreAddress("sentinel", ((HOST, sentinel.port),), service="main")
        async with opened(kind, where) as servers:
            assert await one(servers, "SET", "a", "1")
            with sentinel.client() as told:
                told.execute_command("SENTINEL", "REMOVE", "main")
                told.execute_command("SENTINEL", "MONITOR", "main", HOST, new.port, 2)
            with old.client() as client:
                client.execute_command("REPLICAOF", HOST, new.port)
            with lacking(kind, RedisConnectionError, match="not the master"):
                assert await one(servers, "SET", "a", "2")
            assert await one(servers, "SET", "a", "3")
        with new.client() as client:
            assert client.get("a") == b"3"
    finally:
        for each in (sentinel, old, new):
            each.close()


# -- a Cluster --------------------------------------------------------------------------------------------


async def test_asking_and_its_command_share_a_connection(kind: str, cluster: ClusterStore):
    """A slot is moving, and there are two connections to where it goes: ASK is followed all the same."""
    old, new = cluster.masters[1:]
    key = key_in(1, 10 + list(KINDS).index(kind))
    async with opened(kind, address_of(cluster)) as servers:
        assert await one(servers, "SET", key, "v")
        await asyncio.gather(*(one(servers, "BLPOP", key_in(2, n), 0.05) for n in range(2)))
        with moving(old, new, key), lacking(kind, ClusterError, match="TTL exhausted"):
            assert await one(servers, "GET", key) == b"v"


async def test_a_slot_goes_to_a_new_member(kind: str, cluster: ClusterStore, newcomer: ValkeyServer):
    """ASK names a member without slots, which CLUSTER SLOTS does not list yet: it is followed."""
    key = key_in(1, 20 + list(KINDS).index(kind))
    async with opened(kind, address_of(cluster)) as servers:
        assert await one(servers, "SET", key, "v")
        with moving(cluster.masters[1], newcomer, key, ends=False), lacking(kind, AttributeError):
            assert await one(servers, "GET", key) == b"v"


@pytest.fixture(scope="module")
def newcomer(cluster: ClusterStore, singles: list[ValkeyServer]) -> ValkeyServer:
    """A member that no slot was given to."""
    member = singles[0]
    with member.client() as client, cluster.masters[1].client() as other:
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", 9)
        other.execute_command("CLUSTER", "MEET", HOST, member.port, cluster._bus(member))
        until(lambda: knows(client, 5) and knows(other, 5), "they know each other")
        until(lambda: client.cluster("INFO")["cluster_state"] == "ok", "ok")
    return member


def knows(client: Any, members: int) -> bool:
    return client.cluster("INFO")["cluster_known_nodes"] == str(members)


async def test_a_slot_that_nobody_holds_disturbs_nobody(kind: str, cluster: ClusterStore):
    """Whoever asks for a lost slot is told so; what others wait for on other servers goes on."""
    lost = key_in(1, 30)
    async with opened(kind, address_of(cluster)) as servers:
        await one(servers, "GET", lost)
        await one(servers, "GET", key_in(2))
        with cluster.masters[1].client() as client:
            client.execute_command("CLUSTER", "DELSLOTS", key_slot(lost.encode()))
            try:
                waiting = asyncio.ensure_future(one(servers, "BLPOP", key_in(2, 1), 2))
                await eventually(lambda: blocked(cluster.masters[2]))
                with pytest.raises(RedisError, match=r"not served|no server"):
                    await one(servers, "GET", lost)
                await one(servers, "GET", key_in(0))
                with cluster.masters[2].client() as other:
                    other.rpush(key_in(2, 1), "x")
                with lacking(kind, RedisConnectionError):
                    assert (await waiting)[1] == b"x"
            finally:
                client.execute_command("CLUSTER", "ADDSLOTS", key_slot(lost.encode()))


def blocked(server: ValkeyServer) -> int:
    with server.client() as client:
        return client.info("clients")["blocked_clients"]


async def test_the_documented_permissions_suffice(kind: str, cluster: ClusterStore):
    """What docs/store.md says that an ACL user needs lets a Cluster's client begin."""
    for each in cluster.members:
        with each.client() as client:
            client.execute_command(
                "ACL",
                "SETUSER",
                "gateway",
                "on",
                ">p",
                "~c:*",
                *(f"+{word}" for word in documented_commands()),
            )
    async with opened(kind, address_of(cluster, username="gateway", password="p")) as servers:
        with lacking(kind, NoPermissionError, match="'command'"):
            assert await one(servers, "SET", key_in(0), "v")


async def test_a_replica_confirms_the_write_that_was_made(kind: str, cluster: ClusterStore):
    """The slot has gone to a server without a replica: no replica of where it was confirms anything."""
    key = key_in(0, 40 + list(KINDS).index(kind))
    async with opened(kind, address_of(cluster)) as servers:
        assert await servers.ask(key, [("SET", key, "v"), ("WAIT", 1, 500)]) in ([b"OK", 1], [True, 1])
        with moving(cluster.holder, cluster.masters[2], key):
            pass
        _, confirmed = await servers.ask(key, [("SET", key, "w"), ("WAIT", 1, 50)])
        with lacking(kind, AssertionError):
            assert confirmed == 0


async def test_nothing_is_left_when_it_is_closed(kind: str, cluster: ClusterStore):
    """A server failed before: the connections to the others are closed all the same."""
    tasks = asyncio.all_tasks()
    servers = KINDS[kind](address_of(cluster), TIMEOUT / 4)
    for part in range(3):
        await one(servers, "GET", key_in(part))
    cluster.masters[1].pause()
    try:
        with pytest.raises((RedisError, OSError)):
            # redis-py's has its own limit; to cancel it in the midst would have another outcome each time
            async with asyncio.timeout(TIMEOUT / 4 if kind == "ours" else 5 * TIMEOUT):
                await servers.ask(key_in(1), [("GET", key_in(1))])
        await servers.close()
        await eventually(lambda: asyncio.all_tasks() <= tasks)
        with lacking(kind, AssertionError):
            await eventually(lambda: not connected(cluster.masters[0]), tries=50)
    finally:
        await tidy(servers)
        cluster.masters[1].resume()


async def test_an_answer_that_is_no_map_of_slots(kind: str):
    """A server that talks nonsense is an error of the store's, which a request survives."""
    async with (
        Nonsense() as nonsense,
        opened(kind, StoreAddress("cluster", ((HOST, nonsense.port),))) as servers,
    ):
        with pytest.raises(RedisConnectionError if kind == "ours" else TypeError):
            await one(servers, "GET", "a")


@needs_tls
async def test_the_named_authority_alone_is_trusted(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """``redis.tls.ca_file`` replaces the system's authorities."""
    ours, system = Authority(tmp_path), Authority(tmp_path, "system")
    port = free_port()
    server = ValkeyServer(
        *tls_options(system, port, "localhost", HOST), "--cluster-enabled", "yes",
        "--cluster-port", str(free_port()), binary=debian_redis(),
    ).start()  # fmt: skip
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    monkeypatch.setenv("SSL_CERT_FILE", str(system.file))
    where = StoreAddress("cluster", (("localhost", port),), tls=StoreTls(str(ours.file)))
    async with opened(kind, where) as servers:
        with pytest.raises((RedisError, OSError)):
            await one(servers, "GET", "a")
    with server.client() as client, lacking(kind, AssertionError):
        assert "cmdstat_cluster|slots" not in client.info("commandstats")
    server.close()


async def test_a_server_that_hangs_stops_no_other(kind: str, cluster: ClusterStore):
    """While some wait for a server that hangs, others are answered by the others in time."""
    async with opened(kind, address_of(cluster)) as servers:
        for part in range(3):
            await one(servers, "SET", key_in(part), "v")
        cluster.masters[1].pause()
        try:
            hanging = [asyncio.ensure_future(one(servers, "GET", key_in(1))) for _ in range(5)]
            for _ in range(20):
                async with asyncio.timeout(2 * TIMEOUT):
                    assert await servers.ask(key_in(2), [("GET", key_in(2))]) == [b"v"]
                await asyncio.sleep(0.05)
        finally:
            cluster.masters[1].resume()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert await one(servers, "GET", key_in(1)) == b"v"


@pytest.fixture(scope="module")
def alone(singles: list[ValkeyServer]) -> ValkeyServer:
    """A Cluster of one."""
    with singles[1].client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: client.cluster("INFO")["cluster_state"] == "ok", "ok")
    return singles[1]


async def test_a_cluster_whose_addresses_have_changed(kind: str, alone: ValkeyServer):
    """Every address that members had announced has gone: the configured one is asked again."""
    async with relay(alone) as port, opened(kind, StoreAddress("cluster", ((HOST, port),))) as servers:
        assert await one(servers, "SET", "a", "1")
        with alone.client() as client:
            client.config_set("port", free_port())
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        async def answers() -> bool:
            with suppress(RedisError, OSError):
                return await one(servers, "GET", "a") == b"1"
            return False

        await eventually(answers)


@asynccontextmanager
async def relay(server: ValkeyServer) -> AsyncIterator[int]:
    """Be the configured name: a port that leads to the server wherever that listens."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(str(server.socket))
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    listener = await asyncio.start_server(serve, HOST, 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
