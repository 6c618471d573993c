"""A fleet of two versions on one store: rotations have two names, and there is one token call."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from gateway.core.decision.needs import Confirm
from gateway.core.sessions import renewal
from gateway.core.sessions.codec import decode_grant, encode_grant, former_name
from gateway.core.sessions.model import Grant
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Ended, Refusal, Spent, Stored, Success
from gateway.edge.store.store import Store
from tests.support.decisions import compiled
from tests.support.recorded import claim_scripts_1 as former

pytestmark = pytest.mark.asyncio
PROVIDER = compiled().providers["corporate"]
GRACE = 200
RECORDED = Path(former.__file__).with_name("version_1.json")


def claim(session: str = "session-1", token: str = "refresh-0") -> str:  # noqa: S107 - not a secret
    return renewal.rotation_id(PROVIDER, Grant(session, 0, token))


class Former:
    """A worker of the version before, by its own scripts and names."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.channel = store.key("refreshed")
        self.name = former_name(name)
        self.keys = [
            store.key("refresh", f"{{{self.name}}}", part) for part in ("claim", "result", "spent", "fence")
        ]

    async def acquire(self, owner: str = "former", lease: int = 5000) -> list:
        """Ask for the claim, for so many milliseconds."""
        return await self.store.run(former.ACQUIRE, self.keys, [owner, lease, 60_000, GRACE])

    async def keep(self, fence: bytes, sealed: bytes = b"former") -> bytes:
        """Store a result."""
        held = f"{fence.decode()} former"
        arguments = [held, fence, sealed, 60_000, GRACE, self.channel, self.name]
        return await self.store.run(former.STORE, self.keys, arguments)

    async def confirm(self) -> None:
        """Confirm the rotation."""
        await self.store.run(former.CONFIRM, self.keys, [60_000, GRACE])


class Provider:
    """A token endpoint that may be held; counts its calls."""

    def __init__(self, answer=None) -> None:
        self.calls = 0
        self.answer = answer if answer is not None else Success(b"new")
        self.gate = asyncio.Event()
        self.called = asyncio.Event()
        self.gate.set()

    async def __call__(self):
        """Answer one call."""
        self.calls += 1
        self.called.set()
        await self.gate.wait()
        return self.answer


@pytest.fixture
async def table(store):
    """A maker of claim tables on one store."""
    made = []

    def make() -> Leases:
        made.append(Leases(store, time.time, grace=GRACE / 1000, idle=60.0, lease=2.0, longest_call=2.0))
        return made[-1]

    yield make
    for claims in made:
        await claims.close()


async def test_a_rotation_is_of_one_session():
    """[1.16]: a provider that gives the same refresh token at each login merges nobody's sessions."""
    one, other = claim("session-1"), claim("session-2")
    assert one != other
    assert former_name(one) == former_name(other)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert former_name(one) == recorded["rotation"]["claim"]
    assert former_name(claim(token="another")) != former_name(one)


async def test_two_sessions_with_one_refresh_token(table):
    """[1.16]: each has a result of its own, at the same worker and at another; none follows the other's."""
    results = {name: f"of {name}".encode() for name in ("session-1", "session-2", "session-3")}
    for name, sealed in results.items():
        provider = Provider(Success(sealed))
        for worker in (table(), table()):
            found = await worker.obtain(
                claim(name), provider, is_own=lambda stored, sealed=sealed: stored == sealed
            )
            assert found == Stored(sealed)
        assert provider.calls == 1


async def test_ours_waits_for_theirs(store, table):
    """[1.16]: a worker of the version before makes the call; ours waits, is woken, and takes its result."""
    theirs, provider = Former(store, claim()), Provider()
    word, fence = await theirs.acquire()
    assert word == b"claimed"
    worker = table()
    task = asyncio.ensure_future(worker.obtain(claim(), provider))
    await asyncio.sleep(0.1)
    assert not task.done()
    await theirs.keep(fence)
    assert await task == Stored(b"former")
    assert provider.calls == 0
    assert await worker.result(claim()) == b"former"


async def test_theirs_waits_for_ours(store, table):
    """[1.16]: ours makes the call; theirs waits, and takes our result from under the name that it knows."""
    theirs, provider = Former(store, claim()), Provider()
    provider.gate.clear()
    task = asyncio.ensure_future(table().obtain(claim(), provider))
    await provider.called.wait()
    assert (await theirs.acquire())[0] == b"wait"
    provider.gate.set()
    assert await task == Stored(b"new")
    assert await theirs.acquire() == [b"stored", b"new"]


async def test_a_result_of_another_session_is_not_ours(store, table):
    """[1.16]: what theirs stored for another session with the same token leads ours nowhere."""
    theirs = Former(store, claim())
    _, fence = await theirs.acquire()
    await theirs.keep(fence)
    provider = Provider()
    found = await table().obtain(claim(), provider, is_own=lambda _: False)
    assert found == Stored(b"new")
    assert provider.calls == 1
    # and theirs goes on with its own
    assert await theirs.acquire() == [b"stored", b"former"]


async def test_what_ours_confirmed_is_spent_for_theirs(store, table):
    """[1.16], R37: reuse is found by workers of both versions; for another session nothing is spent."""
    worker, theirs = table(), Former(store, claim())
    assert await worker.obtain(claim(), Provider()) == Stored(b"new")
    await worker.confirm(Confirm((claim(),), time.time() + 60))
    assert await theirs.acquire() == [b"stored", b"new"]
    await asyncio.sleep(GRACE / 1000 + 0.1)
    assert await theirs.acquire() == [b"spent"]
    assert await worker.obtain(claim(), Provider()) == Spent()
    other = Provider(Success(b"other"))
    assert await worker.obtain(claim("session-2"), other) == Stored(b"other")
    assert other.calls == 1


