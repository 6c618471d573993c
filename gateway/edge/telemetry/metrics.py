"""Metrics: counted in plain Python on the hot path, told in Prometheus' text format at scrape time.

Label values are bounded: routes, upstreams and providers come from the configuration, reasons from the
vocabulary, events from the program. Nothing that a client sends becomes a label.
"""

import platform
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

import gateway
from gateway.core.outcome import Kind, Outcome
from gateway.core.reasons import Reason
from gateway.edge.telemetry.exposition import expose
from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from gateway.edge.telemetry.metric_sources import Family, Source, families_of

OWN_BOUNDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
UPSTREAM_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_LEAST_OWN: Final = OWN_BOUNDS[0]
_LEAST_UPSTREAM: Final = UPSTREAM_BOUNDS[0]
_MOST_SERIES: Final = 20_000
_OTHER: Final = "other"
_REASONS: Final = frozenset(Reason)

# (family, outcome) of the audit events that have a family of their own
_EVENTS: Final = {
    "refresh": ("refreshes", "renewed"),
    "refresh_failed": ("refreshes", "failed"),
    "refresh_postponed": ("refreshes", "postponed"),
    "reuse_detected": ("refreshes", "reuse_detected"),
    "site_join": ("site_joins", "completed"),
    "site_refused": ("site_joins", "failed"),
    "logout": ("logouts", "completed"),
    "revocation": ("revocations", "written"),
    "stream_ended": ("streams_ended", "ended"),
}
SeriesKey: TypeAlias = "tuple[str, str, Reason, int]"


