"""Checks of the pages that people see: names, languages, and colours that can be read."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem, suggestion
from gateway.config.page_colours import DARK, LIGHT, Ground
from gateway.config.settings.pages import SHIPPED
from gateway.config.settings.root import Settings
from gateway.syntax import colours, languages


def check_pages(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``pages`` that can be told without its files."""
    pages = settings.pages
    if pages.name is not None and (not pages.name.isprintable() or not pages.name.strip()):
        yield Problem(("pages", "name"), "write printable characters alone")
    if pages.logo_dark is not None and pages.logo is None:
        yield Problem(("pages", "logo_dark"), "write logo as well, for pages that are not dark")
    yield from _check_languages(settings)
    for setting, colour, ground in (
        ("accent", pages.accent, LIGHT),
        ("accent_dark", pages.accent_dark, DARK),
    ):
        yield from _check_colour(("pages", setting), colour, ground)


def _check_languages(settings: Settings) -> Iterator[Problem]:
    pages, seen = settings.pages, set[str]()
    for index, tag in enumerate(pages.languages):
        at: Path = ("pages", "languages", index)
        if not languages.is_tag(tag):
            yield Problem(at, "write a language tag, such as de or pt-BR")
        elif tag.lower() in seen:
            yield Problem(at, "this language is here twice")
        elif tag not in SHIPPED and tag not in pages.texts:
            yield Problem(at, f"pages.texts has none of this language; without any there are {_shipped()}")
        seen.add(tag.lower())
    for tag in pages.texts:
        if tag not in pages.languages:
            hint = suggestion(tag, pages.languages)
            yield Problem(("pages", "texts", tag), f"pages.languages does not name this language{hint}")


def _shipped() -> str:
    return " and ".join(SHIPPED)


def _check_colour(at: Path, colour: str | None, ground: Ground) -> Iterator[Problem]:
    if colour is None:
        return
    if not colours.is_colour(colour):
        yield Problem(at, "write a colour as #rrggbb, in quotes")
        return
    found = min(colours.contrast(colour, each) for each in ground.behind(colour))
    if found < colours.READABLE:
        yield Problem(
            at,
            f"on {ground.words} pages this has a contrast of {found:.1f} to 1, and text needs"
            f" {colours.READABLE} to 1 (WCAG 2.2, 1.4.3): choose a {ground.way} one",
        )
