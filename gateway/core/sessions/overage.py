"""Groups that did not fit into an ID token (Entra ID's groups overage), and are asked for where they are.

The token says so by a distributed claim (OpenID Connect Core section 5.6.2), whose address is not followed:
a token says nothing of where the gateway sends an access token.
"""

from gateway.core.identity import Claims
from gateway.core.provider import Provider
from gateway.core.sessions.model import Session

GROUPS = "groups"


def is_over(provider: Provider, claims: Claims) -> bool:
    """Tell whether an ID token leaves out the groups because they are too many, and they are asked for."""
    if provider.settings.groups_overage != "graph":
        return False
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, dict) and GROUPS in elsewhere:
        return True
    return claims.get("hasgroups") in (True, "true")


def groups_of(provider: Provider, session: Session, id_claims: Claims | None) -> str:
    """Return whose groups have to be asked for in a renewal, empty for nobody's.

    Without a new ID token those are asked for again that were asked for before.
    """
    if provider.settings.groups_overage != "graph":
        return ""
    before = session.told.get("userinfo")
    had = before is not None and GROUPS in before.names
    is_asked = had if id_claims is None else is_over(provider, id_claims)
    return session.subject if is_asked else ""


def nothing_more(provider: Provider, session: Session, id_claims: Claims | None) -> Claims | None:
    """Return what stands for groups that were asked for once and fit into the ID token now: nothing.

    None where there is nothing to take away.
    """
    settings = provider.settings
    if settings.groups_overage != "graph" or settings.userinfo or id_claims is None:
        return None
    return {"sub": session.subject} if "userinfo" in session.told else None
