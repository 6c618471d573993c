"""Tokens of a provider's own answers, checked with newer keys where those at hand do not do (R27, R84)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.core.access.verification import newer_keys
from gateway.core.decision.needs import Keys
from gateway.core.reasons import Reason
from gateway.core.tokens.jws import UnknownKey
from gateway.core.tokens.keys import KeySet

Checked = TypeVar("Checked")


async def verified(
    find: Callable[[Keys], Awaitable[KeySet]],
    provider: str,
    token: str,
    check: Callable[[KeySet], Checked | UnknownKey | Reason],
) -> Checked | Reason:
    """Check a token that came of our own call, fetching its provider's keys again once (R27, R84).

    ``core.access.verification.checked`` is the same where a decision asks for keys. ``find`` raises Fault.

    Args:
        find: returns the provider's keys.
        provider: its name.
        token: what ``check`` judges, as sent.
        check: judges it by a key set.

    Raises:
        Fault: there are no keys.
    """
    verdict = check(await find(Keys(provider, None)))
    if (want := newer_keys(provider, token, verdict, None)) is not None:
        verdict = check(await find(want))
    return Reason.TOKEN_KEY_UNKNOWN if isinstance(verdict, UnknownKey) else verdict
