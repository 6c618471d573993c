"""The local replica of the denylist: who and what has been revoked, judged without a round trip.

Merging keeps the later ``before`` and the later ``expires``, so the order in which entries arrive, and how
often, does not matter. A bearer token is judged by ``iat`` (absent counts as 0), a session by its login time;
``jti`` and ``session`` name one thing each and hold whenever that was issued.
"""

import heapq
from collections.abc import Iterator
from math import inf, isnan
from typing import TypeAlias

from gateway.core.model import DenyEntry, EntryKind, Identity, Session

Key: TypeAlias = tuple[str, str]
Span: TypeAlias = tuple[float, float]

_SLACK = 64


class Denylist:
    """What is refused now. ``version`` changes whenever an entry is added, widened or gone.

    ``synchronised_at`` (epoch seconds) is when the replica was last known to equal the store, None before the
    first time; whoever keeps it in step sets it.
    """

    __slots__ = ("_kinds", "_queue", "_size", "synchronised_at", "version")

    def __init__(self) -> None:
        self.synchronised_at: float | None = None
        self.version = 0
        self._size = 0
        self._kinds: dict[EntryKind, dict[Key, Span]] = {
            "jti": {},
            "sid": {},
            "sub": {},
            "session": {},
            "all": {},
        }
        self._queue: list[tuple[float, EntryKind, Key]] = []

    def __len__(self) -> int:
        return self._size

    def add(self, entry: DenyEntry) -> None:
        """Merge one entry. A time that is no number counts as the latest, which refuses more, not less."""
        kind = entry.kind
        table = self._kinds[kind]
        key = ("" if kind == "session" else entry.issuer, "" if kind == "all" else entry.value)
        before = inf if isnan(entry.before) else entry.before
        expires = inf if isnan(entry.expires) else entry.expires
        known = table.get(key)
        if known is None:
            self._size += 1
            table[key] = (before, expires)
            heapq.heappush(self._queue, (expires, kind, key))
        else:
            merged = (max(before, known[0]), max(expires, known[1]))
            if merged == known:
                return
            table[key] = merged
            if expires > known[1]:
                self._requeue(expires, kind, key)
        self.version += 1

    def _requeue(self, expires: float, kind: EntryKind, key: Key) -> None:
        # an extended entry leaves its old place in the queue behind; too many of those, and it is built anew
        if len(self._queue) <= 2 * self._size + _SLACK:
            heapq.heappush(self._queue, (expires, kind, key))
            return
        self._queue = [
            (span[1], each, name) for each, table in self._kinds.items() for name, span in table.items()
        ]
        heapq.heapify(self._queue)

    def expire(self, now: float) -> int:
        """Drop the entries that have expired at ``now`` (epoch seconds); return how many."""
        queue, gone = self._queue, 0
        while queue and queue[0][0] <= now:
            _, kind, key = heapq.heappop(queue)
            table = self._kinds[kind]
            span = table.get(key)
            if span is not None and span[1] <= now:
                del table[key]
                gone += 1
        if gone:
            self._size -= gone
            self.version += 1
        return gone

    def entries(self, now: float) -> Iterator[DenyEntry]:
        """Yield the entries that hold at ``now``: what is written back after the store lost its data."""
        for kind, table in self._kinds.items():
            for (issuer, value), (before, expires) in list(table.items()):
                if now < expires:
                    yield DenyEntry(kind, issuer, value, before, expires)

    def is_fresh(self, now: float, max_staleness: float) -> bool:
        """Tell whether the replica was in step at most ``max_staleness`` seconds ago.

        A clock that was set back by more than that makes it stale: how old it is can no longer be told.
        """
        at = self.synchronised_at
        return at is not None and abs(now - at) <= max_staleness

    def judge(self, identity: Identity, now: float) -> bool:
        """Tell whether this identity has been revoked (R44)."""
        if not self._size:
            return False
        return (
            identity.jti is not None and self._names("jti", (identity.issuer, identity.jti), now)
        ) or self._judge(
            identity.issuer, identity.subject, identity.sid, identity.session_id, identity.issued_at, now
        )

    def names_session(self, session_id: str, now: float) -> bool:
        """Tell whether one session has been ended by its id: what can be told before its record is known."""
        return bool(self._size) and self._names("session", ("", session_id), now)

    def judge_session(self, session: Session, now: float) -> bool:
        """Tell whether this session has been revoked, by its id, or by its login time (R44)."""
        if not self._size:
            return False
        return self._judge(
            session.issuer, session.subject, session.sid, session.session_id, session.login_at, now
        )

    def _judge(
        self, issuer: str, subject: str, sid: str | None, session_id: str | None, issued: float, now: float
    ) -> bool:
        return (
            (session_id is not None and self._names("session", ("", session_id), now))
            or (sid is not None and self._covers("sid", (issuer, sid), issued, now))
            or self._covers("sub", (issuer, subject), issued, now)
            or self._covers("all", (issuer, ""), issued, now)
            or self._covers("all", ("", ""), issued, now)
        )

    def _names(self, kind: EntryKind, key: Key, now: float) -> bool:
        span = self._kinds[kind].get(key)
        return span is not None and now < span[1]

    def _covers(self, kind: EntryKind, key: Key, issued: float, now: float) -> bool:
        span = self._kinds[kind].get(key)
        return span is not None and issued <= span[0] and now < span[1]
