"""Where people of several providers come in, they choose, and their browser remembers."""

import html
import json
import re
from urllib.parse import quote

import pytest
from yarl import URL

from tests.e2e.test_providers import two_providers

pytestmark = pytest.mark.asyncio

ROUTES = [
    {"path": "/demo/", "access": "required", "provider": "demo"},
    {"path": "/both/", "access": "required", "providers": ["partner", "demo"]},
    {"path": "/strong/", "access": "required", "require": {"acr": ["mfa"]}},
    {"path": "/public/", "access": "public"},
    {"path": "/optional/", "access": "optional"},
    {"path": "/", "access": "required"},
]
LABEL = 'Partner & <b>"Sons"</b>'


@pytest.fixture(params=["cookie", "redis"])
async def choosing(request, valkey_url, tmp_path):
    """Two providers among which people choose."""

    def section(partner):
        return {
            "issuer": partner.issuer,
            "client_id": "demo",
            "client_secret": "demo-secret",
            "audiences": ["demo-api"],
            "scopes": ["openid", "offline_access"],
            "label": LABEL,
        }

    routes = [{"upstream": "app", **route} for route in ROUTES]
    session = {"mode": request.param}
    more = {"choose_provider": True, "routes": routes, "session": session}
    async with two_providers(valkey_url, tmp_path, section, **more) as both:
        yield both


def offered(page) -> dict[str, str]:
    """Return the links of the page by what they are called, in their order."""
    nav = re.search(r'<nav aria-label="[^"]+">(.*?)</nav>', page.text, re.DOTALL)
    assert nav is not None, page.text
    links = re.findall(r'<li><a class="[a-z ]+" href="([^"]+)">(.*?)</a>', nav[1])
    return {html.unescape(label): html.unescape(link) for link, label in links}


async def test_a_person_chooses_and_comes_to_the_page(choosing):
    """[11.4]: a navigation is shown the providers of its route; each link leads to that login and back."""
    world, partner = choosing
    for path in ("/x?a=1&b=2", "/both/x"):
        for label, provider in (("demo", world.provider), (LABEL, partner)):
            browser = world.browser()
            page = await browser.get(path)
            assert (page.status, page.url.path) == (200, "/.gateway/login")
            assert set(offered(page)) == {"demo", LABEL}
            page = await browser.get(offered(page)[label])
            assert str(page.url).startswith(provider.issuer)
            page = await browser.submit(page, username="alice", password="alice")
            assert page.text == f"hello alice GET {path} 0"
            assert world.upstream.last().headers["X-Forwarded-Issuer"] == provider.issuer


async def test_the_page_needs_no_script_and_tells_nothing(choosing):
    """[11.4]: one title, a labelled list of links, a language; no script, no form; escaped."""
    world, partner = choosing
    page = await world.browser().get("/x")
    assert "<script" not in page.text
    assert "<form" not in page.text
    assert "<b>" not in page.text
    assert html.escape(LABEL) in page.text
    assert page.text.count("<h1>") == 1
    assert '<html lang="en" dir="ltr">' in page.text
    assert partner.issuer not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert not page.set_cookies, "nothing has begun yet"
    assert "provider_choice" in json.dumps(world.lines)


