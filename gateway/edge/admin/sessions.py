"""What an operator may ask about sessions: list them, show one, end some. Asked and answered as JSON."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.core.decision.context import Knowledge
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry, session_end
from gateway.core.sessions.record import as_session
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.edge.sessions.index import MOST_PAGE, Filter, Listed, SessionIndex
from gateway.syntax.encoding import Json

USUAL_LIMIT: Final = 100
MOST_VALUE: Final = 1024
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "list": frozenset({"sub", "sid", "provider", "limit", "cursor"}),
    "show": frozenset({"id"}),
    "end": frozenset({"id", "sub", "sid", "provider"}),
}
COUNT_WITHIN: Final = 2.0
_NOTHING_KEPT: Final = (
    "session.mode is cookie: sessions are kept in the browsers, and without session.index there is no list. "
    "POST /revoke ends them by sub, sid or session."
)


class _Refusal(Exception):  # noqa: N818 - a verdict about a question, no error of ours
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and its document; where the status is not 200, ``detail`` says why instead."""

    status: int
    document: dict[str, Json] = field(default_factory=dict)
    detail: str = ""


class SessionAdmin:
    """Answers an operator's questions about sessions.

    Args:
        index: the list of sessions.
        knowledge: returns the configuration of now.
        revoke: writes entries and tells which workers hold them; raises Fault.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        index: SessionIndex,
        knowledge: Callable[[], Knowledge],
        revoke: Callable[[list[DenyEntry], Mandate], Awaitable[Acknowledgement]],
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._index = index
        self._knowledge = knowledge
        self._revoke = revoke

    async def answer(self, action: str, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        """Answer ``list``, ``show`` or ``end``; what may be asked for is named in docs/sessions.md.

        Who asks, and why, is kept in the audit log where something ends.

        Raises:
            Fault: the store cannot tell.
        """
        try:
            self._check(action, fields)
            if action == "list":
                return await self._list(fields)
            if action == "show":
                return Answer(200, (await self._one(fields)).to_json())
            return await self._end(fields, mandate)
        except _Refusal as refusal:
            return Answer(refusal.status, detail=str(refusal))

    def _check(self, action: str, fields: Mapping[str, str]) -> None:
        runtime = self._knowledge().runtime
        if not runtime.settings.session.lists_sessions:
            raise _Refusal(409, _NOTHING_KEPT)
        known = _KNOWN[action]
        if not fields.keys() <= known:
            raise _Refusal(400, f"What may be asked for: {', '.join(sorted(known))}.")
        if not all(0 < len(value) <= MOST_VALUE for value in fields.values()):
            raise _Refusal(400, f"Each value has 1 to {MOST_VALUE} characters.")
        if "sub" in fields and "sid" in fields:
            raise _Refusal(400, "Ask for a sub or for a sid, not for both.")
        if (provider := fields.get("provider")) is not None and provider not in runtime.providers:
            raise _Refusal(400, "No provider has this name.")

    async def _list(self, fields: Mapping[str, str]) -> Answer:
        limit = fields.get("limit", str(USUAL_LIMIT))
        if not (limit.isascii() and limit.isdecimal() and len(limit) <= 9 and 1 <= int(limit) <= MOST_PAGE):
            raise _Refusal(400, f"limit is a number from 1 to {MOST_PAGE}.")
        try:
            found, cursor = await self._index.page(_wanted(fields), int(limit), fields.get("cursor", ""))
        except ValueError:
            raise _Refusal(400, "This cursor was not given for this list.") from None
        return Answer(200, {"sessions": [each.to_json() for each in found], "cursor": cursor})

    async def _one(self, fields: Mapping[str, str]) -> Listed:
        found = await self._index.find(fields.get("id", ""))
        if found is None:
            raise _Refusal(404, "No session that lives has this id.")
        return found

    async def met(self, entry: DenyEntry) -> int | None:
        """Return how many sessions that live an entry is about to end; None where nobody can tell."""
        knowledge = self._knowledge()
        if not knowledge.runtime.settings.session.lists_sessions or entry.kind in ("jti", "key"):
            return None
        try:
            async with asyncio.timeout(COUNT_WITHIN):
                if entry.kind == "session":
                    return int(await self._index.find(entry.value) is not None)
                if entry.kind == "all" and not entry.issuer:
                    return await self._index.count()
                return await self._count(entry, knowledge)
        except (Fault, TimeoutError):
            return None

    async def bounded(self, entry: DenyEntry) -> DenyEntry:
        """Return the entry, no longer than the session that it names lives, where that is known."""
        if entry.kind == "session" and self._knowledge().runtime.settings.session.lists_sessions:
            with contextlib.suppress(Fault):
                listed = await self._index.read(entry.value)
                if listed is not None and listed.about.ends_at < entry.expires:
                    return replace(entry, expires=listed.about.ends_at)
        return entry

    async def _count(self, entry: DenyEntry, knowledge: Knowledge) -> int:
        providers = knowledge.runtime.providers
        names = tuple(name for name, each in providers.items() if each.issuer == entry.issuer)
        subject = entry.value if entry.kind == "sub" else None
        wanted = Filter(subject, entry.value if entry.kind == "sid" else None, names)
        alone, now, count, cursor = Denylist(), self._clock(), 0, ""
        alone.add(entry)
        while True:
            found, more = await self._index.page(wanted, MOST_PAGE, cursor)
            count += sum(alone.judge_session(as_session(each.about, each.seen_at), now) for each in found)
            if more is None:
                return count
            cursor = more

    async def _end(self, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        named = [name for name in ("id", "sub", "sid") if name in fields]
        if len(named) != 1 or (named == ["id"] and "provider" in fields):
            raise _Refusal(400, "Name the sessions to end by one of id, sub and sid.")
        if named == ["id"]:
            found = [await self._one(fields)]
        else:
            found = await self._index.living(_wanted(fields))
        if not found:
            raise _Refusal(404, "No session that lives is named by this.")
        now, idle = self._clock(), self._knowledge().runtime.settings.copies_last
        entries = [session_end(each.about.session_id, each.about.ends_at, now, idle) for each in found]
        acknowledgement = replace(await self._revoke(entries, mandate), sessions=len(entries))
        return Answer(200, {"ended": len(entries), **acknowledgement.to_json()})


def _wanted(fields: Mapping[str, str]) -> Filter:
    provider = fields.get("provider")
    return Filter(fields.get("sub"), fields.get("sid"), (provider,) if provider is not None else ())
