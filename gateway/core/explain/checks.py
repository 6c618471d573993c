"""Each check of a request for a route: passed, failed, or not asked, by the very functions that decide.

What is judged on the way there is judged again here, which changes nothing: it is a pure function of what is
known. What has failed is told by the decision's own reason.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gateway.core.access.bearer import judge_bearer
from gateway.core.access.credentials import BearerToken, PresentedKey, ProofToken, SessionCookie, present
from gateway.core.access.possession import judge_possession
from gateway.core.access.session import judge_session
from gateway.core.decision.answers import Answer, Forward, Live, Refuse
from gateway.core.decision.context import Context
from gateway.core.decision.needs import ExchangeToken, Need
from gateway.core.explain.facts import need_of, of_bearer, of_keys, of_session
from gateway.core.identity import Binding, Identity
from gateway.core.reasons import Reason
from gateway.core.rules.policies import Node
from gateway.core.rules.routes import Route
from gateway.core.rules.verdict import reason_of
from gateway.syntax.encoding import Json

Outcome: TypeAlias = Literal["passed", "failed", "unknown", "not asked"]

# what keeps a session or a token from being told on, though who it is was found
_OF_UPSTREAM = frozenset({Reason.ACCESS_TOKEN_MISSING, Reason.EXCHANGE_REFUSED})


def check(
    name: str, outcome: Outcome, reason: Reason | None = None, more: dict[str, Json] | None = None
) -> dict[str, Json]:
    """Return how one check ended."""
    told: dict[str, Json] = {"check": name, "outcome": outcome}
    if reason is not None:
        told["reason"] = reason.value
    return told | (more or {})


@dataclass(slots=True)
class Checked:
    """What was found of a request for a route. ``identity`` is who calls, None where nobody is known to."""

    checks: list[Json] = field(default_factory=list)
    credentials: list[Json] = field(default_factory=list)
    facts: list[Json] = field(default_factory=list)
    policy: dict[str, Json] | None = None
    identity: Identity | None = None
    live: Live | None = None


def check_route(context: Context, route: Route, answer: Answer | Need) -> Checked:
    """Judge who calls, and whether they may, for a route that a request is on."""
    found = Checked()
    reason = getattr(answer, "reason", None)
    if route.rate_limit is not None:
        is_over = reason is Reason.RATE_LIMITED
        found.checks.append(
            check("rate limit", "failed" if is_over else "passed", reason if is_over else None)
        )
    if route.access == "public" or reason is Reason.PREFLIGHT:
        found.checks.append(check("credentials", "not asked"))
        return found
    _check_credentials(context, route, found)
    if found.identity is None:
        return found
    for name, refusal in (("origin", Reason.ORIGIN_FORBIDDEN), ("one identity", Reason.CREDENTIALS_CONFLICT)):
        has_failed = reason is refusal
        found.checks.append(check(name, "failed" if has_failed else "passed", reason if has_failed else None))
    _check_denylist(context, route, found.identity, found)
    _check_policy(context, route, found.identity, found)
    if route.sends is not None:
        found.checks.append(_check_upstream(answer))
    return found


def _check_credentials(context: Context, route: Route, found: Checked) -> None:
    presented = present(context, route)
    if isinstance(presented, Reason):
        found.checks.append(check("credentials", "failed", presented))
        return
    if not isinstance(presented, tuple):
        found.checks.append(check("credentials", "unknown", None, need_of(presented)))
        return
    bearer, cookie = presented
    if bearer is None and cookie is None:
        missing: Outcome = "passed" if route.access == "optional" else "failed"
        found.checks.append(
            check("credentials", missing, None if missing == "passed" else Reason.CREDENTIALS_MISSING)
        )
        return
    found.checks.append(check("credentials", "passed"))
    if bearer is not None:
        _judge_bearer(context, route, bearer, found)
    if cookie is not None:
        _judge_cookie(context, cookie, found, counts=bearer is None)


def _judge_bearer(context: Context, route: Route, bearer: BearerToken, found: Checked) -> None:
    kind = "API key" if isinstance(bearer, PresentedKey) else "bearer token"
    kind = "bound token" if isinstance(bearer, ProofToken) else kind
    verdict = judge_bearer(context, route, bearer)
    told: dict[str, Json] = {"kind": kind, "counts": True}
    found.credentials.append(told | _told(verdict))
    found.checks.append(_check_of(kind, verdict))
    if isinstance(verdict, Identity):
        found.identity = verdict
        found.facts += of_bearer(bearer, verdict, context)
        keys = of_keys(context.knowledge, verdict.provider, context.now)
        if verdict.kind == "bearer" and keys is not None and not bearer.known:
            found.facts.append(keys)
        if verdict.binding is not None:
            _check_possession(context, bearer, verdict.binding, found)


def _check_possession(context: Context, bearer: BearerToken, binding: Binding, found: Checked) -> None:
    proof = judge_possession(context, bearer, binding)
    if isinstance(proof, Refuse):
        found.checks.append(check("proof", "failed", proof.reason))
        # whoever does not prove it is nobody
        found.identity = None
    else:
        found.checks.append(check("proof", "passed"))


def _judge_cookie(context: Context, cookie: SessionCookie, found: Checked, *, counts: bool) -> None:
    opened = cookie.opened
    if not counts:
        whose: dict[str, Json] = {} if opened is None else {"subject": opened.session.subject}
        found.credentials.append({"kind": "session cookie", "counts": False, **whose})
        return
    verdict = judge_session(context, cookie)
    if isinstance(verdict, Live):
        found.live, found.identity = verdict, verdict.identity
    judged = verdict.identity if isinstance(verdict, Live) else verdict
    told: dict[str, Json] = {"kind": "session cookie", "counts": True}
    found.credentials.append(told | _told(judged))
    found.checks.append(_check_of("session", judged))
    found.facts += of_session(cookie, context)
    if found.identity is not None:
        provider = context.knowledge.runtime.providers[found.identity.provider]
        keys = of_keys(context.knowledge, provider.name, context.now)
        if provider.settings.access_token == "jwt" and keys is not None:  # noqa: S105 - a kind of token
            found.facts.append(keys)


def _told(verdict: Identity | Need | Reason) -> dict[str, Json]:
    if isinstance(verdict, Reason):
        return {"reason": verdict.value}
    if not isinstance(verdict, Identity):
        return {"needs": need_of(verdict)}
    return {
        "provider": verdict.provider or None,
        "issuer": verdict.issuer,
        "subject": verdict.subject,
        "scopes": [*sorted(verdict.scopes)],
        "claims": [*sorted(verdict.claims)],
        "session": verdict.session_id,
        "key": verdict.jti if verdict.kind == "key" else None,
        "expires": verdict.expires_at,
    }


def _check_of(name: str, verdict: Identity | Need | Reason) -> dict[str, Json]:
    if isinstance(verdict, Reason):
        return check(name, "failed", verdict)
    if isinstance(verdict, Identity):
        return check(name, "passed")
    return check(name, "unknown", None, need_of(verdict))


def _check_denylist(context: Context, route: Route, identity: Identity, found: Checked) -> None:
    denylist, now = context.knowledge.denylist, context.now
    if route.most_staleness is not None:
        is_fresh = denylist.is_fresh(now, route.most_staleness)
        found.checks.append(
            check(
                "denylist in step",
                "passed" if is_fresh else "failed",
                None if is_fresh else Reason.DENYLIST_STALE,
            )
        )
    is_named = denylist.judge(identity, now)
    found.checks.append(
        check("not revoked", "failed" if is_named else "passed", Reason.REVOKED if is_named else None)
    )


def _check_policy(context: Context, route: Route, identity: Identity, found: Checked) -> None:
    root = route.require.root
    if root is None:
        return
    context.request.client = context.forwarded.client
    found.policy = _tell_node(root, context, identity)
    verdict = reason_of(root.check(identity, context.request, context.now))
    found.checks.append(check("policy", "passed" if verdict is None else "failed", verdict))


def _tell_node(node: Node, context: Context, identity: Identity) -> dict[str, Json]:
    verdict = node.check(identity, context.request, context.now)
    told: dict[str, Json] = {
        "asks_for": node.words,
        "outcome": "passed" if verdict is None else "failed",
        "reads": "identity" if node.reads_identity else "each request",
    }
    if (reason := reason_of(verdict)) is not None:
        told["reason"] = reason.value
        # whether it is known not to hold, or nobody knows
        told["is_known"] = not isinstance(verdict, Reason)
    for name, nodes in (("all_of", node.parts), ("one_of", node.branches)):
        if nodes:
            told[name] = [_tell_node(each, context, identity) for each in nodes]
    return told


def _check_upstream(answer: Answer | Need) -> dict[str, Json]:
    name = "what the upstream is told"
    if isinstance(answer, ExchangeToken):
        return check(name, "unknown", None, need_of(answer))
    reason = getattr(answer, "reason", None)
    if reason in _OF_UPSTREAM:
        return check(name, "failed", reason)
    return check(name, "passed" if isinstance(answer, Forward) else "not asked")
