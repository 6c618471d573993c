"""Languages of pages: which one a browser asks for, and that nothing of another stands on its page."""

import re
from html.parser import HTMLParser

import pytest

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.causes import MENDERS, Cause, cause_of
from gateway.core.phrases import PHRASES, Phrase
from gateway.core.reasons import Reason
from gateway.edge.rendering import pages
from gateway.edge.rendering.pages.catalogue import slots_of, texts_of
from gateway.edge.rendering.pages.edition import Pages, compile_pages
from gateway.edge.rendering.pages.texts import ENGLISH, PAGES
from gateway.edge.rendering.pages.texts.german import GERMAN
from gateway.edge.rendering.render import render_refuse, render_respond
from gateway.syntax.languages import MOST_FIELD, choose, direction_of, is_tag
from tests.support.gallery import ANSWERS, render
from tests.support.pure import settings

ID = "5f3a9c01d2e400000017"
NAMES = {"Corporate", "Corporate account", "GitHub", "Partner organisations", "Sites", "Head office"}
LOGIN = "http://localhost:8080/.gateway/login?return_to=/a"


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (b"", "en"),
        (b"de", "de"),
        (b"de-CH-1996", "de"),
        (b"DE-at;q=0.3, fr;q=0.2", "de"),
        (b"fr, de;q=0.5, en;q=0.4", "de"),
        (b"en;q=0.1, de;q=0.9", "de"),
        (b"fr, es", "en"),
        (b"*", "en"),
        (b"*, de;q=0.1", "de"),
        (b"en;q=0, *", "de"),
        (b"de;q=0", "en"),
        (b"en;q=0, de;q=0", "pt-BR"),
        (b"pt", "pt-BR"),
        (b"pt-PT", "en"),
        (b"zh-Hant-x-private", "en"),
        (b"de;q=1.0000, en", "en"),
        (b"de;q=2, en;q=0.1", "en"),
        (b"de; q = 1", "en"),
        (b"de ; q=0.5", "de"),
        (b"\xff\xfe, de", "de"),
        (b"-de, de-, de--de, en", "en"),
        (b"d\x00e, de", "de"),
        (b"," * 31 + b"de", "de"),
        (b"," * 40 + b"de", "en"),
        (b"x" * MOST_FIELD + b",de", "en"),
        (b"fr," * 400_000 + b"de", "en"),
    ],
)
def test_which_language_is_asked_for(field: bytes, found: str):
    """[12.pages]: RFC 9110 section 12.5.4, RFC 4647 section 3.4; garbage and huge values ask for nothing."""
    assert choose(field, ("en", "de", "pt-BR")) == found


def test_tags_and_directions():
    """[12.pages]: short tags alone are languages; those that are written from the right say so."""
    assert all(map(is_tag, ("de", "pt-BR", "zh-Hant-TW", "ckb")))
    assert not any(map(is_tag, ("", "d", "de_DE", "de-", "-de", "de.yaml", "ä", "de\n", "a-b-c-d-e-f")))
    assert [direction_of(tag) for tag in ("de", "ar", "he-IL", "fa")] == ["ltr", "rtl", "rtl", "rtl"]


def test_german_has_all_that_english_has():
    """[12.pages]: the same groups and names, as many texts of advice, the same slots."""
    assert set(GERMAN) == set(ENGLISH)
    for group, names in ENGLISH.items():
        assert set(GERMAN[group]) == set(names), group
        for name, text in names.items():
            other = GERMAN[group][name]
            if isinstance(text, str):
                assert slots_of(other) == slots_of(text), (group, name)
                assert other != text or len(text) < 4, (group, name)
            else:
                assert len(other) == len(text), (group, name)
                assert [slots_of(each) for each in other] == [slots_of(each) for each in text], (group, name)
                assert not set(other) & set(text), (group, name)


