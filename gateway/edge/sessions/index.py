"""The list of the sessions that the store keeps: who is logged in, since when, last seen, from where.

A session is put on the list before its record is kept, so that none lives unlisted; what idles out leaves by
itself. Lists are read in bounded pages. Nothing here leads to a token: that takes the browser's cookie.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

from gateway.core.decision.context import Knowledge
from gateway.core.sessions.called import NOBODY, Called, folded
from gateway.core.sessions.model import Session
from gateway.core.sessions.record import (
    ABOUT_PURPOSE,
    About,
    as_session,
    decode_about,
    encode_about,
    index_names,
    is_session_id,
)
from gateway.core.sessions.seal import KeyRing
from gateway.edge.revocation.denylist_log import decode_place, encode_position
from gateway.edge.sessions import scripts
from gateway.edge.sessions.called import CalledIndex
from gateway.edge.store.store import Argument, Store
from gateway.syntax.encoding import Json

MOST_PAGE = 1000
MOST_SITES = 100
"""How many sites of a session are told; it may have more."""
MOST_NOTED = 1000
"""How many sessions of one person are on the list of those that browsers keep."""
_MOST_SCANNED = 5000
_BATCH = 50
_MARGIN = 300
_MOST_TEXT = 16_384
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Listed:
    """One session as the list shows it, with the names of its records. ``seen_at`` is epoch seconds.

    ``sites`` are the origins where it has begun, the first first. ``called`` is what its person is called,
    where operators may look for them by that.
    """

    about: About
    seen_at: float
    records: tuple[str, ...]
    sites: tuple[str, ...] = ()
    called: Called = NOBODY

    def to_json(self) -> dict[str, Json]:
        """Return it as a JSON object; times are epoch seconds."""
        about = self.about
        return {
            "session_id": about.session_id,
            "provider": about.provider,
            "issuer": about.issuer,
            "subject": about.subject,
            "sid": about.sid,
            "since": about.login_at,
            "last_seen": self.seen_at,
            "ends": about.ends_at,
            "address": about.address,
            "user_agent": about.agent,
            "sites": list(self.sites),
            **self.called.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions to list: all, those of a subject or of a ``sid``; of some providers (names).

    Or those of whoever is ``called`` so, by e-mail address or user name.
    """

    subject: str | None = None
    sid: str | None = None
    providers: tuple[str, ...] = ()
    called: str | None = None


