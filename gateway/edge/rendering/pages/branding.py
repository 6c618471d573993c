"""Whose pages they look: name, logo, colours, whom to ask, templates. Compiled once from the settings."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from gateway.config.page_colours import Accent, accents
from gateway.config.settings.pages import INLINE, PagesSettings
from gateway.core.headers.request import Header
from gateway.edge.rendering.pages.template import Markup, Template

_HERE: Final = files("gateway.edge.rendering.pages")
_STYLE: Final = (_HERE / "style.css").read_text("utf-8")
_LAYOUT: Final = (_HERE / "page.html").read_text("utf-8")
_DIGEST: Final = 16

PAGE: Final = "page.html"
"""The template of every page that has none of its own kind."""

STYLE: Final = "style.css"

LOGO: Final = "logo"
LOGO_DARK: Final = "logo-dark"
"""What follows the prefix in the paths of the logos."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A logo as it is served: its media type and octets, and the digest that its address ends in."""

    media_type: str
    octets: bytes = field(repr=False)
    digest: str

    def answer(self, version: str) -> tuple[list[Header], bytes]:
        """Return the header fields and the content; ``version`` is what the address asks for.

        Opened by itself, no script of an SVG runs, and nothing is loaded.
        """
        # an address never shows another logo; a worker may not know yet of the one that is asked for
        lifetime = b"31536000, immutable" if version == self.digest else b"60"
        return [
            (b"Content-Type", self.media_type.encode()),
            (b"Cache-Control", b"public, max-age=" + lifetime),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox"),
            (b"Cross-Origin-Resource-Policy", b"same-origin"),
            (b"Referrer-Policy", b"no-referrer"),
        ], self.octets


@dataclass(frozen=True, slots=True)
class Branding:
    """What every page shows beside its texts.

    Attributes:
        name: what the site is called, empty where it has no name.
        contact: whom to ask: an e-mail address, a URL, or words; empty where nobody is named.
        prefix: the path under which logos are.
        logos: by what follows the prefix in their paths.
        style: the style sheet, as it stands on pages.
        layouts: the templates by the name of their file, ``PAGE`` among them.
        hashes: the hash sources of all styles on pages (CSP Level 3 section 2.3.1).
    """

    name: str
    contact: str
    prefix: str
    logos: Mapping[str, Logo]
    style: Markup
    layouts: Mapping[str, Template]
    hashes: tuple[str, ...]

    @property
    def is_own(self) -> bool:
        """Whether there is anything that tells whose pages they are."""
        return bool(self.name or self.logos)

    def logo_url(self, name: str) -> str:
        """Return the path of a logo, empty where there is none."""
        found = self.logos.get(name)
        return "" if found is None else f"{self.prefix}{name}?v={found.digest}"


def branding(pages: PagesSettings, contact: str | None = None, prefix: str = "/") -> Branding:
    """Compile the settings of pages.

    Raises:
        ValueError: a template or a logo cannot be used.
    """
    templates = pages.templates or {}
    style = Markup(f"\n{templates.get(STYLE, _STYLE)}{_colours(accents(pages))}")
    layouts = {name: Template(text) for name, text in templates.items() if name != STYLE}
    layouts.setdefault(PAGE, Template(_LAYOUT))
    styles = [style, *(each for layout in layouts.values() for each in layout.styles())]
    found = {LOGO: pages.logo, LOGO_DARK: pages.logo_dark}
    return Branding(
        name=pages.name or "",
        contact=contact or "",
        prefix=prefix,
        logos={name: logo_of(each) for name, each in found.items() if each is not None},
        style=style,
        layouts=layouts,
        hashes=tuple(dict.fromkeys(map(hash_source, styles))),
    )


def logo_of(inline: str) -> Logo:
    """Return the logo that a ``data:`` URL holds.

    Raises:
        ValueError: it holds none.
    """
    media_type, mark, data = inline.removeprefix(INLINE).partition(";base64,")
    if not mark:
        raise ValueError("pages.logo: no data URL in base64")
    octets = b64decode(data, validate=True)
    return Logo(media_type, octets, hashlib.sha256(octets).hexdigest()[:_DIGEST])


def hash_source(style: str) -> str:
    """Return the hash source of a style sheet."""
    return "sha256-" + b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _colours(found: tuple[Accent, Accent] | None) -> str:
    if found is None:
        return ""
    light, dark = (
        f":root {{ --accent: {each.colour}; --accent-text: {each.text}; --accent-soft: {each.soft}; }}"
        for each in found
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n"
