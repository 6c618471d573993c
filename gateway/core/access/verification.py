"""Tokens checked against a provider's keys, which are fetched again where they may be out of date."""

from collections.abc import Callable
from typing import TypeVar

from gateway.core.decision.context import Context
from gateway.core.decision.needs import Keys, Need
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.jws import Parsed, UnknownKey, kid_of, proof_of
from gateway.core.tokens.keys import KeySet

Checked = TypeVar("Checked")


def key_set(context: Context, provider: Provider, want: Keys) -> KeySet | Need:
    """Return the provider's usable key set, or the need that would bring it.

    Where ``want`` names a key id, it is the set that was fetched on its account.
    """
    knowledge = context.knowledge
    keys = knowledge.keys.get(provider.name)
    if want.kid is not None or (keys is not None and context.now >= keys.stale_after):
        keys = None
    if keys is not None and not knowledge.facts:
        return keys
    return knowledge.fact(want, KeySet) or keys or want


def newer_keys(provider: str, token: str | Parsed, verdict: object, by: str | None) -> Keys | None:
    """Return the need for keys that may do where these did not, None where they did (R27, R84).

    Args:
        provider: whose token it claims to be.
        token: as presented, or as read already.
        verdict: of the keys at hand.
        by: the address of who presented it, None where it came of our own call.
    """
    # the same key id may stand for a new key
    failed = verdict is Reason.TOKEN_SIGNATURE
    if not failed and not isinstance(verdict, UnknownKey):
        return None
    return Keys(provider, kid_of(token), failed, by, proof_of(token))


def checked(
    context: Context,
    provider: Provider,
    token: str | Parsed,
    check: Callable[[KeySet], Checked | UnknownKey | Reason],
    *,
    by: str | None,
) -> Checked | Need | Reason:
    """Check a token's signature and claims, with newer keys where those at hand do not do (R27, R84).

    Args:
        context: of the request.
        provider: whose token it claims to be.
        token: as presented, or as read already.
        check: judges it by a key set.
        by: the address of who presented it, None where it came of our own token call.
    """
    keys = key_set(context, provider, Keys(provider.name, None))
    if not isinstance(keys, KeySet):
        return keys
    verdict = check(keys)
    if (want := newer_keys(provider.name, token, verdict, by)) is not None:
        fresh = key_set(context, provider, want)
        if not isinstance(fresh, KeySet):
            return fresh
        if fresh is not keys:
            verdict = check(fresh)
    return Reason.TOKEN_KEY_UNKNOWN if isinstance(verdict, UnknownKey) else verdict
