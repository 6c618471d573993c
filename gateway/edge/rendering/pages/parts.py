"""Pieces of pages: links, buttons, lists, the footer."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.core.phrases import PHRASES, Phrase, Value, listed
from gateway.edge.rendering.pages.edition import Edition
from gateway.edge.rendering.pages.template import Markup, Template, escaped
from gateway.edge.rendering.pages.texts import Action

MOST_DETAIL: Final = 300
"""Characters of a text that others have a say in."""

NOTHING: Final = Markup("")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255}")


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


def link_of(url: str | None) -> str | None:
    """Return a URL that a page may link to: http(s), or a path of this site; None for any other."""
    if url is None or not url.isascii() or any(letter in "\\ \t\r\n" for letter in url):
        return None
    if url.startswith(("https://", "http://")) or (url.startswith("/") and not url.startswith("//")):
        return url
    return None


def button(edition: Edition, action: Action, offers: Offers, *, is_next: bool = False) -> Markup:
    """Return the button of an action, nothing where it leads nowhere; ``is_next``: another is likelier."""
    words = edition.say("button", action)
    if action == "home":
        return Markup(f'<a class="button" href="/">{words}</a>')
    # an empty reference is this very page (RFC 3986 section 4.4)
    if action == "retry" and offers.retry is None:
        return Markup(f'<a class="button first" href="">{words}</a>')
    link = link_of(
        {"retry": offers.retry, "login": offers.login, "account": offers.account, "logout": offers.logout}[
            action
        ]
    )
    if link is None:
        return NOTHING
    kind = "button" if action in ("account", "logout") or is_next else "button first"
    return Template('<a class="{{kind}}" href="{{link}}">{{text}}</a>').render(
        {"kind": kind, "link": link, "text": words}
    )


def group(actions: Iterable[str]) -> Markup:
    """Return buttons side by side, nothing where there are none."""
    shown = "\n".join(each for each in actions if each)
    return Markup(f'<div class="actions">\n{shown}\n</div>' if shown else "")


def footer(rows: Iterable[tuple[str, str]], above: Markup = NOTHING) -> Markup:
    """Return what stands at the end of a page: ``above``, then names with values."""
    # no value turns what is around it: names and ids keep their own direction
    lines = "".join(f"<dt>{escaped(name)}</dt><dd><bdi>{escaped(value)}</bdi></dd>" for name, value in rows)
    return Markup(f"<footer>{above}<dl>{lines}</dl></footer>")


def whom_to_ask(edition: Edition, contact: str) -> Markup:
    """Return whom to ask as a paragraph: an e-mail address and a URL are links, all else is text."""
    if not contact:
        return NOTHING
    link = link_of(contact)
    if _ADDRESS.fullmatch(contact) is not None:
        link = f"mailto:{contact}"
    shown = escaped(contact)
    if link is not None:
        shown = Template('<a href="{{link}}">{{text}}</a>').render({"link": link, "text": contact})
    return Markup(f"<p>{edition.say('sentence', 'contact', contact=shown)}</p>\n")


def told(edition: Edition, text: str) -> str:
    """Return a text of the core in the language of an edition; what is no phrase of ours stays as it is."""
    if not isinstance(text, Phrase):
        return text
    if text.parts:
        link = edition.label("phrase", text.link)
        return f", {link} ".join(told(edition, each) for each in text.parts)
    if not text.name:
        return str(text)
    found = edition.label("phrase", text.name)
    for slot, value in text.values.items():
        found = found.replace(f"{{{{{slot}}}}}", _value(edition, value, text.link))
    return found


def _value(edition: Edition, value: Value, link: str) -> str:
    if isinstance(value, str):
        return told(edition, value)
    return listed(value, edition.label("phrase", link if link in PHRASES else "or"))
