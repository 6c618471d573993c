"""What needs a look, from the figures and from what the processes tell of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal

from gateway.edge.admin.console.backing import WorkerState
from gateway.edge.admin.console.history import History
from gateway.edge.admin.console.html import number, span
from gateway.edge.telemetry.metric_merge import Samples

SOON: Final = 14 * 86400.0
_STALE: Final = 10.0
_LATELY: Final = 600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing: how bad it is, what, why, and the part of the page that tells more."""

    tone: Literal["stop", "warn"]
    what: str
    why: str
    where: str


def judge(
    now: float,
    samples: Samples,
    history: History,
    workers: Sequence[WorkerState],
    lines: Sequence[Mapping[str, Any]],
) -> list[Trouble]:
    """Return what needs a look, the worst first."""
    found = [
        *_workers(samples, history, workers),
        *_store(samples, workers),
        *_providers(workers),
        *_upstreams(samples, workers),
        *_certificates(workers, now),
        *_logs(samples, history, lines),
    ]
    return sorted(found, key=lambda each: each.tone != "stop")


def _workers(samples: Samples, history: History, workers: Sequence[WorkerState]) -> Iterator[Trouble]:
    away = [each for each in workers if each.status != "ready"]
    if away:
        which = ", ".join(f"worker {each.number} is {each.status}" for each in away[:5])
        tone: Literal["stop", "warn"] = "stop" if len(away) == len(workers) else "warn"
        yield Trouble(tone, f"{len(away)} of {len(workers)} workers do not serve", which, "workers")
    restarted = (history.rate(lambda each: each.restarts, _LATELY) or 0.0) * history.reach
    if restarted >= 0.5:
        yield Trouble("warn", "Workers have ended unasked", f"{number(round(restarted))} lately", "workers")
    for labels, value in samples.all("gateway_source_up"):
        if value == 0:
            yield Trouble("warn", "A part cannot tell its figures", labels.get("source", ""), "workers")


def _store(samples: Samples, workers: Sequence[WorkerState]) -> Iterator[Trouble]:
    for _, value in samples.all("gateway_store_up"):
        if value == 0:
            why = next((str(each.about["store"]) for each in workers if each.about.get("store")), "")
            yield Trouble("stop", "The store does not answer", why, "store")
    for _, value in samples.all("gateway_denylist_staleness_seconds"):
        if not isfinite(value):
            yield Trouble("stop", "A denylist replica was never complete", "", "store")
        elif value > _STALE:
            yield Trouble("warn", "A denylist replica is stale", f"since {span(value)}", "store")
    if waiting := samples.total("gateway_denylist_unwritten"):
        yield Trouble("warn", "Revocations wait for the store", number(waiting), "store")


def _providers(workers: Sequence[WorkerState]) -> Iterator[Trouble]:
    told: dict[str, str] = {}
    for each in workers:
        for name, about in dict(each.about.get("providers", {})).items():
            if about.get("up") is False:
                told[name] = str(about.get("trouble") or "")
    for name, why in told.items():
        yield Trouble("stop", f"Provider {name} is unusable", why, "providers")


def _upstreams(samples: Samples, workers: Sequence[WorkerState]) -> Iterator[Trouble]:
    known: Mapping[str, Sequence[str]]
    known = next((each.about["upstreams"] for each in workers if "upstreams" in each.about), {})
    for labels, value in samples.all("gateway_http_upstream_server_breaker"):
        if value:
            yield Trouble("stop", "A breaker is open", _server(labels, known), "upstreams")
    for labels, value in samples.all("gateway_http_upstream_server_healthy"):
        if not value:
            yield Trouble("warn", "A server is not well", _server(labels, known), "upstreams")


def _server(labels: Mapping[str, str], known: Mapping[str, Sequence[str]]) -> str:
    upstream, place = labels.get("upstream", ""), labels.get("server", "")
    addresses = known.get(upstream, ())
    is_known = place.isdecimal() and int(place) < len(addresses)
    return f"{upstream}, {addresses[int(place)] if is_known else f'server {place}'}"


def _certificates(workers: Sequence[WorkerState], now: float) -> Iterator[Trouble]:
    ends: dict[str, float] = {}
    for each in workers:
        ends |= dict(each.about.get("certificates", {}))
    for file, end in ends.items():
        if end <= now:
            yield Trouble("stop", "A certificate has expired", file, "certificates")
        elif end - now < SOON:
            yield Trouble(
                "warn", "A certificate expires soon", f"{file} in {span(end - now)}", "certificates"
            )


def _logs(samples: Samples, history: History, lines: Sequence[Mapping[str, Any]]) -> Iterator[Trouble]:
    lost = (history.rate(lambda each: each.dropped, _LATELY) or 0.0) * history.reach
    if lost >= 0.5:
        yield Trouble("warn", "Log lines are lost", f"{number(round(lost))} lately", "events")
    refused = samples.total("gateway_reload_refused_total")
    last = next((each for each in lines if each.get("event") == "reloaded" or each.get("errors")), None)
    if refused and last is not None and last.get("errors"):
        why = "; ".join(map(str, last["errors"][:3])) if isinstance(last["errors"], list) else ""
        yield Trouble("warn", "The last reload was refused; the old configuration runs on", why, "events")
