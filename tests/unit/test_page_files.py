"""Names, logos, colours, texts and templates of pages: what is taken, and what is refused with its line."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.config.page_colours import DARK, LIGHT, accents
from gateway.config.settings.pages import MOST_LOGO, PagesSettings
from gateway.core.decision.answers import Refuse
from gateway.core.reasons import Reason, status_of
from gateway.edge.configfile.load import ConfigurationError, parse
from gateway.edge.rendering.pages.edition import compile_pages
from gateway.edge.rendering.pages.kinds import KINDS, kind_of
from gateway.edge.rendering.pages.layouts import NEEDED, SLOTS
from gateway.edge.rendering.pages.texts import ENGLISH, PAGES
from gateway.edge.rendering.render import render_refuse
from gateway.supervision.messages import decode_settings, encode_settings
from gateway.syntax.colours import contrast
from tests.support.configuration import KEY, TREE
from tests.support.screenshots import FOLDER, SHOWN

ID = "5f3a9c01d2e400000017"
MINIMAL = f"""\
public_url: https://app.example.com
secret_keys: ["{KEY}"]
providers:
  corporate: {{issuer: "https://login.example.com", client_id: a, client_secret: b, audiences: [api]}}
upstreams: {{app: {{servers: ["http://127.0.0.1:3000"]}}}}
routes: [{{path: /, upstream: app, access: required}}]
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path d="M0 0h4v4z" fill="#135"/></svg>'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
GOOD = """\
<!doctype html>
<html lang="{{lang}}" dir="{{dir}}">
<head><meta charset="utf-8">{{icon}}<title>{{window}}</title><style>{{style}}</style>
<style>.mine { color: #123456; }</style></head>
<body class="{{tone}}"><main><img src="{{logo}}" alt="{{name}}">
<h1>{{title}}</h1>{{person}}{{content}}{{actions}}{{footer}}</main>
<a href="https://example.com/imprint">Imprint</a></body>
</html>
"""


def read(pages: object, base: Path):
    return parse((MINIMAL + f"pages: {json.dumps(pages)}\n").encode(), "gateway.yaml", base, {}).settings


