"""How logins end: each once in the records, each with a way on to the page that was wanted."""

import asyncio
import html
import json
import re
from collections import Counter, deque
from urllib.parse import quote, unquote

import pytest
from yarl import URL

from tests.e2e.test_login import callback_of
from tests.support.world import World

pytestmark = pytest.mark.asyncio


def offered(text: str, label: str) -> str | None:
    """Return where the button of this text leads."""
    found = re.search(rf'<a class="[^"]*" href="([^"]*)">{label}</a>', text)
    return html.unescape(found[1]) if found else None


def logins(world: World) -> list[str]:
    return [event["reason"] for event in world.audit("login")]


async def counted(world: World) -> dict[str, float]:
    """Return what the metrics say of logins: by outcome, provider and reason."""
    text = (await world.admin("GET", "/metrics")).text
    found = re.findall(
        r'gateway_logins_total\{outcome="(\w+)",provider="(\w*)",reason="(\w*)"\} ([0-9.]+)', text
    )
    return {f"{outcome} {provider} {reason}": float(value) for outcome, provider, reason, value in found}


async def go_on(world: World, browser, url: str, user: str = "alice") -> str:
    """Follow a link to a login, log in, and return where the browser ends."""
    page = await browser.get(url)
    page = await browser.submit(page, username=user, password=user)
    assert page.status == 200
    return str(page.url)


@pytest.mark.parametrize(
    ("quirk", "reason", "claim"),
    [
        ("nonce-invalid", "token_nonce", "nonce"),
        ("invalid-iss", "token_issuer", "iss"),
        ("invalid-aud", "token_audience", "aud"),
        ("missing-iat", "token_claims", "iat"),
        ("missing-sub", "token_claims", "sub"),
        ("invalid-athash", "token_hash", "at_hash"),
        ("invalid-sig-rs256", "token_signature", None),
    ],
)
async def test_r86_a_failed_login_is_one_event_and_one_count(world: World, quirk, reason, claim):
    """R86 [2.14]: with provider, reason and the claim at fault; the page leads to a new login."""
    world.provider.quirks = {quirk}
    browser = world.browser()
    page = await browser.get(await callback_of(world, browser, "/wanted?x=1"), follow=False)
    assert page.status in (400, 401)
    assert not any("-session=" in line and "Max-Age=0" not in line for line in page.set_cookies)
    (event,) = world.audit("login")
    assert (event["reason"], event["provider"], event.get("claim")) == (reason, "demo", claim)
    assert not world.audit("refusal")
    assert (await counted(world))[f"failed demo {reason}"] == 1
    world.provider.quirks = set()
    assert await go_on(world, browser, offered(page.text, "Log in")) == f"{world.base}/wanted?x=1"
    assert logins(world) == [reason, "login_completed"]
    assert (await counted(world))["completed demo login_completed"] == 1


async def test_r86_whatever_a_callback_is_it_ends_once(world: World):
    """R86 [2.14]: malformed, unknown, foreign, by a wrong method: each is one event."""
    browser = world.browser()
    location = await callback_of(world, browser)
    for path, reason in (
        ("/.gateway/callback", "login_response_malformed"),
        ("/.gateway/callback?state=x&code=y", "login_state_unknown"),
        (f"{location}&iss=x", "login_response_malformed"),
        (str(URL(location).update_query(iss="https://evil.example")), "login_issuer_mismatch"),
    ):
        page = await browser.get(path, follow=False)
        assert page.status == 400
        assert logins(world)[-1] == reason
    assert len(logins(world)) == 4
    page = await browser.request("PUT", location, follow=False, headers={"Accept": "text/html"})
    assert (page.status, logins(world)[-1]) == (405, "method_unsupported")
    assert not world.audit("refusal")
    assert sum(value for key, value in (await counted(world)).items() if key.startswith("failed demo")) == 5


