"""The denylist entries that end one session."""

from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.identity import Position
from gateway.core.sessions.model import Session

EntryKind = Literal["jti", "sid", "sub", "session", "key", "all"]


AS_WRITTEN: Final[Position] = ("", 0)
"""The position of an entry that is not written yet: the store gives it one."""


BY_ITSELF: Final = -1.0
"""``before`` of a ``session`` entry that is nobody's revocation: the provider ended the session."""


@dataclass(frozen=True, slots=True)
class DenyEntry:
    """One line of the denylist: who or what is refused.

    ``jti``, ``session`` and ``key`` name one thing, whenever it was issued. Of bearer tokens the others
    refuse those issued at or before ``before``; of sessions and pending logins those that began before the
    entry's ``position``, where both are of one epoch, else those that began until ``before`` and a margin. An
    entry without a position is judged by time alone. ``issuer`` is empty for ``session``, ``key``, and for an
    ``all`` that spans every issuer, which reaches API keys as well; ``value`` is empty for ``all``.
    ``expires`` outlives what the entry names. Times are seconds since the epoch.
    """

    kind: EntryKind
    issuer: str
    value: str
    before: float
    expires: float
    position: Position | None = None


MARGIN: Final = 60.0
"""Seconds by which an entry outlives what it names."""
_STEP: Final = 30.0


def session_end(
    session_id: str, ends_at: float, now: float, idle: float, *, by_itself: bool = False
) -> DenyEntry:
    """Return the entry that ends one session.

    It lives until the session's absolute end, and no longer than a copy of its cookies may idle: they tell
    when they were sealed last, and nobody seals them anew. A million entries are many. The moment is rounded
    down, so that a thief who comes back over and over makes no new entry each time.

    Args:
        session_id: our own.
        ends_at: the session's absolute end, epoch seconds.
        now: epoch seconds.
        idle: how long a copy of its cookies may go on being good, in seconds.
        by_itself: whether it came to its end at the provider, and nobody revoked it.
    """
    idles_out = (now + idle + MARGIN) // _STEP * _STEP
    before = BY_ITSELF if by_itself else ends_at
    return DenyEntry("session", "", session_id, before, min(ends_at, idles_out))


def key_end(key_id: str, expires: float) -> DenyEntry:
    """Return the entry that ends an API key, which would live until ``expires`` (epoch seconds)."""
    return DenyEntry("key", "", key_id, expires, expires + MARGIN)


def end_of(session: Session, now: float, idle: float, *, by_itself: bool = False) -> DenyEntry:
    """Return the entry that ends this session, as ``session_end``."""
    return session_end(session.session_id, session.ends_at, now, idle, by_itself=by_itself)


def everything_of(issuer: str, subject: str, now: float, lifetime: float) -> DenyEntry:
    """Return the entry that ends whatever this subject was issued until ``now``; see ``entry_expiry``."""
    return DenyEntry("sub", issuer, subject, now, entry_expiry(now, lifetime), AS_WRITTEN)


def entry_expiry(now: float, lifetime: float) -> float:
    """Return when an entry may be forgotten that names what was issued until ``now``, in epoch seconds.

    ``lifetime`` is the most seconds that a session lasts.
    """
    return now + lifetime + MARGIN
