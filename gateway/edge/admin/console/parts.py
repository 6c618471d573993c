"""The parts of the overview: upstreams, providers, workers, the store, certificates, what has happened."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from math import isfinite
from typing import Any, Final

from gateway.edge.admin.console.backing import WorkerState
from gateway.edge.admin.console.history import Buckets, History, Reading
from gateway.edge.admin.console.html import (
    badge,
    cut,
    duration,
    facts,
    h,
    moment,
    number,
    octets,
    section,
    span,
    table,
)
from gateway.edge.admin.console.verdict import SOON
from gateway.edge.rendering.pages.template import Markup
from gateway.edge.telemetry.metric_merge import Samples

_MOST_ROWS: Final = 50
_MOST_LINES: Final = 25
_TONES: Final = {"ready": "good", "starting": "warn", "silent": "stop", "ending": "plain", "unready": "warn"}
# what stands in a line beside what is shown of it anyway
_KNOWN: Final = frozenset({"time", "level", "event", "message", "worker"})


def upstreams(samples: Samples, history: History, servers: Mapping[str, Sequence[str]]) -> Markup:
    """Return how each upstream's servers are, and how long they take; ``servers`` are their addresses."""
    busy = samples.by("gateway_http_upstream_server_busy", "upstream", "server")
    idle = samples.by("gateway_http_upstream_connections", "upstream", "state")
    rows = []
    for name in sorted({upstream for upstream, _ in busy})[:_MOST_ROWS]:
        places = sorted(server for upstream, server in busy if upstream == name)
        half, most = history.percentiles(partial(_times_of, name), (0.5, 0.95))
        shown = [_server(samples, name, each, servers.get(name, ())) for each in places[:_MOST_ROWS]]
        rows.append(
            (
                cut(name, 80),
                h("span", *shown, class_="stack"),
                number(sum(busy[name, each] for each in places)),
                ", ".join(
                    f"{number(value)} {state}"
                    for (of, state), value in idle.items()
                    if of == name and (value or state in ("open", "idle"))
                ),
                duration(half),
                duration(most),
            )
        )
    heads = ("Upstream", "Servers", "#Busy", "Connections", "#Median", "#95 %")
    return section(
        "Upstreams", table("Upstreams", heads, rows, "No figures of upstreams yet."), id_="upstreams"
    )


def _times_of(upstream: str, reading: Reading) -> Buckets:
    return reading.upstreams.get(upstream, {})


def _server(samples: Samples, upstream: str, place: str, addresses: Sequence[str]) -> Markup:
    """Return how one server is: ``place`` is where it stands in the list."""
    known = place.isdecimal() and int(place) < len(addresses)
    name = cut(addresses[int(place)], 80) if known else f"server {place}"
    labels = {"upstream": upstream, "server": place}
    if samples.total("gateway_http_upstream_server_breaker", **labels):
        state = badge("breaker open", "stop")
    elif not samples.least("gateway_http_upstream_server_healthy", 1.0, **labels):
        state = badge("not well", "warn")
    else:
        state = badge("well", "good")
    return h("span", name, " ", state)


def providers(samples: Samples, workers: Sequence[WorkerState], now: float) -> Markup:
    """Return how each provider is, its keys, and what went wrong last."""
    told: dict[str, dict[str, Any]] = {}
    for each in workers:
        for name, about in dict(each.about.get("providers", {})).items():
            # of several processes, the one that has trouble tells more
            if name not in told or (about.get("up") is False and told[name].get("up") is not False):
                told[name] = about
    calls = samples.by("gateway_issuer_calls_total", "provider", "outcome")
    rows, errors = [], []
    for name, about in list(told.items())[:_MOST_ROWS]:
        failed = sum(
            value for (of, outcome), value in calls.items() if of == name and outcome not in ("ok", "refused")
        )
        up = about.get("up")
        state = badge("not asked yet") if up is None else badge(*(("up", "good") if up else ("down", "stop")))
        left_out = about.get("left_out") or 0
        keys = number(about.get("keys")) + (f" ({left_out} left out)" if left_out else "")
        rows.append((cut(name, 80), state, keys, duration_of(about.get("age")), number(failed)))
        if about.get("trouble"):
            errors.append(
                h("li", h("strong", cut(name, 80)), " ", moment(about.get("trouble_at"), now), ": ",
                  cut(str(about["trouble"])))
            )  # fmt: skip
    heads = ("Provider", "State", "#Keys", "#Keys' age", "#Failed calls")
    last = h("h3", "What went wrong last") if errors else None
    shown = table("Providers", heads, rows, "No worker has told yet.")
    return section(
        "Providers", shown, last, h("ul", *errors, class_="errors") if errors else None, id_="providers"
    )


