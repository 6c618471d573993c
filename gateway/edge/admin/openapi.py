"""The description of the admin API (OpenAPI 3.1), served at ``/openapi.json``: every route, in one place."""

from collections.abc import Mapping
from typing import Final

from gateway import __version__
from gateway.edge.admin.openapi_parts import ACKNOWLEDGED, EVENT, JSON, KEY, SESSION, answer, operation
from gateway.edge.admin.openapi_schemas import (
    AUDIT_LIMIT,
    KEY_ID,
    MOST_NOTE,
    RESPONSES,
    SCHEMAS,
    SESSION_LIMIT,
    VALUE,
    parameter,
)
from gateway.syntax.encoding import Json

_READY: Final[dict[str, Json]] = {"status": "ready", "checks": {"workers": "ok"}, "workers": []}
_UNREADY: Final[dict[str, Json]] = {"status": "unready", "checks": {"workers": "no worker is ready"}}
_NOTE: Final[dict[str, Json]] = {"type": "string", "minLength": 1, "maxLength": MOST_NOTE}
_NOTES: Final = (
    parameter("reason", "Why, for the audit log.", _NOTE, "left the company"),
    parameter("actor", "What the caller says of itself; told as on_behalf_of.", _NOTE, "carol@desk"),
)
_SUB: Final = parameter("sub", "Of one person.", VALUE, "alice")
_SID: Final = parameter("sid", "Of a session at the provider; not with sub.", VALUE)
_PROVIDER: Final = parameter("provider", "Of those that logged in there: a provider's name.", VALUE)
_TIME_RULE: Final = "2026-01-31, 2026-01-31T12:00:00Z, or epoch seconds"
_PLACE: Final[dict[str, Json]] = {"type": "string", "pattern": "^[0-9]{1,13}-[0-9]{1,8}$"}
_NUMBER: Final[dict[str, Json]] = {"type": "string", "pattern": "^[0-9]{1,6}$"}
_CURSOR: Final[dict[str, Json]] = {"type": "string", "pattern": "^[0-9]{1,9}\\.[0-9]{1,9}$"}
_ACK: Final = "Who knows of it, and what it met."

