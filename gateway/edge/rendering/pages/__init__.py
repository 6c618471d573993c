"""The pages that people see: one layout, plain words for each reason, no script, every value escaped."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.template import Markup, Template, escaped
from gateway.edge.rendering.pages.texts import LOGGED_OUT_EVERYWHERE, PAGE_LOST, TEXTS, Action, Text

__all__ = [
    "STYLE_HASH",
    "TEXTS",
    "Lack",
    "Offers",
    "Text",
    "choose",
    "logged_out",
    "logout_confirm",
    "page_lost",
    "refusal",
]

_HERE: Final = files(__name__)
_STYLE: Final = Markup("\n" + (_HERE / "style.css").read_text("utf-8"))
_LAYOUT: Final = Template((_HERE / "page.html").read_text("utf-8"))
STYLE_HASH: Final = "sha256-" + b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""The hash source (CSP Level 3 section 2.3.1) of the one style sheet."""

_MOST_DETAIL: Final = 300
_NOTHING: Final = Markup("")

_MARKS: Final = {
    "ask": '<path d="M6 11h12v9H6z"/><path d="M8.5 11V8a3.5 3.5 0 0 1 7 0v3"/>',
    "wait": '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.5 2"/>',
    "stop": '<path d="M12 3 2.5 20h19z"/><path d="M12 10v4.5M12 17.2v.1"/>',
    "good": '<circle cx="12" cy="12" r="9"/><path d="m8 12.3 2.8 2.8L16 9.6"/>',
}


@dataclass(frozen=True, slots=True)
class Offers:
    """Where a page leads; anything but http(s) or a path is not linked. None: not offered.

    ``login`` is where to log in, ``account`` where to do so with another account, ``logout`` where to end the
    session, ``retry`` where to try again if that is not this very address. ``person`` says who is logged in.
    """

    login: str | None = None
    account: str | None = None
    retry: str | None = None
    logout: str | None = None
    person: str = ""


@dataclass(frozen=True, slots=True)
class Lack:
    """What somebody lacks, in words, and whom to ask: an address, a URL, or words; empty: nobody named."""

    words: tuple[str, ...] = ()
    contact: str = ""


_NO_OFFERS: Final = Offers()
_NO_LACK: Final = Lack()
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255}")


def refusal(
    reason: Reason,
    request_id: str,
    *,
    offers: Offers = _NO_OFFERS,
    detail: str | None = None,
    retry_after: int | None = None,
    lack: Lack = _NO_LACK,
) -> bytes:
    """Return the page of a refusal or fault.

    Args:
        reason: why.
        request_id: ours, shown so that a person can quote it.
        offers: what can help.
        detail: text that is safe to show; it may come from a provider and is escaped.
        retry_after: seconds after which trying again makes sense.
        lack: what the person lacks, and whom to ask.
    """
    actions = [_action(each, offers) for each in TEXTS[reason].actions]
    if TEXTS[reason].actions and not any(actions):
        actions = [_action("home", offers)]
    rows = [("Reason", reason.value)]
    if detail:
        rows.append(("Detail", detail[:_MOST_DETAIL]))
    rows.append(("Request ID", request_id))
    person = _NOTHING
    if offers.person:
        person = Template("<p>You are logged in as <strong>{{person}}</strong>.</p>\n").render(
            {"person": offers.person[:_MOST_DETAIL]}
        )
    below = Markup(_lack(lack) + _group(actions))
    return _fill(TEXTS[reason], retry_after, below, _footer(rows), person)


def _lack(lack: Lack) -> Markup:
    parts = []
    if lack.words:
        items = "".join(f"<li>{escaped(each)}</li>" for each in lack.words)
        parts.append(f"<h2>What is missing</h2>\n<ul>{items}</ul>\n")
    if lack.contact:
        link = _link(lack.contact)
        if _ADDRESS.fullmatch(lack.contact) is not None:
            link = f"mailto:{lack.contact}"
        shown = escaped(lack.contact)
        if link is not None:
            shown = Template('<a href="{{link}}">{{text}}</a>').render({"link": link, "text": lack.contact})
        parts.append(f"<p>Whom to ask: {shown}</p>\n")
    return Markup("".join(parts))


def logout_confirm(action: str) -> bytes:
    """Return the page that asks whether to log out; its form posts to ``action``."""
    form = Template(
        '<form method="post" action="{{action}}">'
        '<button class="button first" type="submit">Log out</button>'
        '<button class="button" type="submit" name="everywhere" value="1">Log out everywhere</button></form>'
    ).render({"action": _link(action) or ""})
    stay = '<a class="button" href="/">Stay logged in</a>'
    return _fill(TEXTS[Reason.LOGOUT_CONFIRM], None, _group([form, stay]), Markup(""))


