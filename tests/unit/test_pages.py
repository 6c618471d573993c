"""The pages that people read: complete, escaped, accessible."""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway.core.decision.answers import Refuse
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering import pages
from gateway.edge.rendering.render import render_refuse

ID = "5f3a9c01d2e400000017"
EVERY = sorted(Reason)
LOGIN = "http://localhost:8080/.gateway/login?return_to=/a&b"
VOID = {"meta", "link", "br", "path", "circle"}
DOCS = Path(__file__).parents[2] / "docs"


class Outline(HTMLParser):
    """Reads a page as a browser would, and fails on what is not balanced."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page.decode("utf-8"))
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        """Note an element and that it is open."""
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        """Note an element that closes itself."""
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        """Fail unless this closes what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note a text under the element that it stands in."""
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def tags(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of this name."""
        return [attributes for tag, attributes in self.seen if tag == name]


@pytest.mark.parametrize("reason", EVERY)
def test_every_reason_has_a_whole_page(reason: Reason):
    """Each reason: one language, one title, one h1 that says the same, main, the reason word and the id."""
    outline = Outline(
        pages.refusal(reason, ID, offers=pages.Offers(login=LOGIN), detail="why", retry_after=5)
    )
    assert outline.tags("html") == [{"lang": "en", "dir": "ltr"}]
    assert len(outline.tags("main")) == 1
    assert outline.texts["h1"] == outline.texts["title"]
    assert len(outline.texts["h1"]) == 1
    assert outline.texts["bdi"] == [reason.value, "why", ID]
    assert not {"script", "iframe", "img", "object", "link", "base"} & {tag for tag, _ in outline.seen}
    assert all(not name.startswith("on") and name != "style" for _, each in outline.seen for name in each)
    for sentence in [*outline.texts["p"], *outline.texts.get("li", [])]:
        assert sentence.endswith((".", ":", ";")), sentence
        assert "{{" not in sentence


@pytest.mark.parametrize("reason", EVERY)
def test_every_reason_has_its_own_sentence(reason: Reason):
    """Developers read one sentence for each reason; no two mean the same."""
    sentence = pages.TEXTS[reason].sentence
    assert sentence.endswith(".")
    others = [pages.TEXTS[each].sentence for each in Reason if each is not reason]
    if status_of(reason) >= 400:
        assert sentence not in others


def test_refusals_offer_something_to_do():
    """Where a person lands on a refusal there is advice or a button, for every refusal."""
    for reason in Reason:
        if status_of(reason) >= 400:
            words = pages.TEXTS[reason]
            assert words.advice or words.actions, reason


def test_the_policy_names_the_style_sheet():
    """The style sheet on the page has exactly the hash that the policy allows."""
    _, headers, body = render_refuse(Refuse(Reason.ROUTE_UNKNOWN, html=True), ID)
    (style,) = re.findall(rb"<style>(.*?)</style>", body, re.DOTALL)
    digest = b64encode(sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}'".encode() in dict(headers)[b"Content-Security-Policy"]
    assert b"style=" not in body


def test_a_busy_page_says_how_long():
    """Retry-After is told in words, singular and plural."""
    assert b"Wait 5 seconds and" in pages.refusal(Reason.STORE_UNAVAILABLE, ID, retry_after=5)
    assert b"Wait 1 second and" in pages.refusal(Reason.STORE_UNAVAILABLE, ID, retry_after=1)
    assert b"Wait a moment and" in pages.refusal(Reason.UPSTREAM_TIMEOUT, ID)
    assert b'href="">Try again<' in pages.refusal(Reason.UPSTREAM_TIMEOUT, ID)


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        (Reason.ROUTE_UNKNOWN, ("forwarding.host", "proxy_set_header Host")),
        (Reason.HOST_UNKNOWN, ("forwarding.host", "proxy_set_header Host", "public_url")),
        (Reason.FORWARDING_UNREADABLE, ("forwarding",)),
        (Reason.LOGIN_INSECURE, ("X-Forwarded-Proto", "forwarding.scheme")),
        (Reason.LOGIN_LOOP, ("cookies", "clock", "http instead of https", "public_url")),
        (Reason.LOGIN_STATE_UNKNOWN, ("cookies", "private window", "took longer", "http instead of https")),
        (Reason.LOGIN_COOKIE_TOO_LARGE, ("groups", "size stands below")),
        (Reason.TOKEN_NOT_YET_VALID, ("clock",)),
        (Reason.SESSION_REUSED, ("somebody else",)),
    ],
)
def test_a_failed_login_is_diagnosed(reason: Reason, parts: tuple[str, ...]):
    """The page names what can have gone wrong: cookie dropped, other window, clock, scheme, size."""
    page = pages.refusal(reason, ID, offers=pages.Offers(login=LOGIN)).decode()
    for part in parts:
        assert part in page


