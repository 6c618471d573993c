"""Tickets: a session for one more site of its browser, in the store for half a minute, taken once.

Sealed under the ring and the ticket's secret together, under a hash of that: a copy of the store opens none.
"""

import hashlib
from collections.abc import Callable

from gateway.core.decision.needs import KeepTicket, TakeTicket
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.sessions.joining import (
    TICKET_SECONDS,
    Granted,
    NoTicket,
    decode_granted,
    encode_granted,
)
from gateway.core.sessions.seal import KeyRing
from gateway.edge.sessions.room import Room
from gateway.edge.sessions.sealed import SealedValues
from gateway.edge.store.store import Store
from gateway.syntax.encoding import encode_base64url

MOST_BYTES = 64 << 20
"""What a worker keeps at a time."""
_MOST_SHARE = 1 << 20
_PURPOSE = "ticket"


class Tickets:
    """Keeps what tickets grant.

    Args:
        store: shared by all workers.
        ring: returns the keys that seal and open.
        clock: wall time in seconds since the epoch.
    """

    def __init__(self, store: Store, ring: Callable[[], KeyRing], clock: Callable[[], float]) -> None:
        self._store = store
        self._sealed = SealedValues(store, ring, _PURPOSE)
        self._room = Room(clock, MOST_BYTES, _MOST_SHARE)

    async def keep(self, need: KeepTicket) -> None:
        """Keep what a ticket grants. Raises Fault: the store does not take it, and there is no ticket.

        Nor is there one for a session that asks for more than ``_MOST_SHARE`` bytes in half a minute.
        """
        payload = encode_granted(need.granted)
        if not self._room.take(need.granted.current.session.session_id, len(payload), TICKET_SECONDS):
            detail = "so many tickets are under way that there is no room for more"
            raise Fault("client", Reason.RATE_LIMITED, detail, int(TICKET_SECONDS))
        await self._sealed.keep(self._key(need.secret), payload, TICKET_SECONDS, _text(need.secret))

    async def take(self, need: TakeTicket) -> Granted | NoTicket:
        """Return what a ticket grants, to whoever asks first. Raises Fault: the store cannot tell."""
        # one command: two that show the same ticket at once are two that ask, and one that has
        sealed = await self._store.execute("GETDEL", self._key(need.secret))
        payload = self._sealed.open(sealed, _text(need.secret))
        granted = None if payload is None else decode_granted(payload)
        return NoTicket() if granted is None else granted

    def _key(self, secret: bytes) -> str:
        named = hashlib.sha256(b"gateway ticket\x00" + secret).digest()
        return self._store.key("ticket", encode_base64url(named))


def _text(secret: bytes) -> str:
    return encode_base64url(secret)