class SessionIndex:
    """The list of sessions in the store.

    Args:
        store: shared by all workers.
        knowledge: returns the configuration and the denylist of now.
        clock: wall time in seconds since the epoch.
    """

    def __init__(self, store: Store, knowledge: Callable[[], Knowledge], clock: Callable[[], float]) -> None:
        self._store = store
        self._knowledge = knowledge
        self._clock = clock
        self.called = CalledIndex(store, knowledge, self._index, self._listed)

    @property
    def _ring(self) -> KeyRing:
        return self._knowledge().runtime.ring

    def _listed(self, session_id: str) -> str:
        return self._store.key("listed", f"{{{session_id}}}")

    def _index(self, name: str) -> str:
        return self._store.key("sessions", f"{{{name}}}", "index")

    def _names(self, session: Session | About) -> list[str]:
        """Return the indexes that a session stands in, under every key of the ring."""
        names = [_ALL, *index_names(self._ring, "sub", session.issuer, session.subject)]
        if session.sid is not None:
            names += index_names(self._ring, "sid", session.issuer, session.sid)
        return names

    def _newest_names(self, about: About) -> list[str]:
        names = [_ALL, index_names(self._ring, "sub", about.issuer, about.subject)[0]]
        if about.sid is not None:
            names.append(index_names(self._ring, "sid", about.issuer, about.sid)[0])
        return names

    async def add(
        self, about: About, seen_at: float, record: str, lifetime: float, nonce: bytes, site: str = ""
    ) -> None:
        """Put a session that begins at a site on the list for ``lifetime`` seconds. Raises Fault."""
        sealed = self._ring.seal(ABOUT_PURPOSE, encode_about(about), nonce)
        life, score = int(lifetime * 1000), round(seen_at + lifetime, 3)
        key, place = self._listed(about.session_id), encode_position(about.position)
        await asyncio.gather(
            self._store.run_patiently(
                scripts.LIST, [key], [sealed, round(seen_at, 3), record, life, place, site]
            ),
            *(
                self._store.run_patiently(
                    scripts.INDEX, [self._index(name)], [about.session_id, score, life, _MARGIN]
                )
                for name in self._newest_names(about)
            ),
        )

    async def note(self, about: About, seen_at: float, until: float, nonce: bytes, site: str) -> None:
        """Tell that a session which its browser keeps was in use, and lasts ``until`` at most. Raises Fault.

        Of what is on the list already only the times change, and a site more is added.
        """
        sealed = self._ring.seal(ABOUT_PURPOSE, encode_about(about), nonce)
        life, score = max(1, int((until - seen_at) * 1000)), round(until, 3)
        key, place = self._listed(about.session_id), encode_position(about.position)
        await asyncio.gather(
            self._store.run_patiently(
                scripts.NOTE, [key], [sealed, round(seen_at, 3), life, place, site, MOST_SITES]
            ),
            *(
                self._store.run_patiently(scripts.INDEX, [self._index(name)], arguments)
                for name, arguments in self._noted_in(about, score, life)
            ),
        )

    def _noted_in(self, about: About, score: float, life: int) -> list[tuple[str, list[Argument]]]:
        everybody, *own = self._newest_names(about)
        arguments: list[Argument] = [about.session_id, score, life, _MARGIN]
        return [(everybody, arguments), *((name, [*arguments, MOST_NOTED]) for name in own)]

    async def join(self, session_id: str, site: str) -> None:
        """Put one more site on the list of a session. Raises Fault."""
        await self._store.run_patiently(scripts.JOIN, [self._listed(session_id)], [site, MOST_SITES])

    async def update(
        self, session: Session, seen_at: float, lifetime: float, records: Sequence[str] = ()
    ) -> None:
        """Tell that a session was in use, and under which records it is kept now. Raises Fault."""
        life, score = int(lifetime * 1000), round(seen_at + lifetime, 3)
        key, joined = self._listed(session.session_id), " ".join(records)
        names = [*self._names(session), *self.called.lists(self.called.by_session(session))]
        is_listed, *_ = await asyncio.gather(
            self._store.run_patiently(scripts.UPDATE, [key], [round(seen_at, 3), joined, life]),
            *(
                self._store.run_patiently(
                    scripts.REINDEX, [self._index(name)], [session.session_id, score, life]
                )
                for name in names
            ),
        )
        if is_listed and records and session.sid is not None:
            # a refresh may have brought another sid
            name = index_names(self._ring, "sid", session.issuer, session.sid)[0]
            arguments: list[Argument] = [session.session_id, score, life, _MARGIN]
            await self._store.run_patiently(scripts.INDEX, [self._index(name)], arguments)

    async def find(self, session_id: str) -> Listed | None:
        """Return a session of the list, or None where there is none, or it has ended. Raises Fault."""
        found = await self._read(session_id)
        return found if found is not None and self._lives(found) else None

    async def remove(self, listed: Listed, *, is_told: bool = True) -> None:
        """Take a session off the list, with what its records hold. Raises Fault.

        Unless its end ``is_told`` elsewhere, they go on to tell that it was revoked.
        """
        session_id = listed.about.session_id
        records = [self._store.key("session", f"{{{each}}}") for each in listed.records]
        await asyncio.gather(
            *(
                self._store.execute("DEL", each) if is_told else self._store.run(scripts.OVER, [each], [])
                for each in records
            ),
            *(
                self._store.execute("ZREM", self._index(name), session_id)
                for name in (*self._names(listed.about), *self.called.lists(listed.called))
            ),
        )
        await self._store.execute("DEL", self._listed(session_id))

    async def page(self, wanted: Filter, limit: int, cursor: str = "") -> tuple[list[Listed], str | None]:
        """Return sessions, those seen last first, and the cursor of what follows, None at the end.

        A call looks at some 5,000 at most, so a page with fewer than ``limit`` may be followed by another.

        Raises:
            Fault: the store cannot tell.
            ValueError: the cursor is not one of ours.
        """
        names = self._wanted_names(wanted)
        place, offset = _cursor(cursor, len(names))
        found: list[Listed] = []
        scanned = 0
        while place < len(names):
            ids = await self._ids(names[place], offset)
            for start in range(0, len(ids), _BATCH):
                batch = ids[start : start + _BATCH]
                for each in await asyncio.gather(*map(self._read, batch)):
                    offset, scanned = offset + 1, scanned + 1
                    if each is not None and self._lives(each) and _fits(each, wanted):
                        found.append(each)
                        if len(found) >= limit:
                            return found, f"{place}.{offset}"
            if len(ids) < MOST_PAGE:
                place, offset = place + 1, 0
            elif scanned >= _MOST_SCANNED:
                return found, f"{place}.{offset}"
        return found, None

    async def named(self, wanted: Filter) -> list[Listed]:
        """Return all sessions of a subject or a ``sid``, ended or not. Raises Fault."""
        found: dict[str, Listed] = {}
        for name in self._wanted_names(wanted):
            offset = 0
            while ids := await self._ids(name, offset):
                offset += len(ids)
                for start in range(0, len(ids), _BATCH):
                    for each in await asyncio.gather(*map(self._read, ids[start : start + _BATCH])):
                        if each is not None and _fits(each, wanted):
                            found[each.about.session_id] = each
        return list(found.values())

    async def count(self) -> int:
        """Return how many sessions have not idled out, ended ones among them for a moment. Raises Fault."""
        return int(await self._store.run(scripts.COUNT, [self._index(_ALL)], [f"{self._clock():.3f}"]))

    async def has(self, wanted: Filter) -> bool:
        """Tell whether a subject or a ``sid`` has any session that has not idled out. Raises Fault."""
        for name in self._wanted_names(wanted):
            if await self._ids(name, 0):
                return True
        return False

    async def living(self, wanted: Filter) -> list[Listed]:
        """Return all sessions of a subject or a ``sid`` that live. Raises Fault."""
        return [each for each in await self.named(wanted) if self._lives(each)]

    async def read(self, session_id: str) -> Listed | None:
        """Return what the list has of a session, ended or not. Raises Fault."""
        return await self._read(session_id)

    def _wanted_names(self, wanted: Filter) -> list[str]:
        if wanted.called is not None:
            return self.called.wanted(wanted.called)
        if wanted.subject is None and wanted.sid is None:
            return [_ALL]
        kind, value = ("sub", wanted.subject) if wanted.subject is not None else ("sid", wanted.sid)
        providers = self._knowledge().runtime.providers
        issuers = dict.fromkeys(
            each.issuer
            for name, each in providers.items()
            if not wanted.providers or name in wanted.providers
        )
        return [name for issuer in issuers for name in index_names(self._ring, kind, issuer, value or "")]

    async def _ids(self, name: str, offset: int) -> list[str]:
        reply: Iterable[bytes] = await self._store.execute(
            "ZRANGE", self._index(name), "+inf", f"({self._clock():.3f}", "BYSCORE", "REV",
            "LIMIT", offset, MOST_PAGE,
        )  # fmt: skip
        return [each.decode("latin-1") for each in reply]

    async def _read(self, session_id: str) -> Listed | None:
        if not is_session_id(session_id):
            return None
        key = self._listed(session_id)
        reply = await self._store.execute("HMGET", key, "m", "s", "r", "p", "t", "n")
        sealed, seen, records, place, sites, called = reply
        if sealed is None or len(sealed) > _MOST_TEXT:
            return None
        payload = self._ring.open(ABOUT_PURPOSE, sealed.decode("latin-1"))
        about = decode_about(payload) if payload is not None else None
        if about is None or about.session_id != session_id:
            return None
        names, origins = (tuple((each or b"").decode("latin-1").split()) for each in (records, sites))
        about = replace(about, position=decode_place(place))
        return Listed(about, time_of(seen), names, origins, self.called.open(session_id, called))

    def _lives(self, listed: Listed) -> bool:
        knowledge, now = self._knowledge(), self._clock()
        # of what browsers keep, the list has only the times of logins and refreshes, and forgets by itself
        idle = knowledge.runtime.settings.session.idle_lifetime if knowledge.runtime.keeps_records else inf
        if now >= min(listed.about.ends_at, listed.seen_at + idle):
            return False
        return not knowledge.denylist.judge_session(as_session(listed.about, listed.seen_at), now)


def _fits(listed: Listed, wanted: Filter) -> bool:
    about = listed.about
    return (
        (not wanted.providers or about.provider in wanted.providers)
        and (wanted.subject is None or about.subject == wanted.subject)
        and (wanted.sid is None or about.sid == wanted.sid)
        and (wanted.called is None or folded(wanted.called) in listed.called.exact)
    )


def _cursor(text: str, places: int) -> tuple[int, int]:
    if not text:
        return 0, 0
    place, _, offset = text.partition(".")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 9 for part in (place, offset)):
        raise ValueError("this is no cursor of a list of sessions")
    if int(place) >= places:
        raise ValueError("this cursor is of another list of sessions")
    return int(place), int(offset)


def time_of(text: bytes | None) -> float:
    """Return a time of the store in epoch seconds, 0 for whatever is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if isfinite(value) else 0.0
