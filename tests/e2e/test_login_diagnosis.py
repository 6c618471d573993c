"""Every way in which a login fails: the page says what probably happened, and leads to the page wanted."""

import html
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest
from yarl import URL

from gateway.config.settings.root import Settings
from gateway.core.decision.causes import MENDERS, Cause
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering.pages.texts.causes import HAPPENED
from gateway.edge.rendering.pages.texts.causes import MENDERS as WORDS
from gateway.edge.rendering.pages.texts.german.causes import HAPPENED as GESCHEHEN
from tests.e2e.test_login import callback_of
from tests.e2e.test_login_ends import go_on, offered
from tests.support.store import ValkeyServer
from tests.support.world import Browser, Page, World, merge

pytestmark = pytest.mark.asyncio

WANTED = "/reports/2026?from=a%20b&x=1"
Case = Callable[[World, Browser], Awaitable[Page]]


def reload(world: World, **changes: object) -> None:
    world.gateway.reload(Settings.model_validate(merge(world.config(), changes)))


def changed(change: Callable[[URL], URL]) -> Case:
    """Come back by an address that is not what the provider sent."""

    async def case(world: World, browser: Browser) -> Page:
        return await browser.get(str(change(URL(await callback_of(world, browser, WANTED)))), follow=False)

    return case


def denied(code: str) -> Case:
    """Come back with an error."""
    return changed(lambda url: url.without_query_params("code").update_query(error=code))


def faulty(quirk: str) -> Case:
    """Come back from a provider whose token is no good."""

    async def case(world: World, browser: Browser) -> Page:
        world.provider.quirks = {quirk}
        page = await browser.get(await callback_of(world, browser, WANTED), follow=False)
        world.provider.quirks = set()
        return page

    return case


async def no_cookies(world: World, browser: Browser) -> Page:
    """Begin in one browser, and end in another."""
    return await world.browser().get(await callback_of(world, browser, WANTED), follow=False)


async def other_login(world: World, browser: Browser) -> Page:
    """Come back so late that the browser has dropped the cookie, and another login is under way."""
    location = await callback_of(world, browser, WANTED)
    browser.jar.clear(lambda morsel: "-login-" in morsel.key)
    await browser.get("/other", follow=False)
    return await browser.get(location, follow=False)


async def too_late(world: World, browser: Browser) -> Page:
    """Come back late, in a browser that keeps cookies for longer than it is told."""
    location = await callback_of(world, browser, WANTED)
    kept = browser.cookies()
    world.clock.advance(3600)
    browser.jar.update_cookies(kept, URL(world.base))
    return await browser.get(location, follow=False)


async def unreadable(world: World, browser: Browser) -> Page:
    """Come back to a gateway that has other keys for cookies, but opens the state."""
    location = await callback_of(world, browser, WANTED)
    browser.jar.update_cookies(
        {name: value[:-8] + "AAAAAAAA" for name, value in browser.cookies().items() if "-login-" in name},
        URL(world.base),
    )
    return await browser.get(location, follow=False)


async def used_twice(world: World, browser: Browser) -> Page:
    """Come back twice, from a copy of the browser."""
    location = await callback_of(world, browser, WANTED)
    twin = browser.clone()
    await twin.get(location, follow=False)
    return await browser.get(location, follow=False)


async def wrong_secret(world: World, browser: Browser) -> Page:
    """Come back to a gateway that the provider does not believe."""
    location = await callback_of(world, browser, WANTED)
    reload(world, providers={"demo": {"client_secret": "another"}})
    page = await browser.get(location, follow=False)
    reload(world)
    return page


async def wrong_clock(world: World, browser: Browser) -> Page:
    """Come back from a provider whose clock is ten minutes ahead."""
    world.provider.tokens._clock = lambda: world.clock() + 600
    page = await browser.get(await callback_of(world, browser, WANTED), follow=False)
    world.provider.tokens._clock = world.clock
    return page


async def loop(world: World, browser: Browser) -> Page:
    """Come back again and again, in a browser that drops the session each time."""
    for _ in range(3):
        page = await browser.get(await callback_of(world, browser, WANTED), follow=False)
        browser.jar.clear(lambda morsel: morsel.key.endswith(("-session", "-refresh")))
    return page


