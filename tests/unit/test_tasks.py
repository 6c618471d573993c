"""Work that is done once however many ask, and work behind everybody's back."""

import asyncio
import gc
from pathlib import Path

import pytest

import gateway
from gateway.core.fault import Fault, NeverSent
from gateway.core.reasons import Reason
from gateway.edge.tasks import SingleFlight, Tasks, drain, stop

ROOT = Path(gateway.__file__).parent


@pytest.mark.parametrize("room", ["edge", "pipeline"])
def test_it_is_written_once(room: str):
    """No other module shields a task of its own, or takes note of its end."""
    for module in (ROOT / room).rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        assert module.name == "tasks.py" or not ("shield(" in text or "add_done_callback(" in text), module


@pytest.fixture
async def told():
    """What the loop's exception handler was told of errors."""
    found = []

    def note(_loop: object, context: dict) -> None:
        if "exception" in context:
            found.append(context)

    asyncio.get_running_loop().set_exception_handler(note)
    yield found
    asyncio.get_running_loop().set_exception_handler(None)


class Work:
    """Work that ends when it is let, as it is told to."""

    def __init__(self, result: object = "done") -> None:
        self.result = result
        self.begun = 0
        self.cancelled = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> object:
        """Do it."""
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def turn(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_callers_at_the_same_time_share_one_flight():
    """One call for each key; whoever comes after the end begins another."""
    flights, one, other = SingleFlight("a look"), Work("one"), Work("other")
    asking = [asyncio.create_task(flights.join("a", one)) for _ in range(20)]
    asking += [asyncio.create_task(flights.join("b", other)) for _ in range(20)]
    await turn()
    assert (one.begun, other.begun, len(flights), "a" in flights) == (1, 1, 2, True)
    one.gate.set()
    other.gate.set()
    assert await asyncio.gather(*asking) == ["one"] * 20 + ["other"] * 20
    assert not flights
    assert await flights.join("a", one) == "one"
    assert one.begun == 2


async def test_a_caller_that_leaves_cancels_nothing():
    """The work goes on for the others, and also where everybody has left."""
    flights, work = SingleFlight("a look"), Work()
    first, second = [asyncio.create_task(flights.join("a", work)) for _ in range(2)]
    await turn()
    await stop(first)
    assert (work.cancelled, "a" in flights) == (0, True)
    work.gate.set()
    assert await second == "done"
    work.gate.clear()
    alone = asyncio.create_task(flights.join("a", work))
    await turn()
    await stop(alone)
    work.gate.set()
    await flights.drain()
    assert (work.begun, work.cancelled, len(flights)) == (2, 0, 0)


async def test_whoever_has_the_answer_may_ask_anew():
    """At the moment when the first caller goes on, the flight has ended for the next one."""
    flights, work = SingleFlight("a look"), Work()
    work.gate.set()
    for _ in range(3):
        await flights.join("a", work)
        assert "a" not in flights
    assert work.begun == 3


async def test_each_caller_has_a_fault_of_its_own(told: list):
    """It is of the same kind and says the same; nobody is told beside, since it was expected."""
    fault = NeverSent("issuer", Reason.ISSUER_UNAVAILABLE, "down", 7)
    flights, work = SingleFlight("a look"), Work(fault)
    work.gate.set()
    found = await asyncio.gather(*(flights.join("a", work) for _ in range(3)), return_exceptions=True)
    assert len({id(each) for each in (*found, fault)}) == 4
    for each in found:
        assert type(each) is NeverSent
        assert (each.source, each.reason, each.detail, each.retry_after) == (
            "issuer", Reason.ISSUER_UNAVAILABLE, "down", 7,
        )  # fmt: skip
    assert not told


async def test_what_breaks_is_a_fault_of_ours_for_everybody(told: list):
    """An error reaches every caller and the log, once; the callers are told its kind alone."""
    flights, work = SingleFlight("a look"), Work(KeyError("hunter2"))
    work.gate.set()
    found = await asyncio.gather(*(flights.join("a", work) for _ in range(3)), return_exceptions=True)
    for each in found:
        assert isinstance(each, Fault)
        assert (each.source, each.reason, each.detail) == (
            "gateway", Reason.INTERNAL_ERROR, "a look broke with KeyError",
        )  # fmt: skip
    assert [context["exception"] for context in told] == [work.result]


async def test_a_flight_may_begin_behind_its_callers_back(told: list):
    """Nobody waits for it, it is not begun twice, and its fault is nobody's."""
    flights, work = SingleFlight("a look"), Work(Fault("store", Reason.STORE_UNAVAILABLE))
    for _ in range(3):
        flights.start("a", work)
    await turn()
    assert work.begun == 1
    joining = asyncio.create_task(flights.join("a", work))
    await turn()
    work.gate.set()
    with pytest.raises(Fault):
        await joining
    flights.start("a", work)
    await flights.drain()
    gc.collect()
    assert (work.begun, told) == (2, [])


async def test_tasks_are_held_until_they_are_done(told: list):
    """A collection in between ends none; a Fault is quiet, anything else is told at once."""
    tasks = Tasks()
    works = [Work(), Work(Fault("store", Reason.STORE_UNAVAILABLE)), Work(KeyError("x"))]
    for work in works:
        tasks.start(work())
    await turn()
    gc.collect()
    assert len(tasks) == 3
    for work in works:
        work.gate.set()
    await tasks.drain()
    await turn()
    assert not tasks
    assert [context["exception"] for context in told] == [works[2].result]


async def test_draining_waits_for_what_begins_meanwhile():
    """Also where one kind of work begins the other."""
    tasks, flights, later = Tasks(), SingleFlight("a look"), Work()

    async def first() -> None:
        await asyncio.sleep(0)
        flights.start("a", second)

    async def second() -> None:
        await asyncio.sleep(0)
        tasks.start(later())
        later.gate.set()

    tasks.start(first())
    await drain(flights, tasks)
    assert (later.begun, len(tasks), len(flights)) == (1, 0, 0)


@pytest.mark.filterwarnings("error")
async def test_closing_gives_up_what_is_under_way(told: list):
    """Cancelled and over when it returns, whether it had begun or not; whoever waits is let go."""
    tasks, flights, work = Tasks(), SingleFlight("a look"), Work()
    tasks.start(work())
    waiting = asyncio.create_task(flights.join("a", work))
    await turn()
    tasks.start(work())
    flights.start("b", work)
    await tasks.close()
    await flights.close()
    assert (work.begun, work.cancelled) == (3, 3)
    await turn()
    assert not tasks
    assert not flights
    assert waiting.cancelled()
    gc.collect()
    assert not told


async def test_stopping_waits_for_the_end(told: list):
    """Tasks that are none, over or broken are no trouble; of what broke it is told."""
    ended: list[str] = []

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("ended")

    async def broken() -> None:
        raise KeyError

    tasks = [asyncio.create_task(each()) for each in (slow_to_end, broken)]
    await turn()
    await stop(*tasks, None)
    assert ended == ["ended"]
    assert [type(context["exception"]) for context in told] == [KeyError]
    await stop()
