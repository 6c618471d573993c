"""What was presented: one extractor for each source, tried in order.

To add a source: an extractor and a line in ``CREDENTIAL_SOURCES``. What was decided is remembered only while
all of them read nothing but the Authorization and Cookie fields, which ``_PRESENTED`` says of each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from gateway.core.decision.context import Context
from gateway.core.decision.needs import SessionRecord
from gateway.core.headers import cookies as jar
from gateway.core.reasons import Reason
from gateway.core.sessions import codec
from gateway.core.sessions import renewal as refresh
from gateway.core.sessions.model import OpenedSession, Renewed
from gateway.core.sessions.record import RECORD_PURPOSE, Handle, StoredSession, decode_handle

MOST_TOKEN = 16_384
_PRINTABLE = bytes(range(0x21, 0x7F))


@dataclass(slots=True)
class BearerToken:
    """An access token of the Authorization field (RFC 6750 section 2.1)."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """A session cookie; ``opened`` is None where it leads to no session, and ``gone`` says why."""

    opened: OpenedSession | None
    gone: Reason = Reason.SESSION_INVALID


Credential: TypeAlias = BearerToken | SessionCookie
Extractor: TypeAlias = Callable[[Context], Credential | SessionRecord | Reason | None]


def bearer_token(context: Context) -> BearerToken | Reason | None:
    """Return the bearer token, None where there is none, or a refusal for a malformed or repeated field."""
    values = context.sketch.authorization
    if not values:
        return None
    if len(values) > 1:
        return Reason.REQUEST_MALFORMED
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    token = token.strip(b" ")
    if not token or len(token) > MOST_TOKEN or not token.isascii() or token.translate(None, _PRINTABLE):
        return Reason.TOKEN_MALFORMED
    return BearerToken(token.decode())


def session_cookie(context: Context) -> SessionCookie | SessionRecord | None:
    """Return the session cookie with its refresh cookie opened, None where the browser sent none.

    Where the store keeps sessions, one that this worker does not remember is named as a need.
    """
    site = context.site
    if site is None or not context.cookies or site.session_cookie not in context.cookies:
        return None
    sealed = jar.joined(context.cookies, site.session_cookie)
    if sealed is None:
        return SessionCookie(None)
    sealed_grant = jar.joined(context.cookies, site.refresh_cookie) or ""
    # "." is in no sealed text, so two pairs never share a key
    key = f"{site.origin} {sealed}.{sealed_grant}"
    memo = context.knowledge.memory.sessions
    opened = memo.get(key)
    settings = context.knowledge.compiled.settings.session
    if settings.mode == "redis":
        if opened is not None and context.now - opened.session.seen_at <= settings.idle_lifetime / 10:
            return SessionCookie(opened)
        return _kept_session(context, site, sealed, key)
    if opened is None:
        opened = _open(context, site, sealed, sealed_grant)
        if opened is not None:
            memo.put(key, opened)
    return SessionCookie(opened)


def _open(context: Context, site: jar.Site, sealed: str, sealed_grant: str) -> OpenedSession | None:
    compiled = context.knowledge.compiled
    payload = compiled.ring.open(site.purpose("session"), sealed)
    session = codec.decode_session(payload) if payload is not None else None
    if session is None:
        return None
    provider = compiled.providers.get(session.provider)
    if provider is None or provider.issuer != session.issuer:
        return None
    payload = compiled.ring.open(site.purpose("refresh"), sealed_grant) if sealed_grant else None
    grant = codec.decode_grant(payload) if payload is not None else None
    if grant is not None and grant.session_id != session.session_id:
        grant = None
    return OpenedSession(session, grant, refresh.rotation_id(provider, grant) if grant else "")


def _kept_session(context: Context, site: jar.Site, sealed: str, key: str) -> SessionCookie | SessionRecord:
    knowledge = context.knowledge
    payload = knowledge.compiled.ring.open(site.purpose("handle"), sealed)
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
        return SessionCookie(None, ended)
    known = memo.get(record)
    idle = knowledge.compiled.settings.session.idle_lifetime
    # one that seems to have idled may have been in use at another worker
    if known is not None and context.now - known.session.seen_at < idle:
        memo.put(key, known)
        return SessionCookie(known)
    if stored is None:
        return need
    if stored.is_revoked:
        # whoever remembers the session says so, too
        return SessionCookie(None, Reason.REVOKED)
    if not stored.body:
        return SessionCookie(None, Reason.SESSION_EXPIRED)
    opened = _open_record(context, handle, stored)
    if opened is not None:
        memo.put(record, opened)
        memo.put(key, opened)
    return SessionCookie(opened)


def _open_record(context: Context, handle: Handle, stored: StoredSession) -> OpenedSession | None:
    compiled = context.knowledge.compiled
    payload = compiled.ring.open_under(handle.secret, RECORD_PURPOSE, stored.body)
    current = refresh.decode_outcome(payload) if payload is not None else None
    if not isinstance(current, Renewed) or current.session.session_id != handle.session_id:
        return None
    session = replace(current.session, seen_at=max(current.session.seen_at, stored.seen_at))
    provider = compiled.providers.get(session.provider)
    if provider is None or provider.issuer != session.issuer:
        return None
    grant = current.grant
    if grant is not None and (grant.session_id, grant.handle) != (handle.session_id, handle.secret):
        grant = None
    return OpenedSession(session, grant, handle.record if grant is not None else "", handle.record)


CREDENTIAL_SOURCES: tuple[Extractor, ...] = (bearer_token, session_cookie)

_PRESENTED: frozenset[Extractor] = frozenset((bearer_token, session_cookie))


def are_presented() -> bool:
    """Tell whether every source reads but Authorization and Cookie, by which requests are told apart."""
    return _PRESENTED.issuperset(CREDENTIAL_SOURCES)


def present(context: Context) -> list[Credential] | SessionRecord | Reason:
    """Return every credential that the request carries, the refusal of a malformed one, or a need."""
    found: list[Credential] = []
    for source in CREDENTIAL_SOURCES:
        credential = source(context)
        if credential is None:
            continue
        if isinstance(credential, (Reason, SessionRecord)):
            return credential
        found.append(credential)
    return found
