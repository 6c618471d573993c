"""Refusals with everything that the edge needs to explain them."""

from typing import Final
from urllib.parse import quote

from gateway.core.decision.answers import Refuse
from gateway.core.decision.context import Context
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.sessions.cookies import cleared_cookies
from gateway.core.sessions.joining import JOIN

MOST_REFERRER: Final = 4096


def login_url(context: Context, provider: str | None = None) -> str | None:
    """Return where a person could log in for this page, None where no login leads.

    ``provider`` is the one to log in at, None for the route's own.
    """
    site, route = context.site, context.route
    # whoever calls an API is told no page, but a person who came by has somewhere to go
    if site is None or (route is not None and not route.has_login):
        return None
    if route is not None and route.unauthenticated == "reject" and not context.wants_html:
        return None
    runtime = context.knowledge.runtime
    if runtime.login_provider(provider) is None:
        return None
    wanted = route.provider if route is not None else None
    if provider is not None and (wanted or provider != runtime.login_names()[0]):
        wanted = provider
    return login_link(context, _page_of(context), wanted)


def login_link(context: Context, page: str | None, provider: str | None) -> str:
    """Return the URL of a login for a page of this site, None for its start, at a provider."""
    assert context.site is not None
    url = f"{context.site.origin}{context.knowledge.runtime.settings.prefix}login"
    fields = [("return_to", page if page != "/" else None), ("provider", provider)]
    query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in fields if value)
    return f"{url}?{query}" if query else url


def asking_for(url: str | None, acr_values: tuple[str, ...], max_age: int | None) -> str | None:
    """Return the URL of a login that asks the provider for such an authentication (RFC 9470 section 4).

    The page that it leads to may ask for less than what its script was refused.
    """
    if url is None:
        return None
    fields = [("acr_values", " ".join(acr_values)), ("max_age", "" if max_age is None else str(max_age))]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields if value)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def other_account(context: Context, page: str | None, provider: str | None = None) -> str:
    """Return the URL of a login at which the provider asks which account it is to be.

    ``page`` is where it leads to, None for the page that the person is on.
    """
    url = login_link(context, _page_of(context) if page is None else page, provider)
    return f"{url}{'&' if '?' in url else '?'}account=other"


def _page_of(context: Context) -> str | None:
    """Return the page that a person is on: this very one, or the one whose script or form asks.

    Of our own endpoints the one that a site asks by is a page. A script's own request leads a person nowhere,
    and what a form sent cannot be sent again.
    """
    assert context.site is not None
    prefix = context.knowledge.runtime.prefix
    is_own = context.target.path.startswith(prefix) and context.target.path != prefix + JOIN.encode()
    if is_own or context.scripted or context.request.method not in (b"GET", b"HEAD"):
        referrers = [value for name, value in context.request.headers if name.lower() == b"referer"]
        start = context.site.origin.encode() + b"/"
        is_one = len(referrers) == 1 and len(referrers[0]) <= MOST_REFERRER
        if is_one and referrers[0].startswith(start) and referrers[0].isascii():
            return referrers[0][len(start) - 1 :].decode()
        if is_own or context.request.method not in (b"GET", b"HEAD"):
            return None
    return (context.target.path + context.target.query).decode("latin-1")


def refuse(
    context: Context,
    reason: Reason,
    *,
    identity: Identity | None = None,
    bearer: bool = False,
    clear: bool = False,
    provider: str | None = None,
    by_key: bool = False,
) -> Refuse:
    """Refuse with everything the edge needs for a page, a problem document or a challenge.

    ``provider`` is whose session holds, but will not do; None where there is none. ``by_key`` tells that only
    a proof of a key would do.
    """
    site, route = context.site, context.route
    proofs = context.knowledge.runtime.proofs
    by_key = by_key or _asks_for_proof(context)
    # whoever has waited may be late: what the browser has by now can be of a newer login. A logout clears
    # whatever there is, and it alone of our own endpoints comes this way
    is_at_once = not context.knowledge.facts or route is None
    return Refuse(
        reason=reason,
        route=route,
        identity=identity,
        html=context.wants_html,
        challenge=True,
        bearer_presented=bearer,
        login_url=login_url(context, provider),
        retry_after=5 if reason is Reason.DENYLIST_STALE else None,
        cookies=cleared_cookies(site, context.cookies) if clear and site is not None and is_at_once else (),
        proof_algorithms=proofs.algorithms if by_key else (),
        nonce=proofs.nonces.current(context.now) if by_key and proofs.nonces is not None else "",
    )


def _asks_for_proof(context: Context) -> bool:
    """Tell whether the challenge is of the DPoP scheme (RFC 9449 section 7.1)."""
    route = context.route
    if route is not None and route.tokens is not None and route.tokens.proof in ("dpop", "required"):
        return True
    return any(line.value[:5].lower() == b"dpop " for line in context.request.authorization)


def plain(context: Context, reason: Reason, *, allow: tuple[str, ...] = ()) -> Refuse:
    """Refuse where no credentials could help: no challenge and no way to log in."""
    return Refuse(reason=reason, route=context.route, html=context.wants_html, allow=allow)
