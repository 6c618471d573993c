"""May this identity do this here? All policies of a route must agree; the first to refuse gives the reason.

To add a policy: a function and a line in ``POLICIES``. Policies only ever refuse, so adding one never turns a
refusal into a pass, and a list that turns out empty refuses. What a policy said is remembered, within the
identity's own entry, only where its line declares that it reads nothing but the identity (``of_identity``);
else it is asked each time.

A policy that returns a ``Reason`` says that it does not hold, or that nobody knows. Only one that returns
``denied(reason)`` says that it is known not to hold, so that ``not`` may let in: what was added without a
thought of ``not`` never does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final, TypeAlias

from gateway.config.settings.policies import RequireSettings
from gateway.core.headers.request import Request
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules import claim_policies, request_policies
from gateway.core.rules.claim_policies import ClaimNames
from gateway.core.rules.policy_words import NOT_KEPT_OUT, both, either, shortened, words_of
from gateway.core.rules.request_policies import named_methods
from gateway.core.rules.verdict import Check, Verdict, every, none_of, one_of, reason_of

Policy: TypeAlias = Callable[[RequireSettings, ClaimNames], Check | None]


@dataclass(frozen=True, slots=True)
class Declared:
    """A policy whose checks read the identity alone: no method, no path, no field, no address, no clock."""

    policy: Policy


def of_identity(policy: Policy) -> Declared:
    """Declare that a policy reads the identity alone, so that whom it let in may be remembered."""
    return Declared(policy)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a challenge asks for (RFC 6750 section 3, RFC 9470 section 3). ``max_age`` is whole seconds."""

    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None

    def beside(self, other: "Challenge") -> "Challenge":
        """Return the challenge for what both ask for."""
        common = tuple(each for each in self.acr_values if each in other.acr_values)
        ages = [each for each in (self.max_age, other.max_age) if each is not None]
        return Challenge(
            tuple(dict.fromkeys((*self.scopes, *other.scopes))),
            common or self.acr_values or other.acr_values,
            min(ages, default=None),
        )


