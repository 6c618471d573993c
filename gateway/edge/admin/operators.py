"""Who asks the admin listener, what they may do, and what is said to whoever may not.

Tokens have names, roles and dates. The name is what the audit log tells as ``actor``; what a caller says of
itself is another field and never more than that.
"""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Final, Literal, TypeAlias

from gateway.config.settings.admin import ROLES, AdminSettings, Role
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, compile_rate_limit, key_of
from gateway.edge.admin.http import Ask, Reply, problem
from gateway.syntax.dates import read_date

_REALM: Final = 'Bearer realm="gateway admin"'
_TOLD: Final = RateLimitSettings(requests=20, per=60.0, by="address")
"""How many refusals of one address the audit log tells; those beyond are counted."""

Why: TypeAlias = Literal[
    "no_token", "unknown_token", "expired_token", "role", "origin", "host", "cleartext", "not_done"
]


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who was recognised: ``how`` tells by what, ``token`` or ``login``."""

    name: str
    role: Role
    how: Literal["token", "login"] = "token"

    def may(self, role: Role) -> bool:
        """Tell whether this is allowed what ``role`` is."""
        return ROLES[self.role] >= ROLES[role]


@dataclass(frozen=True, slots=True)
class Held:
    """A token as it is remembered: a keyed digest of it, its operator, and when it ends (epoch seconds)."""

    operator: Operator
    digest: bytes
    expires: float | None

    def is_over(self, now: float) -> bool:
        """Tell whether it has expired at ``now``, epoch seconds."""
        return self.expires is not None and now >= self.expires


class Tokens:
    """The tokens of the configuration, known by digests under a key of this process."""

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._held: tuple[Held, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._held)

    def configure(self, settings: AdminSettings) -> None:
        """Go on with these tokens. One whose date cannot be read has ended; an empty one is none."""
        self._held = tuple(
            Held(Operator(name, each.role), self._digest(secret), _end_of(each.expires))
            for name, each in settings.named()
            if (secret := each.token.get_secret_value().encode("utf-8", "surrogatepass"))
        )

    def find(self, secret: bytes) -> Held | None:
        """Return the token that a secret is, whether expired or not, in a time that tells nothing of any."""
        digest = self._digest(secret)
        alike = [hmac.compare_digest(each.digest, digest) for each in self._held]
        return next((held for held, is_like in zip(self._held, alike, strict=True) if is_like), None)

    def current(self, held: Held, now: float) -> Operator | None:
        """Return whose token it is as configured now, None where it is there no more or has expired."""
        for each in self._held:
            if hmac.compare_digest(each.digest, held.digest) and each.operator.name == held.operator.name:
                return None if each.is_over(now) else each.operator
        return None

    def _digest(self, secret: bytes) -> bytes:
        return hmac.digest(self._key, secret, sha256)


class Entrance:
    """Maps a request to an operator or a refusal, and has refusals told in the audit log, within bounds.

    Args:
        audit: takes an audit event.
        clock: wall time in seconds since the epoch.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        audit: Callable[..., None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = Tokens()
        self._audit = audit
        self._clock = clock
        self._monotonic = monotonic
        self._told = Buckets(compile_rate_limit(_TOLD, "admin"))
        self._untold = 0

    def judge(self, ask: Ask, role: Role, endpoint: str) -> Operator | Reply:
        """Return who asks, recognised by a bearer token, or why that is refused.

        ``endpoint`` is what the audit log calls the target, such as ``/sessions/{id}``.
        """
        if not self.tokens:
            return problem(403, "Nothing can be changed here: set admin.token or admin.tokens.")
        secret = _presented(ask.fields(b"authorization"))
        held = self.tokens.find(secret) if secret else None
        if held is None:
            self.tell(ask, endpoint, "unknown_token" if secret else "no_token")
            return _unauthorized("This needs an admin token.", "invalid_token" if secret else None)
        if held.is_over(self._clock()):
            self.tell(ask, endpoint, "expired_token", held.operator)
            return _unauthorized("This token has expired.", "invalid_token")
        return self.permit(ask, held.operator, role, endpoint) or held.operator

    def permit(self, ask: Ask, operator: Operator, role: Role, endpoint: str) -> Reply | None:
        """Return the refusal for an operator whose role is not enough, however recognised."""
        if operator.may(role):
            return None
        self.tell(ask, endpoint, "role", operator)
        challenge = f'{_REALM}, error="insufficient_scope", scope="{role}"'
        detail = f"This needs the role {role}; {operator.name} has the role {operator.role}."
        return problem(403, detail, {"WWW-Authenticate": challenge})

    def tell(
        self, ask: Ask, endpoint: str, why: Why, operator: Operator | None = None, status: int | None = None
    ) -> None:
        """Have the audit log tell of a refusal, unless this address has been refused often of late."""
        now = int(self._monotonic() * MICROSECONDS)
        if self._told.take(key_of("address", None, ask.client), now).wait is not None:
            self._untold += 1
            return
        untold, self._untold = self._untold, 0
        self._audit(
            "admin_refused",
            why=why,
            method=ask.method,
            endpoint=endpoint,
            status=status,
            client=ask.client,
            actor=None if operator is None else operator.name,
            actor_by=None if operator is None else operator.how,
            untold=untold or None,
        )


def _presented(fields: list[bytes]) -> bytes:
    """Return the bearer token of a request, empty where there is none or more than one (RFC 6750)."""
    if len(fields) != 1:
        return b""
    scheme, _, token = fields[0].partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _unauthorized(detail: str, error: str | None) -> Reply:
    """Return a 401 with its challenge (RFC 6750 section 3)."""
    challenge = _REALM if error is None else f'{_REALM}, error="{error}"'
    return problem(401, detail, {"WWW-Authenticate": challenge})


def _end_of(expires: str | None) -> float | None:
    if expires is None:
        return None
    end = read_date(expires)
    return 0.0 if end is None else end
