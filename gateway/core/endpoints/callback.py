"""The callback that ends a login: the response checked, the code redeemed, the session begun.

OpenID Connect Core section 3.1.2.5 to 3.1.3.7; RFC 9207; RFC 9700 section 4.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import quote

from gateway.core.access import pending, rounds
from gateway.core.access.choosing import remember
from gateway.core.access.session import session_identity, why_over
from gateway.core.access.to_login import begin_for
from gateway.core.access.verification import checked, key_set
from gateway.core.decision.allowance import allowance_of
from gateway.core.decision.answers import Login, Refuse, Respond
from gateway.core.decision.causes import Cause
from gateway.core.decision.context import Context
from gateway.core.decision.needs import (
    Admit,
    Body,
    KeptPage,
    Keys,
    Metadata,
    Need,
    Random,
    RedeemCode,
    SessionRecord,
    UseOnce,
    UserInfo,
)
from gateway.core.decision.refusals import plain
from gateway.core.endpoints import id_token_hint
from gateway.core.endpoints.authorization_response import (
    MOST_FORM,
    AuthorizationResponse,
    keep,
    kept,
    process_response,
)
from gateway.core.endpoints.claim_at_fault import claim_at_fault, tell_clock
from gateway.core.endpoints.joining import logged_in_meanwhile
from gateway.core.endpoints.login_failure import (
    Attempt,
    failed,
    interrupted,
    provider_here,
    spent,
    unknown_here,
)
from gateway.core.endpoints.session_start import (
    Begun,
    forgets,
    given,
    listed,
    new_session,
    presented_session,
    put_off,
    replaced,
)
from gateway.core.endpoints.way_back import begun_here, page_wanted
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.identity import Claims, Identity
from gateway.core.phrases import Phrase
from gateway.core.provider import Provider, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, Session
from gateway.core.sessions.overage import is_over
from gateway.core.sessions.pending import PendingLogin
from gateway.core.sessions.record import HANDLE_BYTES
from gateway.core.tokens import id_token
from gateway.core.tokens.jws import UnknownKey
from gateway.core.tokens.keys import KeySet
from gateway.syntax import forms
from gateway.syntax.encoding import Json, encode_base64url

Step: TypeAlias = Respond | Refuse | Login | Need


def callback(context: Context) -> Step:
    """End a login: check the response, redeem the code, verify the ID token, begin the session."""
    site = context.site
    assert site is not None
    provider = context.knowledge.runtime.providers.get(provider_here(context) or "")
    by_form = provider is not None and provider.settings.response_mode == "form_post"
    if by_form and context.request.method == b"POST" and forms.is_form(context.request.headers):
        return _posted(context, site)
    if context.request.method != b"GET":
        refusal = plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET", "POST") if by_form else ("GET",))
        begin_anew = interrupted(context).retry_url
        return replace(refusal, provider=provider_here(context), audit="login", login_url=begin_anew)
    response = process_response(context.target.query[1:], needs_code=not by_form)
    if response is None:
        return _malformed(context, site, context.target.query[1:])
    name = pending.state_cookie_name(site.login_prefix, response.state)
    begun = begun_here(context, site, name, response.state)
    if begun is None:
        return _stranger(context, Reason.LOGIN_STATE_UNKNOWN, response.state)
    response = kept(begun, response.state) or response
    page = page_wanted(context, begun.return_to)
    if isinstance(page, KeptPage):
        return page
    attempt = Attempt(begun, page, response.state, name)
    if not response.code and response.error is None:
        return failed(context, Reason.LOGIN_RESPONSE_MALFORMED, attempt)
    return _answered(context, site, response, attempt)


def _malformed(context: Context, site: Site, data: bytes) -> Refuse | KeptPage:
    # its state may still tell which page was wanted, or else the browser
    state = (forms.read_parameters(data, ("state",)) or {}).get("state", "")
    begun = begun_here(context, site, pending.state_cookie_name(site.login_prefix, state), state)
    known = pending.page_of(context, state) if begun is None else begun.return_to
    page = page_wanted(context, known or pending.newest_page(context, site))
    if isinstance(page, KeptPage):
        return page
    return failed(context, Reason.LOGIN_RESPONSE_MALFORMED, page=page)


def _posted(context: Context, site: Site) -> Step:
    """Take a response that another site's page has posted, and have the browser come again by GET."""
    body = context.knowledge.fact(need := Body(MOST_FORM), bytes)
    if body is None:
        return need
    response = process_response(body)
    if response is None:
        return _malformed(context, site, body)
    name = pending.state_cookie_name(site.login_prefix, response.state)
    begun = begun_here(context, site, name, response.state)
    changes: tuple[CookieChange, ...] = ()
    if begun is not None:
        lifetime = context.knowledge.runtime.settings.session.login_lifetime
        left = max(1, int(begun.started_at + lifetime - context.now))
        change = keep(site, name, begun, response, left)
        if change is None:
            page = page_wanted(context, begun.return_to)
            if isinstance(page, KeptPage):
                return page
            attempt = Attempt(begun, page, response.state, name)
            return failed(context, Reason.LOGIN_RESPONSE_MALFORMED, attempt, Phrase.of("code_too_long"))
        changes = (change,)
    back = f"{site.origin}{context.target.path.decode()}?state={quote(response.state, safe='')}"
    return Respond(Reason.LOGIN_RETURNED, 303, location=back, cookies=changes)


