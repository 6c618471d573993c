"""The key sets with which anybody can check what the gateway has signed (RFC 7517 section 5)."""

from typing import Final

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.refusals import plain
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason

_HEADERS: Final[tuple[Header, ...]] = (
    # a key is published for an hour at least before it signs
    (b"Cache-Control", b"public, max-age=600"),
    (b"Content-Type", b"application/jwk-set+json"),
)


def jwks(context: Context) -> Respond | Refuse:
    """Publish the keys, under any host and to anybody; there are none where nothing is signed."""
    signing = context.knowledge.runtime.signing
    if signing is None:
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.request.method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    return Respond(
        Reason.KEYS_PUBLISHED, 200, json={"keys": signing.published(context.now)}, headers=_HEADERS
    )


def client_jwks(context: Context) -> Respond | Refuse:
    """Publish the keys that the gateway proves with to one provider who it is (RFC 7523), to anybody.

    Each provider finds its own there, and no other's.
    """
    if context.request.method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    runtime = context.knowledge.runtime
    name = context.target.path[len(runtime.prefix) :]
    return Respond(Reason.KEYS_PUBLISHED, 200, json=dict(runtime.client_keys[name]), headers=_HEADERS)
