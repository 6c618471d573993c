"""Outcomes recorded: metrics, access log, audit log."""

from typing import Final
from zlib import crc32

from gateway.config.settings.root import Settings
from gateway.core.outcome import CORRELATION, Kind, Outcome
from gateway.edge.telemetry.logs import Logs, tell_kind
from gateway.edge.telemetry.metrics import Counters, Metrics

_MOST_KNOWN: Final = 4096
_SERVER_ERROR: Final = 500


ALL: Final = 1 << 32
"""The share of all requests; none is 0."""


class Told:
    """What is told of requests of a kind.

    Attributes:
        counters: where they are counted.
        text: what access lines tell of the kind.
        share: of 2**32, how many of them get an access line.
        is_audited: whether each is an audit event as well.
    """

    __slots__ = ("counters", "is_audited", "share", "text")

    def __init__(self, counters: Counters, text: str, share: int, *, is_audited: bool) -> None:
        self.counters = counters
        self.text = text
        self.share = share
        self.is_audited = is_audited


class Recorder:
    """Feeds metrics, access log and audit log from one record."""

    def __init__(self, metrics: Metrics, logs: Logs, *, access: bool) -> None:
        self._metrics = metrics
        self._logs = logs
        self._share = ALL if access else 0
        self._keeps_errors = False
        # by route, where one says so
        self._shares: dict[str, int] = {}
        self._off: frozenset[str] = frozenset()
        self._audited: frozenset[str] = frozenset()
        self._kinds: dict[Kind, Told] = {}

    def configure(self, settings: Settings) -> None:
        """Go on with these settings."""
        log, routes = settings.log, settings.routes
        self._share = share_of(log.sample) if log.access else 0
        # without access lines there are none of errors, either
        self._keeps_errors = log.sample_errors and log.access
        told = {each.name or each.path: each.log for each in routes if each.log is not None}
        self._shares = {name: share_of(share) for name, share in told.items()}
        self._off = frozenset(name for name, share in told.items() if share is False)
        self._audited = frozenset(each.name or each.path for each in routes if each.audit)
        self._kinds.clear()

    def outcome(self, outcome: Outcome) -> None:
        """Take the one record of a finished request."""
        kind = outcome.kind
        told = self._kinds.get(kind)
        if told is None:
            told = self._learn(kind)
        self._metrics.observe(outcome, told.counters)
        if told.share == ALL or (told.share and number_of(outcome) < told.share):
            self._logs.access(outcome, told.text)
        if told.is_audited:
            self._tell_access(outcome)

    def _learn(self, kind: Kind) -> Told:
        if len(self._kinds) >= _MOST_KNOWN:
            self._kinds.clear()
        is_audited = kind[2] in self._audited
        share = self._share_of(kind)
        found = Told(self._metrics.counters(kind), tell_kind(kind), share, is_audited=is_audited)
        self._kinds[kind] = found
        return found

    def _share_of(self, kind: Kind) -> int:
        _, _, route, decision, _, status, _ = kind
        is_error = decision in ("refuse", "abort") or status >= _SERVER_ERROR
        if is_error and self._keeps_errors and route not in self._off:
            return ALL
        return self._shares.get(route, self._share)

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


def share_of(told: float) -> int:
    """Return a share, or whether, as a number of 2**32."""
    return round(told * ALL)


def number_of(outcome: Outcome) -> int:
    """Return where a request is among 2**32, by its id: the CRC-32 of the one that a proxy gave, or of ours.

    So whoever else writes lines of the same request by the same rule writes them of the same requests.
    """
    headers = outcome.headers
    if headers and headers[0][0] == CORRELATION:
        return crc32(headers[0][1])
    return crc32(outcome.request_id.encode())
