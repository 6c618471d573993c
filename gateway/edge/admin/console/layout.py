"""The frame of every page of the console: its head, its ways, and the policy that browsers hold it to."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from gateway.edge.admin.console.html import NOTHING, badge, h, joined
from gateway.edge.admin.http import Reply
from gateway.edge.admin.operators import Operator
from gateway.edge.rendering.pages.template import Markup, Template

ROOT: Final = "/console/"
_HERE: Final = files(__name__.rpartition(".")[0])
_STYLE: Final = Markup("\n" + (_HERE / "console.css").read_text("utf-8"))
_FRAME: Final = Template((_HERE / "console.html").read_text("utf-8"))
_STYLE_HASH: Final = "sha256-" + b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src '{_STYLE_HASH}'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_WAYS: Final = (("", "Overview"), ("people", "People"), ("token", "Tokens"), ("trail", "Audit trail"))


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows: ``way`` is the entry of the menu that it is under, empty for the first.

    ``refresh`` are the seconds after which the browser asks for ``again``, None where it does not.
    """

    title: str
    body: str
    way: str | None = None
    status: int = 200
    refresh: int | None = None
    again: str = ROOT


def render(
    page: Page,
    operator: Operator | None = None,
    csrf: str = "",
    news: "tuple[str, str] | None" = None,
    cookies: tuple[str, ...] = (),
) -> Reply:
    """Return a page as it is sent.

    Args:
        page: what it shows.
        operator: who is logged in, None for nobody.
        csrf: of their session.
        news: the tone and the text of what the last action came to.
        cookies: values of Set-Cookie.
    """
    told = NOTHING
    if news is not None:
        told = h("p", news[1], class_=f"news {news[0]}", role="status")
    menu = NOTHING if operator is None else _menu(page, operator, csrf)
    text = _FRAME.render(
        {"title": page.title, "style": _STYLE, "menu": menu, "news": told, "body": page.body}
    )
    headers = {"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"}
    if page.refresh is not None:
        headers["Refresh"] = f"{page.refresh}; url={page.again}"
    return Reply(page.status, text.encode(), "text/html; charset=utf-8", headers, POLICY, cookies)


def _menu(page: Page, operator: Operator, csrf: str) -> Markup:
    ways = [
        h("li", h("a", name, href=ROOT + way, aria_current="page" if way == page.way else None))
        for way, name in _WAYS
    ]
    log_out = form("logout", csrf, h("button", "Log out", type="submit", class_="button small"))
    who = h("p", h("span", operator.name, class_="name"), " ", badge(operator.role), class_="who")
    return joined([h("nav", h("ul", *ways), aria_label="Console"), h("div", who, log_out, class_="operator")])


def form(action: str, csrf: str, *content: str | None) -> Markup:
    """Return a form that posts to a path of the console with the token of the session."""
    secret = h("input", type="hidden", name="csrf", value=csrf)
    return h("form", secret, *content, method="post", action=ROOT + action)


def moved(place: str, *cookies: str) -> Reply:
    """Return an answer that leads on to another page of the console."""
    return Reply(303, b"", "text/plain; charset=utf-8", {"Location": place}, cookies=cookies)


def message(title: str, *texts: str | None, status: int, way: str | None = None) -> Page:
    """Return a page of a few sentences, and the way back."""
    back = h("p", h("a", "Back to the overview", href=ROOT, class_="button"))
    shown = [each if isinstance(each, Markup) else h("p", each) for each in texts if each is not None]
    return Page(title, h("section", h("h1", title), *shown, back, class_="narrow"), way, status)
