"""Who is calling, as claims of a provider tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from gateway.syntax.encoding import Json

Claims: TypeAlias = Mapping[str, Json]


Position: TypeAlias = tuple[str, int]
"""A moment in the denylist's history: its epoch, and the seq of the last entry up to there."""


@dataclass(frozen=True, slots=True)
class Binding:
    """To what a token is bound: thumbprints of a key (RFC 9449), of a certificate (RFC 8705), or of both."""

    key: str | None
    certificate: str | None


@dataclass(slots=True)
class Identity:
    """Who is calling. Issuer and subject together name somebody (R26).

    Never changed once made; frozen records take four times as long to make, and each new token makes one.
    Of an API key (``key``) ``provider`` is empty, ``jti`` the key's id, and ``issued_at`` when it was made.
    ``issued_at`` is what the denylist judges: of a bearer token ``iat`` (0 if absent) less the provider's
    clock skew, of a session its login time, where ``position`` does not tell. Times are seconds since the
    epoch.

    ``access_token`` is the one that a session keeps, with its expiry. ``binding`` is what a token is
    bound to, None where it is a bearer token. ``judged_by`` are the rules of a route that it was judged by.

    What else was found of this identity is remembered with it, since it follows from what it is:
    ``identity_block`` what upstreams are told, with the rules that say so, ``told`` the same by what a route
    says of it; ``cleared`` the denylist that does not name it, its version, and since when that is known;
    ``passed`` the policies that let it in, of those that read the identity alone; ``text`` what the access
    log says, with the claims that it names.
    """

    kind: Literal["bearer", "session", "key"]
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
    access_token: tuple[str, float] | None = field(default=None, repr=False)
    binding: Binding | None = None
    judged_by: object | None = field(default=None, repr=False, compare=False)
    identity_block: "tuple[object, bytes] | None" = field(default=None, repr=False, compare=False)
    told: "dict[object, Any] | None" = field(default=None, repr=False, compare=False)
    cleared: "tuple[object, int, float] | None" = field(default=None, repr=False, compare=False)
    passed: frozenset[object] = field(default=frozenset(), repr=False, compare=False)
    text: "tuple[object, str] | None" = field(default=None, repr=False, compare=False)


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
