"""What a decision may lack: values that name one fact each. The edge fetches it and asks again.

A need with an effect (``RedeemCode``, ``UseOnce``, ``Revoke``, ``Refresh``...) is asked once per request.
Resolving raises ``Fault`` when the fact cannot be had.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.core.identity import Identity
from gateway.core.rules.authorization import Target
from gateway.core.rules.entries import DenyEntry
from gateway.core.rules.rate_limit import RateLimit
from gateway.core.sessions.joining import Granted
from gateway.core.sessions.model import Grant, Renewed, Session


@dataclass(frozen=True, slots=True)
class Random:
    """``size`` random bytes. Answer: bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Body:
    """The request's whole body, of at most ``limit`` bytes. Answer: bytes."""

    limit: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """The provider's discovery document. Answer: ProviderMetadata."""

    provider: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The provider's key set; refetched when it lacks ``kid``, or a signature ``failed``, as budgets allow.

    Answer: core.tokens.keys.KeySet, which may still lack the kid. ``kid`` None: any usable key set will do;
    empty: the token names none. ``by`` is the address of who presented the token, None where it came of
    our own token call; ``proof`` stands for the token's signature (``core.tokens.jws.proof_of``).
    """

    provider: str
    kid: str | None
    failed: bool = False
    by: str | None = field(default=None, compare=False)
    proof: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RedeemCode:
    """Redeem an authorization code (RFC 6749 section 4.1.3). Answer: TokenSet | TokenRefusal."""

    provider: str
    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str = ""


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What more is told of a person: UserInfo (OIDC Core section 5.3), or a user API.

    ``groups_of`` is the subject whose groups are asked for as well, since they did not fit into the ID token
    that came with the access token; empty for nobody's. Answer: dict of claims, empty if it was refused.
    """

    provider: str
    access_token: str = field(repr=False)
    groups_of: str = ""


@dataclass(frozen=True, slots=True)
class UseOnce:
    """Mark a value as used until ``expires`` (epoch seconds). Answer: True the first time, else False."""

    purpose: str
    value: str
    expires: float


@dataclass(frozen=True, slots=True)
class Revoke:
    """Write entries to the denylist. Answer: None once this worker's own replica holds them."""

    entries: tuple[DenyEntry, ...]


@dataclass(frozen=True, slots=True)
class Refresh:
    """New tokens for a session, by the refresh lease. Answer: Renewed | SessionOver.

    ``site`` is where it was presented, of a session that several sites have; else it is empty.
    """

    rotation_id: str
    session: Session = field(compare=False)
    grant: Grant = field(compare=False, repr=False)
    site: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ExchangeToken:
    """A caller's access token, exchanged for an upstream's (RFC 8693). Answer: Exchanged | TokenRefusal.

    ``identity`` says whose it is.
    """

    provider: str
    target: Target
    access_token: str = field(repr=False)
    identity: Identity = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Confirm:
    """The browser presented the cookie that these rotations led to. Background only. Answer: None.

    ``ends_at`` (epoch seconds) bounds how long the old tokens are remembered as spent. ``site`` is where, of
    a session that several sites have: others may still show the old ones.
    """

    rotations: tuple[str, ...]
    ends_at: float
    site: str = ""


def left_at(rotation_id: str, site: str) -> str:
    """Name the confirmation of a rotation, at one site where several have the session."""
    return f"{rotation_id} {site}" if site else rotation_id


@dataclass(frozen=True, slots=True)
class Replaced:
    """Tell every worker that a later login of its browser replaces a session. Answer: None, always.

    From then on no answer gives that browser the session's cookies.
    """

    session_id: str


@dataclass(frozen=True, slots=True)
class EndSession:
    """Where a browser ends its login at the provider (OpenID Connect RP-Initiated Logout section 2).

    The store may keep a newer hint of the session than ``id_token_hint``, which the browser has brought.

    Answer: the URL, empty where the provider has no end_session_endpoint; or, as a value, the Fault that
    kept its metadata away: a logout goes on without the provider.
    """

    provider: str
    redirect_uri: str
    state: str = field(repr=False)
    id_token_hint: str | None = field(default=None, repr=False)
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class KeepHint:
    """Keep the ID token of a session for its logout at the provider. Background only. Answer: None.

    ``ends_at`` is the session's end, in epoch seconds.
    """

    session_id: str
    id_token: str = field(repr=False)
    ends_at: float


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """Revoke a refresh token at the provider (RFC 7009). Background only. Answer: None.

    ``issuer``, ``subject`` and ``session_id`` say whose it is, for the audit log.
    """

    provider: str
    refresh_token: str = field(repr=False)
    issuer: str
    subject: str
    session_id: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What the store has of a session. Answer: core.sessions.record.StoredSession, empty for nothing."""

    record: str
    session_id: str


@dataclass(frozen=True, slots=True)
class SaveSession:
    """Keep a session that begins, before its cookie is given. Answer: None.

    ``address`` and ``agent`` are the browser's, for the list. ``replaces`` is the id of the session that this
    browser had before, empty where it had none. ``site`` is the origin where it begins.
    """

    record: str
    handle: str = field(compare=False, repr=False)
    current: Renewed = field(compare=False, repr=False)
    address: str = field(compare=False)
    agent: str = field(compare=False)
    replaces: str = field(default="", compare=False)
    site: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class KeptPage:
    """The page that a login's reference stands for. Answer: str, empty where it is no longer known."""

    reference: str


