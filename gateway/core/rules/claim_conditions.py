"""What a claim is to be: JSON compared whole and by type, lists by their members.

A claim that is absent, or null, satisfies nothing and contradicts nothing. Neither does one of another type
than what it is compared with (``"true"`` and ``true``), nor a member that is no scalar: nobody knows what it
means.
"""

from collections.abc import Callable
from typing import TypeAlias

from gateway.config.settings.policies import ConditionSettings, Scalar
from gateway.core.email import is_address, is_vouched
from gateway.core.identity import Identity, find_claim
from gateway.syntax.encoding import Json
from gateway.syntax.regular import MOST_TEXT, Regular

Condition: TypeAlias = Callable[[Json], bool | None]
"""Tells whether a claim is as it is to be; None: nobody knows."""


def claim_of(identity: Identity, name: str) -> Json:
    """Return a claim as policies see it, None when absent.

    Issuer and subject are as they were verified: no other source of claims can replace them (R26). An e-mail
    address that nobody says is verified could be anybody's (R80).
    """
    if name == "iss":
        return identity.issuer
    if name == "sub":
        return identity.subject
    if is_address(name) and not is_vouched(identity.claims, name):
        return None
    return find_claim(identity.claims, name)


def condition_of(wanted: "Scalar | tuple[Scalar, ...] | ConditionSettings") -> Condition:
    """Return the condition that settings ask for."""
    if isinstance(wanted, ConditionSettings):
        return _all_lines(wanted)
    return _any_of(wanted if isinstance(wanted, tuple) else (wanted,))


def _all_lines(wanted: ConditionSettings) -> Condition:
    lines: list[Condition] = []
    if wanted.equals is not None:
        lines.append(_equals(wanted.equals))
    if wanted.contains is not None:
        lines.append(_any_of((wanted.contains,)))
    if wanted.any_of is not None:
        lines.append(_any_of(wanted.any_of))
    if wanted.all_of is not None:
        lines += [_any_of((each,)) for each in wanted.all_of] or [_any_of(())]
    if wanted.matches is not None:
        lines.append(_matches(Regular(wanted.matches)))
    if not lines:
        raise ValueError("claims names no condition")

    def condition(held: Json) -> bool | None:
        found = [each(held) for each in lines]
        return False if False in found else None if None in found else True

    return condition


def _kind(value: Json) -> str | None:
    """Return a scalar's type in JSON; None of what is none."""
    # Python holds that True == 1; JSON does not
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) else None


def one_holds(held: Json, holds: Callable[[Json], bool | None]) -> bool | None:
    """Tell whether a claim, or a member of it where it is a list, is as it is to be; None: nobody knows."""
    if held is None:
        return None
    found = [holds(each) for each in held] if isinstance(held, list) else [holds(held)]
    return True if True in found else None if None in found else False


def _any_of(wanted: tuple[Json, ...]) -> Condition:
    values: dict[str | None, list[Json]] = {}
    for each in wanted:
        values.setdefault(_kind(each), []).append(each)

    def member(value: Json) -> bool | None:
        kind = _kind(value)
        if kind is None or kind not in values:
            return None
        return any(value == each for each in values[kind])

    return lambda held: one_holds(held, member)


def _equals(wanted: Json) -> Condition:
    equal = _any_of((wanted,))
    return lambda held: None if isinstance(held, list) else equal(held)


def _matches(pattern: Regular) -> Condition:
    def member(value: Json) -> bool | None:
        # what is not looked at is not known
        return pattern.matches(value) if isinstance(value, str) and len(value) <= MOST_TEXT else None

    return lambda held: one_holds(held, member)
