"""What a route's upstream is told of an identity, beyond what every upstream is told.

What follows from the identity and the configuration alone is remembered with the identity.
"""

from gateway.core.decision.context import Context
from gateway.core.headers.identity import identity_lines
from gateway.core.identity import Identity
from gateway.core.rules.sends import Sends


def told(context: Context, sends: Sends, identity: Identity) -> bytes:
    """Return the lines that tell an upstream of an identity, joined by CRLF; empty where there is none."""
    known = identity.told
    if known is None:
        known = identity.told = {}
    found: bytes | None = known.get(sends)
    if found is None:
        unverified = identity.provider in context.knowledge.runtime.rules.unverified
        found = known[sends] = identity_lines(sends.identity, identity, tells_unverified=unverified)
    return found
