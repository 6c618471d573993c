"""What an operator may ask the audit trail: list it, forget a person, walk its chains. Asked as JSON."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Final

from gateway.core.decision.context import Knowledge
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.admin.sessions import Answer
from gateway.edge.audit.places import PLACE
from gateway.edge.audit.reading import MOST_PAGE, AuditTrail, Question
from gateway.syntax.dates import read_date
from gateway.syntax.encoding import Json

MOST_VALUE: Final = 1024
KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "list": frozenset({"sub", "issuer", "session", "event", "path", "since", "until", "limit", "before"}),
    "forget": frozenset({"sub", "issuer"}),
    "chain": frozenset({"after", "limit"}),
    "heads": frozenset(),
}
"""Parameters by what is asked."""
_OFF: Final = "The audit trail is not kept: the configuration has no audit.keep."


class _Refusal(Exception):  # noqa: N818 - a verdict about a question, no error of ours
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class AuditAdmin:
    """Answers what an operator asks of the audit trail.

    Args:
        trail: what the store keeps.
        knowledge: returns the configuration of now.
        audit: takes an audit event.
    """

    def __init__(
        self, trail: AuditTrail, knowledge: Callable[[], Knowledge], audit: Callable[..., None]
    ) -> None:
        self._trail = trail
        self._knowledge = knowledge
        self._audit = audit

    async def answer(self, action: str, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        """Answer ``list``, ``forget``, ``chain`` or ``heads``; docs/audit.md names the parameters.

        Raises:
            Fault: the store cannot tell.
        """
        try:
            self._check(action, fields)
            if action == "list":
                return await self._list(fields)
            if action == "forget":
                return await self._forget(fields, mandate)
            if action == "chain":
                return await self._chain(fields)
            anchors = await self._trail.anchors()
            return Answer(200, {name: dict(told) for name, told in anchors.items()})
        except _Refusal as refusal:
            return Answer(refusal.status, detail=str(refusal))

    def _check(self, action: str, fields: Mapping[str, str]) -> None:
        known = KNOWN.get(action)
        if known is None:
            raise _Refusal(404, "There is GET /audit, DELETE /audit, GET /audit/chain and GET /audit/heads.")
        if fields.keys() - known:
            raise _Refusal(400, f"The parameters are: {', '.join(sorted(known)) or 'none'}.")
        if any(not 0 < len(value) <= MOST_VALUE for value in fields.values()):
            raise _Refusal(400, f"A parameter has 1 to {MOST_VALUE} characters.")
        # what was kept can be read and forgotten once nothing more is, as long as something is there
        if action == "list" and self._knowledge().runtime.settings.audit.keep is None:
            raise _Refusal(409, _OFF)

    async def _list(self, fields: Mapping[str, str]) -> Answer:
        page = await self._trail.read(
            Question(
                subject=fields.get("sub"),
                issuer=fields.get("issuer"),
                session=fields.get("session"),
                event=fields.get("event"),
                path=fields.get("path"),
                since=_time(fields, "since"),
                until=_time(fields, "until"),
                before=_place(fields, "before"),
                limit=_count(fields),
            )
        )
        entries: list[Json] = [*page.entries]
        return Answer(200, {"entries": entries, "before": page.before})

    async def _forget(self, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        subject = fields.get("sub")
        if subject is None:
            raise _Refusal(400, "Name whom to forget: sub.")
        count = await self._trail.forget(subject, fields.get("issuer"))
        # whom, it does not say: that would keep what was to go
        self._audit("audit_forgotten", entries=count, **mandate)
        return Answer(200, {"forgotten": count})

    async def _chain(self, fields: Mapping[str, str]) -> Answer:
        entries, after = await self._trail.walk(_place(fields, "after") or "", _count(fields))
        told: list[Json] = [*entries]
        return Answer(200, {"entries": told, "after": after})


def _time(fields: Mapping[str, str], name: str) -> float | None:
    text = fields.get(name)
    if text is None:
        return None
    try:
        found: float | None = float(text) if text.isascii() else None
    except ValueError:
        found = read_date(text)
    if found is None or not isfinite(found) or not 0 <= found < 1e10:
        raise _Refusal(400, f"{name} is a time: 2026-01-31T12:00:00Z, or epoch seconds.")
    return found


def _place(fields: Mapping[str, str], name: str) -> str | None:
    text = fields.get(name)
    if text is not None and PLACE.fullmatch(text) is None:
        raise _Refusal(400, f"{name} is what an earlier answer told.")
    return text


def _count(fields: Mapping[str, str]) -> int:
    text = fields.get("limit", "100")
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= MOST_PAGE:
        raise _Refusal(400, f"limit is a number from 1 to {MOST_PAGE}.")
    return int(text)
