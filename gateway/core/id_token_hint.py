"""The ID token that a login keeps for its logout at the provider: the ``id_token_hint``.

OpenID Connect RP-Initiated Logout 1.0 section 2. It has a cookie of its own, which only the gateway's own
endpoints are sent, so that no other request carries it.
"""

import hmac
import json
from collections.abc import Iterable

from gateway.core import cookies
from gateway.core.context import Context
from gateway.core.model import CookieChange, Seal, Session
from gateway.core.seal import sealed_length


def scoped_cookies(context: Context) -> dict[str, str]:
    """Return the cookies that only the gateway's own endpoints are sent."""
    assert context.site is not None
    return cookies.read(context.sketch.cookies, context.site.scoped_prefix)


def keep(
    context: Context, session: Session, id_token: str | None, others: Iterable[CookieChange]
) -> tuple[CookieChange, ...]:
    """Return the change that keeps this login's ID token, or that removes the one before.

    One that does not fit into one cookie, or that makes the cookies (``others`` are those of the same login)
    fill more than half of a request's head, is not kept: the logout then names the client alone.
    """
    site, settings = context.site, context.knowledge.compiled.settings
    assert site is not None
    name, path = site.hint_cookie, settings.prefix
    payload = json.dumps([session.session_id, id_token]).encode()
    size = sealed_length(len(payload))
    taken = sum(sealed_length(len(each.value.payload)) for each in others if each.value is not None)
    if (
        id_token is None
        or settings.providers[session.provider].logout != "provider"
        or size > cookies.chunk_capacity(name, path)
        or taken + size > settings.limits.head // 2
    ):
        return cleared(context)
    max_age = max(1, int(session.ends_at - context.now))
    return (CookieChange(name, Seal(site.purpose("hint"), payload), max_age, path=path),)


def find(context: Context, session: Session) -> str | None:
    """Return the ID token that was kept for this very session, or None."""
    site, compiled = context.site, context.knowledge.compiled
    assert site is not None
    payload = compiled.ring.open(site.purpose("hint"), scoped_cookies(context).get(site.hint_cookie, ""))
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
    return (CookieChange(site.hint_cookie, None, path=context.knowledge.compiled.settings.prefix),)
