"""The store's contract with a real server: repeating is safe, failing is a Fault, nothing secret is said."""

import asyncio
import time

import pytest
from redis.exceptions import ResponseError

from gateway.core.decision.needs import UseOnce
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.edge.store.store import Script, Store, explain
from tests.support.ports import free_port
from tests.support.store import ValkeyServer, eventually

pytestmark = pytest.mark.asyncio
ECHO = Script("return {KEYS[1], ARGV[1]}")


async def test_use_once_is_true_once(store: Store):
    """Of many at once exactly one is the first; another purpose or value is another thing (R4)."""
    need = UseOnce("login", "state", time.time() + 60)
    assert sorted(await asyncio.gather(*(store.use_once(need) for _ in range(50)))) == [False] * 49 + [True]
    assert await store.use_once(UseOnce("logout token", "state", time.time() + 60))
    assert await store.use_once(UseOnce("login", "other", time.time() + 60))


async def test_use_once_expires_and_never_counts_after(store: Store):
    """What has expired is not used for the first time; the mark is kept no longer than asked."""
    assert not await store.use_once(UseOnce("login", "old", time.time() - 1))
    assert await store.use_once(UseOnce("login", "new", time.time() + 100))
    (key,) = await store.execute("KEYS", store.key("once", "*"))
    assert 90_000 < await store.execute("PTTL", key) <= 100_000


async def test_a_script_that_the_store_forgot_is_sent_again(own_store: Store):
    """NOSCRIPT is answered by sending the script whole."""
    for _ in range(2):
        assert await own_store.run(ECHO, ["k"], ["a"]) == [b"k", b"a"]
        await own_store.execute("SCRIPT", "FLUSH")


async def test_a_store_that_is_away_is_a_fault_and_comes_back(server: ValkeyServer, own_store: Store):
    """Killed: a Fault with Retry-After, ``available`` says so; started again: it works, same data."""
    need = UseOnce("login", "x", time.time() + 60)
    assert await own_store.use_once(need)
    assert own_store.available
    server.kill()
    with pytest.raises(Fault) as caught:
        await own_store.use_once(need)
    assert (caught.value.source, caught.value.reason) == ("store", Reason.STORE_UNAVAILABLE)
    assert caught.value.retry_after
    assert not own_store.available
    server.start()
    assert await own_store.use_once(need) is False
    assert own_store.available


async def test_a_store_that_hangs_is_a_fault(server: ValkeyServer, own_store: Store):
    """A stopped server costs the time limit and no more; connections recover."""
    server.pause()
    with pytest.raises(Fault, match=r"within 0\.5 s"):
        await own_store.execute("PING")
    server.resume()
    assert await own_store.execute("PING")


async def test_starting_without_a_store_is_no_error(prefix):
    """A store that is away at the start may come later."""
    server = ValkeyServer()
    store = Store(server.url, prefix, 0.5, time.time)
    await store.start()
    assert not store.available
    assert store.trouble == "the store cannot be reached"
    server.start()
    assert await store.execute("PING")
    await store.close()
    server.close()


@pytest.mark.parametrize("url", ["", "http://x", "redis://:hunter2@h:notaport/0", "hunter2", "unix//x"])
async def test_a_bad_address_is_explained_without_it(url: str):
    """The error says which addresses are good, and quotes nothing of the bad one."""
    with pytest.raises(RuntimeError, match=r"redis\.url cannot be used: write redis://") as caught:
        Store(url, "p:", 1.0, time.time)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_r61_no_secret_in_a_fault(server: ValkeyServer, prefix):
    """R61: a wrong password is named as such; neither it nor the address is in the Fault."""
    with server.client() as client:
        client.config_set("requirepass", "right-password")
    store = Store(server.url + "&password=hunter2", prefix, 1.0, time.time)
    with pytest.raises(Fault, match="user name or password") as caught:
        await store.execute("PING")
    seen = str(caught.value) + repr(store) + str(store.trouble)
    assert "hunter2" not in seen
    assert str(server.socket) not in seen
    await store.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ResponseError("OOM command not allowed 'hunter2'"),
            "the store refused a command: OOM: it is full; raise its maxmemory",
        ),
        (
            ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
            "the store refused a command: MISCONF: it cannot write its files; is its disk full?",
        ),
        (
            ResponseError("READONLY You can't write"),
            "the store refused a command: READONLY: it is a replica; name the primary",
        ),
        (ResponseError("hunter2 in a message"), "the store refused a command: ResponseError"),
        (ValueError("hunter2"), "the store failed: ValueError"),
        (OSError("hunter2"), "the store cannot be reached"),
    ],
)
async def test_only_the_code_of_an_error_is_quoted(error: Exception, said: str):
    """R16: a server's message may hold arguments, so only its leading code is told."""
    assert explain(error, 1.0) == said


@pytest.mark.parametrize("option", ["protocol=3", "decode_responses=True", "ssl_cert_reqs=none", "hunter2"])
async def test_an_address_has_no_options_of_the_client(valkey_url, prefix, option: str):
    """An option can change neither the shape of replies nor how a certificate is verified: it is refused."""
    for url in (f"{valkey_url}&{option}", f"rediss://h?{option}"):
        with pytest.raises(RuntimeError, match="no option but db") as caught:
            Store(url, prefix, 1.0, time.time)
        assert "hunter2" not in str(caught.value)


async def test_a_write_is_confirmed_by_a_replica(server: ValkeyServer, own_store: Store):
    """Without replicas nothing is claimed; one confirms (WAIT); where it hangs, the caller is told."""
    assert await own_store.run_replicated(ECHO, ["k"], ["a"]) == ([b"k", b"a"], None)
    with server.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
        client.config_set("port", port := free_port())
    replica = ValkeyServer("--replicaof", f"127.0.0.1 {port}").start()
    with replica.client() as client:
        await eventually(lambda: client.info("replication")["master_link_status"] == "up")
    fresh = Store(server.url, "r:", 1.0, time.time)
    write = Script("redis.call('SET', KEYS[1], ARGV[1]) return 1")
    assert await fresh.run_replicated(write, ["r:k"], ["a"]) == (1, True)
    replica.pause()
    assert await fresh.run_replicated(write, ["r:k"], ["b"]) == (1, False)
    replica.close()
    await fresh.close()
