"""The first page: whether all is well, what is going on, and each part by itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gateway
from gateway.edge.admin.console import parts
from gateway.edge.admin.console.backing import WorkerState
from gateway.edge.admin.console.charts import sparkline
from gateway.edge.admin.console.history import History, Reading
from gateway.edge.admin.console.html import cut, duration, h, joined, number, section, span, table
from gateway.edge.admin.console.layout import ROOT, Page
from gateway.edge.admin.console.verdict import Trouble, judge
from gateway.edge.rendering.pages.template import Markup
from gateway.edge.telemetry.metric_merge import Samples

LIVE_EVERY = 5
_MOST_ROWS = 15


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known at ``now`` (epoch seconds) of all processes; ``lines`` are log lines, newest first."""

    now: float
    samples: Samples
    history: History
    workers: Sequence[WorkerState]
    lines: Sequence[Mapping[str, Any]]

    def first(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - of a JSON document
        """Return what the first process tells under a name that tells anything under it."""
        return next((each.about[name] for each in self.workers if name in each.about), default)


def overview(sight: Sight, *, is_live: bool) -> Page:
    """Return the page of what is going on now."""
    body = [
        _top(sight, is_live=is_live),
        _verdict(judge(sight.now, sight.samples, sight.history, sight.workers, sight.lines)),
        _cards(sight),
        h(
            "div",
            _decisions(sight),
            _routes(sight),
            parts.upstreams(sight.samples, sight.history, sight.first("upstreams", {})),
            parts.providers(sight.samples, sight.workers, sight.now),
            parts.workers(sight.workers, sight.now),
            parts.store(sight.samples, sight.workers),
            parts.certificates(sight.workers, sight.now),
            parts.events(sight.lines, sight.now),
            class_="columns",
        ),
    ]
    refresh = LIVE_EVERY if is_live else None
    return Page("Overview", joined(body), "", refresh=refresh, again=f"{ROOT}?auto=1")


def _top(sight: Sight, *, is_live: bool) -> Markup:
    told = f"Live, anew every {LIVE_EVERY} seconds. " if is_live else "Paused. "
    switch = h("a", "Pause" if is_live else "Go live", href=f"{ROOT}?live=off" if is_live else ROOT)
    modules = sight.first("modules", "not known yet")
    about = f"Version {gateway.__version__}, workers {modules}. "
    return h("div", h("h1", "Overview"), h("p", about, told, switch), class_="top")


def _verdict(troubles: Sequence[Trouble]) -> Markup:
    if not troubles:
        return h("div", h("strong", "All is well."), class_="verdict good", role="status")
    tone = "stop" if any(each.tone == "stop" for each in troubles) else "warn"
    count = len(troubles)
    head = "One thing needs a look" if count == 1 else f"{count} things need a look"
    items = [
        h("li", h("a", cut(each.what), href=f"#{each.where}"), f": {cut(each.why)}" if each.why else None)
        for each in troubles[:_MOST_ROWS]
    ]
    return h("div", h("strong", head), h("ul", *items), class_=f"verdict {tone}", role="status")


def _card(title: str, value: str, unit: str, below: str, chart: Markup) -> Markup:
    big = h("p", value, h("span", unit, class_="unit") if unit else None, class_="big")
    return h("li", h("h3", title), big, h("p", below, class_="under-big"), chart, class_="card")


def _cards(sight: Sight) -> Markup:
    samples = sight.samples
    connections = samples.total("gateway_http_client_connections")
    open_now = (
        f"{number(samples.total('gateway_http_requests_in_flight'))} under way, "
        f"{number(connections)} connection{'' if connections == 1 else 's'}"
    )
    cards = [
        _rate_card(sight, "Requests", lambda each: each.requests, 1.0, open_now),
        _rate_card(sight, "Errors (5xx)", lambda each: each.errors, 1.0, _share(sight, lambda r: r.errors)),
        _rate_card(sight, "Refused", lambda each: each.refused, 1.0, _share(sight, lambda r: r.refused)),
        _latency_card(sight, "Gateway's own time", lambda each: each.own),
        _latency_card(sight, "Upstreams' time", lambda each: each.upstream),
        _rate_card(
            sight,
            "Refreshes",
            lambda each: each.refreshes,
            60.0,
            f"{_lately(sight, lambda each: each.refreshes_failed)} failed",
        ),
        _rate_card(
            sight,
            "Logins",
            lambda each: each.logins,
            60.0,
            f"{_lately(sight, lambda each: each.logins_failed)} failed",
        ),
    ]
    ended = f"{_lately(sight, lambda each: each.ended)} streams ended"
    cards.append(_rate_card(sight, "Revocations", lambda each: each.revocations, 60.0, ended))
    title = h("h2", f"The last {span(max(sight.history.reach, 1.0))}", id="rates")
    return joined([title, h("ul", *cards, class_="cards")])


def _rate_card(
    sight: Sight, title: str, figure: Callable[[Reading], float], per: float, below: str
) -> Markup:
    unit = "a second" if per == 1 else "a minute"
    now = sight.history.rate(figure)
    chart = sparkline(f"{title} {unit}", sight.history.line(figure, per), number)
    return _card(title, number(None if now is None else now * per), unit, below, chart)


def _latency_card(sight: Sight, title: str, figure: Callable[[Reading], Mapping[float, float]]) -> Markup:
    half, most, nearly_all = sight.history.percentiles(figure, (0.5, 0.95, 0.99))
    chart = sparkline(f"{title}, 95th percentile", sight.history.percentile_line(figure, 0.95), duration)
    below = f"median {duration(half)}, 99 % {duration(nearly_all)}"
    return _card(title, duration(most), "95 %", below, chart)


def _share(sight: Sight, figure: Callable[[Reading], float]) -> str:
    part, whole = sight.history.rate(figure), sight.history.rate(lambda each: each.requests)
    if part is None or not whole:
        return "of no requests"
    return f"{number(100 * part / whole)} % of requests"


def _lately(sight: Sight, figure: Callable[[Reading], float]) -> str:
    return number(round((sight.history.rate(figure, 600.0) or 0.0) * min(sight.history.reach, 600.0)))


def _decisions(sight: Sight) -> Markup:
    rows = [
        (each[1] or "none", each[0], each[2], number(rate), number(count))
        for each, rate, count in _busiest(sight, lambda reading: reading.outcomes)
    ]
    shown = table(
        "Decisions and reasons",
        ("Reason", "Decision", "Status", "#A second", "#Lately"),
        rows,
        "No request has come yet.",
    )
    return section("Decisions and reasons", shown, id_="decisions")


def _routes(sight: Sight) -> Markup:
    rows = [
        (h("span", cut(each[0], 100), class_="mono") if each[0] else "no route", number(rate), number(count))
        for each, rate, count in _busiest(sight, lambda reading: reading.routes)
    ]
    shown = table("Routes", ("Route", "#A second", "#Lately"), rows, "No request has come yet.")
    return section("Busiest routes", shown, id_="routes")


def _busiest(
    sight: Sight, figure: Callable[[Reading], Mapping[tuple[str, ...], float]]
) -> Iterable[tuple[tuple[str, ...], float, float]]:
    """Yield what rose most of late: its key, how fast it rises now, and how much it has risen."""
    newest = sight.history.newest
    if newest is None:
        return
    history = sight.history

    def rises(key: tuple[str, ...], seconds: float) -> float:
        return history.rate(lambda each: figure(each).get(key, 0.0), seconds) or 0.0

    found = [(key, rises(key, 600.0) * history.reach, value) for key, value in figure(newest).items()]
    found.sort(key=lambda each: (-each[1], -each[2], each[0]))
    for key, lately, _ in found[:_MOST_ROWS]:
        yield key, rises(key, 60.0), round(lately)
