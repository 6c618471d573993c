"""The local replica of the denylist: who and what has been revoked, judged without a round trip.

``jti`` and ``session`` name one thing each and hold whenever that was issued. For the others it matters what
came first, and clocks cannot tell: a machine's may be ahead, and whoever logs in again at once is to be in.
So a session, and a login under way, carry the position that their worker had applied when they began, and an
entry of the same epoch ends those with a lower one (R66). Only without a position, or in another epoch, time
decides, with a margin for clocks. A bearer token has only its provider's clock: it is judged by ``iat``.

Merging keeps the widest of each, so the order in which entries arrive, and how often, does not matter. An
entry that is not written yet has no position: it ends whatever there is, until it comes back with one.
"""

import heapq
from collections.abc import Iterator
from math import inf, isnan
from typing import Final, TypeAlias

from gateway.core.identity import Identity, Position
from gateway.core.reasons import Reason
from gateway.core.rules.entries import AS_WRITTEN, BY_ITSELF, DenyEntry, EntryKind
from gateway.core.sessions.model import Session

Key: TypeAlias = tuple[str, str]
Span: TypeAlias = tuple[float, float]

CLOCK_MARGIN: Final = 5.0
"""Seconds by which the clocks of gateways may differ where time decides over sessions."""
_SLACK = 64
# the text of a time in the store is rounded to milliseconds
_ROUNDING = 0.001
_UNWRITTEN = AS_WRITTEN[0]


class _Cover:
    """What is held against one name: by epoch the highest seq and the latest time; None: time decides."""

    __slots__ = ("before", "expires", "places")

    def __init__(self, before: float, expires: float) -> None:
        self.before = before
        self.expires = expires
        self.places: dict[str | None, tuple[int, float]] = {}

    def place(self, position: Position | None, before: float) -> bool:
        """Take one more position; tell whether it changed anything."""
        epoch, seq = (None, 0) if position is None else position
        if epoch == _UNWRITTEN and self._is_written(before):
            return False
        waiting = self.places.get(_UNWRITTEN)
        # this one has been written; of another that names the same, only it can tell
        is_written = epoch != _UNWRITTEN and waiting is not None and abs(waiting[1] - before) <= _ROUNDING
        if is_written:
            del self.places[_UNWRITTEN]
        known = self.places.get(epoch)
        if known is not None:
            seq, before = max(seq, known[0]), max(before, known[1])
        self.places[epoch] = seq, before
        return is_written or known != (seq, before)

    def _is_written(self, before: float) -> bool:
        # an entry that is told again, as after an answer that was lost, ends nothing that began since
        return any(abs(at - before) <= _ROUNDING for epoch, (_, at) in self.places.items() if epoch)

    def ends(self, position: Position | None, began: float) -> bool:
        """Tell whether what began then and there is over."""
        for epoch, (seq, before) in self.places.items():
            if epoch == _UNWRITTEN:
                return True
            if position is not None and position[0] == epoch:
                if position[1] < seq:
                    return True
            elif began <= before + CLOCK_MARGIN:
                return True
        return False


