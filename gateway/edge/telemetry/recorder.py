"""Outcomes recorded: metrics, access log, audit log."""

from typing import Final

from gateway.config.settings.root import Settings
from gateway.core.outcome import Kind, Outcome
from gateway.edge.telemetry.logs import Logs, tell_kind
from gateway.edge.telemetry.metrics import Counters, Metrics

_MOST_KNOWN: Final = 4096


class Recorder:
    """Feeds metrics, access log and audit log from one record."""

    def __init__(self, metrics: Metrics, logs: Logs, *, access: bool) -> None:
        self._metrics = metrics
        self._logs = logs
        self.access = access
        # by route: whether its requests are audit events
        self._audited: frozenset[str] = frozenset()
        self._kinds: dict[Kind, tuple[Counters, str, bool]] = {}

    def configure(self, settings: Settings) -> None:
        """Go on with these settings."""
        self.access = settings.log.access
        self._audited = frozenset(each.name or each.path for each in settings.routes if each.audit)
        self._kinds.clear()

    def outcome(self, outcome: Outcome) -> None:
        """Take the one record of a finished request."""
        kind = outcome.kind
        counters, told, is_audited = self._kinds.get(kind) or self._learn(kind)
        self._metrics.observe(outcome, counters)
        if self.access:
            self._logs.access(outcome, told)
        if is_audited:
            self._tell_access(outcome)

    def _learn(self, kind: Kind) -> tuple[Counters, str, bool]:
        if len(self._kinds) >= _MOST_KNOWN:
            self._kinds.clear()
        found = self._kinds[kind] = self._metrics.counters(kind), tell_kind(kind), kind[2] in self._audited
        return found

    def _tell_access(self, outcome: Outcome) -> None:
        """Write the audit event of a request, for routes that ask for it; never its query."""
        method, host, route, decision, reason, status, _ = outcome.kind
        who = outcome.identity
        self.audit(
            "access",
            reason=reason,
            request_id=outcome.request_id,
            client=outcome.client,
            issuer=None if who is None else who.issuer,
            subject=None if who is None else who.subject,
            session=None if who is None else who.session_id,
            key=who.jti if who is not None and who.kind == "key" else None,
            claims=dict(outcome.claims) or None,
            method=method[:32].decode("latin-1"),
            host=host.decode("latin-1"),
            path=outcome.path,
            route=route,
            decision=decision,
            status=status,
        )

    def audit(self, event: str, **fields: object) -> None:
        """Take an audit event."""
        repeated = fields.get("outcome") == "repeated"
        self._metrics.event(event, fields.get("reason"), fields.get("provider"), repeated=repeated)
        self._logs.audit(event, **fields)

    def error(self, message: str, **fields: object) -> None:
        """Take an error of our own."""
        self._logs.error(message, **fields)

    def warning(self, message: str, **fields: object) -> None:
        """Take what may become an error."""
        self._logs.warning(message, **fields)
