"""Pages in one language under one branding: what every function that makes a page is given.

``Pages`` is compiled from the settings (``compile_pages``), swapped whole on a reload, and finds the edition
for a request by its Accept-Language (``Pages.edition``). An ``Edition`` has the texts, and fills the layout.
Neither reads a file, and both remember one frame for each text of the configuration and nothing of requests.

To make a page of your own:

1. English: a group of texts in a module of its own beside ``texts/labels.py``, joined to ``LABELS`` there.
   German: the same names in ``texts/german``, joined to its ``LABELS``. A page with a title of its own is a
   ``Text`` in ``PAGES`` (``texts/__init__.py``), with its ``title``, ``message`` and ``advice`` in German.
   ``tests/unit/test_languages.py`` fails where one of them is missing.
2. A function ``my_page(edition, ...) -> bytes`` that calls ``edition.page("name of the Text", below=...)``.
   ``edition.label(group, name)`` is a text, to be escaped where it is put into ``Markup``;
   ``edition.say(group, name, slot=value)`` is a text as ``Markup`` with its slots filled and escaped.
   Lists, tables and forms go below the content as ``Markup`` made by ``Template``, which escapes.
3. Its header fields are ``edition.headers()``; ``edition.headers(form=True)`` where it has a form.
4. In the pipeline the edition is there already (``render_respond``); elsewhere ask ``Pages.edition`` with the
   value of Accept-Language. ``Edition.language`` is its tag.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.config.settings.pages import PagesSettings
from gateway.config.settings.root import Settings
from gateway.core.decision.causes import MENDERS, Cause
from gateway.core.headers.request import Header
from gateway.edge.rendering.pages.branding import LOGO, LOGO_DARK, PAGE, Branding, Logo, branding
from gateway.edge.rendering.pages.catalogue import Groups, texts_of
from gateway.edge.rendering.pages.kinds import kind_of
from gateway.edge.rendering.pages.template import Markup, Template, escaped
from gateway.edge.rendering.pages.texts import PAGES, Text
from gateway.syntax import languages

_NOTHING: Final = Markup("")

_MARKS: Final = {
    "ask": '<path d="M6 11h12v9H6z"/><path d="M8.5 11V8a3.5 3.5 0 0 1 7 0v3"/>',
    "wait": '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.5 2"/>',
    "stop": '<path d="M12 3 2.5 20h19z"/><path d="M12 10v4.5M12 17.2v.1"/>',
    "good": '<circle cx="12" cy="12" r="9"/><path d="m8 12.3 2.8 2.8L16 9.6"/>',
}
# what differs from one showing of a page to the next
_OPEN: Final = ("person", "actions", "footer", "moment")

_BASE: Final[tuple[Header, ...]] = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Type", b"text/html; charset=utf-8"),
)
# with no-referrer a browser sends "Origin: null" with the form's POST (Fetch standard section 3.2), which the
# check of the logout's origin rightly refuses
_NO_REFERRER: Final[Header] = (b"Referrer-Policy", b"no-referrer")
_OWN_REFERRER: Final[Header] = (b"Referrer-Policy", b"same-origin")


def policy(*more: str) -> Header:
    """Return the Content-Security-Policy that allows nothing but what these directives say."""
    directives = ("default-src 'none'", *more, "base-uri 'none'", "frame-ancestors 'none'")
    return b"Content-Security-Policy", "; ".join(directives).encode()


class Edition:
    """Everything that is the same for all pages of one language under one branding.

    Args:
        language: its tag.
        groups: its texts.
        brand: whose pages they look.
        varies: whether there are other languages.

    Attributes:
        texts: of whole pages, by name: reasons, and those of ``texts.PAGES``.
    """

    def __init__(self, language: str, groups: Groups, brand: Branding, *, varies: bool = False) -> None:
        self.language = language
        self.brand = brand
        self.texts = {name: _told(text, groups[name]) for name, text in PAGES.items()}
        self._groups = groups
        self._said: dict[tuple[str, str], Template] = {}
        self._frames: dict[tuple[str, str], Template] = {}
        told: list[Header] = [(b"Content-Language", language.encode())]
        if varies:
            told.append((b"Vary", b"Accept-Language"))
        hashes = " ".join(f"'{each}'" for each in brand.hashes)
        sources = [f"style-src {hashes}"]
        if brand.logos:
            sources.append("img-src 'self'")
        self._headers = (*_BASE, *told, _NO_REFERRER, policy(*sources, "form-action 'none'"))
        # form-action also judges where the answer redirects to: the provider's end_session_endpoint, too
        self._form_headers = (*_BASE, *told, _OWN_REFERRER, policy(*sources))

    def headers(self, *, form: bool = False) -> list[Header]:
        """Return the header fields of a page; ``form`` where it has one that posts to the gateway."""
        return list(self._form_headers if form else self._headers)

    def label(self, group: str, name: str) -> str:
        """Return a text, not yet escaped."""
        found = self._groups[group][name]
        assert isinstance(found, str)
        return found

    def say(self, group: str, name: str, **values: str) -> Markup:
        """Return a text as HTML with its slots filled: escaped, unless a value is ``Markup``."""
        found = self._said.get((group, name))
        if found is None:
            found = self._said[group, name] = Template(escaped(self.label(group, name)))
        return found.render(values)

    def moment(self, seconds: int | None) -> str:
        """Return for how long to wait, in words."""
        if seconds is None:
            return self.say("moment", "soon")
        return self.say("moment", "one" if seconds == 1 else "many", seconds=str(seconds))

    def page(
        self,
        name: str,
        *,
        below: Markup = _NOTHING,
        footer: Markup = _NOTHING,
        person: Markup = _NOTHING,
        seconds: int | None = None,
        cause: str = "",
    ) -> bytes:
        """Return a page.

        Args:
            name: of its text, in ``texts.PAGES``.
            below: what stands below its words: lists, forms, buttons.
            footer: what stands at the end.
            person: who is logged in.
            seconds: for how long to wait, where the text says it.
            cause: what probably happened, one of ``causes.Cause``; empty where nothing is said.
        """
        frame = self._frames.get((name, cause))
        if frame is None:
            frame = self._frames[name, cause] = self._framed(name, cause)
        values: dict[str, str] = {"person": person, "actions": below, "footer": footer}
        if "moment" in frame.slots:
            values["moment"] = self.moment(seconds)
        return frame.render(values).encode("utf-8")

    def _framed(self, name: str, cause: str) -> Template:
        """Return a page with only that left open which differs from one showing to the next."""
        text, brand = self.texts[name], self.brand
        layouts = brand.layouts
        layout = layouts.get(f"{kind_of(name)}.html") or layouts[PAGE]
        filled = layout.render(
            {
                **{slot: Markup(f"{{{{{slot}}}}}") for slot in _OPEN},
                "lang": self.language,
                "dir": languages.direction_of(self.language),
                "title": _closed(text.title),
                "window": _closed(f"{text.title} - {brand.name}" if brand.name else text.title),
                "name": _closed(brand.name),
                "brand": self._brand(),
                "icon": self._icon(),
                "logo": brand.logo_url(LOGO),
                "contact": _closed(brand.contact),
                "style": brand.style,
                "tone": text.tone,
                "mark": Markup(f'<svg viewBox="0 0 24 24" focusable="false">{_MARKS[text.tone]}</svg>'),
                "content": self._content(text, cause),
            }
        )
        return Template(filled)

    def _content(self, text: Text, cause: str) -> Markup:
        parts = [f"<p>{escaped(text.message)}</p>"]
        if cause:
            mender = MENDERS[Cause(cause)]
            parts += [
                f"<h2>{self.say('heading', 'happened')}</h2>",
                f"<p>{self.say('happened', cause)}</p>",
                f"<p><strong>{self.say('mender', mender)}</strong> {self.say('mend', cause)}</p>",
            ]
        items = "".join(f"<li>{escaped(each)}</li>" for each in text.advice)
        if items and cause and MENDERS[Cause(cause)] == "you":
            # what is likeliest was said just now
            more = self.say("heading", "more_advice")
            parts.append(f"<details><summary>{more}</summary>\n<ul>{items}</ul></details>")
        elif items:
            parts.append(f"<h2>{self.say('heading', 'advice')}</h2>\n<ul>{items}</ul>")
        return Markup("\n".join(parts))

    def _icon(self) -> Markup:
        """Return the logo as the icon, which a browser would look for elsewhere; nothing without one."""
        if not self.brand.logos:
            return _NOTHING
        return Template('<link rel="icon" href="{{logo}}">\n').render({"logo": self.brand.logo_url(LOGO)})

    def _brand(self) -> Markup:
        brand = self.brand
        if not brand.is_own:
            return _NOTHING
        if not brand.logos:
            return Template('<p class="brand">{{name}}</p>\n').render({"name": _closed(brand.name)})
        image = '<img class="logo" src="{{logo}}" alt="{{name}}">'
        if LOGO_DARK in brand.logos:
            dark = '<source srcset="{{dark}}" media="(prefers-color-scheme: dark)">'
            image = f"<picture>{dark}{image}</picture>"
        values = {
            "logo": brand.logo_url(LOGO),
            "dark": brand.logo_url(LOGO_DARK),
            "name": _closed(brand.name),
        }
        return Template(f'<p class="brand">{image}</p>\n').render(values)


def _closed(text: str) -> Markup:
    """Return a text as HTML in which nothing is a slot."""
    return Markup(escaped(text).replace("{{", "&#123;&#123;"))


def _told(text: Text, words: Mapping[str, str | tuple[str, ...]]) -> Text:
    title, message, advice = words["title"], words["message"], words["advice"]
    assert isinstance(title, str)
    assert isinstance(message, str)
    assert isinstance(advice, tuple)
    return replace(text, title=title, message=message, advice=advice)


class Pages:
    """The pages of a configuration in all its languages, and its logos.

    Args:
        editions: at least one, the default first.
    """

    def __init__(self, editions: Iterable[Edition]) -> None:
        self._editions = {each.language: each for each in editions}
        self._tags = tuple(self._editions)
        self.default = self._editions[self._tags[0]]

    def edition(self, accept_language: bytes) -> Edition:
        """Return the edition that Accept-Language asks for, as ``syntax.languages.choose`` says."""
        return self._editions[languages.choose(accept_language, self._tags)]

    def logo(self, name: str) -> Logo | None:
        """Return the logo of this name, None where there is none."""
        return self.default.brand.logos.get(name)


def compile_pages(settings: Settings) -> Pages:
    """Compile the pages of a configuration.

    Raises:
        ValueError: a template, a text or a logo cannot be used.
    """
    return _compiled(settings.pages, settings.contact, settings.prefix)


def _compiled(pages: PagesSettings, contact: str | None, prefix: str) -> Pages:
    brand, many = branding(pages, contact, prefix), len(pages.languages) > 1
    return Pages(
        Edition(tag, texts_of(tag, pages.texts.get(tag, {})), brand, varies=many) for tag in pages.languages
    )


PLAIN: Final = _compiled(PagesSettings(languages=("en",)), None, "/").default
"""English pages of nobody in particular: where no configuration is at hand."""
