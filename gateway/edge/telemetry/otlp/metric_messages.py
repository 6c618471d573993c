"""Metrics as OTLP's messages: the families of a scrape, cumulative since the start."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client.metrics_core import Metric

from gateway.edge.telemetry.otlp.resource import SCOPE, key_values

_CUMULATIVE: Final = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
_UNITS: Final = {"_seconds": "s", "_bytes": "By"}

Labels = tuple[tuple[str, str], ...]


def encoder(resource: Resource, started: int) -> "Callable[[list[tuple[int, list[Metric]]]], bytes]":
    """Return what makes one message of scrapes, each with its time; ``started`` is when counting began.

    Times are nanoseconds since the epoch.
    """

    def encode(scrapes: list[tuple[int, list[Metric]]]) -> bytes:
        made = [each for now, families in scrapes for each in _metrics(families, started, now)]
        scope = metrics_pb2.ScopeMetrics(scope=SCOPE, metrics=made)
        told = metrics_pb2.ResourceMetrics(resource=resource, scope_metrics=[scope])
        message: bytes = ExportMetricsServiceRequest(resource_metrics=[told]).SerializeToString()
        return message

    return encode


def rejected(answer: bytes) -> int:
    """Return how many points a collector has not taken. Raises where that is no answer."""
    return int(ExportMetricsServiceResponse.FromString(answer).partial_success.rejected_data_points)


def _metrics(families: Iterable[Metric], started: int, now: int) -> Iterator[metrics_pb2.Metric]:
    for family in families:
        unit = next((unit for end, unit in _UNITS.items() if family.name.endswith(end)), "")
        metric = metrics_pb2.Metric(name=family.name, description=family.documentation, unit=unit)
        if family.type == "histogram":
            metric.histogram.aggregation_temporality = _CUMULATIVE
            metric.histogram.data_points.extend(_distributions(family, started, now))
            told = bool(metric.histogram.data_points)
        elif family.type == "counter":
            metric.sum.aggregation_temporality = _CUMULATIVE
            metric.sum.is_monotonic = True
            metric.sum.data_points.extend(_numbers(family, started, now))
            told = bool(metric.sum.data_points)
        else:
            metric.gauge.data_points.extend(_numbers(family, 0, now))
            told = bool(metric.gauge.data_points)
        if told:
            yield metric


def _numbers(family: Metric, started: int, now: int) -> Iterator[metrics_pb2.NumberDataPoint]:
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield metrics_pb2.NumberDataPoint(
                attributes=key_values(dict(sample.labels)),
                start_time_unix_nano=started,
                time_unix_nano=now,
                as_double=float(sample.value),
            )


def _distributions(family: Metric, started: int, now: int) -> Iterator[metrics_pb2.HistogramDataPoint]:
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    sums: dict[Labels, float] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        key = tuple(labels.items())
        if sample.name.endswith("_bucket"):
            buckets.setdefault(key, []).append((float(sample.labels["le"]), float(sample.value)))
        elif sample.name.endswith("_sum"):
            sums[key] = float(sample.value)
    for key, found in buckets.items():
        found.sort()
        # a scrape's buckets count what is below as well
        counts = [
            int(count - before)
            for (_, count), before in zip(found, (0.0, *(each for _, each in found)), strict=False)
        ]
        yield metrics_pb2.HistogramDataPoint(
            attributes=key_values(dict(key)),
            start_time_unix_nano=started,
            time_unix_nano=now,
            count=sum(counts),
            sum=sums.get(key, 0.0),
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in found[:-1]],
        )
