"""One server behind TLS and an ACL user, as an operator would lock it up."""

import asyncio
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.config.settings.store import RedisSettings
from gateway.config.store_address import address_of
from gateway.core.decision.needs import (
    Confirm,
    KeyRecord,
    KeyUsed,
    KnownSid,
    SessionRecord,
    Touch,
    UseOnce,
)
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.core.sessions.seal import KeyRing
from gateway.core.tokens.api_key import ApiKey
from gateway.edge.api_keys.records import ApiKeys
from gateway.edge.limits.rate_limits import RateLimits
from gateway.edge.limits.strangers import Strangers
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Stored, Success
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.sessions.index import Filter
from gateway.edge.store import store as module
from gateway.edge.store.store import PATIENCE, Script, Store
from tests.contract.test_rate_limits import HOURLY
from tests.contract.test_sessions import Desk
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.redis import HOST, Sentinel, debian_redis, until
from tests.support.store import ValkeyServer, eventually

DOCS = (Path(__file__).parents[2] / "docs/store.md").read_text()
PUT = Script("redis.call('SET', KEYS[1], ARGV[1]) return 1")
needs_tls = pytest.mark.skipif(
    debian_redis() is None,
    reason="TLS to the store needs redis-server on PATH (apt-get install redis-server)",
)


def store_of(prefix: str = "t:", timeout: float = 1.0, **redis) -> Store:
    return Store(address_of(RedisSettings.model_validate(redis)), prefix, timeout, time.time)


async def use_all(store: Store) -> None:
    """Do once whatever the gateway does with a store."""
    assert await store.use_once(UseOnce("login", "x", time.time() + 60))
    claims = Leases(store, time.time, grace=1.0, idle=60.0)
    listening = asyncio.create_task(claims.announcements._listen())

    async def call():
        return Success(b"sealed")

    assert await claims.obtain("h", call) == Stored(b"sealed")
    await claims.confirm(Confirm(("h",), time.time() + 60))
    revocations = Revocations(store, Denylist(), time.time, worker_id="w")
    await revocations.start()
    entry = DenyEntry("sub", "https://issuer.example", "alice", time.time(), time.time() + 60)
    old = replace(entry, value="bob", expires=time.time() - 4000)
    assert not (await revocations.publish([entry, replace(entry, position=AS_WRITTEN), old])).missing
    again = Revocations(store, Denylist(), time.time, worker_id="w2")
    await again.start()
    await again.close()
    desk = Desk(store)
    need = await desk.begin()
    session = need.current.session
    assert (await desk.sessions.fetch(SessionRecord(need.record, session.session_id))).body
    await desk.sessions.touch(Touch(need.record, time.time(), session))
    await desk.sessions.retire([need.record])
    (listed,), _ = await desk.sessions.index.page(Filter(), 10)
    assert await desk.sessions.index.count() == 1
    assert await desk.sessions.knows_sid(KnownSid("corporate", session.sid))
    await desk.sessions.index.update(session, time.time(), 9.0, [need.record])
    await desk.sessions.index.remove(listed, is_told=False)
    assert (await desk.sessions.fetch(SessionRecord(need.record, session.session_id))).is_revoked
    await desk.sessions.index.remove(listed)
    ring = KeyRing((bytes(32),))
    keys = ApiKeys(
        store,
        lambda: SimpleNamespace(runtime=SimpleNamespace(ring=ring, api_keys={})),
        Strangers(),
        time.time,
    )
    key = ApiKey("a" * 16, bytes(32), "ci", (), time.time(), time.time() + 60)
    assert await keys.add(key)
    assert (await keys.fetch(KeyRecord(key.key_id))).sealed
    await keys.used(KeyUsed(key.key_id, key.expires))
    await keys.drain()
    await keys.revoked(key.key_id, key.expires)
    ring = KeyRing((bytes(31) + b"x", bytes(32)))
    keys.reseal()
    await keys.drain()
    ((found,), _) = await keys.page(0, 9)
    assert found.used_at
    assert found.revoked_at
    assert ring.is_newest((await keys._look_up(key.key_id)).sealed)
    limits = RateLimits(store)
    assert (await limits.check_shared(HOURLY, "k")).wait is None
    assert limits.unshared == 0
    assert store.trouble is None
    assert revocations.stats()["failures"] == revocations.stats()["reconnects"] == 0
    listening.cancel()
    await claims.close()
    await desk.sessions.close()
    await revocations.close()


