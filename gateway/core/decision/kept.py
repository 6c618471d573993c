"""How a session was judged, for as long as it would be judged the same."""

from typing import TYPE_CHECKING

from gateway.core.decision.context import Knowledge
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.sessions.cookies import max_age_of, session_cookies

if TYPE_CHECKING:
    from gateway.core.sessions.model import Renewed


class KeptSession:
    """A session about which nothing was to be done but to give its browser what is newest.

    That is so until a rotation, a revocation, another configuration or a time comes between.

    Args:
        knowledge: what it was judged by.
        since, until: epoch seconds.
        rotation_id: names the next rotation of what was presented, empty where nothing rotates.
        outcome: the newest that is known beyond what was presented, None where that is the newest itself.
        next_id: names the rotation that would follow ``outcome``.
        replacement: names the news that a later login has replaced the session.
    """

    __slots__ = (
        "_changes",
        "_max_age",
        "_sent",
        "next_id",
        "outcome",
        "replacement",
        "rotation_id",
        "runtime",
        "since",
        "until",
        "version",
    )

    def __init__(
        self,
        knowledge: Knowledge,
        since: float,
        until: float,
        rotation_id: str,
        outcome: "Renewed | None",
        next_id: str,
        replacement: str,
    ) -> None:
        self.runtime = knowledge.runtime
        self.version = knowledge.denylist.version
        self.since = since
        self.until = until
        self.rotation_id = rotation_id
        self.outcome = outcome
        self.next_id = next_id
        self.replacement = replacement
        self._max_age = 0
        self._sent: dict[str, str] = {}
        self._changes: tuple[CookieChange, ...] = ()

    def holds(self, knowledge: Knowledge, now: float) -> bool:
        """Tell whether the session would be judged the same: no rotation, no revocation, no time has come."""
        if (
            not self.since <= now < self.until
            or knowledge.runtime is not self.runtime
            or knowledge.denylist.version != self.version
        ):
            return False
        next_id = self.rotation_id
        if self.outcome is not None:
            if knowledge.recent_outcome(next_id) is not self.outcome or knowledge.superseded(
                self.replacement
            ):
                return False
            next_id = self.next_id
        return not next_id or (
            knowledge.recent_outcome(next_id) is None and not knowledge.superseded(next_id)
        )

    def cookies(self, site: Site, sent: dict[str, str], now: float) -> tuple[CookieChange, ...]:
        """Return what gives the browser the newest session while this holds, worked out once a second."""
        newest = self.outcome
        if newest is None:
            return ()
        max_age = max_age_of(newest.session, now)
        if max_age != self._max_age or (sent is not self._sent and sent != self._sent):
            self._max_age, self._sent = max_age, sent
            self._changes = session_cookies(site, newest, sent, now)
        return self._changes
