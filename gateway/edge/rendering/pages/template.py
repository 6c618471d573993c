"""A template of slots that escapes by default."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

SLOT: Final = re.compile(r"\{\{([a-z_]+)\}\}")
_STYLE: Final = re.compile(r"<style\b[^>]*>(.*?)</style>", re.DOTALL | re.IGNORECASE)


class Markup(str):
    """Text that is HTML already: written by us, or escaped before."""

    __slots__ = ()


class Template:
    """HTML with ``{{name}}`` slots. What fills one is escaped unless it is ``Markup``.

    ``slots`` are their names.
    """

    def __init__(self, text: str) -> None:
        pieces = SLOT.split(text)
        self._texts = pieces[0::2]
        self._names = pieces[1::2]
        self.slots = frozenset(self._names)
        self._whole = text

    def render(self, values: Mapping[str, str]) -> Markup:
        """Return the HTML with every slot filled.

        Raises:
            KeyError: a slot has no value.
        """
        parts = [self._texts[0]]
        for name, text in zip(self._names, self._texts[1:], strict=True):
            parts += (escaped(values[name]), text)
        return Markup("".join(parts))

    def styles(self) -> Iterator[str]:
        """Yield the style sheets that stand in it, without those that fill a slot."""
        for match in _STYLE.finditer(self._whole):
            if SLOT.search(match[1]) is None:
                yield match[1]


def escaped(text: str) -> Markup:
    """Return a text as HTML, for content and quoted attributes alike; controls become spaces."""
    if isinstance(text, Markup):
        return text
    return Markup(escape(_printable(text), quote=True))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    # isprintable is false for controls, lone surrogates and invisible direction marks that disguise a text
    return "".join(letter if letter.isprintable() else " " for letter in text)
