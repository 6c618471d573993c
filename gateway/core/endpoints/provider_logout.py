"""Logouts that the provider asks for: OpenID Connect Back-Channel Logout 1.0, Front-Channel Logout 1.0.

Neither looks at cookies: what they do is carried by the request itself, a signed token or a session id that
only the provider and its client know.
"""

from dataclasses import replace
from urllib.parse import urlsplit

from gateway.core.access.verification import checked
from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Admit, Body, KnownSid, Need, Revoke, UseOnce
from gateway.core.decision.refusals import plain
from gateway.core.endpoints.logout import written_entries
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry, entry_expiry, everything_of
from gateway.core.rules.rate_limit import MICROSECONDS, Allowance, RateLimit, key_of
from gateway.core.tokens import logout_token
from gateway.core.tokens.access_token import issuer_of
from gateway.core.tokens.jws import UnknownKey
from gateway.core.tokens.keys import KeySet
from gateway.core.tokens.logout_token import LogoutToken
from gateway.syntax import forms

MOST_BODY = 32 * 1024
MOST_SID = 255
MOST_ENTRIES = 50_000
"""Entries of the denylist beyond which one address may add few: nobody vouches for such a ``sid``."""


def _limit(requests: int, seconds: int) -> RateLimit:
    policy = b'"frontchannel-logout";q=%d;w=%d' % (requests, seconds)
    interval = seconds * MICROSECONDS // requests
    return RateLimit("frontchannel-logout", interval, requests, "address", False, policy)


USUAL = _limit(60, 360)
CROWDED = _limit(4, 3600)
FRONTCHANNEL_LIMITS = (USUAL, CROWDED)
"""How many entries one address may add for one provider; the second where the denylist is long already."""


def backchannel(context: Context) -> Respond | Refuse | Need:
    """End the sessions that a logout token names, at every worker by the denylist (R51, R52)."""
    if context.request.method != b"POST":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("POST",))
    if not forms.is_form(context.request.headers):
        return _bad(Reason.REQUEST_MALFORMED, "The Content-Type must be application/x-www-form-urlencoded.")
    body = context.knowledge.fact(need := Body(MOST_BODY), bytes)
    if body is None:
        return need
    token = (forms.read_form(body) or {}).get("logout_token")
    if not token:
        return _bad(Reason.REQUEST_MALFORMED, "The form must have one logout_token and no field twice.")
    issuer = issuer_of(token)
    if isinstance(issuer, Reason):
        return _bad(issuer)
    provider = context.knowledge.runtime.by_issuer.get(issuer)
    if provider is None or not provider.client_id:
        # its logout tokens are for clients
        return _bad(Reason.TOKEN_ISSUER)
    found = _checked(context, provider, token)
    if isinstance(found, Reason):
        return _bad(found, issuer=issuer)
    if not isinstance(found, LogoutToken):
        return found
    return _obeyed(context, found)


def _checked(context: Context, provider: Provider, token: str) -> LogoutToken | Need | Reason:
    def check(keys: KeySet) -> LogoutToken | UnknownKey | Reason:
        return logout_token.check(token, provider, keys, context.now)

    return checked(context, provider, token, check, by=context.forwarded.client)


def _obeyed(context: Context, token: LogoutToken) -> Respond | Need:
    # used up before it is obeyed: a replay would end the sessions that began since. An entry that the store
    # does not take at once holds in this process, which goes on trying.
    once = UseOnce("logout", token.replay_id, token.accepted_until)
    first = context.knowledge.fact(once, bool)
    if first is None:
        return once
    if not first:
        return _bad(Reason.TOKEN_CLAIMS, "The logout token was received before.", issuer=token.issuer)
    written = written_entries(context)
    if written is None:
        return Revoke((_named(context, token),))
    return Respond(
        Reason.LOGGED_OUT,
        200,
        audit="logout",
        details={"how": "backchannel", "issuer": token.issuer, "subject": token.subject, "sid": token.sid},
        revoked=written,
    )


def _lifetime(context: Context) -> float:
    return context.knowledge.runtime.settings.session.absolute_lifetime


