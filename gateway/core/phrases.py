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
