"""Reading the audit trail: what it has of somebody, of a place, of a time; and forgetting somebody."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.audit.chain import Entry, Keys, commit, encode_mark, is_written, read_entry
from gateway.core.audit.verify import SEALED
from gateway.core.sessions.seal import KeyRing
from gateway.edge.audit.places import PLACE, SEAL, Places, index_name, keys_of, member
from gateway.edge.audit.scripts import FORGET, NAMED, NEWEST, OLDEST
from gateway.edge.store.store import Argument, Store
from gateway.syntax.encoding import Json, parse_object

MOST_PAGE: Final = 1000
"""Entries of one answer."""
MOST_ANSWER: Final = 1 << 19
"""Bytes of the entries of one answer, but for the last of them."""
MOST_LOOKED: Final = 20_000
"""Entries that one question looks at; the answer says from where on to ask again."""
_BATCH: Final = 500
_FORGET_BATCH: Final = 200
_MOST_PERSONAL: Final = 65_536


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; what is None is not asked. Times are epoch seconds.

    ``path`` is the beginning of a path: ``/admin`` is ``/admin`` itself and what is below it. ``before`` is
    the cursor of an earlier answer.
    """

    subject: str | None = None
    issuer: str | None = None
    session: str | None = None
    event: str | None = None
    path: str | None = None
    since: float | None = None
    until: float | None = None
    before: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Events, the newest first, each with its ``id``; ``before`` leads on, and is None at the end."""

    entries: list[dict[str, Json]]
    before: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry with its place.

    ``personal`` is None where it was forgotten, which ``mark`` tells, or sealed by a key that is not there.
    """

    place: str
    entry: Entry
    personal: str | None
    mark: str

    def members(self) -> dict[str, Json]:
        """Return what the event tells."""
        public = parse_object(self.entry.public.encode(), _MOST_PERSONAL) or {}
        told = parse_object((self.personal or "{}").encode(), _MOST_PERSONAL) or {}
        told.pop("salt", None)
        return {**public, **told, "id": self.place, "chain": self.entry.chain, "seq": self.entry.seq}

    def is_as_written(self, keys: Keys) -> bool:
        """Tell whether one of these keys has signed it, with what is personal in it, if that is there."""
        is_its_own = self.personal is None or commit(self.personal) == self.entry.commitment
        return is_its_own and is_written(keys, self.entry)


