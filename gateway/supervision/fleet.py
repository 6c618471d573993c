"""The workers as one: what they run with, and a time in which none of them starts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from gateway.config.settings.root import Settings
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metric_merge import Merged
from gateway.supervision.messages import encode_settings
from gateway.supervision.slot import Slot
from gateway.syntax.encoding import Json


class Fleet:
    """All workers of a supervisor.

    Attributes:
        settings: what they run with; a reload puts new ones here.
        logs: of the supervisor's process.
        slots: one for each worker, in the order of their numbers.
        is_draining: whether all of it ends.
        merged: what workers that have ended had counted.
        store_url: where the embedded store is, None where another one is used; set once that is known.
    """

    def __init__(self, settings: Settings, logs: Logs) -> None:
        self.settings = settings
        self.logs = logs
        self.slots: list[Slot] = []
        self.is_draining = False
        self.merged = Merged()
        self.store_url: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._unchanging = asyncio.Event()
        self._unchanging.set()

    async def orders(self) -> Mapping[str, Json]:
        """Return what a worker is started with, once that is known and is not being changed."""
        url = await asyncio.shield(self.store_url)
        while not self._unchanging.is_set():
            await self._unchanging.wait()
        return {"settings": encode_settings(self.settings), "store_url": url}

    @contextlib.asynccontextmanager
    async def unchanging(self) -> AsyncIterator[list[Slot]]:
        """Let no worker start meanwhile; yield the slots whose workers serve."""
        self._unchanging.clear()
        try:
            for slot in self.slots:
                await slot.settled.wait()
            yield [slot for slot in self.slots if slot.is_ready]
        finally:
            self._unchanging.set()
