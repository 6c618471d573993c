"""What was started is closed in the reverse order, whatever one of them says to it."""

import contextlib
from collections.abc import Awaitable, Callable

from gateway.core.fault import Fault


class Closing:
    """Remembers how to close what was started."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], Awaitable[None]]] = []

    def later(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call this before everything that was said so far."""
        self._steps.append(close)

    async def close(self) -> None:
        """Close everything, once."""
        while self._steps:
            with contextlib.suppress(Fault, OSError):
                await self._steps.pop()()
