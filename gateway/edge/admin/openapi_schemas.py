"""Schemas, problems and parameters of the admin API's description, by which its operations refer to them."""

from typing import Final

from gateway.edge.admin.audit import MOST_VALUE
from gateway.edge.audit.reading import MOST_PAGE as MOST_ENTRIES
from gateway.edge.sessions.index import MOST_PAGE as MOST_SESSIONS
from gateway.syntax.api_keys import MOST_OWNER
from gateway.syntax.encoding import Json

MOST_NOTE: Final = 1024
KEY_ID: Final = "^[a-z2-7]{16}$"
PROBLEM_TYPE: Final = "application/problem+json"


def ref(kind: str, name: str) -> dict[str, Json]:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _text(description: str, **more: Json) -> dict[str, Json]:
    return {"type": "string", "description": description, **more}


def _time(description: str) -> dict[str, Json]:
    return {"type": "number", "description": f"{description} (epoch seconds)"}


def _maybe(schema: dict[str, Json]) -> dict[str, Json]:
    return {**schema, "type": [schema["type"], "null"]}


def _count(description: str) -> dict[str, Json]:
    return {"type": "integer", "minimum": 0, "description": description}


def _list(of: Json, description: str) -> dict[str, Json]:
    return {"type": "array", "items": of, "description": description}


def _object(description: str, properties: dict[str, Json], *optional: str, **more: Json) -> dict[str, Json]:
    required: list[Json] = [name for name in properties if name not in optional]
    whole: dict[str, Json] = {"type": "object", "description": description, "properties": properties}
    return whole | ({"required": required} if required else {}) | more


_ANY_TEXT: Final[dict[str, Json]] = {"type": "string"}
NOTES: Final[dict[str, Json]] = {
    "reason": _maybe(_text("Why, for the audit log.", minLength=1, maxLength=MOST_NOTE)),
    "actor": _maybe(
        _text(
            "What the caller says of itself: on_behalf_of in the audit log, beside the token's name.",
            minLength=1,
            maxLength=MOST_NOTE,
        )
    ),
}
_NAMED: Final[dict[str, Json]] = {"type": "string", "minLength": 1, "maxLength": MOST_NOTE}
_KINDS: Final = ("jti", "sid", "sub", "session", "key", "all")
_ONE_KIND: Final[list[Json]] = [{"required": [name]} for name in _KINDS]

_SECTION: Final[dict[str, Json]] = {"type": "object"}
_MAYBE_TEXT: Final[dict[str, Json]] = {"type": ["string", "null"]}
_ACCOUNT: Final[dict[str, Json]] = {
    "client": _ANY_TEXT,
    "scheme": _ANY_TEXT,
    "asked_by": _text("The path at which a proxy asks for another request."),
    "told": _text("In words, where there is no decision."),
    **dict.fromkeys(("detail", "login_url", "contact", "provider", "redirect_uri", "location"), _MAYBE_TEXT),
    "return_to": _MAYBE_TEXT,
    "missing": _list(_ANY_TEXT, "What a policy asks for in vain."),
    "needs": {**_SECTION, "description": "What is lacking, of which provider."},
    "route": {**_SECTION, "description": "Its name and access."},
    "routes": _list(_SECTION, "Every other route and what it lacks, the nearest first."),
    "routes_left_out": _count("How many more."),
    "credentials": {"type": ["array", "object", "null"], "description": "What was presented, and whose."},
    "checks": _list(_SECTION, "Each check and its outcome."),
    "policy": {"type": ["object", "null"], "description": "Condition by condition."},
    "limit": {"type": ["object", "null"], "description": "The rate limit and what is left."},
    "facts": _list(_SECTION, "What was known, from where, and how old it is."),
    "upstream": {"type": ["object", "null"], "description": "Where it goes on to, and with what."},
    "not_done": _list(_ANY_TEXT, "In words."),
    "worker": _count("Which worker told it."),
}

