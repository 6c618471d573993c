"""API keys that the store keeps: what it has of each, and when each was used last.

``apikey:{id}`` is a hash: ``k`` the record, sealed under the ring, so that whoever can write to the store can
make no key; ``u`` when it was used last; ``r`` when it was revoked; times are epoch seconds. Of a key of the
configuration ``u`` and ``r`` alone are kept. ``apikeys`` is a sorted set of ids, by when each expires. All of
it goes a day after the key has expired.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.core.decision.context import Knowledge
from gateway.core.decision.needs import KeyRecord, KeyUsed
from gateway.core.fault import Fault
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions.seal import NONCE_BYTES, KeyRing
from gateway.core.tokens import api_key
from gateway.core.tokens.api_key import ApiKey, StoredKey
from gateway.edge.limits.strangers import Strangers
from gateway.edge.sessions.index import time_of
from gateway.edge.store.store import Argument, Script, Store
from gateway.edge.tasks import SingleFlight, Tasks
from gateway.syntax.encoding import Json

MOST_KEYS: Final = 10_000
"""API keys in the store."""
_KEPT_AFTER: Final = 86_400.0
_BATCH: Final = 50
_FOUND_FOR: Final = 2.0
_MOST_FOUND: Final = 1024

# listed before it is kept, so that none lives unlisted; what has expired long ago makes room
_LIST = Script("""
local id, expires, most, gone = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', gone)
if redis.call('ZCARD', KEYS[1]) >= most then return 0 end
redis.call('ZADD', KEYS[1], 'NX', expires, id)
return 1
""")

_ADD = Script("""
local known = redis.call('HGET', KEYS[1], 'k')
-- a repetition of the very same command, whose first answer was lost, is still the first
if known then return known == ARGV[1] and 1 or 0 end
redis.call('HSET', KEYS[1], 'k', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")

# a mark on what is there, or is known to be by the configuration; a key that expires keeps its moment
_MARK = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 and ARGV[4] ~= '1' then return 0 end
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '') or 0
if known < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
""")

_RESEAL = Script("""
if redis.call('HGET', KEYS[1], 'k') ~= ARGV[1] then return 0 end
return redis.call('HSET', KEYS[1], 'k', ARGV[2])
""")


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as the list shows it. Times are epoch seconds, 0 for never."""

    key: ApiKey
    source: str
    used_at: float
    revoked_at: float

    def to_json(self) -> dict[str, Json]:
        """Return it as a JSON object, without its hash."""
        key = self.key
        return {
            "id": key.key_id,
            "owner": key.owner,
            "scopes": list(key.scopes),
            "created": key.created or None,
            "expires": key.expires,
            "last_used": self.used_at or None,
            "revoked": self.revoked_at or None,
            "source": self.source,
        }


