"""How peers were broken, tried where there is no OpenID Connect, and where people choose their provider."""

import asyncio
import json
from urllib.parse import quote

import pytest

from gateway.demo.faults import Canned
from tests.support.oauth2 import CALLBACK, ServiceWorld

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=["cookie", "redis"])
async def github(request, valkey_url, tmp_path):
    """GitHub beside the demo provider, in each session mode."""
    more = {"session": {"mode": request.param}, "choose_provider": True}
    async with ServiceWorld(valkey_url, tmp_path, "github", **more) as world:
        yield world


@pytest.mark.parametrize(
    "address",
    [
        "a@evil.com@example.com",
        "@example.com",
        "a@example.com@",
        '"a@evil.com"@example.com',
        "a@EXAMPLE.COM\n",
    ],
)
async def test_cve_2026_40574_an_address_with_two_domains(github, address):
    """CVE-2026-40574 [11.4]: no part of a strange address of an API counts as a domain that may come in."""
    world = github
    world.provider.people["alice"].email = address
    browser = world.browser()
    await browser.login("/service/x", "alice")
    assert (await browser.fetch("/domain/x")).status == 403


async def test_cve_2024_51987_two_people_asked_about_at_once(github):
    """CVE-2024-51987 [11.4]: two people's answers that come at the same time stay theirs."""
    world = github
    pairs = []
    for user, number in (("alice", "1001"), ("bob", "1002")):
        browser = world.browser()
        await browser.login("/service/x", user)
        pairs.append((browser, number))
    world.clock.advance(901)
    gate = world.provider.held["github:/api/v3/user"] = asyncio.Event()
    asked = asyncio.gather(*(browser.fetch("/service/x") for browser, _ in pairs for _ in range(3)))
    await world.eventually(lambda: world.provider.counts["github:/api/v3/user"] >= 4)
    gate.set()
    pages = await asked
    told = [page.text.split()[1] for page in pages]
    assert told == ["1001"] * 3 + ["1002"] * 3
    for browser, number in pairs:
        assert (await browser.fetch("/service/x")).text.startswith(f"hello {number} ")


async def test_cve_2026_34454_another_person_at_another_provider(github):
    """CVE-2026-34454 [11.4]: who logs in after somebody else in this browser ends that session, wherever."""
    world = github
    browser = world.browser()
    await browser.login("/service/x", "alice")
    thief = browser.clone()
    page = await browser.get("/.gateway/login?provider=demo")
    await browser.submit(page, username="alice", password="alice")
    page = await thief.fetch("/service/x")
    assert (page.status, "revoked" in page.text) == (401, True)
    assert (await browser.fetch("/x")).text.startswith("hello alice ")


async def test_cve_2022_29226_no_token_is_a_login(github):
    """CVE-2022-29226 [11.4]: a token of the API, good there, lets nobody in here."""
    world = github
    await world.browser().login("/service/x", "alice")
    (token,) = [each for each in world.provider.user_apis._tokens if each.startswith("gho_")]
    for value in (f"Bearer {token}", f"token {token}", "Bearer gho_", "Bearer x"):
        page = await world.browser().fetch("/service/x", headers={"Authorization": value})
        assert page.status == 401, value


async def test_cve_2026_26998_answers_without_an_end(github):
    """CVE-2026-26998 [11.4]: no answer of an API is read beyond its bound, nor unfolded in memory."""
    world = github
    huge = json.dumps([{"login": "x" * 1000, "id": n} for n in range(3000)]).encode()
    for path in ("/api/v3/user", "/api/v3/user/emails", "/api/v3/user/orgs", "/api/v3/user/teams"):
        world.provider.canned = {f"github:{path}": Canned(200, huge)}
        page = await world.browser().login("/service/x", "alice")
        assert page.status == 503, path
    assert not world.upstream.seen


async def test_cve_2023_27496_callbacks_without_anything(github):
    """CVE-2023-27496 CVE-2025-3891 [11.4]: a callback without state, without a body, with either twice."""
    world = github
    browser = world.browser()
    for query in ("", "?", "?code=x", "?state=", "?state=a&state=b&code=x", "?state=x&error=", "?%00"):
        page = await browser.get(CALLBACK + query, follow=False)
        assert page.status == 400, query
    headers = {"Accept": "text/html"}
    for data in (b"", b"state=x&code=y"):
        page = await browser.request("POST", CALLBACK, follow=False, headers=headers, data=data)
        assert page.status == 405
    assert world.provider.counts["github:token:authorization_code"] == 0


async def test_cve_2024_39315_no_endpoint_shows_a_token(github):
    """CVE-2024-39315 [11.4]: what a session shows of itself holds no token that stands for its grant."""
    world = github
    browser = world.browser()
    await browser.login("/service/x", "alice")
    shown = [await browser.fetch("/.gateway/userinfo"), await world.admin("GET", "/sessions")]
    assert not any("gho_" in page.text for page in shown)
    seen = world.upstream.last().headers
    assert not any("gho_" in value for value in seen.values())


@pytest.mark.parametrize(
    "wanted",
    [
        "/\\evil.example",
        "//evil.example",
        "https:evil.example",
        "\t//evil.example",
        "javascript:alert(1)",
        "/%2f/evil",
    ],
)
async def test_cve_2021_32786_no_choice_leads_elsewhere(github, wanted):
    """CVE-2021-32786 [11.4]: every link of the page where people choose is one of this site."""
    world = github
    page = await world.browser().get(f"/.gateway/login?return_to={quote(wanted, safe='')}", follow=False)
    assert page.status == 200
    assert "evil" not in page.text
    assert "javascript" not in page.text
