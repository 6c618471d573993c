"""Figures that a part of the gateway tells when it is asked, as metric families."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.edge.issuer import IssuerStats

Family: TypeAlias = Metric
Source: TypeAlias = "Callable[[], object]"

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_SERVER: Final = re.compile(
    r"upstream_(?P<upstream>.+)_server_(?P<server>[0-9]{1,2})_(?P<figure>healthy|breaker|busy)"
)
_POOL: Final = re.compile(r"upstream_(?P<upstream>.+)_(?P<state>open|idle|waiting|uploading|gathering)")

_COUNTERS: Final = frozenset(
    f"gateway_denylist_{figure}" for figure in ("resyncs", "reconnects", "garbage", "failures")
)
HELP: Final = {
    "gateway_store_up": "Whether the store answers.",
    "gateway_denylist_entries": "Entries in this process' denylist replica.",
    "gateway_denylist_seq": "The last entry of the denylist's log that was read.",
    "gateway_denylist_staleness_seconds": "Seconds since the replica was last known to be complete.",
    "gateway_denylist_lag_seconds": "Seconds from the writing of the last entry to its arrival here.",
    "gateway_denylist_unwritten": "Entries that are known here and that the store does not hold yet.",
    "gateway_denylist_resyncs_total": "Times that the replica was read anew.",
    "gateway_denylist_reconnects_total": "Times that the connection that follows the log was made anew.",
    "gateway_denylist_failures_total": "Failed attempts to follow the denylist's log.",
    "gateway_denylist_garbage_total": "Items of the log that are no entries.",
    "gateway_http_client_connections": "Open connections of clients.",
    "gateway_http_requests_in_flight": "Requests that have begun and not ended.",
    "gateway_http_connections_refused_per_address_total": "Connections refused to addresses with too many.",
    "gateway_http_tls_handshakes": "TLS handshakes under way.",
    "gateway_http_tls_handshakes_failed_total": "TLS handshakes that led to no connection.",
    "gateway_http_tls_certificate_expires_seconds": "When the first certificate expires, since the epoch.",
    "gateway_http_tls_certificate_reloads_total": "Times that changed certificate files were taken over.",
    "gateway_http_tunnels": "Open WebSockets and other upgraded connections.",
    "gateway_http_upstream_server_breaker": "Whether a server's breaker is open; by its place in the list.",
    "gateway_http_upstream_server_busy": "Requests at a server, connections being opened included.",
    "gateway_http_upstream_server_healthy": "Whether a server's health checks say that it is well.",
    "gateway_http_upstream_connections": "Connections open and idle, and requests by what they wait for.",
    "gateway_long_lived_open": "Open tunnels, streams and other long exchanges that serve somebody.",
    "gateway_issuer_jwks_age_seconds": "Seconds since the provider's keys were last fetched.",
    "gateway_issuer_calls_total": "Calls to a provider by call and outcome.",
    "gateway_rate_limit_callers": "Callers that this process remembers for rate limits.",
    "gateway_rate_limit_unshared_total": "Requests of shared limits counted without the store.",
    "gateway_workers_configured": "Workers that are to run.",
    "gateway_workers_ready": "Workers that serve.",
    "gateway_workers_restarts_total": "Workers that have ended unasked.",
    "gateway_reload_applied_total": "Configurations that were taken over while running.",
    "gateway_reload_refused_total": "Configurations that were refused while running.",
    "gateway_log_dropped_lines_total": "Log lines that nobody took.",
    "gateway_log_waiting_bytes": "Bytes of log lines that wait to be written.",
}


def families_of(name: str, source: Source) -> list[Family] | None:
    """Return the families of one source, or None where it fails.

    A source returns numbers by figure (a mapping or a dataclass), or ``IssuerStats`` by provider. Figures
    that end in ``_total`` are counters. What is no number is left out, as is a figure whose name would be no
    metric name. ``upstream_<name>_<state>`` becomes one family with both as labels, and
    ``upstream_<name>_server_<place>_<figure>`` one for each figure.
    """
    try:
        told = source()
        if is_dataclass(told) and not isinstance(told, type):
            told = asdict(told)
        if not isinstance(told, Mapping):
            return None
        issuers = {str(key): value for key, value in told.items() if isinstance(value, IssuerStats)}
        if issuers:
            return list(_issuer_families(name, issuers))
        return list(_plain_families(name, told))
    except Exception:  # noqa: BLE001 - one part that cannot count must not hide all the others
        return None


def _plain_families(name: str, told: Mapping[object, object]) -> Iterator[Family]:
    pools: CounterMetricFamily | GaugeMetricFamily | None = None
    servers: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for figure, value in told.items():
        if not isinstance(figure, str) or not isinstance(value, int | float):
            continue
        if (server := _SERVER.fullmatch(figure)) is not None:
            told_of = f"gateway_{name}_upstream_server_{server['figure']}"
            family = servers.setdefault(told_of, _family(told_of, ["upstream", "server"]))
            family.add_metric([server["upstream"], server["server"]], float(value))
        elif (pool := _POOL.fullmatch(figure)) is not None:
            pools = pools or _family(f"gateway_{name}_upstream_connections", ["upstream", "state"])
            pools.add_metric([pool["upstream"], pool["state"]], float(value))
        elif _NAME.fullmatch(figure) is not None:
            family = _family(f"gateway_{name}_{figure}", [])
            family.add_metric([], float(value))
            yield family
    if pools is not None:
        yield pools
    yield from servers.values()


def _family(name: str, labels: list[str]) -> CounterMetricFamily | GaugeMetricFamily:
    if name in _COUNTERS:
        name += "_total"
    text = HELP.get(name, name.removeprefix("gateway_").replace("_", " ") + ".")
    if name.endswith("_total"):
        return CounterMetricFamily(name.removesuffix("_total"), text, labels=labels)
    return GaugeMetricFamily(name, text, labels=labels)


def _issuer_families(name: str, issuers: Mapping[str, IssuerStats]) -> Iterator[Family]:
    age = _family(f"gateway_{name}_jwks_age_seconds", ["provider"])
    calls = _family(f"gateway_{name}_calls_total", ["provider", "call", "outcome"])
    for provider, stats in issuers.items():
        if stats.jwks_age is not None:
            age.add_metric([provider], stats.jwks_age)
        for (call, outcome), count in stats.calls.items():
            calls.add_metric([provider, call, outcome], count)
    yield from (age, calls)
