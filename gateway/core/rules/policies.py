"""May this identity do this here? All policies of a route must agree; the first to refuse gives the reason.

To add a policy: a function and a line in ``POLICIES``. Policies only ever refuse, so adding one never turns a
refusal into a pass, and a list that turns out empty refuses. What a policy said is remembered, within the
identity's own entry, only where its line declares that it reads nothing but the identity (``of_identity``);
else it is asked each time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import TypeAlias

from gateway.config.settings.routes import RequireSettings
from gateway.core.email import domain_of, is_doubtful
from gateway.core.headers.kinds import OVERRIDE
from gateway.core.headers.request import Request
from gateway.core.identity import Identity, find_claim
from gateway.core.reasons import Reason
from gateway.core.tokens.claims import read_time
from gateway.syntax.encoding import Json

MOST_SKEW = 300.0
"""Seconds that ``auth_time`` may lie in the future."""

Check: TypeAlias = Callable[[Identity, Request, float], Reason | None]
Policy: TypeAlias = Callable[[RequireSettings, str], Check | None]


@dataclass(frozen=True, slots=True)
class Declared:
    """A policy whose checks read the identity alone: no method, no path, no field, no clock."""

    policy: Policy


def of_identity(policy: Policy) -> Declared:
    """Declare that a policy reads the identity alone, so that whom it let in may be remembered."""
    return Declared(policy)


@dataclass(frozen=True, slots=True, eq=False)
class Require:
    """The policies of one route, compiled.

    ``scopes``, ``acr_values`` and ``max_age`` (seconds) are what a challenge asks for (RFC 6750 section 3,
    RFC 9470 section 3). Without checks, being authenticated is enough. ``each_time`` are those of the
    ``checks`` that read more than the identity.
    """

    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    checks: tuple[Check, ...] = field(default=(), repr=False, compare=False)
    each_time: tuple[Check, ...] = field(default=(), repr=False, compare=False)


def named_methods(request: Request) -> list[bytes]:
    """Return the methods that fields name, on which many frameworks act instead of the request line's."""
    return [line.value.strip().upper() for line in request.read if line.kind == OVERRIDE]


def _methods(settings: RequireSettings, _groups_claim: str) -> Check | None:
    if settings.methods is None:
        return None
    allowed = frozenset(method.upper().encode() for method in settings.methods)
    if b"GET" in allowed:
        allowed |= {b"HEAD"}

    def check(_identity: Identity, request: Request, _now: float) -> Reason | None:
        if request.method not in allowed:
            return Reason.METHOD_FORBIDDEN
        return None if allowed.issuperset(named_methods(request)) else Reason.METHOD_FORBIDDEN

    return check


def _scopes(settings: RequireSettings, _groups_claim: str) -> Check | None:
    if settings.scopes is None:
        return None
    needed = frozenset(settings.scopes)

    def check(identity: Identity, _request: Request, _now: float) -> Reason | None:
        return None if needed and needed <= identity.scopes else Reason.SCOPE_MISSING

    return check


def _groups(settings: RequireSettings, groups_claim: str) -> Check | None:
    if settings.groups is None:
        return None
    allowed = frozenset(settings.groups)

    def check(identity: Identity, _request: Request, _now: float) -> Reason | None:
        held = find_claim(identity.claims, groups_claim)
        if isinstance(held, str):
            held = [held]
        if isinstance(held, list) and any(isinstance(group, str) and group in allowed for group in held):
            return None
        return Reason.GROUP_MISSING

    return check


def _equal(held: Json, wanted: Json) -> bool:
    # Python holds that True == 1; JSON does not
    if isinstance(held, bool) or isinstance(wanted, bool):
        return held is wanted
    if isinstance(held, str) or isinstance(wanted, str):
        return isinstance(held, str) and isinstance(wanted, str) and held == wanted
    return isinstance(held, int | float) and held == wanted


def _holds(held: Json, wanted: tuple[Json, ...]) -> bool:
    values = held if isinstance(held, list) else [held]
    return any(_equal(value, each) for value in values for each in wanted)


