"""API keys: whom one names, by the configuration or the store."""

from typing import Final

from gateway.core.access.credentials import KnownCaller, PresentedKey
from gateway.core.decision.context import Context
from gateway.core.decision.needs import KeyRecord, KeyUsed, Need
from gateway.core.headers.lines import Line
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.tokens import api_key
from gateway.core.tokens.api_key import ApiKey, StoredKey
from gateway.syntax.api_keys import id_of

LASTS: Final = 60.0
"""Seconds for which a key that was looked up is not looked up again. Revocations are pushed meanwhile."""
_PAUSE: Final = 5.0
_OWN: Final = ""


def judge_key(context: Context, route: Route, presented: PresentedKey) -> Identity | Need | Reason:
    """Return whom a key names, where the route takes keys. The denylist is asked afterwards, as ever.

    A key that was taken before is looked up once a minute. While the store is away it goes on, for as long
    as the route puts up with a denylist that is not in step.
    """
    knowledge, now = context.knowledge, context.now
    if not route.takes_keys:
        return Reason.KEY_UNKNOWN
    known = None if presented.known is None else presented.known.get(_OWN)
    if known is not None and known.holds(now) and now < known.ends:
        return known.identity
    line, text = _presented(context, presented)
    key_id = id_of(text)
    if key_id is None:
        return Reason.KEY_UNKNOWN
    key = knowledge.runtime.api_keys.get(key_id)
    if key is not None and isinstance(refusal := api_key.check(text, key, now), Reason):
        return _forgotten(context, line, refusal)
    need = KeyRecord(key_id, key is not None or known is not None, context.forwarded.client)
    stored = knowledge.fact(need, StoredKey)
    if stored is None:
        return need
    if stored.is_away and known is not None and now < known.ends:
        presented.known = {_OWN: KnownCaller(known.identity, now, now + _PAUSE, known.ends)}
        return known.identity
    key = key or _opened(context, key_id, stored)
    verdict = Reason.KEY_UNKNOWN if key is None else api_key.check(text, key, now)
    if isinstance(verdict, Identity) and stored.is_revoked:
        verdict = Reason.REVOKED
    if isinstance(verdict, Reason):
        return _forgotten(context, line, verdict)
    used = KeyUsed(key_id, verdict.expires_at)
    if knowledge.fact(used, bool) is None:
        return used
    lasts = _PAUSE if stored.is_away else LASTS
    presented.known = {_OWN: KnownCaller(verdict, now, now + lasts, verdict.expires_at)}
    knowledge.runtime.rules.request_lines.keep_verified(line)
    return verdict


def _presented(context: Context, presented: PresentedKey) -> tuple[Line, str]:
    keys = context.knowledge.runtime.rules.api_keys
    assert keys is not None
    line = next(each for each in context.request.authorization if each.found is presented)
    text = keys.text_of(line)
    assert text is not None
    return line, text.decode("latin-1")


def _opened(context: Context, key_id: str, stored: StoredKey) -> ApiKey | None:
    """Return the key of a record, which whoever can write to the store cannot make."""
    payload = context.knowledge.runtime.ring.open(api_key.PURPOSE, stored.sealed) if stored.sealed else None
    key = api_key.decode(payload) if payload is not None else None
    return key if key is not None and key.key_id == key_id else None


def _forgotten(context: Context, line: Line, verdict: Reason) -> Reason:
    """Return the refusal of a key that may have been good once, of which nothing more is remembered."""
    context.knowledge.runtime.rules.request_lines.forget(line)
    return verdict