_HEALTH: Final[dict[str, dict[str, Json]]] = {
    "/metrics": {
        "get": operation(
            "getMetrics",
            "Metrics of all workers",
            {
                "description": "OpenMetrics where it is accepted, else Prometheus' text format.",
                "content": {
                    "text/plain": {"schema": {"type": "string"}},
                    "application/openmetrics-text": {"schema": {"type": "string"}},
                },
            },
        )
    },
    "/livez": {
        "get": operation(
            "getLiveness",
            "Whether the process answers",
            answer("It does.", "Alive", {"status": "alive"}),
        )
    },
    "/readyz": {
        "get": operation(
            "getReadiness",
            "Whether requests should be sent here",
            answer("They should.", "Readiness", _READY),
            more={"503": answer("They should not, and why; ask again.", "Readiness", _UNREADY)},
        )
    },
    "/openapi.json": {
        "get": operation(
            "getDescription",
            "This description",
            {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}},
        )
    },
}
_REVOKING: Final[dict[str, dict[str, Json]]] = {
    "/revoke": {
        "post": operation(
            "revoke",
            "Log out a token, a session, a person or everybody",
            answer(_ACK, "Acknowledgement", ACKNOWLEDGED),
            role="revoke",
            body=("Revocation", {"sub": "alice", "reason": "left the company"}),
            description="Every worker of every gateway on the store refuses from then on what it names.",
        )
    },
    "/reload": {
        "post": operation(
            "reload",
            "Let all workers go on with the configuration as the file has it now",
            answer(
                "They do.",
                "Reloaded",
                {"status": "reloaded", "changed": ["routes"], "warnings": [], "workers": 4},
            ),
            role="all",
            statuses=(422,),
            body=("Notes", {"reason": "a new route"}),
            needs_body=False,
        )
    },
    "/explain": {
        "post": operation(
            "explain",
            "Tell what would happen to a request, without any effect",
            answer(
                "The account.",
                "Account",
                {
                    "method": "GET",
                    "target": "/admin/",
                    "host": "app.example.com",
                    "decision": "login",
                    "reason": "credentials_missing",
                },
            ),
            role="read",
            body=(
                "Question",
                {"method": "GET", "target": "/admin/", "host": "app.example.com"},
            ),
        )
    },
}
_SESSIONS: Final[dict[str, dict[str, Json]]] = {
    "/sessions": {
        "get": operation(
            "listSessions",
            "Who is logged in, those seen last first",
            answer("One page.", "Sessions", {"sessions": [SESSION], "cursor": None}),
            role="read",
            statuses=(409,),
            parameters=(
                _SUB,
                _SID,
                _PROVIDER,
                parameter("limit", "How many at most.", SESSION_LIMIT),
                parameter("cursor", "As the page before told.", _CURSOR),
            ),
            description="409 where browsers keep the sessions and no list of them is kept.",
        ),
        "delete": operation(
            "endSessions",
            "End every session of a person, or of a session at the provider",
            answer(_ACK, "Ended", {"ended": 2, **ACKNOWLEDGED}),
            role="revoke",
            statuses=(409,),
            parameters=(_SUB, _SID, _PROVIDER, *_NOTES),
            description="By exactly one of sub and sid. Bearer tokens go on: POST /revoke ends them too.",
        ),
    },
    "/sessions/{id}": {
        "get": operation(
            "getSession",
            "One session",
            answer("The session.", "Session", SESSION),
            role="read",
            statuses=(409,),
        ),
        "delete": operation(
            "endSession",
            "End one session",
            answer(_ACK, "Ended", {"ended": 1, **ACKNOWLEDGED}),
            role="revoke",
            statuses=(409,),
            parameters=_NOTES,
        ),
    },
}
_KEYS: Final[dict[str, dict[str, Json]]] = {
    "/keys": {
        "get": operation(
            "listKeys",
            "API keys, and when each was used last",
            answer("One page.", "Keys", {"keys": [KEY], "cursor": None}),
            role="read",
            statuses=(409,),
            parameters=(
                parameter("owner", "Those of one owner.", {"type": "string"}, "build-robot"),
                parameter("cursor", "As the page before told.", _NUMBER),
            ),
        ),
        "post": operation(
            "createKey",
            "Make an API key good, of which only the hash is told",
            answer(
                "It is.",
                "CreatedKey",
                {"id": "mzxw6ytboi5gk4tf", "created": 1769860800.0, "expires": 1777636800.0},
            ),
            role="all",
            statuses=(409,),
            body=(
                "NewKey",
                {
                    "id": "mzxw6ytboi5gk4tf",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "owner": "build-robot",
                    "scopes": ["deploy"],
                    "expires": 1777636800,
                },
            ),
        ),
    },
    "/keys/{id}": {
        "delete": operation(
            "revokeKey",
            "Revoke an API key, at once everywhere",
            answer(_ACK, "RevokedKey", {"id": "mzxw6ytboi5gk4tf", "owner": "build-robot", **ACKNOWLEDGED}),
            role="revoke",
            statuses=(409,),
            parameters=_NOTES,
        )
    },
}
_AUDIT: Final[dict[str, dict[str, Json]]] = {
    "/audit": {
        "get": operation(
            "listAuditEvents",
            "Audit events that are kept, the newest first",
            answer("One page.", "AuditEvents", {"entries": [EVENT], "before": "1769860800000-0"}),
            role="read",
            statuses=(409,),
            parameters=(
                parameter("sub", "Who did it, whose key it is, who was revoked.", VALUE, "alice"),
                parameter("issuer", "Of that issuer alone.", VALUE),
                parameter("session", "Of one session.", VALUE),
                parameter("event", "Of this name.", VALUE, "access"),
                parameter("path", "Of this path, and of those below it.", VALUE, "/admin"),
                parameter("since", _TIME_RULE, VALUE, "2026-01-31T12:00:00Z"),
                parameter("until", _TIME_RULE, VALUE),
                parameter("limit", "How many at most.", AUDIT_LIMIT),
                parameter("before", "As the page before told.", _PLACE),
            ),
            description="409 where they are not kept (audit.keep).",
        ),
        "delete": operation(
            "forgetPerson",
            "Forget what is personal in every event of a person",
            answer("It is forgotten.", "Forgotten", {"forgotten": 12}),
            role="all",
            statuses=(409,),
            parameters=(
                {**parameter("sub", "Whom to forget.", VALUE, "alice"), "required": True},
                parameter("issuer", "Of that issuer alone.", VALUE),
                *_NOTES,
            ),
        ),
    },
    "/audit/chain": {
        "get": operation(
            "walkAuditChain",
            "Entries as they are chained, the oldest first",
            answer("One page.", "AuditChain", {"entries": [], "after": None}),
            role="read",
            parameters=(
                parameter("after", "As the page before told.", _PLACE),
                parameter("limit", "How many at most.", AUDIT_LIMIT),
            ),
        )
    },
    "/audit/heads": {
        "get": operation(
            "getAuditHeads",
            "The anchors of the chains",
            answer("The anchors.", "AuditHeads", {"heads": {}, "firsts": {}, "files": {}}),
            role="read",
        )
    },
}
PATH_PARAMETERS: Final[Mapping[str, Json]] = {
    "/sessions/{id}": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The session's id, as listed and logged.",
        "schema": VALUE,
    },
    "/keys/{id}": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The key's id.",
        "schema": {"type": "string", "pattern": KEY_ID},
    },
}


def describe() -> dict[str, Json]:
    """Return the description of every route, as JSON."""
    paths: dict[str, Json] = {}
    for path, operations in (_HEALTH | _REVOKING | _SESSIONS | _KEYS | _AUDIT).items():
        shared: dict[str, Json] = {"parameters": [PATH_PARAMETERS[path]]} if path in PATH_PARAMETERS else {}
        paths[path] = shared | operations
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Token Gateway admin API",
            "version": __version__,
            "description": "Metrics, health, revocation, sessions, API keys, and the audit trail.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": RESPONSES,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "admin.token, or one of admin.tokens: each operation names its role.",
                }
            },
        },
    }
