"""The denylist entries that end one session."""

from typing import Final

from gateway.core.model import BY_ITSELF, DenyEntry, Session

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


def end_of(session: Session, now: float, idle: float, *, by_itself: bool = False) -> DenyEntry:
    """Return the entry that ends this session, as ``session_end``."""
    return session_end(session.session_id, session.ends_at, now, idle, by_itself=by_itself)