@pytest.mark.parametrize("length", [1, 600, 5000])
async def test_every_failed_login_leads_back(world: World, length: int):
    """[4.11]: whatever went wrong, Log in leads to the page that was wanted."""
    wanted = "/wanted?x=" + "1" * length
    for change in (
        lambda url: URL(f"{url}&iss=x&iss=y"),
        lambda url: URL(f"{url}&code=%ff"),
        lambda url: url.without_query_params("code"),
        lambda url: url.update_query(iss="https://evil.example"),
        lambda url: url.without_query_params("code").update_query(error="access_denied"),
        lambda url: url.update_query(code="never-issued"),
    ):
        browser = world.browser()
        location = str(change(URL(await callback_of(world, browser, wanted))))
        for each in (world.browser(), browser):
            page = await each.get(location, follow=False)
            assert page.status == 400
            link = offered(page.text, "Log in")
            assert link == f"{world.base}/.gateway/login?return_to={quote(wanted)}&provider=demo"
    assert await go_on(world, browser, link) == world.base + wanted


@pytest.mark.parametrize("length", [1, 600, 3000])
async def test_r86_a_fault_at_the_callback(world: World, length: int):
    """R86 [2.14] [2.16]: a provider that is away is one event; Try again is a new login for the same page."""
    browser = world.browser()
    wanted = "/wanted?x=" + "1" * length
    location = await callback_of(world, browser, wanted)
    await world.provider.close()
    page = await browser.get(location, follow=False)
    assert page.status == 503
    assert logins(world) == ["keys_unavailable"]
    assert world.audit("login")[0]["provider"] == "demo"
    assert page.headers["Retry-After"]
    again = offered(page.text, "Try again")
    assert again is not None
    assert "/.gateway/callback" not in again
    await world.provider.start()
    world.clock.advance(31)
    assert await go_on(world, browser, again) == world.base + wanted


async def test_a_page_of_our_own_says_try_again_where_it_is(world: World):
    """[2.16]: elsewhere Try again is the very page: nothing there was spent."""
    await world.provider.close()
    page = await world.browser().get("/x", follow=False)
    assert page.status == 503
    assert offered(page.text, "Try again") == ""


async def test_twenty_logins_side_by_side(world: World):
    """R17 [2.21]: up to twenty pending logins, together at most 4 KiB; the first is still finished."""
    browser = world.browser()
    locations = [await callback_of(world, browser, f"/tab{index}") for index in range(20)]
    pending = {name: value for name, value in browser.cookies().items() if "-login-" in name}
    assert len(pending) == 20
    assert sum(len(name) + len(value) + 3 for name, value in pending.items()) <= 4096
    assert str((await browser.get(locations[0])).url) == f"{world.base}/tab0"


