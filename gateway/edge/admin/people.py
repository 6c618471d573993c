"""What an operator may ask about people who are logged in: who is found by a name, an address or an id."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.core.decision.context import Knowledge
from gateway.core.sessions.called import folded
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.admin.sessions import Answer
from gateway.edge.sessions.index import MOST_PAGE, Filter, Listed, SessionIndex
from gateway.syntax.encoding import Json

MOST_TERM: Final = 200
_MOST_PEOPLE: Final = 50
_MOST_EXACT: Final = 200
_SECONDS: Final = 2.0
_START: Final = "0.0"
_NO_LIST: Final = "Sessions are kept in the browsers (session.mode: cookie), and session.index is off."


class PeopleAdmin:
    """Looks for people on the list of sessions.

    Args:
        index: the list.
        knowledge: returns the configuration of now.
    """

    def __init__(self, index: SessionIndex, knowledge: Callable[[], Knowledge]) -> None:
        self._index = index
        self._knowledge = knowledge

    async def answer(self, action: str, fields: Mapping[str, str], _mandate: Mandate) -> Answer:
        """Answer ``search``: ``people`` who are found by ``q``, or all, and the ``cursor`` of what follows.

        A subject, a session, a ``sid``, an e-mail address and a user name are found at once, as they are;
        parts of a name by looking at everybody, some thousand at a time.

        Raises:
            Fault: the store cannot tell.
        """
        if action != "search" or not fields.keys() <= {"q", "cursor"}:
            return Answer(400, detail="What may be asked for: search, with q and cursor.")
        term, cursor = fields.get("q", "").strip(), fields.get("cursor", "")
        if len(term) > MOST_TERM:
            return Answer(400, detail=f"A term has {MOST_TERM} characters at most.")
        if not self._knowledge().runtime.settings.session.lists_sessions:
            return Answer(409, detail=_NO_LIST)
        if term and not cursor and (found := await self._exactly(term)):
            return Answer(200, {"people": _grouped(found), "cursor": _START, "is_exact": True})
        try:
            return await self._everywhere(term, cursor)
        except ValueError:
            return Answer(400, detail="This cursor was not given for this list.")

    async def _exactly(self, term: str) -> list[Listed]:
        """Return the sessions that a term names as it is."""
        found: dict[str, Listed] = {}
        if (one := await self._index.find(term)) is not None:
            found[one.about.session_id] = one
        for wanted in (Filter(called=term), Filter(subject=term), Filter(sid=term)):
            page, _ = await self._index.page(wanted, _MOST_EXACT)
            found |= {each.about.session_id: each for each in page}
        return list(found.values())

    async def _everywhere(self, term: str, cursor: str) -> Answer:
        """Look at everybody, from a cursor on, for as long as somebody waits for the answer."""
        wanted, found, more = folded(term), [], cursor
        loop = asyncio.get_running_loop()
        until = loop.time() + _SECONDS
        people: set[tuple[str, str]] = set()
        while True:
            page, following = await self._index.page(Filter(), MOST_PAGE, more)
            for each in page:
                if wanted in _words(each):
                    found.append(each)
                    people.add((each.about.issuer, each.about.subject))
            if following is None or len(people) >= _MOST_PEOPLE or loop.time() > until:
                return Answer(200, {"people": _grouped(found), "cursor": following, "is_exact": False})
            more = following


def _words(listed: Listed) -> str:
    about, called = listed.about, listed.called
    # no term has a line feed, so that none is found across two of them
    return folded("\n".join((called.name, called.email, called.username, about.subject, about.sid or "")))


def _grouped(found: Iterable[Listed]) -> list[Json]:
    """Return the people of sessions, those seen last first."""
    people: dict[tuple[str, str], list[Listed]] = {}
    for each in found:
        people.setdefault((each.about.provider, each.about.subject), []).append(each)
    told: list[dict[str, Json]] = []
    for (provider, subject), sessions in people.items():
        newest = max(sessions, key=lambda each: each.seen_at)
        told.append(
            {
                "provider": provider,
                "issuer": newest.about.issuer,
                "subject": subject,
                "sessions": len(sessions),
                "last_seen": newest.seen_at,
                **newest.called.to_json(),
            }
        )
    told.sort(key=lambda each: -float(str(each["last_seen"])))
    return [*told[: 4 * _MOST_PEOPLE]]