def _expiry(context: Context) -> float:
    return entry_expiry(context.now, _lifetime(context))


def _named(context: Context, token: LogoutToken) -> DenyEntry:
    """Return the entry that a token asks for: one session of the provider's, or all of the subject's.

    It names what began until now, by this clock: a person who logs in again has a session.
    """
    if token.sid is not None:
        return DenyEntry("sid", token.issuer, token.sid, context.now, _expiry(context), AS_WRITTEN)
    assert token.subject is not None
    return everything_of(token.issuer, token.subject, context.now, _lifetime(context))


def _bad(reason: Reason, description: str | None = None, *, issuer: str | None = None) -> Respond:
    """Refuse as Back-Channel Logout section 2.8 asks: 400 and JSON; what is rendered is never stored."""
    return Respond(
        reason,
        400,
        json={
            "error": "invalid_request",
            "error_description": description or f"The logout token is refused: {reason}.",
        },
        audit="logout_refused",
        details={"how": "backchannel", "issuer": issuer},
    )


def frontchannel(context: Context) -> Respond | Refuse | Need:
    """End the provider's session that a frame of its logout page names.

    Only for providers that the configuration allows it: nothing proves that the provider asks.
    """
    runtime = context.knowledge.runtime
    if not any(each.settings.frontchannel_logout for each in runtime.providers.values()):
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    fields = forms.read_parameters(context.target.query[1:], ("iss", "sid")) or {}
    issuer, sid = fields.get("iss"), fields.get("sid")
    provider = runtime.by_issuer.get(issuer or "")
    if provider is None or not sid or len(sid) > MOST_SID or not sid.isprintable():
        return plain(context, Reason.REQUEST_MALFORMED)
    if not provider.settings.frontchannel_logout:
        return plain(context, Reason.ROUTE_UNKNOWN)
    written = written_entries(context)
    if written is None:
        if (answer := _unwanted(context, provider, sid)) is not None:
            return answer
        return Revoke((DenyEntry("sid", provider.issuer, sid, context.now, _expiry(context), AS_WRITTEN),))
    details: dict[str, str | None] = {"how": "frontchannel", "issuer": provider.issuer, "sid": sid}
    return replace(_framed(provider), audit="logout", details=details, revoked=written)


def _unwanted(context: Context, provider: Provider, sid: str) -> Respond | Refuse | Need | None:
    """Return what a ``sid`` gets that adds no entry, None for one that does.

    Strangers make up as many as they like. Where the store keeps sessions it knows the ``sid`` of each, and
    others name nothing; else one address adds so many for one provider, and no flood is in others' way.
    """
    knowledge = context.knowledge
    if knowledge.runtime.settings.session.mode == "redis":
        is_known = knowledge.fact(known := KnownSid(provider.name, sid), bool)
        if is_known is None:
            return known
        return None if is_known else _framed(provider)
    limit = CROWDED if len(knowledge.denylist) >= MOST_ENTRIES else USUAL
    key = f"{key_of('address', None, context.forwarded.client)} {provider.name}"
    admit = next((need for need in knowledge.facts if isinstance(need, Admit)), Admit(limit, key))
    allowance = knowledge.fact(admit, Allowance)
    if allowance is None:
        return admit
    if allowance.wait is None:
        return None
    return replace(plain(context, Reason.RATE_LIMITED), retry_after=allowance.wait)


def _framed(provider: Provider) -> Respond:
    """Return what a frame of the provider's page is answered, whatever was done for it."""
    fields = (
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"Content-Security-Policy", _framed_by(provider)),
    )
    return Respond(Reason.LOGGED_OUT, 200, headers=fields)


def _framed_by(provider: Provider) -> bytes:
    """Return the policy (CSP Level 3) that lets the provider's own pages, and nobody else, frame this."""
    settings = provider.settings
    urls = (provider.issuer, settings.authorization_endpoint, settings.end_session_endpoint)
    parts = [urlsplit(url) for url in urls if url is not None]
    origins = dict.fromkeys(f"{each.scheme}://{each.netloc}" for each in parts)
    return f"default-src 'none'; base-uri 'none'; frame-ancestors {' '.join(origins)}".encode()