def faults(pages: object, base: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(pages, base)
    return [re.sub(r"^gateway.yaml:\d+: ", "", line) for line in str(caught.value).splitlines()]


def page_of(settings, reason=Reason.GROUP_MISSING, field=b"") -> tuple[dict[bytes, bytes], str]:
    _, headers, body = render_refuse(Refuse(reason, html=True), ID, compile_pages(settings).edition(field))
    return dict(headers), body.decode()


def test_everything_at_once(tmp_path: Path):
    """[12.pages]: name, logo, colour, texts of a file and templates; and every worker gets just that."""
    (tmp_path / "logo.svg").write_text(SVG)
    (tmp_path / "dark.png").write_bytes(PNG)
    (tmp_path / "fr.yaml").write_text("group_missing:\n  title: Accès refusé\nbutton: {home: Accueil}\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/page.html").write_text(GOOD)
    (tmp_path / "own/forbidden.html").write_text(GOOD.replace("Imprint", "Forbidden here"))
    (tmp_path / "own/notes.txt").write_text("of no interest")
    settings = read(
        {
            "name": "A <b> & Sons {{footer}}",
            "logo": "logo.svg",
            "logo_dark": "dark.png",
            "accent": "#135",
            "languages": ["fr", "de"],
            "texts": {"fr": "fr.yaml"},
            "templates": "own",
        }
        | {"accent": "#113355"},
        tmp_path,
    )
    settings = decode_settings(json.loads(json.dumps(encode_settings(settings))))
    headers, page = page_of(settings)
    assert headers[b"Content-Language"] == b"fr"
    assert "<title>Accès refusé - A &lt;b&gt; &amp; Sons &#123;&#123;footer}}</title>" in page
    assert page.count("<footer>") == 1
    assert "Forbidden here" in page
    assert "--accent: #113355" in page
    assert f'src="/.gateway/logo?v={sha256(SVG.encode()).hexdigest()[:16]}"' in page
    policy = headers[b"Content-Security-Policy"].decode()
    for style in re.findall(r"<style>(.*?)</style>", page, re.DOTALL):
        assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "img-src 'self'" in policy
    assert "unsafe" not in policy
    assert "Imprint" in page_of(settings, Reason.SESSION_EXPIRED)[1]
    assert "img-src" not in page_of(read({}, tmp_path))[0][b"Content-Security-Policy"].decode()


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "no image"),
        (b"<html><svg/></html>", "no image"),
        (b"GIF89a", "no image"),
        (bytes(MOST_LOGO + 1), "larger than 64 KiB"),
        (b"<svg", "no well-formed XML"),
        (b"<svg xmlns='http://www.w3.org/1999/xhtml'/>", "does not begin with an svg"),
        (SVG.replace("<path", "<script>1</script><path").encode(), "element script"),
        (SVG.replace("<path", "<foreignObject/><path").encode(), "element foreignObject"),
        (SVG.replace("<path", "<image href='https://x'/><path").encode(), "element image"),
        (SVG.replace("<path", "<a href='javascript:x'/><path").encode(), "element a"),
        (SVG.replace("<path", "<animate/><path").encode(), "element animate"),
        (SVG.replace("<path", "<path onload='x'").encode(), "handler onload"),
        (SVG.replace("<path", "<path ONCLICK='x'").encode(), "handler onclick"),
        (SVG.replace("<path", "<use href='https://x#y'/><path").encode(), "leads elsewhere"),
        (
            SVG.replace("<path", "<use xmlns:x='http://www.w3.org/1999/xlink' x:href='//y'/><path").encode(),
            "leads",
        ),
        (SVG.replace("#135", "url(https://x)").encode(), "loads something"),
        (SVG.replace("<path", "<style>@import 'x';</style><path").encode(), "style sheet"),
        (SVG.replace("<path", "<style>a{b:url(//x)}</style><path").encode(), "style sheet"),
        # as one text for a browser, though it comes in pieces, or is written otherwise
        (SVG.replace("<path", "<style>a{b:ur&#108;(//x)}</style><path").encode(), "style sheet"),
        (
            SVG.replace("<path", "<style>a{b:ur\nl(//x)} @im<![CDATA[port 'x']]></style><path").encode(),
            "style",
        ),
        (SVG.replace("<path", "<style>a{b:u<!-- -->rl(//x)}</style><path").encode(), "style sheet"),
        (SVG.replace("<path", "<style>a{b:u<g/>rl(//x)}</style><path").encode(), "style sheet"),
        (
            SVG.replace("<path", "<style>a{b:u<x:style xmlns:x='y'/>rl(//x)}</style><path").encode(),
            "style sheet",
        ),
        (SVG.replace("<path", r"<style>a{b:u\72l(//x)}</style><path").encode(), "style sheet"),
        (SVG.replace("<path", "<style>a{b:image-set('//x' 1x)}</style><path").encode(), "style sheet"),
        (SVG.replace("#135", r"u\72l(//x)").encode(), "loads something"),
        (b"<?xml-stylesheet href='x'?>" + SVG.encode(), "processing instruction"),
        (b"<?xml version='1.0'?><?xml-stylesheet href='x'?>" + SVG.encode(), "processing instruction"),
        (b"<!DOCTYPE svg [<!ENTITY a 'b'>]>" + SVG.encode(), "document type"),
        (b'<?xml version="1.0"?><!DOCTYPE svg SYSTEM "x">' + SVG.encode(), "document type"),
        (SVG.replace("<path", "<h:p xmlns:h='http://www.w3.org/1999/xhtml'/><path").encode(), "HTML"),
    ],
)
def test_what_is_no_logo(tmp_path: Path, octets: bytes, why: str):
    """[12.pages]: kinds by their octets, 64 KiB at most; an SVG that would do more than be looked at."""
    (tmp_path / "logo").write_bytes(octets)
    (fault,) = faults({"logo": "logo"}, tmp_path)
    assert fault.startswith("pages.logo: ")
    assert why in fault


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (SVG.encode(), "image/svg+xml"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c -->" + SVG.encode(), "image/svg+xml"),
        (
            SVG.replace(
                "<path", "<defs><linearGradient id='a'/></defs><use href='#a'/><path mask='url(#a)'"
            ).encode(),
            "image/svg+xml",
        ),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "image/jpeg"),
        (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"),
    ],
)
def test_what_is_a_logo(tmp_path: Path, octets: bytes, kind: str):
    """[12.pages]: it is served as what it is; an SVG that is opened by itself runs and loads nothing."""
    (tmp_path / "logo").write_bytes(octets)
    logo = compile_pages(read({"logo": "logo"}, tmp_path)).logo("logo")
    assert logo is not None
    headers, body = logo.answer("")
    assert (dict(headers)[b"Content-Type"].decode(), body) == (kind, octets)
    assert dict(headers)[b"Content-Security-Policy"].startswith(b"default-src 'none'")
    assert b"sandbox" in dict(headers)[b"Content-Security-Policy"]
    assert dict(headers)[b"Cache-Control"] == b"public, max-age=60"
    assert b"immutable" in dict(logo.answer(logo.digest)[0])[b"Cache-Control"]


