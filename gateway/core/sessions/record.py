"""Sessions that the store keeps: the handle in the browser's cookie, and what lies under its hash.

The cookie seals the public session id and a random handle. The record is named by a hash of the handle and
sealed under the handle and the key ring together: a copy of the store opens nothing, not even together with
the ring. What the list of sessions tells is sealed under the ring alone, and names nobody's tokens.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field

from gateway.core.identity import Position
from gateway.core.sessions.model import Session
from gateway.core.sessions.seal import KeyRing
from gateway.syntax.encoding import Json, decode_base64url, encode_base64url

HANDLE_BYTES = 32
MOST_RECORD = 65_536
"""Bytes of one session with its tokens; a login beyond that fails."""
MOST_AGENT = 200
RECORD_PURPOSE = "session record"
ABOUT_PURPOSE = "session about"
_NAME_CHARACTERS = 43


@dataclass(frozen=True, slots=True)
class Handle:
    """What the session cookie holds in this mode: which session, and the secret that opens its record."""

    session_id: str
    secret: str = field(repr=False)

    @property
    def record(self) -> str:
        """The record's name in the store."""
        return record_name(self.secret)


@dataclass(frozen=True, slots=True)
class StoredSession:
    """What the store has under a record's name.

    ``body`` is sealed, empty where there is none. ``seen_at`` (epoch seconds) is when the session was last
    seen in use. ``is_spent`` tells that this handle was replaced, and the grace has passed since: reuse.
    ``is_revoked`` tells that its session was revoked by whom it belongs to.
    """

    body: str = field(default="", repr=False)
    seen_at: float = 0.0
    is_spent: bool = False
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """Whose a session is and how it began: what the list of sessions shows. Times are epoch seconds.

    ``address`` and ``agent`` are those of the login; ``agent`` is cut and printable. ``position`` is the
    session's; it is kept beside the rest.
    """

    session_id: str
    provider: str
    issuer: str
    subject: str
    sid: str | None
    login_at: float
    ends_at: float
    address: str
    agent: str
    position: Position | None = None


def record_name(secret: str) -> str:
    """Name the record of a handle, and the rotation that replaces it: 43 characters of base64url."""
    return encode_base64url(hashlib.sha256(b"gateway session handle\x00" + secret.encode()).digest())


def is_session_id(text: str) -> bool:
    """Tell whether a text has the form of a session id: 32 bytes in base64url."""
    return len(text) == _NAME_CHARACTERS and decode_base64url(text, _NAME_CHARACTERS) is not None


def encode_handle(handle: Handle) -> bytes:
    """Return what the cookie seals.

    Raises:
        ValueError: the session id or the secret is not one of ours.
    """
    parts = [decode_base64url(text, _NAME_CHARACTERS) for text in (handle.session_id, handle.secret)]
    if any(part is None or len(part) != HANDLE_BYTES for part in parts):
        raise ValueError("a session id and a handle have 32 bytes")
    return b"".join(part for part in parts if part is not None)


def decode_handle(payload: bytes) -> Handle | None:
    """Return the handle of a cookie's payload, or None."""
    if len(payload) != 2 * HANDLE_BYTES:
        return None
    return Handle(encode_base64url(payload[:HANDLE_BYTES]), encode_base64url(payload[HANDLE_BYTES:]))


def begun(session: Session, address: str, agent: str) -> About:
    """Return what the list shows of a session that begins."""
    printable = "".join(sign if sign.isprintable() else "?" for sign in agent[:MOST_AGENT])
    return About(
        session.session_id,
        session.provider,
        session.issuer,
        session.subject,
        session.sid,
        session.login_at,
        session.ends_at,
        address,
        printable,
        session.position,
    )


def encode_about(about: About) -> bytes:
    """Return what the store keeps, sealed under the ring."""
    fields = [
        about.session_id,
        about.provider,
        about.issuer,
        about.subject,
        about.sid,
        round(about.login_at, 3),
        round(about.ends_at, 3),
        about.address,
        about.agent,
    ]
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_about(data: bytes) -> About | None:
    """Return the description of such bytes, or None for garbage."""
    try:
        session_id, provider, issuer, subject, sid, login_at, ends_at, address, agent = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (session_id, provider, issuer, subject, "" if sid is None else sid, address, agent)
    if not all(isinstance(text, str) for text in texts):
        return None
    if any(isinstance(time, bool) or not isinstance(time, int | float) for time in (login_at, ends_at)):
        return None
    try:
        times = float(login_at), float(ends_at)
    except OverflowError:
        return None
    return About(session_id, provider, issuer, subject, sid, *times, address, agent)


def as_session(about: About, seen_at: float) -> Session:
    """Return the session as far as the denylist judges it: no claims, no tokens."""
    return Session(
        session_id=about.session_id,
        provider=about.provider,
        issuer=about.issuer,
        subject=about.subject,
        sid=about.sid,
        claims={},
        scopes=frozenset(),
        login_at=about.login_at,
        ends_at=about.ends_at,
        seen_at=seen_at,
        renewed_at=seen_at,
        access_expires_at=seen_at,
        position=about.position,
    )


def index_names(ring: KeyRing, kind: str, issuer: str, value: str) -> tuple[str, ...]:
    """Name the list of the sessions of one subject or ``sid``: under each key of the ring, the first first.

    Keyed hashes: a copy of the store tells nobody's name, not even to whoever guesses it.
    """
    fields: list[Json] = [kind, issuer, value]
    text = json.dumps(fields).encode()
    return tuple(
        encode_base64url(hmac.digest(hmac.digest(key, b"gateway session index", "sha256"), text, "sha256"))
        for key in ring.keys
    )
