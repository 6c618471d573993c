"""Opaque access tokens: whom one names, as the route's own provider says (RFC 7662)."""

from gateway.core.access.credentials import BearerToken, KnownCaller
from gateway.core.access.possession import unbound
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Introspect, Need
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.tokens import introspection
from gateway.core.tokens.introspection import Introspection


def judge_opaque(context: Context, route: Route, bearer: BearerToken, token: str) -> Identity | Need | Reason:
    """Return whom an opaque token names at the provider that a route asks, or the need that asks it.

    What was said is remembered with the token's own line, for that provider alone, and for as long as the
    answer counts. Policies and the denylist are asked each time, as ever.
    """
    assert route.introspects is not None
    provider = context.knowledge.runtime.providers[route.introspects]
    is_known = provider.name in (bearer.known or {})
    need = Introspect(provider.name, token, context.forwarded.client, is_known)
    answer = context.knowledge.fact(need, Introspection)
    if answer is None:
        return need
    verdict = introspection.check(answer, provider, context.now, route.tokens)
    if isinstance(verdict, Identity):
        verdict = unbound(bearer, verdict, route.tokens) or verdict
    table = context.knowledge.runtime.rules.request_lines
    line = next((each for each in context.request.authorization if each.found is bearer), None)
    if line is None:
        return verdict
    others = {name: known for name, known in (bearer.known or {}).items() if name != provider.name}
    if isinstance(verdict, Identity):
        # that it was good is worth knowing for longer: its next question is no stranger's
        ends = max(answer.until, verdict.expires_at)
        known = KnownCaller(verdict, answer.asked_at, answer.until, ends)
        bearer.known = {**others, provider.name: known}
        table.keep_verified(line)
    else:
        bearer.known = others or None
        if not others:
            table.forget(line)
    return verdict
