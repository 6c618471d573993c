"""What is published of a protected resource, to anybody (RFC 9728 section 3)."""

from typing import Final

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.refusals import plain
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason
from gateway.core.rules.resources import Resource

_ALLOW: Final = ("GET", "HEAD", "OPTIONS")
# nothing in it is anybody's own, and clients in browsers read it too
_ANYBODY: Final[tuple[Header, ...]] = ((b"Access-Control-Allow-Origin", b"*"),)
_HEADERS: Final[tuple[Header, ...]] = (*_ANYBODY, (b"Cache-Control", b"public, max-age=300"))
_PREFLIGHT: Final[tuple[Header, ...]] = (
    *_ANYBODY,
    (b"Access-Control-Allow-Methods", b"GET, HEAD"),
    (b"Access-Control-Allow-Headers", b"*"),
    (b"Access-Control-Max-Age", b"600"),
)


def publish(context: Context, resource: Resource) -> Respond | Refuse:
    """Answer with a resource's metadata; no credentials are looked at."""
    method, route = context.request.method, context.route
    if method == b"OPTIONS":
        return Respond(Reason.PREFLIGHT, 204, headers=_PREFLIGHT, route=route)
    if method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=_ALLOW)
    return Respond(
        Reason.METADATA_PUBLISHED, 200, json=dict(resource.document), headers=_HEADERS, route=route
    )
