"""Revoking: an entry is written, every worker holds it, the records that it ends go, and it is told of."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.core.decision.context import Knowledge
from gateway.core.decision.needs import Revoke
from gateway.core.fault import Fault
from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.api_keys import KeyAdmin
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.admin.sessions import SessionAdmin
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.edge.revocation.streams import Streams
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metrics import Metrics


class Revoking:
    """Revokes for people who log out, for providers, and for operators.

    Args:
        revocations: the denylist.
        streams: what is open and ends by it.
        knowledge: returns what is known now.
        logs: keep the audit log.
        metrics: count.
    """

    def __init__(
        self,
        revocations: Revocations,
        streams: Streams,
        knowledge: Callable[[], Knowledge],
        logs: Logs,
        metrics: Metrics,
    ) -> None:
        self._revocations = revocations
        self._streams = streams
        self._knowledge = knowledge
        self._logs = logs
        self._metrics = metrics
        self.clear_records: Callable[[Sequence[DenyEntry]], None] = lambda _: None
        """Removes from the store the records of the sessions that entries name."""
        self.mark_keys: Callable[[Sequence[DenyEntry]], None] = lambda _: None
        """Marks in the store the API keys that entries name."""

    async def end(self, need: Revoke) -> None:
        """Revoke what a decision names. Raises Fault."""
        await self._revocations.revoke(need)
        self._clear(need.entries)

    async def revoke(self, entries: list[DenyEntry], mandate: Mandate) -> Acknowledgement:
        """Write denylist entries and tell which live workers hold them. Raises Fault.

        ``mandate`` is kept in the audit log.
        """
        try:
            acknowledgement = await self._revocations.publish(entries)
        except Fault as fault:
            # it holds here, and is written once the store is back
            self._tell(entries, mandate, fault.reason)
            raise
        self._clear(entries)
        self._tell(entries, mandate)
        return acknowledgement

    async def revoke_one(
        self, admins: tuple[SessionAdmin, KeyAdmin], entry: DenyEntry, mandate: Mandate
    ) -> Acknowledgement:
        """Revoke what one entry names, and tell what became of it, and what it met. Raises Fault."""
        sessions, keys = [await each.met(entry) for each in admins]
        until = None
        if entry.kind not in ("jti", "session", "key"):
            providers = self._knowledge().runtime.providers.values()
            skews = [each.clock_skew for each in providers if entry.issuer in ("", each.issuer)]
            until = entry.before + max(skews, default=0.0)
        entries = [await admins[0].bounded(entry)]
        streams = self.deny(entries)
        told = await self.revoke(entries, mandate)
        return replace(told, sessions=sessions, keys=keys, streams=streams, tokens_refused_until=until)

    def deny(self, entries: Sequence[DenyEntry]) -> int:
        """Refuse here what entries name, and return how many open streams of this worker that has ended.

        Raises:
            ValueError: an entry of the wrong shape.
        """
        before = self._streams.ended
        self._revocations.deny(entries)
        return self._streams.ended - before

    def _clear(self, entries: Sequence[DenyEntry]) -> None:
        self.mark_keys(entries)
        if self._knowledge().runtime.settings.session.lists_sessions:
            self.clear_records(entries)

    def _tell(self, entries: list[DenyEntry], mandate: Mandate, postponed: str | None = None) -> None:
        for entry in entries:
            if postponed is None:
                self._metrics.event("revocation", None)
            self._logs.audit(
                "revocation",
                kind=entry.kind,
                issuer=entry.issuer,
                value=entry.value,
                before=entry.before,
                postponed=postponed,
                **mandate,
            )
