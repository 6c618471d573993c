"""The list of the sessions that browsers keep (``session.mode: cookie`` with ``session.index``).

It is written at logins and refreshes, behind the backs of those who ask, and at the end of a session: never
for a request. Where the store does not take it, a session is missing on the list until its next refresh.
"""

import contextlib
import os
from collections.abc import Callable

from gateway.core.decision.context import Knowledge
from gateway.core.decision.needs import ListSession, OwnSessions
from gateway.core.fault import Fault
from gateway.core.sessions.listed import MOST_OWN, OwnedSessions, OwnSession
from gateway.core.sessions.model import Session
from gateway.core.sessions.record import begun
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.edge.sessions.index import Filter, SessionIndex
from gateway.edge.tasks import Tasks

MOST_UNDER_WAY = 1000
"""Beyond so many a session is not noted: a store that hangs must not fill the memory."""


class NotedSessions:
    """Notes sessions on the list, and reads those of one person from it, in either mode.

    Args:
        index: the list.
        knowledge: returns the configuration and the denylist of now.
        clock: wall time in seconds since the epoch.
    """

    def __init__(
        self, index: SessionIndex, knowledge: Callable[[], Knowledge], clock: Callable[[], float]
    ) -> None:
        self._index = index
        self._knowledge = knowledge
        self._clock = clock
        self._running = Tasks()

    async def fetch(self, need: OwnSessions) -> OwnedSessions:
        """Return the sessions of a person that live. Raises Fault: the store cannot tell."""
        providers = self._knowledge().runtime.providers.items()
        names = tuple(name for name, each in providers if each.issuer == need.issuer)
        found, cursor = await self._index.page(Filter(need.subject, providers=names), MOST_OWN)
        own = tuple(
            OwnSession(each.about, each.seen_at, each.sites)
            for each in found
            if each.about.issuer == need.issuer
        )
        return OwnedSessions(own, cursor is not None)

    def start(self, need: ListSession) -> None:
        """Begin to note a session that begins, at one of its sites."""
        self._begin(need.session, need.address, need.agent, need.site)

    def renewed(self, session: Session) -> None:
        """Begin to note that a session was renewed, where browsers keep sessions and there is a list."""
        runtime = self._knowledge().runtime
        if runtime.settings.session.index and not runtime.keeps_records:
            self._begin(session, "", "", "")

    def _begin(self, session: Session, address: str, agent: str, site: str) -> None:
        if len(self._running) < MOST_UNDER_WAY:
            self._running.start(self._note(session, address, agent, site))

    async def _note(self, session: Session, address: str, agent: str, site: str) -> None:
        now = self._clock()
        # whoever uses it after its access token must renew it, which is noted
        last = max(now, session.access_expires_at) + self._knowledge().runtime.settings.session.idle_lifetime
        until = min(session.ends_at, last)
        about = begun(session, address, agent)
        with contextlib.suppress(Fault):
            await self._index.note(about, now, until, os.urandom(NONCE_BYTES), site)
            await self._index.called.write(session, until, max(0.001, until - now))
            # it may have ended while this was under way, and what ended it has looked before
            if self._knowledge().denylist.judge_session(session, self._clock()):
                listed = await self._index.read(session.session_id)
                if listed is not None:
                    await self._index.remove(listed)

    async def drain(self) -> None:
        """Wait for whatever is being noted."""
        await self._running.drain()

    async def close(self) -> None:
        """Give up whatever is being noted; drain first."""
        await self._running.close()
