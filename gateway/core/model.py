"""The values that travel between the layers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from gateway.core.reasons import Reason

if TYPE_CHECKING:
    from gateway.core.pattern import Pattern

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Claims: TypeAlias = Mapping[str, Json]
Header: TypeAlias = tuple[bytes, bytes]
Position: TypeAlias = tuple[str, int]
"""A moment in the denylist's history: its epoch, and the seq of the last entry up to there."""

FaultSource = Literal["client", "upstream", "issuer", "store", "gateway"]


class Fault(Exception):  # noqa: N818 - a fault is the field's word, and says whose it is
    """Something outside failed; it fails closed and never clears a cookie.

    Attributes:
        source: whose fault it is.
        reason: the word of the vocabulary that the caller will see.
        detail: for the log alone; never holds a secret, never reaches a client.
        retry_after: seconds after which a retry makes sense, or None.
        html: whether a person's browser asks, where the request itself could not be read.
    """

    def __init__(
        self, source: FaultSource, reason: Reason, detail: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(f"{source}: {reason}: {detail}")
        self.source: FaultSource = source
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.html = False


class Field:
    """One header field: name and value, the whole line with CRLF as we send it, and its meaning to framing.

    ``kind`` is the data plane's; 0 means that the field says nothing about framing.
    """

    __slots__ = ("kind", "line", "name", "value")

    def __init__(self, name: bytes, value: bytes, kind: int = 0, line: bytes | None = None) -> None:
        self.name = name
        self.value = value
        self.kind = kind
        self.line = b"%b: %b\r\n" % (name, value) if line is None else line


class Request:
    """One framed and validated request head (RFC 9112), before any decision; never changed once made.

    Args:
        method: as sent.
        target: origin-form (an absolute-form whose authority equals Host has been reduced) or ``*``.
        host: the Host field, lower case, with its port when one was sent.
        headers: (name, value) pairs in order and spelling, values without surrounding white space; unused
            where ``fields`` are given.
        peer: the socket's address.
        tls: whether it came over TLS.
        fields: the same, as the data plane parsed them.

    Attributes:
        pattern: the ``core.pattern.Pattern`` that recognised it; None where it was read field by field.
        match: where in its bytes the pattern found what differs; ``fields`` are then read when asked for.
        kept: whether this very object may come again; ``plan`` is then what the pipeline worked out for it.
    """

    __slots__ = (
        "_fields",
        "_headers",
        "host",
        "kept",
        "match",
        "method",
        "pattern",
        "peer",
        "plan",
        "target",
        "tls",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        host: bytes,
        headers: tuple[Header, ...] | None,
        peer: str,
        tls: bool = False,
        fields: tuple[Field, ...] | None = None,
        pattern: "Pattern | None" = None,
        match: "re.Match[bytes] | None" = None,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.peer = peer
        self.tls = tls
        self.pattern = pattern
        self.match = match
        self.kept = False
        self.plan: Any = None
        self._fields = fields
        self._headers = headers

    @property
    def fields(self) -> tuple[Field, ...] | None:
        """The fields as the data plane parsed them, None where only ``headers`` were given."""
        if self._fields is None and self.match is not None and self.pattern is not None:
            self._fields = self.pattern.read(self.match[0])
        return self._fields

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields as (name, value) pairs."""
        if self._headers is None:
            self._headers = tuple((field.name, field.value) for field in self.fields or ())
        return self._headers


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


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A successful token response (RFC 6749 section 5.1), checked for form only.

    ``expires_in`` is in seconds. ``scopes`` is None when the response named none (then the requested ones
    hold, RFC 6749 section 5.1).
    """

    access_token: str = field(repr=False)
    expires_in: float | None
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """A token endpoint's error response that counts (R34). ``error`` is RFC 6749's code, or ``empty``."""

    error: str


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
    where the provider's access tokens are verified as JWTs. ``seen_at`` is when it was last sealed.
    ``told`` says whose word the claims are, empty where that was not written down; ``claims_at`` is when the
    oldest of them was told that can be taken away, None likewise.
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


@dataclass(frozen=True, slots=True)
class Grant:
    """The refresh token of a session. Sealed into the refresh cookie.

    ``unconfirmed`` are the claim ids (see ``core.sessions.renewal.claim_id``) of rotations that led here and that
    the browser confirms by presenting this cookie; newest first. ``handle`` is the secret of the cookie that
    leads to this grant where the store keeps it, empty where the browser does.
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

EntryKind = Literal["jti", "sid", "sub", "session", "all"]


AS_WRITTEN: Final[Position] = ("", 0)
"""The position of an entry that is not written yet: the store gives it one."""
BY_ITSELF: Final = -1.0
"""``before`` of a ``session`` entry that is nobody's revocation: the provider ended the session."""


@dataclass(frozen=True, slots=True)
class DenyEntry:
    """One line of the denylist: who or what is refused.

    ``jti`` and ``session`` name one thing, whenever it was issued. Of bearer tokens the others refuse those
    issued at or before ``before``; of sessions and pending logins those that began before the entry's
    ``position``, where both are of one epoch, else those that began until ``before`` and a margin. An entry
    without a position is judged by time alone. ``issuer`` is empty for ``session`` and for an ``all`` that
    spans every issuer; ``value`` is empty for ``all``. ``expires`` outlives what the entry names. Times are
    seconds since the epoch.
    """

    kind: EntryKind
    issuer: str
    value: str
    before: float
    expires: float
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """A value that the edge seals under the key ring, with a nonce that it draws, for one purpose."""

    purpose: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CookieChange:
    """A cookie of ours to set (``value`` sealed, chunked as needed) or to clear (``value`` None).

    ``plain`` is set as it is, where it tells nobody anything. ``cross_site``: other sites' forms send it.
    ``presented`` are the names of its chunks that the browser sent, so leftovers are cleared too.
    ``max_age`` is in seconds. ``path`` is the only part of the site that the browser sends it to.
    """

    name: str
    value: Seal | None
    max_age: int = 0
    presented: tuple[str, ...] = ()
    path: str = "/"
    plain: str | None = None
    cross_site: bool = False


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What discovery told (OpenID Connect Discovery 1.0 section 3), checked and limited.

    ``unusable`` holds name, code and detail of optional endpoints that were left out because nothing may be
    sent there; only who uses one needs to know.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    iss_parameter_supported: bool = False
    code_challenge_methods: tuple[str, ...] = ()
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    unusable: tuple[tuple[str, str, str], ...] = ()


@dataclass(slots=True)
class Matter:
    """What a request was about, as its decision tells; shared by all requests that one plan serves.

    ``path`` is without its query. ``claims`` name the person as the log is told to. ``series`` and ``line``
    are for the recorders: what they worked out for it.
    """

    method: str
    host: str
    path: str
    client: str
    route: str
    decision: Literal["forward", "refuse", "login", "respond", "abort"]
    reason: Reason
    upstream: str | None = None
    issuer: str | None = None
    subject: str | None = None
    session_id: str | None = None
    claims: tuple[tuple[str, str], ...] = ()
    series: Any = field(default=None, repr=False, compare=False)
    line: Any = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class Outcome:
    """What happened to one request: the one record that feeds metrics, access log and audit log.

    ``path`` is set where ``about`` serves requests for several paths. Never changed once made; it is not
    frozen only because a frozen record takes four times as long to make. Durations are seconds;
    ``gateway_seconds`` is the gateway's own time before the request went on or was answered;
    ``upstream_seconds`` is from the forward to the last byte of the response, or None. ``headers`` are those
    of the request that the log repeats.
    """

    about: Matter
    request_id: str
    status: int
    gateway_seconds: float
    total_seconds: float
    upstream_seconds: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    fault: str | None = None
    path: str | None = None
    headers: tuple[Header, ...] = ()
