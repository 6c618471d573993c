"""What a route's upstream is told of an identity, beyond what every upstream is told.

It follows from the identity, the configuration and the time, and is remembered with the identity for as long
as it would be the same.
"""

from math import inf
from typing import NamedTuple

from gateway.core.decision.context import Context
from gateway.core.headers.identity import identity_lines
from gateway.core.identity import Identity
from gateway.core.rules.assertions import Assertion
from gateway.core.rules.sends import Sends


class _Told(NamedTuple):
    """Lines, joined by CRLF, that hold from ``since`` until ``until`` (epoch seconds)."""

    lines: bytes
    since: float
    until: float


def told(context: Context, sends: Sends, identity: Identity) -> bytes:
    """Return the lines that tell an upstream of an identity, joined by CRLF; empty where there is none."""
    found = _known(identity, sends, context.now)
    if found is None:
        found = _work_out(context, sends, identity)
        assert identity.told is not None
        identity.told[sends] = found
    return found.lines


def _known(identity: Identity, rule: object, now: float) -> _Told | None:
    known = identity.told
    if known is None:
        identity.told = {}
        return None
    found: _Told | None = known.get(rule)
    return found if found is not None and found.since <= now < found.until else None


def _work_out(context: Context, sends: Sends, identity: Identity) -> _Told:
    unverified = identity.provider in context.knowledge.runtime.rules.unverified
    lines = identity_lines(sends.identity, identity, tells_unverified=unverified)
    if sends.assertion is None:
        return _Told(lines, -inf, inf)
    signed = _asserted(context, sends.assertion, identity, unverified=unverified)
    return _Told(b"\r\n".join(filter(None, (lines, signed.lines))), signed.since, signed.until)


def _asserted(context: Context, assertion: Assertion, identity: Identity, *, unverified: bool) -> _Told:
    """Return the line of a signed assertion, signed anew after half of its life."""
    found = _known(identity, assertion, context.now)
    if found is not None:
        return found
    signing, now = context.knowledge.runtime.signing, context.now
    assert signing is not None
    token = signing.sign(assertion.claims_of(identity, now, tells_unverified=unverified), now)
    line = b"%b: %b" % (assertion.header, token.encode())
    made = _Told(line, now, now + assertion.lifetime / 2)
    assert identity.told is not None
    identity.told[assertion] = made
    return made
