"""What is counted, and the text that a scrape gets."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.outcome import Outcome
from gateway.core.reasons import Reason
from gateway.edge.providers.stats import ProviderStats
from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from gateway.edge.telemetry.metric_sources import provider_readings
from gateway.edge.telemetry.metrics import OWN_BOUNDS, Metrics
from tests.support.pure import identity

KIND = {
    "method": b"GET",
    "host": b"host.example",
    "route": "orders",
    "decision": "forward",
    "reason": Reason.AUTHENTICATED,
    "status": 200,
    "upstream": "app",
}
OUTCOME = Outcome(
    tuple(KIND.values()),
    "/secret-path",
    "203.0.113.9",
    "id",
    0.0003,
    0.05,
    upstream_seconds=0.04,
    bytes_in=3,
    bytes_out=5,
    identity=identity(issuer="https://idp"),
)


def observe(metrics: Metrics, **changes) -> None:
    """Count the outcome with changes, wherever they belong."""
    kind = tuple((KIND | {name: changes.pop(name) for name in KIND if name in changes}).values())
    metrics.observe(replace(OUTCOME, kind=kind, **changes), metrics.counters(kind))


DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of a scrape, read by the client library's own parser."""
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, tuple(sorted(labels.items()))]


def test_requests_are_counted_by_what_happened():
    """Route, decision, reason and class of status; bytes by route; faults by whose they were."""
    metrics = Metrics()
    for _ in range(3):
        observe(metrics)
    observe(metrics, status=404)
    observe(
        metrics,
        decision="refuse",
        reason=Reason.REVOKED,
        status=401,
        upstream=None,
        upstream_seconds=None,
    )
    observe(metrics, reason=Reason.UPSTREAM_ABORTED, status=502, fault="upstream")
    labels = {"route": "orders", "decision": "forward", "reason": "authenticated"}
    assert value(metrics, "gateway_requests_total", status="2xx", **labels) == 3
    assert value(metrics, "gateway_requests_total", status="4xx", **labels) == 1
    assert (
        value(
            metrics,
            "gateway_requests_total",
            route="orders",
            decision="refuse",
            reason="revoked",
            status="4xx",
        )
        == 1
    )
    assert value(metrics, "gateway_request_body_bytes_total", route="orders") == 18
    assert value(metrics, "gateway_response_body_bytes_total", route="orders") == 30
    assert value(metrics, "gateway_request_faults_total", source="upstream") == 1
    assert value(metrics, "gateway_upstream_seconds_count", upstream="app") == 5
    assert value(metrics, "gateway_upstream_seconds_sum", upstream="app") == pytest.approx(0.2)
    assert value(metrics, "gateway_own_seconds_count", decision="forward") == 5


@given(st.lists(st.floats(min_value=0, max_value=100) | st.sampled_from(OWN_BOUNDS), min_size=1, max_size=50))
def test_histograms_are_cumulative_and_bounds_inclusive(times):
    """``le`` means at most: each bucket holds everything up to and including its bound, the last one all."""
    metrics = Metrics()
    for seconds in times:
        observe(metrics, gateway_seconds=seconds)
    found = samples(metrics)
    for bound in OWN_BOUNDS:
        key = ("gateway_own_seconds_bucket", (("decision", "forward"), ("le", repr(float(bound)))))
        assert found[key] == sum(each <= bound for each in times)
    assert found["gateway_own_seconds_bucket", (("decision", "forward"), ("le", "+Inf"))] == len(times)
    assert found["gateway_own_seconds_sum", (("decision", "forward"),)] == pytest.approx(sum(times))


@pytest.mark.parametrize(
    ("event", "reason", "name", "labels"),
    [
        ("refresh", None, "gateway_refreshes_total", {"outcome": "renewed", "reason": ""}),
        (
            "refresh_failed",
            Reason.SESSION_ENDED,
            "gateway_refreshes_total",
            {"outcome": "failed", "reason": "session_ended"},
        ),
        (
            "refresh_postponed",
            "issuer_unavailable",
            "gateway_refreshes_total",
            {"outcome": "postponed", "reason": "issuer_unavailable"},
        ),
        ("reuse_detected", None, "gateway_refreshes_total", {"outcome": "reuse_detected", "reason": ""}),
        (
            "login",
            Reason.LOGIN_COMPLETED,
            "gateway_logins_total",
            {"outcome": "completed", "provider": "", "reason": "login_completed"},
        ),
        (
            "login",
            Reason.LOGIN_LOOP,
            "gateway_logins_total",
            {"outcome": "failed", "provider": "", "reason": "login_loop"},
        ),
        (
            "logout",
            Reason.LOGGED_OUT,
            "gateway_logouts_total",
            {"outcome": "completed", "reason": "logged_out"},
        ),
        ("revocation", None, "gateway_revocations_total", {"outcome": "written", "reason": ""}),
        ("refusal", Reason.REVOKED, "gateway_audit_events_total", {"event": "refusal"}),
        (
            "refresh",
            "whatever a client sent",
            "gateway_refreshes_total",
            {"outcome": "renewed", "reason": ""},
        ),
        ("refresh", ["x"], "gateway_refreshes_total", {"outcome": "renewed", "reason": ""}),
    ],
)
def test_audit_events(event, reason, name, labels):
    """Each audit event counts in its family, under a word of the vocabulary or none."""
    metrics = Metrics()
    metrics.event(event, reason)
    metrics.event(event, reason)
    assert value(metrics, name, **labels) == 2


