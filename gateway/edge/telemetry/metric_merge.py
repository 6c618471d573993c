"""One view over the metrics of several processes.

Counters and histograms are summed, those of processes that have ended included, so that no total ever goes
backwards. A gauge is summed unless the catalogue says that the greatest or the least counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import add
from typing import Final, TypeAlias, cast

from prometheus_client.metrics_core import Metric

from gateway.edge.telemetry.exposition import expose
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


class Samples:
    """Samples by their names, for whoever looks at single ones."""

    def __init__(self, families: "Iterable[_Family]") -> None:
        self._found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in families:
            for (name, labels), value in family.values.items():
                self._found.setdefault(name, []).append((dict(labels), value))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a sample's values where its labels are these, 0 where there are none."""
        return sum(value for found, value in self.all(name) if labels.items() <= found.items())

    def least(self, name: str, otherwise: float, **labels: str) -> float:
        """Return the least of a sample's values where its labels are these, else ``otherwise``."""
        found = (value for each, value in self.all(name) if labels.items() <= each.items())
        return min(found, default=otherwise)

    def all(self, name: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """Return the values of a sample, each with its labels."""
        return self._found.get(name, ())

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the sums of a sample's values by some of its labels."""
        sums: dict[tuple[str, ...], float] = {}
        for found, value in self.all(name):
            key = tuple(found.get(label, "") for label in labels)
            sums[key] = sums.get(key, 0.0) + value
        return sums


class Merged:
    """The metrics of all processes, dead ones' totals included."""

    def __init__(self) -> None:
        self._ended: dict[str, _Family] = {}

    def retire(self, last: Snapshot) -> None:
        """Keep the totals of a process that has ended."""
        totals = [family for family in last if cast("list[Json]", family)[1] in SUMMED_TYPES]
        _add(self._ended, totals)

    def render(self, living: Iterable[Snapshot], accept: str = "") -> tuple[bytes, str]:
        """Return the text of a scrape and its content type, as an Accept field asks for it."""
        return expose(_Collected(self._merge(living)), accept)

    def families(self, living: Iterable[Snapshot]) -> Iterable[Metric]:
        """Return the families of all processes as one."""
        return _Collected(self._merge(living)).collect()

    def samples(self, living: Iterable[Snapshot]) -> Samples:
        """Return what a scrape would tell, to be looked at."""
        return Samples(self._merge(living).values())

    def _merge(self, living: Iterable[Snapshot]) -> "dict[str, _Family]":
        families: dict[str, _Family] = {}
        for each in living:
            _add(families, each)
        for name, ended in self._ended.items():
            family = families.setdefault(name, _Family(name, ended.kind, ended.text))
            for key, value in ended.values.items():
                family.add(key, value)
        return families


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
