"""OAuth 2.0 without OpenID Connect: logins, refreshes and ends at GitHub, GitLab, Discord and one's own."""

import asyncio
import html
import json
import re

import pytest
from yarl import URL

from gateway.demo.faults import Canned
from gateway.demo.people import Person
from tests.e2e.test_providers import at_callback
from tests.support.oauth2 import CALLBACK, SCOPES, ServiceWorld
from tests.support.ports import free_port

pytestmark = pytest.mark.asyncio

SERVICES = ["github", "gitlab", "discord", "generic"]
SUBJECTS = {"github": "1001", "gitlab": "1001", "discord": "80351110224679001", "generic": "1001"}
USER_PATHS = {
    "github": "/api/v3/user",
    "gitlab": "/api/v4/user",
    "discord": "/api/v10/users/@me",
    "generic": "/me",
}
GROUPS = {
    "github": ("acme,open-source,acme/admins,acme/night-shift", "501,502,501/9001,501/9002"),
    "gitlab": ("acme,open-source,acme/admins,acme/night-shift", "501,502,9001,9002"),
    "discord": ("197038439483310501,197038439483310502", "197038439483310501,197038439483310502"),
    "generic": ("acme,open-source", None),
}


@pytest.fixture(params=[(service, mode) for service in SERVICES for mode in ("cookie", "redis")])
async def each(request, valkey_url, tmp_path):
    """Each service, in each session mode."""
    service, mode = request.param
    async with ServiceWorld(valkey_url, tmp_path, service, session={"mode": mode}) as world:
        yield world


@pytest.fixture
async def github(valkey_url, tmp_path):
    """GitHub, whose tokens do not expire."""
    async with ServiceWorld(valkey_url, tmp_path, "github") as world:
        yield world


def begins_with(world) -> str:
    """Return what the issuer of the service is."""
    return f"{world.provider.base}/{world.service}"


async def test_login_refresh_logout(each):
    """R26 R57 [11.4]: the subject is the immutable id; all else is as with any other."""
    world, service = each, each.service
    browser = world.browser()
    page = await browser.get("/service/x?y=1", follow=False)
    asked = URL(page.headers["Location"]).query
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == " ".join(SCOPES[service])
    assert asked["redirect_uri"] == world.base + CALLBACK
    assert "nonce" not in asked
    page = await browser.login("/service/x?y=1", "alice")
    assert page.text == f"hello {SUBJECTS[service]} GET /service/x?y=1 0"
    seen = world.upstream.last().headers
    assert seen["X-Forwarded-Issuer"] == begins_with(world)
    assert seen["X-Forwarded-Email"] == "alice@example.com"
    groups, ids = GROUPS[service]
    assert seen["X-Forwarded-Groups"] == groups
    assert seen.get("X-Group-Ids") == ids
    assert "X-Acr" not in seen, "what the API says of the protocol is nobody's word"
    assert (await browser.fetch("/domain/x")).status == 200
    assert (await browser.fetch("/scoped/x")).status == 200
    told = json.loads((await browser.fetch("/.gateway/userinfo")).text)
    assert told["sub"] == SUBJECTS[service]

    # a refresh tells anew: a new name is the same person, and groups that were left are gone
    before = browser.cookies()
    world.provider.people["alice"].login = "renamed"
    world.provider.people["alice"].organizations = (("other", 777),)
    world.provider.people["alice"].teams = ()
    world.clock.advance(901)
    page = await browser.fetch("/service/later")
    assert page.text.startswith(f"hello {SUBJECTS[service]} ")
    assert "acme" not in world.upstream.last().headers["X-Forwarded-Groups"]
    assert (await browser.fetch("/acme/x")).status == 403
    assert browser.cookies() != before
    (event,) = world.audit("refresh")
    assert event["subject"] == SUBJECTS[service]

    page = await browser.submit(await browser.get("/.gateway/logout"))
    assert page.url.path == "/.gateway/logged-out"
    assert (await browser.fetch("/service/x")).status == 401
    assert world.audit("login")[0]["provider"] == "service"


async def test_a_consent_that_was_withdrawn_ends_the_session(each):
    """R34 [11.4]: the next refresh finds the grant dead, whichever kind of token stands for it."""
    world = each
    browser = world.browser()
    await browser.login("/service/x", "alice")
    world.provider.user_apis.end("alice")
    world.clock.advance(901)
    page = await browser.fetch("/service/x")
    assert (page.status, "session_ended" in page.text) == (401, True)
    assert world.audit("refresh_failed")