SCHEMAS: Final[dict[str, Json]] = {
    "Problem": _object(
        "What is wrong (RFC 9457).",
        {
            "type": _text("about:blank: the status says what kind of problem it is."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": _text("For a person."),
            "errors": _list(_ANY_TEXT, "Of a configuration that is refused: each fault."),
        },
        "errors",
    ),
    "Alive": _object("The process answers.", {"status": {"const": "alive"}}),
    "Readiness": _object(
        "Whether requests should be sent here.",
        {
            "status": {"enum": ["ready", "unready"]},
            "checks": {"type": "object", "additionalProperties": _ANY_TEXT, "description": "ok, or why not."},
            "troubles": {
                "type": "object",
                "additionalProperties": _ANY_TEXT,
                "description": "What is wrong and keeps nobody from serving.",
            },
            "workers": _list({"type": "object"}, "Each worker, its process and what it says of itself."),
        },
        "troubles",
        "workers",
    ),
    "Revocation": _object(
        "Exactly one of jti, sid, sub, session, key and all.",
        {
            "jti": {**_NAMED, "description": "One bearer token."},
            "sid": {**_NAMED, "description": "A session at the provider."},
            "sub": {**_NAMED, "description": "Everything of a person that was issued until now."},
            "session": {**_NAMED, "description": "One of the gateway's own sessions."},
            "key": _text("One API key, by its id.", pattern=KEY_ID),
            "all": {"const": True, "description": "Everything that was issued until now."},
            "provider": _maybe(
                _text(
                    "Whose jti, sid or sub it is, by the provider's name, needed where there are several; "
                    "with all, that provider's alone. Not with session and key."
                )
            ),
            "before": {
                "type": "number",
                "minimum": 0,
                "description": "Epoch seconds, at most ten years ahead: time decides, also over sessions.",
            },
            **NOTES,
        },
        *_KINDS,
        "provider",
        "before",
        "reason",
        "actor",
        oneOf=_ONE_KIND,
        additionalProperties=False,
    ),
    "Acknowledgement": _object(
        "Who knows of it, and what it met.",
        {
            "seq": _count("The place in the denylist's history."),
            "acknowledged": _list(_ANY_TEXT, "Live workers that have applied it."),
            "missing": _list(_ANY_TEXT, "Live workers that have not within a second; they will."),
            "replicated": {
                "type": ["boolean", "null"],
                "description": "Whether a replica of the store has it; null where there is none.",
            },
            "sessions": _maybe(_count("Sessions that lived; null where that cannot be told.")),
            "streams": _maybe(_count("Open WebSockets and streams at this gateway; null: not counted.")),
            "keys": _maybe(_count("API keys; null where none was named.")),
            "tokens_refused_until": _maybe(
                _time("Bearer tokens that were issued until then are refused; null: none by their time")
            ),
        },
    ),
    "Ended": {
        "allOf": [
            ref("schemas", "Acknowledgement"),
            _object("How many sessions have ended.", {"ended": _count("Sessions.")}),
        ]
    },
    "Notes": _object("", NOTES, "reason", "actor", additionalProperties=False),
    "Reloaded": _object(
        "All workers go on with the new configuration.",
        {
            "status": {"const": "reloaded"},
            "changed": _list(_ANY_TEXT, "Top-level settings that differ."),
            "warnings": _list(_ANY_TEXT, "What is allowed and hardly meant."),
            "workers": _count("How many go on with it."),
        },
    ),
    "Session": _object(
        "One session. Its id opens nothing.",
        {
            "session_id": _text("As the audit log tells it."),
            "provider": _text("The name of the provider."),
            "issuer": _text("The provider's issuer identifier."),
            "subject": _text("The person's sub."),
            "sid": {"type": ["string", "null"], "description": "The session at the provider."},
            "since": _time("The login"),
            "last_seen": _time("The last request that was noted"),
            "ends": _time("The end at the latest"),
            "address": {"type": ["string", "null"], "description": "Of the login."},
            "user_agent": {"type": ["string", "null"], "description": "Of the login, cut."},
            "sites": _list(_ANY_TEXT, "Origins where it has begun."),
        },
    ),
    "Sessions": _object(
        "Those seen last first.",
        {
            "sessions": _list(ref("schemas", "Session"), "Perhaps fewer than asked for, though more follow."),
            "cursor": {"type": ["string", "null"], "description": "Leads on; null at the end."},
        },
    ),
    "NewKey": _object(
        "A key that the caller has made; only its hash is sent.",
        {
            "id": _text("16 characters of a-z and 2-7.", pattern=KEY_ID),
            "sha256": _text("Of the whole key, in hex.", pattern="^[0-9a-f]{64}$"),
            "owner": _text(
                "Who answers for it: printable, no white space around it.", minLength=1, maxLength=MOST_OWNER
            ),
            "scopes": {
                "type": "array",
                "maxItems": 100,
                "items": {"type": "string", "pattern": "^[!#-\\[\\]-~]{1,250}$"},
            },
            "expires": _time("When it ends, within api_keys.most_lifetime"),
            **NOTES,
        },
        "reason",
        "actor",
        additionalProperties=False,
    ),
    "CreatedKey": _object(
        "The key is good from now on.",
        {"id": _ANY_TEXT, "created": _time("Now"), "expires": _time("The end")},
    ),
    "Key": _object(
        "One API key, without its hash.",
        {
            "id": _ANY_TEXT,
            "owner": _ANY_TEXT,
            "scopes": _list(_ANY_TEXT, "What it may."),
            "created": _maybe(_time("When it was made")),
            "expires": _time("When it ends"),
            "last_used": _maybe(_time("When it was used last")),
            "revoked": _maybe(_time("When it was revoked")),
            "source": {"enum": ["configuration", "store"]},
        },
    ),
    "Keys": _object(
        "API keys, those of the configuration first.",
        {
            "keys": _list(ref("schemas", "Key"), "Perhaps none, though more follow."),
            "cursor": {"type": ["string", "null"], "description": "Leads on; null at the end."},
        },
    ),
    "RevokedKey": {
        "allOf": [
            ref("schemas", "Acknowledgement"),
            _object("Whose key it was.", {"id": _ANY_TEXT, "owner": _ANY_TEXT}),
        ]
    },
    "Question": _object(
        "A request, as its sender would write it.",
        {
            "method": _text("A token.", minLength=1),
            "target": _text("Path and query, as on the request line.", minLength=1),
            "host": _text("The Host.", minLength=1),
            "headers": {
                "type": "array",
                "maxItems": 500,
                "items": {
                    "type": "array",
                    "items": _ANY_TEXT,
                    "minItems": 2,
                    "maxItems": 2,
                    "description": "Name and value.",
                },
            },
            "client": _maybe(_text("The address that connects; absent: one that nobody vouches for.")),
        },
        "headers",
        "client",
        additionalProperties=False,
    ),
    "Account": _object(
        "What would happen to the request; docs/explain.md names every member.",
        {
            "method": _ANY_TEXT,
            "target": _ANY_TEXT,
            "host": _ANY_TEXT,
            "decision": {
                "enum": ["forward", "allow", "refuse", "login", "respond", "none", "not yet"],
                "description": "none: answered before any decision. not yet: something would be looked up.",
            },
            "reason": _text("A word of docs/reasons.md."),
            "status": {"type": "integer"},
            **_ACCOUNT,
        },
        "reason",
        "status",
        *_ACCOUNT,
    ),
    "AuditEvents": _object(
        "The newest first.",
        {
            "entries": _list({"type": "object"}, "Events as docs/logs.md names them, each with its id."),
            "before": {"type": ["string", "null"], "description": "Leads on; null at the end."},
        },
    ),
    "Forgotten": _object(
        "What is personal is gone.", {"forgotten": _count("Events that told of the person.")}
    ),
    "AuditChain": _object(
        "Entries as they are chained, the oldest first.",
        {
            "entries": _list({"type": "object"}, "Entries."),
            "after": {"type": ["string", "null"], "description": "Leads on; null at the end."},
        },
    ),
    "AuditHeads": _object(
        "The anchors of the chains.",
        {
            "heads": {"type": "object", "additionalProperties": _ANY_TEXT},
            "firsts": {"type": "object", "additionalProperties": _ANY_TEXT},
            "files": {"type": "object", "additionalProperties": _ANY_TEXT},
        },
    ),
}
_PROBLEMS: Final = {
    400: ("BadRequest", "The request, its body or a parameter is none that can be understood."),
    401: ("Unauthorized", "There is no token, an unknown or an expired one."),
    403: ("Forbidden", "The token's role is not enough, no token is configured, or a web page asks."),
    404: ("NotFound", "There is no such thing."),
    405: ("MethodNotAllowed", "This path has other methods."),
    408: ("Timeout", "The request did not arrive in time."),
    409: ("Conflict", "The configuration has nothing of the kind, or the id is taken."),
    413: ("TooLarge", "The body is too large."),
    421: ("Misdirected", "The Host is no name of this listener's."),
    422: ("Refused", "The new configuration is refused; the old one runs on."),
    431: ("HeadTooLarge", "The head is too large."),
    500: ("Failed", "Something failed inside the gateway."),
    503: ("Unavailable", "It is not certain that this took effect, or nobody can tell: try again."),
}
_HEADERS: Final[dict[int, dict[str, Json]]] = {
    401: {"WWW-Authenticate": {"description": "RFC 6750 section 3.", "schema": _ANY_TEXT}},
    503: {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}},
    405: {"Allow": {"description": "The methods of this path.", "schema": _ANY_TEXT}},
}