async def test_what_theirs_confirmed_is_spent_for_ours(store, table):
    """[1.16], R37: a cookie that the version before has replaced is reuse here as there."""
    theirs = Former(store, claim())
    _, fence = await theirs.acquire()
    await theirs.keep(fence)
    await theirs.confirm()
    provider = Provider()
    assert await table().obtain(claim(), provider) == Stored(b"former")
    await asyncio.sleep(GRACE / 1000 + 0.1)
    assert await table().obtain(claim(), provider) == Spent()
    assert provider.calls == 0


async def test_a_refusal_is_everybodys(store, table):
    """[1.16]: the refresh token is dead, whoever asked."""
    theirs = Former(store, claim())
    assert await table().obtain(claim(), Provider(Refusal("invalid_grant"))) == Ended("invalid_grant")
    assert await theirs.acquire() == [b"verdict", b"ended invalid_grant"]


async def test_a_confirmation_from_before_the_upgrade(store, table):
    """[upgrade]: a grant of the version before names its rotation as that did, and confirms it so."""
    theirs = Former(store, claim())
    _, fence = await theirs.acquire()
    await theirs.keep(fence)
    await table().confirm(Confirm((former_name(claim()),), time.time() + 60))
    await asyncio.sleep(GRACE / 1000 + 0.1)
    assert await theirs.acquire() == [b"spent"]
    assert await table().obtain(claim(), Provider()) == Spent()


def after(rotation: str) -> Grant:
    """Return the grant that a rotation of the first session led to, as its cookie holds it."""
    return Grant("session-1", 1, "refresh-1", (rotation,))


def told_by_cookie(rotation: str) -> str:
    """Return how a worker of the version before reads the name of that rotation in a refresh cookie."""
    return json.loads(encode_grant(after(rotation)))["u"][0]


def read_here(rotation: str) -> str:
    """Return how a worker of ours reads it."""
    grant = decode_grant(encode_grant(after(rotation)))
    assert grant is not None
    return grant.unconfirmed[0]


async def test_ours_confirmed_by_theirs_alone(store, table):
    """[1.16], R37: the browser shows its new cookie at the version before, by chance or for ever."""
    worker, name = table(), claim()
    assert await worker.obtain(name, Provider()) == Stored(b"new")
    assert read_here(name) == name
    theirs = Former(store, told_by_cookie(name))
    assert theirs.keys == Former(store, name).keys
    await theirs.confirm()
    # within the grace for whoever lags behind, wherever that is
    assert await theirs.acquire() == [b"stored", b"new"]
    assert await worker.obtain(name, Provider()) == Stored(b"new")
    await asyncio.sleep(GRACE / 1000 + 0.1)
    provider = Provider()
    for _ in range(2):
        assert await worker.obtain(name, provider) == Spent()
        assert await table().obtain(name, provider) == Spent()
        assert await theirs.acquire() == [b"spent"]
    assert provider.calls == 0


async def test_ours_confirmed_by_theirs_is_not_asked_for_within_the_grace(store, table):
    """[1.16], R37: a worker of ours that hears of it late gives nobody another grace."""
    worker, name = table(), claim()
    await worker.obtain(name, Provider())
    await Former(store, name).confirm()
    await asyncio.sleep(GRACE / 1000 + 0.1)
    assert await worker.obtain(name, Provider()) == Spent()


async def test_theirs_confirmed_by_ours(store, table):
    """[1.16], R37: a rotation of the version before is confirmed under both names, and lags nobody out."""
    theirs = Former(store, claim())
    _, fence = await theirs.acquire()
    await theirs.keep(fence)
    # the version before writes the name that it knows
    cookie = json.dumps({"id": "session-1", "g": 1, "rt": "refresh-1", "u": [former_name(claim())]})
    grant = decode_grant(cookie.encode())
    assert grant is not None
    assert grant.unconfirmed == (claim(),)
    worker = table()
    await worker.confirm(Confirm(grant.unconfirmed, time.time() + 60))
    assert await worker.obtain(claim(), Provider()) == Stored(b"former")
    assert await theirs.acquire() == [b"stored", b"former"]
    await asyncio.sleep(GRACE / 1000 + 0.1)
    assert await worker.obtain(claim(), Provider()) == Spent()
    assert await theirs.acquire() == [b"spent"]


async def test_what_theirs_confirmed_of_another_session(store, table):
    """[1.16]: of two sessions with one refresh token, the other's confirmation ends nothing of ours."""
    theirs = Former(store, claim())
    _, fence = await theirs.acquire()
    await theirs.keep(fence)
    worker, name = table(), claim("session-2")
    assert await worker.obtain(name, Provider(), is_own=lambda _: False) == Stored(b"new")
    await theirs.confirm()
    assert await worker.obtain(name, Provider(), is_own=lambda _: False) == Stored(b"new")


@pytest.mark.parametrize("is_own", [True, False])
async def test_theirs_succeeds_late(store, table, is_own: bool):
    """[1.16]: their lease lapsed, ours was refused; then their answer comes, and the session goes on."""
    theirs, provider = Former(store, claim()), Provider(Refusal("invalid_grant"))
    _, fence = await theirs.acquire(lease=50)
    await asyncio.sleep(0.1)
    task = asyncio.ensure_future(table().obtain(claim(), provider, is_own=lambda _: is_own))
    await provider.called.wait()
    await asyncio.sleep(0.1)
    assert not task.done()
    await theirs.keep(fence)
    # what was another session's says nothing of ours
    assert await task == (Stored(b"former") if is_own else Ended("invalid_grant"))
