"""Short texts of our own that the core composes: English as they are, and told again in other languages.

A ``Phrase`` is its English text, so that logs, problem documents and tests read it as any other. A page looks
at its name and values, and says the same in the person's language.
"""

from typing import Final, Self, TypeAlias

Value: TypeAlias = "str | tuple[str, ...]"

PHRASES: Final[dict[str, str]] = {
    "or": "or",
    "and": "and",
    "group": "the group {{names}}",
    "groups": "one of the groups {{names}}",
    "role": "the role {{names}}",
    "roles": "one of the roles {{names}}",
    "email_domains": "a verified e-mail address of {{names}}",
    "scope": "the scope {{names}}",
    "scopes": "the scopes {{names}}",
    "claim": "the claim {{names}}, as required here",
    "claims": "the claims {{names}}, as required here",
    "networks": "a connection from a network that is let in here",
    "methods": "a right to do this, and not only to look",
    "acr": "a stronger login",
    "max_age": "a more recent login",
    "not_kept_out": "an account that is not kept out here",
    "access_token": "the access token, which access_token: jwt verifies",
    "access_token_clock": "the access token, which access_token: jwt verifies: {{clock}}",
    "ask_for": "Ask for {{url}}",
    "asked_forged": "The field {{name}} tells an identity elsewhere, and the proxy in front would pass it"
    " on.",
    "asked_here": "The gateway answers this itself: the proxy in front has to send it there.",
    "asked_other_host": "The original is for another host than this proxy asks about.",
    "asked_preflight": "A proxy that asks lets no preflight through: it answers by itself, or a public route"
    " opens OPTIONS.",
    "characters": "{{number}} characters",
    "clock_ahead": "the provider's clock is {{seconds}} s ahead of this one",
    "clock_expired": "it expired {{seconds}} s ago by this clock",
    "code_too_long": "its code is too long to be kept",
    "forwarding_unreadable": "What {{what}} says cannot be read, or it is absent.",
    "no_id_token": "no ID token came",
    "raw_path": "A route lets such paths pass as they are with raw_path: true.",
    "ticket_elsewhere": "it is no ticket for this site",
    "ticket_of_other": "it is not for this browser",
    "ticket_used": "it was used before, or is too old",
    "userinfo_other": "UserInfo is about somebody else",
    "userinfo_refused": "UserInfo refused the access token; its status is logged",
}
"""The English texts by name; ``{{names}}`` and others are slots."""


class Phrase(str):
    """A text in English that knows how it came about.

    Attributes:
        name: of its text in ``PHRASES``; empty for several, joined.
        values: what its slots hold: a text, or several, of which the last is linked by ``link``.
        link: the name of the word before the last of several, ``or`` or ``and``.
        parts: what several are joined of.
    """

    __slots__ = ("link", "name", "parts", "values")

    name: str
    values: dict[str, Value]
    link: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, name: str, /, link: str = "or", **values: Value) -> Self:
        """Return the phrase of this name with its slots filled."""
        text = PHRASES[name]
        for slot, value in values.items():
            text = text.replace(f"{{{{{slot}}}}}", listed(value, PHRASES[link]))
        return cls._made(text, name, values, link, ())

    @classmethod
    def joined(cls, parts: tuple[str, ...], link: str) -> Self:
        """Return several texts as one: with a comma and a word between them."""
        return cls._made(f", {PHRASES[link]} ".join(parts), "", {}, link, parts)

    @classmethod
    def _made(cls, text: str, name: str, values: dict[str, Value], link: str, parts: tuple[str, ...]) -> Self:
        made = cls(text)
        made.name, made.values, made.link, made.parts = name, values, link, parts
        return made


def listed(value: Value, link: str) -> str:
    """Return one text, or several with commas and a word before the last."""
    if isinstance(value, str):
        return value
    if len(value) < 2:
        return "".join(value)
    return f"{', '.join(value[:-1])} {link} {value[-1]}"
