"""What the list of sessions tells of those of one person."""

from dataclasses import dataclass
from typing import Final

from gateway.core.sessions.record import About

MOST_OWN: Final = 1000
"""How many sessions of one person are told, those seen last first."""


@dataclass(frozen=True, slots=True)
class OwnSession:
    """One session. ``seen_at`` is epoch seconds; ``sites`` are the origins where it has begun."""

    about: About
    seen_at: float
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnedSessions:
    """The sessions that live of one person; ``is_more``: there are others."""

    sessions: tuple[OwnSession, ...]
    is_more: bool = False
