"""Which login a browser comes back from, and which page that was for."""

import hmac

from gateway.core.access import pending
from gateway.core.decision.context import Context
from gateway.core.decision.needs import KeptPage
from gateway.core.headers.cookies import Site
from gateway.core.sessions.pending import PendingLogin


def begun_here(context: Context, site: Site, name: str, state: str) -> PendingLogin | None:
    """Return this browser's login of a state, None where there is none, or it took too long.

    ``name`` is that of its cookie.
    """
    begun = pending.open_pending(context, site, name)
    lifetime = context.knowledge.runtime.settings.session.login_lifetime
    if (
        begun is None
        or not hmac.compare_digest(begun.state.encode(), pending.proof_of(state).encode())
        or context.now - begun.started_at > lifetime
    ):
        return None
    return begun


def page_wanted(context: Context, page: str) -> str | KeptPage:
    """Return the page of a login, which may be in the store; empty where it could not be kept."""
    if not page.startswith("@"):
        return page
    kept: str | None = context.knowledge.fact(need := KeptPage(page), str)
    return need if kept is None else kept
