"""Settings of the pages that people see: whose they look, and which languages they speak.

Logos, texts and templates are written as paths. They are read with the configuration and stand here as what
the files hold, so that every worker has them and nothing is read while a request is served.
"""

from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from gateway.config.settings.base import Model, Text

MOST_LOGO: Final = 64 * 1024
"""Bytes of a logo."""

MOST_TEMPLATE: Final = 64 * 1024
"""Characters of a template, or of a style sheet."""

MOST_TEXT: Final = 2000
"""Characters of one text of a page."""

MOST_LINES: Final = 20
"""Texts in a list of them."""

SHIPPED: Final = ("en", "de")
"""The languages that need no texts of the configuration, the default first."""

INLINE: Final = "data:"
"""How what a logo's file held begins (RFC 2397)."""


def _is_read(value: str) -> str:
    if not value.startswith(INLINE):
        raise ValueError("the file has not been read")
    return value


def _are_read(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("the files have not been read")  # noqa: TRY004 - pydantic collects ValueError alone
    return value


LogoFile: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2 * MOST_LOGO),
    AfterValidator(_is_read),
]

PageText: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]

TextGroups: TypeAlias = Annotated[
    dict[Text, dict[Text, PageText | Annotated[tuple[PageText, ...], Field(max_length=MOST_LINES)]]],
    Field(max_length=1000),
    BeforeValidator(
        _are_read, json_schema_input_type=Text | dict[Text, dict[Text, PageText | list[PageText]]]
    ),
]

TemplateFiles: TypeAlias = Annotated[
    dict[Text, Annotated[str, StringConstraints(max_length=MOST_TEMPLATE)]],
    Field(max_length=50),
    BeforeValidator(_are_read, json_schema_input_type=Text),
]


class PagesSettings(Model):
    """The pages that people see: name, logo, colour, languages, texts, templates."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    """What the site is called, on every page; absent: pages bear no name."""
    logo: LogoFile | None = None
    """The file of a logo: SVG without script, PNG, JPEG or WebP, 64 KiB at most."""
    logo_dark: LogoFile | None = None
    """The logo for dark pages; absent: the same."""
    accent: Text | None = None
    """The colour of buttons, links and marks, as `#1f5fbf`; it must be readable on white."""
    accent_dark: Text | None = None
    """That colour on dark pages; absent: `accent`, made so light that it can be read there."""
    languages: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)] = SHIPPED
    """The languages of pages, chosen by Accept-Language; the first where nothing else is asked for."""
    texts: dict[Text, TextGroups] = Field(default_factory=dict, max_length=50)
    """Texts by language: a file, or the texts themselves; what is absent stays as shipped, or in English."""
    templates: TemplateFiles | None = None
    """A directory of HTML templates and a style sheet; absent: the gateway's own."""