async def test_the_last_choice_comes_first(choosing):
    """[11.4]: once a login has succeeded; a forged or an unknown name changes nothing."""
    world, _ = choosing
    browser = world.browser()
    first = await browser.get("/x")
    assert list(offered(first)) == ["demo", LABEL]
    assert "used here before" not in first.text
    # a choice alone is none: only a login that came to its end
    await browser.get(offered(first)[LABEL], follow=False)
    assert list(offered(await browser.get("/y"))) == ["demo", LABEL]
    page = await browser.get(offered(first)[LABEL])
    await browser.submit(page, username="bob", password="bob")
    await browser.submit(await browser.get("/.gateway/logout"))
    again = await browser.get("/x")
    assert list(offered(again)) == [LABEL, "demo"]
    assert again.text.count("used here before") == 1
    (cookie,) = [name for name in browser.cookies() if name.endswith("-provider")]
    assert browser.cookies()[cookie] == "partner"
    for forged in ("nobody", "", "demo,partner", '"><script>', "x" * 3000):
        stranger = world.browser()
        page = await stranger.get("/x", headers={"Cookie": f"{cookie}={forged}"})
        assert list(offered(page)) == ["demo", LABEL]
        assert "script" not in page.text
    # it is the gateway's own, and no upstream's
    await browser.get("/public/x")
    assert cookie not in world.upstream.last().headers.get("Cookie", "")


async def test_who_has_no_choice_is_not_asked(choosing):
    """R70 [11.4]: a route's provider, a link that names one, and a third party's issuer pass the page by."""
    world, partner = choosing
    browser = world.browser()
    for path, provider in (
        ("/demo/x", world.provider),
        ("/.gateway/login?return_to=/demo/x", world.provider),
        ("/.gateway/login?provider=partner", partner),
        (f"/.gateway/login?iss={quote(partner.issuer, safe='')}", partner),
    ):
        page = await browser.get(path, follow=False)
        assert page.headers["Location"].startswith(provider.issuer), path
    page = await browser.fetch("/x")
    assert page.status == 401
    assert offered(await browser.get(json.loads(page.text)["login_url"]))
    assert (await browser.fetch("/optional/x")).text.startswith("hello nobody")


async def test_what_the_login_is_asked_for_is_carried_along(choosing):
    """RFC 9470 [11.4]: step-up, hints and another account survive the choice; garbage begins no login."""
    world, _ = choosing
    browser = world.browser()
    asked = "acr_values=mfa&max_age=60&account=other&login_hint=a%40b"
    page = await browser.get(f"/.gateway/login?return_to=/x&{asked}")
    sent = URL((await browser.get(offered(page)[LABEL], follow=False)).headers["Location"]).query
    assert (sent["acr_values"], sent["max_age"], sent["prompt"], sent["login_hint"]) == (
        "mfa",
        "60",
        "select_account",
        "a@b",
    )
    page = await browser.get("/strong/x")
    sent = URL((await browser.get(offered(page)[LABEL], follow=False)).headers["Location"]).query
    assert sent["acr_values"] == "mfa"
    page = await browser.get("/.gateway/login?return_to=/x&max_age=soon")
    assert (await browser.get(offered(page)[LABEL], follow=False)).status == 400


async def test_no_link_leads_elsewhere(choosing):
    """R11 [11.4]: what is no page of this site is its start; what is too long begins a login."""
    world, _ = choosing
    browser = world.browser()
    for wanted in ("//evil.example", "https://evil.example/", "/\\evil.example", "/%0d%0aX:y"):
        page = await browser.get(f"/.gateway/login?return_to={quote(wanted, safe='')}")
        for link in offered(page).values():
            assert link.startswith(f"{world.base}/.gateway/login?provider=")
            assert "evil" not in link
    for long in (f"/x?{'y' * 6000}", f"/.gateway/login?return_to=/{'y' * 6000}"):
        page = await browser.get(long, follow=False)
        assert page.headers["Location"].startswith(world.provider.issuer)


async def test_a_session_of_a_provider_that_is_not_admitted_may_choose_another(choosing):
    """R70 [11.4]: whoever is logged in, and may not come in, is told so and offered every account."""
    world, _ = choosing
    browser = world.browser()
    page = await browser.get(offered(await browser.get("/strong/x"))[LABEL])
    page = await browser.submit(page, username="bob", password="bob")
    assert page.status in {401, 403}
    (link,) = set(re.findall(r'href="([^"]*account=other[^"]*)"', page.text))
    assert set(offered(await browser.get(html.unescape(link)))) == {"demo", LABEL}