class Histogram:
    """Counts by upper bound (the last for everything beyond), and the sum of what was observed."""

    __slots__ = ("counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0


class Series:
    """What is counted for one route, decision, reason and class of status."""

    __slots__ = ("bytes_in", "bytes_out", "count", "own")

    def __init__(self, own: Histogram) -> None:
        self.count = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.own = own


class Counters:
    """Where requests of one kind are counted; ``upstream`` is None where they went to none."""

    __slots__ = ("series", "times", "upstream")

    def __init__(self, series: Series, upstream: str | None) -> None:
        self.series = series
        self.upstream = upstream
        # a histogram that nothing was observed for is not told of
        self.times: Histogram | None = None


class Metrics(Collector):
    """Everything that is counted, and the text that a scrape gets."""

    def __init__(self) -> None:
        self._series: dict[SeriesKey, Series] = {}
        self._own: dict[str, Histogram] = {}
        self._upstream: dict[str, Histogram] = {}
        self._faults: dict[str, int] = {}
        # a rate needs a value from before the first event
        self._events: dict[tuple[str, str], int] = {
            ("logout", Reason.LOGGED_OUT.value): 0,
            ("refresh", ""): 0,
            ("reuse_detected", ""): 0,
            ("revocation", ""): 0,
            ("stream_ended", Reason.REVOKED.value): 0,
        }
        self._logins: dict[tuple[str, str, str], int] = {("completed", "", Reason.LOGIN_COMPLETED.value): 0}
        self._sources: dict[str, Source] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(namespace="gateway", registry=self._registry)

    def counters(self, kind: Kind) -> Counters:
        """Return where requests of a kind are counted."""
        _, _, route, decision, reason, status, upstream = kind
        key = (route, decision, reason, status // 100)
        return Counters(self._series.get(key) or self._add(key), upstream)

    def observe(self, outcome: Outcome, counters: Counters) -> None:
        """Count one finished request. On the hot path: no lock, no call, no label object."""
        series = counters.series
        own = series.own
        series.count += 1
        series.bytes_in += outcome.bytes_in
        series.bytes_out += outcome.bytes_out
        seconds = outcome.gateway_seconds
        # most are in the first bucket
        own.counts[0 if seconds <= _LEAST_OWN else bisect_left(OWN_BOUNDS, seconds)] += 1
        own.sum += seconds
        taken = outcome.upstream_seconds
        if taken is not None and counters.upstream is not None:
            times = counters.times
            if times is None:
                times = counters.times = self._upstream.setdefault(
                    counters.upstream, Histogram(UPSTREAM_BOUNDS)
                )
            times.counts[0 if taken <= _LEAST_UPSTREAM else bisect_left(UPSTREAM_BOUNDS, taken)] += 1
            times.sum += taken
        if outcome.fault is not None:
            self._faults[outcome.fault] = self._faults.get(outcome.fault, 0) + 1

    def expect_logins(self, providers: Iterable[str]) -> None:
        """Begin to count the logins of these providers, from nought."""
        for provider in providers:
            self._logins.setdefault(("completed", provider, Reason.LOGIN_COMPLETED.value), 0)

    def event(
        self, event: str, reason: object = None, provider: object = None, *, repeated: bool = False
    ) -> None:
        """Count an audit event; a reason that is no word of the vocabulary counts as none.

        ``provider`` is by its configured name: logins are counted by it. ``repeated``: another login has
        begun by itself, so that this one neither failed nor succeeded.
        """
        word = str(reason) if isinstance(reason, str) and reason in _REASONS else ""
        if event == "login":
            outcome = "completed" if word == Reason.LOGIN_COMPLETED else "failed"
            login = ("repeated" if repeated else outcome, str(provider or ""), word)
            self._logins[login] = self._logins.get(login, 0) + 1
            return
        key = (event, word)
        if key not in self._events and len(self._events) >= _MOST_SERIES:
            key = (_OTHER, "")
        self._events[key] = self._events.get(key, 0) + 1

    def register(self, name: str, source: Source) -> None:
        """Ask ``source`` at each scrape; its figures become ``gateway_<name>_<figure>``, as in the catalogue.

        A source that fails costs its own figures only.
        """
        self._sources[name] = source

    def families(self) -> Iterator[Family]:
        """Return the families of a scrape."""
        return iter(self._registry.collect())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text of a scrape and its content type, as an Accept field asks for it."""
        return expose(self._registry, accept)

    def describe(self) -> Iterable[Family]:
        """Promise nothing: families appear at scrape time."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Make the families of one scrape."""
        yield _build_info()
        yield from self._requests()
        yield from self._times()
        yield from self._happened()
        up = GaugeMetricFamily("gateway_source_up", _text("gateway_source_up"), labels=["source"])
        for name, source in self._sources.items():
            families = families_of(name, source)
            up.add_metric([name], 0.0 if families is None else 1.0)
            yield from families or ()
        yield up

    def _requests(self) -> Iterator[Family]:
        requests = _counter("requests", ["route", "decision", "reason", "status"])
        received = _counter("request_body_bytes", ["route"])
        sent = _counter("response_body_bytes", ["route"])
        volume: dict[str, tuple[int, int]] = {}
        for (route, decision, reason, status), series in self._series.items():
            requests.add_metric([route, decision, reason, f"{status}xx"], series.count)
            before_in, before_out = volume.get(route, (0, 0))
            volume[route] = (before_in + series.bytes_in, before_out + series.bytes_out)
        for route, (bytes_in, bytes_out) in volume.items():
            received.add_metric([route], bytes_in)
            sent.add_metric([route], bytes_out)
        yield from (requests, received, sent)

    def _times(self) -> Iterator[Family]:
        yield _histogram(
            "gateway_own_seconds",
            "decision",
            OWN_BOUNDS,
            self._own,
        )
        yield _histogram(
            "gateway_upstream_seconds",
            "upstream",
            UPSTREAM_BOUNDS,
            self._upstream,
        )
        faults = _counter("request_faults", ["source"])
        for source, count in self._faults.items():
            faults.add_metric([source], count)
        yield faults

    def _happened(self) -> Iterator[Family]:
        families = {name: _counter(name, ["outcome", "reason"]) for name, _ in _EVENTS.values()}
        others = _counter("audit_events", ["event"])
        counted: dict[str, int] = {}
        for (event, reason), count in self._events.items():
            if event in _EVENTS:
                family, outcome = _EVENTS[event]
                families[family].add_metric([outcome, reason], count)
            else:
                counted[event] = counted.get(event, 0) + count
        logins = _counter("logins", ["outcome", "provider", "reason"])
        for labels, count in self._logins.items():
            logins.add_metric(labels, count)
        yield logins
        for event, count in counted.items():
            others.add_metric([event], count)
        yield from families.values()
        yield others

    def _add(self, key: SeriesKey) -> Series:
        if len(self._series) >= _MOST_SERIES:
            key = (_OTHER, key[1], key[2], key[3])
            if key in self._series:
                return self._series[key]
        own = self._own.setdefault(key[1], Histogram(OWN_BOUNDS))
        return self._series.setdefault(key, Series(own))


def _text(name: str) -> str:
    return CATALOGUE[name].text


def _counter(name: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"gateway_{name}", _text(f"gateway_{name}_total"), labels=labels)


def _histogram(name: str, label: str, bounds: tuple[float, ...], found: Mapping[str, Histogram]) -> Family:
    family = HistogramMetricFamily(name, _text(name), labels=[label])
    edges = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    for value, histogram in found.items():
        buckets = list(zip(edges, accumulate(histogram.counts), strict=True))
        family.add_metric([value], buckets, histogram.sum)
    return family


def _build_info() -> Family:
    family = GaugeMetricFamily(
        "gateway_build_info", _text("gateway_build_info"), labels=["version", "python"]
    )
    family.add_metric([gateway.__version__, platform.python_version()], 1.0)
    return family