_NOTHING: Final = Challenge()


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A policy, or several put together.

    ``words`` say what it asks for. ``parts`` are those of which each must hold, ``branches`` those of which
    one is enough. ``reads_identity`` tells that nothing but the identity is read.
    """

    check: Check
    words: str = ""
    is_described: bool = False
    reads_identity: bool = False
    is_step_up: bool = False
    challenge: Challenge = _NOTHING
    parts: "tuple[Node, ...]" = ()
    branches: "tuple[Node, ...]" = ()

    def leaves(self) -> "tuple[Node, ...]":
        """Return what must hold, one by one; another authentication is asked for last."""
        if not self.parts:
            return (self,)
        found = [leaf for part in self.parts for leaf in part.leaves()]
        return tuple(sorted(found, key=lambda leaf: leaf.is_step_up))


@dataclass(frozen=True, slots=True, eq=False)
class Require:
    """The policies of one route, compiled.

    ``scopes``, ``acr_values`` and ``max_age`` (seconds) are what a challenge asks for. Without checks, being
    authenticated is enough. ``each_time`` are those of the ``checks`` that read more than the identity.
    """

    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    checks: tuple[Check, ...] = field(default=(), repr=False, compare=False)
    each_time: tuple[Check, ...] = field(default=(), repr=False, compare=False)
    root: Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Lack:
    """What somebody lacks: in words, and what a challenge asks for."""

    words: tuple[str, ...]
    challenge: Challenge


POLICIES: Mapping[str, Policy | Declared] = {
    "methods": request_policies.methods,
    "networks": request_policies.networks,
    "scopes": of_identity(claim_policies.scopes),
    "groups": of_identity(claim_policies.groups),
    "roles": of_identity(claim_policies.roles),
    "claims": of_identity(claim_policies.claims),
    "email_domains": of_identity(claim_policies.email_domains),
    # last: nobody is asked to authenticate again for what would be refused anyway
    "acr": of_identity(claim_policies.acr),
    "max_age": claim_policies.max_age,
}
"""By the keys of ``require``: all of ``scopes``, one of ``groups``, one of ``roles``, each of ``claims``, a
verified address in one of ``email_domains``, a client in one of ``networks``, one of ``methods`` (GET covers
HEAD), one of ``acr``, and an ``auth_time`` at most ``max_age`` ago. Values are compared whole and by type."""

_MOST_LACKS: Final = 20
_STEPS: Final = frozenset({"acr", "max_age"})


class _Compiler:
    """Compiles sections. ``trail`` are the names that are being put in, which no section may name again."""

    def __init__(self, names: ClaimNames, policies: Mapping[str, RequireSettings]) -> None:
        self.names = names
        self.policies = policies
        self.known: dict[str, Node] = {}

    def section(self, settings: RequireSettings, trail: tuple[str, ...] = ()) -> Node:
        """Return a section's node. Raises ValueError: it names no policy, an unknown one, or itself."""
        parts = [*self._lines(settings), *self._put_together(settings, trail)]
        if not parts:
            raise ValueError("require names no policy")
        if settings.description is None and len(parts) == 1:
            return parts[0]
        return _all_of(tuple(parts), settings.description)

    def _lines(self, settings: RequireSettings) -> list[Node]:
        nodes: list[Node] = []
        for name, each in POLICIES.items():
            check = (each.policy if isinstance(each, Declared) else each)(settings, self.names)
            if check is not None:
                nodes.append(
                    Node(
                        check,
                        words_of(name, settings),
                        reads_identity=isinstance(each, Declared),
                        is_step_up=name in _STEPS,
                        challenge=_challenge_of(name, settings),
                    )
                )
        return nodes

    def _put_together(self, settings: RequireSettings, trail: tuple[str, ...]) -> list[Node]:
        nodes = [self._named(name, trail) for name in settings.policies or ()]
        for both_of, several in ((True, settings.all), (False, settings.any)):
            if several is not None:
                found = tuple(self.section(each, trail) for each in several)
                nodes.append(_all_of(found) if both_of else _any_of(found))
        if settings.not_ is not None:
            nodes.append(self._none_of(settings.not_, trail))
        return nodes

    def _none_of(self, settings: RequireSettings, trail: tuple[str, ...]) -> Node:
        # each line for itself: one more of them never lets in more
        lines = [*self._lines(settings), *self._put_together(settings, trail)]
        if not lines:
            raise ValueError("require names no policy")
        return Node(
            none_of([each.check for each in lines]),
            settings.description or NOT_KEPT_OUT,
            reads_identity=all(each.reads_identity for each in lines),
        )

    def _named(self, name: str, trail: tuple[str, ...]) -> Node:
        settings = self.policies.get(name)
        if settings is None or name in trail:
            raise ValueError("policies: an unknown name, or one that names itself")
        node = self.known.get(name)
        if node is None:
            node = self.known[name] = self.section(settings, (*trail, name))
        return node


def _challenge_of(name: str, settings: RequireSettings) -> Challenge:
    if name == "scopes":
        return Challenge(scopes=settings.scopes or ())
    if name == "acr":
        return Challenge(acr_values=settings.acr or ())
    if name == "max_age":
        return Challenge(max_age=ceil(settings.max_age or 0))
    return _NOTHING


def _all_of(parts: tuple[Node, ...], description: str | None = None) -> Node:
    whole = Node(every([]), parts=parts)
    leaves, challenge = whole.leaves(), _NOTHING
    for each in leaves:
        challenge = challenge.beside(each.challenge)
    return Node(
        every([each.check for each in leaves]),
        description or both([each.words for each in parts]),
        is_described=description is not None,
        reads_identity=all(each.reads_identity for each in leaves),
        is_step_up=any(each.is_step_up for each in leaves),
        challenge=challenge,
        parts=parts,
    )


def _any_of(branches: tuple[Node, ...]) -> Node:
    return Node(
        one_of([each.check for each in branches]),
        either([each.words for each in branches]),
        reads_identity=all(each.reads_identity for each in branches),
        # it may ask for another authentication, and is asked after what cannot be helped by one
        is_step_up=any(each.is_step_up for each in branches),
        branches=branches,
    )


