"""What an operator's template may hold: HTML with slots where they are safe, and nothing that runs or loads.

The Content-Security-Policy of pages forbids the same; here it is told before anybody looks at a page without
its style sheet.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

from gateway.config.checks.problems import suggestion
from gateway.edge.rendering.pages.branding import PAGE, STYLE
from gateway.edge.rendering.pages.kinds import KINDS
from gateway.edge.rendering.pages.template import SLOT

TEXTS: Final = frozenset({"contact", "dir", "lang", "logo", "name", "title", "tone", "window"})
"""Slots of plain text, which may stand in attributes as well."""

PARTS: Final = frozenset({"actions", "brand", "content", "footer", "icon", "mark", "person"})
"""Slots of HTML, which stand between elements."""

NEEDED: Final = ("lang", "title", "content", "actions", "footer")
"""Slots without which a page would not say what it has to."""

SLOTS: Final = TEXTS | PARTS | {"style"}

_NAMES: Final = (PAGE, STYLE, *(f"{kind}.html" for kind in KINDS))
_HTML: Final = (
    "a abbr address article aside b bdi bdo blockquote body br caption cite code col colgroup dd del details"
    " dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 head header hgroup hr html i img ins kbd li"
    " main mark meta nav ol p pre q s samp section small span strong style sub summary sup table tbody"
    " td tfoot th thead time title tr u ul var wbr"
)
_SVG: Final = (
    "svg g path circle ellipse line polyline polygon rect defs use symbol lineargradient radialgradient stop"
    " clippath mask desc"
)
_ALLOWED: Final = frozenset(f"{_HTML} {_SVG}".split())
_VOID: Final = frozenset({"br", "col", "hr", "img", "meta", "wbr"})
# attributes that load, run, or lead where a policy of ours does not look
_FORBIDDEN: Final = {
    "style": "the policy of pages lets no style attribute through: use a class, and a style element",
    "srcset": "pages load nothing but the logo",
    "background": "pages load nothing but the logo",
    "poster": "pages load nothing but the logo",
    "data": "pages load nothing but the logo",
    "ping": "a page tells nobody that a link was followed",
    "http-equiv": "header fields say what there is to say",
    "action": "the gateway's own forms stand in {{actions}}",
    "formaction": "the gateway's own forms stand in {{actions}}",
    "srcdoc": "no page holds another one",
}
_LINK: Final = re.compile(r"https?://[^\s\\]+|mailto:[^\s\\]+|/(?![/\\])[^\s\\]*|#[^\s\\]*|\{\{logo\}\}")
_LOADS: Final = re.compile(r"@import|url\(|expression\(", re.IGNORECASE)
_DECLARATION: Final = re.compile(r"<!(?!--)(?!(?<=^<!)doctype html>)|<\?|<!--+>|--!>", re.IGNORECASE)
_QUOTED: Final = re.compile(r"""=\s*(?:"[^"]*"|'[^']*')""")
_ANY: Final = re.compile(r"\{\{([^{}]*)\}\}|\{\{|\{%")


def problems(name: str, text: str) -> Iterator[tuple[int | None, str]]:
    """Yield what is wrong with a template or style sheet: its line, None for the whole, and why.

    Args:
        name: of its file.
        text: what that holds.
    """
    if name not in _NAMES:
        yield None, f"no page has such a template{suggestion(name, _NAMES)}; there are {', '.join(_NAMES)}"
    elif name == STYLE:
        yield from _style_problems(text)
    else:
        declared = [text.count("\n", 0, each.start()) + 1 for each in _DECLARATION.finditer(text)]
        for line in declared:
            yield line, "no declaration but <!doctype html> at the beginning"
        if declared:
            # what follows is read in more than one way
            return
        judge = _Judge(text)
        yield from judge.problems
        for slot in NEEDED:
            if slot not in judge.slots:
                yield None, f"{{{{{slot}}}}} is missing, without which a page does not say what it has to"


