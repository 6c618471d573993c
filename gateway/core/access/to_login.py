"""The way to the provider, and back to the page that was wanted."""

import re

from gateway.core.access import pending
from gateway.core.decision.answers import Login
from gateway.core.decision.context import Context
from gateway.core.decision.places import locate
from gateway.core.headers.cookies import Site
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.sessions.pending import SECRET_BYTES, begin_pending
from gateway.syntax.raw_paths import raw_target
from gateway.syntax.targets import canonicalise

MOST_PAGE = 32_768
# as browsers write them; they encode white space, quotation marks and angle brackets
_FRAGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]{}|^-]*")


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
) -> Login:
    """Send this browser to the provider; pending logins make room (R17).

    ``route`` is that of the page, where the request itself is for none.
    ``returned`` is the state of a login that came back in vain, and begins again by itself.
    """
    site = context.site
    assert site is not None
    runtime = context.knowledge.runtime
    if return_to is None:
        return_to = (context.target.path + context.target.query).decode("latin-1")
    page = safe_return(site, return_to)
    chosen = runtime.login_provider(provider)
    assert chosen is not None
    callback = pending.short_callback(chosen.callback, runtime.settings.prefix, chosen.name)
    route = context.route or route
    position = context.knowledge.denylist.position
    coming = begin_pending(
        bytes(SECRET_BYTES),
        chosen.name,
        pending.shown(page),
        context.now,
        callback,
        position,
        is_repeated=bool(returned),
    )
    return Login(
        reason=reason,
        provider=chosen.name,
        origin=site.origin,
        redirect_uri=site.origin + chosen.callback,
        callback=callback,
        return_to=page,
        pending_cookie=site.login_prefix,
        now=context.now,
        max_age_seconds=int(runtime.settings.session.login_lifetime),
        route=context.route,
        cookies=pending.make_room(context, site, coming, returned),
        acr_values=acr_values,
        max_age=max_age,
        client=context.forwarded.client,
        position=position,
        is_repeated=bool(returned),
        parameters=() if route is None else route.parameters,
    )


def begin_for(
    context: Context, reason: Reason, page: str, provider: str | None = None, returned: str = ""
) -> Login:
    """Begin a login for a page, as the page's route wants it."""
    route = route_of(context, page)
    if route is None:
        return begin(context, reason, provider=provider, return_to=page, returned=returned)
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
    )