async def revoked(world: World, browser: Browser) -> Page:
    """Come back after everything of the person has ended, twice: one login begins again by itself."""
    location = await callback_of(world, browser, WANTED)
    for _ in range(2):
        assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
        page = await browser.get(location, follow=False)
        if page.status == 303:
            location = await callback_of(world, browser, page.headers["Location"])
    return page


CASES: dict[str, tuple[Case, Reason, Cause | None]] = {
    "no cookies": (no_cookies, Reason.LOGIN_STATE_UNKNOWN, Cause.NO_COOKIES),
    "another login": (other_login, Reason.LOGIN_STATE_UNKNOWN, Cause.OTHER_LOGIN),
    "too late": (too_late, Reason.LOGIN_STATE_UNKNOWN, Cause.TOO_LATE),
    "unreadable cookie": (unreadable, Reason.LOGIN_STATE_UNKNOWN, Cause.UNREADABLE_COOKIE),
    "used twice": (used_twice, Reason.LOGIN_STATE_REPLAYED, Cause.USED_TWICE),
    "no code": (
        changed(lambda url: url.without_query_params("code")),
        Reason.LOGIN_RESPONSE_MALFORMED,
        Cause.SHORTENED,
    ),
    "no state": (
        changed(lambda url: url.without_query_params("state")),
        Reason.LOGIN_RESPONSE_MALFORMED,
        Cause.SHORTENED,
    ),
    "an error without state": (
        changed(lambda url: url.with_query(error="access_denied")),
        Reason.LOGIN_RESPONSE_MALFORMED,
        Cause.SHORTENED,
    ),
    "nothing at all": (
        changed(lambda url: url.with_query(None)),
        Reason.LOGIN_RESPONSE_MALFORMED,
        Cause.SHORTENED,
    ),
    "a state that is cut": (
        changed(lambda url: url.update_query(state=url.query["state"][:20])),
        Reason.LOGIN_STATE_UNKNOWN,
        Cause.OTHER_LOGIN,
    ),
    "another issuer": (
        changed(lambda url: url.update_query(iss="https://evil.example")),
        Reason.LOGIN_ISSUER_MISMATCH,
        Cause.MIXED_UP,
    ),
    "another code": (
        changed(lambda url: url.update_query(code="never-issued")),
        Reason.LOGIN_REFUSED,
        Cause.CODE_REFUSED,
    ),
    "wrong secret": (wrong_secret, Reason.ISSUER_MISCONFIGURED, Cause.SETUP),
    "cancelled": (denied("access_denied"), Reason.LOGIN_DENIED, Cause.CANCELLED),
    "consent": (denied("consent_required"), Reason.LOGIN_DENIED, Cause.MORE_AT_PROVIDER),
    "trouble": (denied("server_error"), Reason.LOGIN_DENIED, Cause.PROVIDER_TROUBLE),
    "client": (denied("unauthorized_client"), Reason.LOGIN_DENIED, Cause.CLIENT_SETUP),
    "scope": (denied("invalid_scope"), Reason.LOGIN_DENIED, Cause.SCOPE_SETUP),
    "clock": (wrong_clock, Reason.TOKEN_NOT_YET_VALID, Cause.CLOCKS),
    "no sub": (faulty("missing-sub"), Reason.TOKEN_CLAIMS, Cause.CLAIMS_MISSING),
    "audience": (faulty("invalid-aud"), Reason.TOKEN_AUDIENCE, Cause.WRONG_CLIENT),
    "issuer": (faulty("invalid-iss"), Reason.TOKEN_ISSUER, Cause.WRONG_ISSUER),
    "signature": (faulty("invalid-sig-rs256"), Reason.TOKEN_SIGNATURE, Cause.SIGNATURE_SETUP),
    "nonce": (faulty("nonce-invalid"), Reason.TOKEN_NONCE, Cause.MIXED_UP),
    "revoked": (revoked, Reason.REVOKED, Cause.ENDED_MEANWHILE),
    "loop": (loop, Reason.LOGIN_LOOP, Cause.COOKIES_LOST),
}
# these have worlds of their own, below or in tests of sites
ELSEWHERE = {Reason.LOGIN_INSECURE, Reason.LOGIN_COOKIE_TOO_LARGE}


