"""Anchors of the chains in audit files, kept in the store: how far each file was written.

A process tells twice a second how far it has come, if it has come further. What was written since can be
cut off unseen. The anchor only ever moves on.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.core.audit.chain import Anchor
from gateway.core.fault import Fault
from gateway.edge.store.store import Script, Store
from gateway.edge.tasks import stop

ANCHOR_EVERY: Final = 0.5
_MOST: Final = 1000

_ANCHOR: Final = Script("""
local known = tonumber(string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '0', '^%d+') or '0')
if tonumber(string.match(ARGV[2], '^%d+')) > known then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
local count = redis.call('HLEN', KEYS[1])
if count > tonumber(ARGV[3]) then
  -- names are in the order in which chains have begun
  local names = redis.call('HKEYS', KEYS[1])
  table.sort(names)
  for at = 1, count - tonumber(ARGV[3]) do redis.call('HDEL', KEYS[1], names[at]) end
end
return 1
""")


async def anchor(store: Store, chain: str, text: str) -> None:
    """Keep the signed head of a file's chain. Raises Fault."""
    await store.run(_ANCHOR, [store.key("{audit}", "files")], [chain, text, _MOST])


class Anchoring:
    """Anchors what a process writes.

    Args:
        store: keeps the anchors.
        head: returns how far the file was written, None where nothing was.
    """

    def __init__(self, store: Store, head: Callable[[], Anchor | None]) -> None:
        self._store = store
        self._head = head
        self._kept: Anchor | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._keep_anchoring())

    async def _keep_anchoring(self) -> None:
        while True:
            await asyncio.sleep(ANCHOR_EVERY)
            try:
                await self.anchor()
            except Fault:
                # the eye on the store tells of it
                continue

    async def anchor(self) -> None:
        """Anchor what has been written since. Raises Fault."""
        head = self._head()
        if head is not None and head is not self._kept:
            await anchor(self._store, head.chain, head.encode())
            self._kept = head

    async def close(self) -> None:
        """Anchor what was written last, if the store answers, and stop."""
        await stop(self._task)
        self._task = None
        await self.anchor()
