"""The local replica of the denylist: who and what has been revoked, judged without a round trip.

``jti``, ``session`` and ``key`` name one thing each and hold whenever that was issued. For the others it
matters what came first, and clocks cannot tell: a machine's may be ahead, and whoever logs in again at once
is to be in.
So a session, and a login under way, carry the position that their worker had applied when they began, and an
entry of the same epoch ends those with a lower one (R66). Only without a position, or in another epoch, time
decides, with a margin for clocks. A bearer token has only its provider's clock: it is judged by ``iat``, and
an API key by when it was made.

Merging keeps the widest of each, so the order in which entries arrive, and how often, does not matter. An
entry that is not written yet has no position: it ends whatever there is, until it comes back with one.

A worker holds all of it, and a million entries are many: names are bytes, the times of what names one thing
are one number, and the rest is packed (``covers``). The garbage collector has none of it to visit.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf, isnan
from typing import Any, TypeAlias

from gateway.core.identity import Identity, Position
from gateway.core.reasons import Reason
from gateway.core.rules.covers import Cover, Covers, Held, times_of
from gateway.core.rules.due import Due
from gateway.core.rules.entries import BY_ITSELF, DenyEntry, EntryKind
from gateway.core.sessions.model import Session

Table: TypeAlias = tuple[EntryKind, str]
"""What a table's names are, and whose."""

Span: TypeAlias = complex
"""``before``, and ``expires`` as the imaginary part: one object of 32 bytes, where a tuple of two is 104."""


