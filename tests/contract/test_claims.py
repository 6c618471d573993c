"""The refresh claim against a real store: every step of it, and every place where a worker may die."""

import asyncio
import time
from typing import Any

import pytest
from redis import Redis

from gateway.core.decision.needs import Confirm
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.core.reasons import Reason
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Ended, Lost, Refusal, Spent, Stored, Success
from gateway.edge.store.store import Store
from tests.support.store import ValkeyServer, eventually

pytestmark = pytest.mark.asyncio
LEASE = 0.3
LONGEST = 1.0


class Provider:
    """A token endpoint that answers as told and may be held; counts its calls."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.called = asyncio.Event()
        self.gate: asyncio.Event | None = None

    def held(self) -> "Provider":
        """Answer only once ``gate`` is set."""
        self.gate = asyncio.Event()
        return self

    async def __call__(self):
        """Answer one call."""
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.called.set()
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def fault(kind=Fault):
    return kind("issuer", Reason.ISSUER_UNAVAILABLE, "detail", 5)


class WithSession(Leases):
    """Leases whose names tell a session, and so have keys under their former names as well."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        keys = self._steps.keys
        self._steps.keys = lambda rotation_id: keys(f"{rotation_id}.session")


@pytest.fixture(params=[Leases, WithSession])
async def table(request, store):
    """A maker of lease tables on one store: each stands for a worker."""
    made = []

    def make(on: Store = store, **options) -> Leases:
        options = {"grace": 0.3, "idle": 60.0, "lease": LEASE, "longest_call": LONGEST} | options
        made.append(request.param(on, time.time, **options))
        return made[-1]

    yield make
    for claims in made:
        await claims.close()


def spent_until(seconds: float = 60.0, *claims: str) -> Confirm:
    return Confirm(claims or ("h",), time.time() + seconds)


async def pttl(store: Store, part: str, claim: str = "h") -> int:
    own = await store.execute("PTTL", store.key("refresh", f"{{{claim}}}", "session", part))
    return own if own != -2 else await store.execute("PTTL", store.key("refresh", f"{{{claim}}}", part))


def freeze(claims: Leases, monkeypatch) -> None:
    """Let a worker's lease lapse while its call is out, as if the process were stopped."""

    async def asleep(held, bound):
        await asyncio.sleep(3600)

    monkeypatch.setattr(claims, "_renew", asleep)


async def test_r32_a_thousand_callers_make_one_call_and_one_conversation(store, table):
    """R32: 1,000 callers in one process: one token call, and a handful of commands, not thousands."""
    claims, provider = table(), Provider(Success(b"new"))
    before = (await store.execute("INFO", "stats"))["total_commands_processed"]
    found = await asyncio.gather(*(claims.obtain("h", provider) for _ in range(1000)))
    after = (await store.execute("INFO", "stats"))["total_commands_processed"]
    assert found == [Stored(b"new")] * 1000
    assert provider.calls == 1
    assert after - before <= 60


async def test_r32_workers_share_one_call(table):
    """R32: many workers at once: one call; whoever waits is woken with the winner's result."""
    workers, provider = [table() for _ in range(8)], Provider(Success(b"new")).held()
    tasks = [asyncio.ensure_future(worker.obtain("h", provider)) for worker in workers for _ in range(5)]
    await provider.called.wait()
    await asyncio.sleep(0.05)
    provider.gate.set()
    assert await asyncio.gather(*tasks) == [Stored(b"new")] * 40
    assert provider.calls == 1


async def test_waiters_are_woken_without_the_publication(table, monkeypatch):
    """The slow poll is the net: with nobody listening to the channel a waiter still gets the result."""
    first, second, provider = table(), table(), Provider(Success(b"new")).held()

    async def deaf():
        await asyncio.sleep(3600)

    monkeypatch.setattr(second.announcements, "_listen", deaf)
    holder = asyncio.ensure_future(first.obtain("h", provider))
    await provider.called.wait()
    waiter = asyncio.ensure_future(second.obtain("h", provider))
    await asyncio.sleep(0.05)
    provider.gate.set()
    assert await holder == await waiter == Stored(b"new")
    assert provider.calls == 1


