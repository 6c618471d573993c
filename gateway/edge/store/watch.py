"""Tells the log when the store goes away and when it is back: one line for each, not one for each request."""

import asyncio
from typing import Protocol

from gateway.edge.tasks import stop

LOOK_EVERY = 1.0
KEEPS_ALL = "noeviction"
EVICTS = (
    "the store may evict keys when its memory is full, and with them revocations and spent refresh tokens:"
    " set its maxmemory-policy to noeviction"
)


class Asked(Protocol):
    """What is watched: ``trouble`` says what was wrong with the last command, None where it was answered."""

    @property
    def trouble(self) -> str | None:
        """What is wrong; safe to show."""

    async def eviction_policy(self) -> str | None:
        """Return what the store does when its memory is full, None where it does not say."""


class Teller(Protocol):
    """The three kinds of lines."""

    def warning(self, message: str, **fields: object) -> None:
        """Take a warning."""

    def error(self, message: str, **fields: object) -> None:
        """Take an error."""

    def info(self, message: str, **fields: object) -> None:
        """Take a message."""


class StoreWatch:
    """Looks once a second, which bounds the lines; the replica's comparison asks the store as often."""

    def __init__(self, store: Asked, logs: Teller) -> None:
        self._store = store
        self._logs = logs
        self._told: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_judged = False

    def start(self) -> None:
        """Look now, and from now on."""
        self.look()
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    async def close(self) -> None:
        """Stop looking."""
        await stop(self._task)
        self._task = None

    def look(self) -> None:
        """Tell what has changed since the last look."""
        trouble = self._store.trouble
        if trouble == self._told:
            return
        self._told = trouble
        # what answers next may be another server
        self._is_judged = False
        if trouble is None:
            self._logs.info("the store answers again")
        else:
            self._logs.error("the store is away: no login, no refresh, no new revocation", detail=trouble)

    async def _keep_looking(self) -> None:
        while True:
            if self._told is None and not self._is_judged:
                self._is_judged = True
                await self._judge()
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    async def _judge(self) -> None:
        policy = await self._store.eviction_policy()
        if policy is not None and policy != KEEPS_ALL:
            self._logs.warning(EVICTS, policy=policy)