@pytest.mark.parametrize(
    ("pages", "fault"),
    [
        ({"logo": "no.svg"}, "pages.logo: no.svg: there is no such file"),
        ({"logo": "."}, "pages.logo: .: there is no such file"),
        ({"logo": "a\\u0000b"}, "pages.logo"),
        ({"logo": "data:image/png;base64,%%%"}, "pages.logo: write the path"),
        ({"logo_dark": "logo.svg"}, "pages.logo_dark: write logo as well"),
        ({"accent": "blue"}, "pages.accent: write a colour as #rrggbb"),
        ({"accent": "#ffcc00"}, "pages.accent: on light pages this has a contrast of"),
        ({"accent_dark": "#112233"}, "pages.accent_dark: on dark pages this has a contrast of"),
        ({"name": "\u202ex"}, "pages.name: write printable"),
        ({"name": "x" * 81}, "pages.name: too long"),
        ({"languages": []}, "pages.languages: must not be empty"),
        ({"languages": ["de", "DE"]}, "pages.languages[1]: this language is here twice"),
        ({"languages": ["fr"]}, "pages.languages[0]: pages.texts has none"),
        ({"languages": ["de_DE"]}, "pages.languages[0]: write a language tag"),
        ({"texts": {"fr": {"button": {"home": "x"}}}}, "pages.texts.fr: pages.languages does not name"),
        ({"texts": {"de": "no.yaml"}}, "pages.texts.de: no.yaml: there is no such file"),
        ({"texts": {"de": {"buton": {}}}}, "pages.texts.de.buton: there are no texts of this name - did you"),
        (
            {"texts": {"de": {"button": {"hom": "x"}}}},
            "pages.texts.de.button.hom: there is no such text - did",
        ),
        ({"texts": {"de": {"button": {"home": 7}}}}, "pages.texts.de.button.home: write a text"),
        ({"texts": {"de": {"button": {"home": ""}}}}, "pages.texts.de.button.home: write a text"),
        ({"texts": {"de": {"button": {"home": ["x"]}}}}, "pages.texts.de.button.home: write a text"),
        (
            {"texts": {"de": {"revoked": {"advice": "x"}}}},
            "pages.texts.de.revoked.advice: write a list of texts",
        ),
        ({"texts": {"de": {"revoked": {"title": "{{x}}"}}}}, "pages.texts.de.revoked.title: a text may have"),
        ({"texts": {"de": {"revoked": {"title": "a {{"}}}}, "pages.texts.de.revoked.title: a text may have"),
        (
            {"texts": {"de": {"revoked": {"message": "x" * 2001}}}},
            "pages.texts.de.revoked.message: more than 2000 characters",
        ),
        ({"texts": {"de": ["x"]}}, "pages.texts.de: write groups of texts"),
        ({"templates": "none"}, "pages.templates: none: there is no such directory"),
        ({"templates": "empty"}, "pages.templates: empty: holds no template"),
        ({"colour": "#112233"}, "pages.colour: unknown setting"),
    ],
)
def test_what_is_refused(tmp_path: Path, pages: dict, fault: str):
    """[12.pages]: unknown keys, files that are not there, colours that nobody can read."""
    (tmp_path / "logo.svg").write_text(SVG)
    (tmp_path / "empty").mkdir()
    found = faults(pages, tmp_path)
    assert any(each.startswith(fault) for each in found), found


