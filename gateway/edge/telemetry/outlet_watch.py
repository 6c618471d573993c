"""Tells the log when a destination does not take lines, and when it does again: once each."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from gateway.edge.store.watch import Teller
from gateway.edge.tasks import stop

LOOK_EVERY: Final = 1.0


class OutletWatch:
    """Looks once a second.

    Args:
        troubles: returns why lines are not taken now, by where that is.
        logs: take what is told.
    """

    def __init__(self, troubles: Callable[[], Mapping[str, str]], logs: Teller) -> None:
        self._troubles = troubles
        self._logs = logs
        self._told: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    async def close(self) -> None:
        """Stop looking."""
        await stop(self._task)
        self._task = None

    def look(self) -> None:
        """Tell what has changed since the last look."""
        now = dict(self._troubles())
        for name, trouble in now.items():
            if self._told.get(name) != trouble:
                self._logs.error("lines are not taken: they wait, up to a bound", what=name, detail=trouble)
        for name in self._told.keys() - now.keys():
            self._logs.info("lines are taken again", what=name)
        self._told = now

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()