def _answered(context: Context, site: Site, response: AuthorizationResponse, attempt: Attempt) -> Step:
    """Judge the response to a login that this browser has begun."""
    runtime, begun = context.knowledge.runtime, attempt.begun
    provider = runtime.login_provider(begun.provider)
    if provider is None:
        gone = Cause.PROVIDER_GONE
        return failed(context, Reason.LOGIN_STATE_UNKNOWN, attempt, cause=gone)
    # RFC 9700 section 4.4: an answer that came by another provider's callback is another provider's (R71)
    if context.target.path.decode() != pending.callback_path(begun, runtime.settings.prefix):
        return failed(context, Reason.LOGIN_ISSUER_MISMATCH, attempt)
    metadata = context.knowledge.fact(need := Metadata(provider.name), ProviderMetadata)
    if metadata is None:
        return need
    # RFC 9207 section 2.4: a promised issuer that is missing is as bad as a wrong one (R6)
    known = (metadata.issuer, *metadata.also_issuers)
    if (response.issuer is not None and response.issuer not in known) or (
        response.issuer is None and metadata.iss_parameter_supported
    ):
        return failed(context, Reason.LOGIN_ISSUER_MISMATCH, attempt)
    if response.error is not None:
        return failed(context, Reason.LOGIN_DENIED, attempt, response.error[:100])
    presented = presented_session(context)
    if isinstance(presented, SessionRecord):
        return presented
    if presented is None and rounds.loops(context, site, attempt.page):
        return failed(context, Reason.LOGIN_LOOP, attempt)
    return _redeem(context, provider, attempt, response)


def _stranger(context: Context, reason: Reason, state: str, attempt: Attempt | None = None) -> Step:
    """Answer a state that is unknown here, or spent: whoever is logged in goes on to the page."""
    site = context.site
    assert site is not None
    known = pending.page_of(context, state) if attempt is None else attempt.page
    page = page_wanted(context, known or ("" if attempt else pending.newest_page(context, site)))
    if isinstance(page, KeptPage):
        return page
    page = page or "/"
    evicted = pending.was_evicted(context, site, state)
    cookies = () if attempt is None else (spent(context, attempt),)
    # a losing tab, or the back button: no token call is made
    presented = presented_session(context)
    if isinstance(presented, SessionRecord):
        return presented
    if presented is not None and why_over(context, presented.session) is None:
        if evicted:
            cookies = (*cookies, pending.forget_evicted(context, site, state))
        return Respond(Reason.ALREADY_LOGGED_IN, 303, location=site.origin + page, cookies=cookies)
    provider = provider_here(context)
    if evicted and provider is not None:
        # the person did nothing wrong: single sign-on brings them to their page
        again = begin_for(context, Reason.LOGIN_EVICTED, page, provider, state)
        return replace(again, cookies=(*again.cookies, *cookies), audit="login")
    name = pending.state_cookie_name(site.login_prefix, state)
    cause = None if attempt is not None else unknown_here(context, site, name)
    return failed(context, reason, attempt, page=page, cause=cause)


