"""One view over the metrics of several processes."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.outcome import Kind, Outcome
from gateway.core.reasons import Reason
from gateway.edge.telemetry.metric_merge import Merged, snapshot
from gateway.edge.telemetry.metrics import Metrics


def told(*, requests: float = 0.0, gauge: float = 0.0, name: str = "gateway_http_tunnels"):
    """Return what a process tells, as it comes over the channel."""
    counter = CounterMetricFamily("gateway_requests", "Requests.", labels=["route"])
    counter.add_metric(['a "route"\n'], requests)
    histogram = HistogramMetricFamily("gateway_own_seconds", "Time.", labels=["decision"])
    histogram.add_metric(["forward"], [("0.1", requests), ("+Inf", requests)], requests / 10)
    family = GaugeMetricFamily(name, "Gauge.")
    family.add_metric([], gauge)
    return json.loads(json.dumps(snapshot([counter, histogram, family])))


def values(text: bytes) -> dict[tuple, float]:
    """Return the samples of a scrape; fails where it is not the text format."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counters_and_histograms_are_summed():
    """Sums over the living and the dead; labels of any text survive."""
    merged = Merged()
    merged.retire(told(requests=5, gauge=9))
    text, kind = merged.render([told(requests=1, gauge=2), told(requests=2, gauge=3)])
    found = values(text)
    assert found["gateway_requests_total", 'a "route"\n'] == 8
    assert found["gateway_own_seconds_bucket", "forward", "0.1"] == 8
    assert found["gateway_own_seconds_count", "forward"] == 8
    assert found["gateway_own_seconds_sum", "forward"] == 0.8
    assert found["gateway_http_tunnels",] == 5
    assert kind.startswith("text/plain")


def test_gauges_by_their_meaning():
    """The stalest replica and the oldest keys count, and a store that one process cannot reach is down."""
    for name, expected in (("gateway_denylist_staleness_seconds", 7), ("gateway_store_up", 0)):
        found = values(Merged().render([told(gauge=0, name=name), told(gauge=7, name=name)])[0])
        assert found[name,] == expected
    found = values(Merged().render([told(gauge=float("inf"), name="gateway_denylist_staleness_seconds")])[0])
    assert found["gateway_denylist_staleness_seconds",] == float("inf")


def test_totals_outlive_every_process():
    """With no process left the totals are still told; gauges are not."""
    merged = Merged()
    merged.retire(told(requests=5, gauge=9))
    found = values(merged.render([])[0])
    assert found["gateway_requests_total", 'a "route"\n'] == 5
    assert ("gateway_http_tunnels",) not in found


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), max_size=30))
@settings(max_examples=50)
def test_totals_never_go_backwards(steps: list[tuple[int, int, bool]]):
    """Whatever three processes count and whenever one dies and begins at zero: the total only grows."""
    merged, living, before = Merged(), [0.0, 0.0, 0.0], 0.0
    for process, more, dies in steps:
        living[process] += more
        if dies:
            merged.retire(told(requests=living[process]))
            living[process] = 0.0
        found = values(merged.render([told(requests=each) for each in living])[0])
        total = found["gateway_requests_total", 'a "route"\n']
        assert total >= before + more
        before = total


def test_the_view_of_one_process_is_its_own():
    """What a process tells by itself and what is told for it alone are the same samples."""
    metrics = Metrics()
    kind: Kind = (b"GET", b"h", "r", "forward", Reason.LOGGED_OUT, 200, "app")
    metrics.observe(Outcome(kind, "/", "c", "1", 0.01, 0.02, 0.01), metrics.counters(kind))
    own = values(metrics.render()[0])
    merged = values(Merged().render([snapshot(metrics.families())])[0])
    assert merged.keys() == own.keys()
    assert merged["gateway_requests_total", "forward", "logged_out", "r", "2xx"] == 1