def duration_of(seconds: float | None) -> str:
    """Return a longer duration, a dash where there is none."""
    return duration(None) if seconds is None else span(seconds)


def workers(found: Sequence[WorkerState], now: float) -> Markup:
    """Return the processes that serve."""
    rows = [
        (
            f"Worker {each.number}",
            badge(each.status, _TONES.get(each.status, "plain")),
            str(each.pid) if each.pid is not None else duration(None),
            duration_of(None if each.started_at is None else max(0.0, now - each.started_at)),
            number(each.restarts),
            octets(each.memory),
        )
        for each in found[:256]
    ]
    heads = ("Worker", "State", "#Process", "#Up for", "#Restarts", "#Memory")
    return section("Workers", table("Workers", heads, rows, "There are no workers."), id_="workers")


def store(samples: Samples, workers: Sequence[WorkerState]) -> Markup:
    """Return how the store is, and how far the replicas of the denylist are behind it."""
    up = [value for _, value in samples.all("gateway_store_up")]
    stale = [value for _, value in samples.all("gateway_denylist_staleness_seconds")]
    lag = [value for _, value in samples.all("gateway_denylist_lag_seconds")]
    state = badge("not known yet")
    if up:
        state = badge("answers", "good") if all(up) else badge("does not answer", "stop")
    behind = max(stale, default=None)
    told = duration(None) if behind is None else ("never complete" if not isfinite(behind) else span(behind))
    kind = next((str(each.about["store_kind"]) for each in workers if "store_kind" in each.about), None)
    shown = facts(
        (
            ("Store", state),
            ("Kind", kind),
            ("Entries of the denylist", number(_greatest(samples, "gateway_denylist_entries"))),
            ("Oldest replica", told),
            ("Lag of the last entry", duration(max(lag, default=None))),
            ("Not written yet", number(samples.total("gateway_denylist_unwritten"))),
            ("Read anew", number(samples.total("gateway_denylist_resyncs_total"))),
            ("Connected anew", number(samples.total("gateway_denylist_reconnects_total"))),
        )
    )
    return section("Store and denylist", shown, id_="store")


def _greatest(samples: Samples, name: str) -> float | None:
    return max((value for _, value in samples.all(name)), default=None)


def certificates(workers: Sequence[WorkerState], now: float) -> Markup:
    """Return when the listener's certificates expire."""
    ends: dict[str, float] = {}
    for each in workers:
        ends |= dict(each.about.get("certificates", {}))
    rows = []
    for file, end in sorted(ends.items(), key=lambda each: each[1])[:_MOST_ROWS]:
        tone = "stop" if end <= now else "warn" if end - now < SOON else "good"
        word = "expired" if end <= now else "expires soon" if end - now < SOON else "valid"
        rows.append((h("span", cut(file, 120), class_="mono"), badge(word, tone), moment(end, now)))
    shown = table(
        "Certificates", ("File", "State", "Expires"), rows, "TLS ends in front of the gateway, or nowhere."
    )
    return section("Certificates", shown, id_="certificates")


def events(lines: Sequence[Mapping[str, Any]], now: float) -> Markup:
    """Return what went wrong lately, and which configurations were taken over."""
    items = [_event(line, now) for line in lines[:_MOST_LINES]]
    shown = h("ul", *items, class_="lines") if items else h("p", "Nothing has happened.", class_="empty")
    return section("Reloads, warnings and errors", shown, id_="events")


def _event(line: Mapping[str, Any], now: float) -> Markup:
    level = str(line.get("level"))
    tone = {"error": "stop", "warning": "warn"}.get(level, "good")
    name = "reloaded" if line.get("event") == "reloaded" else str(line.get("message") or line.get("event"))
    rest = {key: value for key, value in line.items() if key not in _KNOWN}
    more = "; ".join(f"{key}: {_plain(value)}" for key, value in rest.items())
    worker = f"worker {line['worker']}: " if "worker" in line else ""
    return h(
        "li",
        badge(level if tone != "good" else "reload", tone),
        moment(_time_of(line), now),
        h("p", h("strong", cut(f"{worker}{name}", 200)), h("span", " ", cut(more, 600), class_="soft")),
    )


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value[:8]))
    return str(value)[:300]


def _time_of(line: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(line.get("time"))).timestamp()
    except (ValueError, OverflowError):
        return None
