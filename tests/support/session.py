"""Sessions made by hand, under the key ring of the tests."""

import os

from gateway.core.sessions import codec
from gateway.core.sessions.model import Session


def forge(world, origin: str, **changes) -> str:
    """Return a sealed session cookie of alice for one origin, as the gateway itself would seal it."""
    now = world.clock()
    fields = {
        "session_id": "forged-session",
        "provider": "demo",
        "issuer": world.provider.issuer,
        "subject": "alice",
        "sid": None,
        "claims": {"sub": "alice", "groups": ["admins"]},
        "scopes": frozenset({"openid"}),
        "login_at": now,
        "ends_at": now + 3600,
        "seen_at": now,
        "renewed_at": now,
        "access_expires_at": now + 600,
    } | changes
    payload = codec.encode_session(Session(**fields))
    return world.gateway.runtime.ring.seal(f"session {origin}", payload, os.urandom(12))