async def test_the_denylist_holds_for_these_people(each):
    """R43 [11.4]: by issuer and subject, as for any other."""
    world = each
    browser = world.browser()
    await browser.login("/service/x", "alice")
    body = {"provider": "service", "sub": SUBJECTS[world.service]}
    answer = await world.admin("POST", "/revoke", json=body)
    assert answer.status == 200, answer.text
    page = await browser.fetch("/service/x")
    assert (page.status, "revoked" in page.text) == (401, True)


async def test_an_api_that_is_away_ends_nothing(each):
    """R85 [11.4]: the session is kept, and its claims hold until they are too old."""
    world = each
    browser = world.browser()
    await browser.login("/service/x", "alice")
    world.clock.advance(901)
    name = f"{world.service}:{USER_PATHS[world.service]}"
    world.provider.canned[name] = Canned(503, b"")
    page = await browser.get("/service/x")
    lasting = world.service in world.provider.lasting_tokens
    assert page.status == (503 if lasting else 200)
    del world.provider.canned[name]
    world.clock.advance(901)
    assert (await browser.fetch("/service/x")).status == 200


async def test_lasting_tokens_are_asked_about_anew(github):
    """R84 [11.4]: no token call is made; the user API is asked once for all that come at the same time."""
    world = github
    browser = world.browser()
    await browser.login("/service/x", "alice")
    asked = world.provider.counts["github:/api/v3/user"]
    world.clock.advance(901)
    pages = await asyncio.gather(*(browser.fetch("/service/x") for _ in range(8)))
    assert {page.status for page in pages} == {200}
    assert world.provider.counts["github:/api/v3/user"] == asked + 1
    assert world.provider.counts["github:token:refresh_token"] == 0
    assert world.provider.counts["github:token:authorization_code"] == 1


async def test_another_persons_answer_ends_the_session(each):
    """R35 [11.4]: tokens that are somebody else's by now are no renewal."""
    world = each
    browser = world.browser()
    await browser.login("/service/x", "alice")
    world.provider.people["alice"].number = 4711
    world.clock.advance(901)
    assert (await browser.fetch("/service/x")).status == 401
    assert "4711" not in str([line for line in world.lines if line.get("event") == "refresh"])


async def test_unverified_addresses_count_for_nothing(each):
    """R80 [11.4]: each API's own word for it; nothing of a profile is taken for one."""
    world = each
    world.provider.people["alice"].verified = False
    browser = world.browser()
    await browser.login("/service/x", "alice")
    assert "X-Forwarded-Email" not in world.upstream.last().headers
    assert (await browser.fetch("/domain/x")).status == 403


async def test_groups_of_many_pages(github):
    """[11.4]: every page is asked for; a list without an end fails the login instead of being cut."""
    world = github
    world.provider.people["alice"].organizations = tuple((f"org-{n}", n) for n in range(250))
    browser = world.browser()
    await browser.login("/service/x", "alice")
    assert world.provider.counts["github:/api/v3/user/orgs"] == 3
    assert "org-249" in world.upstream.last().headers["X-Forwarded-Groups"]
    item = json.dumps([{"login": "x", "id": 1}]).encode()
    endless = Canned(200, item, {"Content-Type": "application/json", "Link": '<http://evil>; rel="next"'})
    world.provider.canned["github:/api/v3/user/teams"] = endless
    page = await world.browser().login("/service/x", "alice")
    assert (page.status, "issuer_unavailable" in page.text) == (503, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"id": null, "login": "alice"}',
        b'{"id": true, "login": "alice"}',
        b'{"id": 0}',
        b'{"id": -1}',
        b'{"id": 1.5}',
        b'{"id": "1001"}',
        b'{"id": "alice"}',
        b'{"id": [1001]}',
        b'{"id": 1001, "id": 1002}',
        b'{"sub": "1001", "login": "alice"}',
        b'{"id": 1001' + b" " * (1 << 20) + b"}",
        b'{"id": 1' + b"0" * 300 + b"}",
        b"[" * 100_000,
    ],
)
async def test_whoever_has_no_id_is_nobody(github, answer):
    """R26 CVE-2026-26998 [11.4]: a login without the immutable id fails; no name stands in for it."""
    world = github
    world.provider.canned["github:/api/v3/user"] = Canned(200, answer)
    browser = world.browser()
    page = await browser.login("/service/x", "alice")
    assert page.status == 503
    assert not world.upstream.seen
    assert not any("session" in name for name in browser.cookies())