def _claim_of(identity: Identity, name: str) -> Json:
    # issuer and subject were verified as such; no other source of claims can replace them (R26)
    if name == "iss":
        return identity.issuer
    if name == "sub":
        return identity.subject
    # an address that the provider calls unverified could be anybody's (R80)
    if is_doubtful(identity.claims, name):
        return None
    return find_claim(identity.claims, name)


def _claims(settings: RequireSettings, _groups_claim: str) -> Check | None:
    if settings.claims is None:
        return None
    needed: tuple[tuple[str, tuple[Json, ...]], ...] = tuple(
        (name, wanted if isinstance(wanted, tuple) else (wanted,)) for name, wanted in settings.claims.items()
    )

    def check(identity: Identity, _request: Request, _now: float) -> Reason | None:
        if needed and all(_holds(_claim_of(identity, name), wanted) for name, wanted in needed):
            return None
        return Reason.CLAIM_MISMATCH

    return check


def _email_domains(settings: RequireSettings, _groups_claim: str) -> Check | None:
    if settings.email_domains is None:
        return None
    allowed = frozenset(domain.lower() for domain in settings.email_domains)

    def check(identity: Identity, _request: Request, _now: float) -> Reason | None:
        return None if domain_of(identity.claims) in allowed else Reason.CLAIM_MISMATCH

    return check


def _acr(settings: RequireSettings, _groups_claim: str) -> Check | None:
    if settings.acr is None:
        return None
    allowed = frozenset(settings.acr)

    def check(identity: Identity, _request: Request, _now: float) -> Reason | None:
        held = identity.claims.get("acr")
        return None if isinstance(held, str) and held in allowed else Reason.AUTHENTICATION_TOO_WEAK

    return check


def _max_age(settings: RequireSettings, _groups_claim: str) -> Check | None:
    if settings.max_age is None:
        return None
    most = settings.max_age

    def check(identity: Identity, _request: Request, now: float) -> Reason | None:
        # without auth_time nobody knows when it was: a single sign-on may be hours older than its login here
        at = read_time(identity.claims, "auth_time")
        if isinstance(at, float) and -MOST_SKEW <= now - at <= most:
            return None
        return Reason.AUTHENTICATION_TOO_OLD

    return check


POLICIES: Mapping[str, Policy | Declared] = {
    "methods": _methods,
    "scopes": of_identity(_scopes),
    "groups": of_identity(_groups),
    "claims": of_identity(_claims),
    "email_domains": of_identity(_email_domains),
    # last: nobody is asked to authenticate again for what would be refused anyway
    "acr": of_identity(_acr),
    "max_age": _max_age,
}
"""By the keys of ``require``: all of ``scopes``, one of ``groups``, each of ``claims`` (equal, or a member
where the claim is a list; of several wanted values one), a verified address in one of ``email_domains``, one
of ``methods`` (GET covers HEAD), one of
``acr``, and an ``auth_time`` at most ``max_age`` ago. Values are compared whole and by type."""


def compile_require(settings: RequireSettings | None, groups_claim: str) -> Require:
    """Compile a route's ``require``; None asks for nothing beyond being authenticated.

    Raises:
        ValueError: a ``require`` that names no policy.
    """
    if settings is None:
        return Require()
    checks: list[Check] = []
    each_time: list[Check] = []
    for each in POLICIES.values():
        policy = each.policy if isinstance(each, Declared) else each
        check = policy(settings, groups_claim)
        if check is not None:
            checks.append(check)
            if not isinstance(each, Declared):
                each_time.append(check)
    if not checks:
        raise ValueError("require names no policy")
    return Require(
        scopes=settings.scopes or (),
        acr_values=settings.acr or (),
        max_age=None if settings.max_age is None else ceil(settings.max_age),
        checks=tuple(checks),
        each_time=tuple(each_time),
    )


def judge(identity: Identity, request: Request, require: Require, now: float) -> Reason | None:
    """Return why this identity may not make this request, or None. ``now`` is epoch seconds.

    That it passed those policies which read the identity alone is remembered with it.
    """
    has_passed = require in identity.passed
    for check in require.each_time if has_passed else require.checks:
        reason = check(identity, request, now)
        if reason is not None:
            return reason
    if not has_passed:
        identity.passed |= {require}
    return None