class Denylist:
    """What is refused now. ``version`` changes whenever an entry is added, widened or gone.

    ``synchronised_at`` (epoch seconds) is when the replica was last known to equal the store, ``position`` is
    how far it has applied the store's history: both None before the first time; whoever keeps it in step sets
    them.
    """

    __slots__ = ("_covers", "_named", "_queue", "_size", "position", "synchronised_at", "version")

    def __init__(self) -> None:
        self.synchronised_at: float | None = None
        self.position: Position | None = None
        self.version = 0
        self._size = 0
        self._named: dict[EntryKind, dict[Key, Span]] = {"jti": {}, "session": {}}
        self._covers: dict[EntryKind, dict[Key, _Cover]] = {"sid": {}, "sub": {}, "all": {}}
        self._queue: list[tuple[float, EntryKind, Key]] = []

    def __len__(self) -> int:
        return self._size

    def add(self, entry: DenyEntry) -> None:
        """Merge one entry. A time that is no number counts as the latest, which refuses more, not less."""
        kind = entry.kind
        key = ("" if kind == "session" else entry.issuer, "" if kind == "all" else entry.value)
        before = inf if isnan(entry.before) else entry.before
        expires = inf if isnan(entry.expires) else entry.expires
        known = self._expiry(kind, key)
        if kind in self._named:
            changed = self._name(self._named[kind], key, (before, expires))
        else:
            changed = self._cover(self._covers[kind], key, before, expires, entry.position)
        if known is None:
            self._size += 1
            heapq.heappush(self._queue, (expires, kind, key))
        elif expires > known:
            self._requeue(expires, kind, key)
        if changed:
            self.version += 1

    def _name(self, table: dict[Key, Span], key: Key, span: Span) -> bool:
        known = table.get(key)
        if known is not None:
            span = (max(span[0], known[0]), max(span[1], known[1]))
        table[key] = span
        return span != known

    def _cover(
        self,
        table: dict[Key, _Cover],
        key: Key,
        before: float,
        expires: float,
        position: Position | None,
    ) -> bool:
        cover = table.get(key)
        if cover is None:
            cover = table[key] = _Cover(before, expires)
            cover.place(position, before)
            return True
        wider = before > cover.before or expires > cover.expires
        cover.before, cover.expires = max(before, cover.before), max(expires, cover.expires)
        return cover.place(position, before) or wider

    def _expiry(self, kind: EntryKind, key: Key) -> float | None:
        if kind in self._named:
            span = self._named[kind].get(key)
            return None if span is None else span[1]
        cover = self._covers[kind].get(key)
        return None if cover is None else cover.expires

    def _requeue(self, expires: float, kind: EntryKind, key: Key) -> None:
        # an extended entry leaves its old place in the queue behind; too many of those, and it is built anew
        if len(self._queue) <= 2 * self._size + _SLACK:
            heapq.heappush(self._queue, (expires, kind, key))
            return
        self._queue = [
            (span[1], each, name) for each, table in self._named.items() for name, span in table.items()
        ]
        self._queue += [
            (cover.expires, each, name)
            for each, covers in self._covers.items()
            for name, cover in covers.items()
        ]
        heapq.heapify(self._queue)

    def expire(self, now: float) -> int:
        """Drop the entries that have expired at ``now`` (epoch seconds); return how many."""
        queue, gone = self._queue, 0
        while queue and queue[0][0] <= now:
            _, kind, key = heapq.heappop(queue)
            expires = self._expiry(kind, key)
            if expires is not None and expires <= now:
                if kind in self._named:
                    del self._named[kind][key]
                else:
                    del self._covers[kind][key]
                gone += 1
        if gone:
            self._size -= gone
            self.version += 1
        return gone

    def entries(self, now: float) -> Iterator[DenyEntry]:
        """Yield the entries that hold at ``now``: what is written back after the store lost its data."""
        for kind, table in self._named.items():
            for (issuer, value), (before, expires) in list(table.items()):
                if now < expires:
                    yield DenyEntry(kind, issuer, value, before, expires)
        for kind, covers in self._covers.items():
            for (issuer, value), cover in list(covers.items()):
                if now < cover.expires:
                    for epoch, (seq, before) in list(cover.places.items()):
                        position = None if epoch is None else (epoch, seq)
                        yield DenyEntry(kind, issuer, value, before, cover.expires, position)

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
        issuer, jti, session_id = identity.issuer, identity.jti, identity.session_id
        if jti is not None and self._names("jti", (issuer, jti), now):
            return True
        if session_id is not None and self._names("session", ("", session_id), now):
            return True
        covers = self._held_against(issuer, identity.subject, identity.sid, now)
        if identity.kind == "bearer":
            return any(identity.issued_at <= cover.before for cover in covers)
        return any(cover.ends(identity.position, identity.issued_at) for cover in covers)

    def why_ended(self, session_id: str, now: float) -> Reason | None:
        """Return why a session is over by its id alone, before its record is known, or None.

        ``session_ended`` is nobody's revocation: the provider ended it (R74).
        """
        span = self._named["session"].get(("", session_id))
        if span is None or now >= span[1]:
            return None
        return Reason.SESSION_ENDED if span[0] == BY_ITSELF else Reason.REVOKED

    def why_over(self, session: Session, now: float) -> Reason | None:
        """Return why this session is over, by its id or by when it began (R44, R66), or None."""
        if not self._size:
            return None
        if self.judge_login(
            session.issuer, session.subject, session.sid, session.position, session.login_at, now
        ):
            return Reason.REVOKED
        return self.why_ended(session.session_id, now)

    def judge_session(self, session: Session, now: float) -> bool:
        """Tell whether this session is over (R44, R66)."""
        return self.why_over(session, now) is not None

    def judge_login(
        self,
        issuer: str,
        subject: str,
        sid: str | None,
        position: Position | None,
        began: float,
        now: float,
    ) -> bool:
        """Tell whether what this subject began at ``began`` (epoch seconds) has been revoked (R66, R72)."""
        if not self._size:
            return False
        return any(cover.ends(position, began) for cover in self._held_against(issuer, subject, sid, now))

    def _names(self, kind: EntryKind, key: Key, now: float) -> bool:
        span = self._named[kind].get(key)
        return span is not None and now < span[1]

    def _held_against(self, issuer: str, subject: str, sid: str | None, now: float) -> list[_Cover]:
        covers = self._covers
        found = (
            covers["sid"].get((issuer, sid)) if sid is not None else None,
            covers["sub"].get((issuer, subject)),
            covers["all"].get((issuer, "")),
            covers["all"].get(("", "")),
        )
        return [cover for cover in found if cover is not None and now < cover.expires]
