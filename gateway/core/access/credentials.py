"""What was presented: one extractor for each source, tried in order.

To add a source: an extractor and a line in ``CREDENTIAL_SOURCES``. Each is asked for every request; what a
credential leads to is remembered with its line, or under its exact text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from gateway.core.decision.answers import Live
from gateway.core.decision.context import Context
from gateway.core.decision.kept import KeptSession
from gateway.core.decision.needs import SessionRecord
from gateway.core.headers import cookies as jar
from gateway.core.headers.lines import Line
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.routes import Route
from gateway.core.sessions import codec, renewal
from gateway.core.sessions.model import OpenedSession, Renewed
from gateway.core.sessions.record import RECORD_PURPOSE, Handle, StoredSession, decode_handle
from gateway.core.tokens.keys import KeySet

MOST_TOKEN: Final = 16_384
_PRINTABLE: Final = bytes(range(0x21, 0x7F))


class BearerToken:
    """An access token of the Authorization field (RFC 6750 section 2.1), or an API key.

    It does not know its line, which knows it: what is forgotten is to go at once, and not when cycles are
    collected.

    Args:
        token: as presented; empty where its line holds it, with which what was verified is remembered.

    Attributes:
        verified: whom it names, by which key set, and since when that is known (epoch seconds); None before.
        known: what was learned of it otherwise, by the name of the provider that was asked.
    """

    __slots__ = ("known", "token", "verified")

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.verified: tuple[KeySet, Identity, float] | None = None
        self.known: dict[str, KnownCaller] | None = None


class PresentedKey(BearerToken):
    """An API key, in a field of its own or in the Authorization field."""

    __slots__ = ()


class ProofToken(BearerToken):
    """An access token of the DPoP scheme, which a proof has to come with (RFC 9449 section 7.1)."""

    __slots__ = ()


_SCHEMES: Final[dict[bytes, type[BearerToken]]] = {b"bearer": BearerToken, b"dpop": ProofToken}


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """Whom a credential names that no key set verifies. Times are epoch seconds.

    It holds from ``since`` until ``until``, when it is asked for anew; what was learned is of no use any more
    at ``ends``.
    """

    identity: Identity
    since: float
    until: float
    ends: float

    def holds(self, now: float) -> bool:
        """Tell whether it need not be asked for at ``now``."""
        return self.since <= now < self.until


@dataclass(slots=True)
class SessionCookie:
    """A session cookie; ``opened`` is None where it leads to no session, and ``gone`` says why.

    ``former`` is the id of one whose record is not there any more, empty where that is unknown. ``live`` is
    how it was judged last, and ``kept`` says whether that holds still. ``identity`` is who it was last, with
    what was found of that identity.
    """

    opened: OpenedSession | None
    gone: Reason = Reason.SESSION_INVALID
    former: str = ""
    kept: KeptSession | None = field(default=None, repr=False, compare=False)
    live: Live | None = field(default=None, repr=False, compare=False)
    identity: Identity | None = field(default=None, repr=False, compare=False)


Credential: TypeAlias = BearerToken | SessionCookie
Extractor: TypeAlias = Callable[[Context], Credential | SessionRecord | Reason | None]


def token_of(line: Line) -> str:
    """Return the token of an Authorization line that holds one."""
    return line.value.partition(b" ")[2].strip(b" ").decode()


def bearer_token(context: Context) -> BearerToken | Reason | None:
    """Return the bearer token or API key, None where there is none, or a refusal for a malformed field."""
    lines = context.request.authorization
    if not lines:
        return None
    if len(lines) > 1:
        return _one_of(context, lines)
    line = lines[0]
    if line.found is not None:
        known: BearerToken = line.found
        return known
    return _read(context, line)


def _one_of(context: Context, lines: tuple[Line, ...]) -> BearerToken | Reason | None:
    """Return the one credential of several lines: an API key, beside what is meant for the upstream."""
    keys = context.knowledge.runtime.rules.api_keys
    if keys is None or len(lines) > 2:
        return Reason.REQUEST_MALFORMED
    own = [line for line in lines if keys.brings(line)]
    others = [line for line in lines if not keys.brings(line)]
    if len(own) != 1 or others[0].value.partition(b" ")[0].lower() in _SCHEMES:
        return Reason.REQUEST_MALFORMED
    return own[0].found or _read(context, own[0])


def _read(context: Context, line: Line) -> BearerToken | Reason | None:
    keys = context.knowledge.runtime.rules.api_keys
    if keys is not None and keys.text_of(line) is not None:
        key = line.found = PresentedKey()
        return key
    scheme, _, token = line.value.partition(b" ")
    if (kind := _SCHEMES.get(scheme.lower())) is None:
        return None
    token = token.strip(b" ")
    if not token or len(token) > MOST_TOKEN or not token.isascii() or token.translate(None, _PRINTABLE):
        return Reason.TOKEN_MALFORMED
    found = line.found = kind()
    return found


def session_cookie(context: Context) -> SessionCookie | SessionRecord | None:
    """Return the session cookie with its refresh cookie opened, None where the browser sent none.

    Where the store keeps sessions, one that this worker does not remember is named as a need.
    """
    site, lines = context.site, context.request.cookies
    if site is None or not lines or (len(lines) == 1 and not lines[0].found.has_own):
        return None
    keeps_records = context.knowledge.runtime.keeps_records
    # what the usual one Cookie line leads to is remembered with it
    held: dict[str, SessionCookie] | None = None
    if len(lines) == 1 and not keeps_records:
        held = lines[0].found.leads_to
        assert held is not None
        if (known := held.get(site.origin)) is not None:
            return known
    cookies = context.cookies
    if site.session_cookie not in cookies:
        return None
    sealed = jar.joined(cookies, site.session_cookie)
    if sealed is None:
        return SessionCookie(None)
    sealed_grant = jar.joined(cookies, site.refresh_cookie) or ""
    # "." is in no sealed text, so two pairs never share a key
    key = f"{site.origin} {sealed}.{sealed_grant}"
    found: SessionCookie | None = context.knowledge.memory.cookies.get(key)
    if keeps_records:
        settings = context.knowledge.runtime.settings.session
        opened = None if found is None else found.opened
        if opened is not None and context.now - opened.session.seen_at <= settings.idle_lifetime / 10:
            return found
        return _kept_session(context, site, sealed, key)
    if found is None:
        opened = _open(context, site, sealed, sealed_grant)
        if opened is None:
            return SessionCookie(None)
        found = SessionCookie(opened)
        context.knowledge.memory.cookies.put(key, found)
    if held is not None:
        held[site.origin] = found
    return found


def _open(context: Context, site: jar.Site, sealed: str, sealed_grant: str) -> OpenedSession | None:
    runtime = context.knowledge.runtime
    payload = runtime.ring.open(site.purpose("session"), sealed)
    session = codec.decode_session(payload) if payload is not None else None
    if session is None:
        return None
    provider = runtime.login_provider(session.provider)
    if provider is None or provider.issuer != session.issuer:
        return None
    payload = runtime.ring.open(site.purpose("refresh"), sealed_grant) if sealed_grant else None
    grant = codec.decode_grant(payload) if payload is not None else None
    if grant is not None and grant.session_id != session.session_id:
        grant = None
    return OpenedSession(session, grant, renewal.rotation_id(provider, grant) if grant else "")


def _kept_session(context: Context, site: jar.Site, sealed: str, key: str) -> SessionCookie | SessionRecord:
    knowledge = context.knowledge
    payload = knowledge.runtime.ring.open(site.purpose("handle"), sealed)
    handle = decode_handle(payload) if payload is not None else None
    if handle is None:
        return SessionCookie(None)
    memo, record = knowledge.memory.sessions, handle.record
    need = SessionRecord(record, handle.session_id)
    stored = knowledge.fact(need, StoredSession)
    # before the denylist is asked: reuse has put the session there itself, and its own word says more
    if stored is not None and stored.is_spent:
        return SessionCookie(None, Reason.SESSION_REUSED)
    if (ended := knowledge.denylist.why_ended(handle.session_id, context.now)) is not None:
        memo.forget(record)
        return SessionCookie(None, ended)
    known = memo.get(record)
    idle = knowledge.runtime.settings.session.idle_lifetime
    # one that seems to have idled may have been in use at another worker
    if known is not None and context.now - known.session.seen_at < idle:
        cookie = SessionCookie(known)
        knowledge.memory.cookies.put(key, cookie)
        return cookie
    if stored is None:
        return need
    if stored.is_revoked:
        # whoever remembers the session says so, too
        return SessionCookie(None, Reason.REVOKED)
    if not stored.body:
        return SessionCookie(None, Reason.SESSION_EXPIRED, handle.session_id)
    opened = _open_record(context, handle, stored)
    if opened is not None:
        memo.put(record, opened)
        cookie = SessionCookie(opened)
        knowledge.memory.cookies.put(key, cookie)
        return cookie
    return SessionCookie(None)


def _open_record(context: Context, handle: Handle, stored: StoredSession) -> OpenedSession | None:
    runtime = context.knowledge.runtime
    payload = runtime.ring.open_under(handle.secret, RECORD_PURPOSE, stored.body)
    current = renewal.decode_outcome(payload) if payload is not None else None
    if not isinstance(current, Renewed) or current.session.session_id != handle.session_id:
        return None
    session = replace(current.session, seen_at=max(current.session.seen_at, stored.seen_at))
    provider = runtime.login_provider(session.provider)
    if provider is None or provider.issuer != session.issuer:
        return None
    grant = current.grant
    if grant is not None and (grant.session_id, grant.handle) != (handle.session_id, handle.secret):
        grant = None
    return OpenedSession(session, grant, handle.record if grant is not None else "", handle.record)


CREDENTIAL_SOURCES: tuple[Extractor, ...] = (bearer_token, session_cookie)


def present(
    context: Context, route: Route
) -> tuple[BearerToken | None, SessionCookie | None] | SessionRecord | Reason:
    """Return the credentials that count on a route, the refusal of a malformed one, or a need."""
    bearer: BearerToken | None = None
    cookie: SessionCookie | None = None
    for source in CREDENTIAL_SOURCES:
        credential = source(context)
        if credential is None:
            continue
        if isinstance(credential, BearerToken):
            bearer = credential
        elif not isinstance(credential, SessionCookie):
            return credential
        elif credential.opened is None or route.admits(credential.opened.session.provider):
            # whoever another provider vouches for is nobody here, and stays who they are elsewhere (R70)
            cookie = credential
    return bearer, cookie
