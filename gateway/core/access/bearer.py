"""Access tokens: whom a bearer token names, and whom one that the provider gave us."""

from typing import TypeAlias

from gateway.core.access import token_userinfo
from gateway.core.access.api_keys import judge_key
from gateway.core.access.credentials import BearerToken, PresentedKey, token_of
from gateway.core.access.opaque import judge_opaque
from gateway.core.access.possession import unbound
from gateway.core.access.verification import checked
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Need
from gateway.core.headers.lines import Line
from gateway.core.identity import Identity
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.tokens import access_token
from gateway.core.tokens.binding import TokenRules
from gateway.core.tokens.introspection import is_opaque
from gateway.core.tokens.jws import Parsed, UnknownKey, read
from gateway.core.tokens.keys import KeySet

Verdict: TypeAlias = Identity | Need | Reason


def judge_bearer(context: Context, route: Route, bearer: BearerToken) -> Verdict:
    """Judge a bearer token: a JWT by the keys of the provider that it claims (RFC 9068 section 4).

    An opaque one is asked about at the provider that the route names; an API key is looked up.

    A provider that the route does not admit is no issuer that is trusted there (R70).
    """
    knowledge, now = context.knowledge, context.now
    if bearer.verified is not None:
        keys, identity, since = bearer.verified
        if (
            since <= now < identity.expires_at
            and keys is knowledge.keys.get(identity.provider)
            and now < keys.stale_after
            and route.admits(identity.provider)
            and identity.judged_by is route.tokens
        ):
            return identity
    if isinstance(bearer, PresentedKey):
        return judge_key(context, route, bearer)
    if route.introspects is not None and bearer.known is not None:
        known = bearer.known.get(route.introspects)
        if known is not None and known.holds(now) and known.identity.judged_by is route.tokens:
            return known.identity
    line = next((each for each in context.request.authorization if each.found is bearer), None)
    token = bearer.token if line is None else token_of(line)
    if route.introspects is not None and is_opaque(token):
        return judge_opaque(context, route, bearer, token)
    return _judge_jwt(context, route, bearer, line, token)


def _judge_jwt(context: Context, route: Route, bearer: BearerToken, line: Line | None, token: str) -> Verdict:
    knowledge, now = context.knowledge, context.now
    parsed = read(token)
    if not isinstance(parsed, Parsed):
        return parsed
    issuer = access_token.issuer_of(parsed)
    if isinstance(issuer, Reason):
        return issuer
    provider = knowledge.runtime.by_issuer.get(issuer)
    if provider is None or not route.admits(provider.name):
        return Reason.TOKEN_ISSUER
    rules = route.tokens
    is_asked = provider.settings.token_userinfo is not None
    found = token_userinfo.known(context, provider, bearer) if is_asked else None
    if found is not None and found.judged_by is rules:
        return found
    verdict = verified(context, provider, parsed, context.forwarded.client, rules=rules)
    if isinstance(verdict, Identity):
        verdict = unbound(bearer, verdict, rules) or verdict
    if isinstance(verdict, Identity):
        # nobody else can show a bound token to its provider
        if is_asked and verdict.binding is None:
            return token_userinfo.with_userinfo(context, provider, bearer, line, parsed, verdict)
        current = knowledge.keys.get(provider.name)
        if current is not None and line is not None and now < verdict.expires_at:
            bearer.verified = (current, verdict, now)
            knowledge.runtime.rules.request_lines.keep_verified(line)
    elif isinstance(verdict, Reason) and line is not None:
        # whom it named once, under other keys or before it expired
        knowledge.runtime.rules.request_lines.forget(line)
    return verdict


def verified(
    context: Context,
    provider: Provider,
    token: str | Parsed,
    by: str | None,
    at: float | None = None,
    rules: TokenRules | None = None,
) -> Verdict:
    """Verify an access token.

    Args:
        context: of the request.
        provider: whose it is.
        token: as presented, or as read already.
        by: whose address presents it, None where the provider gave it to us.
        at: when its times have to hold, in epoch seconds; None: now.
        rules: what the route asks of it besides.
    """

    def check(keys: KeySet) -> Identity | UnknownKey | Reason:
        return access_token.check(token, provider, keys, context.now, is_own=by is None, at=at, rules=rules)

    return checked(context, provider, token, check, by=by)
