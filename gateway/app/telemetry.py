"""What a gateway's process sends by OTLP, and who handles requests where traces are recorded."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.edge.telemetry.exporting import Exporting
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metric_sources import Reading
from gateway.edge.telemetry.metrics import Metrics
from gateway.http.ports import Handler
from gateway.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from gateway.edge.telemetry.otlp.signals import Signals
    from gateway.pipeline.tracing import Tracing


class Telemetry:
    """Traces, metrics and logs of one gateway.

    Args:
        logs: whose lines are sent as well.
        metrics: are sent, where no supervisor tells those of all workers.
        worker: the number of this worker, None where it has no supervisor.
    """

    def __init__(self, logs: Logs, metrics: Metrics, worker: int | None) -> None:
        async def families() -> "list[Metric]":
            return list(metrics.families())

        self._exporting = Exporting(logs, worker=worker, families=families if worker is None else None)
        self._tracing: Tracing | None = None
        self.prepare = self._exporting.prepare

    def handler(self, pipeline: Pipeline, signals: "Signals | None") -> Handler:
        """Go on with what was prepared, and return what requests are handed to."""
        if self._tracing is not None:
            self._tracing.remove()
            self._tracing = None
        self._exporting.commit(signals)
        if signals is None or signals.spans is None:
            return pipeline
        from gateway.edge.telemetry.otlp.spans import Tracer  # noqa: PLC0415 - only where it is wanted
        from gateway.pipeline.tracing import Tracing  # noqa: PLC0415 - as above

        traces = signals.settings.traces
        assert traces is not None
        self._tracing = Tracing(pipeline, Tracer(traces.sample), traces.continue_from, signals.spans.offer)
        return self._tracing

    def readings(self) -> Iterator[Reading]:
        """Yield how much of each signal was sent and dropped, and how much waits."""
        yield from self._exporting.readings()

    async def close(self) -> None:
        """Send what waits, within a short time."""
        await self._exporting.close()
