"""The end of a session that its own person asks for, and what a session may tell its own browser."""

from gateway.core import access
from gateway.core.answers import Refuse, Respond
from gateway.core.callback import session_entry
from gateway.core.context import Context
from gateway.core.credentials import session_cookie
from gateway.core.model import CookieChange, Json
from gateway.core.needs import Need, Revoke
from gateway.core.reasons import Reason
from gateway.core.refusals import cleared_cookies, plain, refuse


def _header(context: Context, wanted: bytes) -> bytes | None:
    values = [value for name, value in context.request.headers if name.lower() == wanted]
    return values[0] if len(values) == 1 else (b"" if values else None)


def _same_origin(context: Context) -> bool:
    # Sec-Fetch-Site cannot be set by scripts; Origin is sent with every POST of a browser. A caller that
    # sends neither is no browser, and SameSite=Lax keeps the cookie from cross-site posts all the same.
    assert context.site is not None
    site, origin = _header(context, b"sec-fetch-site"), _header(context, b"origin")
    if site is not None and site not in (b"same-origin", b"none"):
        return False
    return origin is None or origin == context.site.origin.encode()


def logout(context: Context) -> Respond | Refuse | Need:
    """GET asks, POST ends the session: here in the browser, and at every worker by the denylist (R43)."""
    site = context.site
    assert site is not None
    prefix = context.knowledge.compiled.settings.prefix
    if context.request.method == b"GET":
        return Respond(
            Reason.LOGOUT_CONFIRM, 200, page="logout_confirm", values={"action": f"{prefix}logout"}
        )
    if context.request.method != b"POST":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET", "POST"))
    if not _same_origin(context):
        return plain(context, Reason.ORIGIN_FORBIDDEN)
    cookie = session_cookie(context)
    session = cookie.opened.session if cookie is not None and cookie.opened is not None else None
    entries = (session_entry(session),) if session is not None else ()
    if entries and (need := Revoke(entries)) not in context.knowledge.facts:
        return need
    own = [name for name in context.cookies if name.startswith((site.login_prefix, site.loop_cookie))]
    return Respond(
        Reason.LOGGED_OUT,
        303,
        location=f"{site.origin}{prefix}logged-out",
        cookies=(
            *cleared_cookies(site, context.cookies),
            *(CookieChange(name, None, 0, (name,)) for name in own),
        ),
        identity=access.identity_of(session, session.claims, session.scopes) if session else None,
        audit="logout",
        revoked=entries,
    )


def logged_out(context: Context) -> Respond:
    """Say that the session has ended, and where to log in again."""
    assert context.site is not None
    prefix = context.knowledge.compiled.settings.prefix
    return Respond(
        Reason.LOGGED_OUT, 200, page="logged_out", values={"login_url": f"{context.site.origin}{prefix}login"}
    )


def userinfo(context: Context) -> Respond | Refuse | Need:
    """Tell the browser who it is logged in as; never a token (CVE-2024-39315)."""
    if context.request.method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    cookie = session_cookie(context)
    if cookie is None:
        return refuse(context, Reason.CREDENTIALS_MISSING)
    verdict = access.judge_session(context, cookie.opened)
    if isinstance(verdict, Reason):
        return refuse(context, verdict)
    if not isinstance(verdict, access.Live):
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