def test_r7_the_providers_text_is_escaped():
    """R7: markup in a provider's error is shown, not run."""
    page = pages.refusal(
        Reason.LOGIN_DENIED, ID, detail="<script>alert('1')</script>\x00\u202e&quot;"
    ).decode()
    assert "<dd><bdi>&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;  &amp;quot;</bdi></dd>" in page


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.example",
        "/\\evil.example",
        "data:text/html,x",
        " http://a",
        "http://a\n",
        "é",
        "",
    ],
)
def test_r11_only_plain_links(url: str):
    """R11: what is neither http(s) nor a path of this site becomes no link."""
    assert b"Log in</a>" not in pages.refusal(Reason.SESSION_EXPIRED, ID, offers=pages.Offers(login=url))
    assert b"Log in</a>" in pages.refusal(
        Reason.SESSION_EXPIRED, ID, offers=pages.Offers(login="/.gateway/login")
    )


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("it@example.com", "mailto:it@example.com"),
        ("https://example.com/help?a=b&c", "https://example.com/help?a=b&c"),
        ("/help", "/help"),
        ("Ask Jo, extension 12", None),
        ("javascript:alert(1)", None),
        ("it@example.com?bcc=x@y", None),
        ("//evil.example", None),
        ("https://example.com/ x", None),
    ],
)
def test_whom_to_ask(contact: str, link: str | None):
    """[11.1]: an address and a URL are links, all else is text."""
    page = pages.refusal(Reason.GROUP_MISSING, ID, lack=pages.Lack(("the group x",), contact))
    assert [each["href"] for each in Outline(page).tags("a") if "class" not in each] == [link] * (
        link is not None
    )
    assert escape(contact) in page.decode()


def test_a_link_is_escaped():
    """Quotes and ampersands of the return URL stay inside the attribute."""
    outline = Outline(
        pages.refusal(Reason.SESSION_EXPIRED, ID, offers=pages.Offers(login=LOGIN + '"onclick="x'))
    )
    assert outline.tags("a") == [{"class": "button first", "href": LOGIN + '"onclick="x'}]


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_aa_in_light_and_dark(scheme: int):
    """WCAG 2.2 success criterion 1.4.3: text has a contrast of at least 4.5 to 1 in both colour schemes."""
    style = (Path(pages.__file__).parent / "style.css").read_text()
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", style.split("@media")[scheme]))
    for text, ground in [
        ("text", "card"),
        ("soft", "card"),
        ("accent-text", "accent"),
        ("accent", "accent-soft"),
        ("warn", "warn-soft"),
        ("stop", "stop-soft"),
        ("good", "good-soft"),
        ("accent", "card"),
    ]:
        assert contrast(found[text], found[ground]) >= 4.5, (text, ground)


def test_the_documentation_lists_every_reason():
    """docs/reasons.md has one line for each reason, with its status, and none that is no reason."""
    rows = re.findall(
        r"^\| `([a-z_]+)` \| (\d{3}) \| ([^|]+) \| ([^|]+) \|$",
        (DOCS / "reasons.md").read_text(),
        re.MULTILINE,
    )
    assert {name: int(status) for name, status, *_ in rows} == {
        each.value: status_of(each) for each in Reason
    }
    assert len(rows) == len(Reason)
    assert all(meaning.strip() and remedy.strip() for _, _, meaning, remedy in rows)
