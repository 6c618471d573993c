"""One view over the metrics of several processes.

Counters and histograms are summed, those of processes that have ended included, so that no total ever goes
backwards. A gauge is summed unless the catalogue says that the greatest or the least counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import add
from typing import Final, TypeAlias, cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

from gateway.edge.telemetry.metric_catalogue import Merge, merge_of
from gateway.syntax.encoding import Json

Snapshot: TypeAlias = "list[Json]"
"""Families as JSON: ``[name, type, help, [[sample, {label: value}, number], ...]]``."""

SUMMED_TYPES: Final = frozenset({"counter", "histogram"})
_MERGES: Final[Mapping[Merge, Callable[[float, float], float]]] = {"sum": add, "greatest": max, "least": min}

_Key: TypeAlias = "tuple[str, tuple[tuple[str, str], ...]]"


def snapshot(families: Iterable[Metric]) -> Snapshot:
    """Return families as JSON."""
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [[sample.name, dict(sample.labels), float(sample.value)] for sample in family.samples],
        ]
        for family in families
    ]


class _Family:
    """One family while it is put together."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self.merge = _MERGES[merge_of(name)]
        self.values: dict[_Key, float] = {}

    def add(self, key: _Key, value: float) -> None:
        known = self.values.get(key)
        self.values[key] = value if known is None else self.merge(known, value)


class Merged:
    """The metrics of all processes, dead ones' totals included."""

    def __init__(self) -> None:
        self._ended: dict[str, _Family] = {}

    def retire(self, last: Snapshot) -> None:
        """Keep the totals of a process that has ended."""
        totals = [family for family in last if cast("list[Json]", family)[1] in SUMMED_TYPES]
        _add(self._ended, totals)

    def render(self, living: Iterable[Snapshot]) -> tuple[bytes, str]:
        """Return the text of a scrape and its content type."""
        families: dict[str, _Family] = {}
        for each in living:
            _add(families, each)
        for name, ended in self._ended.items():
            family = families.setdefault(name, _Family(name, ended.kind, ended.text))
            for key, value in ended.values.items():
                family.add(key, value)
        # the registry is asked for nothing but its families
        return generate_latest(_Collected(families)), CONTENT_TYPE_LATEST


class _Collected:
    def __init__(self, families: Mapping[str, _Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families.values():
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.values.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


def _add(families: dict[str, _Family], more: Snapshot) -> None:
    for each in more:
        name, kind, text, samples = cast("tuple[str, str, str, list[Json]]", each)
        family = families.setdefault(name, _Family(name, kind, text))
        for sample in samples:
            sample_name, labels, value = cast("tuple[str, dict[str, str], float]", sample)
            family.add((sample_name, tuple(labels.items())), value)
