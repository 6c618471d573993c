"""The ID tokens that name a session to its provider at logout, where no cookie keeps them (R50).

Sealed under the ring and the session's id together, under a hash of it. They are written behind the back of
whoever waits: without one, the logout names the client alone.
"""

import hashlib
from collections.abc import Callable

from gateway.core.decision.needs import KeepHint
from gateway.core.endpoints.id_token_hint import MOST_HINT
from gateway.core.fault import Fault
from gateway.core.sessions.seal import KeyRing
from gateway.edge.sessions.sealed import SealedValues
from gateway.edge.store.store import Script, Store
from gateway.edge.tasks import Tasks
from gateway.syntax.encoding import encode_base64url

_PURPOSE = "logout hint"
_TAKE = Script("""
local kept = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return kept
""")


class LogoutHints:
    """Keeps the newest ID token of a session until its end.

    Args:
        store: shared by all workers.
        ring: returns the keys that seal and open.
        clock: wall time in seconds since the epoch.
    """

    def __init__(self, store: Store, ring: Callable[[], KeyRing], clock: Callable[[], float]) -> None:
        self._store = store
        self._sealed = SealedValues(store, ring, _PURPOSE)
        self._clock = clock
        self._running = Tasks()

    def start(self, need: KeepHint) -> None:
        """Begin to keep a hint behind the request's back; one that is too long is not kept."""
        if len(need.id_token) > MOST_HINT:
            return
        self._running.start(self._keep(need))

    async def _keep(self, need: KeepHint) -> None:
        lifetime = need.ends_at - self._clock()
        if lifetime > 0:
            key, payload = self._key(need.session_id), need.id_token.encode()
            await self._sealed.keep(key, payload, lifetime, need.session_id)

    async def take(self, session_id: str) -> str | None:
        """Return the hint of a session that ends, and keep it no longer; None where there is none."""
        try:
            sealed = await self._store.run(_TAKE, [self._key(session_id)], [])
        except Fault:
            return None
        payload = self._sealed.open(sealed, session_id)
        return None if payload is None else payload.decode("latin-1")

    def _key(self, session_id: str) -> str:
        named = hashlib.sha256(b"gateway logout hint\x00" + session_id.encode()).digest()
        return self._store.key("hint", encode_base64url(named))

    async def drain(self) -> None:
        """Wait for whatever is being kept."""
        await self._running.drain()

    async def close(self) -> None:
        """Give up whatever is being kept; drain first."""
        await self._running.close()
