"""What an operator may ask about sessions: list them, show one, end some. Asked and answered as JSON."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.context import Knowledge
from gateway.core.entries import session_end
from gateway.core.model import DenyEntry, Json
from gateway.edge.revocations import Acknowledgement
from gateway.edge.session_index import MOST_PAGE, Filter, Listed, SessionIndex

USUAL_LIMIT: Final = 100
MOST_VALUE: Final = 1024
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "list": frozenset({"sub", "sid", "provider", "limit", "cursor"}),
    "show": frozenset({"id"}),
    "end": frozenset({"id", "sub", "sid", "provider"}),
}
_NOTHING_KEPT: Final = (
    "session.mode is cookie: sessions are kept in the browsers, and nowhere else, so there is no list. "
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


class SessionDesk:
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
        revoke: Callable[[list[DenyEntry]], Awaitable[Acknowledgement]],
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._index = index
        self._knowledge = knowledge
        self._revoke = revoke

    async def answer(self, action: str, fields: Mapping[str, str]) -> Answer:
        """Answer ``list``, ``show`` or ``end``; what may be asked for is named in docs/sessions.md.

        Raises:
            Fault: the store cannot tell.
        """
        try:
            self._check(action, fields)
            if action == "list":
                return await self._list(fields)
            if action == "show":
                return Answer(200, (await self._one(fields)).to_json())
            return await self._end(fields)
        except _Refusal as refusal:
            return Answer(refusal.status, detail=str(refusal))

    def _check(self, action: str, fields: Mapping[str, str]) -> None:
        compiled = self._knowledge().compiled
        if compiled.settings.session.mode != "redis":
            raise _Refusal(409, _NOTHING_KEPT)
        known = _KNOWN[action]
        if not fields.keys() <= known:
            raise _Refusal(400, f"What may be asked for: {', '.join(sorted(known))}.")
        if not all(0 < len(value) <= MOST_VALUE for value in fields.values()):
            raise _Refusal(400, f"Each value has 1 to {MOST_VALUE} characters.")
        if "sub" in fields and "sid" in fields:
            raise _Refusal(400, "Ask for a sub or for a sid, not for both.")
        if (provider := fields.get("provider")) is not None and provider not in compiled.providers:
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

    async def _end(self, fields: Mapping[str, str]) -> Answer:
        named = [name for name in ("id", "sub", "sid") if name in fields]
        if len(named) != 1:
            raise _Refusal(400, "Name the sessions to end by one of id, sub and sid.")
        if named == ["id"]:
            found = [await self._one(fields)]
        else:
            found = await self._index.living(_wanted(fields))
        if not found:
            raise _Refusal(404, "No session that lives is named by this.")
        now, idle = self._clock(), self._knowledge().compiled.settings.session.idle_lifetime
        entries = [session_end(each.about.session_id, each.about.ends_at, now, idle) for each in found]
        acknowledgement = await self._revoke(entries)
        return Answer(200, {"ended": len(entries), **acknowledgement.to_json()})


def _wanted(fields: Mapping[str, str]) -> Filter:
    provider = fields.get("provider")
    return Filter(fields.get("sub"), fields.get("sid"), (provider,) if provider is not None else ())
