"""Whatever a page is told to show, it stays text."""

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.reasons import Reason
from gateway.edge.rendering import pages
from gateway.edge.rendering.pages.template import Markup, Template, escaped

TEXT = st.text(max_size=400) | st.sampled_from(
    [
        "</dd><script>x</script>",
        '" onload="x',
        "{{footer}}",
        "{{title}}",
        "<!--",
        "]]>",
        "&#60;b&#62;",
        "\ud800",
    ]
)
KNOWN = {
    "bdi",
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "span",
    "svg",
    "path",
    "circle",
    "h1",
    "h2",
    "p",
    "ul",
    "li",
    "div",
    "a",
    "form",
    "button",
    "footer",
    "dl",
    "dt",
    "dd",
}


class Tags(HTMLParser):
    """The elements of a page with the names of their attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        self.found.append((tag, tuple(name for name, _ in attributes)))

    def handle_comment(self, data):
        """Fail: our pages have none."""
        raise AssertionError("a comment")


@given(words=st.lists(TEXT, min_size=1, max_size=3), contact=TEXT | TEXT.map(lambda text: f"https://{text}"))
def test_what_is_missing_stays_text(words, contact):
    """R7 [11.1]: what a policy asks for, and whom to ask, never becomes markup, nor a script's URL."""
    found = Tags(pages.refusal(Reason.GROUP_MISSING, "id", lack=pages.Lack(tuple(words), contact))).found
    plain = Tags(pages.refusal(Reason.GROUP_MISSING, "id", lack=pages.Lack(("x",), "y"))).found
    assert set(found) - {("a", ("href",))} == set(plain)
    assert len(found) - found.count(("a", ("href",))) == len(plain) + len(words) - 1 - (not contact)


@given(reason=st.sampled_from(sorted(Reason)), detail=TEXT, request_id=TEXT, url=TEXT)
@settings(deadline=None, max_examples=200)
def test_no_value_becomes_markup(reason, detail, request_id, url):
    """R7: the elements and attributes of a page are the same whatever text it shows."""
    # a URL that cannot be linked leaves its link out, and the group of actions with it
    linked = {("a", ("class", "href")), ("div", ("class",))}
    plain = Tags(
        pages.refusal(reason, "id", offers=pages.Offers(login="/x"), detail="d" if detail else None)
    ).found
    shown = Tags(pages.refusal(reason, request_id, offers=pages.Offers(login="/" + url), detail=detail)).found
    assert [each for each in shown if each not in linked] == [each for each in plain if each not in linked]
    assert {tag for tag, _ in shown} <= KNOWN


@given(TEXT)
def test_escaping_is_total_and_done_once(text):
    """Any text, lone surrogates included, becomes encodable HTML without a special character."""
    html = escaped(text)
    html.encode("utf-8")
    assert not set("<>\"'") & set(html)
    assert escaped(html) is html
    assert Template("{{a}}-{{b}}").render({"a": text, "b": Markup("<b>")}) == f"{html}-<b>"
