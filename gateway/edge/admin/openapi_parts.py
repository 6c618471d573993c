"""What operations of the admin API's description are made of, and examples of what they answer."""

from typing import Final

from gateway.config.settings.admin import Role
from gateway.edge.admin.openapi_schemas import problems, ref
from gateway.syntax.encoding import Json

JSON: Final = "application/json"
_ALWAYS: Final = (400, 405, 408, 421, 431, 500)
ACKNOWLEDGED: Final[dict[str, Json]] = {
    "seq": 7,
    "acknowledged": ["gw1:4711:3fa2c1"],
    "missing": [],
    "replicated": None,
    "sessions": 2,
    "tokens_refused_until": 1769860830.0,
    "streams": 1,
    "keys": None,
}
SESSION: Final[dict[str, Json]] = {
    "session_id": "k3QxXn1k8mJ0b0m5b3Zx9p0cV2dT7yqgYlS4uRrW1aE",
    "provider": "corporate",
    "issuer": "https://login.example.com",
    "subject": "alice",
    "sid": "08a5",
    "since": 1769857200.0,
    "last_seen": 1769860200.0,
    "ends": 1770462000.0,
    "address": "192.0.2.1",
    "user_agent": "Mozilla/5.0",
    "sites": ["https://app.example.com"],
}
KEY: Final[dict[str, Json]] = {
    "id": "mzxw6ytboi5gk4tf",
    "owner": "build-robot",
    "scopes": ["deploy"],
    "created": 1769860800.0,
    "expires": 1777636800.0,
    "last_used": None,
    "revoked": None,
    "source": "store",
}
EVENT: Final[dict[str, Json]] = {
    "id": "1769860800000-0",
    "time": "2026-01-31T12:00:00.000Z",
    "event": "access",
    "subject": "alice",
    "path": "/admin/people",
    "status": 200,
}


def answer(description: str, schema: str, example: Json) -> dict[str, Json]:
    """Return the response of an operation that succeeds."""
    content: dict[str, Json] = {JSON: {"schema": ref("schemas", schema), "example": example}}
    return {"description": description, "content": content}


def operation(
    name: str,
    summary: str,
    succeeds: dict[str, Json],
    *,
    role: Role | None = None,
    statuses: tuple[int, ...] = (),
    parameters: tuple[dict[str, Json], ...] = (),
    body: tuple[str, Json] | None = None,
    needs_body: bool = True,
    description: str = "",
    more: dict[str, Json] | None = None,
) -> dict[str, Json]:
    """Return an operation; ``role`` is what its token needs, None where it needs none."""
    guarded = () if role is None else (401, 403, 404, 503)
    statuses = tuple(sorted({*_ALWAYS, *guarded, *statuses, *((413,) if body is not None else ())}))
    whole: dict[str, Json] = {
        "operationId": name,
        "summary": summary,
        "security": [] if role is None else [{"token": [role]}],
        "responses": {"200": succeeds, **problems(*statuses), **(more or {})},
    }
    if description:
        whole["description"] = description
    if parameters:
        whole["parameters"] = list(parameters)
    if body is not None:
        schema, example = body
        content: dict[str, Json] = {JSON: {"schema": ref("schemas", schema), "example": example}}
        whole["requestBody"] = {"required": needs_body, "content": content}
    return whole
