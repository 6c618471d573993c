"""Making room in the audit trail, and signing where each chain begins by then.

Whoever may write to the store must not have anything signed that way. So only what the gateway has written
counts: what it says of its own age, not the place that it is at; how many the signed heads tell, not how many
are there. And a chain gives up its events one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.settings.audit import KeepSettings
from gateway.core.audit.chain import (
    MOST_ENTRY,
    Entry,
    Keys,
    encode_first,
    is_written,
    read_anchor,
    read_entry,
    read_first,
)
from gateway.edge.audit.places import Places
from gateway.edge.audit.scripts import OLDEST, TRIM
from gateway.edge.store.store import Argument, Store
from gateway.syntax.dates import read_date
from gateway.syntax.encoding import parse_object

_BATCH: Final = 500
_MOST_BATCHES: Final = 40


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is at a place. ``entry`` is None where we have not written it; ``at`` is when it happened."""

    place: str
    entry: Entry | None
    at: float


async def trim(store: Store, keys: Keys, keep: KeepSettings, now: float) -> None:
    """Give up the oldest entries beyond the bounds, and sign where each chain begins by then.

    Raises:
        Fault: the store has not done it, or not all of it.
    """
    places, oldest = Places(store), now - keep.for_
    for _ in range(_MOST_BATCHES):
        excess = await _excess(store, places, keys, keep.most)
        if excess <= 0 and not any(each.at < oldest for each in await _oldest(store, places, keys, 1)):
            return
        gone: list[_Kept] = []
        for kept in await _oldest(store, places, keys, _BATCH):
            if len(gone) >= excess and kept.at >= oldest:
                break
            gone.append(kept)
        if not gone:
            return
        # read after the entries: another process may have made room meanwhile
        known = await _firsts(store, places, keys, gone)
        firsts = _signed(gone, known, oldest)
        told: list[Argument] = [len(firsts)]
        for chain, seq in firsts.items():
            told += [chain, encode_first(keys, chain, seq)]
        told += [each.place for each in gone]
        await store.run(TRIM, [places.log, places.who, places.by, places.firsts], told)
        if len(gone) < _BATCH:
            return


async def _oldest(store: Store, places: Places, keys: Keys, count: int) -> list[_Kept]:
    rows = await store.run(OLDEST, [places.log, places.who], ["-", "+", count])
    return [_read(keys, row) for row in rows]


def _signed(gone: Sequence[_Kept], known: Mapping[str, int], oldest: float) -> dict[str, int]:
    """Return by chain the first number that is left once these are gone, where that is to be signed."""
    firsts: dict[str, int] = {}
    for each in gone:
        entry = each.entry
        if entry is None:
            continue
        first = firsts.get(entry.chain, known.get(entry.chain, 1))
        # those before one that is too old are so as well; else each has its turn
        if entry.seq == first or (each.at < oldest and entry.seq > first):
            firsts[entry.chain] = entry.seq + 1
    return firsts


async def _excess(store: Store, places: Places, keys: Keys, most: int) -> int:
    """Return by how many there are too many, of those that we have written."""
    excess = int(await store.execute("XLEN", places.log)) - most
    if excess <= 0:
        return 0
    heads = _texts(await store.execute("HGETALL", places.heads))
    firsts = _texts(await store.execute("HGETALL", places.firsts))
    count = 0
    for chain, text in heads.items():
        head = read_anchor(chain, text)
        if head is not None and head.is_good(keys):
            count += max(head.seq + 1 - _first(keys, chain, firsts.get(chain)), 0)
    return min(excess, count - most)


async def _firsts(store: Store, places: Places, keys: Keys, gone: Sequence[_Kept]) -> dict[str, int]:
    chains = sorted({each.entry.chain for each in gone if each.entry is not None})
    if not chains:
        return {}
    told = await store.execute("HMGET", places.firsts, *chains)
    texts = [None if each is None else _text(each) for each in told]
    return {chain: _first(keys, chain, text) for chain, text in zip(chains, texts, strict=True)}


def _first(keys: Keys, chain: str, text: str | None) -> int:
    number, is_ours = (1, True) if text is None else read_first(keys, chain, text)
    return number if is_ours else 1


def _read(keys: Keys, row: Sequence[Any]) -> _Kept:
    place = _text(row[0])
    entry = read_entry(_text(row[1]))
    if entry is not None and is_written(keys, entry):
        public = parse_object(entry.public.encode(), MOST_ENTRY) or {}
        at = read_date(f"{str(public.get('time'))[:19]}Z")
        if at is not None:
            return _Kept(place, entry, at)
    return _Kept(place, None, int(place.partition("-")[0]) / 1000)


def _texts(told: object) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in told.items()} if isinstance(told, dict) else {}


def _text(value: bytes | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else value.decode("latin-1")