def _redeem(context: Context, provider: Provider, attempt: Attempt, response: AuthorizationResponse) -> Step:
    site, knowledge, begun = context.site, context.knowledge, attempt.begun
    assert site is not None
    if (first_of_all := _before_the_call(context, provider)) is not None:
        return first_of_all
    lifetime = knowledge.runtime.settings.session.login_lifetime
    digest = encode_base64url(hashlib.sha256(begun.state.encode()).digest())
    once = UseOnce("login", digest, begun.started_at + 2 * lifetime)
    first = knowledge.fact(once, bool)
    if first is None:
        return once
    if not first:
        return _stranger(context, Reason.LOGIN_STATE_REPLAYED, attempt.state, attempt)
    # RFC 6749 section 4.1.3: what the authorization request said
    redirect_uri = site.origin + context.target.path.decode()
    exchange = RedeemCode(provider.name, response.code, begun.verifier, redirect_uri)
    tokens: TokenSet | TokenRefusal | None = knowledge.fact(exchange, (TokenSet, TokenRefusal))
    if tokens is None:
        return exchange
    if isinstance(tokens, TokenRefusal):
        return failed(context, Reason.LOGIN_REFUSED, attempt, tokens.error)
    if not provider.has_id_tokens:
        return _with_userinfo(context, provider, attempt, tokens, None)
    claims = _verified_claims(context, provider, begun, tokens)
    if isinstance(claims, Reason):
        claim = claim_at_fault(tokens.id_token or "", claims, provider, context.now)
        came = tokens.id_token
        detail = tell_clock(came, claims, context.now) if came else Phrase.of("no_id_token")
        return failed(context, claims, attempt, detail, claim=claim)
    if not isinstance(claims, dict):
        return claims
    return _with_userinfo(context, provider, attempt, tokens, claims)


def _before_the_call(context: Context, provider: Provider) -> Refuse | Need | None:
    """Return what is to be had before a code is redeemed, since it is spent then; None where all is there."""
    if provider.has_id_tokens:
        keys = key_set(context, provider, Keys(provider.name, None))
        if not isinstance(keys, KeySet):
            return keys
    if (limit := context.knowledge.runtime.login_limit) is None:
        return None
    # before it costs the provider a call
    allowance = allowance_of(context, limit, None)
    if isinstance(allowance, Admit):
        return allowance
    if allowance.wait is None:
        return None
    return replace(interrupted(context), reason=Reason.RATE_LIMITED, retry_after=allowance.wait)


def _verified_claims(
    context: Context, provider: Provider, begun: PendingLogin, tokens: TokenSet
) -> "dict[str, Json] | Need | Reason":
    if tokens.id_token is None:
        return Reason.TOKEN_MALFORMED
    token = tokens.id_token

    def check(keys: KeySet) -> Claims | UnknownKey | Reason:
        return id_token.check(
            token, provider, keys, context.now, nonce=begun.nonce, access_token=tokens.access_token
        )

    claims = checked(context, provider, token, check, by=None)
    return dict(claims) if isinstance(claims, Mapping) else claims


def _with_userinfo(
    context: Context,
    provider: Provider,
    attempt: Attempt,
    tokens: TokenSet,
    claims: dict[str, Json] | None,
) -> Step:
    """Ask for more claims, or for all of them (``claims`` None): then the answer says who it is."""
    userinfo: Claims | None = None
    groups_of = str(claims["sub"]) if claims is not None and is_over(provider, claims) else ""
    if provider.settings.userinfo or claims is None or groups_of:
        need = UserInfo(provider.name, tokens.access_token, groups_of)
        userinfo = context.knowledge.fact(need, dict)
        if userinfo is None:
            return need
        if not userinfo:
            return failed(
                context,
                Reason.TOKEN_CLAIMS,
                attempt,
                Phrase.of("userinfo_refused"),
            )
        # OIDC Core section 5.3.2: a response about somebody else must not be used (R30)
        if claims is not None and userinfo.get("sub") != claims["sub"]:
            return failed(context, Reason.TOKEN_CLAIMS, attempt, Phrase.of("userinfo_other"), claim="sub")
    found = dict(userinfo or {}) if claims is None else claims
    return _with_session(context, provider, attempt, tokens, found, userinfo)