async def test_an_evicted_login_goes_on(world: World):
    """R17 [2.21]: it says so and begins again by itself; with a session by then it is at its page at once."""
    browser = world.browser()
    first = await callback_of(world, browser, "/first?x=1")
    second = await callback_of(world, browser, "/second")
    for index in range(25):
        await browser.get(f"/tab{index}", follow=False)
    assert sum("-login-" in name for name in browser.cookies()) <= 20
    page = await browser.get(first, follow=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(world.provider.issuer)
    assert logins(world) == ["login_evicted"]
    assert await go_on(world, browser, page.headers["Location"]) == f"{world.base}/first?x=1"
    # the other one has a session to go on with
    page = await browser.get(second, follow=False)
    assert (page.status, page.headers["Location"]) == (303, f"{world.base}/second")
    assert logins(world) == ["login_evicted", "login_completed"]
    # once: an eviction is no licence to begin logins for ever
    other = world.browser()
    page = await other.get(first, follow=False)
    assert (page.status, "login_state_unknown" in page.text) == (400, True)
    assert offered(page.text, "Log in").endswith("return_to=/first%3Fx%3D1&provider=demo")


async def test_fifty_tabs_that_come_back_one_after_the_other(world: World):
    """R17 [2.21]: by single sign-on each is at its page after two rounds; nobody goes round for ever."""
    browser = world.browser()
    waiting = deque(
        [(f"/tab{index}", await callback_of(world, browser, f"/tab{index}")) for index in range(50)]
    )
    rounds: Counter[str] = Counter()
    while waiting:
        path, location = waiting.popleft()
        rounds[path] += 1
        page = await browser.get(location, follow=False)
        assert page.status == 303, (path, page.text)
        if page.headers["Location"].startswith(world.provider.issuer):
            waiting.append((path, await callback_of(world, browser, page.headers["Location"])))
        else:
            assert page.headers["Location"] == world.base + path
        pending = {name: value for name, value in browser.cookies().items() if "-login-" in name}
        assert len(pending) <= 20
    assert len(rounds) == 50
    assert max(rounds.values()) == 2
    # none of them failed
    numbers = await counted(world)
    assert numbers["repeated demo login_evicted"] == logins(world).count("login_evicted")
    assert not any(key.startswith("failed") for key in numbers)
    assert {event.get("outcome") for event in world.audit("login")} == {"repeated", None}


async def test_an_eviction_by_a_login_that_begins_again_is_remembered(world: World):
    """R17 [2.21]: whoever has to make room for an evicted login goes on by itself as well."""
    browser = world.browser()
    locations = [await callback_of(world, browser, f"/tab{index}") for index in range(21)]
    evicting = await browser.get(locations[0], follow=False)
    assert sum("-evicted=" in line for line in evicting.set_cookies) == 1
    gone = [
        line.partition("=")[0] for line in evicting.set_cookies if "-login-" in line and "Max-Age=0" in line
    ]
    assert len(gone) == 1
    for location in locations[1:]:
        page = await browser.get(location, follow=False)
        assert page.status == 303, location


async def test_long_pages_evict_by_size(world: World):
    """R17 [2.21]: pages of 1,500 characters fill 4 KiB soon; the head never grows beyond it."""
    browser = world.browser()
    for index in range(8):
        assert (await browser.get(f"/{'x' * 1500}{index}", follow=False)).status == 303
        pending = {name: value for name, value in browser.cookies().items() if "-login-" in name}
        assert sum(len(name) + len(value) + 3 for name, value in pending.items()) <= 4096
    assert pending


@pytest.mark.parametrize("length", [500, 2000, 20_000])
async def test_the_answer_that_begins_a_login_is_short(world: World, length: int):
    """[2.17] [4.12]: under 4 KiB of head, which a proxy takes by default, also where twenty make room."""
    browser = world.browser()
    for index in range(20):
        await browser.get(f"/tab{index}", follow=False)
    for index in range(3):
        page = await browser.get(f"/{'x' * length}{index}", follow=False)
        assert page.status == 303
        assert sum(len(name) + len(value) + 4 for name, value in page.headers.items()) + 60 < 4096


@pytest.mark.parametrize("length", [400, 1500, 3000])
async def test_an_evicted_login_keeps_its_page(world: World, length: int):
    """R17 [2.17] [2.21]: however long its address is, and however often it begins again."""
    browser = world.browser()
    paths = [f"/{'x' * length}{index}" for index in range(22)]
    locations = {path: await callback_of(world, browser, path) for path in paths}
    again = {path: await callback_of(world, browser, locations[path]) for path in paths[:2]}
    for path, location in (locations | again).items():
        page = await browser.get(location, follow=False)
        assert page.headers["Location"] == world.base + path


async def test_a_stale_callback_with_a_session_goes_on_to_its_page(world: World):
    """[2.3]: restored tabs: a spent state, and one whose cookie is gone, lead on to their own pages."""
    browser = world.browser()
    stale = [await callback_of(world, browser, f"/tab{index}?q=%20") for index in range(5)]
    browser.jar.clear(lambda morsel: "-login-" in morsel.key)
    await browser.login("/live")
    for turn in range(2):
        for index, location in enumerate(stale):
            page = await browser.get(location, follow=False)
            assert (page.status, page.headers["Location"]) == (303, f"{world.base}/tab{index}?q=%20"), turn
    assert world.provider.counts["token:authorization_code"] == 1
    # what the state says of the page is ours alone, and leads nowhere else
    location = URL(stale[0])
    proof = location.query["state"].partition(".")[0]
    for tail in ("", "x", "https://evil.example/", "L2V2aWw"):
        forged = str(location.update_query(state=f"{proof}.{tail}"))
        page = await browser.get(forged, follow=False)
        assert (page.status, page.headers["Location"]) == (303, f"{world.base}/")


@pytest.mark.parametrize("length", [2000, 2049, 7000])
async def test_long_deep_links_are_kept(world: World, length: int):
    """[2.17]: what no cookie holds is in the store until the login ends."""
    browser = world.browser()
    path = "/deep?filter=" + "x" * length
    page = await browser.login(path)
    assert page.status == 200
    assert str(page.url) == world.base + path
    assert world.upstream.last().path_qs == path


async def test_a_deep_link_that_could_not_be_kept_is_said(world: World):
    """[2.17]: the person is logged in, and told that the address was too long to be remembered."""
    browser = world.browser()
    location = await callback_of(world, browser, "/deep?filter=" + "x" * 9000)
    store = world.gateway.store
    for key in await store.execute("KEYS", store.key("page") + "*"):
        await store.execute("DEL", key)
    page = await browser.get(location, follow=False)
    assert page.status == 200
    assert "too long to be remembered" in page.text
    assert logins(world) == ["login_completed"]
    assert (await browser.get("/x")).text == "hello alice GET /x 0"


async def test_a_fragment_is_kept(world: World):
    """[2.17]: a page of an application in the browser links to a login with all of its address."""
    browser = world.browser()
    wanted = "/app?x=1#/inbox/7?unread=1&in=[{a|b}]^" + "x" * 3000
    page = await browser.get(f"/.gateway/login?return_to={quote(wanted, safe='')}")
    page = await browser.request(
        "GET",
        await callback_of(world, browser, f"/.gateway/login?return_to={quote(wanted, safe='')}"),
        follow=False,
        headers={"Accept": "text/html"},
    )
    assert unquote(page.headers["Location"]) == world.base + wanted
    for bad in ("/x#<script>", "//evil.example#/x", "#x", "/x#a b", "/x#\\evil"):
        location = await callback_of(world, browser, f"/.gateway/login?return_to={quote(bad, safe='')}")
        page = await browser.get(location, follow=False)
        assert page.headers["Location"] == f"{world.base}/", bad


@pytest.mark.parametrize(
    "more",
    ["&", "&&", "&unknown", "&unknown=%ff%fe", "&error=", "&iss2=&x=1&x=2", "&session_state=" + "s" * 9000],
)
async def test_what_a_callback_may_carry(world: World, more: str):
    """[2.9] [2.35]: unknown, empty and repeated unknown parameters are ignored, whatever their bytes."""
    browser = world.browser()
    page = await browser.get(await callback_of(world, browser, "/x") + more)
    assert page.text == "hello alice GET /x 0"


async def test_a_long_code_is_redeemed(world: World):
    """[2.9]: codes are bounded by the head alone; the provider judges one of 12,000 characters."""
    browser = world.browser()
    location = URL(await callback_of(world, browser, "/x"))
    page = await browser.get(str(location.update_query(code="c" * 12_000)), follow=False)
    assert "login_refused" in page.text
    assert world.provider.counts["token:authorization_code"] == 1


@pytest.mark.parametrize(
    "bad", ["state=a&state=b&code=c", "state=%ff&code=c", "code=c", "state=&code=c", "state=a"]
)
async def test_what_a_callback_may_not_carry(world: World, bad: str):
    """R4 [2.35]: a parameter of the protocol twice, without value or in no UTF-8 is no response."""
    page = await world.browser().get(f"/.gateway/callback?{bad}", follow=False)
    assert "login_response_malformed" in page.text


async def test_a_403_page_says_who_one_is(world: World):
    """[4.11]: the name, another account, the logout; another account comes to the same page."""
    browser = world.browser()
    page = await browser.login("/admin/x?y=1", "bob")
    assert page.status == 403
    assert "You are logged in as <strong>bob@example.com</strong>" in page.text
    assert offered(page.text, "Log out") == f"{world.base}/.gateway/logout"
    account = offered(page.text, "Use another account")
    answer = await browser.get(account, follow=False)
    assert URL(answer.headers["Location"]).query["prompt"] == "select_account"
    assert await go_on(world, browser, account) == f"{world.base}/admin/x?y=1"
    assert world.upstream.last().headers["X-Forwarded-User"] == "alice"
    # a program learns nothing of this
    page = await browser.clone().fetch(
        "/admin/x", headers={"Authorization": f"Bearer {world.provider.mint('bob')}"}
    )
    assert "alice" not in page.text


async def test_a_reject_page_offers_a_login(world: World):
    """[4.11]: a person who came to an API by hand has somewhere to go; a program is told of no page."""
    page = await world.browser().get("/api/x", follow=False)
    assert page.status == 401
    assert offered(page.text, "Log in") == f"{world.base}/.gateway/login?return_to=/api/x"
    assert "login_url" not in (await world.browser().fetch("/api/x")).text


@pytest.mark.settings(
    {
        "routes": [
            {"path": "/files/", "upstream": "app", "access": "required", "raw_path": True},
            {"path": "/", "upstream": "app", "access": "required"},
        ]
    }
)
@pytest.mark.parametrize("path", ["/files/a%2Fb/%7Ec//d;v=1?x=%2F", "/files/report%2520final.pdf"])
async def test_a_deep_link_to_a_raw_path_is_kept(world: World, path: str):
    """[2.17]: whatever path a route lets through, a login for it comes back to, byte for byte."""
    browser = world.browser()
    page = await browser.get(await callback_of(world, browser, path), follow=False)
    assert page.headers["Location"] == world.base + path
    # and nothing of it is a way out of the site
    for bad in ("//evil.example/files/", "/%2fevil.example", "/files/%2e%2e%2f/x", "/\\evil.example"):
        location = await callback_of(world, browser, f"/.gateway/login?return_to={quote(bad, safe='')}")
        page = await browser.get(location, follow=False)
        assert page.headers["Location"] == f"{world.base}/", bad


@pytest.mark.settings({"groups_claim": "roles"})
async def test_an_account_too_large_is_offered_another(world: World):
    """[4.11]: logging in again would not help; another account may."""
    world.provider.accounts["bob"]["roles"] = [f"role-{index:032}" for index in range(900)]
    browser = world.browser()
    page = await browser.login("/x", "bob")
    assert "login_cookie_too_large" in page.text
    assert offered(page.text, "Log in") is None
    assert await go_on(world, browser, offered(page.text, "Use another account")) == f"{world.base}/x"


JWT = {"access_token": "jwt"}


@pytest.mark.settings({"providers": {"demo": {**JWT, "audiences": ["another-api"]}}})
async def test_access_tokens_that_fail_are_said_at_once(world: World):
    """[2.5]: judged once, at the callback; the page and the audit event say what failed."""
    browser = world.browser()
    for turn in range(1, 4):
        page = await browser.login("/x")
        assert page.status == 401
        assert "token_audience" in page.text
        assert "the access token" in page.text
        assert not any(name.endswith("-session") for name in browser.cookies())
        assert [(event["reason"], event["claim"]) for event in world.audit("login")] == [
            ("token_audience", "aud")
        ] * turn


@pytest.mark.settings({"providers": {"demo": JWT}})
async def test_access_tokens_that_pass_begin_a_session(world: World):
    """[2.5]: the check at the callback is the one of every request."""
    page = await world.browser().login("/x")
    assert page.text == "hello alice GET /x 0"


STEP_UP = [
    {"path": "/mfa/", "upstream": "app", "access": "required", "require": {"acr": ["mfa"]}},
    {"path": "/fresh/", "upstream": "app", "access": "required", "require": {"max_age": "60s"}},
    {"path": "/at-once/", "upstream": "app", "access": "required", "require": {"max_age": "1s"}},
    {"path": "/", "upstream": "app", "access": "required"},
]


@pytest.mark.settings({"routes": STEP_UP})
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/mfa/x?y=1", "authentication_too_weak"),
        ("/fresh/x?y=1", "authentication_too_old"),
        ("/at-once/x", "authentication_too_old"),
    ],
)
async def test_a_step_up_that_changes_nothing_ends(world: World, known: bool, path: str, reason: str):
    """[2.15]: a provider that ignores acr, or sends no auth_time, is asked once; then a page."""
    world.provider.quirks = {"no-auth-time"}
    browser = world.browser()
    if known:
        await browser.login("/x", "bob")
    before = world.provider.counts["authorize"]
    page = await browser.login(path, "bob")
    assert page.status == 401
    assert reason in page.text
    assert str(page.url) == world.base + path
    assert world.provider.counts["authorize"] == before + 1
    assert "You are logged in as <strong>bob@example.com</strong>" in page.text
    assert offered(page.text, "Log out")
    assert (await browser.get("/x")).status == 200, "the session is good for all else"
    # what is offered asks for the stronger login, and an account that has it comes in
    world.provider.quirks = set()
    answer = await browser.get(offered(page.text, "Log in"), follow=False)
    sent = URL(answer.headers["Location"]).query
    assert sent.get("acr_values") == ("mfa" if "mfa" in path else None)
    assert "max_age" in sent or "mfa" in path
    if "at-once" not in path:
        assert await go_on(world, browser, offered(page.text, "Use another account")) == world.base + path


