"""Values that lie sealed in the store for a while."""

import os
from collections.abc import Callable
from math import ceil

from gateway.core.sessions.seal import NONCE_BYTES, KeyRing
from gateway.edge.store.store import Store


class SealedValues:
    """Values of one kind, sealed under the ring, or under it and a secret of the value's own.

    Args:
        store: shared by all workers.
        ring: returns the keys that seal and open.
        purpose: of the seal: what was sealed for another is not opened.
    """

    def __init__(self, store: Store, ring: Callable[[], KeyRing], purpose: str) -> None:
        self._store = store
        self._ring = ring
        self._purpose = purpose

    async def keep(self, key: str, payload: bytes, lifetime: float, secret: str | None = None) -> None:
        """Keep a value under a key for so many seconds, more than none. Raises Fault."""
        ring, nonce = self._ring(), os.urandom(NONCE_BYTES)
        if secret is None:
            sealed = ring.seal(self._purpose, payload, nonce)
        else:
            sealed = ring.seal_under(secret, self._purpose, payload, nonce)
        await self._store.execute("SET", key, sealed, "PX", ceil(lifetime * 1000))

    def open(self, sealed: bytes | None, secret: str | None = None) -> bytes | None:
        """Return what the store's value holds, None where there is none or it is not ours."""
        if sealed is None:
            return None
        text = sealed.decode("latin-1")
        if secret is None:
            return self._ring().open(self._purpose, text)
        return self._ring().open_under(secret, self._purpose, text)