def _response(status: int, description: str) -> dict[str, Json]:
    content: dict[str, Json] = {PROBLEM_TYPE: {"schema": ref("schemas", "Problem")}}
    whole: dict[str, Json] = {"description": description, "content": content}
    if status in _HEADERS:
        whole["headers"] = _HEADERS[status]
    return whole


RESPONSES: Final[dict[str, Json]] = {
    name: _response(status, description) for status, (name, description) in _PROBLEMS.items()
}


def problems(*statuses: int) -> dict[str, Json]:
    """Return the responses of an operation that are problems."""
    return {str(status): ref("responses", _PROBLEMS[status][0]) for status in statuses}


def parameter(name: str, description: str, schema: dict[str, Json], example: Json = None) -> dict[str, Json]:
    """Return a parameter of the query."""
    whole: dict[str, Json] = {"name": name, "in": "query", "description": description, "schema": schema}
    return whole if example is None else {**whole, "example": example}


VALUE: Final[dict[str, Json]] = {"type": "string", "minLength": 1, "maxLength": MOST_VALUE}
SESSION_LIMIT: Final[dict[str, Json]] = {
    "type": "integer",
    "minimum": 1,
    "maximum": MOST_SESSIONS,
    "default": 100,
}
AUDIT_LIMIT: Final[dict[str, Json]] = {
    "type": "integer",
    "minimum": 1,
    "maximum": MOST_ENTRIES,
    "default": 100,
}