def choose(choices: Iterable[tuple[str, str]], *, remembered: bool) -> bytes:
    """Return the page on which a person chooses where to log in: labels and links, in this order.

    ``remembered`` tells that the first is where this browser has logged in before.
    """
    item = Template('<li><a class="{{kind}}" href="{{link}}">{{label}}</a>{{note}}</li>')
    used = Markup(' <span class="note">used here before</span>')
    items = [
        item.render(
            {
                "kind": "button first" if remembered and not place else "button",
                "link": _link(link) or "",
                "label": label,
                "note": used if remembered and not place else _NOTHING,
            }
        )
        for place, (label, link) in enumerate(choices)
    ]
    shown = Markup(
        '<nav aria-label="Ways to log in">\n<ul class="choices">\n' + "\n".join(items) + "\n</ul>\n</nav>"
    )
    return _fill(TEXTS[Reason.PROVIDER_CHOICE], None, shown, _NOTHING)


def page_lost() -> bytes:
    """Return the page after a login for a page whose address was too long to be remembered."""
    return _fill(PAGE_LOST, None, _group([_action("home", Offers())]), Markup(""))


def logged_out(login_url: str, *, at_provider: bool = False) -> bytes:
    """Return the page after a logout; ``at_provider`` says that the login there has ended as well."""
    text = LOGGED_OUT_EVERYWHERE if at_provider else TEXTS[Reason.LOGGED_OUT]
    return _fill(text, None, _group([_action("login", Offers(login_url))]), Markup(""))


def _fill(
    text: Text, retry_after: int | None, actions: Markup, footer: Markup, person: Markup = _NOTHING
) -> bytes:
    frame = _frame(text, retry_after)
    return frame.render({"person": person, "actions": actions, "footer": footer}).encode("utf-8")


@lru_cache(maxsize=256)
def _frame(text: Text, retry_after: int | None) -> Template:
    """Return a page with only its person, its actions and its footer left open."""
    filled = _LAYOUT.render(
        {
            "title": text.title,
            "style": _STYLE,
            "tone": text.tone,
            "mark": Markup(f'<svg viewBox="0 0 24 24" focusable="false">{_MARKS[text.tone]}</svg>'),
            "content": _content(text, retry_after),
            "person": Markup("{{person}}"),
            "actions": Markup("{{actions}}"),
            "footer": Markup("{{footer}}"),
        }
    )
    return Template(filled)


def _content(text: Text, retry_after: int | None) -> Markup:
    moment = " a moment"
    if retry_after is not None:
        moment = f" {retry_after} second{'' if retry_after == 1 else 's'}"
    advice = [escaped(each.replace("{{moment}}", moment)) for each in text.advice]
    parts = [f"<p>{escaped(text.message)}</p>"]
    if advice:
        items = "".join(f"<li>{each}</li>" for each in advice)
        parts.append(f"<h2>What you can do</h2>\n<ul>{items}</ul>")
    return Markup("\n".join(parts))


def _action(action: Action, offers: Offers) -> Markup:
    if action == "home":
        return Markup('<a class="button" href="/">Start page</a>')
    # an empty reference is this very page (RFC 3986 section 4.4)
    if action == "retry" and offers.retry is None:
        return Markup('<a class="button first" href="">Try again</a>')
    url, text = {
        "retry": (offers.retry, "Try again"),
        "login": (offers.login, "Log in"),
        "account": (offers.account, "Use another account"),
        "logout": (offers.logout, "Log out"),
    }[action]
    link = _link(url)
    if link is None:
        return Markup("")
    kind = "button" if action in ("account", "logout") else "button first"
    return Template('<a class="{{kind}}" href="{{link}}">{{text}}</a>').render(
        {"kind": kind, "link": link, "text": text}
    )


def _link(url: str | None) -> str | None:
    if url is None or not url.isascii() or any(letter in "\\ \t\r\n" for letter in url):
        return None
    if url.startswith(("https://", "http://")) or (url.startswith("/") and not url.startswith("//")):
        return url
    return None


def _group(actions: Iterable[str]) -> Markup:
    shown = "\n".join(each for each in actions if each)
    return Markup(f'<div class="actions">\n{shown}\n</div>' if shown else "")


def _footer(rows: Iterable[tuple[str, str]]) -> Markup:
    lines = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in rows)
    return Markup(f"<footer><dl>{lines}</dl></footer>")