class ApiKeys:
    """The keys in the store.

    Args:
        store: shared by all workers.
        knowledge: returns the configuration of now.
        strangers: bounds what is looked up for unknown keys.
        clock: wall time in seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        knowledge: Callable[[], Knowledge],
        strangers: Strangers,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._knowledge = knowledge
        self._strangers = strangers
        self._clock = clock
        self._lookups: SingleFlight[StoredKey] = SingleFlight("a look at an API key")
        self._found: dict[str, tuple[StoredKey, float]] = {}
        self._running = Tasks()
        self.looked_up = 0
        self.unknown = 0

    @property
    def _ring(self) -> KeyRing:
        return self._knowledge().runtime.ring

    def _key(self, key_id: str) -> str:
        return self._store.key("apikey", f"{{{key_id}}}")

    @property
    def _index(self) -> str:
        return self._store.key("apikeys")

    def stats(self) -> dict[str, float]:
        """Return what was counted, by short names."""
        return {"lookups_total": float(self.looked_up), "unknown_total": float(self.unknown)}

    async def fetch(self, need: KeyRecord) -> StoredKey:
        """Return what the store has of a key.

        Raises:
            Fault: the store cannot tell, and there is nothing else to go on with; or its address has brought
                too many unknown keys.
        """
        found = self._found.get(need.key_id)
        # many secrets under one id cause one look in two seconds; revocations are pushed meanwhile
        if found is not None and 0 <= self._clock() - found[1] < _FOUND_FOR:
            return found[0]
        if not need.is_known and need.key_id not in self._lookups:
            async with self._strangers.looking(need.by) as look:
                stored = await self._join(need.key_id)
                look.found = bool(stored.sealed)
            self.unknown += not stored.sealed
            return stored
        try:
            return await self._join(need.key_id)
        except Fault:
            if need.is_known:
                return StoredKey(is_away=True)
            raise

    def known(self, key_id: str) -> tuple[StoredKey, float] | None:
        """Return what was looked up last of a key, and when (epoch seconds), or None; nothing is asked."""
        return self._found.get(key_id)

    async def _join(self, key_id: str) -> StoredKey:
        return await self._lookups.join(key_id, lambda: self._look_up(key_id))

    async def _look_up(self, key_id: str) -> StoredKey:
        self.looked_up += 1
        sealed, revoked = await self._store.execute("HMGET", self._key(key_id), "k", "r")
        stored = StoredKey(_text(sealed), revoked is not None)
        if stored.sealed:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[key_id] = stored, self._clock()
        return stored

    async def used(self, need: KeyUsed) -> None:
        """Begin to keep that a key was used; nobody waits for it."""
        self._running.start(self._mark("u", need.key_id, need.expires, is_known=True))

    async def _mark(self, name: str, key_id: str, expires: float, *, is_known: bool) -> None:
        now = self._clock()
        lifetime = int((max(expires - now, 0.0) + _KEPT_AFTER) * 1000)
        arguments: list[Argument] = [name, round(now, 3), lifetime, "1" if is_known else "0"]
        await self._store.run(_MARK, [self._key(key_id)], arguments)

    async def add(self, key: ApiKey) -> bool:
        """Keep a new key; False where there are too many, or its id is taken. Raises Fault."""
        now = self._clock()
        listing: list[Argument] = [key.key_id, round(key.expires, 3), MOST_KEYS, round(now - _KEPT_AFTER, 3)]
        if not await self._store.run_patiently(_LIST, [self._index], listing):
            return False
        sealed = self._ring.seal(api_key.PURPOSE, api_key.encode(key), os.urandom(NONCE_BYTES))
        lifetime = int((key.expires - now + _KEPT_AFTER) * 1000)
        return bool(await self._store.run_patiently(_ADD, [self._key(key.key_id)], [sealed, lifetime]))

    async def find(self, key_id: str) -> ListedKey | None:
        """Return a key of the configuration or the store, None where there is none. Raises Fault."""
        sealed, used, revoked = await self._store.execute("HMGET", self._key(key_id), "k", "u", "r")
        own = self._knowledge().runtime.api_keys.get(key_id)
        key = own or self._opened(key_id, _text(sealed))
        if key is None:
            return None
        source = "configuration" if own is not None else "store"
        return ListedKey(key, source, time_of(used), time_of(revoked))

    async def page(self, start: int, limit: int) -> tuple[list[ListedKey], int | None]:
        """Return the keys from a place on, those of the configuration first, and where more follow.

        Raises:
            Fault: the store cannot tell.
        """
        own = list(self._knowledge().runtime.api_keys)
        ids = own[start : start + limit]
        if len(ids) < limit:
            first = max(0, start - len(own))
            last = first + limit - len(ids) - 1
            more = await self._store.execute("ZRANGE", self._index, first, last)
            ids += [_text(each) for each in more]
        found: list[ListedKey] = []
        # one of the store that stands in the configuration by now is listed there
        wanted = [each for at, each in enumerate(ids) if start + at < len(own) or each not in own]
        for place in range(0, len(wanted), _BATCH):
            told = await asyncio.gather(*map(self.find, wanted[place : place + _BATCH]))
            found += [each for each in told if each is not None]
        return found, start + len(ids) if len(ids) == limit else None

    async def revoked(self, key_id: str, expires: float) -> None:
        """Mark a key as revoked, beside its entry in the denylist. Raises Fault."""
        self._found.pop(key_id, None)
        is_known = key_id in self._knowledge().runtime.api_keys
        await self._mark("r", key_id, expires, is_known=is_known)

    def clear(self, entries: Iterable[DenyEntry]) -> None:
        """Mark the keys that entries name, behind the caller's back."""
        for each in entries:
            if each.kind == "key":
                self._running.start(self.revoked(each.value, each.expires))

    def reseal(self) -> None:
        """Begin to seal under the newest secret key what older ones have sealed, so that they can go."""
        self._running.start(self._reseal())

    async def _reseal(self) -> None:
        for each in await self._store.execute("ZRANGE", self._index, 0, -1):
            key_id = _text(each)
            name, ring = self._key(key_id), self._ring
            (found,) = await self._store.execute("HMGET", name, "k")
            sealed = _text(found)
            payload = ring.open(api_key.PURPOSE, sealed) if sealed and not ring.is_newest(sealed) else None
            if payload is not None:
                anew = ring.seal(api_key.PURPOSE, payload, os.urandom(NONCE_BYTES))
                await self._store.run(_RESEAL, [name], [sealed, anew])

    def _opened(self, key_id: str, sealed: str) -> ApiKey | None:
        payload = self._ring.open(api_key.PURPOSE, sealed) if sealed else None
        key = api_key.decode(payload) if payload is not None else None
        return key if key is not None and key.key_id == key_id else None

    async def drain(self) -> None:
        """Wait until what was begun is kept."""
        await self._running.drain()

    async def close(self) -> None:
        """Give up whatever is under way."""
        await self._running.close()
        await self._lookups.close()


def _text(value: bytes | None) -> str:
    return "" if value is None or len(value) > api_key.MOST_RECORD else value.decode("latin-1")
