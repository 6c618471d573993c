"""What an operator may do about API keys: make one, list them, revoke one. Asked and answered as JSON."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import isfinite
from typing import Final

from gateway.core.decision.context import Knowledge
from gateway.core.fault import Fault
from gateway.core.rules.entries import DenyEntry, key_end
from gateway.core.tokens.api_key import MOST_SCOPES, ApiKey
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.admin.sessions import COUNT_WITHIN, Answer
from gateway.edge.api_keys.records import MOST_KEYS, ApiKeys
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.syntax.api_keys import is_key_id, is_owner, read_digest
from gateway.syntax.encoding import Json
from gateway.syntax.urls import is_scope

MOST_PAGE: Final = 250
_MEMBERS: Final = frozenset({"id", "sha256", "owner", "scopes", "expires"})
_OFF: Final = "There are no API keys: the configuration has no section api_keys."


class _Refusal(Exception):  # noqa: N818 - a verdict about a question, no error of ours
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class KeyAdmin:
    """Answers what an operator asks about API keys.

    Args:
        keys: those of the store.
        knowledge: returns the configuration of now.
        revoke: writes entries and tells which workers hold them; raises Fault.
        audit: takes an audit event.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        keys: ApiKeys,
        knowledge: Callable[[], Knowledge],
        revoke: Callable[[list[DenyEntry], Mandate], Awaitable[Acknowledgement]],
        audit: Callable[..., None],
        clock: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._knowledge = knowledge
        self._revoke = revoke
        self._audit = audit
        self._clock = clock

    async def answer(self, action: str, fields: Mapping[str, Json], mandate: Mandate) -> Answer:
        """Answer ``create``, ``list`` or ``revoke``; docs/api-keys.md names the members.

        Raises:
            Fault: the store cannot tell, or has not taken it.
        """
        try:
            if self._knowledge().runtime.settings.api_keys is None:
                raise _Refusal(409, _OFF)  # noqa: TRY301 - one way for every refusal
            if action == "create":
                return await self._create(fields, mandate)
            if action == "list":
                return await self._list(fields)
            return await self._end(fields, mandate)
        except _Refusal as refusal:
            return Answer(refusal.status, detail=str(refusal))

    async def met(self, entry: DenyEntry) -> int | None:
        """Return how many API keys an entry is about to end; None where it names none, or nobody can tell."""
        if entry.kind != "key" or self._knowledge().runtime.settings.api_keys is None:
            return None
        try:
            async with asyncio.timeout(COUNT_WITHIN):
                found = await self._keys.find(entry.value)
        except (Fault, TimeoutError):
            return None
        return int(found is not None and not found.revoked_at)

    async def _create(self, fields: Mapping[str, Json], mandate: Mandate) -> Answer:
        key = self._read(fields)
        if key.key_id in self._knowledge().runtime.api_keys or not await self._keys.add(key):
            raise _Refusal(409, f"This id is taken, or there are {MOST_KEYS} keys already.")
        self._audit(
            "api_key_created",
            key=key.key_id,
            owner=key.owner,
            scopes=" ".join(key.scopes),
            expires=key.expires,
            **mandate,
        )
        return Answer(200, {"id": key.key_id, "created": key.created, "expires": key.expires})

    def _read(self, fields: Mapping[str, Json]) -> ApiKey:
        """Return the key that is asked for: its hash, never itself."""
        if fields.keys() != _MEMBERS:
            raise _Refusal(400, f"The members are: {', '.join(sorted(_MEMBERS))}.")
        key_id, digest, owner = (fields[name] for name in ("id", "sha256", "owner"))
        found = read_digest(digest) if isinstance(digest, str) else None
        if not isinstance(key_id, str) or not is_key_id(key_id) or found is None:
            raise _Refusal(400, "The id has 16 characters of a-z and 2-7, sha256 has 64 hex digits.")
        if not isinstance(owner, str) or not is_owner(owner):
            raise _Refusal(400, "The owner has 1 to 255 printable characters.")
        scopes = fields["scopes"]
        if not isinstance(scopes, list) or len(scopes) > MOST_SCOPES:
            raise _Refusal(400, f"The scopes are a list of at most {MOST_SCOPES}.")
        if not all(isinstance(each, str) and len(each) <= MOST_PAGE and is_scope(each) for each in scopes):
            raise _Refusal(400, "A scope is a text without white space, quote or backslash.")
        named = tuple(dict.fromkeys(str(each) for each in scopes))
        now = round(self._clock(), 3)
        return ApiKey(key_id, found, owner, named, now, self._expiry(fields["expires"], now))

    def _expiry(self, value: Json, now: float) -> float:
        settings = self._knowledge().runtime.settings.api_keys
        assert settings is not None
        most = settings.most_lifetime
        is_number = not isinstance(value, bool) and isinstance(value, int | float)
        if not is_number or not isfinite(value) or not now < value <= now + most:  # type: ignore[arg-type, operator]
            days = most / 86400
            raise _Refusal(400, f"A key expires, {days:g} days from now at the latest (most_lifetime).")
        return round(float(value), 3)  # type: ignore[arg-type]

    async def _list(self, fields: Mapping[str, Json]) -> Answer:
        cursor, owner = fields.get("cursor", "0"), fields.get("owner")
        if not isinstance(cursor, str) or not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 6):
            raise _Refusal(400, "This cursor was not given for this list.")
        if not fields.keys() <= {"cursor", "owner"}:
            raise _Refusal(400, "What may be asked for: cursor, owner.")
        found, more = await self._keys.page(int(cursor), MOST_PAGE)
        shown: list[Json] = [each.to_json() for each in found if owner in (None, each.key.owner)]
        return Answer(200, {"keys": shown, "cursor": None if more is None else str(more)})

    async def _end(self, fields: Mapping[str, Json], mandate: Mandate) -> Answer:
        key_id = fields.get("id")
        listed = await self._keys.find(key_id) if isinstance(key_id, str) and is_key_id(key_id) else None
        if listed is None:
            raise _Refusal(404, "No API key has this id.")
        entry = key_end(listed.key.key_id, listed.key.expires)
        # the entry first: it is what every worker hears of
        acknowledgement = await self._revoke([entry], mandate)
        return Answer(200, {"id": entry.value, "owner": listed.key.owner, **acknowledgement.to_json()})