class AuditTrail:
    """What the store keeps.

    Args:
        store: shared by all.
        ring: returns the key ring of now.
    """

    def __init__(self, store: Store, ring: Callable[[], KeyRing]) -> None:
        self._store = store
        self._places = Places(store)
        self._ring = ring

    async def read(self, question: Question) -> Page:
        """Return the events that are asked for, the newest first. Raises Fault: the store cannot tell."""
        found: list[dict[str, Json]] = []
        size = 0
        names, keys = self._index_names(question), keys_of(self._ring())
        newest, looked = _newest(question), 0
        while newest is not None and looked < MOST_LOOKED:
            rows = await self._rows(question, names, newest, _BATCH)
            for row in rows:
                kept = self._kept(row)
                if kept is not None and _is_meant(question, told := self._told(kept)):
                    if not kept.is_as_written(keys):
                        told["unverified"] = True
                    found.append(told)
                    size += len(kept.entry.public) + len(kept.personal or "")
                    if len(found) >= min(question.limit, MOST_PAGE) or size > MOST_ANSWER:
                        return Page(found, kept.place)
            looked += len(rows)
            newest = f"({_text(rows[-1][0])}" if len(rows) == _BATCH else None
            # a long walk is no reason for requests to wait
            await asyncio.sleep(0)
        return Page(found, newest.removeprefix("(") if newest is not None else None)

    def _told(self, kept: Kept) -> dict[str, Json]:
        told = kept.members()
        if kept.personal is None:
            told["forgotten" if kept.mark else "unreadable"] = True
        return told

    def _index_names(self, question: Question) -> list[str]:
        """Return the names of whoever is asked for, under every key; none where nobody in particular is."""
        kind = "session" if question.session is not None else "subject"
        value = question.session if question.session is not None else question.subject
        if value is None:
            return []
        return [index_name(seed, kind, value) for seed in keys_of(self._ring()).seeds.values()]

    async def _rows(
        self, question: Question, names: Sequence[str], newest: str, count: int
    ) -> list[tuple[Any, Any, Any]]:
        """Return places, entries and personal parts, the newest first."""
        places, oldest = self._places, _oldest(question)
        if not names:
            return list(await self._store.run(NEWEST, [places.log, places.who], [newest, oldest, count]))
        rows: list[tuple[Any, Any, Any]] = []
        for name in names:
            keys: list[Argument] = [*_range(name, newest, oldest), count, len(name) + 1]
            rows += await self._store.run(NAMED, [places.log, places.who, places.by], keys)
        rows.sort(key=lambda row: _order(_text(row[0])), reverse=True)
        return rows[:count]

    def _kept(self, row: tuple[Any, Any, Any]) -> Kept | None:
        entry, who = read_entry(_text(row[1])), _text(row[2])
        if entry is None:
            return None
        if who.startswith("!"):
            return Kept(_text(row[0]), entry, None, who[1:])
        opened = self._ring().open(SEAL, who.partition("|")[2])
        return Kept(_text(row[0]), entry, None if opened is None else opened.decode("utf-8", "replace"), "")

    async def forget(self, subject: str, issuer: str | None = None) -> int:
        """Forget what is personal in every event of somebody; return how many there were. Raises Fault."""
        question = Question(subject=subject, issuer=issuer)
        names, count, newest = self._index_names(question), 0, "+"
        while True:
            rows = await self._rows(question, names, newest, _FORGET_BATCH)
            kept = [each for row in rows if (each := self._kept(row)) is not None]
            count += await self._erase([each for each in kept if _is_whose(question, each.members())])
            if len(rows) < _FORGET_BATCH:
                return count
            newest = f"({_text(rows[-1][0])}"

    async def _erase(self, kept: Sequence[Kept]) -> int:
        if not kept:
            return 0
        keys, told = keys_of(self._ring()), list[Argument]()
        for each in kept:
            # whoever may write to the store may have put it there: it goes, and nothing is signed for it
            is_ours = each.is_as_written(keys)
            told += [each.place, encode_mark(keys, each.entry) if is_ours else f"{keys.newest} -"]
        places = self._places
        return int(await self._store.run(FORGET, [places.log, places.who, places.by], told))

    async def walk(self, after: str, limit: int) -> tuple[list[dict[str, Json]], str | None]:
        """Return entries as they are kept, the oldest first, and from where on to ask again. Raises Fault."""
        start = f"({after}" if after else "-"
        places = self._places
        rows = await self._store.run(OLDEST, [places.log, places.who], [start, "+", limit])
        told: list[dict[str, Json]] = []
        size = 0
        for row in rows:
            told.append(self._raw(row))
            size += len(_text(row[1])) + len(_text(row[2]))
            if size > MOST_ANSWER:
                break
        return told, _text(rows[len(told) - 1][0]) if len(told) == limit or size > MOST_ANSWER else None

    def _raw(self, row: tuple[Any, Any, Any]) -> dict[str, Json]:
        kept = self._kept(row)
        if kept is None:
            return {"id": _text(row[0]), "entry": None}
        # there, and sealed by a key that is not
        is_sealed = kept.personal is None and not kept.mark and _text(row[2])
        mark = SEALED if is_sealed else kept.mark
        return {"id": kept.place, "entry": _text(row[1]), "personal": kept.personal, "mark": mark}

    async def anchors(self) -> dict[str, dict[str, str]]:
        """Return the anchors of chains: their heads, where each begins by now, and the heads of files.

        Raises:
            Fault: the store cannot tell.
        """
        places = {"heads": self._places.heads, "firsts": self._places.firsts, "files": self._places.files}
        return {name: _texts(await self._store.execute("HGETALL", place)) for name, place in places.items()}


def _newest(question: Question) -> str | None:
    """Return the newest place to look at, None where there can be none."""
    if question.before is not None:
        # nothing is before the first place that there can be
        return f"({question.before}" if _order(question.before) > (0, 0) else None
    if question.until is not None:
        return str(max(int(question.until * 1000), 0))
    return "+"


def _oldest(question: Question) -> str:
    return "-" if question.since is None else str(max(int(question.since * 1000), 0))


def _range(name: str, newest: str, oldest: str) -> tuple[str, str]:
    """Return the greatest and the least member of the index under a name."""
    if newest == "+":
        # what comes after the colon
        upper = f"({name};"
    elif newest.startswith("("):
        upper = f"({member(name, newest[1:])}"
    else:
        upper = f"[{member(name, f'{newest}-99999999')}"
    return upper, f"[{name}:" if oldest == "-" else f"[{member(name, f'{oldest}-0')}"


def _order(place: str) -> tuple[int, int]:
    found = PLACE.fullmatch(place)
    return (0, 0) if found is None else (int(found["ms"]), int(found["n"]))


def _is_meant(question: Question, told: Mapping[str, Json]) -> bool:
    if question.event is not None and told.get("event") != question.event:
        return False
    if question.session is not None and question.session not in _values(told, "session", "session"):
        return False
    if question.path is not None and not _is_below(told.get("path"), question.path):
        return False
    return _is_whose(question, told)


def _is_whose(question: Question, told: Mapping[str, Json]) -> bool:
    if question.subject is None:
        return question.issuer is None or told.get("issuer") == question.issuer
    issuers = (None, "", question.issuer)
    is_theirs = question.subject in _values(told, "subject", "sub")
    return is_theirs and (question.issuer is None or told.get("issuer") in issuers)


def _values(told: Mapping[str, Json], name: str, kind: str) -> Iterator[Json]:
    """Yield whom an event is about: who did it, whose key it is, or who was revoked."""
    yield told.get(name)
    if kind == "sub":
        yield told.get("owner")
    if told.get("kind") == kind:
        yield told.get("value")


def _is_below(path: Json, prefix: str) -> bool:
    if not isinstance(path, str):
        return False
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _texts(told: object) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in told.items()} if isinstance(told, dict) else {}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
