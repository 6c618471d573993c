"""The page on which people see where they are logged in, and end what they do not know."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.edition import Edition
from gateway.edge.rendering.pages.parts import NOTHING, group, link_of
from gateway.edge.rendering.pages.template import Markup, Template, escaped

MOST_SHOWN: Final = 100
"""How many sessions are on the page; the button for all others ends those that are not, too."""

_FORM: Final = Template(
    '<form method="post" action="{{action}}" class="whole">\n'
    '<input type="hidden" name="token" value="{{token}}">\n'
    '<ul class="sessions" aria-label="{{list}}">\n{{rows}}\n</ul>\n{{more}}{{actions}}\n</form>'
)
_ROW: Final = Template("<li>\n<h2>{{device}}{{badge}}</h2>\n<dl>{{facts}}</dl>\n{{button}}\n</li>")
_FACT: Final = Template("<dt>{{name}}</dt><dd><bdi>{{value}}</bdi></dd>")
_TIME: Final = Template('<time datetime="{{iso}}">{{text}}</time>')
_END: Final = Template(
    '<button class="button" type="submit" name="session" value="{{id}}" aria-label="{{end}}: {{device}}">'
    "{{end}}</button>"
)
_LOGOUT: Final = Template('<a class="button" href="{{link}}">{{logout}}</a>')
_STEPS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def own_sessions(
    edition: Edition, document: Mapping[str, Any], values: Mapping[str, str], person: str
) -> bytes:
    """Return the page.

    Args:
        edition: the language, and whose page it looks.
        document: what API callers are told (docs/sessions.md).
        values: of the answer: ``action`` and ``token`` of the form, ``logout``, ``ended`` and ``now``.
        person: under which name the person knows themselves.
    """
    rows = document["sessions"]
    # where there is one site, it is this one
    is_one = len({site for each in rows for site in each["sites"]}) <= 1
    shown = [_row(edition, each, values, has_sites=not is_one) for each in rows[:MOST_SHOWN]]
    actions = []
    if len(rows) > 1:
        end = edition.say("session", "end_others")
        actions.append(f'<button class="button first" type="submit" name="others" value="1">{end}</button>')
    more = "only" if len(rows) == 1 else "more" if document["more"] or len(rows) > MOST_SHOWN else ""
    form = _FORM.render(
        {
            "action": link_of(values["action"]) or "",
            "token": values["token"],
            "list": edition.say("session", "list"),
            "rows": Markup("\n".join(shown)),
            "more": Markup(f"<p>{edition.say('session', more)}</p>\n") if more else NOTHING,
            "actions": group(actions),
        }
    )
    name = Template("<strong>{{name}}</strong>").render({"name": person})
    told = Markup(f"<p>{edition.say('sentence', 'person', person=name)}</p>\n")
    return edition.page(
        Reason.SESSIONS_SHOWN.value, below=Markup(_ended(edition, values["ended"]) + form), person=told
    )


def _ended(edition: Edition, count: str) -> Markup:
    if not count or not int(count):
        return NOTHING
    said = edition.say("session", "ended_one" if int(count) == 1 else "ended_many", count=str(int(count)))
    return Markup(f'<p class="done" role="status">{said}</p>\n')


def _row(edition: Edition, row: Mapping[str, Any], values: Mapping[str, str], *, has_sites: bool) -> str:
    device, now = _device(edition, row), int(values["now"])
    facts = [
        ("from", escaped(row["network"] or edition.label("session", _place(row["network_kind"])))),
        ("since", _time(row["since"], _date(row["since"]))),
        ("seen", _time(row["last_seen"], _ago(edition, now - row["last_seen"]))),
    ]
    if has_sites and row["sites"]:
        facts.append(("sites", escaped(", ".join(_site(each) for each in row["sites"]))))
    if row["this"]:
        badge = Markup(f' <span class="badge">{edition.say("session", "this")}</span>')
        logout = {"link": link_of(values["logout"]) or "", "logout": edition.say("button", "logout")}
        button = _LOGOUT.render(logout)
    else:
        badge = NOTHING
        button = _END.render({"id": row["id"], "end": edition.say("session", "end"), "device": device})
    lines = "".join(
        _FACT.render({"name": edition.say("session", name), "value": value}) for name, value in facts
    )
    return _ROW.render({"device": device, "badge": badge, "facts": Markup(lines), "button": button})


def _device(edition: Edition, row: Mapping[str, Any]) -> Markup:
    browser, system = row["browser"], row["system"]
    if browser and system:
        return edition.say("session", "device", browser=browser, system=system)
    if system:
        return edition.say("session", "system", system=system)
    return escaped(browser) if browser else edition.say("session", "unknown")


def _place(kind: str) -> str:
    return kind if kind in ("here", "private", "other") else "nowhere"


def _site(origin: str) -> str:
    return origin.partition("://")[2] or origin


def _time(at: float, text: str) -> Markup:
    return _TIME.render({"iso": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}", "text": text})


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _ago(edition: Edition, seconds: float) -> str:
    for size, name in _STEPS:
        if (count := int(seconds // size)) >= 1:
            return edition.say("ago", name if count == 1 else f"{name}s", count=str(count))
    return edition.say("ago", "now")
