"""Outcomes recorded: metrics, access log, audit log."""

from gateway.core.outcome import Outcome
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metrics import Metrics


class Recorder:
    """Feeds metrics, access log and audit log from one record."""

    def __init__(self, metrics: Metrics, logs: Logs, *, access: bool) -> None:
        self._metrics = metrics
        self._logs = logs
        self.access = access

    def outcome(self, outcome: Outcome) -> None:
        """Take the one record of a finished request."""
        self._metrics.observe(outcome)
        if self.access:
            self._logs.access(outcome)

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
