"""The denylist as the store holds it, read page by page, and what a replica holds beyond it."""

from collections.abc import Callable, Iterator, Sequence

from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.edge.revocation import denylist_log as log
from gateway.edge.store.store import Store

_PAGE = 1000
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


def beyond(replica: Denylist, theirs: Denylist, now: float) -> Iterator[DenyEntry]:
    """Yield what a replica holds at ``now`` and a snapshot lacks."""
    for entry in replica.entries(now):
        before, expires = theirs.times_of(entry) or _NEVER
        if entry.before > before + _ROUNDING or entry.expires > expires + _ROUNDING:
            yield entry