def documented_commands() -> list[str]:
    """Return the commands that docs/store.md says an ACL user needs."""
    text = DOCS[DOCS.index("The commands needed are") :]
    text = text[: text.index("\n\n")]
    return [word for each in re.findall(r"`([A-Z |]+)`", text) for word in [each.replace(" ", "|").lower()]]


async def test_an_acl_user_with_what_the_documentation_says():
    """An ACL user limited to the prefix and to the documented commands can do all, and nothing beside."""
    commands = [f"+{each}" for each in documented_commands()]
    server = ValkeyServer(port=(port := free_port())).start()
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "gateway", "on", ">hunter2", "resetkeys", "~t:*", "resetchannels", "&t:*",
            "-@all", *commands,
        )  # fmt: skip
        client.execute_command("ACL", "SETUSER", "default", "off")
    store = store_of(url=f"redis://{HOST}:{port}", username="gateway", password="hunter2")
    await use_all(store)
    with pytest.raises(Fault, match="refused a command"):
        await store.run(PUT, ["other:k"], ["v"])
    await store.close()
    for wrong in ({"username": "gateway", "password": "no"}, {"password": "hunter2"}, {}):
        store = store_of(url=f"redis://{HOST}:{port}", **wrong)
        with pytest.raises(Fault, match="user name or password") as caught:
            await store.execute("PING")
        assert "hunter2" not in str(caught.value)
        await store.close()
    server.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with certificates for a server and for the gateway."""
    return Authority(tmp_path_factory.mktemp("ca"))


def tls_options(authority: Authority, port: int, *names: str, clients: str = "no") -> list[str]:
    pair = authority.issue(*names, file=f"server-{port}")
    return [
        "--tls-port", str(port), "--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key),
        "--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", clients,
    ]  # fmt: skip


@needs_tls
async def test_tls_is_verified(authority: Authority, tmp_path: Path):
    """The named authority counts, and it alone, and the name must be the server's, unless told otherwise."""
    port = free_port()
    server = ValkeyServer(*tls_options(authority, port, "localhost"), binary=debian_redis()).start()
    trusted = {"ca_file": str(authority.file)}
    other = {"ca_file": str(Authority(tmp_path, "other").file)}
    store = store_of(url=f"rediss://localhost:{port}", tls=trusted)
    await use_all(store)
    await store.close()
    for host, tls in (("localhost", other), ("localhost", {}), (HOST, trusted)):
        store = store_of(url=f"rediss://{host}:{port}", tls=tls)
        with pytest.raises(Fault, match="certificate cannot be trusted") as caught:
            await store.execute("PING")
        assert str(port) not in str(caught.value)
        await store.close()
    store = store_of(url=f"rediss://{HOST}:{port}", tls={"verify": False})
    assert await store.execute("PING")
    await store.close()
    store = store_of(url=f"redis://localhost:{port}")
    with pytest.raises(Fault):
        await store.execute("PING")
    await store.close()
    server.close()


@needs_tls
async def test_tls_with_our_own_certificate(authority: Authority):
    """A store that asks for a certificate gets the gateway's, and lets nobody in without."""
    port = free_port()
    server = ValkeyServer(
        *tls_options(authority, port, "localhost", clients="yes"), binary=debian_redis()
    ).start()
    own = authority.issue("gateway", client=True)
    trusted = {"ca_file": str(authority.file)}
    store = store_of(url=f"rediss://localhost:{port}", tls=trusted | own.written)
    assert await store.run(PUT, ["t:k"], ["v"])
    await store.close()
    store = store_of(url=f"rediss://localhost:{port}", tls=trusted)
    with pytest.raises(Fault):
        await store.execute("PING")
    await store.close()
    server.close()


