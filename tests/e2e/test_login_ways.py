"""Ways into a login and back: what third parties begin, and answers that come as a form."""

import re
from urllib.parse import quote

import pytest
from yarl import URL

from gateway.core.decision.answers import Login
from gateway.core.headers.cookies import set_cookie_lines
from gateway.core.provider import ProviderMetadata
from gateway.core.sessions.pending import decode_pending
from gateway.edge.providers.logins import Logins
from gateway.oauth.authorization import build_request
from gateway.oauth.query import Parameters
from tests.support.decisions import ask, compiled
from tests.support.pure import ISSUER
from tests.support.world import World

pytestmark = pytest.mark.asyncio
FORM_POST = {"providers": {"demo": {"response_mode": "form_post"}}}


async def form_of(world: World, browser, path: str, user: str = "alice"):
    """Log in at the provider; return the page with the form that posts its answer."""
    page = await browser.get(path)
    page = await browser.submit(page, username=user, password=user)
    assert "Go on" in page.text, page.text
    return page


def fields_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', text))


@pytest.mark.settings(FORM_POST)
async def test_a_form_post_answer_logs_in(world: World):
    """[2.23]: the form, then a GET without the code in its address, then the page that was wanted."""
    browser = world.browser()
    page = await form_of(world, browser, "/wanted?x=1")
    sent = fields_of(page.text)
    answer = await browser.request(
        "POST",
        "/.gateway/callback",
        follow=False,
        headers={"Accept": "text/html", "Origin": world.provider.issuer, "Sec-Fetch-Site": "cross-site"},
        data=sent,
    )
    assert answer.status == 303
    assert sent["code"] not in answer.headers["Location"]
    assert not any("-session=" in line for line in answer.set_cookies)
    page = await browser.get(answer.headers["Location"])
    assert page.text == "hello alice GET /wanted?x=1 0"
    assert [event["reason"] for event in world.audit("login")] == ["login_completed"]
    # once more: spent, and with a session by now
    page = await browser.get(answer.headers["Location"], follow=False)
    assert (page.status, page.headers["Location"]) == (303, f"{world.base}/wanted?x=1")
    assert world.provider.counts["token:authorization_code"] == 1


@pytest.mark.settings(FORM_POST)
async def test_r41_a_form_post_login_ends_the_session_before(world: World):
    """R41 [2.23]: the session that the form did not bring is seen by the GET after it: B after A ends A's."""
    browser = world.browser()
    await browser.submit(await form_of(world, browser, "/x", "alice"))
    copy = browser.clone()
    page = await browser.submit(await form_of(world, browser, "/.gateway/login?return_to=/y", "bob"))
    assert page.text == "hello bob GET /y 0"
    assert (await copy.fetch("/x")).status == 401


@pytest.mark.settings(FORM_POST)
async def test_a_form_post_that_is_not_ours(world: World):
    """R4 R5 [2.23]: garbage, another browser's answer, none at all: no session, no token call."""
    browser = world.browser()
    sent = fields_of((await form_of(world, browser, "/x")).text)
    stranger = world.browser()
    for data, reason in (
        ({}, "login_response_malformed"),
        ({"state": sent["state"]}, "login_response_malformed"),
        (sent | {"code": "c" * 20_000}, "login_state_unknown"),
        (sent, "login_state_unknown"),
        ({"state": "x", "error": "access_denied"}, "login_state_unknown"),
    ):
        page = await stranger.request(
            "POST", "/.gateway/callback", follow=True, headers={"Accept": "text/html"}, data=data
        )
        assert page.status == 400
        assert reason in page.text
        assert world.audit("login")[-1]["reason"] == reason
    assert len(world.audit("login")) == 5
    # too long for a cookie, and without a code
    page = await browser.request(
        "POST",
        "/.gateway/callback",
        follow=False,
        headers={"Accept": "text/html"},
        data=sent | {"code": "c" * 20_000},
    )
    assert "login_response_malformed" in page.text
    other = world.browser()
    sent = fields_of((await form_of(world, other, "/x")).text)
    page = await other.get(f"/.gateway/callback?state={quote(sent['state'])}", follow=False)
    assert "login_response_malformed" in page.text
    assert world.provider.counts["token:authorization_code"] == 0