def told(page: Page) -> str:
    """Return what a page says probably happened."""
    found = re.search(r"<h2>(?:What probably|Was wahrscheinlich)[^<]*</h2>\n<p>([^<]*)</p>", page.text)
    return html.unescape(found[1]) if found else ""


async def test_every_failed_login_says_why_and_leads_on(world: World):
    """[12.pages]: what probably happened, who can mend it; the button's login comes back to the page."""
    shown: dict[str, str] = {}
    for name, (case, reason, cause) in CASES.items():
        browser = world.browser()
        page = await case(world, browser)
        assert (page.status, reason.value in page.text) == (status_of(reason), True), name
        assert told(page) == HAPPENED[cause], name
        assert f"<strong>{WORDS[MENDERS[cause]]}</strong>" in page.text, name
        assert world.audit("login")[-1]["cause"] == cause, name
        link = offered(page.text, "Log in") or offered(page.text, "Try again")
        assert link is not None, name
        # in the very browser that failed
        assert await go_on(world, browser, link) == world.base + WANTED, name
        shown[name] = told(page)
        await browser.close()
    assert {reason for _, reason, _ in CASES.values()} | ELSEWHERE >= {
        each for each in Reason if each.value.startswith("login_") and status_of(each) == 400
    }


async def test_a_diagnosis_in_german(world: World):
    """[12.pages]: a page of a failed login is German for who asks for German."""
    browser = world.browser()
    location = await callback_of(world, browser, WANTED)
    page = await world.browser().get(location, follow=False, headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert told(page) == GESCHEHEN[Cause.NO_COOKIES]
    assert (page.headers["Content-Language"], page.headers["Vary"]) == ("de", "Accept-Language")
    assert offered(page.text, "Anmelden") is not None
    script = await world.browser().fetch("/x", headers={"Accept-Language": "de"})
    assert "Content-Language" not in script.headers
    assert "No credentials were presented." in script.text


async def test_a_link_that_cannot_be_followed_keeps_its_page(world: World):
    """[12.pages]: a bookmark of a login at a provider that is gone leads to a login for the same page."""
    for query in (
        "provider=nobody",
        "provider=demo&provider=demo",
        "login_hint=" + "x" * 300,
        "iss=https%3A%2F%2Fevil.example",
        "acr_values=%22",
        "max_age=soon",
    ):
        browser = world.browser()
        page = await browser.get(f"/.gateway/login?return_to={quote(WANTED, safe='')}&{query}", follow=False)
        assert (page.status, "request_malformed" in page.text) == (400, True), query
        assert await go_on(world, browser, offered(page.text, "Log in")) == world.base + WANTED, query


async def test_a_callback_by_another_method_leads_on(world: World):
    """[12.pages]: an answer by a form that was not asked for is refused, and the page is not lost."""
    browser = world.browser()
    location = await callback_of(world, browser, WANTED)
    page = await browser.request("POST", location, follow=False, headers={"Accept": "text/html"}, data={})
    assert (page.status, page.headers["Allow"]) == (405, "GET")
    assert await go_on(world, browser, offered(page.text, "Log in")) == world.base + WANTED


async def test_a_long_page_outlives_a_store_that_is_away(tmp_path):
    """[12.pages]: what the store alone knows is found once it is back, by the button of the 503."""
    server, wanted = ValkeyServer("--appendonly", "yes").start(), "/deep?x=" + "1" * 3000
    try:
        async with World(server.url, tmp_path) as world:
            browser = world.browser()
            location = await callback_of(world, browser, wanted)
            server.kill()
            page = await browser.get(location, follow=False)
            assert page.status == 503
            again = offered(page.text, "Try again")
            assert again is not None
            # the button itself may be too early
            page = await browser.get(again, follow=False)
            assert page.status == 503
            assert offered(page.text, "Try again") == ""
            server.start()
            await world.eventually(lambda: world.gateway.store.available)
            assert await go_on(world, browser, again) == world.base + wanted
            forged = f"{world.base}/.gateway/login?resume=x.L2V2aWw&return_to=/mine"
            assert await go_on(world, world.browser(), forged) == f"{world.base}/mine"
    finally:
        server.kill()
