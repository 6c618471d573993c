"""Exchanged tokens, kept in a process and in a real store."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from gateway.core.decision.needs import ExchangeToken
from gateway.core.fault import Fault
from gateway.core.provider import Exchanged, TokenRefusal
from gateway.core.reasons import Reason
from gateway.core.rules.authorization import Target
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.edge.providers.exchanges import Exchanges
from gateway.edge.store.store import Store
from tests.support.ports import free_port
from tests.support.pure import NOW, identity, settings

pytestmark = pytest.mark.asyncio


class Provider:
    """Exchanges tokens as it is told to, and counts."""

    def __init__(self) -> None:
        self.asked: list[ExchangeToken] = []
        self.now = NOW
        self.answer: Exchanged | TokenRefusal | Fault | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self, need: ExchangeToken) -> Exchanged | TokenRefusal:
        """Take one question."""
        self.asked.append(need)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Fault):
            raise self.answer
        made = Exchanged(f"token {len(self.asked)}", self.now + 45, self.now + 60)
        return made if self.answer is None else self.answer


class Workers:
    """Workers with a process' memory each, and one store."""

    def __init__(self, url: str) -> None:
        self.provider = Provider()
        self.prefix = f"t{uuid.uuid4().hex[:12]}:"
        self.url = url
        self.stores: list[Store] = []
        self.events: list[tuple[str, dict[str, object]]] = []
        self.runtime = compile_settings(settings())

    def one(self, url: str | None = None, runtime: RuntimeConfig | None = None) -> Exchanges:
        """Return another worker."""
        store = Store(url or self.url, self.prefix, 0.5, lambda: self.provider.now)
        self.stores.append(store)
        known = runtime or self.runtime
        return Exchanges(
            self.provider,
            store,
            lambda: known,
            lambda: self.provider.now,
            lambda event, **fields: self.events.append((event, fields)),
        )


@pytest.fixture
async def workers(valkey_url) -> Iterator[Workers]:
    found = Workers(valkey_url)
    yield found
    for store in found.stores:
        await store.close()


def need(token: str = "own", audience: str = "orders", **more: object) -> ExchangeToken:  # noqa: S107
    """Return a need of alice."""
    target = Target(audience, str(more.pop("resource", "")), tuple(more.pop("scopes", ())))
    return ExchangeToken("corporate", target, token, identity(session_id="s", **more))


async def test_once_for_all_workers(workers: Workers):
    """[11.9]: single flight in a process, and through the store in all of them."""
    first, second = workers.one(), workers.one()
    workers.provider.gate = asyncio.Event()
    asked = [asyncio.create_task(first.obtain(need())) for _ in range(20)]
    await asyncio.sleep(0.05)
    workers.provider.gate.set()
    found = {(await each).token for each in asked}
    assert found == {"token 1"}
    assert first.known(need()) == await second.obtain(need()) == second.known(need())
    assert len(workers.provider.asked) == 1
    ((event, fields),) = workers.events
    assert (event, fields["subject"], fields["audience"], fields["session"]) == (
        "token_exchanged",
        "alice",
        "orders",
        "s",
    )
    assert "token 1" not in str(fields)


@pytest.mark.parametrize(
    "other",
    [
        need("newer"),
        need(audience="billing"),
        need(audience="", resource="orders"),
        need(scopes=("a",)),
        need(issuer="https://other.example.com"),
    ],
)
async def test_another_question_has_another_answer(workers: Workers, other: ExchangeToken):
    """[11.9], CVE-2021-32701, CVE-2026-33496: token, target, scopes and issuer are part of the question."""
    one = workers.one()
    await one.obtain(need())
    assert one.known(other) is None
    assert (await one.obtain(other)).token == "token 2"


async def test_another_client_has_its_own(workers: Workers):
    """[11.9]: what a client was given is nothing for the one that a reload puts in its place."""
    provider = settings().providers["corporate"].model_copy(update={"client_id": "other"})
    changed = compile_settings(settings().model_copy(update={"providers": {"corporate": provider}}))
    await workers.one().obtain(need())
    assert workers.one(runtime=changed).known(need()) is None
    assert (await workers.one(runtime=changed).obtain(need())).token == "token 2"


