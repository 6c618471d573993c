"""Settings of telemetry: traces, metrics and logs that are sent by OTLP over HTTP."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.settings.base import Duration, Model, Secret, Text, as_duration, no_truth


class TraceSettings(Model):
    """Traces; absent: none, and ``traceparent`` passes like any field."""

    endpoint: Text | None = None
    """The whole URL that takes this signal; absent: ``telemetry.endpoint`` with the usual path."""
    sample: Annotated[float, Field(ge=0, le=1), BeforeValidator(no_truth)] = 0.1
    """The share of the traces that begin here which are recorded; what goes on from others is as they say."""
    continue_from: Literal["nobody", "trusted_proxies", "anybody"] = "trusted_proxies"
    """Whose ``traceparent`` is gone on from; that of others is dropped, and a trace begins here."""


class MetricSettings(Model):
    """The metrics of the admin listener; absent: they are scraped alone."""

    endpoint: Text | None = None
    """The whole URL that takes this signal; absent: ``telemetry.endpoint`` with the usual path."""
    interval: Annotated[float, Field(ge=1, le=3600), as_duration] = 60.0
    """How often they are sent."""


class LogExportSettings(Model):
    """The log's lines; absent: they go where ``log`` says alone."""

    endpoint: Text | None = None
    """The whole URL that takes this signal; absent: ``telemetry.endpoint`` with the usual path."""


class TelemetrySettings(Model):
    """OpenTelemetry (needs the extra ``otel``): what is sent to a collector, beside logs and ``/metrics``."""

    endpoint: Text | None = None
    """The collector's URL, such as ``http://127.0.0.1:4318``; ``/v1/traces`` and so on are added to it."""
    headers: dict[Text, Secret] = Field(default_factory=dict, max_length=16)
    """Header fields of every message to it, such as an API key."""
    ca_file: Text | None = None
    """PEM file of the authorities that it is trusted by, instead of the system's."""
    timeout: Duration = 10.0
    """The longest time that it may take to answer."""
    service_name: Text = "token-gateway"
    """What this gateway is called there (``service.name``)."""
    attributes: dict[Text, Text] = Field(default_factory=dict, max_length=32)
    """More about it, such as ``deployment.environment.name: production``; told with everything."""
    traces: TraceSettings | None = None
    """Traces of requests; absent: none."""
    metrics: MetricSettings | None = None
    """Metrics; absent: scraped alone."""
    logs: LogExportSettings | None = None
    """Log lines; absent: not sent."""

    def url_of(self, signal: Literal["traces", "metrics", "logs"]) -> str | None:
        """Return where a signal is sent to, None where it is not sent, empty where nobody says where."""
        section: TraceSettings | MetricSettings | LogExportSettings | None = getattr(self, signal)
        if section is None:
            return None
        if section.endpoint is not None:
            return section.endpoint
        return f"{self.endpoint.rstrip('/')}/v1/{signal}" if self.endpoint is not None else ""
