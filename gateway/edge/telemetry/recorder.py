"""Outcomes recorded: metrics, access log, audit log."""

from typing import Final

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
        self._kinds: dict[Kind, tuple[Counters, str]] = {}

    def outcome(self, outcome: Outcome) -> None:
        """Take the one record of a finished request."""
        kind = outcome.kind
        counters, told = self._kinds.get(kind) or self._learn(kind)
        self._metrics.observe(outcome, counters)
        if self.access:
            self._logs.access(outcome, told)

    def _learn(self, kind: Kind) -> tuple[Counters, str]:
        if len(self._kinds) >= _MOST_KNOWN:
            self._kinds.clear()
        found = self._kinds[kind] = self._metrics.counters(kind), tell_kind(kind)
        return found

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
