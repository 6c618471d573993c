"""Once a minute whoever is over is forgotten, and names whose values were ever new get another chance."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.core.access.forgetting import sweep
from gateway.core.decision.context import Knowledge

INTERVAL: Final = 60.0
"""Seconds."""


class Forgetting:
    """Sweeps what a process remembers.

    Args:
        knowledge: returns what it knows now.
        clock: seconds since the epoch.
    """

    def __init__(self, knowledge: Callable[[], Knowledge], clock: Callable[[], float]) -> None:
        self._knowledge = knowledge
        self._clock = clock
        self._version = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; the first time is a minute from now."""
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._again)

    async def close(self) -> None:
        """Sweep no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def sweep(self) -> None:
        """Forget what is over."""
        knowledge = self._knowledge()
        version = knowledge.denylist.version
        is_news, self._version = version != self._version, version
        sweep(knowledge, self._clock(), is_news=is_news)

    def _again(self) -> None:
        self.start()
        self.sweep()