@needs_tls
async def test_a_cluster_with_tls(authority: Authority):
    """All of a Cluster's servers speak TLS where ``redis.tls`` is there."""
    port = free_port()
    options = tls_options(authority, port, "localhost")
    server = ValkeyServer(
        *options,
        "--tls-cluster", "yes", "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
        "--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname",
        binary=debian_redis(),
    ).start()  # fmt: skip
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(
            lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER INFO")).replace("': '", ":"),
            "ok",
        )
    store = store_of(cluster=[f"localhost:{port}"], tls={"ca_file": str(authority.file)})
    await use_all(store)
    await store.close()
    server.close()


@needs_tls
async def test_sentinels_with_tls_and_passwords(authority: Authority):
    """Sentinels speak TLS like the server; each of them has a password of its own."""
    port = free_port()
    options = tls_options(authority, port, "localhost")
    server = ValkeyServer(*options, binary=debian_redis()).start()
    with server.client() as client:
        client.config_set("requirepass", "for-the-server")
    pair = authority.issue("localhost", file="sentinel")
    sentinel = Sentinel(
        port,
        1,
        (
            "tls-port PORT", f"tls-cert-file {pair.certificate}", f"tls-key-file {pair.key}",
            f"tls-ca-cert-file {authority.file}", "tls-auth-clients no", "tls-replication yes",
            "requirepass for-the-sentinel",
            "sentinel resolve-hostnames yes", "sentinel announce-hostnames yes",
        ),
        binary=debian_redis(), host="localhost",
    ).start()  # fmt: skip
    watch = {"service": "main", "nodes": [f"localhost:{sentinel.port}"], "password": "for-the-sentinel"}
    store = store_of(sentinel=watch, password="for-the-server", tls={"ca_file": str(authority.file)})

    async def answers() -> bool:
        try:
            return bool(await store.execute("PING"))
        except Fault:
            return False

    await eventually(answers, tries=1000)
    assert await store.run(PUT, ["t:k"], ["v"])
    wrong = store_of(
        sentinel=watch | {"password": "wrong"}, password="p", tls={"ca_file": str(authority.file)}
    )
    with pytest.raises(Fault) as caught:
        await wrong.execute("PING")
    assert "wrong" not in str(caught.value)
    await wrong.close()
    await store.close()
    sentinel.close()
    server.close()


async def test_a_short_outage_is_waited_out(server: ValkeyServer, own_store: Store):
    """Killed and started again while somebody waits: no error, and the same arguments were sent."""
    need = UseOnce("login", "x", time.time() + 60)
    server.kill()
    waiting = asyncio.create_task(own_store.use_once(need))
    await eventually(lambda: own_store._away_since is not None)
    server.start()
    assert await waiting
    assert not await own_store.use_once(need)


async def test_a_long_outage_is_not_waited_for_again(server: ValkeyServer, own_store: Store):
    """Once the patience is over, whoever asks is told after one attempt."""
    server.kill()
    with pytest.raises(Fault):
        await own_store.execute("PING")
    own_store._away_since -= PATIENCE
    attempts = []
    ask = own_store._servers.ask

    async def counted(*arguments):
        attempts.append(1)
        return await ask(*arguments)

    own_store._servers.ask = counted
    with pytest.raises(Fault):
        await own_store.use_once(UseOnce("login", "x", time.time() + 60))
    assert len(attempts) == 1


async def test_r32_a_claim_whose_answer_was_lost_is_ours(server: ValkeyServer, own_store: Store, monkeypatch):
    """R32: the store hung, and ran the claim when it went on: the next attempt is its owner, not kept out."""
    claims = Leases(own_store, time.time, grace=1.0, idle=60.0, lease=60.0)
    calls = []

    async def call():
        calls.append(1)
        return Success(b"sealed")

    # the script is known there, so that one command is all it takes
    assert await claims.obtain("earlier", call) == Stored(b"sealed")
    calls.clear()
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    server.pause()
    with pytest.raises(Fault, match="did not answer"):
        await claims.obtain("h", call)
    assert not calls
    server.resume()
    with server.client() as client:
        await eventually(lambda: client.exists(own_store.key("refresh", "{h}", "claim")))
    assert await claims.obtain("h", call) == Stored(b"sealed")
    assert len(calls) == 1
    await claims.close()
