"""What an audit event looks like: its members and events by name, and the JSON Schema of both.

Every event that the gateway writes is here, with the members that it may have beside the common ones. The
schema is published under a stable name; members that were not known to it may come with later versions.
"""

from collections.abc import Mapping
from typing import Final

from gateway.core.audit.chain import PUBLIC
from gateway.core.audit.lines import LINKS
from gateway.syntax.encoding import Json

ID: Final = "urn:token-gateway:audit-event:1"

_TEXT: Final[dict[str, Json]] = {"type": "string"}
_COUNT: Final[dict[str, Json]] = {"type": "integer", "minimum": 0}
_TIME: Final[dict[str, Json]] = {"type": "number"}
_TEXTS: Final[dict[str, Json]] = {"type": "array", "items": {"type": "string"}}
_DIGEST: Final[dict[str, Json]] = {"type": "string", "pattern": "^[0-9a-f]*$"}


def _one_of(*words: str) -> dict[str, Json]:
    return {"type": "string", "enum": list(words)}


MEMBERS: Final[Mapping[str, tuple[str, Mapping[str, Json]]]] = {
    "time": ("When, in UTC with milliseconds", {"type": "string", "format": "date-time"}),
    "level": ("How severe", _one_of("info", "warning")),
    "event": ("What has happened", _TEXT),
    "worker": ("The number of the worker that wrote it", _COUNT),
    "request_id": ("The request: leads to its access line", _TEXT),
    "reason": ("Why: a word of docs/reasons.md, or what an operator said", _TEXT),
    "client": ("The address of whoever asked", _TEXT),
    "issuer": ("Whose issuer the person or token is of", _TEXT),
    "subject": ("Whose it is", _TEXT),
    "session": ("The gateway's id of the session, which opens nothing", _TEXT),
    "key": ("The id of an API key", _TEXT),
    "claims": ("The claims that log.claims names", {"type": "object", "additionalProperties": _TEXT}),
    "actor": ("The operator, by the name of the token or of the login", _TEXT),
    "actor_by": ("By what the operator was recognised", _one_of("token", "login")),
    "on_behalf_of": ("What the operator said of themselves", _TEXT),
    "provider": ("The configured name of the provider", _TEXT),
    "detail": ("More about the reason", _TEXT),
    "claim": ("The claim or header parameter at fault", _TEXT),
    "cause": ("What probably happened to a login, as its page says in words", _TEXT),
    "route": ("The name of the route", _TEXT),
    "missing": ("What a policy asks for in vain", _TEXTS),
    "outcome": ("How it ended", _one_of("completed", "failed", "repeated")),
    "site": ("The origin of a site", _TEXT),
    "how": (
        "How sessions ended",
        _one_of("local", "everywhere", "sessions_page", "backchannel", "frontchannel"),
    ),
    "provider_logout": ("Whether a logout at the provider began", _one_of("started", "unavailable", "none")),
    "sid": ("The provider's id of its session", _TEXT),
    "ended": ("The sessions that were ended, by their ids", _TEXT),
    "count": ("How many", {"type": ["integer", "string"]}),
    "audience": ("Whom a token was exchanged for", _TEXT),
    "error": ("The provider's error code", _TEXT),
    "generation": ("How often the session's tokens were renewed", _COUNT),
    "source": ("Whose fault it was", _one_of("client", "upstream", "issuer", "store", "gateway")),
    "changed": ("The settings that differ", _TEXTS),
    "warnings": ("What may be amiss with a configuration", _TEXTS),
    "workers": ("How many workers", _COUNT),
    "kind": ("What an entry of the denylist names", _one_of("jti", "sid", "sub", "session", "key", "all")),
    "value": ("The one that it names", _TEXT),
    "before": ("Issued until when, epoch seconds", _TIME),
    "postponed": ("Why the store has not taken it yet", _TEXT),
    "owner": ("Whose API key it is", _TEXT),
    "scopes": ("What it may", _TEXT),
    "expires": ("Until when, epoch seconds", _TIME),
    "method": ("The request's method", _TEXT),
    "endpoint": ("What was asked of the admin listener", _TEXT),
    "why": ("Why the admin listener or the console refused", _TEXT),
    "status": ("What was answered", _COUNT),
    "untold": ("How many more of the same address were not told", _COUNT),
    "role": ("What an operator may", _one_of("read", "revoke", "all")),
    "host": ("The host that was asked", _TEXT),
    "path": ("The path, without its query", _TEXT),
    "decision": (
        "What was decided",
        _one_of("forward", "refuse", "login", "respond", "allow", "abort"),
    ),
    "entries": ("How many events", _COUNT),
    "key_hint": ("Which of secret_keys the chain is made with, by a name that tells nobody anything", _TEXT),
    "heads": (
        "The chains that were there, by their names, and their last entries",
        {"type": "object", "additionalProperties": _COUNT},
    ),
    "after": ("The chain that this one goes on from", _TEXT),
    "pid": ("The process that began the chain", _COUNT),
    "chain": ("The chain's name", _TEXT),
    "seq": ("The event's number in its chain", {"type": "integer", "minimum": 1}),
    "prev": ("The MAC of the event before, empty for the first", _DIGEST),
    "mac": ("The event's MAC", _DIGEST),
    "salt": ("What keeps the digest of the personal part from being guessed", _DIGEST),
    "digest": ("The digest of the personal part that was forgotten", _DIGEST),
    "forgotten": ("The signed mark that it was", _TEXT),
}
"""Every member: what it tells, and its JSON Schema."""

