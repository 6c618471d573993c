"""The account of one decision: asked for without any effect, and told as one JSON object.

Whoever asks gives a knowledge whose memories are its own, so that nothing is remembered or forgotten by the
asking. A need is not fetched: what the process knows of it already is looked at, and where that is nothing
the account ends there, and names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.core.decide import decide, route_of
from gateway.core.decision.answers import Allow, Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.context import Context, Knowledge
from gateway.core.decision.needs import MOST_NEEDS, Admit, Need
from gateway.core.decision.places import locate
from gateway.core.endpoints import asked
from gateway.core.explain import facts as told_facts
from gateway.core.explain.candidates import candidates
from gateway.core.explain.checks import Checked, check, check_route
from gateway.core.explain.facts import Found, Look, need_of, of_denylist, of_found
from gateway.core.explain.shown import headers_of, host_of, target_of, text_of
from gateway.core.headers.request import Request
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.rate_limit import MICROSECONDS, Allowance
from gateway.core.rules.routes import Route
from gateway.syntax.encoding import Json

REQUEST_ID: Final = "explain"
_MOST_ROUTES: Final = 200
_KINDS: Final[Mapping[type, str]] = {Forward: "forward", Refuse: "refuse", Login: "login"}
# what holds of the request whatever it is for, in the order in which it is judged
_BEFORE: Final = (
    ("forwarding", {Reason.FORWARDING_UNREADABLE}),
    ("no loop", {Reason.LOOP_DETECTED}),
    ("path", {Reason.PATH_AMBIGUOUS}),
    ("method", {Reason.METHOD_UNSUPPORTED}),
    ("host", {Reason.HOST_UNKNOWN}),
    ("route", {Reason.ROUTE_UNKNOWN}),
)


@dataclass(slots=True)
class _Decided:
    """An answer, or the need that it lacks, with what was known on the way there."""

    answer: Answer | Need
    knowledge: Knowledge
    found: list[tuple[Need, Found]] = field(default_factory=list)


def account(request: Request, knowledge: Knowledge, now: float, look: Look) -> dict[str, Json]:
    """Return why a request would be answered as it would be at ``now`` (epoch seconds).

    Args:
        request: a head that the listener accepts.
        knowledge: what is known; its memories and its configuration's are of this asking alone.
        now: epoch seconds.
        look: returns what is known of a need.
    """
    decided = _decide(request, knowledge, now, look)
    meant = asked.meant(request)
    context = Context(meant, decided.knowledge, now, REQUEST_ID)
    answer = decided.answer
    route = getattr(answer, "route", None) or route_of(meant, decided.knowledge)
    context.route = route
    document = request_of(meant) | {"client": context.forwarded.client, "scheme": context.forwarded.proto}
    if meant is not request:
        document["asked_by"] = text_of(request.target.partition(b"?")[0])
    document |= _tell_answer(answer)
    if route is not None:
        document["route"] = {"name": route.name, "access": route.access}
    document["routes"], left_out = _tell_routes(context, route)
    if left_out:
        document["routes_left_out"] = left_out
    checked = _check(context, route, answer, document)
    document["facts"] = [
        of_denylist(knowledge, route, now),
        *checked.facts,
        *(of_found(need, found, now) for need, found in decided.found),
    ]
    if isinstance(answer, Forward):
        document["upstream"] = _tell_upstream(context, answer)
    document["not_done"] = _not_done(answer, decided.found)
    return document


def request_of(request: Request) -> dict[str, Json]:
    """Return a request as it can be shown."""
    return {
        "method": request.method.decode("latin-1"),
        "target": target_of(request.target),
        "host": host_of(request.host),
    }


def refusal(request: Request, reason: Reason, detail: str | None) -> dict[str, Json]:
    """Return the account of a head that the listener refuses."""
    return request_of(request) | {
        "decision": "refuse",
        "reason": reason.value,
        "status": status_of(reason),
        "detail": detail,
        "checks": [check("head", "failed", reason)],
    }


def _decide(request: Request, knowledge: Knowledge, now: float, look: Look) -> _Decided:
    facts: dict[Need, object] = {}
    decided = _Decided(decide(request, knowledge, now, REQUEST_ID), knowledge)
    for _ in range(MOST_NEEDS):
        need = decided.answer
        if isinstance(need, Forward | Refuse | Login | Respond) or need in facts:
            break
        found = look(need)
        if found is None:
            break
        facts[need] = found.fact
        decided.found.append((need, found))
        decided.knowledge = replace(knowledge, facts=dict(facts))
        decided.answer = decide(request, decided.knowledge, now, REQUEST_ID)
    return decided


def _tell_answer(answer: Answer | Need) -> dict[str, Json]:
    if not isinstance(answer, Forward | Refuse | Login | Respond):
        return {"decision": "not yet", "needs": need_of(answer)}
    told: dict[str, Json] = {
        "decision": _KINDS.get(type(answer), "allow" if isinstance(answer, Allow) else "respond"),
        "reason": answer.reason.value,
    }
    if isinstance(answer, Refuse):
        told |= {
            "status": status_of(answer.reason),
            "detail": answer.detail,
            "login_url": None if answer.login_url is None else target_of(answer.login_url),
            "missing": list(answer.missing),
            "contact": answer.contact,
        }
    elif isinstance(answer, Login):
        told |= {
            "provider": answer.provider,
            "redirect_uri": answer.redirect_uri,
            "return_to": target_of(answer.return_to),
        }
    elif isinstance(answer, Respond):
        location = None if answer.location is None else target_of(answer.location)
        told |= {"status": answer.status, "location": location}
    return told


def _tell_routes(context: Context, chosen: Route | None) -> tuple[list[Json], int]:
    """Return the routes and why each is not the one, and how many more there are.

    There are none where no route was asked for. Of many, those come first that are nearly the one.
    """
    runtime, request = context.knowledge.runtime, context.request
    host = context.forwarded.host
    found = locate(runtime, host, request.target, request.method)
    is_own = found is not None and found[0].path.startswith(runtime.prefix)
    if found is None or is_own or not runtime.routes.knows(host):
        return [], 0
    others = candidates(runtime.routes, chosen, host, request.target, request.method)
    if len(others) > _MOST_ROUTES:
        others.sort(key=lambda each: each.lacks in ("host", "path"))
    told: list[Json] = [
        {"name": each.route.name, "lacks": each.lacks, "why": each.words} for each in others[:_MOST_ROUTES]
    ]
    return told, len(others) - len(told)


def _check(
    context: Context, route: Route | None, answer: Answer | Need, document: dict[str, Json]
) -> Checked:
    """Put the checks, the credentials, the policy and the limit into the document."""
    reason = getattr(answer, "reason", None)
    checks: list[Json] = [check("head", "passed")]
    for name, refusals in _BEFORE:
        has_failed = reason in refusals
        checks.append(check(name, "failed" if has_failed else "passed", reason if has_failed else None))
        if has_failed:
            document["checks"] = checks
            return Checked()
    checked = Checked()
    if route is not None:
        checked = check_route(context, route, answer)
        document |= {"credentials": checked.credentials, "policy": checked.policy}
        if route.rate_limit is not None:
            document["limit"] = _tell_limit(context, route)
    document["checks"] = [*checks, *checked.checks]
    return checked


def _tell_limit(context: Context, route: Route) -> dict[str, Json]:
    limit = route.rate_limit
    assert limit is not None
    told: dict[str, Json] = {
        "burst": limit.burst,
        "seconds_each": limit.interval / MICROSECONDS,
        "by": limit.by,
        "shared": limit.shared,
    }
    for need, fact in context.knowledge.facts.items():
        if isinstance(need, Admit) and need.limit is limit and isinstance(fact, Allowance):
            told["remaining"] = fact.remaining
    return told


def _tell_upstream(context: Context, forward: Forward) -> dict[str, Json]:
    route, rules = forward.route, context.knowledge.runtime.rules
    identity = rules.identity if route.sends is None else (*rules.identity, *route.sends.identity)
    return {
        "name": route.upstream,
        "target": target_of(forward.target),
        "headers": headers_of(forward.headers, context.knowledge.runtime, route.sends, identity),
    }


def _not_done(answer: Answer | Need, found: list[tuple[Need, Found]]) -> list[Json]:
    """Return what a request would have done besides being answered, and this asking did not."""
    done = [told_facts.NEEDS[type(need)] for need, _ in found if isinstance(need, told_facts.DOES)]
    if isinstance(answer, Forward | Respond):
        done += [told_facts.NEEDS.get(type(each), "work behind the answer") for each in answer.background]
    if not isinstance(answer, Forward | Refuse | Login | Respond):
        return [*done, told_facts.NEEDS.get(type(answer), "a fact")]
    done += [f"the cookie {change.name} is set" for change in answer.cookies]
    if isinstance(answer, Login):
        done.append("a login begins")
    return list(dict.fromkeys(done))