def _with_session(
    context: Context,
    provider: Provider,
    attempt: Attempt,
    tokens: TokenSet,
    claims: dict[str, Json],
    userinfo: Claims | None,
) -> Step:
    random = Random(32 + HANDLE_BYTES if context.knowledge.runtime.keeps_records else 32)
    drawn = context.knowledge.fact(random, bytes)
    if drawn is None:
        return random
    session = new_session(context, provider, tokens, claims, userinfo, encode_base64url(drawn[:32]))
    handle = encode_base64url(drawn[32:])
    grant = None
    if tokens.refresh_token:
        grant = Grant(session.session_id, 0, tokens.refresh_token, handle=handle)
    # judged once, here: each request would find the same fault and log in again (RFC 9068 section 4)
    identity = session_identity(context, session)
    if isinstance(identity, Reason):
        claim = claim_at_fault(tokens.access_token, identity, provider, context.now)
        if identity is Reason.TOKEN_AUDIENCE:
            claim = "aud"
        detail: str = Phrase.of("access_token")
        if (clock := tell_clock(tokens.access_token, identity, context.now)) is not None:
            detail = Phrase.of("access_token_clock", clock=clock)
        return failed(context, identity, attempt, detail, claim=claim)
    if not isinstance(identity, Identity):
        return identity
    return _complete(context, attempt, Begun(session, grant, handle, tokens.id_token), identity)


def _overtaken(context: Context, attempt: Attempt, session: Session) -> Login | Refuse | None:
    """Judge a login by the revocations that came between its beginning and its end (R72).

    One new login begins by itself; where that is overtaken as well, a page says why.
    """
    login, denylist = attempt.begun, context.knowledge.denylist
    if not denylist.judge_login(
        session.issuer, session.subject, session.sid, login.position, login.started_at, context.now
    ):
        return None
    if login.is_repeated:
        return failed(context, Reason.REVOKED, attempt)
    again = begin_for(context, Reason.REVOKED, attempt.page or "/", login.provider, attempt.state)
    return replace(again, cookies=(*again.cookies, spent(context, attempt)), audit="login")


def _complete(context: Context, attempt: Attempt, begun: Begun, identity: Identity) -> Step:
    site, session = context.site, begun.session
    assert site is not None
    if (overtaken := _overtaken(context, attempt, session)) is not None:
        return overtaken
    if (already := logged_in_meanwhile(context, attempt, session)) is not None:
        return already
    if not begun.fits():
        size = renewal.cookie_size(session, begun.grant)
        return failed(
            context, Reason.LOGIN_COOKIE_TOO_LARGE, attempt, Phrase.of("characters", number=str(size))
        )
    if (need := replaced(context, begun)) is not None:
        return need
    changes = [
        *given(context, site, begun),
        spent(context, attempt),
        rounds.note(context, site, attempt.page, came_back=presented_session(context) is not None),
    ]
    changes += remember(context, site, session.provider)
    changes += id_token_hint.keep(context, session, begun.id_token, changes)
    hint = id_token_hint.stored(context, session, begun.id_token, changes)
    return Respond(
        Reason.LOGIN_COMPLETED,
        303 if attempt.page else 200,
        location=site.origin + attempt.page if attempt.page else None,
        page=None if attempt.page else "page_lost",
        headers=forgets(context, session),
        cookies=tuple(changes),
        identity=identity,
        audit="login",
        details={"provider": session.provider},
        background=(*put_off(context, begun), *hint, *listed(context, session)),
    )
