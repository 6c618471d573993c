"""The way to the provider, and back to the page that was wanted."""

import re
from dataclasses import dataclass, replace
from typing import Final

from gateway.core.access import pending
from gateway.core.access.credentials import SessionCookie, session_cookie
from gateway.core.access.session import why_over
from gateway.core.decision.answers import Login
from gateway.core.decision.context import Context
from gateway.core.decision.places import locate
from gateway.core.headers.cookies import Site
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.sessions.joining import (
    JOIN,
    TICKET,
    JoinRequest,
    decode_request,
    mark_of,
    request_purpose,
)
from gateway.core.sessions.pending import SECRET_BYTES, begin_pending
from gateway.syntax import forms
from gateway.syntax.raw_paths import raw_target
from gateway.syntax.targets import canonicalise

MOST_PAGE: Final = 32_768
# as browsers write them; they encode white space, quotation marks and angle brackets
_FRAGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]{}|^-]*")


def safe_return(site: Site, wanted: str) -> str:
    """Return a path with query and fragment on this site to go back to; ``/`` for anything else (R11).

    An absolute URL counts when its origin is this very site's. Whatever is neither canonical as a request
    target nor a raw one is not followed: no browser reads another host in it (backslashes, tabs, ``//host``).
    """
    if len(wanted) > MOST_PAGE or not wanted.isascii():
        return "/"
    if wanted.startswith(site.origin + "/"):
        wanted = wanted[len(site.origin) :]
    # a server sees no fragment, but whoever links to a login may hand it one
    wanted, mark, fragment = wanted.partition("#")
    target = canonicalise(wanted.encode()) or raw_target(wanted.encode())
    if target is None or _FRAGMENT.fullmatch(fragment) is None:
        return "/"
    return (target.path + target.query).decode() + mark + fragment


def route_of(context: Context, page: str) -> Route | None:
    """Return the route of a page of this site, None where there is none."""
    runtime = context.knowledge.runtime
    found = locate(runtime, context.forwarded.host, page.partition("#")[0].encode(), b"GET")
    return None if found is None else found[1]


