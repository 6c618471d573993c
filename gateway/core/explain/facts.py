"""Which facts a decision rests on: where each came from, and how old it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.core.access.credentials import BearerToken, PresentedKey, SessionCookie
from gateway.core.decision import needs
from gateway.core.decision.context import Context, Knowledge
from gateway.core.decision.needs import Need
from gateway.core.identity import Identity
from gateway.core.rules.routes import Route
from gateway.core.sessions.model import OpenedSession
from gateway.syntax.encoding import Json

NEEDS: dict[type, str] = {
    needs.Random: "random bytes",
    needs.Body: "the request's content",
    needs.Metadata: "metadata",
    needs.Keys: "keys",
    needs.RedeemCode: "tokens for an authorization code",
    needs.UserInfo: "userinfo",
    needs.UseOnce: "a value used up",
    needs.Revoke: "a revocation",
    needs.Refresh: "a refreshed session",
    needs.ExchangeToken: "an exchanged token",
    needs.Confirm: "a confirmed rotation",
    needs.Replaced: "word of a replaced session",
    needs.EndSession: "the end of a login",
    needs.KeepHint: "a kept ID token",
    needs.RevokeToken: "a revoked refresh token",
    needs.SessionRecord: "the session's record in the store",
    needs.SaveSession: "a saved session",
    needs.KeptPage: "the page that a login leads to",
    needs.Touch: "word that the session is in use",
    needs.EndLater: "a session that ends later",
    needs.Admit: "a count of requests",
    needs.Introspect: "an introspected token",
    needs.TokenUserInfo: "what UserInfo tells of the token",
    needs.KeyRecord: "the API key's record in the store",
    needs.KeyUsed: "word that the API key was used",
    needs.KnownSid: "whether the store keeps such a session",
    needs.KeepTicket: "a ticket for another site",
    needs.TakeTicket: "what a ticket stands for, used up",
    needs.JoinSite: "a session at one more site",
    needs.ListSession: "a session on the list",
    needs.OwnSessions: "the sessions that somebody has",
}
"""What each need names, in words."""
DOES: tuple[type, ...] = needs.EFFECTS
"""The needs that do something."""


@dataclass(frozen=True, slots=True)
class Found:
    """A fact that a process knows already, with its source and since when (epoch seconds; None: always)."""

    fact: object
    source: str
    since: float | None = None


Look: TypeAlias = Callable[[Need], Found | None]
"""Looks for a fact without fetching it, and without any other effect."""


def need_of(need: Need) -> dict[str, Json]:
    """Return what a need is and whose: never what it holds, which may be codes and tokens."""
    whose = need.session if isinstance(need, needs.Refresh) else need
    provider = getattr(whose, "provider", None)
    return {
        "what": NEEDS.get(type(need), type(need).__name__.lower()),
        "provider": provider if isinstance(provider, str) and provider else None,
    }


def of_denylist(knowledge: Knowledge, route: Route | None, now: float) -> dict[str, Json]:
    """Return how old this process's replica of the denylist is, and whether this route puts up with that."""
    at, most = knowledge.denylist.synchronised_at, None if route is None else route.most_staleness
    fact = _fact("denylist", "the replica of the store's", at, now)
    fact["most_age"] = most
    return fact


def of_keys(knowledge: Knowledge, provider: str, now: float) -> dict[str, Json] | None:
    """Return how old a provider's keys are; None where there are none."""
    keys = knowledge.keys.get(provider)
    if keys is None:
        return None
    fact = _fact(f"keys of provider {provider}", "its key set", keys.fetched_at, now)
    fact["good_for"] = _rounded(keys.stale_after - now)
    return fact


def of_found(need: Need, found: Found, now: float) -> dict[str, Json]:
    """Return what was known of a need."""
    return _fact(NEEDS.get(type(need), "a fact"), found.source, found.since, now)


def of_bearer(bearer: BearerToken, identity: Identity, context: Context) -> list[Json]:
    """Return where it comes from whom a token or key names."""
    now = context.now
    what = "whom the API key names" if isinstance(bearer, PresentedKey) else "whom the token names"
    for name, known in (bearer.known or {}).items():
        if known.identity is identity:
            source = f"what provider {name} said of it" if name else "the record of the key"
            return [_fact(what, f"{source}, remembered", known.since, now)]
    if identity.kind == "key":
        return []
    # what the denylist judges is earlier by the skew
    skew = context.knowledge.runtime.providers[identity.provider].clock_skew
    issued_at = identity.issued_at + skew if identity.issued_at > 0 else None
    return [_fact(what, "the token itself, verified", issued_at, now)]


def of_session(cookie: SessionCookie, context: Context) -> list[Json]:
    """Return where it comes from whom a session is of, and whose word each of its claims is."""
    opened = cookie.opened
    if opened is None:
        return []
    session, now = opened.session, context.now
    source = "the record in the store, as this worker remembers it" if opened.record else "the cookie itself"
    facts: list[Json] = [_fact("session", source, session.seen_at, now) | {"generation": session.generation}]
    if newer := _newer(opened, context):
        facts.append(newer)
    facts += [
        _fact(f"claims {', '.join(sorted(told.names))}", whose, told.at, now)
        for whose, told in session.told.items()
        if told.names
    ]
    return facts


def _newer(opened: OpenedSession, context: Context) -> dict[str, Json] | None:
    outcome = context.knowledge.recent_outcome(opened.rotation_id) if opened.rotation_id else None
    if outcome is None:
        return None
    at = getattr(getattr(outcome, "session", None), "renewed_at", None)
    return _fact(
        "a newer generation of the session", "a refresh, as this worker remembers it", at, context.now
    )


def _fact(what: str, source: str, since: float | None, now: float) -> dict[str, Json]:
    return {"fact": what, "from": source, "age": None if since is None else _rounded(now - since)}


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
