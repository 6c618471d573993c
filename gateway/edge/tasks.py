"""Work that is done once however many ask for it, and work that is done behind everybody's back.

The loop holds tasks weakly, and is silent about one whose failure nobody takes. So both kinds are held here
until they are done, and what breaks in them is told to the loop's exception handler at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Any, Generic, Protocol, TypeVar

from gateway.core.fault import Fault
from gateway.core.reasons import Reason

Value = TypeVar("Value")


class Held(Protocol):
    """Tasks that are under way."""

    @property
    def running(self) -> Collection["asyncio.Future[Any]"]:
        """Those that are not done yet."""


class Tasks:
    """Work that nobody waits for.

    A Fault ends it quietly: it is expected, and whoever has something to say of one takes it himself.
    """

    def __init__(self) -> None:
        self.running: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        return len(self.running)

    def start(self, work: Awaitable[object]) -> None:
        """Begin it."""
        task = asyncio.ensure_future(work)
        self.running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Future[Any]") -> None:
        self.running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _tell(error)

    async def drain(self) -> None:
        """Wait until all is done, what begins meanwhile included."""
        await drain(self)

    async def close(self) -> None:
        """Give up whatever is under way; drain first to lose nothing."""
        await stop(*self.running)


class SingleFlight(Generic[Value]):
    """Work that has a key, one at a time for each: whoever asks meanwhile is given the same answer.

    It belongs to nobody: a caller that is cancelled leaves it to the others, or to itself.

    Args:
        what: it is, for the fault that one is told where it breaks.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._flights: dict[Hashable, asyncio.Task[Value | Fault]] = {}

    @property
    def running(self) -> Collection["asyncio.Future[Any]"]:
        """Those that are not done yet."""
        return self._flights.values()

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._flights

    async def join(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> Value:
        """Return what the work under this key ends with; it begins with ``work()`` if there is none.

        Raises:
            Fault: it ended with this; each caller has a copy of its own. One of the gateway where it broke.
        """
        task = self._flights.get(key)
        found = await asyncio.shield(self._begin(key, work) if task is None else task)
        if isinstance(found, Fault):
            # a shared exception would gather everybody's tracebacks
            raise found.copy()
        return found

    def start(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> None:
        """Begin it behind the caller's back, if there is none under this key."""
        if key not in self._flights:
            self._begin(key, work)

    def _begin(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> "asyncio.Task[Value | Fault]":
        task = self._flights[key] = asyncio.get_running_loop().create_task(self._fly(work))
        # before any caller's: whoever has the answer may ask anew
        task.add_done_callback(lambda _: self._flights.pop(key, None))
        return task

    async def _fly(self, work: Callable[[], Awaitable[Value]]) -> Value | Fault:
        try:
            return await work()
        except Fault as fault:
            return fault
        except Exception as error:  # noqa: BLE001 - an error of ours must reach every caller, not the loop alone
            _tell(error)
            return Fault("gateway", Reason.INTERNAL_ERROR, f"{self._what} broke with {type(error).__name__}")

    async def drain(self) -> None:
        """Wait until all is done, what begins meanwhile included."""
        await drain(self)

    async def close(self) -> None:
        """Give up whatever is under way; drain first to lose nothing."""
        await stop(*self.running)


async def drain(*held: Held) -> None:
    """Wait until nothing is under way in any of them, what begins meanwhile included."""
    while running := {task for each in held for task in each.running}:
        await asyncio.wait(running)


async def stop(*tasks: "asyncio.Future[Any] | None") -> None:
    """Cancel tasks and wait for their ends; of one that had broken before, it is told."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    for found in await asyncio.gather(*begun, return_exceptions=True):
        if isinstance(found, Exception):
            _tell(found)


def _tell(error: BaseException) -> None:
    if isinstance(error, Fault):
        return
    context = {"message": "work behind a request's back broke", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
