"""What ``decide`` says: forward, refuse, send to login, or answer from one of the gateway's own endpoints."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.core.decision.context import Context
from gateway.core.decision.kept import KeptSession
from gateway.core.decision.needs import Need
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.request import Header
from gateway.core.headers.upstream import headers_of
from gateway.core.identity import Identity, Position
from gateway.core.reasons import Reason
from gateway.core.rules.entries import DenyEntry
from gateway.core.sessions.model import Grant, Renewed, Session
from gateway.syntax.encoding import Json

if TYPE_CHECKING:
    from gateway.core.headers.cookies import Site
    from gateway.core.rules.routes import Route


@dataclass(slots=True)
class Live:
    """A session that holds: who it is, and what rides on the response or behind the request.

    ``session`` and ``grant`` are what was presented, ``rotation_id`` names its next rotation. ``cookies``
    give the browser a newer one, ``background`` are needs to resolve behind the request's back.
    ``is_renewed`` tells that a newer generation than the presented one was decided by. ``kept`` tells for how
    long all of this holds, None where it is judged anew each time. ``current`` is what it was decided by.
    """

    identity: Identity
    session: Session
    grant: Grant | None
    cookies: tuple[CookieChange, ...] = ()
    background: tuple[Need, ...] = ()
    rotation_id: str = ""
    is_renewed: bool = False
    kept: KeptSession | None = field(default=None, repr=False, compare=False)
    current: Renewed | None = field(default=None, repr=False, compare=False)


_SHOWN: Final = ("identity", "lines", "live", "reason", "route", "target")


class Forward:
    """Let it through.

    ``lines`` are the end-to-end fields alone, without CRLF, forged ones stripped and known ones added, Host
    first; a member may be several lines, joined. The pipeline adds X-Request-ID, the data plane one framing
    field, Connection, and Upgrade for a tunnel. ``live`` is the session that lets it through, if one does.
    """

    __slots__ = ("context", "identity", "lines", "live", "reason", "route", "target")

    def __init__(
        self,
        context: Context,
        route: "Route",
        reason: Reason,
        target: bytes,
        lines: list[bytes],
        identity: Identity | None,
        live: Live | None,
    ) -> None:
        self.context = context
        self.route = route
        self.reason = reason
        self.target = target
        self.lines = lines
        self.identity = identity
        self.live = live

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forward) and all(
            getattr(self, name) == getattr(other, name) for name in _SHOWN
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def session(self) -> Session | None:
        """The session that this very request presented."""
        return None if self.live is None else self.live.session

    @property
    def grant(self) -> Grant | None:
        """The grant that this very request presented."""
        return None if self.live is None else self.live.grant

    @property
    def cookies(self) -> tuple[CookieChange, ...]:
        """The cookies that were found due when it was decided."""
        return () if self.live is None else self.live.cookies

    @property
    def background(self) -> tuple[Need, ...]:
        """Needs to resolve behind the request's back."""
        return () if self.live is None else self.live.background

    @property
    def site(self) -> "Site | None":
        """Under which of our sites it came."""
        return self.context.site

    @property
    def sent(self) -> dict[str, str]:
        """The cookies of ours that the browser sent."""
        return self.context.cookies

    @property
    def headers(self) -> list[Header]:
        """The fields as (name, value) pairs, X-Request-ID among them."""
        return headers_of(self.lines, self.context.request_id)


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse for a reason; the edge turns it into a page, a problem document or a challenge.

    ``missing`` says in words what somebody lacks, ``contact`` whom to ask.

    ``challenge`` asks for an RFC 6750 WWW-Authenticate; ``required_scopes`` and ``detail`` are safe to
    show. ``html`` is what the caller prefers.

    What can help a person: ``login_url`` is where to log in, ``account_url`` where to do so with another
    account, ``logout_url`` where to end the session that was presented, ``retry_url`` where to try again if
    not at this very address. ``provider`` and ``claim`` say of a login that failed whose it was, and which
    claim was at fault, ``cause`` what probably happened to it (``causes``). ``audit`` names the audit
    event, where it is not a refusal. Where ``proof_algorithms`` are told the DPoP scheme is asked for, with
    ``nonce`` where proofs have to hold one.
    """

    reason: Reason
    route: "Route | None" = None
    identity: Identity | None = None
    html: bool = False
    challenge: bool = False
    bearer_presented: bool = False
    required_scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    login_url: str | None = None
    retry_url: str | None = None
    account_url: str | None = None
    logout_url: str | None = None
    missing: tuple[str, ...] = ()
    contact: str | None = None
    retry_after: float | None = None
    detail: str | None = None
    provider: str | None = None
    claim: str | None = None
    cause: str = ""
    audit: str | None = None
    cookies: tuple[CookieChange, ...] = ()
    allow: tuple[str, ...] = ()
    origin: str | None = None
    proof_algorithms: tuple[str, ...] = ()
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """Send this browser to the provider; the edge draws state, nonce and verifier (R2, R3).

    ``redirect_uri`` and ``origin`` come from the configuration, never from Host (R13). ``cookies`` evict
    pending logins beyond the cap (R17). ``acr_values`` and ``max_age`` ask for step-up (RFC 9470).
    ``callback`` is the path that the pending login holds, empty for the usual one. ``other_account`` asks the
    provider which account it is to be. ``client`` is the address that asks. ``audit`` names an audit event
    that this ends: of a login that could not be finished, and begins again by itself.
    ``parameters`` are more ones of the authorization request, as the page's route has them.
    ``position`` is how far the denylist was applied; ``is_repeated`` as in ``PendingLogin``. ``told_http`` is
    set where a trusted proxy says http of a browser that is on https.

    ``by`` is the origin of the host where people log in for every site, empty at that host and where there
    is none; ``provider`` may then be empty, and ``admits`` and ``had`` are as in ``JoinRequest``.
    """

    reason: Reason
    provider: str
    origin: str
    redirect_uri: str
    return_to: str
    pending_cookie: str
    now: float
    max_age_seconds: int
    route: "Route | None" = None
    cookies: tuple[CookieChange, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    callback: str = ""
    login_hint: str = ""
    other_account: bool = False
    client: str = ""
    audit: str | None = None
    position: Position | None = None
    is_repeated: bool = False
    parameters: tuple[tuple[str, str], ...] = ()
    told_http: bool = False
    by: str = ""
    admits: tuple[str, ...] = ()
    had: str = ""


@dataclass(frozen=True, slots=True)
class Respond:
    """An answer of the gateway's own endpoints: a redirect, a small JSON document or a page by name.

    ``audit`` names an audit event, ``details`` are more fields of it; ``revoked`` are entries that were
    written on the way. ``background`` are needs to resolve behind the answer's back. ``choices`` are what a
    page offers: labels with the links that they lead to.
    """

    reason: Reason
    status: int
    location: str | None = None
    json: dict[str, Json] | None = None
    page: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    headers: tuple[Header, ...] = ()
    cookies: tuple[CookieChange, ...] = ()
    identity: Identity | None = None
    route: "Route | None" = None
    audit: str | None = None
    details: dict[str, str | None] = field(default_factory=dict)
    revoked: tuple[DenyEntry, ...] = ()
    background: tuple[Need, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Allow(Respond):
    """Tell a proxy that asks to let it through: the one answer of 2xx that it is ever given.

    ``headers`` are what it puts in place of its client's.
    """


Answer: TypeAlias = Forward | Refuse | Login | Respond
