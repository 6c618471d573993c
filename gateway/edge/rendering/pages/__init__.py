"""The pages that people see: one layout, plain words for each reason, no script, every value escaped.

Each function is given the edition that the page is of: its language, and whose it looks (``edition``).
"""

from collections.abc import Iterable
from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.edition import PLAIN, Edition, Pages, compile_pages
from gateway.edge.rendering.pages.parts import (
    MOST_DETAIL,
    NOTHING,
    Lack,
    Offers,
    button,
    footer,
    group,
    link_of,
    told,
    whom_to_ask,
)
from gateway.edge.rendering.pages.template import Markup, Template, escaped
from gateway.edge.rendering.pages.texts import TEXTS, Text

__all__ = [
    "PLAIN",
    "TEXTS",
    "Edition",
    "Lack",
    "Offers",
    "Pages",
    "Text",
    "choose",
    "compile_pages",
    "going_on",
    "logged_out",
    "logout_confirm",
    "page_lost",
    "refusal",
]

_NO_OFFERS: Final = Offers()
_NO_LACK: Final = Lack()
_CHOICE: Final = Template('<li><a class="{{kind}}" href="{{link}}">{{label}}</a>{{note}}</li>')
_FORM: Final = Template(
    '<form method="post" action="{{action}}">'
    '<button class="button first" type="submit">{{logout}}</button>'
    '<button class="button" type="submit" name="everywhere" value="1">{{everywhere}}</button></form>'
)
_GO_ON: Final = Template('<a class="button first" href="{{link}}">{{text}}</a>')
_WHERE: Final = Template('<p class="below"><a href="{{link}}">{{text}}</a></p>')


def refusal(
    reason: Reason,
    request_id: str,
    *,
    edition: Edition = PLAIN,
    offers: Offers = _NO_OFFERS,
    detail: str | None = None,
    retry_after: int | None = None,
    lack: Lack = _NO_LACK,
    cause: str = "",
) -> bytes:
    """Return the page of a refusal or fault.

    Args:
        reason: why.
        request_id: ours, shown so that a person can quote it.
        edition: the language, and whose page it looks.
        offers: what can help.
        detail: text that is safe to show; it may come from a provider and is escaped.
        retry_after: seconds after which trying again makes sense.
        lack: what the person lacks, and whom to ask.
        cause: what probably happened to a login, one of ``causes.Cause``.
    """
    text = edition.texts[reason]
    actions: list[Markup] = []
    for each in text.actions:
        actions.append(button(edition, each, offers, is_next=any(actions)))
    if text.actions and not any(actions):
        actions = [button(edition, "home", offers)]
    rows = [(edition.label("label", "reason"), reason.value)]
    if detail:
        rows.append((edition.label("label", "detail"), told(edition, detail)[:MOST_DETAIL]))
    rows.append((edition.label("label", "request_id"), request_id))
    person = NOTHING
    if offers.person:
        name = Template("<strong>{{name}}</strong>").render({"name": offers.person[:MOST_DETAIL]})
        person = Markup(f"<p>{edition.say('sentence', 'person', person=name)}</p>\n")
    contact = whom_to_ask(edition, lack.contact or edition.brand.contact)
    return edition.page(
        reason.value,
        below=Markup(_missing(edition, lack.words) + contact + group(actions)),
        footer=footer(rows),
        person=person,
        seconds=retry_after,
        cause=cause,
    )


def _missing(edition: Edition, words: tuple[str, ...]) -> Markup:
    if not words:
        return NOTHING
    items = "".join(f"<li>{escaped(told(edition, each))}</li>" for each in words)
    return Markup(f"<h2>{edition.say('heading', 'missing')}</h2>\n<ul>{items}</ul>\n")


def logout_confirm(action: str, edition: Edition = PLAIN, *, sessions: str | None = None) -> bytes:
    """Return the page that asks whether to log out; its form posts to ``action``.

    ``sessions`` is where people see where they are logged in, None where nobody can.
    """
    form = _FORM.render(
        {
            "action": link_of(action) or "",
            "logout": edition.say("button", "logout"),
            "everywhere": edition.say("button", "logout_everywhere"),
        }
    )
    stay = f'<a class="button" href="/">{edition.say("button", "stay")}</a>'
    where = NOTHING
    if (link := link_of(sessions)) is not None:
        where = _WHERE.render({"link": link, "text": edition.say("session", "where")})
    return edition.page(Reason.LOGOUT_CONFIRM.value, below=Markup(group([form, stay]) + where))


def choose(choices: Iterable[tuple[str, str]], *, remembered: bool, edition: Edition = PLAIN) -> bytes:
    """Return the page on which a person chooses where to log in: labels and links, in this order.

    ``remembered`` tells that the first is where this browser has logged in before.
    """
    used = Markup(f' <span class="note">{edition.say("label", "used_before")}</span>')
    items = [
        _CHOICE.render(
            {
                "kind": "button first" if remembered and not place else "button",
                "link": link_of(link) or "",
                "label": label,
                "note": used if remembered and not place else NOTHING,
            }
        )
        for place, (label, link) in enumerate(choices)
    ]
    shown = Markup(
        f'<nav aria-label="{edition.say("label", "choices")}">\n<ul class="choices">\n'
        + "\n".join(items)
        + "\n</ul>\n</nav>"
    )
    return edition.page(Reason.PROVIDER_CHOICE.value, below=shown)


def page_lost(edition: Edition = PLAIN) -> bytes:
    """Return the page after a login for a page whose address was too long to be remembered."""
    return edition.page("page_lost", below=group([button(edition, "home", _NO_OFFERS)]))


def going_on(reason: Reason, url: str, edition: Edition = PLAIN) -> bytes:
    """Return the page from which a browser goes on by itself, or by its button."""
    link = {"link": link_of(url) or "", "text": edition.say("button", "go_on")}
    return edition.page(reason.value, below=group([_GO_ON.render(link)]))


def logged_out(login_url: str, *, at_provider: bool = False, edition: Edition = PLAIN) -> bytes:
    """Return the page after a logout; ``at_provider`` says that the login there has ended as well."""
    name = "logged_out_everywhere" if at_provider else Reason.LOGGED_OUT.value
    return edition.page(name, below=group([button(edition, "login", Offers(login_url))]))
