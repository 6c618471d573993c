"""Rounds of logins of one browser: its cookie remembers which pages it lately logged in for.

A round that brings no session back, or not the session that a page asks for, must not be followed by another
one by itself: the person would go round for ever.
"""

import hashlib
from typing import Final
from urllib.parse import urlsplit

from gateway.core.decision.context import Context
from gateway.core.headers.cookies import CookieChange, Seal, Site
from gateway.core.sessions.pending import decode_recent, encode_recent
from gateway.syntax.encoding import encode_base64url

LOOP_SECONDS: Final = 30
LOOP_COUNT: Final = 3
_MOST: Final = 10
_LEAST: Final = 5


def loops(context: Context, site: Site, page: str, most: int = LOOP_COUNT) -> bool:
    """Tell whether the same page was logged in for over and over, and no session ever came back.

    This would be the round of number ``most`` at least.
    """
    # restored tabs log in side by side, each for its own page
    mark = _mark(page)
    return sum(1 for _, each in _recent(context, site) if each == mark) >= most - 1


def ended_just_now(context: Context, max_age: int | None) -> bool:
    """Tell whether this browser has just logged in for this very page, and comes back no stronger.

    ``max_age`` (seconds) is how recent an authentication the page asks for: one that was too old again after
    so long is nothing new.
    """
    if context.site is None:
        return False
    within = LOOP_SECONDS if max_age is None else max(_LEAST, min(LOOP_SECONDS, max_age))
    mark = _mark(context.target.path.decode("latin-1"))
    recent = _recent(context, context.site)
    return any(each == mark and context.now - at < within for at, each in recent)


def note(context: Context, site: Site, page: str, *, came_back: bool) -> CookieChange:
    """Return the change that remembers a round for a page; ``came_back``: those before brought a session."""
    before = [] if came_back else _recent(context, site)
    recent = [*before, (context.now, _mark(page))]
    return CookieChange(site.loop_cookie, Seal(site.purpose("recent"), encode_recent(recent)), LOOP_SECONDS)


def forgotten(site: Site) -> CookieChange:
    """Return the change that forgets the rounds: a person has read why they stopped, and begins anew."""
    return CookieChange(site.loop_cookie, None, 0, (site.loop_cookie,))


def _recent(context: Context, site: Site) -> list[tuple[float, str]]:
    payload = context.knowledge.runtime.ring.open(
        site.purpose("recent"), context.cookies.get(site.loop_cookie, "")
    )
    recent = decode_recent(payload) if payload is not None else []
    return [(at, path) for at, path in recent if context.now - at < LOOP_SECONDS][-_MOST:]


def _mark(page: str) -> str:
    return encode_base64url(hashlib.sha256(urlsplit(page).path.encode()).digest())[:12]