@pytest.mark.parametrize(("status", "shown"), [(401, 401), (403, 503), (404, 503), (500, 503), (302, 503)])
async def test_refusals_of_the_api(github, status, shown):
    """R34 [11.4]: only 401 refuses the token; whatever else says nothing about a person."""
    world = github
    for name in ("github:/api/v3/user", "github:/api/v3/user/teams"):
        world.provider.canned = {name: Canned(status, b"[]", {"Location": "http://127.0.0.1:1/"})}
        page = await world.browser().login("/service/x", "alice")
        assert page.status in (shown, 400 if shown == 401 else shown), page.text
        assert not world.upstream.seen


async def test_r71_an_answer_at_another_callback_is_refused(github):
    """R71 [11.4]: mix-up: no answer says whose it is, so its callback does; before any token call."""
    world = github
    for path, wrong in (("/service/x", "/.gateway/callback?"), ("/x", f"{CALLBACK}?")):
        browser = world.browser()
        location = await at_callback(world, browser, await browser.get(path))
        query = "&".join(
            part for part in location.partition("?")[2].split("&") if not part.startswith("iss=")
        )
        page = await browser.clone().get(world.base + wrong + query, follow=False)
        assert (page.status, "login_issuer_mismatch" in page.text) == (400, True)
    assert world.provider.counts["github:token:authorization_code"] == 0
    assert world.provider.counts["token:authorization_code"] == 0


async def test_r6_an_issuer_that_is_named_must_be_its_own(github):
    """R6 [11.4]: RFC 9207, where such a provider says `iss` after all."""
    world = github
    for issuer, status in (
        (begins_with(world), 200),
        (begins_with(world) + "/login/oauth", 200),
        (world.provider.issuer, 400),
        (begins_with(world) + "/", 400),
    ):
        browser = world.browser()
        location = await at_callback(world, browser, await browser.get("/service/x"))
        assert "iss=" not in location
        page = await browser.get(str(URL(location).update_query(iss=issuer)))
        assert page.status == status, issuer


async def test_a_code_that_is_refused_with_200(github):
    """R5 [11.4]: GitHub's own way to say no; and a verifier that is not the challenge's is refused there."""
    world = github
    browser = world.browser()
    location = await at_callback(world, browser, await browser.get("/service/x"))
    page = await browser.get(re.sub("code=[^&]*", "code=stolen", location))
    assert (page.status, "login_refused" in page.text) == (400, True)
    # another browser's code: PKCE
    first, second = world.browser(), world.browser()
    code = URL(await at_callback(world, first, await first.get("/service/x"))).query["code"]
    location = await at_callback(world, second, await second.get("/service/x"))
    page = await second.get(str(URL(location).update_query(code=code)))
    assert (page.status, "login_refused" in page.text) == (400, True)


