"""The endpoint where a login begins that was asked for, by a link or by a third party."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from gateway.core.access import pending
from gateway.core.access.choosing import MOST_LINK, choose
from gateway.core.access.to_login import begin_for, safe_return
from gateway.core.decision.answers import Login, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Body, KeptPage
from gateway.core.decision.refusals import login_link, plain, refuse
from gateway.core.endpoints.session_start import is_login_site
from gateway.core.endpoints.way_back import page_wanted
from gateway.core.headers.cookies import Site
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.syntax import forms

MOST_FORM = 65_536
_MOST_HINT = 256
_PARAMETERS = (
    "return_to",
    "target_link_uri",
    "provider",
    "iss",
    "login_hint",
    "account",
    "acr_values",
    "max_age",
    "resume",
)
# RFC 9470 section 3; what a provider is asked for, whoever wishes it
_ACR_VALUES = re.compile(r"[!#-\[\]-~]{1,256}(?: [!#-\[\]-~]{1,256}){0,9}")
_MAX_AGE = re.compile(r"[0-9]{1,9}")


def login(context: Context) -> Login | Refuse | Respond | Body | KeptPage:
    """Begin a login that was asked for by its own endpoint, or by a third party (OIDC Core section 4).

    ``iss``, ``login_hint`` and ``target_link_uri`` are the third party's, by GET or POST; ``provider`` and
    ``return_to`` are our own names for the same. ``account=other`` asks the provider for another account,
    ``acr_values`` and ``max_age`` for an authentication of that kind.
    """
    site, runtime = context.site, context.knowledge.runtime
    assert site is not None
    if context.request.is_speculative:
        # a link that is loaded ahead of anybody's wish
        return refuse(context, Reason.CREDENTIALS_MISSING)
    data = context.target.query[1:]
    if context.request.method == b"POST" and forms.is_form(context.request.headers):
        body = context.knowledge.fact(need := Body(MOST_FORM), bytes)
        if body is None:
            return need
        data = body
    elif context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET", "POST"))
    # however long, a return URL never stands in the way of a login: safe_return judges it
    fields = forms.read_parameters(data, _PARAMETERS)
    if fields is None:
        return _unclear(context, forms.read_parameters(data, ("return_to",)) or {})
    provider, hint = _provider_of(context, fields), fields.get("login_hint", "")
    if isinstance(provider, Reason) or len(hint) > _MOST_HINT or not hint.isprintable():
        return _unclear(context, fields)
    wanted = _wanted(context, fields)
    if isinstance(wanted, KeptPage):
        return wanted
    if (home := _home_of(context, wanted)) is not None:
        return _at_home(home, runtime.settings.prefix, fields)
    page = safe_return(site, wanted)
    if provider is None and (chooser := choose(context, page, fields)) is not None:
        return chooser
    answer = begin_for(context, Reason.LOGIN_STARTED, page, provider.name if provider is not None else None)
    is_other = fields.get("account") == "other" or answer.other_account
    answer = replace(answer, login_hint=hint or answer.login_hint, other_account=is_other)
    return _stronger(answer, fields) or _unclear(context, fields)


def _provider_of(context: Context, fields: Mapping[str, str]) -> Provider | Reason | None:
    """Return the provider that a link names, None where it names none, or why nobody logs in there."""
    runtime = context.knowledge.runtime
    name, issuer = fields.get("provider"), fields.get("iss")
    if name is None and issuer is None:
        return Reason.REQUEST_MALFORMED if runtime.default_provider() is None else None
    provider = runtime.providers.get(name) if name is not None else runtime.by_issuer.get(issuer or "")
    if provider is None or issuer not in (None, provider.issuer) or provider.settings.bearer_only:
        return Reason.REQUEST_MALFORMED
    return provider


def _wanted(context: Context, fields: Mapping[str, str]) -> str | KeptPage:
    """Return the page that a link to a login leads to.

    ``resume`` is a state of ours that came back while the store could not say which page it was for.
    """
    known = pending.page_of(context, fields["resume"]) if fields.get("resume") else None
    if known is not None:
        page = page_wanted(context, known)
        return page if isinstance(page, KeptPage) else page or "/"
    return fields.get("return_to") or fields.get("target_link_uri") or "/"


def _unclear(context: Context, fields: Mapping[str, str]) -> Refuse:
    """Refuse a link to a login that cannot be followed; another one leads to the page that it is for."""
    site = context.site
    assert site is not None
    refusal = plain(context, Reason.REQUEST_MALFORMED)
    if context.knowledge.runtime.default_provider() is None:
        return refusal
    page = safe_return(site, fields.get("return_to") or fields.get("target_link_uri") or "/")
    return replace(refusal, login_url=login_link(context, page, None))


def _home_of(context: Context, wanted: str) -> Site | None:
    """Return the site of a page, where people log in here for every site; None for a page of this one."""
    scheme, mark, rest = wanted.partition("://")
    if not mark or len(wanted) > MOST_LINK or not is_login_site(context):
        return None
    authority = rest.partition("/")[0]
    site = context.knowledge.runtime.sites.get(authority.encode("latin-1", "replace"))
    is_whole = site is not None and site.origin == f"{scheme}://{authority}" and site != context.site
    return site if is_whole else None


def _at_home(home: Site, prefix: str, fields: Mapping[str, str]) -> Respond:
    """Let a login begin at the site whose page is wanted, such as one that a third party asks for here."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    return Respond(Reason.LOGIN_STARTED, 303, location=f"{home.origin}{prefix}login?{query}")


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
