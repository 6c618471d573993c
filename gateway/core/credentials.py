"""What was presented: one extractor for each source, tried in order.

To add a source: an extractor and a line in ``CREDENTIAL_SOURCES``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.core import cookies as jar
from gateway.core import refresh
from gateway.core import session as codec
from gateway.core.context import Context, OpenedSession
from gateway.core.reasons import Reason

MOST_TOKEN = 16_384
_PRINTABLE = bytes(range(0x21, 0x7F))


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An access token of the Authorization field (RFC 6750 section 2.1)."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """A session cookie; ``opened`` is None where it does not open or does not fit its form."""

    opened: OpenedSession | None


Credential: TypeAlias = BearerToken | SessionCookie
Extractor: TypeAlias = Callable[[Context], Credential | Reason | None]


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


def session_cookie(context: Context) -> SessionCookie | None:
    """Return the session cookie with its refresh cookie opened, None where the browser sent none."""
    site = context.site
    if site is None or site.session_cookie not in context.cookies:
        return None
    sealed = jar.joined(context.cookies, site.session_cookie)
    if sealed is None:
        return SessionCookie(None)
    sealed_grant = jar.joined(context.cookies, site.refresh_cookie) or ""
    # "." is in no sealed text, so two pairs never share a key
    key = f"{site.origin} {sealed}.{sealed_grant}"
    memo = context.knowledge.memory.sessions
    opened = memo.get(key)
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
    return OpenedSession(session, grant, refresh.claim_id(provider, grant) if grant else "")


CREDENTIAL_SOURCES: tuple[Extractor, ...] = (bearer_token, session_cookie)


def present(context: Context) -> list[Credential] | Reason:
    """Return every credential that the request carries, or the refusal of a malformed one."""
    found: list[Credential] = []
    for source in CREDENTIAL_SOURCES:
        credential = source(context)
        if isinstance(credential, Reason):
            return credential
        if credential is not None:
            found.append(credential)
    return found
