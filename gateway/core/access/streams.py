"""What an exchange rests on that outlives its decision (a tunnel, an event stream), and what ends it (R49).

It is judged as a new request would be: by the denylist, and by the end of its session or token. Traffic on it
is no use of the session, and the idle lifetime does not end it.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry, EntryKind
from gateway.core.sessions.model import Session

Name: TypeAlias = tuple[EntryKind, str, str]
"""Kind, issuer and value, as the denylist tells entries apart."""


_OVER: Final = {
    "session": Reason.SESSION_EXPIRED,
    "bearer": Reason.TOKEN_EXPIRED,
    "key": Reason.KEY_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class StreamBasis:
    """Whom an exchange serves, by ``session`` as it was presented, and ``until`` when (epoch seconds)."""

    identity: Identity
    session: Session | None
    until: float

    @property
    def names(self) -> frozenset[Name]:
        """The names under which an entry of the denylist may reach it."""
        identity, session = self.identity, self.session
        issuer = identity.issuer
        found: set[Name] = {("all", "", ""), ("all", issuer, ""), ("sub", issuer, identity.subject)}
        if identity.jti is not None:
            found.add(("key", "", identity.jti) if identity.kind == "key" else ("jti", issuer, identity.jti))
        # a refresh may have changed the provider's sid: the old one still reaches what rests on it
        for sid in (identity.sid, session.sid if session is not None else None):
            if sid is not None:
                found.add(("sid", issuer, sid))
        if identity.session_id is not None:
            found.add(("session", "", identity.session_id))
        return frozenset(found)

    def judge(self, denylist: Denylist, now: float) -> Reason | None:
        """Return why the exchange has to end, or None."""
        session = self.session
        if session is not None and (over := denylist.why_over(session, now)) is not None:
            return over
        if denylist.judge(self.identity, now):
            return Reason.REVOKED
        if now >= self.until:
            return _OVER[self.identity.kind]
        return None


def tie(forward: Forward, knowledge: Knowledge) -> StreamBasis | None:
    """Return what a forwarded exchange rests on, None where it serves anybody.

    A session lasts until its absolute end, however often it is refreshed; a bearer token until its ``exp``
    and the provider's clock skew; an API key until it expires.
    """
    identity = forward.identity
    if identity is None:
        return None
    until = identity.expires_at
    if identity.kind == "bearer":
        until += knowledge.runtime.providers[identity.provider].clock_skew
    return StreamBasis(identity, forward.session, until)


def name_of(entry: DenyEntry) -> Name:
    """Return the name that an entry reaches; ``session`` and ``key`` have no issuer, ``all`` no value."""
    return (
        entry.kind,
        "" if entry.kind in ("session", "key") else entry.issuer,
        "" if entry.kind == "all" else entry.value,
    )
