"""What workers tell one another: that a rotation is decided or made, or that a session is replaced."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator

from gateway.core.fault import Fault
from gateway.edge.refresh import lease_scripts as scripts
from gateway.edge.store.store import Store
from gateway.edge.tasks import stop

_MOST_BACKOFF = 2.0
_MOST_SUPERSEDED = 100_000
_MADE = " made"
"""Stands behind a name on the channel: that rotation was made, or that session replaced."""


class Announcements:
    """The channel of one process.

    Args:
        store: shared by all workers.
        clock: wall time in seconds since the epoch.
        grace: seconds for which answers may be under way that do not know of it yet.
    """

    def __init__(self, store: Store, clock: Callable[[], float], grace: float) -> None:
        self._store = store
        self._clock = clock
        self.grace = grace
        self.channel = store.key("refreshed")
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._superseded: OrderedDict[str, float] = OrderedDict()

    def start(self) -> None:
        """Begin to listen, if nobody does yet."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Listen no more."""
        await stop(self._listener)

    def superseded(self, name: str) -> bool:
        """Tell whether a rotation was made lately, or a session replaced, wherever that was."""
        until = self._superseded.get(name)
        return until is not None and self._clock() < until

    async def replaced(self, name: str) -> None:
        """Tell every worker that a session was replaced (``core.access.generations.replacement``).

        Raises:
            Fault: the others were not told; this worker knows.
        """
        self._supersede(name)
        await self._store.run(scripts.TELL, [self.channel], [self.channel, f"{name}{_MADE}"])

    @contextlib.contextmanager
    def waking(self, names: set[str]) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever one of these rotations is decided, or one may have been."""
        wake = asyncio.Event()
        for name in names:
            self._waiting.setdefault(name, set()).add(wake)
        try:
            yield wake
        finally:
            for name in names:
                waiting = self._waiting[name]
                waiting.discard(wake)
                if not waiting:
                    del self._waiting[name]

    def _supersede(self, name: str) -> None:
        now = self._clock()
        # what is older is on its way to nobody: late answers give no cookies
        self._superseded[name] = now + self.grace
        self._superseded.move_to_end(name)
        known = self._superseded
        while known and (len(known) > _MOST_SUPERSEDED or next(iter(known.values())) <= now):
            known.popitem(last=False)

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            with contextlib.suppress(Fault):
                async for name in self._store.messages(self.channel):
                    pause = 0.1
                    if name is None:
                        # what was told meanwhile is lost
                        for waiting in self._waiting.values():
                            _set(waiting)
                    else:
                        self._hear(name.decode("latin-1"))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_BACKOFF)

    def _hear(self, told: str) -> None:
        if told.endswith(_MADE):
            self._supersede(told[: -len(_MADE)])
        else:
            _set(self._waiting.get(told, set()))


def _set(waiting: set[asyncio.Event]) -> None:
    for wake in waiting:
        wake.set()
