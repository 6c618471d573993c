"""The page on which a person chooses where to log in, and what is remembered of that."""

from collections.abc import Mapping
from urllib.parse import quote

from gateway.core.access.to_login import asked_in, route_of
from gateway.core.decision.answers import Respond
from gateway.core.decision.context import Context
from gateway.core.decision.refusals import login_link
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route

MOST_LINK = 4_000
"""Characters of a page's address, or of what else a link asks for; with more, nobody chooses."""

_REMEMBERED = 365 * 86400
# what a link may ask of the login that is begun
_CARRIED = ("login_hint", "account", "acr_values", "max_age")


def to_choose(context: Context, route: Route, reason: Reason) -> Respond | None:
    """Send a person to the page where they choose; None where there is nothing to choose."""
    if not route.choices or is_elsewhere(context):
        return None
    page = (context.target.path + context.target.query).decode("latin-1")
    url = login_link(context, page, None)
    return None if len(url) > MOST_LINK else Respond(reason, 303, location=url, route=route)


def is_elsewhere(context: Context) -> bool:
    """Tell whether people log in at another host for this site: where they choose, if they have to."""
    host, site = context.knowledge.runtime.login_site, context.site
    return host is not None and site is not None and site.origin != host.origin


def choices_of(context: Context, page: str) -> tuple[str, ...]:
    """Return the providers among which a person chooses for a page, none where there is nothing to choose."""
    route, runtime = route_of(context, page), context.knowledge.runtime
    if is_elsewhere(context):
        return ()
    if (asked := asked_in(context, page)) is not None:
        names = tuple(name for name in runtime.choices if not asked.admits or name in asked.admits)
        return names if len(names) > 1 and not asked.provider else ()
    return runtime.choices if route is None or route.access == "public" else route.choices


def choose(context: Context, page: str, fields: Mapping[str, str]) -> Respond | None:
    """Return the page that offers the providers whose people come in at a page; None for a single one.

    Args:
        context: of the login endpoint.
        page: of this site, where the login shall lead.
        fields: what the link asks for; the chosen one is judged as it is.
    """
    assert context.site is not None
    names, runtime = choices_of(context, page), context.knowledge.runtime
    if not names or sum(map(len, (page, *(fields.get(name, "") for name in _CARRIED)))) > MOST_LINK:
        return None
    last = context.cookies.get(context.site.choice_cookie, "")
    if is_remembered := last in names:
        names = (last, *(name for name in names if name != last))
    carried = "".join(f"&{name}={quote(fields[name], safe='')}" for name in _CARRIED if fields.get(name))
    choices = tuple(
        (runtime.providers[name].settings.label or name, login_link(context, page, name) + carried)
        for name in names
    )
    values = {"remembered": "yes"} if is_remembered else {}
    return Respond(Reason.PROVIDER_CHOICE, 200, page="choose", values=values, choices=choices)


def remember(context: Context, site: Site, provider: str) -> tuple[CookieChange, ...]:
    """Return what remembers where this browser has logged in, once a login has succeeded there."""
    if provider not in context.knowledge.runtime.choices:
        return ()
    # a provider's name stands in every login's address as well
    return (CookieChange(site.choice_cookie, None, _REMEMBERED, plain=provider),)
