"""People, one person, and what ends: pages that look, and pages that ask before anything is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from gateway.core.headers.devices import device_of
from gateway.edge.admin.console.html import ago, cut, facts, h, joined, number, section, table
from gateway.edge.admin.console.layout import ROOT, Page, form
from gateway.edge.rendering.pages.template import Markup

MOST_REASON: Final = 300
_MOST_SESSIONS: Final = 200
KINDS: Final[Mapping[str, str]] = {
    "sub": "everything of a person",
    "session": "one session",
    "sid": "one log-in at the provider",
    "jti": "one access token",
}
"""What can be ended, by the kind of the entry that ends it."""
BY_ID: Final = "So nobody can be looked for. What is known by its id can be ended all the same."


def link(way: str, **fields: str | None) -> str:
    """Return the address of a page of the console with these parameters."""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{ROOT}{way}?{query}" if query else f"{ROOT}{way}"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a term: people as ``PeopleAdmin`` tells them; ``trouble``: why nobody can be."""

    term: str
    people: Sequence[Mapping[str, Any]] = ()
    cursor: str | None = None
    is_exact: bool = False
    trouble: str = ""


def search(found: Found, providers: Sequence[str], now: float, *, may_end: bool) -> Page:
    """Return the page on which people are looked for."""
    entry = h(
        "label",
        h("span", "Name, e-mail address, user name, subject, session or sid"),
        h(
            "input",
            type="search",
            name="q",
            value=found.term,
            maxlength="200",
            autocapitalize="none",
            spellcheck="false",
        ),
        class_="field",
    )
    go = h("button", "Search", type="submit", class_="button first")
    bar = h("form", h("div", entry, go, class_="fields"), method="get", action=f"{ROOT}people", role="search")
    pieces = [h("div", h("h1", "People"), class_="top"), h("section", bar)]
    if found.trouble:
        pieces.append(h("p", found.trouble, class_="news warn"))
    else:
        pieces.append(_people(found, now))
    if may_end:
        pieces.append(_by_id(providers))
    return Page("People", joined(pieces), "people")


def _people(found: Found, now: float) -> Markup:
    rows = [
        (
            h("a", name_of(each), href=link("person", provider=each["provider"], sub=each["subject"])),
            _mono(each.get("email") or each.get("username") or ""),
            _mono(each["subject"]),
            cut(str(each["provider"]), 60),
            number(float(each["sessions"])),
            ago(each["last_seen"], now),
        )
        for each in found.people
    ]
    heads = ("Person", "E-mail or user name", "Subject", "Provider", "#Sessions", "Last seen")
    title = "Who was seen last"
    if found.term:
        title = "Found" if not found.is_exact else "Found as it is"
    more = None
    if found.cursor is not None:
        words = "Look among parts of names as well" if found.is_exact else "Search on"
        more = h("p", h("a", words, href=link("people", q=found.term, cursor=found.cursor), class_="button"))
    empty = "Nobody here. There may be more further on." if found.cursor else "Nobody who is logged in."
    shown = table("People", heads, rows, empty)
    return section(title, shown, h("div", more, class_="actions") if more else None)


def _by_id(providers: Sequence[str]) -> Markup:
    """Return the form for what is known by its id alone."""
    kinds = [h("option", f"{name} ({kind})", value=kind) for kind, name in KINDS.items()]
    fields = h(
        "div",
        h("label", h("span", "What to end"), h("select", *kinds, name="kind"), class_="field"),
        h(
            "label",
            h("span", "Its id"),
            h(
                "input",
                name="value",
                required=True,
                maxlength="1024",
                autocapitalize="none",
                spellcheck="false",
            ),
            class_="field",
        ),
        provider_field(providers),
        h("button", "Go on", type="submit", class_="button"),
        class_="fields",
    )
    note = "Nothing is ended before you have said why."
    return section(
        "End what is known by its id", h("form", fields, method="get", action=f"{ROOT}end"), note=note
    )


def provider_field(providers: Sequence[str], chosen: str = "") -> Markup:
    """Return the choice of a provider."""
    options = [h("option", cut(each, 60), value=each, selected=each == chosen) for each in providers]
    return h("label", h("span", "Provider"), h("select", *options, name="provider"), class_="field")


def name_of(person: Mapping[str, Any]) -> str:
    """Return what a person is called, for want of anything better by the subject."""
    told = person.get("name") or person.get("email") or person.get("username") or person.get("subject")
    return cut(str(told or "nobody"), 120)


def device(agent: str) -> Markup:
    """Return what a browser is called by what it says of itself, and that itself."""
    found = device_of(agent)
    words = " on ".join(filter(None, (found.browser, found.system))) or "Unknown device"
    return h("span", words, h("small", cut(agent, 200), class_="agent") if agent else None)


def _mono(text: str) -> Markup:
    return h("span", cut(str(text), 120), class_="mono")