def test_texts_in_a_file_have_lines(tmp_path: Path):
    """[12.pages]: what is wrong in a file of texts is told with its name and line, and all at once."""
    (tmp_path / "de.yaml").write_text("button:\n  home: Los\n  hme: x\nrevoked: {titel: y}\nnope: {a: b}\n")
    assert faults({"texts": {"de": "de.yaml"}}, tmp_path) == [
        "pages.texts.de: de.yaml:3: button.hme: there is no such text - did you mean home?",
        "pages.texts.de: de.yaml:4: revoked.titel: there is no such text - did you mean title?",
        "pages.texts.de: de.yaml:5: nope: there are no texts of this name",
    ]
    (tmp_path / "de.yaml").write_text("button: [\n")
    assert faults({"texts": {"de": "de.yaml"}}, tmp_path)[0].startswith("pages.texts.de: de.yaml:2: ")


@pytest.mark.parametrize(
    ("was", "then", "line", "why"),
    [
        ("{{title}}</h1>", "{{titel}}</h1>", 6, "there is no slot {{titel}} - did you mean title?"),
        ("{{title}}</h1>", "{{title.upper()}}</h1>", 6, "there is no slot"),
        ("{{title}}</h1>", "{{title}}{% if x %}</h1>", 6, "there are no expressions"),
        ("{{title}}</h1>", "{{title}} {{</h1>", 6, "there are no expressions"),
        ("<main>", "<main><script>x</script>", 5, "<script> has no place"),
        ("<main>", "<main><SCRIPT src=//x></SCRIPT>", 5, "<script> has no place"),
        ("<main>", "<main><iframe></iframe>", 5, "<iframe> has no place"),
        ("<main>", "<main><form></form>", 5, "<form> has no place"),
        ("<main>", '<main><link rel="stylesheet" href="/x">', 5, "<link> has no place"),
        ("<main>", '<base href="/x"><main>', 5, "<base> has no place"),
        ("<main>", "<main onclick='x'>", 5, "onclick: no script runs on pages"),
        ("<main>", "<main OnLoad=x>", 5, "onload: no script runs on pages"),
        ("<main>", "<main style='color: red'>", 5, "style: the policy of pages"),
        ("<main>", "<main><img src='https://x/y.png' alt=''>", 5, "src: pages load nothing but the logo"),
        ("<main>", "<main><img srcset='x' alt=''>", 5, "srcset: pages load nothing but the logo"),
        ("<main>", "<main><a href='javascript:x'>x</a>", 5, "href: link to"),
        ("<main>", "<main><a href='//x'>x</a>", 5, "href: link to"),
        ("<main>", "<main><a href='{{contact}}'>x</a>", 5, "href: link to"),
        ("<meta charset", "<meta http-equiv='refresh' charset", 3, "http-equiv: header fields say"),
        ("<main>", "<main><svg><use href='https://x#y'/></svg>", 5, "href: pages load nothing"),
        ("<main>", "<main class={{tone}}>", 5, "put the attribute that holds a slot in quotes"),
        ("<main>", "<main {{tone}}>", 5, "in quotes"),
        ("<main>", '<main title="{{content}}">', 5, "{{content}} is HTML"),
        ("{{window}}", "{{content}}", 3, "<title> holds a text alone"),
        ("<main>", "<main>{{style}}", 5, "{{style}} stands in a <style> of its own"),
        ("<style>{{style}}</style>", "<style> {{style}}</style>", 3, "without white space around it"),
        (".mine {", "@import 'x'; .mine {", 4, "lets a style sheet load nothing"),
        (".mine {", ".mine { background: url(x);", 4, "lets a style sheet load nothing"),
        ("<main>", "<main><!-- {{tone}} -->", 1, "in a comment"),
        ("</main>", "", 5, "<main> is not closed"),
        ("</h1>", "</h2>", 6, "</h2> closes nothing here"),
    ],
)
def test_what_no_template_holds(tmp_path: Path, was: str, then: str, line: int, why: str):
    """R94 [12.pages]: expressions, scripts, handlers, what is loaded: an error with file and line."""
    (tmp_path / "own").mkdir()
    assert was in GOOD
    (tmp_path / "own/page.html").write_text(GOOD.replace(was, then, 1))
    found = faults({"templates": "own"}, tmp_path)
    assert any(
        each.startswith(f"pages.templates: own/page.html:{line}: ") and why in each for each in found
    ), found