def begin(
    context: Context,
    reason: Reason,
    *,
    provider: str | None = None,
    return_to: str | None = None,
    acr_values: tuple[str, ...] = (),
    max_age: int | None = None,
    returned: str = "",
    route: Route | None = None,
    is_wish: bool = False,
) -> Login:
    """Send this browser to the provider; pending logins make room (R17).

    ``route`` is that of the page, where the request itself is for none. ``is_wish``: somebody has named the
    provider, and a session of another one will not do.
    ``returned`` is the state of a login that came back in vain, and begins again by itself.
    """
    site = context.site
    assert site is not None
    runtime = context.knowledge.runtime
    if return_to is None:
        return_to = (context.target.path + context.target.query).decode("latin-1")
    page = safe_return(site, return_to)
    route = context.route or route
    wanted = _Wanted(reason, page, provider, acr_values, max_age, returned, route, is_wish)
    if runtime.login_site is not None and site.origin != runtime.login_site.origin:
        return _elsewhere(context, site, runtime.login_site, wanted)
    chosen = runtime.login_provider(provider)
    assert chosen is not None
    callback = pending.short_callback(chosen.callback, runtime.settings.prefix, chosen.name)
    begun = _begun(context, site, wanted, chosen.name, callback)
    return replace(begun, redirect_uri=site.origin + chosen.callback)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A login that is wanted for a page of this site; its members are as in ``begin``."""

    reason: Reason
    page: str
    provider: str | None
    acr_values: tuple[str, ...]
    max_age: int | None
    returned: str
    route: Route | None
    is_wish: bool


def _begun(context: Context, site: Site, wanted: _Wanted, provider: str, callback: str) -> Login:
    """Return a login that comes back to ``callback``, as its cookie holds that; others make room for it."""
    position, is_repeated = context.knowledge.denylist.position, bool(wanted.returned)
    coming = begin_pending(
        bytes(SECRET_BYTES),
        provider,
        pending.shown(wanted.page),
        context.now,
        callback,
        position,
        is_repeated=is_repeated,
    )
    return Login(
        reason=wanted.reason,
        provider=provider,
        origin=site.origin,
        redirect_uri="",
        callback=callback,
        return_to=wanted.page,
        pending_cookie=site.login_prefix,
        now=context.now,
        max_age_seconds=int(context.knowledge.runtime.settings.session.login_lifetime),
        route=context.route,
        cookies=pending.make_room(context, site, coming, wanted.returned),
        acr_values=wanted.acr_values,
        max_age=wanted.max_age,
        client=context.forwarded.client,
        position=position,
        is_repeated=is_repeated,
        parameters=() if wanted.route is None else wanted.route.parameters,
    )


def _elsewhere(context: Context, site: Site, host: Site, wanted: _Wanted) -> Login:
    """Send this browser to the host where people log in for every site; it comes back with a ticket."""
    route, prefix = wanted.route, context.knowledge.runtime.settings.prefix
    # a route's own provider is where a login goes; whoever else it admits comes in as well
    admitted = None if route is None else route.providers
    is_routes = route is not None and wanted.provider == route.provider and not wanted.is_wish
    provider = "" if wanted.provider is None or is_routes else wanted.provider
    first = (wanted.provider,) if is_routes and wanted.provider is not None else ()
    return replace(
        _begun(context, site, wanted, provider, f"{prefix}{TICKET}"),
        redirect_uri=f"{host.origin}{prefix}{JOIN}",
        by=host.origin,
        admits=() if admitted is None else tuple(dict.fromkeys((*first, *sorted(admitted)))),
        had=_held_in_vain(context),
    )


def asked_in(context: Context, page: str) -> JoinRequest | None:
    """Return what a site asks for, where a page of this host is the one that it asks by; else None."""
    runtime, site = context.knowledge.runtime, context.site
    path, mark, query = page.partition("?")
    if site is None or not mark or path != f"{runtime.settings.prefix}{JOIN}":
        return None
    sealed = (forms.read_parameters(query.encode("latin-1", "replace"), ("request",)) or {}).get(
        "request", ""
    )
    payload = runtime.ring.open(request_purpose(site.origin), sealed)
    return None if payload is None else decode_request(payload)


def _first_of(context: Context, asked: JoinRequest) -> str | None:
    """Return the first provider of those that a site admits where people log in, None for the default."""
    known = context.knowledge.runtime.login_provider
    return next((name for name in asked.admits if known(name) is not None), None)


def _held_in_vain(context: Context) -> str:
    """Return the mark of the session that this browser has here and that holds, since it will not do."""
    cookie = session_cookie(context)
    opened = cookie.opened if isinstance(cookie, SessionCookie) else None
    if opened is None or why_over(context, opened.session) is not None:
        return ""
    return mark_of(opened.session.session_id)


def begin_for(
    context: Context, reason: Reason, page: str, provider: str | None = None, returned: str = ""
) -> Login:
    """Begin a login for a page, as the page's route wants it, or the site that asks for it."""
    route = route_of(context, page)
    if (asked := asked_in(context, page)) is not None:
        login = begin(
            context,
            reason,
            provider=provider or asked.provider or _first_of(context, asked),
            return_to=page,
            acr_values=asked.acr_values,
            max_age=asked.max_age,
            returned=returned,
        )
        return replace(
            login,
            parameters=asked.parameters,
            login_hint=asked.login_hint,
            other_account=asked.other_account,
        )
    if route is None:
        is_wish = provider is not None
        return begin(context, reason, provider=provider, return_to=page, returned=returned, is_wish=is_wish)
    require = route.require
    return begin(
        context,
        reason,
        provider=provider or route.provider,
        return_to=page,
        acr_values=require.acr_values,
        max_age=require.max_age,
        returned=returned,
        route=route,
        is_wish=provider is not None,
    )