class Denylist:
    """What is refused now. ``version`` changes whenever an entry is added, widened or gone.

    ``synchronised_at`` (epoch seconds) is when the replica was last known to equal the store, ``position`` is
    how far it has applied the store's history: both None before the first time; whoever keeps it in step sets
    them.
    """

    __slots__ = (
        "_covers",
        "_due",
        "_everybody",
        "_jtis",
        "_keys",
        "_named",
        "_packing",
        "_sessions",
        "_sids",
        "_size",
        "_subs",
        "position",
        "synchronised_at",
        "version",
    )

    def __init__(self) -> None:
        self.synchronised_at: float | None = None
        self.position: Position | None = None
        self.version = 0
        self._size = 0
        # each by issuer and name; a table that is empty is not there
        self._jtis: dict[str, dict[bytes, Span]] = {}
        self._sessions: dict[str, dict[bytes, Span]] = {}
        self._keys: dict[str, dict[bytes, Span]] = {}
        self._sids: dict[str, dict[bytes, Held]] = {}
        self._subs: dict[str, dict[bytes, Held]] = {}
        self._everybody: dict[str, dict[bytes, Held]] = {}
        self._named: dict[EntryKind, dict[str, dict[bytes, Span]]] = {
            "jti": self._jtis,
            "session": self._sessions,
            "key": self._keys,
        }
        self._covers: dict[EntryKind, dict[str, dict[bytes, Held]]] = {
            "sid": self._sids,
            "sub": self._subs,
            "all": self._everybody,
        }
        self._packing = Covers()
        self._due: dict[Table, Due] = {}

    def __len__(self) -> int:
        return self._size

    def add(self, entry: DenyEntry) -> None:
        """Merge one entry. A time that is no number counts as the latest, which refuses more, not less."""
        (kind, issuer), name = place_of(entry)
        before = inf if isnan(entry.before) else entry.before
        expires = inf if isnan(entry.expires) else entry.expires
        if kind in self._named:
            is_new, changed = self._name_one(kind, issuer, name, complex(before, expires))
        else:
            is_new, changed = self._cover(kind, issuer, name, before, expires, entry.position)
        if is_new:
            self._size += 1
            # an entry that is extended stays there: when its first moment comes, it is given the next
            self._due.setdefault((kind, issuer), Due()).add(expires, name)
        if changed:
            self.version += 1

    def _name_one(self, kind: EntryKind, issuer: str, name: bytes, span: Span) -> tuple[bool, bool]:
        table = self._named[kind].setdefault(issuer, {})
        known = table.get(name)
        if known is not None:
            span = complex(max(span.real, known.real), max(span.imag, known.imag))
        if span != known:
            table[name] = span
        return known is None, span != known

    def _cover(
        self,
        kind: EntryKind,
        issuer: str,
        name: bytes,
        before: float,
        expires: float,
        position: Position | None,
    ) -> tuple[bool, bool]:
        table = self._covers[kind].setdefault(issuer, {})
        held = table.get(name)
        if held is None:
            cover, changed = Cover(before, expires), True
        else:
            cover = self._packing.unpack(held)
            changed = cover.widen(before, expires)
        changed = cover.place(position, before) or changed
        if changed:
            # of the few that everybody is judged by, none is worth packing
            table[name] = cover if kind == "all" else self._packing.pack(cover)
        return held is None, changed

    def _table(self, kind: EntryKind, issuer: str) -> "dict[bytes, Any]":
        return self._named[kind][issuer] if kind in self._named else self._covers[kind][issuer]

    def expire(self, now: float) -> int:
        """Drop the entries that have expired at ``now`` (epoch seconds); return how many."""
        gone = 0
        for (kind, issuer), due in list(self._due.items()):
            table = self._table(kind, issuer)
            for name in due.take(now):
                expires = _expiry(table[name])
                if expires <= now:
                    del table[name]
                    gone += 1
                else:
                    due.add(expires, name)
            if not table:
                del self._due[kind, issuer]
                for tables in (self._named, self._covers):
                    tables.get(kind, {}).pop(issuer, None)
        if gone:
            self._size -= gone
            self.version += 1
        return gone

    def names(self) -> dict[Table, set[bytes]]:
        """Return the names that are held, by their tables."""
        return {each: set(self._table(*each)) for each in self._due}

    def entries(
        self, now: float, among: Mapping[Table, Iterable[bytes]] | None = None
    ) -> Iterator[DenyEntry]:
        """Yield the entries that hold at ``now``: what is written back after the store lost its data.

        What is added or goes meanwhile may be among them or not. Given ``among``, those of its names alone.
        """
        chosen = {each: self._table(*each) for each in self._due} if among is None else among
        for (kind, issuer), names in chosen.items():
            table = self._table(kind, issuer) if (kind, issuer) in self._due else {}
            for name in list(names):
                kept = table.get(name)
                if kept is None or now >= _expiry(kept):
                    continue
                value = name.decode("utf-8", "surrogatepass")
                if isinstance(kept, complex):
                    yield DenyEntry(kind, issuer, value, kept.real, kept.imag)
                    continue
                cover = self._packing.unpack(kept)
                for epoch, (seq, before) in list(cover.places.items()):
                    position = None if epoch is None else (epoch, seq)
                    yield DenyEntry(kind, issuer, value, before, cover.expires, position)

    def times_of(self, entry: DenyEntry) -> tuple[float, float] | None:
        """Return ``before`` and ``expires`` of what is held against whatever an entry names, or None."""
        key, name = place_of(entry)
        kept = self._table(*key).get(name) if key in self._due else None
        if isinstance(kept, complex):
            return kept.real, kept.imag
        return None if kept is None else times_of(kept)

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
        if jti is not None and (table := self._jtis.get(issuer)) is not None:
            span = table.get(_name(jti))
            if span is not None and now < span.imag:
                return True
        if session_id is not None and self.why_ended(session_id, now) is not None:
            return True
        subject, sid, began = identity.subject, identity.sid, identity.issued_at
        if identity.kind == "session":
            return self.judge_login(issuer, subject, sid, identity.position, began, now)
        if identity.kind == "key" and jti is not None and self._names_key(jti, now):
            return True
        for held in self._held_against(issuer, subject, sid):
            before, expires = times_of(held)
            if began <= before and now < expires:
                return True
        return False

    def _names_key(self, key_id: str, now: float) -> bool:
        table = self._keys.get("")
        span = None if table is None else table.get(_name(key_id))
        return span is not None and now < span.imag

    def why_ended(self, session_id: str, now: float) -> Reason | None:
        """Return why a session is over by its id alone, before its record is known, or None.

        ``session_ended`` is nobody's revocation: the provider ended it (R74).
        """
        table = self._sessions.get("")
        span = None if table is None else table.get(_name(session_id))
        if span is None or now >= span.imag:
            return None
        return Reason.SESSION_ENDED if span.real == BY_ITSELF else Reason.REVOKED

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
        found = self._held_against(issuer, subject, sid)
        while found:
            held = found.pop()
            if isinstance(held, Cover):
                if now < held.expires and held.ends(position, began):
                    return True
            elif self._packing.ends(held, position, began, now):
                return True
        return False

    def _held_against(self, issuer: str, subject: str, sid: str | None) -> list[Held]:
        """Return what is kept, expired or not, against a subject, its session there, or everybody."""
        found: list[Held] = []
        table = self._subs.get(issuer)
        if table is not None and (held := table.get(_name(subject))) is not None:
            found.append(held)
        if sid is not None:
            table = self._sids.get(issuer)
            if table is not None and (held := table.get(_name(sid))) is not None:
                found.append(held)
        if everybody := self._everybody:
            if (table := everybody.get(issuer)) is not None:
                found.append(table[b""])
            if issuer and (table := everybody.get("")) is not None:
                found.append(table[b""])
        return found


def place_of(entry: DenyEntry) -> tuple[Table, bytes]:
    """Return the table and the name of whatever an entry names."""
    kind = entry.kind
    return (kind, "" if kind in ("session", "key") else entry.issuer), b"" if kind == "all" else _name(
        entry.value
    )


def _name(text: str) -> bytes:
    """Return a name as it is kept; JSON may bring lone surrogates, which are names like any other."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _expiry(kept: Span | Held) -> float:
    return kept.imag if isinstance(kept, complex) else times_of(kept)[1]
