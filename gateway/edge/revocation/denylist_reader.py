"""Reads the denylist from the store: what it holds, page by page, and then the log as it grows."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist, place_of
from gateway.core.rules.entries import DenyEntry
from gateway.edge.revocation import denylist_log as log
from gateway.edge.store.store import Line, Store

Items: TypeAlias = Iterable[tuple[bytes, object]]

_BLOCK = 5.0
_BATCH = 500
_PAGE = 1000
_FIRST_PAUSE = 0.05
_MOST_BACKOFF = 2.0
# the text of a time in the store is rounded to milliseconds
_ROUNDING = 0.001
_NEVER = (-1e12, -1e12)


async def read_snapshot(store: Store, keys: Sequence[str], add: Callable[[Sequence[DenyEntry]], None]) -> int:
    """Add what the store holds, a page at a time; return how many entries cannot be read. Raises Fault."""
    garbage, cursor = 0, b"0"
    while True:
        # a scan returns whatever is there from its beginning to its end; pages by rank would shift
        cursor, members = await store.execute("ZSCAN", keys[2], cursor, "COUNT", _PAGE)
        texts = members[::2]
        places = await store.execute("HMGET", keys[6], *texts) if texts else ()
        found = [
            log.decode_entry(text, score, place)
            for text, score, place in zip(texts, members[1::2], places, strict=True)
        ]
        entries = [entry for entry in found if entry is not None]
        garbage += len(found) - len(entries)
        add(entries)
        if cursor == b"0":
            return garbage


class Unseen:
    """What a replica holds and a snapshot has not shown: by name, so that it is not all kept twice."""

    def __init__(self, replica: Denylist) -> None:
        self._replica = replica
        self._names = replica.names()

    def see(self, entries: Iterable[DenyEntry]) -> None:
        """Take note of a page. An entry that is narrower than the replica's own shows nothing."""
        for entry in entries:
            table, name = place_of(entry)
            if (names := self._names.get(table)) is None or name not in names:
                continue
            before, expires = self._replica.times_of(entry) or _NEVER
            if before <= entry.before + _ROUNDING and expires <= entry.expires + _ROUNDING:
                names.discard(name)

    def left(self, now: float) -> list[DenyEntry]:
        """Return what it has not shown, and holds at ``now``."""
        return list(self._replica.entries(now, self._names))


async def read_log(
    line: Line,
    key: str,
    last: Callable[[], bytes],
    apply: Callable[[Items], bool],
    on_lost: Callable[[], None],
) -> None:
    """Follow the log, by a read that blocks, until something does not fit.

    Args:
        line: a connection of its own.
        key: of the log.
        last: returns the item that was applied last.
        apply: applies those that follow; False where they do not fit.
        on_lost: is told of each connection that was lost.
    """
    pause = _FIRST_PAUSE
    while True:
        read = ("XREAD", "COUNT", _BATCH, "BLOCK", int(_BLOCK * 1000), "STREAMS", key, last())
        try:
            reply = await line.execute(*read, patience=_BLOCK)
        except Fault:
            on_lost()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_BACKOFF)
            continue
        pause = _FIRST_PAUSE
        for _, items in reply or ():
            if not apply(items):
                return
