"""How a login ends without a session: what its page offers, and what the records say of it (R86)."""

from dataclasses import dataclass, field

from gateway.core.access import pending
from gateway.core.decision.answers import Refuse
from gateway.core.decision.context import Context
from gateway.core.decision.needs import KeptPage
from gateway.core.decision.refusals import login_link, other_account
from gateway.core.endpoints.authorization_response import process_response
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import CookieChange
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
) -> Refuse:
    """Refuse a login: its cookie goes, and a new one leads to the page that was wanted."""
    assert context.site is not None
    name = provider_here(context)
    if attempt is not None:
        name, page = attempt.begun.provider, attempt.page
    if not page.startswith("/"):
        page = "/"
    return Refuse(
        reason=reason,
        html=context.wants_html,
        login_url=_anew(context, page, name),
        detail=detail,
        account_url=other_account(context, page),
        provider=name,
        claim=claim,
        audit="login",
        cookies=(spent(context, attempt),) if attempt is not None else (),
    )


def interrupted(context: Context) -> Refuse:
    """Return what is told of a login whose callback met a fault: whose it was, and where to begin anew.

    The address of a callback leads nowhere a second time.
    """
    site = context.site
    assert site is not None
    response = process_response(context.target.query[1:], needs_code=False)
    page, name = "/", provider_here(context)
    if response is not None:
        cookie = pending.state_cookie_name(site.login_prefix, response.state)
        begun = pending.open_pending(context, site, cookie)
        page = pending.page_of(context, response.state) or "/"
        if begun is not None:
            page, name = begun.return_to, begun.provider
    # what the store keeps of it was asked for first
    page = context.knowledge.fact(KeptPage(page), str) or page
    url = _anew(context, page if page.startswith("/") else "/", name)
    return Refuse(Reason.INTERNAL_ERROR, html=context.wants_html, retry_url=url, provider=name, audit="login")


def _anew(context: Context, page: str, provider: str | None) -> str:
    """Return where to log in for a page: elsewhere, where a reload has taken the provider away meanwhile."""
    return login_link(context, page, provider if provider in context.knowledge.runtime.providers else None)
