"""Who is calling, as claims of a provider tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from gateway.syntax.encoding import Json

Claims: TypeAlias = Mapping[str, Json]


Position: TypeAlias = tuple[str, int]
"""A moment in the denylist's history: its epoch, and the seq of the last entry up to there."""


@dataclass(slots=True)
class Identity:
    """Who is calling. Issuer and subject together name somebody (R26).

    Never changed once made; frozen records take four times as long to make, and each new token makes one.
    ``issued_at`` is what the denylist judges: of a bearer token ``iat`` (0 if absent) less the provider's
    clock skew, of a session its login time, where ``position`` does not tell. Times are seconds since the
    epoch. ``told`` remembers what upstreams are told of this identity, with the rules that say so.
    """

    kind: Literal["bearer", "session"]
    provider: str
    issuer: str
    subject: str
    claims: Claims
    scopes: frozenset[str]
    issued_at: float
    expires_at: float
    jti: str | None = None
    sid: str | None = None
    session_id: str | None = None
    position: Position | None = None
    told: list[Any] = field(default_factory=list, repr=False, compare=False)


def find_claim(claims: Claims, name: str) -> Json:
    """Return a claim, None when absent. A dotted name that is no claim itself walks into objects."""
    if name in claims:
        return claims[name]
    if "." not in name:
        return None
    found: Json = dict(claims)
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found
