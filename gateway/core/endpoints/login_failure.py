"""How a login ends without a session: what its page offers, and what the records say of it (R86)."""

from dataclasses import dataclass, field
from urllib.parse import quote

from gateway.core.access import pending, rounds
from gateway.core.decision.answers import Refuse
from gateway.core.decision.causes import Cause, cause_of
from gateway.core.decision.context import Context
from gateway.core.decision.needs import KeptPage
from gateway.core.decision.refusals import login_link, other_account
from gateway.core.endpoints.authorization_response import process_response
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.reasons import Reason
from gateway.core.sessions.pending import PendingLogin


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login whose answer has come back, with its state as presented and the name of its cookie.

    ``page`` is what was wanted, empty where that could not be kept.
    """

    begun: PendingLogin
    page: str
    state: str = field(repr=False)
    cookie: str


def provider_here(context: Context) -> str | None:
    """Return the name of the provider whose callback is asked for, None where it is nobody's."""
    runtime = context.knowledge.runtime
    found = runtime.by_callback.get(context.target.path.removeprefix(runtime.prefix))
    return None if found is None else found.name


def spent(context: Context, attempt: Attempt) -> CookieChange:
    """Return the change that removes the cookie of a login that has come to its end."""
    return CookieChange(attempt.cookie, None, 0, jar.presented(context.cookies, attempt.cookie))


def failed(
    context: Context,
    reason: Reason,
    attempt: Attempt | None = None,
    detail: str | None = None,
    *,
    page: str = "/",
    claim: str | None = None,
    cause: Cause | None = None,
) -> Refuse:
    """Refuse a login: its cookie goes, and a new one leads to the page that was wanted.

    ``cause`` is what probably happened, None where the reason and the provider's code say it.
    """
    assert context.site is not None
    name = provider_here(context)
    if attempt is not None:
        name, page = attempt.begun.provider, attempt.page
    if not page.startswith("/"):
        page = "/"
    cookies = (spent(context, attempt),) if attempt is not None else ()
    if reason is Reason.LOGIN_LOOP:
        # else the way on that the page offers would end here again
        cookies = (*cookies, rounds.forgotten(context.site))
    return Refuse(
        reason=reason,
        html=context.wants_html,
        login_url=_anew(context, page, name),
        detail=detail,
        account_url=other_account(context, page),
        provider=name,
        claim=claim,
        cause=cause or cause_of(reason, detail) or "",
        audit="login",
        cookies=cookies,
    )


def interrupted(context: Context) -> Refuse:
    """Return what is told of a login whose callback met a fault: whose it was, and where to begin anew.

    The address of a callback leads nowhere a second time.
    """
    site = context.site
    assert site is not None
    response = process_response(context.target.query[1:], needs_code=False)
    page, name = "", provider_here(context)
    if response is not None:
        cookie = pending.state_cookie_name(site.login_prefix, response.state)
        begun = pending.open_pending(context, site, cookie)
        page = pending.page_of(context, response.state) or ""
        if begun is not None:
            page, name = begun.return_to, begun.provider
    page = page or pending.newest_page(context, site)
    # what the store keeps of it was asked for first
    page = context.knowledge.fact(KeptPage(page), str) or page
    url = _anew(context, page if page.startswith("/") else "/", name)
    if page.startswith("@") and response is not None:
        # the store could not say which page it is: the state leads there once it can
        url = f"{url}{'&' if '?' in url else '?'}resume={quote(response.state, safe='')}"
    return Refuse(Reason.INTERNAL_ERROR, html=context.wants_html, retry_url=url, provider=name, audit="login")


def unknown_here(context: Context, site: Site, name: str) -> Cause:
    """Return why this browser seems not to have begun the login whose answer it brings.

    ``name`` is that of the login's cookie.
    """
    if name in context.cookies:
        begun = pending.open_pending(context, site, name)
        return Cause.UNREADABLE_COOKIE if begun is None else Cause.TOO_LATE
    return Cause.OTHER_LOGIN if context.cookies else Cause.NO_COOKIES


def _anew(context: Context, page: str, provider: str | None) -> str:
    """Return where to log in for a page: elsewhere, where a reload has taken the provider away meanwhile."""
    is_there = provider is not None and context.knowledge.runtime.login_provider(provider) is not None
    return login_link(context, page, provider if is_there else None)