def person(
    who: Mapping[str, Any],
    sessions: Sequence[Mapping[str, Any]],
    now: float,
    *,
    may_end: bool,
    trouble: str = "",
) -> Page:
    """Return the page of one person: who it is, and their sessions."""
    provider, subject = str(who["provider"]), str(who["subject"])
    head = facts(
        (
            ("Name", cut(str(who["name"])) if who.get("name") else None),
            ("E-mail", _mono(who["email"]) if who.get("email") else None),
            ("User name", _mono(who["username"]) if who.get("username") else None),
            ("Subject", _mono(subject)),
            ("Provider", cut(provider, 60)),
            ("Issuer", _mono(who["issuer"]) if who.get("issuer") else None),
        )
    )
    buttons = [h("a", "Audit trail", href=link("trail", sub=subject, provider=provider), class_="button")]
    if may_end:
        where = link("end", kind="sub", value=subject, provider=provider)
        buttons.append(h("a", "End everything of this person", href=where, class_="button danger"))
    top = h("div", h("h1", name_of(who)), h("p", h("a", "All people", href=f"{ROOT}people")), class_="top")
    shown = _sessions(sessions, now, may_end=may_end)
    if trouble:
        shown = section("Sessions", h("p", trouble, class_="empty"))
    body = [top, h("section", head, h("div", *buttons, class_="actions")), shown]
    return Page(name_of(who), joined(body), "people")


def _sessions(sessions: Sequence[Mapping[str, Any]], now: float, *, may_end: bool) -> Markup:
    rows = []
    for each in sessions[:_MOST_SESSIONS]:
        session_id = str(each["session_id"])
        end = h("a", "End", href=link("end", kind="session", value=session_id), class_="button small")
        rows.append(
            (
                joined(
                    [
                        device(str(each.get("user_agent") or "")),
                        h("small", "Session ", _mono(session_id), class_="agent"),
                    ]
                ),
                h("span", cut(str(each.get("address") or ""), 60), class_="mono whole"),
                ago(each["since"], now),
                ago(each["last_seen"], now),
                ago(each["ends"], now),
                joined(h("span", _mono(site), " ") for site in each.get("sites", ())[:20]),
                *((end,) if may_end else ()),
            )
        )
    heads = (
        "Device",
        "Address",
        "Since",
        "Last seen",
        "Ends",
        "Sites",
        *(("End it",) if may_end else ()),
    )
    shown = table("Sessions", heads, rows, "No session that lives.")
    return section(f"Sessions ({len(sessions)})", shown)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is about to be ended: the kind and value of an entry, and whose it is.

    ``provider`` is a name, empty where the kind has none. ``shown`` are facts about it; ``count`` is how many
    sessions that live it would end, None where nobody can tell.
    """

    kind: str
    value: str
    provider: str
    shown: Sequence[tuple[str, str | None]] = ()
    count: int | None = None


def confirm(ending: Ending, csrf: str, problem: str = "", reason: str = "") -> Page:
    """Return the page that asks why, and does nothing by itself."""
    what = KINDS[ending.kind]
    reach = {
        None: "How many sessions that ends, nobody can tell.",
        0: "No session that lives is named by this.",
    }.get(ending.count, f"This ends {number(ending.count)} session{'' if ending.count == 1 else 's'}.")
    if ending.kind == "jti":
        reach = "Whoever presents this token is refused from then on, at every worker."
    entry = h(
        "label",
        h("span", "Reason"),
        h(
            "input",
            name="reason",
            value=reason,
            required=True,
            maxlength=str(MOST_REASON),
            autocomplete="off",
            autofocus=True,
        ),
        h("small", "Required. It stands in the audit log, together with your name."),
        class_="field",
    )
    hidden = [
        h("input", type="hidden", name=name, value=value)
        for name, value in (("kind", ending.kind), ("value", ending.value), ("provider", ending.provider))
    ]
    go = h("button", f"End {what}", type="submit", class_="button danger")
    back = h("a", "Do nothing", href=f"{ROOT}people", class_="button")
    pieces = [
        h("h1", f"End {what}?"),
        h("p", problem, class_="news stop", role="alert") if problem else None,
        facts(ending.shown),
        h("p", reach, class_="reach"),
        form("end", csrf, *hidden, entry, h("div", go, back, class_="actions")),
    ]
    status = 400 if problem else 200
    return Page(f"End {what}?", h("section", *pieces, class_="narrow"), "people", status)


def tokens(providers: Sequence[str], csrf: str, problem: str = "", *, may_end: bool) -> Page:
    """Return the page on which a token is revoked, by its ``jti`` or by itself."""
    pieces: list[str | None] = [
        h("h1", "Revoke an access token"),
        h("p", problem, class_="news stop", role="alert") if problem else None,
    ]
    if may_end:
        text = (
            "Paste the token, or its jti. Of a token only jti, iss and exp are read; it is neither kept,"
            " nor shown, nor logged. Opaque tokens have no jti: end everything of the person instead."
        )
        entry = h(
            "label",
            h("span", "Token or jti"),
            h(
                "textarea",
                name="pasted",
                required=True,
                maxlength="32768",
                autocomplete="off",
                spellcheck="false",
            ),
            class_="field",
        )
        go = h("button", "Go on", type="submit", class_="button first")
        pieces += [h("p", text), form("token", csrf, entry, provider_field(providers), go)]
    else:
        pieces.append(h("p", "This needs the role revoke."))
    return Page("Revoke a token", h("section", *pieces, class_="narrow"), "token", 400 if problem else 200)
