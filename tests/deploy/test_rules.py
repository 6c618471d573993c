"""The alert rules as Prometheus reads them: each loads, fires when it should, and else is silent."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.configuration import TREE

RULES = TREE / "deploy/prometheus/rules.yaml"
GW = 'instance="gw1"'
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


@dataclass(frozen=True)
class Case:
    """Series as promtool writes them, and how many alerts of the rule fire after 40 minutes."""

    alert: str
    fires: int
    series: dict[str, str]


def requests(status: str, reason: str, more: str) -> dict[str, str]:
    """Return the requests of a route by how they ended."""
    labels = f'{GW},route="app",decision="forward",reason="{reason}",status="{status}"'
    return {f"gateway_requests_total{{{labels}}}": more}


def events(family: str, outcome: str, more: str, reason: str = "") -> dict[str, str]:
    """Return counted events."""
    return {f'gateway_{family}_total{{{GW},outcome="{outcome}",reason="{reason}"}}': more}


def plain(name: str, values: str, labels: str = "") -> dict[str, str]:
    """Return one series of a gateway."""
    return {f"{name}{{{GW}{labels}}}": values}


# when they are judged that need longer than the others
LATE = {
    "GatewayCertificateExpires": "120m",
    "GatewayErrorBudgetBurns": "390m",
    "GatewayErrorBudgetBurnsFast": "100m",
}


def failing(failed: str, served: str) -> dict[str, str]:
    """Return the requests of a route, of which some fail."""
    return requests("5xx", "upstream_aborted", failed) | requests("2xx", "authenticated", served)


def files(opened: str) -> dict[str, str]:
    """Return the open files of two workers that may have 1,000 each."""
    return (
        plain("gateway_process_open_fds", opened)
        | plain("gateway_process_max_fds", "1000x40")
        | plain("gateway_workers_configured", "2x40")
    )


CASES = [
    Case("GatewayDown", 1, {'up{job="gateway",instance="gw1"}': "0x40"}),
    Case(
        "GatewayDown", 0, {'up{job="gateway",instance="gw1"}': "1x40", 'up{job="x",instance="gw1"}': "0x40"}
    ),
    Case("GatewayStoreDown", 1, plain("gateway_store_up", "1x10 0x30")),
    Case("GatewayStoreDown", 0, plain("gateway_store_up", "0x10 1x30")),
    Case("GatewayDenylistStale", 1, plain("gateway_denylist_staleness_seconds", "0x10 11x30")),
    Case("GatewayDenylistStale", 1, plain("gateway_denylist_staleness_seconds", "100000x40")),
    Case("GatewayDenylistStale", 0, plain("gateway_denylist_staleness_seconds", "9x40")),
    Case("GatewayDenylistUnwritten", 1, plain("gateway_denylist_unwritten", "1x40")),
    Case("GatewayDenylistUnwritten", 0, plain("gateway_denylist_unwritten", "0x40")),
    Case(
        "GatewayRefreshesFail",
        1,
        events("refreshes", "renewed", "0+60x40") | events("refreshes", "failed", "0+60x40"),
    ),
    Case(
        "GatewayRefreshesFail",
        0,
        events("refreshes", "renewed", "0+600x40") | events("refreshes", "failed", "0+6x40"),
    ),
    Case("GatewayRefreshTokenReused", 1, events("refreshes", "reuse_detected", "0x35 1x10")),
    Case("GatewayRefreshTokenReused", 0, events("refreshes", "reuse_detected", "0x5 1x40")),
    Case("GatewayKeysOld", 1, plain("gateway_issuer_jwks_age_seconds", "3700x40", ',provider="a"')),
    Case("GatewayKeysOld", 0, plain("gateway_issuer_jwks_age_seconds", "599x40", ',provider="a"')),
    Case(
        "GatewayErrors",
        2,
        requests("2xx", "authenticated", "0+600x40")
        | requests("5xx", "upstream_aborted", "0+60x40")
        | requests("5xx", "store_unavailable", "0+60x40")
        | requests("5xx", "upstream_timeout", "0+1x40"),
    ),
    Case(
        "GatewayErrors",
        0,
        requests("2xx", "authenticated", "0+6000x40") | requests("5xx", "upstream_aborted", "0+60x40"),
    ),
    Case("GatewayErrors", 0, requests("5xx", "authenticated", "0+600x40")),
    Case(
        "GatewayLoginsFail",
        1,
        events("logins", "failed", "0+6x40", "login_loop")
        | events("logins", "completed", "0+1x40", "login_completed"),
    ),
    Case(
        "GatewayLoginsFail",
        0,
        events("logins", "failed", "0+6x40", "login_loop")
        | events("logins", "completed", "0+60x40", "login_completed"),
    ),
    Case(
        "GatewayLoginsFail",
        0,
        events("logins", "failed", "0x39 1", "login_loop") | events("logins", "completed", "0x40"),
    ),
    # a login that begins again by itself has not failed
    Case("GatewayLoginsFail", 0, events("logins", "repeated", "0+60x40", "login_evicted")),
    Case("GatewayLoginsFail", 0, events("logins", "repeated", "0+60x40", "revoked")),
    Case(
        "GatewayLoginsFail",
        1,
        events("logins", "failed", "0+60x40", "revoked") | events("logins", "completed", "0x40"),
    ),
    Case("GatewayProviderDown", 1, plain("gateway_issuer_up", "0x40", ',provider="p"')),
    Case("GatewayProviderDown", 1, plain("gateway_issuer_keys", "0x40", ',provider="p"')),
    Case(
        "GatewayProviderDown",
        0,
        plain("gateway_issuer_up", "1x40", ',provider="p"')
        | plain("gateway_issuer_keys", "2x40", ',provider="p"'),
    ),
    Case(
        "GatewayWorkersMissing",
        1,
        plain("gateway_workers_ready", "1x40") | plain("gateway_workers_configured", "2x40"),
    ),
    Case(
        "GatewayWorkersMissing",
        0,
        plain("gateway_workers_ready", "2x40") | plain("gateway_workers_configured", "2x40"),
    ),
    Case("GatewayWorkersRestart", 1, plain("gateway_workers_restarts_total", "0x30 1+1x10")),
    Case("GatewayWorkersRestart", 0, plain("gateway_workers_restarts_total", "0x30 1x10")),
    Case("GatewayConfigurationRefused", 1, plain("gateway_reload_refused_total", "0x35 1x10")),
    Case("GatewayConfigurationRefused", 0, plain("gateway_reload_refused_total", "1x45")),
    # judged two hours after the epoch; a week has 604,800 s
    Case("GatewayCertificateExpires", 1, plain("gateway_http_tls_certificate_expires_seconds", "600000x140")),
    Case("GatewayCertificateExpires", 1, plain("gateway_http_tls_certificate_expires_seconds", "60x140")),
    Case(
        "GatewayCertificateExpires", 0, plain("gateway_http_tls_certificate_expires_seconds", "6000000x140")
    ),
    Case(
        "GatewayUpstreamServerDown",
        1,
        plain("gateway_http_upstream_server_healthy", "0x40", ',upstream="a",server="0"'),
    ),
    Case(
        "GatewayUpstreamServerDown",
        1,
        plain("gateway_http_upstream_server_breaker", "1x40", ',upstream="a",server="0"'),
    ),
    Case(
        "GatewayUpstreamServerDown",
        0,
        plain("gateway_http_upstream_server_healthy", "1x40", ',upstream="a",server="0"')
        | plain("gateway_http_upstream_server_breaker", "0x40", ',upstream="a",server="0"'),
    ),
    Case("GatewayLogLinesDropped", 1, plain("gateway_log_dropped_lines_total", "0x35 9x10")),
    Case("GatewayLogLinesDropped", 0, plain("gateway_log_dropped_lines_total", "9x45")),
    Case("GatewayErrorBudgetBurnsFast", 1, failing("0+20x400", "0+1000x400")),
    # a fault that is over: the short window knows
    Case("GatewayErrorBudgetBurnsFast", 0, failing("0+200x20 4000x400", "0+1000x400")),
    Case("GatewayErrorBudgetBurnsFast", 0, failing("0+10x400", "0+1000x400")),
    Case("GatewayErrorBudgetBurns", 1, failing("0+8x400", "0+1000x400")),
    Case("GatewayErrorBudgetBurns", 0, failing("0+5x400", "0+1000x400")),
    # nobody asks, and nothing fails
    Case("GatewayErrorBudgetBurns", 0, failing("0x400", "0x400")),
    Case(
        "GatewayCertificateNotTakenOver",
        1,
        plain("gateway_http_tls_certificate_reload_failures_total", "0x35 1x10"),
    ),
    Case(
        "GatewayCertificateNotTakenOver",
        0,
        plain("gateway_http_tls_certificate_reload_failures_total", "1x45"),
    ),
    Case("GatewayPartSilent", 1, plain("gateway_source_up", "0x40", ',source="store"')),
    Case("GatewayPartSilent", 0, plain("gateway_source_up", "1x40", ',source="store"')),
    Case("GatewayFilesShort", 1, files("1700x40")),
    Case("GatewayFilesShort", 0, files("1500x40")),
    Case("GatewayDenylistGarbage", 1, plain("gateway_denylist_garbage_total", "0x35 1x10")),
    Case("GatewayDenylistGarbage", 0, plain("gateway_denylist_garbage_total", "1x45")),
    Case("GatewayRateLimitsUnshared", 1, plain("gateway_rate_limit_unshared_total", "0+9x45")),
    Case("GatewayRateLimitsUnshared", 0, plain("gateway_rate_limit_unshared_total", "9x45")),
    Case("GatewayAuditLinesDropped", 1, plain("gateway_log_audit_dropped_lines_total", "0x35 9x10")),
    Case("GatewayAuditLinesDropped", 0, plain("gateway_log_audit_dropped_lines_total", "9x45")),
    Case("GatewayAuditLost", 1, plain("gateway_audit_lost_total", "0x35 1x10")),
    Case("GatewayAuditLost", 0, plain("gateway_audit_lost_total", "1x45")),
    Case("GatewayTelemetryDropped", 1, plain("gateway_telemetry_dropped_total", "0+9x45", ',signal="logs"')),
    Case("GatewayTelemetryDropped", 0, plain("gateway_telemetry_dropped_total", "9x45", ',signal="logs"')),
]


def promtool(*words: str) -> None:
    """Run Prometheus' own tool; skipped where it is not installed."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([tool, *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_loads_the_rules():
    """[4.1] One expression that cannot be evaluated, and Prometheus refuses the whole file."""
    promtool("check", "rules", str(RULES))


def test_each_rule_has_cases():
    """[4.1] Each alert is shown to fire and to keep silent."""
    for fires in (True, False):
        assert {case.alert for case in CASES if bool(case.fires) is fires} == ALERTS.keys()


def test_each_rule_fires_and_keeps_silent(tmp_path: Path):
    """[4.1] Prometheus evaluates each rule over series that raise it, and over some that do not."""
    tests = [
        {
            "name": f"{place}: {case.alert}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": LATE.get(case.alert, "40m"),
                    "exp_samples": [{"labels": "{}", "value": case.fires}],
                }
            ],
        }
        for place, case in enumerate(CASES)
    ]
    written = tmp_path / "cases.yaml"
    written.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    promtool("test", "rules", str(written))
