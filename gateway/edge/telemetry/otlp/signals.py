"""What one process sends to a collector: its spans, its log lines, its metrics, as far as they are wanted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from prometheus_client.metrics_core import Metric

from gateway.config.settings.telemetry import TelemetrySettings
from gateway.edge.tasks import stop
from gateway.edge.telemetry.metric_sources import Reading
from gateway.edge.telemetry.otlp import log_messages, metric_messages, span_messages
from gateway.edge.telemetry.otlp.exporter import Exporter
from gateway.edge.telemetry.otlp.lines import LogLine
from gateway.edge.telemetry.otlp.resource import resource_of
from gateway.edge.telemetry.otlp.sender import Sender
from gateway.edge.telemetry.otlp.spans import Span

Families: TypeAlias = Callable[[], Awaitable[Iterable[Metric]]]

# an older scrape tells nothing that the next does not tell as well
_MOST_SCRAPES: Final = 4
_SCRAPE_WITHIN: Final = 1.0


class Signals:
    """The exporters of one process under one configuration.

    Args:
        settings: what is sent, and to whom.
        report: takes warnings.
        worker: the number of this worker, None of a supervisor, or where there are no workers.
        families: tells the metrics; None in a worker, whose supervisor tells those of all.
        has_traces: whether requests are served here.

    Raises:
        OSError: the authorities cannot be read.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        report: Callable[..., None],
        *,
        worker: int | None = None,
        families: Families | None = None,
        has_traces: bool = True,
    ) -> None:
        self.settings = settings
        self.spans: Exporter[Span] | None = None
        self.lines: Exporter[LogLine] | None = None
        self._scrapes: Exporter[tuple[int, list[Metric]]] | None = None
        self._sender = Sender(settings)
        self._families = families
        self._scraping: asyncio.Task[None] | None = None
        resource = resource_of(settings, worker)
        if has_traces and (url := settings.url_of("traces")) is not None:
            encode = span_messages.encoder(resource)
            self.spans = Exporter(url, self._sender, encode, span_messages.rejected, report)
        if (url := settings.url_of("logs")) is not None:
            encode_lines = log_messages.encoder(resource)
            self.lines = Exporter(url, self._sender, encode_lines, log_messages.rejected, report)
        if families is not None and (url := settings.url_of("metrics")) is not None:
            self._scrapes = Exporter(
                url,
                self._sender,
                metric_messages.encoder(resource, time.time_ns()),
                metric_messages.rejected,
                report,
                most=_MOST_SCRAPES,
            )

    def start(self) -> None:
        """Begin to send."""
        for _, exporter in self._exporters():
            exporter.start()
        if self._scrapes is not None:
            self._scraping = asyncio.get_running_loop().create_task(self._keep_scraping())

    def readings(self) -> Iterator[Reading]:
        """Yield how much of each signal was sent and dropped, and how much waits."""
        for signal, exporter in self._exporters():
            for figure, value in exporter.stats().items():
                yield figure, {"signal": signal}, value

    async def close(self) -> None:
        """Send what waits, the last metrics included, within a short time."""
        await stop(self._scraping)
        if self._scrapes is not None:
            await self._scrape()
        await asyncio.gather(*(exporter.close() for _, exporter in self._exporters()))
        await self._sender.close()

    def _exporters(self) -> "Iterator[tuple[str, Exporter[Any]]]":
        for signal, exporter in (("traces", self.spans), ("logs", self.lines), ("metrics", self._scrapes)):
            if exporter is not None:
                yield signal, exporter

    async def _keep_scraping(self) -> None:
        assert self.settings.metrics is not None
        while True:
            await asyncio.sleep(self.settings.metrics.interval)
            await self._scrape()

    async def _scrape(self) -> None:
        assert self._families is not None
        assert self._scrapes is not None
        try:
            async with asyncio.timeout(_SCRAPE_WITHIN):
                families = list(await self._families())
        except Exception:  # noqa: BLE001 - one scrape less; whoever cannot tell says so in gateway_source_up
            return
        self._scrapes.offer((time.time_ns(), families))
