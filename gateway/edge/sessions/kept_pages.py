"""Pages to come back to after a login that are too long for its cookie: sealed, in the store."""

import os
from collections.abc import Callable

from gateway.core.access.pending import REFERENCE_BYTES, reference_of
from gateway.core.decision.needs import KeptPage
from gateway.core.fault import Fault
from gateway.core.sessions.seal import KeyRing
from gateway.edge.sessions.room import Room
from gateway.edge.sessions.sealed import SealedValues
from gateway.edge.store.store import Store

MOST_BYTES = 16 << 20
_MOST_SHARE = 1 << 20
_PURPOSE = "kept page"


class KeptPages:
    """Keeps pages; anybody may ask for a login, so this process keeps no more than ``MOST_BYTES`` at a time.

    Args:
        store: shared by all workers.
        ring: returns the keys that seal and open.
        clock: wall time in seconds since the epoch.
    """

    def __init__(self, store: Store, ring: Callable[[], KeyRing], clock: Callable[[], float]) -> None:
        self._store = store
        self._sealed = SealedValues(store, ring, _PURPOSE)
        self._room = Room(clock, MOST_BYTES, _MOST_SHARE)

    async def keep(self, page: str, client: str, lifetime: float) -> str:
        """Return the reference of a page, empty where it cannot be kept.

        Args:
            page: path, query and fragment.
            client: the address that asks; none holds more than a sixteenth of the room.
            lifetime: in seconds.
        """
        # before the store is waited for: so many may ask at once
        if not self._room.take(client, len(page), lifetime):
            return ""
        reference = reference_of(os.urandom(REFERENCE_BYTES))
        try:
            await self._sealed.keep(self._store.key("page", reference), page.encode(), lifetime)
        except Fault:
            # the login goes on without it, and says so at its end
            return ""
        return reference

    async def fetch(self, need: KeptPage) -> str:
        """Return the page of a reference, empty where there is none. Raises Fault."""
        payload = self._sealed.open(await self._store.execute("GET", self._store.key("page", need.reference)))
        return "" if payload is None else payload.decode("utf-8", "replace")