@pytest.mark.settings(FORM_POST)
async def test_a_form_post_answer_of_4_kib(world: World):
    """[2.9] [2.23]: a code that needs several cookies comes to the token endpoint whole."""
    browser = world.browser()
    sent = fields_of((await form_of(world, browser, "/x")).text) | {"code": "c" * 5000}
    page = await browser.request(
        "POST", "/.gateway/callback", follow=True, headers={"Accept": "text/html"}, data=sent
    )
    assert "login_refused" in page.text
    assert world.provider.counts["token:authorization_code"] == 1
    assert not any("-login-" in name for name in browser.cookies())


async def test_a_form_is_taken_only_where_it_was_asked_for(world: World):
    """[2.23]: a provider that answers by query has no callback for forms."""
    page = await world.browser().request(
        "POST", "/.gateway/callback", follow=False, headers={"Accept": "text/html"}, data={"state": "x"}
    )
    assert (page.status, page.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(("mode", "same_site"), [("query", "Lax"), ("form_post", "None")])
async def test_r38_only_the_cookie_of_a_form_post_login_is_cross_site(mode: str, same_site: str):
    """R38 [2.23]: that provider's pending cookie alone is SameSite=None; Secure."""
    provider = {"issuer": ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]}
    known = compiled(providers={"corporate": {**provider, "response_mode": mode}})
    login = ask(known, "/x", (b"Accept", b"text/html"))
    assert isinstance(login, Login)

    async def authorize(_: str, parameters: Parameters, _admit: object) -> str:
        metadata = ProviderMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/jwks")
        return build_request(metadata, parameters)

    async def keep(*_: object) -> str:
        return ""

    url, change = await Logins(known, authorize, keep).start(login)
    assert URL(url).query.get("response_mode") == (None if mode == "query" else mode)
    (line,) = set_cookie_lines(change, "sealed")
    assert line.endswith(f"HttpOnly; SameSite={same_site}; Secure".encode())
    # what the form brought rides in the same cookie, for a GET: Lax again
    begun = decode_pending(change.value.payload)
    assert begun is not None
    assert begun.answer is None


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_third_party_begins_a_login(world: World, method: str):
    """[2.23]: OIDC Core section 4: iss, login_hint and target_link_uri, by GET and POST."""
    browser = world.browser()
    sent = {
        "iss": world.provider.issuer,
        "login_hint": "bob",
        "target_link_uri": f"{world.base}/deep?x=1",
        "unknown": "ignored",
    }
    headers = {"Accept": "text/html", "Origin": "https://portal.example", "Sec-Fetch-Site": "cross-site"}
    if method == "GET":
        page = await browser.get(str(URL(f"{world.base}/.gateway/login").with_query(sent)))
    else:
        page = await browser.request("POST", "/.gateway/login", follow=True, headers=headers, data=sent)
    assert 'value="bob"' in page.text
    page = await browser.submit(page, username="bob", password="bob")
    assert page.text == "hello bob GET /deep?x=1 0"


@pytest.mark.parametrize(
    "sent",
    [
        {"iss": "https://evil.example"},
        {"iss": "https://evil.example", "provider": "demo"},
        {"login_hint": "x" * 300},
        {"login_hint": "a\nb"},
        {"provider": "nobody"},
    ],
)
async def test_what_a_third_party_may_not_ask(world: World, sent: dict[str, str]):
    """[2.23]: an issuer that is none of ours, names that disagree, hints that are no text: 400, no login."""
    url = str(URL(f"{world.base}/.gateway/login").with_query(sent))
    page = await world.browser().get(url, follow=False)
    assert (page.status, "request_malformed" in page.text) == (400, True)


async def test_r11_a_third_partys_target_is_on_this_site(world: World):
    """R11 [2.23]: target_link_uri is judged like any return URL."""
    browser = world.browser()
    for target in ("https://evil.example/", "//evil.example", f"{world.base}.evil.example/"):
        url = URL(f"{world.base}/.gateway/login").with_query(target_link_uri=target)
        page = await browser.get(str(url))
        page = await browser.submit(page, username="alice", password="alice")
        assert str(page.url) == f"{world.base}/"