COMMON: Final = (
    "time",
    "level",
    "event",
    "worker",
    "request_id",
    "reason",
    "client",
    "issuer",
    "subject",
    "session",
    "key",
    "claims",
)
"""Members that any event may have."""
_OPERATOR: Final = ("actor", "actor_by", "on_behalf_of")
_LOGIN: Final = ("provider", "detail", "claim", "cause", "route", "missing", "outcome")

EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "login": _LOGIN,
    "site_join": (*_LOGIN, "site"),
    "site_refused": _LOGIN,
    "logout": (*_LOGIN, "how", "provider_logout", "sid", "count", "ended"),
    "logout_refused": (*_LOGIN, "how"),
    "token_revoked": (),
    "token_revocation_failed": (),
    "token_exchanged": ("audience", "error"),
    "token_exchange_refused": ("audience", "error"),
    "refresh": ("generation", "detail"),
    "refresh_failed": ("generation", "detail", "error"),
    "refresh_postponed": ("source",),
    "reuse_detected": (),
    "reloaded": ("changed", "warnings", "workers", *_OPERATOR),
    "revocation": ("kind", "value", "before", "postponed", *_OPERATOR),
    "api_key_created": ("owner", "scopes", "expires", *_OPERATOR),
    "admin_refused": ("why", "method", "endpoint", "status", "untold", *_OPERATOR),
    "console_login": ("outcome", "why", "role", "provider", *_OPERATOR),
    "console_logout": _OPERATOR,
    "stream_ended": ("route",),
    "access": ("method", "host", "path", "route", "decision", "status"),
    "refusal": ("route", "detail", "missing"),
    "audit_forgotten": ("entries", *_OPERATOR),
    "audit_lost": ("count",),
    "audit_skipped": ("count",),
    "chain_began": ("key_hint", "heads", "after", "pid"),
}
"""Every event, with the members that it may have beside the common ones and its links."""


def schema() -> dict[str, Json]:
    """Return the JSON Schema (2020-12) of an audit event, as a line of a file or as the log has it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "An audit event of Token Gateway",
        "type": "object",
        "required": ["time", "level", "event"],
        "properties": {name: _member(name) for name in MEMBERS},
        "oneOf": [
            {
                "title": event,
                "properties": {
                    "event": {"const": event},
                    **{name: True for name in (*COMMON, *own, *LINKS) if name != "event"},
                },
                "additionalProperties": False,
            }
            for event, own in EVENTS.items()
        ],
    }


def _member(name: str) -> dict[str, Json]:
    meaning, shape = MEMBERS[name]
    made: dict[str, Json] = {"description": f"{meaning}.", **shape}
    if name not in PUBLIC and name not in LINKS:
        # what a person can have forgotten
        made["x-personal"] = True
    return made