@pytest.mark.settings({"routes": STEP_UP})
async def test_a_script_steps_up_on_a_page_that_asks_for_less(world: World):
    """[2.4] [2.15]: what a script was refused is in its login_url; the page alone would ask for less."""
    browser = world.browser()
    await browser.login("/x", "bob")
    for path, name, value in (("/mfa/api", "acr_values", "mfa"), ("/at-once/api", "max_age", "1")):
        world.clock.advance(2)
        refused = await browser.fetch(path, headers={"Referer": f"{world.base}/x?y=1"})
        assert refused.status == 401
        url = json.loads(refused.text)["login_url"]
        sent = URL((await browser.get(url, follow=False)).headers["Location"]).query
        assert sent[name] == value
        assert await go_on(world, browser, url) == f"{world.base}/x?y=1"
    for bad in (
        "max_age=-1",
        "max_age=1e3",
        "max_age=1&max_age=2",
        "acr_values=a%0Ab",
        "acr_values=%22",
        "acr_values=" + "x" * 300,
    ):
        page = await browser.get(f"/.gateway/login?{bad}", follow=False)
        assert (page.status, "request_malformed" in page.text) == (400, True), bad
    # a page's own wish is never weakened
    page = await browser.get("/.gateway/login?return_to=/at-once/x&max_age=999", follow=False)
    assert URL(page.headers["Location"]).query["max_age"] == "1"


