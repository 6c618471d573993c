"""What a process sends to a collector: begun, changed by a reload, and ended with the rest.

Nothing of OpenTelemetry is imported before it is configured.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from gateway.config.settings.telemetry import TelemetrySettings
from gateway.edge.tasks import Tasks
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metric_sources import Reading

if TYPE_CHECKING:
    from gateway.edge.telemetry.otlp.signals import Families, Signals

_COUNTS: Final = ("sent_total", "dropped_total")


class Exporting:
    """The signals of one process, whichever configuration they are of.

    Args:
        logs: whose lines are sent as well, and which are told what goes wrong.
        worker: the number of this worker, None of a supervisor, or where there are no workers.
        families: tells the metrics; None in a worker, whose supervisor tells those of all.
        has_traces: whether requests are served here.

    Attributes:
        signals: those of the present configuration, None where nothing is sent.
    """

    def __init__(
        self,
        logs: Logs,
        *,
        worker: int | None = None,
        families: "Families | None" = None,
        has_traces: bool = True,
    ) -> None:
        self.signals: Signals | None = None
        self._logs = logs
        self._worker = worker
        self._families = families
        self._has_traces = has_traces
        self._ending = Tasks()
        # what was counted under former configurations
        self._before: dict[tuple[str, str], float] = {}

    def prepare(self, settings: TelemetrySettings | None) -> "Signals | None":
        """Return what sends under these settings, not begun yet.

        Raises:
            OSError: the authorities cannot be read. ImportError: the extra ``otel`` is not installed.
        """
        if settings is None:
            return None
        if self.signals is not None and self.signals.settings == settings:
            return self.signals
        from gateway.edge.telemetry.otlp.signals import Signals  # noqa: PLC0415 - only where it is wanted

        return Signals(
            settings,
            self._logs.warning,
            worker=self._worker,
            families=self._families,
            has_traces=self._has_traces,
        )

    def commit(self, signals: "Signals | None") -> None:
        """Go on with what was prepared; what waits under the former configuration is sent as it says."""
        former = self.signals
        if signals is former:
            return
        self.signals = signals
        if signals is not None:
            signals.start()
        self._logs.tee(None if signals is None or signals.lines is None else _taker(signals))
        if former is not None:
            self._ending.start(self._end(former))

    def readings(self) -> Iterator[Reading]:
        """Yield how much of each signal was sent and dropped, and how much waits."""
        told = set()
        for figure, labels, value in () if self.signals is None else self.signals.readings():
            key = figure, labels["signal"]
            told.add(key)
            yield figure, labels, value + self._before.get(key, 0.0)
        for (figure, signal), value in self._before.items():
            if (figure, signal) not in told:
                yield figure, {"signal": signal}, value

    async def close(self) -> None:
        """Send what waits, within a short time, and send nothing any more."""
        self.commit(None)
        await self._ending.drain()

    async def _end(self, signals: "Signals") -> None:
        await signals.close()
        for figure, labels, value in signals.readings():
            if figure in _COUNTS:
                key = figure, labels["signal"]
                self._before[key] = self._before.get(key, 0.0) + value


def _taker(signals: "Signals") -> Callable[[str], None]:
    from gateway.edge.telemetry.otlp.lines import collect  # noqa: PLC0415 - as above

    assert signals.lines is not None
    return collect(signals.lines.offer)