def _style_problems(text: str) -> Iterator[tuple[int, str]]:
    for pattern, message in (
        (_LOADS, "the policy of pages lets a style sheet load nothing"),
        (re.compile(r"</|<!--"), "no HTML in a style sheet"),
        (SLOT, "no slots in a style sheet"),
    ):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, message


class _Judge(HTMLParser):
    """Reads a template as a browser would, and notes what must not be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[tuple[int, str]] = []
        self.slots: set[str] = set()
        self._open: list[tuple[str, int]] = []
        self._count = 0
        self.feed(text)
        self.close()
        for tag, line in self._open:
            self.problems.append((line, f"<{tag}> is not closed"))
        for match in _ANY.finditer(text):
            self._judge_slot(match, text.count("\n", 0, match.start()) + 1)
        if self._count < sum(match[1] in SLOTS for match in _ANY.finditer(text)):
            self._say(
                "a slot stands where none can: in a comment, or in the name of a tag or an attribute", 1
            )

    def _say(self, message: str, line: int | None = None) -> None:
        self.problems.append((self.getpos()[0] if line is None else line, message))

    def _judge_slot(self, match: re.Match[str], line: int) -> None:
        slot = match[1]
        if slot is None:
            self._say("write a slot as {{title}}: there are no expressions", line)
        elif slot not in SLOTS:
            hint = suggestion(slot, SLOTS) or f"; there are {', '.join(sorted(SLOTS))}"
            self._say(f"there is no slot {{{{{slot[:40]}}}}}{hint}", line)
        else:
            self.slots.add(slot)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Judge an element with its attributes."""
        if tag not in _ALLOWED:
            self._say(
                f"<{tag[:40]}> has no place on a page of the gateway: it runs, loads or embeds something"
            )
        if tag not in _VOID:
            self._open.append((tag, self.getpos()[0]))
        raw = self.get_starttag_text() or ""
        if SLOT.search(_QUOTED.sub("", raw)):
            self._say("put the attribute that holds a slot in quotes")
        for name, value in attributes:
            self._judge_attribute(tag, name, value or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Judge an element that closes itself."""
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        if tag in _VOID:
            return
        if not self._open or self._open[-1][0] != tag:
            self._say(f"</{tag[:40]}> closes nothing here")
        else:
            self._open.pop()

    def _judge_attribute(self, tag: str, name: str, value: str) -> None:
        names = [match[1] for match in SLOT.finditer(value)]
        self._count += len(names)
        if name.startswith("on"):
            self._say(f"{name[:40]}: no script runs on pages")
        elif name in _FORBIDDEN:
            self._say(f"{name}: {_FORBIDDEN[name]}")
        elif name == "src" and (tag != "img" or value != "{{logo}}"):
            self._say('src: pages load nothing but the logo, <img src="{{logo}}" alt="{{name}}">')
        elif name in ("href", "xlink:href") and tag != "a" and not value.startswith("#"):
            self._say(f"{name}: pages load nothing but the logo")
        elif name in ("href", "xlink:href") and _LINK.fullmatch(value) is None:
            self._say(f"{name}: link to https://..., mailto:... or a path")
        for each in names:
            if each in PARTS or each == "style":
                self._say(f"{{{{{each}}}}} is HTML, and stands between elements")

    def handle_data(self, data: str) -> None:
        """Judge a text."""
        inside = self._open[-1][0] if self._open else ""
        names = [match[1] for match in SLOT.finditer(data)]
        self._count += len(names)
        if inside == "style":
            if data == "{{style}}":
                return
            for _, message in _style_problems(data):
                self._say(message)
            if "style" in names:
                self._say("{{style}} stands in a <style> of its own, without white space around it")
            return
        for each in names:
            if each == "style":
                self._say("{{style}} stands in a <style> of its own")
            elif each in PARTS and inside == "title":
                self._say(f"{{{{{each}}}}} is HTML, and <title> holds a text alone")
