"""Refusals with everything that the edge needs to explain them."""

from urllib.parse import quote

from gateway.core import cookies
from gateway.core.answers import Refuse
from gateway.core.context import Context
from gateway.core.cookies import Site
from gateway.core.model import CookieChange, Identity
from gateway.core.reasons import Reason


def cleared_cookies(site: Site, sent: dict[str, str]) -> tuple[CookieChange, ...]:
    """Return the changes that remove a session entirely, chunks and all (CVE-2025-55162)."""
    changes = tuple(
        CookieChange(name, None, 0, cookies.presented(sent, name))
        for name in (site.session_cookie, site.refresh_cookie)
    )
    # a session came back, so whatever login brought it was none of a loop
    name = site.loop_cookie
    return (*changes, CookieChange(name, None, 0, (name,))) if name in sent else changes


def login_url(context: Context) -> str | None:
    """Return where a person could log in for this page, None where no login leads."""
    site, route = context.site, context.route
    if site is None or (route is not None and route.unauthenticated == "reject"):
        return None
    url = f"{site.origin}{context.knowledge.compiled.settings.prefix}login"
    if context.request.method not in (b"GET", b"HEAD"):
        return url
    back = (context.target.path + context.target.query).decode("latin-1")
    return f"{url}?return_to={quote(back, safe='/')}"


def refuse(
    context: Context,
    reason: Reason,
    *,
    identity: Identity | None = None,
    bearer: bool = False,
    clear: bool = False,
) -> Refuse:
    """Refuse with everything the edge needs for a page, a problem document or a challenge."""
    site, route = context.site, context.route
    return Refuse(
        reason=reason,
        route=route,
        identity=identity,
        html=context.wants_html,
        challenge=True,
        bearer_presented=bearer,
        login_url=login_url(context),
        retry_after=5 if reason is Reason.DENYLIST_STALE else None,
        cookies=cleared_cookies(site, context.cookies) if clear and site is not None else (),
    )


def plain(context: Context, reason: Reason, *, allow: tuple[str, ...] = ()) -> Refuse:
    """Refuse where no credentials could help: no challenge and no way to log in."""
    return Refuse(reason=reason, route=context.route, html=context.wants_html, allow=allow)
