"""The pages around a log-in to the console."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from gateway.edge.admin.console.html import cut, h, joined
from gateway.edge.admin.console.layout import ROOT, Page
from gateway.edge.rendering.pages.template import Markup

_MOST_TO: Final = 1000
# paths and queries of the console, as it writes them itself
_SAFE: Final = re.compile(r"/console/[a-z]*(?:\?[A-Za-z0-9._~%=&+-]*)?")


@dataclass(frozen=True, slots=True)
class Ways:
    """How operators may log in: at a provider (its name), by a token, or by none of both."""

    provider: str | None
    has_tokens: bool


def safe(to: str) -> str:
    """Return where a log-in leads: a page of the console, its first one for anything else."""
    if len(to) <= _MOST_TO and _SAFE.fullmatch(to) is not None and not to.startswith(f"{ROOT}login"):
        return to
    return ROOT


def page(ways: Ways, to: str, problem: str = "", *, is_over: bool = False, status: int = 200) -> Page:
    """Return the page on which an operator logs in.

    Args:
        ways: that there are.
        to: where it leads.
        problem: what was wrong with the last attempt.
        is_over: whether there was a session, which has ended.
        status: of the answer.
    """
    told = problem or ("Your session has ended. Log in again." if is_over else "")
    alert = h("p", told, class_="news stop" if problem else "news warn", role="alert") if told else None
    pieces: list[Markup] = []
    where = h("input", type="hidden", name="to", value=safe(to)) if safe(to) != ROOT else None
    if ways.provider is not None:
        # no form: browsers hold what a form's answer leads on to against form-action
        query = f"?{urlencode({'to': safe(to)})}" if where is not None else ""
        name = f"Log in with {cut(ways.provider, 60)}"
        pieces.append(h("p", h("a", name, href=f"{ROOT}login/provider{query}", class_="button first")))
    if ways.provider is not None and ways.has_tokens:
        pieces.append(h("p", "or with an admin token", class_="or"))
    if ways.has_tokens:
        pieces.append(_token_form(where, is_first=ways.provider is None))
    if not pieces:
        text = "Nobody can log in here: set admin.tokens, or admin.console.provider with what it requires."
        pieces.append(h("p", text))
    body = h("section", h("h1", "Log in to the console"), alert, *pieces, class_="narrow")
    return Page("Log in", body, status=status)


def _token_form(where: Markup | None, *, is_first: bool) -> Markup:
    entry = h(
        "label",
        h("span", "Admin token"),
        h(
            "input",
            type="password",
            name="token",
            required=True,
            maxlength="4096",
            autocomplete="current-password",
            autocapitalize="none",
            spellcheck="false",
        ),
        h("small", "One of admin.tokens; what you do is told by its name in the audit log."),
        class_="field",
    )
    kind = "button first" if is_first else "button"
    go = h("button", "Log in", type="submit", class_=kind)
    # for managers of passwords
    user = h("input", type="text", name="user", autocomplete="username", hidden=True)
    return h("form", where, user, entry, go, method="post", action=f"{ROOT}login")


def come_again(target: str) -> Page:
    """Return a page that asks for the same one again, since then the browser sends the session along.

    A link on another site's page brings no Strict cookie; one from here does.
    """
    to = safe(target)
    link = h("p", h("a", "Go on to the console", href=to, class_="button first"))
    body = h("section", h("h1", "To the console"), joined([link]), class_="narrow")
    return Page("To the console", body, refresh=0, again=to)
