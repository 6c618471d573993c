"""HTML in pieces: every text and every attribute is escaped, and what is too long is cut."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.edge.rendering.pages.template import Markup, escaped

MOST_SHOWN: Final = 300
NOTHING: Final = Markup("")
_NONE: Final = Markup("\u2013")
_EMPTY: Final = frozenset({"input", "br", "meta", "link"})
_NAME: Final = re.compile(r"[a-z][A-Za-z0-9-]*")
# the end of the year 9998
_LAST: Final = 253_370_764_800
_UNITS: Final = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_SPANS: Final = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (60 * 2, 60, "min"), (0, 1, "s"))


def h(tag: str, *content: str | None, **attributes: str | bool | None) -> Markup:
    """Return an element; ``class_`` and ``data_label`` are ``class`` and ``data-label``.

    What is no ``Markup`` is escaped, in content and attributes alike. An attribute that is True stands by
    its name alone, one that is None or False is left out.
    """
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        written = name.rstrip("_").replace("_", "-")
        assert _NAME.fullmatch(written) is not None
        if value is True:
            parts.append(f" {written}")
        elif value is not None and value is not False:
            parts.append(f' {written}="{escaped(str(value))}"')
    parts.append(">")
    if tag not in _EMPTY:
        parts += [escaped(each) for each in content if each is not None]
        parts.append(f"</{tag}>")
    return Markup("".join(parts))


def joined(pieces: Iterable[str | None]) -> Markup:
    """Return pieces as one."""
    return Markup("".join(escaped(each) for each in pieces if each is not None))


def cut(text: str, most: int = MOST_SHOWN) -> str:
    """Return a text of at most so many characters; what was cut is told by an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str | None]], empty: str) -> Markup:
    """Return a table, its first column naming each row; ``#`` before a head aligns its numbers.

    Narrow windows show each row as a list, where every cell carries the head of its column; the roles tell
    that it is a table all the same.
    """
    if not rows:
        return h("p", empty, class_="empty")
    names = [each.removeprefix("#") for each in heads]
    kinds = ["num" if each.startswith("#") else None for each in heads]
    head = joined(
        h("th", name, scope="col", role="columnheader", class_=kind)
        for name, kind in zip(names, kinds, strict=True)
    )
    body = []
    for row in rows:
        cells = [h("th", row[0], scope="row", role="rowheader")]
        cells += [
            h("td", h("span", cell), data_label=name, role="cell", class_=kind)
            for cell, name, kind in zip(row[1:], names[1:], kinds[1:], strict=True)
        ]
        body.append(h("tr", *cells, role="row"))
    shown = h(
        "table",
        h("caption", caption, class_="quiet"),
        h("thead", h("tr", head, role="row"), role="rowgroup"),
        h("tbody", *body, role="rowgroup"),
        role="table",
    )
    # what can be scrolled must be reached by the keyboard
    return h("div", shown, class_="scroll", tabindex="0", role="region", aria_label=caption)


def section(title: str, *content: str | None, id_: str | None = None, note: str | None = None) -> Markup:
    """Return a titled part of a page."""
    about = None if note is None else h("p", note, class_="note")
    return h("section", h("h2", title), about, *content, id=id_)


def badge(text: str, tone: str = "plain") -> Markup:
    """Return a word with a colour: ``good``, ``warn``, ``stop`` or ``plain``; the word says it all."""
    return h("span", text, class_=f"badge {tone}")


def facts(pairs: Iterable[tuple[str, str | None]]) -> Markup:
    """Return names with their values; a value that is None is left out."""
    return h("dl", *(h("div", h("dt", name), h("dd", value)) for name, value in pairs if value is not None))


def moment(at: float | None, now: float) -> Markup:
    """Return a time (epoch seconds) with how long ago it was, or how soon it will be."""
    if at is None or not 0 < at < _LAST:
        return _NONE
    stamp, about = _told(at, now)
    return joined([stamp, " ", h("span", about, class_="soft")])


def ago(at: float | None, now: float) -> Markup:
    """Return how long ago a time was, or how soon it will be, with the time itself below: for tables."""
    if at is None or not 0 < at < _LAST:
        return _NONE
    stamp, about = _told(at, now)
    return h("span", h("span", about), stamp, class_="ago")


def _told(at: float, now: float) -> tuple[Markup, str]:
    when = datetime.fromtimestamp(at, UTC)
    away = now - at
    about = f"{span(away)} ago" if away >= 0 else f"in {span(-away)}"
    shown = when.strftime("%Y-%m-%d %H:%M:%S")
    return h("time", f"{shown} UTC", datetime=when.isoformat(timespec="seconds")), about


def span(seconds: float) -> str:
    """Return a duration in one unit, rounded."""
    for least, unit, name in _SPANS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return "0 s"


def duration(seconds: float | None) -> str:
    """Return a short duration with two or three digits, a dash for None."""
    if seconds is None:
        return _NONE
    for scale, name in _UNITS:
        if seconds < 999.5 * scale or name == "s":
            value = seconds / scale
            return f"{value:.0f} {name}" if value >= 10 or value == 0 else f"{value:.1f} {name}"
    return _NONE


def number(value: float | None) -> str:
    """Return a number as people read it: grouped, and with as many places as help; a dash for None."""
    if value is None:
        return _NONE
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.01:
        return "< 0.01"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def octets(value: float | None) -> str:
    """Return a size in memory, a dash for None."""
    if value is None:
        return _NONE
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
