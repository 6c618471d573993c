"""Every metric by name: its type, what it means, and how the values of several processes become one.

The names are those of the text format, so counters end in ``_total``. ``gateway_process_*`` comes from the
client library; here is only how it is merged.
"""

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "greatest", "least"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric is. ``merge`` is for gauges: counters and histograms are always summed."""

    type: Type
    text: str
    merge: Merge = "sum"


def _counter(text: str) -> Meaning:
    return Meaning("counter", text)


def _gauge(text: str, merge: Merge = "sum") -> Meaning:
    return Meaning("gauge", text, merge)


def _histogram(text: str) -> Meaning:
    return Meaning("histogram", text)


CATALOGUE: Final[dict[str, Meaning]] = {
    "gateway_requests_total": _counter("Finished requests by route, decision, reason and class of status."),
    "gateway_request_body_bytes_total": _counter("Bytes of request bodies by route."),
    "gateway_response_body_bytes_total": _counter("Bytes of response bodies by route."),
    "gateway_own_seconds": _histogram(
        "The gateway's own time before a request went on or was answered, by decision."
    ),
    "gateway_upstream_seconds": _histogram(
        "Time from the forward to the last byte of the response, by upstream."
    ),
    "gateway_request_faults_total": _counter("Requests that met a fault, by whose it was."),
    "gateway_refreshes_total": _counter("Session refreshes by how they ended."),
    "gateway_logins_total": _counter("Logins by how they ended."),
    "gateway_site_joins_total": _counter("Tickets that sites took or refused."),
    "gateway_logouts_total": _counter("Sessions ended by their own person, or by the provider."),
    "gateway_revocations_total": _counter("Denylist entries written through this process' admin listener."),
    "gateway_streams_ended_total": _counter(
        "WebSockets, event streams and other long exchanges that the gateway ended."
    ),
    "gateway_audit_events_total": _counter("Audit events that have no family of their own."),
    "gateway_source_up": _gauge("Whether a part told its figures at this scrape.", "least"),
    "gateway_build_info": _gauge("Always 1; the labels say what runs.", "greatest"),
    "gateway_store_up": _gauge("Whether the store answers.", "least"),
    "gateway_denylist_entries": _gauge("Entries in this process' denylist replica.", "greatest"),
    "gateway_denylist_seq": _gauge("The last entry of the denylist's log that was read.", "least"),
    "gateway_denylist_staleness_seconds": _gauge(
        "Seconds since the replica was last known to be complete.", "greatest"
    ),
    "gateway_denylist_lag_seconds": _gauge(
        "Seconds from the writing of the last entry to its arrival here.", "greatest"
    ),
    "gateway_denylist_unwritten": _gauge("Entries that are known here and that the store does not hold yet."),
    "gateway_denylist_resyncs_total": _counter("Times that the replica was read anew."),
    "gateway_denylist_reconnects_total": _counter(
        "Times that the connection that follows the log was made anew."
    ),
    "gateway_denylist_failures_total": _counter("Failed attempts to follow the denylist's log."),
    "gateway_denylist_garbage_total": _counter("Items of the log that are no entries."),
    "gateway_http_client_connections": _gauge("Open connections of clients."),
    "gateway_http_requests_in_flight": _gauge("Requests that have begun and not ended."),
    "gateway_http_connections_refused_per_address_total": _counter(
        "Connections refused to addresses with too many."
    ),
    "gateway_http_tls_handshakes": _gauge("TLS handshakes under way."),
    "gateway_http_proxy_headers_missing_total": _counter(
        "Connections of proxy_protocol's networks without its header."
    ),
    "gateway_http_tls_handshakes_failed_total": _counter("TLS handshakes that led to no connection."),
    "gateway_http_tls_certificate_expires_seconds": _gauge(
        "When the first certificate expires, since the epoch.", "least"
    ),
    "gateway_http_tls_certificate_reloads_total": _counter(
        "Times that changed certificate files were taken over."
    ),
    "gateway_http_tls_certificate_reload_failures_total": _counter(
        "Times that changed certificate files could not be used; the former stay in use."
    ),
    "gateway_http_tunnels": _gauge("Open WebSockets and other upgraded connections."),
    "gateway_http_upstream_server_breaker": _gauge(
        "Whether a server's breaker is open; by its place in the list.", "greatest"
    ),
    "gateway_http_upstream_server_busy": _gauge("Requests at a server, connections being opened included."),
    "gateway_http_upstream_server_healthy": _gauge(
        "Whether a server's health checks say that it is well.", "least"
    ),
    "gateway_http_upstream_connections": _gauge(
        "Connections open and idle, and requests by what they wait for."
    ),
    "gateway_long_lived_open": _gauge("Open tunnels, streams and other long exchanges that serve somebody."),
    "gateway_issuer_up": _gauge(
        "Whether the provider's metadata and keys could be fetched when they were last asked for.", "least"
    ),
    "gateway_issuer_keys": _gauge("Keys of the provider that may verify signatures.", "least"),
    "gateway_issuer_keys_left_out": _gauge("Published keys of the provider that may not.", "greatest"),
    "gateway_issuer_jwks_age_seconds": _gauge(
        "Seconds since the provider's keys were last fetched.", "greatest"
    ),
    "gateway_issuer_calls_total": _counter("Calls to a provider by call and outcome."),
    "gateway_assertions_signed_total": _counter("Assertions signed for upstreams."),
    "gateway_rate_limit_callers": _gauge("Callers that this process remembers for rate limits."),
    "gateway_rate_limit_unshared_total": _counter("Requests of shared limits counted without the store."),
    "gateway_api_keys_lookups_total": _counter("Looks at what the store has of an API key."),
    "gateway_api_keys_unknown_total": _counter("Looks at API keys that nobody knows."),
    "gateway_workers_configured": _gauge("Workers that are to run."),
    "gateway_workers_ready": _gauge("Workers that serve."),
    "gateway_workers_restarts_total": _counter("Workers that have ended unasked."),
    "gateway_reload_applied_total": _counter("Configurations that were taken over while running."),
    "gateway_reload_refused_total": _counter("Configurations that were refused while running."),
    "gateway_audit_kept_total": _counter("Audit events that the store has taken."),
    "gateway_audit_lost_total": _counter(
        "Audit events that the store could not be given; the trail says so."
    ),
    "gateway_audit_skipped_total": _counter(
        "Audit events of nobody in particular that were too many to be kept."
    ),
    "gateway_audit_waiting": _gauge("Audit events that wait for the store."),
    "gateway_log_dropped_lines_total": _counter("Log lines that nobody took."),
    "gateway_telemetry_sent_total": _counter(
        "Spans, log lines and scrapes that a collector took, by signal."
    ),
    "gateway_telemetry_dropped_total": _counter(
        "Spans, log lines and scrapes that no collector took, by signal."
    ),
    "gateway_telemetry_waiting": _gauge("Spans, log lines and scrapes that wait to be sent, by signal."),
    "gateway_log_cut_lines_total": _counter("Log lines that were too long for syslog, and lost their ends."),
    "gateway_log_audit_dropped_lines_total": _counter("Audit lines that their own destination did not take."),
    "gateway_log_audit_cut_lines_total": _counter("The same of audit lines that go there by themselves."),
    "gateway_log_audit_waiting_bytes": _gauge("Bytes of audit lines that wait for their own destination."),
    "gateway_log_waiting_bytes": _gauge("Bytes of log lines that wait to be written."),
}

_PROCESS: Final[dict[str, Merge]] = {
    "gateway_process_max_fds": "least",
    "gateway_process_start_time_seconds": "least",
}


def merge_of(name: str) -> Merge:
    """Return how the values of a gauge in several processes become one; summed unless it is said here."""
    known = CATALOGUE.get(name)
    return known.merge if known is not None else _PROCESS.get(name, "sum")