@pytest.mark.settings({"routes": STEP_UP})
async def test_a_step_up_is_asked_for_again_later(world: World):
    """[2.15]: one that satisfied, and is too old by now, leads to the provider again."""
    browser = world.browser()
    assert (await browser.login("/fresh/x")).status == 200
    world.clock.advance(65)
    assert (await browser.login("/fresh/x")).status == 200
    assert world.provider.counts["authorize"] == 2


@pytest.mark.settings({"limits": {"logins_per_address": 1}})
async def test_r86_a_login_too_many(world: World):
    """R86 [2.14] [2.16]: what the limit of logins stops is one event; Try again is a new login."""
    assert (await world.browser().login("/x")).status == 200
    page = await world.browser().login("/wanted")
    assert page.status == 429
    assert page.headers["Retry-After"]
    assert logins(world) == ["login_completed", "rate_limited"]
    assert offered(page.text, "Try again") == f"{world.base}/.gateway/login?return_to=/wanted&provider=demo"


async def test_one_answer_twice_at_once(world: World):
    """R3 R86: a double click: one session, one token call; the other is told so, once, with a way on."""
    browser = world.browser()
    location = await callback_of(world, browser, "/x")
    twins = [browser.clone(), browser.clone()]
    pages = await asyncio.gather(*(each.get(location, follow=False) for each in twins))
    assert sorted(page.status for page in pages) == [303, 400]
    assert sorted(logins(world)) == ["login_completed", "login_state_replayed"]
    assert world.provider.counts["token:authorization_code"] == 1
    refused = next(page for page in pages if page.status == 400)
    assert offered(refused.text, "Log in").endswith("return_to=/x&provider=demo")