async def test_step_1_a_result_is_used_by_everybody_later(table):
    """Step 1: a result is there: no call, in this process or another, and again, until it is confirmed."""
    provider = Provider(Success(b"new"))
    await table().obtain("h", provider)
    for _ in range(3):
        assert await table().obtain("h", Provider(Success(b"other"))) == Stored(b"new")
    assert await table().obtain("h2", Provider(Success(b"other"))) == Stored(b"other")


async def test_step_2_a_caller_that_leaves_cancels_nothing(table):
    """Step 2: the call belongs to the worker; drain waits for it, and its result is stored."""
    claims, provider = table(), Provider(Success(b"new")).held()
    caller = asyncio.ensure_future(claims.obtain("h", provider))
    await provider.called.wait()
    caller.cancel()
    drained = asyncio.ensure_future(claims.drain())
    await asyncio.sleep(0.02)
    assert not drained.done()
    provider.gate.set()
    await drained
    assert await table().obtain("h", Provider(fault())) == Stored(b"new")


async def test_step_2_the_lease_is_renewed_while_the_call_runs(table):
    """Step 2: a call far longer than the lease keeps its claim."""
    holder, provider = table(), Provider(Success(b"new")).held()
    other, untouched = table(), Provider(Success(b"second"))
    first = asyncio.ensure_future(holder.obtain("h", provider))
    await provider.called.wait()
    second = asyncio.ensure_future(other.obtain("h", untouched))
    await asyncio.sleep(2.5 * LEASE)
    provider.gate.set()
    assert await first == await second == Stored(b"new")
    assert untouched.calls == 0


async def test_step_2_only_the_holder_renews(store, table, monkeypatch):
    """Step 2: a holder whose claim was taken over neither renews nor removes the new one."""
    stalled, slow = table(), Provider(fault()).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    holder, provider = table(), Provider(Success(b"new")).held()
    second = asyncio.ensure_future(holder.obtain("h", provider))
    await provider.called.wait()
    monkeypatch.undo()
    slow.gate.set()
    with pytest.raises(Fault):
        await first
    assert await pttl(store, "claim") > 0
    provider.gate.set()
    assert await second == Stored(b"new")


async def test_crash_before_sending_loses_nothing(table, monkeypatch):
    """A holder that dies before it sent anything: after its lease another makes the call."""
    dying, stuck = table(), Provider(Success(b"never")).held()
    first = asyncio.ensure_future(dying.obtain("h", stuck))
    await stuck.called.wait()
    await dying.close()
    provider = Provider(Success(b"new"))
    assert await table().obtain("h", provider) == Stored(b"new")
    assert provider.calls == 1
    await asyncio.gather(first, return_exceptions=True)


async def test_crash_after_the_provider_committed_is_lost_and_not_reuse(table):
    """A holder that dies with the answer in its hands: the next call's refusal is waited out, then Lost."""
    dying, stuck = table(), Provider(Success(b"never")).held()
    first = asyncio.ensure_future(dying.obtain("h", stuck))
    await stuck.called.wait()
    await dying.close()
    provider = Provider(Refusal("invalid_grant"))
    second = asyncio.ensure_future(table().obtain("h", provider))
    await provider.called.wait()
    await asyncio.sleep(0.05)
    assert not second.done()
    assert await second == Lost()
    assert await table().obtain("h", provider) == Lost()
    assert provider.calls == 1
    await asyncio.gather(first, return_exceptions=True)


