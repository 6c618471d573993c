"""The audit trail: who did what, and what became of it; asked by person, place and time."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from gateway.edge.admin.console.backing import Backing
from gateway.edge.admin.console.html import ago, badge, cut, h, joined, section, table
from gateway.edge.admin.console.layout import ROOT, Page
from gateway.edge.admin.console.people import link
from gateway.edge.admin.console.requests import parameters, who
from gateway.edge.admin.console.visits import Visit
from gateway.edge.admin.http import Ask
from gateway.edge.admin.revocation_request import Terms
from gateway.edge.rendering.pages.template import Markup

_LIMIT: Final = "50"
_ASKED: Final = ("sub", "provider", "path", "session", "event", "since", "until")
# what a link has named goes on with the form
_HIDDEN: Final = ("provider", "session")
_MOST_VALUE: Final = 1024
# as browsers write a local time; here it is UTC
_LOCAL: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")
_TONES: Final = {
    "refusal": "warn",
    "admin_refused": "warn",
    "revocation": "stop",
    "reuse_detected": "stop",
    "audit_lost": "stop",
}
# these may have failed, too
_LOGINS: Final = {
    "login": ("reason", "login_completed"),
    "console_login": ("outcome", "completed"),
}
# what has a column of its own, or tells nobody anything
_SHOWN: Final = frozenset(
    {"time", "level", "event", "issuer", "subject", "actor", "client", "id", "chain", "seq", "worker"}
)
# what came of it
_FIRST: Final = ("status", "decision", "outcome", "why", "reason", "kind", "value", "how")
_ON: Final = """audit:
  keep: {for: 30d, most: 1000000}
routes:
  - {path: /admin/, upstream: app, access: required, audit: true}"""


class Trail:
    """The pages about what has happened.

    Args:
        backing: the processes behind the console.
        terms: returns the providers' issuers of now.
        clock: seconds since the epoch.
    """

    def __init__(self, backing: Backing, terms: Callable[[], Terms], clock: Callable[[], float]) -> None:
        self._backing = backing
        self._terms = terms
        self._clock = clock

    async def show(self, ask: Ask, visit: Visit) -> Page:
        """Show what is asked for, the newest first."""
        told = parameters(ask)
        fields = {name: told[name].strip() for name in _ASKED if told.get(name, "").strip()}
        asked = {name: _utc(text) for name, text in fields.items()}
        if (provider := asked.pop("provider", None)) is not None:
            # the same subject of another provider is somebody else
            issuer = self._terms().issuers.get(provider)
            if issuer is None:
                return self._page(fields, trouble="There is no such provider.")
            asked["issuer"] = issuer
        if any(len(text) > _MOST_VALUE for text in asked.values()):
            return self._page(fields, trouble="A value has 1024 characters at most.")
        before = {"before": told["before"]} if told.get("before") else {}
        answer = await self._backing.trail("list", {**asked, **before, "limit": _LIMIT}, who(ask, visit))
        if answer.status == 409:
            return Page("Audit trail", joined([_top(), _how_to_switch_it_on()]), "trail")
        if answer.status != 200:
            return self._page(fields, trouble=answer.detail)
        found: Any = answer.document
        return self._page(fields, found["entries"], found["before"])

    def _page(
        self,
        fields: Mapping[str, str],
        entries: Sequence[Mapping[str, Any]] = (),
        before: str | None = None,
        trouble: str = "",
    ) -> Page:
        now = self._clock()
        if trouble:
            shown = h("p", trouble, class_="news stop", role="alert")
        else:
            shown = self._entries(entries, fields, before, now)
        body = joined([_top(), h("section", _form(fields), _presets(fields, now)), shown])
        return Page("Audit trail", body, "trail", 400 if trouble else 200)

    def _entries(
        self, entries: Sequence[Mapping[str, Any]], fields: Mapping[str, str], before: str | None, now: float
    ) -> Markup:
        providers = {issuer: name for name, issuer in self._terms().issuers.items()}
        rows = [
            (
                ago(_time_of(each), now),
                badge(cut(str(each.get("event")), 40), _tone(each)),
                _who(each, providers),
                _what(each),
                h("span", cut(str(each.get("client") or ""), 60), class_="mono whole"),
            )
            for each in entries
        ]
        empty = "Nothing of this is kept."
        if before is not None:
            empty = "Nothing among the newest; there may be more further back."
        elif "path" in fields:
            empty += " Requests are kept of routes that say audit: true."
        shown = table("Events", ("When", "Event", "Who", "What", "From"), rows, empty)
        more = None
        if before is not None:
            older = h("a", "Older", href=link("trail", **fields, before=before), class_="button")
            more = h("div", older, class_="actions")
        return section(f"Events{f' ({len(rows)})' if rows else ''}", shown, more)


def _utc(text: str) -> str:
    """Return a time as it is asked for; browsers leave out seconds of nought."""
    if _LOCAL.fullmatch(text) is None:
        return text
    return f"{text}:00Z" if text.count(":") == 1 else f"{text}Z"


def _top() -> Markup:
    return h("div", h("h1", "Audit trail"), h("p", "The newest first; times are UTC."), class_="top")


def _how_to_switch_it_on() -> Markup:
    return h(
        "section",
        h("h2", "It is not kept"),
        h("p", "Audit events go to the log alone. This keeps them in the store as well, so that they can be"
          " asked for here; a route with audit: true has an event for each request."),
        h("pre", h("code", _ON), tabindex="0"),
        class_="narrow",
    )  # fmt: skip


def _form(fields: Mapping[str, str]) -> Markup:
    def field(name: str, title: str, kind: str = "text") -> Markup:
        entry = h(
            "input",
            type=kind,
            name=name,
            value=cut(fields.get(name, ""), _MOST_VALUE),
            maxlength=str(_MOST_VALUE),
            autocapitalize="none",
            spellcheck="false",
        )
        return h("label", h("span", title), entry, class_="field")

    return h(
        "form",
        h(
            "div",
            field("sub", "Whose (subject)"),
            field("path", "Path begins with"),
            field("event", "Event"),
            class_="fields",
        ),
        h(
            "div",
            field("since", "Since (UTC)", "datetime-local"),
            field("until", "Until (UTC)", "datetime-local"),
            *(
                h("input", type="hidden", name=name, value=cut(fields[name], _MOST_VALUE))
                for name in _HIDDEN
                if name in fields
            ),
            h("button", "Show", type="submit", class_="button first"),
            class_="fields",
        ),
        method="get",
        action=f"{ROOT}trail",
        role="search",
    )


def _presets(fields: Mapping[str, str], now: float) -> Markup:
    """Return ways to the usual times."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    hour = datetime.fromtimestamp(now - 3600, UTC)
    times = (
        ("Last hour", hour, None),
        ("Today", today, None),
        ("Yesterday", today - timedelta(days=1), today),
        ("Last seven days", today - timedelta(days=7), None),
    )
    rest = {name: text for name, text in fields.items() if name not in ("since", "until")}
    links = []
    for title, since, until in times:
        told = rest | {"since": _local(since)} | ({} if until is None else {"until": _local(until)})
        links.append(h("li", h("a", title, href=f"{ROOT}trail?{urlencode(told)}")))
    return h("ul", *links, class_="presets", aria_label="Usual times")