@dataclass(frozen=True, slots=True)
class KeepTicket:
    """Keep what a ticket grants, under its secret, for a moment. Answer: None."""

    secret: bytes = field(repr=False)
    granted: Granted = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TakeTicket:
    """Take what a ticket grants out of the store: who asks first has it. Answer: Granted | NoTicket."""

    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinSite:
    """A session begins at one more of its sites, by a ticket. Answer: None.

    ``rotation_id`` names its next rotation, empty where nothing rotates.
    """

    session: Session = field(compare=False, repr=False)
    site: str
    rotation_id: str


@dataclass(frozen=True, slots=True)
class ListSession:
    """Put a session that browsers keep on the list, or one more site of it. Background only. Answer: None.

    ``address`` and ``agent`` are the browser's, ``site`` is the origin where it begins.
    """

    session: Session = field(compare=False, repr=False)
    address: str
    agent: str
    site: str


@dataclass(frozen=True, slots=True)
class OwnSessions:
    """The sessions that a person has. Answer: core.sessions.listed.OwnedSessions.

    ``issuer`` and ``subject`` say whose: the same subject of another issuer is somebody else.
    """

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Touch:
    """A session of the store was in use at ``seen_at`` (epoch seconds). Background only. Answer: None."""

    record: str
    seen_at: float = field(compare=False)
    session: Session = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class EndLater:
    """A later login of the same person in this browser replaced a session. Background only. Answer: None.

    It ends after the grace in which other tabs still show it. ``ends_at`` is its absolute end, epoch seconds.
    ``by_itself``: its other sites, where it is shown for longer, get the later one without a word.
    """

    session_id: str
    ends_at: float
    by_itself: bool = False


@dataclass(frozen=True, slots=True)
class Admit:
    """Count one more request of a caller. Answer: core.rules.rate_limit.Allowance."""

    limit: RateLimit
    key: str


@dataclass(frozen=True, slots=True)
class Introspect:
    """What a provider says of an opaque token. Answer: core.tokens.introspection.Introspection.

    ``by`` is the address that presents it. ``is_known``: it was active when it was last asked about.
    """

    provider: str
    token: str = field(repr=False)
    by: str = field(default="", compare=False)
    is_known: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class TokenUserInfo:
    """What UserInfo tells of who presents a verified token, which ``expires`` (epoch seconds).

    Answer: core.tokens.introspection.Introspection, without claims where the token was refused there.
    """

    provider: str
    token: str = field(repr=False)
    expires: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the store has of an API key. Answer: core.tokens.api_key.StoredKey, empty for nothing.

    ``is_known``: there is something to go on with while the store is away. ``by`` is the address that asks.
    """

    key_id: str
    is_known: bool = field(default=False, compare=False)
    by: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class KeyUsed:
    """An API key was used, which is kept until it ``expires`` (epoch seconds). Answer: None, at once."""

    key_id: str
    expires: float


@dataclass(frozen=True, slots=True)
class KnownSid:
    """Whether the store keeps a session that has this ``sid`` of this provider. Answer: bool."""

    provider: str
    sid: str


Need: TypeAlias = (
    Random
    | Body
    | Metadata
    | Keys
    | RedeemCode
    | UserInfo
    | UseOnce
    | Revoke
    | Refresh
    | ExchangeToken
    | Confirm
    | Replaced
    | EndSession
    | KeepHint
    | RevokeToken
    | SessionRecord
    | SaveSession
    | KeptPage
    | Touch
    | EndLater
    | Admit
    | Introspect
    | TokenUserInfo
    | KeyRecord
    | KeyUsed
    | KnownSid
    | KeepTicket
    | TakeTicket
    | JoinSite
    | ListSession
    | OwnSessions
)

EFFECTS: tuple[type, ...] = (
    RedeemCode,
    UseOnce,
    Revoke,
    Refresh,
    Replaced,
    SaveSession,
    Admit,
    KeyUsed,
    KeepTicket,
    TakeTicket,
    JoinSite,
)
MOST_NEEDS: Final = 16
