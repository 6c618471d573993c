"""What a route's upstream is told of an identity, beyond what every upstream is told.

It follows from the identity, the configuration, the time, and of an exchanged token from what the provider
answered; and it is remembered with the identity for as long as it would be the same.
"""

from math import inf
from typing import NamedTuple, TypeAlias

from gateway.core.access.credentials import token_of
from gateway.core.decision.context import Context
from gateway.core.decision.needs import ExchangeToken, Need
from gateway.core.headers.identity import identity_lines
from gateway.core.identity import Identity
from gateway.core.provider import Exchanged, TokenRefusal
from gateway.core.reasons import Reason
from gateway.core.rules.assertions import Assertion
from gateway.core.rules.authorization import NAME, Basic, Target
from gateway.core.rules.sends import Sends


class Told(NamedTuple):
    """Lines that hold from ``since`` until ``until`` (epoch seconds); one may be several, joined by CRLF.

    ``behind`` is a need to resolve behind the request's back.
    """

    lines: tuple[bytes, ...]
    since: float = -inf
    until: float = inf
    behind: ExchangeToken | None = None


_NOTHING = Told(())

Found: TypeAlias = Told | Need | Reason


def known(identity: Identity, rule: object, now: float) -> Told | None:
    """Return what is remembered with an identity by a rule and holds at ``now`` (epoch seconds), or None."""
    found: Told | None = None if identity.told is None else identity.told.get(rule)
    return found if found is not None and found.since <= now < found.until else None


def _keep(identity: Identity, rule: object, found: Told) -> Told:
    if identity.told is None:
        identity.told = {}
    identity.told[rule] = found
    return found


def work_out(context: Context, sends: Sends, identity: Identity) -> Found:
    """Return what an upstream is told of an identity, what is missing for that, or why it cannot be told."""
    unverified = identity.provider in context.knowledge.runtime.rules.unverified
    authorized = _authorized(context, sends, identity, unverified=unverified)
    if not isinstance(authorized, Told):
        return authorized
    lines = identity_lines(sends.identity, identity, tells_unverified=unverified)
    parts = (
        Told((lines,) if lines else ()),
        _asserted(context, sends.assertion, identity, unverified=unverified),
        authorized,
    )
    found = Told(
        tuple(line for each in parts for line in each.lines),
        max(each.since for each in parts),
        min(each.until for each in parts),
        authorized.behind,
    )
    return found if found.behind is not None else _keep(identity, sends, found)


def _asserted(context: Context, assertion: Assertion | None, identity: Identity, *, unverified: bool) -> Told:
    """Return the line of a signed assertion, signed anew after each half of its life."""
    if assertion is None:
        return _NOTHING
    signing, now = context.knowledge.runtime.signing, context.now
    if (found := known(identity, assertion, now)) is not None:
        return found
    assert signing is not None
    since = assertion.told_from(identity, now)
    token = signing.sign(assertion.claims_of(identity, since, tells_unverified=unverified), since)
    line = b"%b: %b" % (assertion.header, token.encode())
    return _keep(identity, assertion, Told((line,), since, since + assertion.told_for))


def _authorized(context: Context, sends: Sends, identity: Identity, *, unverified: bool) -> Found:
    rule = sends.authorization
    if rule is None:
        return _NOTHING
    if isinstance(rule, Basic):
        value = rule.value_of(identity, tells_unverified=unverified)
        return Reason.CLAIM_MISMATCH if value is None else Told(_line(value))
    own = access_token_of(context, identity)
    if own is None:
        return Reason.ACCESS_TOKEN_MISSING
    token, expires_at = own
    if isinstance(rule, Target):
        return _exchanged(context, rule, identity, token)
    return Told(_line(b"Bearer " + token.encode()), -inf, expires_at)


def access_token_of(context: Context, identity: Identity) -> tuple[str, float] | None:
    """Return the caller's own access token with its expiry; None where there is none that still holds."""
    if identity.kind == "session":
        own = identity.access_token
        return own if own is not None and context.now < own[1] else None
    lines = context.request.authorization
    # whoever comes by anything else than a bearer token has no access token
    if identity.kind != "bearer" or len(lines) != 1 or lines[0].value[:7].lower() != b"bearer ":
        return None
    return token_of(lines[0]), identity.expires_at


def _exchanged(context: Context, target: Target, identity: Identity, token: str) -> Found:
    need = ExchangeToken(identity.provider, target, token, identity)
    knowledge, now = context.knowledge, context.now
    found = knowledge.fact(need, (Exchanged, TokenRefusal)) or knowledge.exchanged(need)
    if isinstance(found, TokenRefusal):
        return Reason.EXCHANGE_REFUSED
    # what was fetched for this very request counts, however soon it expires
    if not isinstance(found, Exchanged) or (now >= found.expires_at and need not in knowledge.facts):
        return need
    line = _line(b"Bearer " + found.token.encode())
    return Told(line, now, found.due_at) if now < found.due_at else Told(line, now, now, need)


def _line(value: bytes) -> tuple[bytes]:
    return (b"%b: %b" % (NAME, value),)
