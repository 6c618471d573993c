"""Figures that a part of the gateway tells when it is asked, as metric families."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.edge.providers.stats import ProviderStats
from gateway.edge.telemetry.metric_catalogue import CATALOGUE

Family: TypeAlias = Metric
Labels: TypeAlias = Mapping[str, str]
Reading: TypeAlias = tuple[str, Labels, float]
"""A figure's name within its source, its labels, and its value. Label values are the configured names."""

Source: TypeAlias = "Callable[[], Mapping[str, float] | Iterable[Reading]]"

NO_LABELS: Final[Labels] = {}


def families_of(name: str, source: Source) -> list[Family] | None:
    """Return the families of one source, or None where it fails.

    A source returns readings, or numbers by figure where none has labels. The figure ``x`` of the source
    ``s`` is the metric ``gateway_s_x``, or ``gateway_s_x_total`` where the catalogue has that one. A figure
    that the catalogue lacks is a mistake of ours, and fails the source.
    """
    try:
        told = source()
        readings = (
            ((each, NO_LABELS, value) for each, value in told.items()) if isinstance(told, Mapping) else told
        )
        families: dict[str, tuple[CounterMetricFamily | GaugeMetricFamily, list[str]]] = {}
        for figure, labels, value in readings:
            known = families.get(figure)
            if known is None:
                names = list(labels)
                known = families[figure] = (_family(f"gateway_{name}_{figure}", names), names)
            family, names = known
            family.add_metric([labels[label] for label in names], float(value))
        return [family for family, _ in families.values()]
    except Exception:  # noqa: BLE001 - one part that cannot count must not hide all the others
        return None


def provider_readings(told: Mapping[str, ProviderStats]) -> Iterator[Reading]:
    """Yield the figures of each provider by name."""
    for provider, stats in told.items():
        if stats.up is not None:
            yield "up", {"provider": provider}, float(stats.up)
        if stats.keys is not None:
            yield "keys", {"provider": provider}, stats.keys
            yield "keys_left_out", {"provider": provider}, stats.keys_left_out
        if stats.jwks_age is not None:
            yield "jwks_age_seconds", {"provider": provider}, stats.jwks_age
        for (call, outcome), count in stats.calls.items():
            yield "calls", {"provider": provider, "call": call, "outcome": outcome}, count


def _family(name: str, labels: list[str]) -> CounterMetricFamily | GaugeMetricFamily:
    if name not in CATALOGUE:
        name += "_total"
    about = CATALOGUE[name]
    if about.type == "counter":
        return CounterMetricFamily(name.removesuffix("_total"), about.text, labels=labels)
    return GaugeMetricFamily(name, about.text, labels=labels)
