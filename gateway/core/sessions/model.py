"""Sessions, what renews them, and how they end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gateway.core.identity import Claims, Position
from gateway.core.reasons import Reason

Source = Literal["id_token", "userinfo", "access_token"]


@dataclass(frozen=True, slots=True)
class Told:
    """The names of the claims that a source told when it was last heard, at ``at`` (epoch seconds)."""

    at: float
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in browser. Sealed into the session cookie; times are seconds since the epoch.

    ``claims`` are only those that the configuration uses. ``generation`` counts refreshes.
    ``renewed_at`` and ``access_expires_at`` bound the access token's life. ``access_token`` is kept only
    where it is verified as a JWT, or some upstream gets it. ``seen_at`` is when it was last sealed.
    ``told`` says whose word the claims are, empty where that was not written down; ``claims_at`` is when the
    oldest of them was told that can be taken away, None likewise.
    ``is_unrenewable``: no refresh token came with its login, so its access token's end is not its own.
    ``is_shared``: several sites of one browser have it, each in a cookie of its own.
    ``position`` is how far the worker where it began had applied the denylist then, None where unknown.
    """

    session_id: str
    provider: str
    issuer: str
    subject: str
    sid: str | None
    claims: Claims
    scopes: frozenset[str]
    login_at: float
    ends_at: float
    seen_at: float
    renewed_at: float
    access_expires_at: float
    generation: int = 0
    access_token: str | None = field(default=None, repr=False)
    told: Mapping[Source, Told] = field(default_factory=dict)
    claims_at: float | None = None
    position: Position | None = None
    is_unrenewable: bool = False
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """The refresh token of a session. Sealed into the refresh cookie.

    ``unconfirmed`` are the ids (see ``core.sessions.renewal.rotation_id``) of rotations that led here and
    that the browser confirms by presenting this cookie; newest first. ``handle`` is the secret of the cookie
    that leads to this grant where the store keeps it, empty where the browser does.
    """

    session_id: str
    generation: int
    refresh_token: str = field(repr=False)
    unconfirmed: tuple[str, ...] = ()
    handle: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Renewed:
    """A refresh that succeeded: what the new cookies hold."""

    session: Session
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class SessionOver:
    """A refresh that ended its session: ``session_ended``, ``session_reused``, ``refresh_lost``...

    ``detail`` is for the log and safe to show.
    """

    reason: Reason
    detail: str = ""


RefreshOutcome: TypeAlias = Renewed | SessionOver


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session cookie that opened, with its refresh cookie's grant and the rotation id of its next rotation.

    ``record`` names the record where the store keeps the session; it is empty where the browser does.
    """

    session: Session
    grant: Grant | None
    rotation_id: str
    record: str = ""
