"""Policies that read the claims of an identity: what it may, belongs to, is, and how it authenticated."""

from dataclasses import dataclass

from gateway.config.settings.policies import RequireSettings
from gateway.core.email import domain_of
from gateway.core.headers.request import Request
from gateway.core.identity import Identity, find_claim
from gateway.core.reasons import Reason
from gateway.core.rules.claim_conditions import claim_of, condition_of, one_holds
from gateway.core.rules.verdict import Check, Verdict, denied
from gateway.core.tokens.claims import read_time
from gateway.syntax.encoding import Json

MOST_SKEW = 300.0
"""Seconds that ``auth_time`` may lie in the future."""


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims hold groups and roles."""

    groups: str = "groups"
    roles: str = "roles"


def scopes(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask for every one of these scopes."""
    if settings.scopes is None:
        return None
    needed = frozenset(settings.scopes)

    def check(identity: Identity, _request: Request, _now: float) -> Verdict:
        if needed and needed <= identity.scopes:
            return None
        # a token that speaks of no scope says nothing of this one
        return denied(Reason.SCOPE_MISSING, known=bool(identity.scopes and needed))

    return check


def groups(settings: RequireSettings, names: ClaimNames) -> Check | None:
    """Ask for one of these groups."""
    return _membership(settings.groups, names.groups, Reason.GROUP_MISSING)


def roles(settings: RequireSettings, names: ClaimNames) -> Check | None:
    """Ask for one of these roles."""
    return _membership(settings.roles, names.roles, Reason.ROLE_MISSING)


def _membership(wanted: tuple[str, ...] | None, claim: str, reason: Reason) -> Check | None:
    if wanted is None:
        return None
    allowed = frozenset(wanted)

    def member(value: Json) -> bool | None:
        return value in allowed if isinstance(value, str) and allowed else None

    def check(identity: Identity, _request: Request, _now: float) -> Verdict:
        found = one_holds(find_claim(identity.claims, claim), member)
        return None if found else denied(reason, known=found is not None and bool(allowed))

    return check


def claims(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask that each of these claims is as it is to be."""
    if settings.claims is None:
        return None
    needed = tuple((name, condition_of(wanted)) for name, wanted in settings.claims.items())

    def check(identity: Identity, _request: Request, _now: float) -> Verdict:
        found = [condition(claim_of(identity, name)) for name, condition in needed]
        if found and all(found):
            return None
        return denied(Reason.CLAIM_MISMATCH, known=False in found)

    return check


def email_domains(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask for a verified address in one of these domains."""
    if settings.email_domains is None:
        return None
    allowed = frozenset(domain.lower() for domain in settings.email_domains)

    def check(identity: Identity, _request: Request, _now: float) -> Verdict:
        domain = domain_of(identity.claims)
        if domain in allowed:
            return None
        return denied(Reason.CLAIM_MISMATCH, known=domain is not None and bool(allowed))

    return check


def acr(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask for one of these authentication contexts."""
    if settings.acr is None:
        return None
    allowed = frozenset(settings.acr)

    def check(identity: Identity, _request: Request, _now: float) -> Verdict:
        held = identity.claims.get("acr")
        if isinstance(held, str) and held in allowed:
            return None
        return denied(Reason.AUTHENTICATION_TOO_WEAK, known=isinstance(held, str) and bool(allowed))

    return check


def max_age(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask for an authentication that is not older."""
    if settings.max_age is None:
        return None
    most = settings.max_age

    def check(identity: Identity, _request: Request, now: float) -> Verdict:
        # without auth_time nobody knows when it was: a single sign-on may be hours older than its login here
        at = read_time(identity.claims, "auth_time")
        if isinstance(at, float) and -MOST_SKEW <= now - at <= most:
            return None
        return denied(Reason.AUTHENTICATION_TOO_OLD, known=isinstance(at, float) and now - at > most)

    return check