async def test_step_3_a_late_success_is_stored_whatever_the_fence(table, monkeypatch):
    """Step 3: stopped beyond its lease, then a success: whoever was refused meanwhile gets it."""
    stalled, slow = table(), Provider(Success(b"late")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    refused = Provider(Refusal("invalid_grant"))
    second = asyncio.ensure_future(table().obtain("h", refused))
    await refused.called.wait()
    await asyncio.sleep(0.05)
    assert not second.done()
    slow.gate.set()
    assert await first == await second == Stored(b"late")


async def test_step_3_the_first_success_counts(table, monkeypatch):
    """Step 3: two successes of one rotation: everybody gets the one that was stored first."""
    stalled, slow = table(), Provider(Success(b"late")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    assert await table().obtain("h", Provider(Success(b"early"))) == Stored(b"early")
    slow.gate.set()
    assert await first == Stored(b"early")


async def test_step_3_a_success_after_lost_is_found(table, monkeypatch):
    """Step 3: even after the session was called lost, a success that comes at last is what counts."""
    stalled, slow = table(), Provider(Success(b"late")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    assert await table().obtain("h", Provider(Refusal("invalid_grant"))) == Lost()
    slow.gate.set()
    assert await first == Stored(b"late")
    assert await table().obtain("h", Provider(fault())) == Stored(b"late")


async def test_step_4_a_refusal_ends_the_session_for_all(table):
    """Step 4: refused by the only call: ended, for every waiter and every later one."""
    provider, other = Provider(Refusal("invalid_grant")).held(), table()
    first = asyncio.ensure_future(table().obtain("h", provider))
    await provider.called.wait()
    second = asyncio.ensure_future(other.obtain("h", provider))
    await asyncio.sleep(0.02)
    provider.gate.set()
    assert await first == await second == Ended("invalid_grant")
    assert await other.obtain("h", provider) == Ended("invalid_grant")
    assert provider.calls == 1


async def test_step_4_a_late_refusal_does_not_count_and_clears_the_doubt(table, monkeypatch):
    """Step 4: a stalled holder's refusal is not the current fence's; it does end the newer one's doubt."""
    stalled, slow = table(longest_call=30.0), Provider(Refusal("stale")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    refused = Provider(Refusal("invalid_grant"))
    second = asyncio.ensure_future(table(longest_call=30.0).obtain("h", refused))
    await refused.called.wait()
    await asyncio.sleep(0.05)
    assert not second.done()
    slow.gate.set()
    assert await second == Ended("invalid_grant")
    assert await first == Ended("invalid_grant")


async def test_step_4_a_late_refusal_cannot_end_what_another_renews(table, monkeypatch):
    """Step 4: while a newer claim's call is out, the older one's refusal decides nothing."""
    stalled, slow = table(), Provider(Refusal("stale")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    provider = Provider(Success(b"new")).held()
    second = asyncio.ensure_future(table().obtain("h", provider))
    await provider.called.wait()
    slow.gate.set()
    await asyncio.sleep(0.05)
    assert not first.done()
    provider.gate.set()
    assert await first == await second == Stored(b"new")


async def test_step_4_a_stall_that_nobody_noticed(table, monkeypatch):
    """Step 4: stopped beyond the lease with nobody else about: its fence is still the current one."""
    stalled, slow = table(), Provider(Refusal("invalid_grant")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    await asyncio.sleep(1.5 * LEASE)
    slow.gate.set()
    assert await first == Ended("invalid_grant")
    assert slow.calls == 1


async def test_step_5_never_sent_is_tried_again_once(table):
    """Step 5: nothing was sent: released at once, tried again, and a refusal then counts in full."""
    provider = Provider(fault(NeverSent), Refusal("invalid_grant"))
    assert await table(lease=30.0).obtain("h", provider) == Ended("invalid_grant")
    provider = Provider(fault(NeverSent))
    with pytest.raises(NeverSent):
        await table(lease=30.0).obtain("h2", provider)
    assert provider.calls == 2
    assert await table(lease=30.0).obtain("h2", Provider(Success(b"new"))) == Stored(b"new")


async def test_step_5_unanswered_is_tried_again_after_the_lease(store, table):
    """Step 5: sent and unanswered: one retry, not before the claim has lapsed; a success is a success."""
    provider = Provider(fault(Ambiguous), Success(b"new"))
    found = asyncio.ensure_future(table().obtain("h", provider))
    await provider.called.wait()
    await asyncio.sleep(LEASE / 2)
    assert provider.calls == 1
    assert await pttl(store, "claim") > 0
    assert await found == Stored(b"new")
    assert provider.calls == 2


async def test_step_5_refused_after_unanswered_is_lost_at_once(table):
    """Steps 4 and 5: our own unanswered call can bring no late success: nothing is waited out; it is Lost."""
    provider = Provider(fault(Ambiguous), Refusal("invalid_grant"))
    assert await table(longest_call=300.0).obtain("h", provider) == Lost()


async def test_step_5_unanswered_twice_is_the_callers_to_know(table):
    """Step 5: after the one retry the fault goes to the caller; the session is kept for a later call."""
    provider = Provider(fault(Ambiguous))
    with pytest.raises(Ambiguous):
        await table().obtain("h", provider)
    assert provider.calls == 2
    assert await table().obtain("h", Provider(Success(b"new"))) == Stored(b"new")


async def test_r34_another_fault_decides_nothing(table):
    """R34: a 5xx releases the claim at once, and every waiter gets a Fault of its own."""
    claims, provider = table(lease=30.0), Provider(fault())
    found = await asyncio.gather(*(claims.obtain("h", provider) for _ in range(5)), return_exceptions=True)
    assert provider.calls == 1
    assert {type(each) for each in found} == {Fault}
    assert len({id(each) for each in found}) == 5
    assert [(each.source, each.detail, each.retry_after) for each in found] == [("issuer", "detail", 5)] * 5
    assert await table().obtain("h", Provider(Refusal("invalid_grant"))) == Ended("invalid_grant")


async def test_an_error_of_ours_reaches_every_waiter(table):
    """A call that breaks is an internal fault without the error's text, and leaves doubt behind."""
    claims, provider = table(), Provider(ValueError("secret"))
    for found in await asyncio.gather(
        *(claims.obtain("h", provider) for _ in range(3)), return_exceptions=True
    ):
        assert isinstance(found, Fault)
        assert found.reason is Reason.INTERNAL_ERROR
        assert "secret" not in str(found)
    assert await claims.obtain("h", Provider(Refusal("invalid_grant"))) == Lost()


async def test_step_6_confirmed_and_past_the_grace_is_spent(store, table):
    """Step 6, R37: within the grace the result serves the other tabs; after it, the old token is reuse."""
    claims = table()
    await claims.obtain("h", Provider(Success(b"new")))
    assert not claims.was_confirmed("h")
    await claims.confirm(spent_until(1000))
    assert claims.was_confirmed("h")
    assert 0 < await pttl(store, "result") <= 300
    assert 990_000 < await pttl(store, "spent") <= 1_000_000
    assert await table().obtain("h", Provider(fault())) == Stored(b"new")
    await eventually(lambda: _is_gone(store, "result"))
    assert await table().obtain("h", Provider(fault())) == Spent()


async def _is_gone(store, part):
    return await pttl(store, part) == -2


async def test_step_6_unconfirmed_is_never_reuse(store, table):
    """Step 6, R37: without confirmation the result lives as long as the session may idle."""
    await table(idle=500.0).obtain("h", Provider(Success(b"new")))
    assert 490_000 < await pttl(store, "result") <= 500_000
    assert await pttl(store, "spent") == -2


async def test_step_6_confirming_again_raises_nothing(store, table):
    """Step 6: repeated by other workers, the grace is not prolonged, and spent is never forgotten earlier."""
    await table().obtain("h", Provider(Success(b"new")))
    await table(grace=5.0).confirm(spent_until(1000))
    await table(grace=50.0).confirm(spent_until(10))
    assert await pttl(store, "result") <= 5000
    assert await pttl(store, "spent") > 990_000
    await table().confirm(spent_until(-5, "h3"))
    assert await pttl(store, "spent", "h3") == -2


async def test_step_6_the_memory_of_confirmations_is_bounded(table, monkeypatch):
    """``was_confirmed`` remembers the latest ones only."""
    monkeypatch.setattr("gateway.edge.refresh.lease._MOST_CONFIRMED", 3)
    claims = table()
    await claims.confirm(spent_until(60, *"abcde"))
    assert [claims.was_confirmed(each) for each in "abcde"] == [False, False, True, True, True]


async def test_step_6_a_second_success_after_the_grace_opens_no_new_one(store, table, monkeypatch):
    """R37: once spent, a late second success is not stored, or the old token would be good once more."""
    stalled, slow = table(), Provider(Success(b"late")).held()
    freeze(stalled, monkeypatch)
    first = asyncio.ensure_future(stalled.obtain("h", slow))
    await slow.called.wait()
    claims = table()
    await claims.obtain("h", Provider(Success(b"new")))
    await claims.confirm(spent_until())
    await eventually(lambda: _is_gone(store, "result"))
    slow.gate.set()
    assert await first == Stored(b"late")
    assert await table().obtain("h", Provider(fault())) == Spent()


async def test_r33_a_success_survives_the_store(server: ValkeyServer, own_store: Store, table):
    """R33: the store dies after the provider's success: callers get it, and it is stored later."""
    claims, provider = table(own_store), Provider(Success(b"new")).held()
    tasks = [asyncio.ensure_future(claims.obtain("h", provider)) for _ in range(3)]
    await provider.called.wait()
    server.kill()
    provider.gate.set()
    assert await asyncio.gather(*tasks) == [Stored(b"new")] * 3
    assert await claims.obtain("h", Provider(fault())) == Stored(b"new")
    drained = asyncio.ensure_future(claims.drain())
    await asyncio.sleep(0.05)
    assert not drained.done()
    server.start()
    await drained
    assert await table(own_store).obtain("h", Provider(fault())) == Stored(b"new")
    assert provider.calls == 1


async def test_confirmed_before_it_could_be_stored(server: ValkeyServer, own_store: Store, table):
    """The new cookie came back before the result was stored: other tabs wait for it and are no thieves."""
    claims, provider = table(own_store, grace=20.0), Provider(Success(b"new")).held()
    holder = asyncio.ensure_future(claims.obtain("h", provider))
    await provider.called.wait()
    server.pause()
    provider.gate.set()
    assert await holder == Stored(b"new")
    server.resume()
    other = table(own_store, grace=20.0)
    await other.confirm(spent_until())
    assert await other.obtain("h", Provider(fault())) == Stored(b"new")
    await claims.drain()
    assert 0 < await pttl(own_store, "result") <= 20_000


async def test_storing_is_given_up_when_the_session_may_not_idle_longer(server, own_store, table):
    """What could not be stored is forgotten after the idle time; drain ends then."""
    claims, provider = table(own_store, idle=0.3), Provider(Success(b"new")).held()
    holder = asyncio.ensure_future(claims.obtain("h", provider))
    await provider.called.wait()
    server.kill()
    provider.gate.set()
    await holder
    await claims.drain()
    with pytest.raises(Fault, match="store"):
        await claims.obtain("h", provider)


async def test_r61_without_the_store_no_call_is_made(server, own_store, table):
    """R61: nobody calls without a claim; nothing is decided about the session."""
    server.kill()
    provider = Provider(Success(b"new"))
    with pytest.raises(Fault) as caught:
        await table(own_store).obtain("h", provider)
    assert caught.value.source == "store"
    assert provider.calls == 0


async def test_the_listener_survives_its_connection(server, own_store, table):
    """Killed pub/sub connections are made anew, and the next waiter is woken by a publication."""
    holder, waiting = table(own_store, lease=30.0), table(own_store, lease=30.0)
    for turn in ("one", "two"):
        provider = Provider(Success(turn.encode())).held()
        first = asyncio.ensure_future(holder.obtain(turn, provider))
        await provider.called.wait()
        second = asyncio.ensure_future(waiting.obtain(turn, provider))
        with server.client() as client:
            await eventually(lambda client=client: client.pubsub_numsub(holder.announcements.channel)[0][1])
            provider.gate.set()
            assert await first == await second == Stored(turn.encode())
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


async def test_nobody_waits_for_ever(table):
    """A claim that another keeps renewing without an end is a Fault for the waiter after a bound."""
    holder, provider = table(lease=0.2, longest_call=30.0), Provider(Success(b"new")).held()
    first = asyncio.ensure_future(holder.obtain("h", provider))
    await provider.called.wait()
    with pytest.raises(Fault, match="does not finish"):
        await table(lease=0.1, longest_call=0.2).obtain("h", provider)
    provider.gate.set()
    assert await first == Stored(b"new")


async def test_a_call_without_an_end_gives_its_claim_up(table):
    """The lease is renewed no longer than the longest call; what comes after it is stored all the same."""
    holder, stuck = table(lease=0.2, longest_call=0.3), Provider(Success(b"late")).held()
    first = asyncio.ensure_future(holder.obtain("h", stuck))
    await stuck.called.wait()
    assert await table().obtain("h", Provider(Success(b"new"))) == Stored(b"new")
    stuck.gate.set()
    assert await first == Stored(b"new")


async def test_nothing_of_the_claim_outlives_its_use(store, table, valkey_url):
    """Every key has an end, and the claim itself is gone when the call is over."""
    claims = table()
    await claims.obtain("a", Provider(Success(b"new")))
    await claims.confirm(spent_until(60, "a"))
    await claims.obtain("b", Provider(Refusal("invalid_grant")))
    with pytest.raises(Fault):
        await claims.obtain("c", Provider(fault()))
    client = Redis.from_url(valkey_url)
    keys = client.keys(store.key("*"))
    assert keys
    assert all(client.pttl(key) > 0 for key in keys)
    assert not [key for key in keys if key.endswith(b":claim")]
    client.close()
