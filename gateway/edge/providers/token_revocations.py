"""Refresh tokens revoked at the provider (RFC 7009), behind the back of the logout that wants it."""

from collections.abc import Awaitable, Callable

from gateway.core.decision.needs import RevokeToken
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.edge.tasks import SingleFlight

MOST_RUNNING = 256
"""Calls under way at once; a token beyond that lives until it expires."""


class TokenRevocations:
    """Tries each token once, within the provider's time limit, and tells how it went.

    Args:
        revoke: asks the provider; False where it revokes no tokens. Raises Fault.
        on_event: takes ``token_revoked`` and ``token_revocation_failed``, each with whose token it was.
    """

    def __init__(
        self, revoke: Callable[[RevokeToken], Awaitable[bool]], on_event: Callable[..., None]
    ) -> None:
        self._revoke = revoke
        self._on_event = on_event
        self._running: SingleFlight[None] = SingleFlight("a revocation of a token")

    def start(self, need: RevokeToken) -> None:
        """Begin, once for each session however often it is logged out meanwhile."""
        if len(self._running) >= MOST_RUNNING and need.session_id not in self._running:
            self._tell("token_revocation_failed", need, Reason.OVERLOADED)
            return
        self._running.start(need.session_id, lambda: self._behind(need))

    async def _behind(self, need: RevokeToken) -> None:
        try:
            if await self._revoke(need):
                self._tell("token_revoked", need, None)
        except Fault as fault:
            self._tell("token_revocation_failed", need, fault.reason)

    def _tell(self, event: str, need: RevokeToken, reason: Reason | None) -> None:
        self._on_event(
            event, reason=reason, issuer=need.issuer, subject=need.subject, session=need.session_id
        )

    async def drain(self) -> None:
        """Wait for the calls under way."""
        await self._running.drain()

    async def close(self) -> None:
        """Give up the calls under way."""
        await self._running.close()