def test_rates_have_a_beginning():
    """What should be rare is there with zero before it happens: a rate needs a first value."""
    metrics = Metrics()
    for name in (
        "gateway_refreshes_total",
        "gateway_logins_total",
        "gateway_logouts_total",
        "gateway_revocations_total",
    ):
        assert {each for (found, _), each in samples(metrics).items() if found == name} == {0}


def test_r16_nothing_of_a_request_is_a_label():
    """R16: path, host, method, client, subject and issuer are in no label, and none adds a series."""
    metrics = Metrics()
    observe(metrics)
    before = len(samples(metrics))
    for index in range(50):
        observe(
            metrics,
            method=b"M%d" % index,
            host=b"h%d" % index,
            path=f"/p{index}",
            client=f"c{index}",
            identity=identity(subject=f"s{index}"),
        )
    assert len(samples(metrics)) == before
    text = metrics.render()[0].decode()
    for word in ("secret-path", "host.example", "203.0.113.9", "alice", "https://idp", "GET"):
        assert word not in text


def test_series_are_bounded(monkeypatch):
    """Should a route ever come from elsewhere, memory still stays bounded: the rest counts as ``other``."""
    monkeypatch.setattr("gateway.edge.telemetry.metrics._MOST_SERIES", 10)
    metrics = Metrics()
    for index in range(100):
        observe(metrics, route=f"r{index}")
        metrics.event(f"e{index}")
    counted = {
        labels: each for (name, labels), each in samples(metrics).items() if name == "gateway_requests_total"
    }
    assert len(counted) == 11
    assert sum(counted.values()) == 100
    assert value(metrics, "gateway_audit_events_total", event="other") > 0


def test_sources_are_asked_at_each_scrape():
    """Figures become what the catalogue says of them, with or without labels, and are asked for anew."""
    metrics = Metrics()
    told = {"up": 1.0}
    metrics.register("store", lambda: told)
    metrics.register("denylist", lambda: {"entries": 7, "resyncs": 2, "lag_seconds": 0.5})
    assert value(metrics, "gateway_store_up") == 1
    assert value(metrics, "gateway_denylist_entries") == 7
    assert value(metrics, "gateway_denylist_resyncs_total") == 2
    told["up"] = 0.0
    assert value(metrics, "gateway_store_up") == 0


@pytest.mark.parametrize("name", ["api-1", "API_1", 'a"b\\c\n', "é", "_server_0_healthy", "a_open"])
def test_a_label_is_the_configured_name(name):
    """[1.25] Whatever an upstream is called, its name is told as it is, and similar ones stay apart."""
    metrics = Metrics()
    others = ["api_1", "api.1", name]
    metrics.register(
        "http",
        lambda: [
            ("upstream_connections", {"upstream": each, "state": "open"}, place)
            for place, each in enumerate(others)
        ],
    )
    for place, each in enumerate(others):
        assert value(metrics, "gateway_http_upstream_connections", upstream=each, state="open") == place


def test_what_the_catalogue_lacks_is_told_as_a_fault():
    """[1.25] A figure without a meaning is our mistake, and shows."""
    metrics = Metrics()
    metrics.register("store", lambda: {"up": 1.0, "made_up": 2.0})
    assert value(metrics, "gateway_source_up", source="store") == 0


def test_providers():
    """Age of the keys and calls by outcome; a provider that was never asked has no age."""
    metrics = Metrics()
    stats = {
        "a": ProviderStats(12.5, {("jwks", "ok"): 2, ("token", "failed"): 1}),
        "b": ProviderStats(None, {}),
    }
    metrics.register("issuer", lambda: provider_readings(stats))
    assert value(metrics, "gateway_issuer_jwks_age_seconds", provider="a") == 12.5
    assert value(metrics, "gateway_issuer_calls_total", provider="a", call="token", outcome="failed") == 1
    assert ("gateway_issuer_jwks_age_seconds", (("provider", "b"),)) not in samples(metrics)


@pytest.mark.parametrize(
    "broken", [lambda: 1 / 0, lambda: None, lambda: [1], lambda: {1: 2}, lambda: {"up": "x"}]
)
def test_a_broken_source_hides_nothing_else(broken):
    """A part that cannot tell costs its own figures; that it failed is told."""
    metrics = Metrics()
    metrics.register("broken", broken)
    metrics.register("store", lambda: {"up": 1.0})
    observe(metrics)
    assert value(metrics, "gateway_store_up") == 1
    assert value(metrics, "gateway_source_up", source="store") == 1
    assert value(metrics, "gateway_own_seconds_count", decision="forward") == 1
    assert ("gateway_source_up", (("source", "broken"),)) in samples(metrics)


def test_every_name_is_ours_and_documented():
    """[1.25] Every metric of the catalogue stands in docs/metrics.md with its type, and no other does."""
    documented = dict(re.findall(r"^\| `(gateway_[a-z_]+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE))
    process = {name: documented.pop(name) for name in [*documented] if name.startswith("gateway_process_")}
    assert documented == {name: meaning.type for name, meaning in CATALOGUE.items()}
    assert all(meaning.text.endswith(".") for meaning in CATALOGUE.values())
    told = {family.name: family.type for family in Metrics().families()}
    for name, kind in process.items():
        assert told[name.removesuffix("_total")] == kind