def _local(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M")


def _who(entry: Mapping[str, Any], providers: Mapping[str, str]) -> Markup:
    """Return who it was: an operator by name, a person by a link to their page."""
    if entry.get("forgotten"):
        return h("span", "forgotten", class_="soft")
    subject, actor = entry.get("subject"), entry.get("actor")
    pieces: list[str] = [badge("unverified", "stop")] if entry.get("unverified") else []
    if subject:
        provider = providers.get(str(entry.get("issuer")))
        name = h("span", cut(str(subject), 100), class_="mono")
        pieces.append(
            h("a", name, href=link("person", provider=provider, sub=str(subject))) if provider else name
        )
        if provider and len(providers) > 1:
            pieces.append(h("span", cut(provider, 60), class_="soft"))
    if actor:
        pieces.append(joined([h("span", "by ", class_="soft"), h("strong", cut(str(actor), 100))]))
    return (
        joined(h("span", each, class_="row") for each in pieces)
        if pieces
        else h("span", "nobody", class_="soft")
    )


def _what(entry: Mapping[str, Any]) -> Markup:
    """Return what an event tells beside: where, what came of it, and all else behind a word."""
    rest = {
        name: each for name, each in entry.items() if name not in _SHOWN and each not in (None, "", [], {})
    }
    place = " ".join(str(rest.pop(name)) for name in ("method", "path") if name in rest)
    first = [(name, rest.pop(name)) for name in _FIRST if name in rest]
    return joined(
        [
            h("span", cut(place, 200), class_="mono row") if place else None,
            h("span", _said(first), class_="row") if first else None,
            h("details", h("summary", "More"), h("span", _said(rest.items()), class_="soft"))
            if rest
            else None,
        ]
    )


def _said(told: Iterable[tuple[str, Any]]) -> str:
    return cut(", ".join(f"{name.replace('_', ' ')} {cut(_text(each), 150)}" for name, each in told), 800)


def _tone(entry: Mapping[str, Any]) -> str:
    event = str(entry.get("event"))
    if event in _LOGINS:
        name, good = _LOGINS[event]
        return "good" if entry.get(name) == good else "warn"
    return _TONES.get(event, "plain")


def _text(value: Any) -> str:  # noqa: ANN401 - JSON, of an event that anybody may have caused
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _time_of(entry: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(entry.get("time"))).timestamp()
    except (ValueError, OverflowError):
        return None
