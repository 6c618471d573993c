"""What the people of listed sessions are called, and the lists of those who are called alike.

Written where there is a console (``admin.console``), and then only beside what the list of sessions holds.
"""

import asyncio
import os
from collections.abc import Callable

from gateway.core.decision.context import Knowledge
from gateway.core.provider import claims_of
from gateway.core.sessions.called import (
    CALLED_PURPOSE,
    NOBODY,
    Called,
    called_of,
    decode_called,
    encode_called,
    folded,
)
from gateway.core.sessions.model import Session
from gateway.core.sessions.record import index_names
from gateway.core.sessions.seal import NONCE_BYTES, KeyRing
from gateway.edge.sessions import scripts
from gateway.edge.store.store import Argument, Store

_KIND = "called"
_MARGIN = 300
_MOST_TEXT = 8_192


class CalledIndex:
    """Finds sessions by what their people are called.

    Args:
        store: shared by all workers.
        knowledge: returns the configuration of now.
        index: returns the key of a list by its name.
        listed: returns the key of what the list has of a session, by its id.
    """

    def __init__(
        self,
        store: Store,
        knowledge: Callable[[], Knowledge],
        index: Callable[[str], str],
        listed: Callable[[str], str],
    ) -> None:
        self._store = store
        self._knowledge = knowledge
        self._index = index
        self._listed = listed

    @property
    def _ring(self) -> KeyRing:
        return self._knowledge().runtime.ring

    def lists(self, called: Called) -> list[str]:
        """Return the names of the lists that somebody stands in, under every key of the ring."""
        return [name for each in called.exact for name in index_names(self._ring, _KIND, "", each)]

    def wanted(self, text: str) -> list[str]:
        """Return the names of the lists of those who are called so."""
        return list(index_names(self._ring, _KIND, "", folded(text)))

    def by_session(self, session: Session) -> Called:
        """Return what a session's person is called, nothing where no operator looks for it."""
        runtime = self._knowledge().runtime
        if runtime.settings.admin.console is None or session.provider not in runtime.providers:
            return NOBODY
        return called_of(claims_of(runtime.providers[session.provider], session.subject, session.claims))

    def open(self, session_id: str, sealed: bytes | None) -> Called:
        """Return what the store has under a session of the list."""
        if sealed is None or len(sealed) > _MOST_TEXT:
            return NOBODY
        payload = self._ring.open(f"{CALLED_PURPOSE} {session_id}", sealed.decode("latin-1"))
        return NOBODY if payload is None else decode_called(payload)

    async def write(self, session: Session, until: float, lifetime: float) -> None:
        """Put down what the person of a session on the list is called, so that it is found by that.

        Args:
            session: that is on the list.
            until: when it leaves the list at the latest, epoch seconds.
            lifetime: the same, in seconds from now.

        Raises:
            Fault: the store does not take it.
        """
        called, session_id = self.by_session(session), session.session_id
        if called == NOBODY:
            return
        purpose = f"{CALLED_PURPOSE} {session_id}"
        sealed = self._ring.seal(purpose, encode_called(called), os.urandom(NONCE_BYTES))
        names = [index_names(self._ring, _KIND, "", each)[0] for each in called.exact]
        arguments: list[Argument] = [session_id, round(until, 3), int(lifetime * 1000), _MARGIN]
        await asyncio.gather(
            self._store.run_patiently(scripts.CALL, [self._listed(session_id)], [sealed]),
            *(self._store.run_patiently(scripts.INDEX, [self._index(name)], arguments) for name in names),
        )