async def test_due_tokens_are_exchanged_anew(workers: Workers):
    """[11.9]: what is due does not come from the store either; an expired one is not known at all."""
    one = workers.one()
    await one.obtain(need())
    workers.provider.now += 45
    assert one.known(need()).token == "token 1"
    one.start(need())
    one.start(need())
    await one.drain()
    assert one.known(need()).token == "token 2"
    workers.provider.now += 60
    assert one.known(need()) is None
    # a clock that is set back finds nothing that begins in its future
    workers.provider.now -= 200
    assert one.known(need()) is None


async def test_a_refusal_is_remembered_for_a_moment(workers: Workers):
    """[11.9]: ten seconds, in this process alone."""
    workers.provider.answer = TokenRefusal("invalid_request")
    one = workers.one()
    assert await one.obtain(need()) == one.known(need()) == workers.provider.answer
    assert workers.one().known(need()) is None
    workers.provider.now += 10
    assert one.known(need()) is None
    ((event, fields),) = workers.events
    assert (event, fields["error"], fields["reason"]) == (
        "token_exchange_refused",
        "invalid_request",
        Reason.EXCHANGE_REFUSED,
    )


async def test_what_fails_behind_a_request_is_left_alone(workers: Workers):
    """[11.9]: not each request of a busy person tries again; somebody who has to wait does."""
    workers.provider.answer = Fault("issuer", Reason.ISSUER_UNAVAILABLE, "", 5)
    one = workers.one()
    for _ in range(5):
        one.start(need())
        await one.drain()
    assert len(workers.provider.asked) == 1
    with pytest.raises(Fault):
        await one.obtain(need())
    workers.provider.now += 5
    one.start(need())
    await one.drain()
    assert len(workers.provider.asked) == 3


async def test_what_holds_serves_while_the_provider_is_away(workers: Workers):
    """[11.9]: a worker that has just started takes what is due, but not over, from the store."""
    first = await workers.one().obtain(need())
    workers.provider.now += 50
    workers.provider.answer = Fault("issuer", Reason.ISSUER_UNAVAILABLE, "", 5)
    other = workers.one()
    assert await other.obtain(need()) == other.known(need()) == first
    workers.provider.now += 10
    assert other.known(need()) is None
    with pytest.raises(Fault):
        await other.obtain(need())


async def test_without_the_store_each_asks_for_itself(workers: Workers):
    """[11.9]: nobody waits for it, and nobody is refused."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    for number in (1, 2):
        one = workers.one(away)
        assert (await one.obtain(need())).token == f"token {number}"
        assert one.known(need()) is not None


async def test_the_store_shows_nobody_anything(workers: Workers, valkey_url: str):
    """[11.9]: sealed under the very token; what is garbage, or sealed for another one, is nothing."""
    import redis.asyncio

    await workers.one().obtain(need())
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        (key,) = [each async for each in client.scan_iter(f"{workers.prefix}*")]
        value = await client.get(key)
        assert b"token 1" not in value
        assert b"own" not in key
        assert 0 < await client.pttl(key) <= 60_000
        await workers.one().obtain(need("newer"))
        (other,) = [each async for each in client.scan_iter(f"{workers.prefix}*") if each != key]
        for number, garbage in enumerate((await client.get(other), b"", b"x", b"\xff" * 100, value[:-2])):
            await client.set(key, garbage)
            assert (await workers.one().obtain(need())).token == f"token {number + 3}"


async def test_memory_is_swept(workers: Workers):
    """[11.9]: what has expired goes within a minute of use, and there is a bound."""
    one = workers.one()
    for number in range(10):
        await one.obtain(need(f"{number}"))
    assert len(one._kept) == 10
    workers.provider.now += 61
    await one.obtain(need("last"))
    assert len(one._kept) == 1
