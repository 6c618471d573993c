"""Rate limits as a part of the decision: one more request of a caller is a need, counted once (Admit)."""

from gateway.core.decision.context import Context
from gateway.core.decision.needs import Admit
from gateway.core.identity import Identity
from gateway.core.rules.rate_limit import Allowance, RateLimit, key_of


def allowance_of(context: Context, limit: RateLimit, identity: Identity | None) -> Allowance | Admit:
    """Return what a caller is allowed under a limit, or the need that counts this request.

    It is counted once, whoever the request turns out to be later on.
    """
    for need in context.knowledge.facts:
        if isinstance(need, Admit) and need.limit is limit:
            found = context.knowledge.fact(need, Allowance)
            assert found is not None
            return found
    return Admit(limit, key_of(limit.by, identity, context.forwarded.client))
