"""Whatever a file of pages holds, it is judged: taken as harmless, or refused with a reason."""

import re
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.edge.configfile.images import judge_svg, media_type_of
from gateway.edge.rendering.pages import catalogue
from gateway.edge.rendering.pages.layouts import problems
from gateway.syntax.colours import contrast, mixed, text_on
from gateway.syntax.languages import choose

GOOD = (
    '<html lang="{{lang}}"><head><title>{{title}}</title></head>'
    "<body>%s{{content}}{{actions}}{{footer}}</body></html>"
)
PIECES = st.sampled_from(
    [
        "<script>",
        "</script>",
        "<SCRIPT src=//x>",
        "<img src=x onerror=y>",
        '<img src="{{logo}}" alt="">',
        "<svg onload=x>",
        "<a href='javascript:x'>",
        '<a href="/x">y</a>',
        "<![CDATA[",
        "<![x[",
        "<!x",
        "<?x",
        "<!--",
        "-->",
        "{{title}}",
        "{{content}}",
        "{{",
        "}}",
        "<p class={{tone}}>",
        '<p class="{{tone}}">x</p>',
        "<style>@import 'x'</style>",
        "<style>p { color: red }</style>",
        "</body>",
        "<plaintext>",
        "<template>",
        "<math><mtext>",
        "&#x3c;script&#x3e;",
        "\x00",
        "'",
        '"',
        ">",
        "/",
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=10), max_size=8).map("".join)


class Dangers(HTMLParser):
    """What of a document runs or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note what must not be."""
        if tag in ("script", "iframe", "object", "embed", "link", "base", "form", "template", "plaintext"):
            self.found.append(tag)
        for name, value in attributes:
            if name.startswith("on") or name in ("style", "srcset", "formaction", "http-equiv"):
                self.found.append(name)
            if name == "src" and value != "{{logo}}":
                self.found.append(name)
            if name == "href" and (value or "").strip().lower().startswith(("javascript", "data", "//")):
                self.found.append(name)


@given(TEXT)
@example("<![x[")
@example("<![CDATA[ <script>")
def test_a_template_that_is_taken_does_nothing(text):
    """R94 [12.pages]: any text in a template is judged, and what passes neither runs nor loads anything."""
    whole = GOOD % text
    found = list(problems("page.html", whole))
    assert all(line is None or line >= 1 for line, _ in found)
    if not found:
        assert Dangers(whole).found == []
    list(problems("page.html", text))
    list(problems("style.css", text))


@given(
    st.binary(max_size=300) | TEXT.map(lambda text: b"<svg>" + text.encode("utf-8", "replace") + b"</svg>")
)
def test_any_octets_are_a_logo_or_none(octets):
    """[12.pages]: garbage is no image, or an SVG with a reason; never an exception."""
    media_type_of(octets)
    found = judge_svg(octets)
    if found is None:
        assert not re.search(rb"<script|\son\w+\s*=|<foreignObject", octets, re.IGNORECASE)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["button", "home", "title", "login_denied", "advice", "x", "moment"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_any_texts_are_taken_or_refused(changes):
    """[12.pages]: whatever a file of texts holds; what is taken can be shown."""
    if not list(catalogue.problems(changes)):
        found = catalogue.texts_of("de", changes)
        assert {name: set(texts) for name, texts in found.items()} == {
            name: set(texts) for name, texts in catalogue.ENGLISH.items()
        }


@given(st.binary(max_size=2000))
def test_any_field_finds_a_language(field):
    """[12.pages]: whatever comes as Accept-Language."""
    assert choose(field, ("en", "de", "pt-BR")) in ("en", "de", "pt-BR")


COLOURS = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


@given(COLOURS, COLOURS, st.floats(0, 1))
def test_colours(one, other, share):
    """[12.pages]: contrast is the same both ways, from 1 to 21; on any ground black or white can be read."""
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= 21
    assert contrast(one, text_on(one)) >= 4.5
    assert re.fullmatch("#[0-9a-f]{6}", mixed(one, other, share))
