"""The newest ID token of a session, kept for its logout at the provider: the ``id_token_hint``.

OpenID Connect RP-Initiated Logout 1.0 section 2. A login's has a cookie of its own, which only the gateway's
own endpoints are sent, so that no other request carries it; where that would make the login's answer longer
than proxies take by default, the store keeps it. A refresh's is in the store, and comes first.
"""

import hmac
import json
from collections.abc import Iterable

from gateway.core.decision.context import Context
from gateway.core.decision.needs import KeepHint
from gateway.core.headers import cookies
from gateway.core.headers.cookies import CookieChange, Seal
from gateway.core.provider import Provider
from gateway.core.sessions.model import Session
from gateway.core.sessions.seal import sealed_length

MOST_HINT = 6144
"""Characters of an ID token that is kept: it goes into a URL, and servers bound those at 8 KiB."""
MOST_COOKIES = 3200
"""Characters of the cookies in a login's answer: its head stays under 4 KiB, where proxies cut by default."""
_ATTRIBUTES = 110


def scoped_cookies(context: Context) -> dict[str, str]:
    """Return the cookies that only the gateway's own endpoints are sent."""
    assert context.site is not None
    return context.own_cookies(context.site.scoped_prefix)


def keep(
    context: Context, session: Session, id_token: str | None, others: Iterable[CookieChange]
) -> tuple[CookieChange, ...]:
    """Return the change that keeps this login's ID token in a cookie, or that removes the one before.

    One that does not fit into one cookie, or makes the cookies (``others`` are those of the same login) more
    than an answer should have, is left to the store (``stored``).
    """
    site, settings = context.site, context.knowledge.runtime.settings
    assert site is not None
    name, path = site.hint_cookie, settings.prefix
    payload = json.dumps([session.session_id, id_token]).encode()
    size = sealed_length(len(payload))
    taken = sum(map(_length, others))
    if (
        id_token is None
        # the logout may come from another of its sites
        or session.is_shared
        or settings.providers[session.provider].logout != "provider"
        or size > cookies.chunk_capacity(name, path)
        or (taken and taken + size > MOST_COOKIES)
    ):
        return cleared(context)
    max_age = max(1, int(session.ends_at - context.now))
    return (CookieChange(name, Seal(site.purpose("hint"), payload), max_age, path=path),)


def _length(change: CookieChange) -> int:
    return _ATTRIBUTES + (0 if change.value is None else sealed_length(len(change.value.payload)))


def stored(
    context: Context, session: Session, id_token: str | None, changes: Iterable[CookieChange]
) -> tuple[KeepHint, ...]:
    """Return the need that keeps this login's ID token in the store, unless ``changes`` do in a cookie."""
    site, provider = context.site, context.knowledge.runtime.providers[session.provider]
    assert site is not None
    in_cookie = any(each.name == site.hint_cookie and each.value is not None for each in changes)
    return () if id_token is None or in_cookie else renewed(provider, session, id_token)


def renewed(provider: Provider, session: Session, id_token: str) -> tuple[KeepHint, ...]:
    """Return the need that keeps an ID token for a session, where its provider is told of logouts."""
    if provider.settings.logout != "provider" or len(id_token) > MOST_HINT:
        return ()
    return (KeepHint(session.session_id, id_token, session.ends_at),)


def find(context: Context, session: Session) -> str | None:
    """Return the ID token that was kept for this very session, or None."""
    site, runtime = context.site, context.knowledge.runtime
    assert site is not None
    payload = runtime.ring.open(site.purpose("hint"), scoped_cookies(context).get(site.hint_cookie, ""))
    if payload is None:
        return None
    try:
        session_id, id_token = json.loads(payload)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(session_id, str) or not isinstance(id_token, str):
        return None
    return id_token if hmac.compare_digest(session_id.encode(), session.session_id.encode()) else None


def cleared(context: Context) -> tuple[CookieChange, ...]:
    """Return the change that removes the cookie, where the browser sent one."""
    site = context.site
    assert site is not None
    if site.hint_cookie not in scoped_cookies(context):
        return ()
    return (CookieChange(site.hint_cookie, None, path=context.knowledge.runtime.settings.prefix),)
