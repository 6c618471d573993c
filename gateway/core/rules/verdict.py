"""What a policy says of somebody, and how the sayings of several make one.

There are three: it holds (None), it is known not to hold (``Known``), and nobody knows (a ``Reason`` alone),
as of a claim that is absent. Only the first lets in, so nothing depends on the other two until something asks
for the opposite: ``none_of`` lets in where it is *known* that nothing holds, and refuses where nobody knows.
This is Kleene's strong logic. What it gives never goes from not knowing to letting in as less is known, so
that taking a claim away lets nobody in, however policies are put together.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.core.headers.request import Request
from gateway.core.identity import Identity
from gateway.core.reasons import Reason

STEP_UP: Final = frozenset({Reason.AUTHENTICATION_TOO_WEAK, Reason.AUTHENTICATION_TOO_OLD})
"""What another authentication can help against (RFC 9470)."""


class Known:
    """That something is known not to hold, and the reason by which it refuses."""

    __slots__ = ("reason",)

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


Verdict: TypeAlias = Known | Reason | None
Check: TypeAlias = Callable[[Identity, Request, float], Verdict]
"""A policy, compiled: judges an identity and its request at a time (epoch seconds)."""

_KNOWN: Final = {reason: Known(reason) for reason in Reason}


def denied(reason: Reason, *, known: bool = True) -> Verdict:
    """Return that something does not hold; ``known`` False: nobody knows."""
    return _KNOWN[reason] if known else reason


def reason_of(verdict: Verdict) -> Reason | None:
    """Return why a verdict refuses, None where it holds."""
    return verdict.reason if isinstance(verdict, Known) else verdict


def every(checks: Sequence[Check]) -> Check:
    """Return a check that holds where all of these do; the first that does not gives the reason."""

    def check(identity: Identity, request: Request, now: float) -> Verdict:
        first: Reason | None = None
        for each in checks:
            verdict = each(identity, request, now)
            first = first or reason_of(verdict)
            if isinstance(verdict, Known):
                assert first is not None
                return _KNOWN[first]
        return first if checks else Reason.POLICY_UNMET

    return check


def one_of(checks: Sequence[Check]) -> Check:
    """Return a check that holds where one of these does.

    Where none does, and another authentication would make one hold, that is the reason.
    """

    def check(identity: Identity, request: Request, now: float) -> Verdict:
        verdicts = []
        for each in checks:
            verdict = each(identity, request, now)
            if verdict is None:
                return None
            verdicts.append(verdict)
        reasons = {reason_of(each) for each in verdicts}
        reason = next((each for each in map(reason_of, verdicts) if each in STEP_UP), None)
        if reason is None:
            reason = reasons.pop() if len(reasons) == 1 else Reason.POLICY_UNMET
        assert reason is not None
        return denied(reason, known=all(isinstance(each, Known) for each in verdicts) and bool(verdicts))

    return check


def none_of(checks: Sequence[Check]) -> Check:
    """Return a check that holds where each of these is known not to hold."""

    def check(identity: Identity, request: Request, now: float) -> Verdict:
        is_known = bool(checks)
        for each in checks:
            verdict = each(identity, request, now)
            if verdict is None:
                return _KNOWN[Reason.POLICY_UNMET]
            is_known = is_known and isinstance(verdict, Known)
        return None if is_known else Reason.POLICY_UNMET

    return check
