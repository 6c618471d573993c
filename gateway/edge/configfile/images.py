"""Images by their own octets, and whether an SVG does no more than be looked at."""

import re
from typing import Final
from xml.parsers import expat

SVG: Final = "image/svg+xml"

_BEGINNINGS: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml|<!--|<svg|<!DOCTYPE)"), SVG),
)
_NAMESPACES: Final = ("http://www.w3.org/2000/svg", "")
_DRAWN: Final = frozenset(
    {
        "circle",
        "clipPath",
        "defs",
        "desc",
        "ellipse",
        "feBlend",
        "feColorMatrix",
        "feComposite",
        "feFlood",
        "feGaussianBlur",
        "feMerge",
        "feMergeNode",
        "feOffset",
        "filter",
        "g",
        "line",
        "linearGradient",
        "marker",
        "mask",
        "metadata",
        "path",
        "pattern",
        "polygon",
        "polyline",
        "radialGradient",
        "rect",
        "stop",
        "style",
        "svg",
        "symbol",
        "text",
        "textPath",
        "title",
        "tspan",
        "use",
    }
)
# a backslash may write any of it otherwise
_LOADS: Final = re.compile(
    r"@import|url\(\s*['\"]?\s*(?!#)|image(?:-set)?\(|expression\(|javascript:|\\", re.IGNORECASE
)


def media_type_of(octets: bytes) -> str | None:
    """Return the media type of an image that a browser shows, by how it begins; None for any other."""
    return next((kind for beginning, kind in _BEGINNINGS if beginning.match(octets)), None)


def judge_svg(octets: bytes) -> str | None:
    """Return what an SVG has beside shapes, None where there is nothing: scripts, links, what is loaded.

    No browser runs a script of an image; this holds for whoever opens the logo by itself, too.
    """
    judge = _Judge()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = judge.start
    parser.EndElementHandler = judge.end
    parser.CharacterDataHandler = judge.text
    parser.ProcessingInstructionHandler = judge.instruction
    # no entity is ever declared, so none grows
    parser.StartDoctypeDeclHandler = judge.document_type
    try:
        parser.Parse(octets, True)
    except _SaidError:
        return judge.found
    except (expat.ExpatError, ValueError, LookupError):
        return "is no well-formed XML"
    return judge.found


class _SaidError(Exception):
    """Nothing after this counts any more."""


class _Judge:
    """What a parser tells of a document. ``found`` is the first that no logo needs."""

    def __init__(self) -> None:
        self.found: str | None = None
        self._is_first = True
        self._style: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Judge an element."""
        space, _, name = tag.rpartition("}")
        if self._is_first and (name != "svg" or space not in _NAMESPACES):
            self._say("does not begin with an svg element of its name space")
        self._is_first = False
        if self._style is not None:
            self._say("has an element in its style sheet")
        if space not in _NAMESPACES:
            # what drawing programs keep of their own is not shown
            if "xhtml" in space:
                self._say("has HTML in it")
        elif name not in _DRAWN:
            self._say(f"has an element {name[:40]}, which no logo needs")
        elif name == "style":
            self._style = []
        for key, value in attributes.items():
            self._judge(key.rpartition("}")[2].lower(), value)

    def _judge(self, name: str, value: str) -> None:
        if name.startswith("on"):
            self._say(f"has a handler {name[:40]}")
        elif name in ("href", "src") and not value.startswith("#"):
            self._say(f"leads elsewhere by {name}")
        elif _LOADS.search(value):
            self._say(f"loads something by {name[:40]}")

    def text(self, text: str) -> None:
        """Take a text, which may be a piece of a style sheet."""
        if self._style is not None:
            self._style.append(text)
            if _LOADS.search("".join(self._style)):
                self._say("loads something in its style sheet")

    def end(self, tag: str) -> None:
        """Note that an element has ended."""
        if tag.rpartition("}")[2] == "style":
            self._style = None

    def instruction(self, *_: str) -> None:
        """Judge a processing instruction, which may name a style sheet."""
        self._say("has a processing instruction")

    def document_type(self, *_: object) -> None:
        """Judge a document type, which may declare entities."""
        self._say("has a document type: take it out")

    def _say(self, what: str) -> None:
        self.found = what
        raise _SaidError
