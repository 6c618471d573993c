"""The userinfo endpoint: who the gateway says that a browser is."""

from gateway.core.access.credentials import session_cookie
from gateway.core.access.forgetting import forget_session
from gateway.core.access.session import judge_session
from gateway.core.decision.answers import Live, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Need, SessionRecord
from gateway.core.decision.refusals import plain, refuse
from gateway.core.reasons import Reason
from gateway.syntax.encoding import Json


def userinfo(context: Context) -> Respond | Refuse | Need:
    """Tell the browser who it is logged in as; never a token (CVE-2024-39315)."""
    if context.request.method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    cookie = session_cookie(context)
    if cookie is None:
        return refuse(context, Reason.CREDENTIALS_MISSING)
    if isinstance(cookie, SessionRecord):
        return cookie
    verdict = judge_session(context, cookie)
    if isinstance(verdict, Reason):
        forget_session(context)
        return refuse(context, verdict)
    if not isinstance(verdict, Live):
        return verdict
    identity, session = verdict.identity, verdict.session
    document: dict[str, Json] = {
        **identity.claims,
        "iss": identity.issuer,
        "sub": identity.subject,
        "session": {"login_at": session.login_at, "ends_at": session.ends_at},
    }
    return Respond(
        Reason.USERINFO, 200, json=document, cookies=verdict.cookies, identity=identity, headers=()
    )