def compile_require(
    settings: RequireSettings | None,
    groups_claim: str,
    roles_claim: str = "roles",
    *,
    policies: Mapping[str, RequireSettings] | None = None,
    default: RequireSettings | None = None,
) -> Require:
    """Compile a route's ``require``, and beside it the ``default`` of all routes.

    None asks for nothing beyond being authenticated.

    Raises:
        ValueError: a ``require`` that names no policy, or one that there is not, or itself.
    """
    compiler = _Compiler(ClaimNames(groups_claim, roles_claim), policies or {})
    sections = tuple(compiler.section(each) for each in (default, settings) if each is not None)
    if not sections:
        return Require()
    root = sections[0] if len(sections) == 1 else _all_of(sections)
    leaves = root.leaves()
    return Require(
        scopes=root.challenge.scopes,
        acr_values=root.challenge.acr_values,
        max_age=root.challenge.max_age,
        checks=tuple(each.check for each in leaves),
        each_time=tuple(each.check for each in leaves if not each.reads_identity),
        root=root,
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """Why somebody is refused. ``told`` is what policies said on the way, which are asked once."""

    reason: Reason
    told: dict[Check, Verdict]


def refused(identity: Identity, request: Request, require: Require, now: float) -> Refused | None:
    """Return why this identity may not make this request, or None. ``now`` is epoch seconds.

    That it passed those policies which read the identity alone is remembered with it.
    """
    has_passed = require in identity.passed
    checks = require.each_time if has_passed else require.checks
    for check in checks:
        verdict = check(identity, request, now)
        if verdict is not None:
            reason = reason_of(verdict)
            assert reason is not None
            passed = [each for each in require.checks if has_passed and each not in checks]
            told = dict.fromkeys((*passed, *checks[: checks.index(check)]))
            return Refused(reason, {**told, check: verdict})
    if not has_passed:
        identity.passed |= {require}
    return None


def judge(identity: Identity, request: Request, require: Require, now: float) -> Reason | None:
    """Return the reason of ``refused`` alone."""
    found = refused(identity, request, require, now)
    return None if found is None else found.reason


def lacking(identity: Identity, request: Request, require: Require, why: Refused, now: float) -> Lack:
    """Return what somebody lacks who was refused: what else might let them in is not told."""
    if require.root is None:
        return Lack((), _NOTHING)
    told = dict(why.told)

    def ask(node: Node) -> Verdict:
        if node.check not in told:
            told[node.check] = node.check(identity, request, now)
        return told[node.check]

    words: list[str] = []
    branch = _lacking(require.root, ask, why.reason, words)
    # whoever is asked to authenticate again is asked for all of it at once
    challenge = Challenge(require.scopes, require.acr_values, require.max_age).beside(branch)
    shown = dict.fromkeys(shortened(each) for each in words if each)
    return Lack(tuple(shown)[:_MOST_LACKS], challenge)


def _lacking(node: Node, ask: Callable[[Node], Verdict], reason: Reason, words: list[str]) -> Challenge:
    """Add the words for what of a node is lacking; return what a challenge for this reason asks for."""
    if node.parts:
        told: list[str] = []
        challenge = _NOTHING
        for each in node.parts:
            challenge = challenge.beside(_lacking(each, ask, reason, told))
        words += [node.words] if told and node.is_described else told
        return challenge
    verdict = ask(node)
    if verdict is None:
        return _NOTHING
    words.append(node.words)
    if reason_of(verdict) is not reason:
        return _NOTHING
    for each in node.branches:
        if reason_of(ask(each)) is reason:
            return _lacking(each, ask, reason, [])
    return node.challenge


__all__ = [
    "POLICIES",
    "Check",
    "Lack",
    "Refused",
    "Require",
    "compile_require",
    "judge",
    "lacking",
    "named_methods",
    "of_identity",
    "refused",
]
