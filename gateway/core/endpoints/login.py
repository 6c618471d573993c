"""Where a login begins: the way to the provider, and back to the page that was wanted."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gateway.core.access import pending
from gateway.core.decision.answers import Login, Refuse
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Body
from gateway.core.decision.places import locate
from gateway.core.decision.refusals import plain, refuse
from gateway.core.headers.cookies import Site
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.sessions.pending import SECRET_BYTES, begin_pending
from gateway.syntax import forms as form
from gateway.syntax.raw_paths import raw_target
from gateway.syntax.targets import canonicalise

MOST_PAGE = 32_768
MOST_FORM = 65_536
_MOST_HINT = 256
# as browsers write them; they encode white space, quotation marks and angle brackets
_FRAGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]{}|^-]*")
_PARAMETERS = (
    "return_to",
    "target_link_uri",
    "provider",
    "iss",
    "login_hint",
    "account",
    "acr_values",
    "max_age",
)
# RFC 9470 section 3; what a provider is asked for, whoever wishes it
_ACR_VALUES = re.compile(r"[!#-\[\]-~]{1,256}(?: [!#-\[\]-~]{1,256}){0,9}")
_MAX_AGE = re.compile(r"[0-9]{1,9}")


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
    compiled = context.knowledge.compiled
    found = locate(compiled, context.observed.host, page.partition("#")[0].encode(), b"GET")
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
) -> Login:
    """Send this browser to the provider; pending logins make room (R17).

    ``returned`` is the state of a login that came back in vain, and begins again by itself.
    """
    site = context.site
    assert site is not None
    compiled = context.knowledge.compiled
    if return_to is None:
        return_to = (context.target.path + context.target.query).decode("latin-1")
    page = safe_return(site, return_to)
    chosen = compiled.providers[provider] if provider is not None else compiled.default_provider()
    callback = pending.short_callback(chosen.callback, compiled.settings.prefix, chosen.name)
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
        max_age_seconds=int(compiled.settings.session.login_lifetime),
        route=context.route,
        cookies=pending.make_room(context, site, coming, returned),
        acr_values=acr_values,
        max_age=max_age,
        client=context.observed.client,
        position=position,
        is_repeated=bool(returned),
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
    )


def login(context: Context) -> Login | Refuse | Body:
    """Begin a login that was asked for by its own endpoint, or by a third party (OIDC Core section 4).

    ``iss``, ``login_hint`` and ``target_link_uri`` are the third party's, by GET or POST; ``provider`` and
    ``return_to`` are our own names for the same. ``account=other`` asks the provider for another account,
    ``acr_values`` and ``max_age`` for an authentication of that kind.
    """
    site, compiled = context.site, context.knowledge.compiled
    assert site is not None
    if context.sketch.speculative:
        # a link that is loaded ahead of anybody's wish
        return refuse(context, Reason.CREDENTIALS_MISSING)
    data = context.target.query[1:]
    if context.request.method == b"POST" and form.is_form(context.request.headers):
        body = context.knowledge.fact(need := Body(MOST_FORM), bytes)
        if body is None:
            return need
        data = body
    elif context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET", "POST"))
    # however long, a return URL never stands in the way of a login: safe_return judges it
    fields = form.read_parameters(data, _PARAMETERS)
    if fields is None:
        return plain(context, Reason.REQUEST_MALFORMED)
    name, issuer = fields.get("provider"), fields.get("iss")
    provider: Provider | None = None
    if name is not None or issuer is not None:
        provider = compiled.providers.get(name) if name is not None else compiled.by_issuer.get(issuer or "")
        if provider is None or issuer not in (None, provider.issuer):
            return plain(context, Reason.REQUEST_MALFORMED)
    hint = fields.get("login_hint", "")
    if len(hint) > _MOST_HINT or not hint.isprintable():
        return plain(context, Reason.REQUEST_MALFORMED)
    page = safe_return(site, fields.get("return_to") or fields.get("target_link_uri") or "/")
    answer = begin_for(context, Reason.LOGIN_STARTED, page, provider.name if provider is not None else None)
    answer = replace(answer, login_hint=hint, other_account=fields.get("account") == "other")
    return _stronger(answer, fields) or plain(context, Reason.REQUEST_MALFORMED)


def _stronger(login: Login, fields: Mapping[str, str]) -> Login | None:
    """Return a login that asks for what a link says, besides what its page asks for; None for garbage."""
    acr_values, max_age = fields.get("acr_values"), fields.get("max_age")
    if acr_values is not None:
        if _ACR_VALUES.fullmatch(acr_values) is None:
            return None
        login = replace(login, acr_values=tuple(acr_values.split(" ")))
    if max_age is not None:
        if _MAX_AGE.fullmatch(max_age) is None:
            return None
        wanted = [int(max_age)] if login.max_age is None else [int(max_age), login.max_age]
        login = replace(login, max_age=min(wanted))
    return login