class Texts(HTMLParser):
    """Every text that somebody reads or hears of a page, but what stands in a ``bdi``."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attributes):
        """Note where texts stand, and those of attributes."""
        if tag not in ("meta", "br"):
            self.inside.append(tag)
        self.found += [value for name, value in attributes if name in ("aria-label", "alt", "title")]

    def handle_endtag(self, tag):
        """Leave an element."""
        self.inside.pop()

    def handle_data(self, data):
        """Note a text."""
        if data.strip() and self.inside[-1] not in ("style", "bdi"):
            self.found.append(data.strip())


def every_page(found: Pages, field: bytes) -> dict[str, bytes]:
    """Return every page that there is, as one would get it who sends such an Accept-Language."""
    edition = found.edition(field)
    shown = {
        f"refuse {reason.value}": render_refuse(
            Refuse(
                reason,
                html=True,
                login_url=LOGIN,
                account_url=LOGIN,
                logout_url=LOGIN,
                retry_after=seconds,
                missing=(
                    *(Phrase.of(name, names=("<b>", "a")) for name in PHRASES if name not in ("or", "and")),
                    Phrase.joined((Phrase.of("group", names=("a",)), Phrase.of("acr")), "and"),
                ),
                contact="it@example.com",
            ),
            ID,
            edition,
        )
        for reason in Reason
        for seconds in (None, 1, 7)
    }
    shown |= {
        f"cause {each}": render_refuse(
            Refuse(Reason.LOGIN_DENIED, html=True, login_url=LOGIN, detail="x_y", cause=each), ID, edition
        )
        for each in Cause
    }
    for name, answer in {
        **ANSWERS,
        "confirm with sessions": Respond(
            Reason.LOGOUT_CONFIRM,
            200,
            page="logout_confirm",
            values={"action": "/x", "sessions": "/.gateway/sessions"},
        ),
    }.items():
        shown[name] = render(answer, edition)
    for name, answer in {
        "confirm": Respond(Reason.LOGOUT_CONFIRM, 200, page="logout_confirm", values={"action": "/x"}),
        "out": Respond(Reason.LOGGED_OUT, 200, page="logged_out", values={"login_url": LOGIN}),
        "out there": Respond(
            Reason.LOGGED_OUT,
            200,
            page="logged_out",
            values={"login_url": LOGIN, "provider_session": "ended"},
        ),
        "lost": Respond(Reason.LOGIN_COMPLETED, 200, page="page_lost"),
        "choose": Respond(
            Reason.PROVIDER_CHOICE,
            200,
            page="choose",
            choices=(("Corporate", LOGIN), ("GitHub", LOGIN)),
            values={"remembered": "1"},
        ),
    }.items():
        shown[name] = render_respond(answer, ID, edition)
    assert all(
        dict(headers)[b"Content-Language"] == edition.language.encode() for _, headers, _ in shown.values()
    )
    assert all(dict(headers)[b"Vary"] == b"Accept-Language" for _, headers, _ in shown.values())
    return {name: body for name, (_, _, body) in shown.items()}


def test_no_english_is_left_in_german():
    """[12.pages]: of every page, no text is one of the English page of the same name."""
    found = compile_pages(settings())
    english, german = every_page(found, b"en"), every_page(found, b"fr, de-AT;q=0.8")
    for name, page in german.items():
        assert b'<html lang="de" dir="ltr">' in page
        texts = set(Texts(page).found)
        left = texts & set(Texts(english[name]).found)
        assert {each for each in left if "@" not in each and re.search("[a-z]{2}", each)} <= NAMES, name
        words = {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}
        assert not words & {"the", "and", "your", "you", "page", "again", "of", "is", "not"}, name


def test_a_value_keeps_its_own_direction():
    """[12.pages]: a name, an id or a date on a page that is written from the right is not torn apart."""
    arabic = compile_pages(settings(pages={"languages": ["en", "ar"]}))
    for name, page in every_page(arabic, b"ar").items():
        assert b'dir="rtl"' in page
        assert page.count(b"<dd>") == page.count(b"<dd><bdi>") == page.count(b"</bdi></dd>"), name


def test_what_is_missing_is_a_phrase():
    """[12.pages]: what a policy asks for is told in the person's language; an operator's words stay."""
    german = compile_pages(settings()).edition(b"de")
    groups = Phrase.of("groups", names=("admins", "<i>"))
    assert groups == "one of the groups admins or <i>"
    page = pages.refusal(
        Reason.GROUP_MISSING,
        ID,
        edition=german,
        lack=pages.Lack((Phrase.joined((groups, "a key of the house"), "or"), "Ask Jo."), ""),
    ).decode()
    assert "<li>eine der Gruppen admins oder &lt;i&gt;, oder a key of the house</li>" in page
    assert "<li>Ask Jo.</li>" in page


def test_problem_documents_stay_english():
    """[12.pages]: a program reads the same words whatever its person speaks."""
    edition = compile_pages(settings()).edition(b"de")
    answer = Refuse(Reason.GROUP_MISSING, missing=(Phrase.of("group", names=("a",)),))
    assert render_refuse(answer, ID, edition) == render_refuse(answer, ID)
    assert b'"missing":["the group a"]' in render_refuse(answer, ID, edition)[2]


def test_a_language_of_ones_own():
    """[12.pages]: what it lacks is English; ``de-AT`` builds on German, and its own texts win."""
    texts = {
        "fr": {"button": {"login": "Se connecter"}, "group_missing": {"advice": ["Demandez."]}},
        "de-AT": {"button": {"login": "Einloggen"}},
    }
    found = compile_pages(settings(pages={"languages": ["fr", "de-AT"], "texts": texts}))
    page = pages.logged_out("/x", edition=found.edition(b"en, xx")).decode()
    assert '<html lang="fr"' in page
    assert "Se connecter</a>" in page
    assert "You are logged out" in page
    page = pages.logged_out("/x", edition=found.edition(b"de-AT")).decode()
    assert "Einloggen</a>" in page
    assert "Sie sind abgemeldet" in page
    assert texts_of("fr", texts["fr"])["group_missing"]["advice"] == ("Demandez.",)
    shown = pages.refusal(Reason.GROUP_MISSING, ID, edition=found.edition(b"fr"))
    assert b"<ul><li>Demandez.</li></ul>" in shown


@pytest.mark.parametrize(
    ("reason", "code", "found"),
    [
        (Reason.LOGIN_DENIED, "access_denied", Cause.CANCELLED),
        (Reason.LOGIN_DENIED, "interaction_required", Cause.MORE_AT_PROVIDER),
        (Reason.LOGIN_DENIED, "server_error", Cause.PROVIDER_TROUBLE),
        (Reason.LOGIN_DENIED, "unauthorized_client", Cause.CLIENT_SETUP),
        (Reason.LOGIN_DENIED, "invalid_scope", Cause.SCOPE_SETUP),
        (Reason.LOGIN_DENIED, "<made up>", Cause.PROVIDER_TROUBLE),
        (Reason.ISSUER_MISCONFIGURED, None, Cause.SETUP),
        (Reason.LOGIN_REFUSED, "invalid_grant", Cause.CODE_REFUSED),
        (Reason.LOGIN_REFUSED, "invalid_request", Cause.CLIENT_SETUP),
        (Reason.LOGIN_REFUSED, None, Cause.PROVIDER_TROUBLE),
        (Reason.TOKEN_NOT_YET_VALID, None, Cause.CLOCKS),
        (Reason.TOKEN_CLAIMS, "sub", Cause.CLAIMS_MISSING),
        (Reason.TOKEN_AUDIENCE, None, Cause.WRONG_CLIENT),
        (Reason.ROUTE_UNKNOWN, "access_denied", None),
    ],
)
def test_what_probably_happened(reason: Reason, code: str | None, found: Cause | None):
    """[12.pages]: by the reason, and by the code of RFC 6749 that the provider has answered with."""
    assert cause_of(reason, code) is found
    assert set(MENDERS) == set(Cause)


def test_nothing_that_clients_send_is_kept():
    """[12.pages]: a frame for each text, however many seconds, people and languages are told of."""
    found = compile_pages(settings())
    for number in range(300):
        edition = found.edition(b"x%d, de" % number)
        pages.refusal(Reason.RATE_LIMITED, str(number), edition=edition, retry_after=number + 1)
    assert len(edition._frames) == 1
    assert len(edition._said) < 12
    assert set(PAGES) >= {reason.value for reason in Reason}