@pytest.mark.parametrize("slot", NEEDED)
def test_a_template_has_what_it_needs(tmp_path: Path, slot: str):
    """[12.pages]: a slot without which a page would not say what it has to is an error."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/page.html").write_text(GOOD.replace(f"{{{{{slot}}}}}", "x"))
    (fault,) = faults({"templates": "own"}, tmp_path)
    assert fault.startswith(f"pages.templates: own/page.html: {{{{{slot}}}}} is missing")


def test_other_files_of_templates(tmp_path: Path):
    """[12.pages]: a misspelt name, a style sheet with HTML in it, what is no text, what is too large."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/pag.html").write_text(GOOD)
    (tmp_path / "own/page.html").write_bytes(b"\xff\xfe")
    (tmp_path / "own/style.css").write_text("a {}\n</style><script>x</script>\n{{title}}")
    (tmp_path / "own/choose.html").write_text("x" * 65537)
    found = faults({"templates": "own"}, tmp_path)
    for told in (
        "own/pag.html: no page has such a template - did you mean page.html?",
        "own/page.html: no UTF-8 text",
        "own/style.css:2: no HTML in a style sheet",
        "own/style.css:3: no slots in a style sheet",
        "own/choose.html: larger than 64 KiB",
    ):
        assert any(each.startswith(f"pages.templates: {told}") for each in found), told


def test_a_style_sheet_of_ones_own(tmp_path: Path):
    """[12.pages]: it takes the place of ours, the accent comes behind it, and its hash is in the policy."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/style.css").write_text("body { color: #000001; }\n")
    headers, page = page_of(read({"templates": "own", "accent": "#123456"}, tmp_path))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style.startswith("\nbody { color: #000001; }\n:root { --accent: #123456")
    assert b64encode(sha256(style.encode()).digest()) in headers[b"Content-Security-Policy"]


@pytest.mark.parametrize("colour", ["#1f5fbf", "#000000", "#b00020", "#006644", "#5a2d91"])
def test_an_accent_can_be_read_everywhere(colour: str):
    """[12.pages]: WCAG 2.2, 1.4.3: on the card, on its own soft ground, and the text that stands on it."""
    light, dark = accents(PagesSettings(accent=colour))
    assert light.colour == colour
    for accent, ground in ((light, LIGHT), (dark, DARK)):
        assert contrast(accent.colour, ground.card) >= 4.5
        assert contrast(accent.colour, accent.soft) >= 4.5
        assert contrast(accent.colour, accent.text) >= 4.5


def test_pictures_of_every_page():
    """[12.pages]: light, dark and at 390 pixels, as `make page-pictures` takes them, and small."""
    pictures = {each.name: each.stat().st_size for each in FOLDER.iterdir()}
    assert set(pictures) == {f"{name}-{look}.png" for name in SHOWN for look in ("light", "dark", "390")}
    assert sum(pictures.values()) < 1_500_000


def test_the_page_on_pages_names_every_group():
    """[12.pages]: docs/pages.md tells of every group of texts, every slot and every template."""
    text = (TREE / "docs/pages.md").read_text()
    groups = set(ENGLISH) - {reason.value for reason in Reason}
    assert [name for name in groups if f"`{name}`" not in text] == []
    assert [slot for slot in SLOTS if f"{{{{{slot}}}}}" not in text] == []
    assert [kind for kind in KINDS if f"`{kind}.html`" not in text] == []


def test_kinds_of_pages():
    """[12.pages]: the pages that the issue names are each of a kind that may have its own template."""
    kinds = {name: kind_of(name) for name in PAGES}
    assert set(kinds.values()) == {*KINDS, ""}
    failed = {name for name, kind in kinds.items() if kind == "login-failed"}
    assert failed == {
        each.value
        for each in Reason
        if (each.value.startswith("login_") and status_of(each) == 400) or each is Reason.TICKET_REFUSED
    }
    assert {name for name, kind in kinds.items() if kind == "forbidden"} == {
        each.value for each in Reason if status_of(each) == 403
    }