async def test_no_bearer_token_of_such_an_issuer_counts(github):
    """R24 [11.4]: nothing is verified by keys that do not exist, and none are asked for."""
    world = github
    forged = world.provider.sign(
        {"iss": begins_with(world), "sub": "1001", "aud": "demo-api", "exp": world.clock() + 60, "scope": ""}
    )
    browser = world.browser()
    for token in (forged, "gho_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"):
        page = await browser.fetch("/service/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == 401
    logout = world.provider.logout_token(sub="1001", iss=begins_with(world))
    page = await browser.request(
        "POST",
        "/.gateway/backchannel-logout",
        follow=False,
        headers={"Accept": "*/*"},
        data={"logout_token": logout},
    )
    assert (page.status, "token_issuer" in page.text) == (400, True)


async def test_tokens_are_revoked_at_logout_where_there_is_a_way(valkey_url, tmp_path):
    """RFC 7009 [11.4]: at GitLab the refresh token; an access token that stands for the grant as itself."""
    for lasting in (False, True):
        async with ServiceWorld(valkey_url, tmp_path, "gitlab") as world:
            if lasting:
                world.provider.lasting_tokens.add("gitlab")
            browser = world.browser()
            await browser.login("/service/x", "alice")
            page = await browser.get("/.gateway/logout")
            await browser.submit(page)
            await world.eventually(lambda: world.provider.counts["gitlab:revocation"])
            await world.eventually(lambda: world.audit("token_revoked"))
            assert not any(each.alive for each in world.provider.grants.families.values())


async def test_no_token_is_logged_or_shown(github):
    """R61 [11.4]: neither log lines nor what a page tells hold a token, of faults least of all."""
    world = github
    browser = world.browser()
    await browser.login("/service/x", "alice")
    world.clock.advance(901)
    world.provider.canned["github:/api/v3/user"] = Canned(500, b"gho_leaked")
    page = await browser.get("/service/x")
    assert "gho_" not in html.unescape(page.text)
    assert "gho_" not in json.dumps(world.lines)


async def test_two_people_of_one_name_are_two(github):
    """R26 [11.4]: whoever takes over a name that was given up is somebody else."""
    world = github
    await world.browser().login("/service/x", "alice")
    world.provider.people["bob"] = Person(1002, "alice", None, "alice@example.com")
    await world.browser().login("/service/x", "bob")
    users = [seen.headers["X-Forwarded-User"] for seen in world.upstream.seen]
    assert users == ["1001", "1002"]


async def test_two_gateways_ask_once(github):
    """R84 [11.4]: a burst against two gateways on one store asks the API once, and both know the answer."""
    world = github
    port = free_port()
    data = world.config() | {"listen": f"127.0.0.1:{port}"}
    await world.start_gateway(type(world.settings).model_validate(data))
    browser = world.browser()
    await browser.login("/service/x", "alice")
    asked = world.provider.counts["github:/api/v3/user"]
    world.provider.people["alice"].teams = ()
    world.clock.advance(901)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    headers = {"Host": f"localhost:{world.public_port}", "Cookie": cookie}
    other = world.browser()
    calls = [
        other.fetch(f"http://127.0.0.1:{target}/admins/x", headers=headers)
        for target in (world.public_port, port) * 10
    ]
    assert {page.status for page in await asyncio.gather(*calls)} == {403}
    assert world.provider.counts["github:/api/v3/user"] == asked + 1


async def test_an_api_that_is_of_no_use_is_told(github):
    """[11.4]: what nobody can probe is known by how its last call went."""
    world = github

    async def up() -> str:
        text = (await world.admin("GET", "/metrics")).text
        return re.search(r'^gateway_issuer_up\{provider="service"\} (.*)$', text, re.MULTILINE)[1]

    await world.browser().login("/service/x", "alice")
    assert await up() == "1.0"
    world.provider.canned["github:/api/v3/user"] = Canned(500, b"")
    await world.browser().login("/service/x", "alice")
    assert await up() == "0.0"
    (line,) = [line for line in world.lines if line.get("message") == "provider unusable"]
    assert line["provider"] == "service"


async def test_a_provider_that_becomes_openid_connect_takes_no_such_grant(github):
    """R34 [11.4]: by a reload; an access token that stood for a grant is sent to nobody else's endpoint."""
    world = github
    browser = world.browser()
    await browser.login("/service/x", "alice")
    data = world.config()
    base = world.provider.base
    data["providers"]["service"] = {
        "issuer": f"{base}/github",
        "client_id": "demo",
        "client_secret": "demo-secret",
        "audiences": ["x"],
        "discovery_url": f"{base}/none",
    }
    world.gateway.reload(type(world.settings).model_validate(data))
    counts = dict(world.provider.counts)
    world.clock.advance(901)
    assert (await browser.fetch("/service/x")).status == 401
    for call in ("github:/api/v3/user", "userinfo", "token:refresh_token"):
        assert world.provider.counts[call] == counts.get(call, 0)


async def test_who_is_nobody_there_any_more_is_nobody_here(valkey_url, tmp_path):
    """R34 [11.4]: fresh tokens that the API refuses are no renewal; an API that is away refuses nothing."""
    async with ServiceWorld(valkey_url, tmp_path, "gitlab") as world:
        browser = world.browser()
        await browser.login("/service/x", "alice")
        for status, shown in ((503, 200), (403, 200), (401, 401)):
            world.provider.canned["gitlab:/api/v4/user"] = Canned(status, b"{}")
            world.clock.advance(61)
            assert (await browser.fetch("/service/x")).status == shown
        (event,) = world.audit("refresh_failed")
        assert event["reason"] == "session_ended"


async def test_a_question_without_an_answer_is_asked_again(github):
    """R85 [11.4]: no lease is left to lapse, and no session is lost for an answer that broke off."""
    world = github
    browser = world.browser()
    await browser.login("/service/x", "alice")
    world.clock.advance(901)
    world.provider.quirks = {"userinfo-truncated"}
    asked = world.provider.counts["github:/api/v3/user"]
    assert (await browser.fetch("/service/x")).status == 503
    assert world.provider.counts["github:/api/v3/user"] == asked + 2
    world.provider.quirks = set()
    world.clock.advance(60)
    assert (await browser.fetch("/service/x")).status == 200
    assert not world.audit("refresh_failed")
