"""Each provider's recipe behind a real gateway, with what was recorded of that provider."""

import base64
import json
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
import yaml

from tests.support.recipes import RECIPES, SECRET, ProviderWorld
from tests.support.recordings import RECORDINGS, Recording
from tests.support.world import NAVIGATE

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=RECORDINGS, ids=lambda recording: recording.recipe)
async def world(request: pytest.FixtureRequest, valkey_url: str, tmp_path):
    """A gateway with such a recipe."""
    async with ProviderWorld(request.param, valkey_url, tmp_path) as started:
        yield started


def the_client(world: ProviderWorld) -> dict:
    (section,) = yaml.safe_load(world.recorded.local(world.text))["providers"].values()
    return section


async def test_what_a_recipe_does(world: ProviderWorld):
    """[12.recipes]: login, identity, groups, bearer tokens, refresh and logout, as its comments say."""
    recording, provider = world.recording, world.recorded
    browser = world.browser()
    page = await browser.get("/x?a=1")
    assert page.text.startswith("hello "), (page.status, page.text[:400])
    told = world.upstream.last().headers
    for name, value in {"X-Forwarded-User": "alice", **recording.told}.items():
        assert told.get(name, "") == value, name
    # what applications' recipes ask for; Google has none
    assert "X-Forwarded-Preferred-Username" in told or recording.recipe == "google"
    _asked(recording, provider, the_client(world))
    assert (await browser.get(recording.guarded)).status == 200
    await _bearers(world, recording)
    if recording.refreshes:
        await _refreshed(world, browser)
    await _strangers(world, recording)
    await _logged_out(world, browser)
    told = [line for line in world.lines if line["level"] in ("warning", "error")]
    # a busy machine's store may answer late
    assert not [line for line in told if "the store" not in line.get("message", "")]


def _asked(recording: Recording, provider, section: dict) -> None:
    asked = provider.asked[0]
    assert set(asked["scope"].split()) == set(section["scopes"])
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == f"{provider.site}/.gateway/callback"
    for name, value in recording.asked.items():
        assert asked[name] == provider.local(value)
    authorization, form = provider.tokens[0]
    if recording.auth == "basic":
        kind, _, value = authorization.partition(" ")
        expected = f"{quote_plus(section['client_id'])}:{quote_plus(SECRET)}"
        assert (kind, base64.b64decode(value).decode()) == ("Basic", expected)
        assert "client_secret" not in form
    else:
        assert (authorization, form["client_secret"]) == ("", SECRET)


async def _bearers(world: ProviderWorld, recording: Recording) -> None:
    """An access token passes where the recipe says so, an ID token never does."""
    nobody, access = world.browser(), world.recorded.access_token()
    page = await nobody.fetch("/x", headers={"Authorization": f"Bearer {access}"})
    assert page.status == (200 if recording.bearer else 401), page.text
    id_token = world.recorded.id_token(access)
    page = await nobody.fetch("/x", headers={"Authorization": f"Bearer {id_token}"})
    assert page.status == 401, page.text


async def _refreshed(world: ProviderWorld, browser) -> None:
    before = len(world.recorded.tokens)
    world.clock.advance(400)
    assert (await browser.fetch("/x")).status == 200
    (renewed,) = world.recorded.tokens[before:]
    assert (renewed[1]["grant_type"], renewed[1]["refresh_token"]) == ("refresh_token", f"refresh-{before}")
    assert world.upstream.last().headers["X-Forwarded-User"] in (
        "alice",
        world.recording.told.get("X-Forwarded-User"),
    )


async def _strangers(world: ProviderWorld, recording: Recording) -> None:
    """Whoever lacks the group, the role or the domain is refused, and told why."""
    world.recorded.changes = world.recorded.localised(recording.stranger)
    stranger = world.browser()
    page = await stranger.get(recording.guarded)
    assert page.status == 403, page.text[:300]
    world.recorded.changes = {}


async def _logged_out(world: ProviderWorld, browser) -> None:
    """A logout goes where the recipe says, and the refresh token is revoked where that is possible."""
    recording, provider = world.recording, world.recorded
    headers = {**NAVIGATE, "Origin": world.base}
    page = await browser.request("POST", "/.gateway/logout", follow=False, headers=headers)
    location = urlsplit(page.headers["Location"])
    back = f"{world.base}/.gateway/logged-out"
    if recording.ends_at is None:
        assert page.headers["Location"] == back
    else:
        assert page.headers["Location"].partition("?")[0] == provider.local(recording.ends_at)
        fields = dict(parse_qsl(location.query, strict_parsing=True))
        assert len(parse_qsl(location.query)) == len(fields)
        assert (fields["client_id"], fields["post_logout_redirect_uri"]) == (provider.client_id, back)
        if recording.recipe == "cognito":
            assert fields["logout_uri"] == back
    if recording.refreshes and "revocation_endpoint" in provider.discovery:
        await world.eventually(lambda: provider.revoked)
        assert provider.revoked[0]["token"].startswith("refresh-")
    assert (await browser.fetch("/x")).status == 401


async def test_entra_s_common_endpoint_is_no_issuer(valkey_url: str, tmp_path):
    """[12.recipes]: organizations and common name {tenantid} as issuer, which nothing could be checked by."""
    (entra,) = (each for each in RECORDINGS if each.recipe == "entra")
    issuer = f"{entra.discovery['issuer'].partition('/1111')[0]}/{{tenantid}}/v2.0"
    world = ProviderWorld(entra, valkey_url, tmp_path)
    async with world:
        world.recorded.discovery["issuer"] = issuer
        page = await world.browser().get("/x")
        assert page.status in (502, 503)
        assert not world.recorded.asked


async def test_authentik_s_addresses_as_the_comment_says(valkey_url: str, tmp_path):
    """[12.recipes]: email_verified: ignore tells upstreams the address that authentik calls unverified."""
    (authentik,) = (each for each in RECORDINGS if each.recipe == "authentik")
    world = ProviderWorld(authentik, valkey_url, tmp_path)
    world.text = world.text.replace("# email_verified: ignore", "email_verified: ignore")
    async with world:
        await world.browser().get("/x")
        assert world.upstream.last().headers["X-Forwarded-Email"] == "a@example.com"


async def test_cognito_s_bearer_tokens_as_the_comment_says(valkey_url: str, tmp_path):
    """[12.recipes]: with clients_without_aud its access tokens pass, which have no aud."""
    (cognito,) = (each for each in RECORDINGS if each.recipe == "cognito")
    world = ProviderWorld(cognito, valkey_url, tmp_path)
    world.override = {"providers": {"cognito": {"clients_without_aud": [world.client_id]}}}
    async with world:
        headers = {"Authorization": f"Bearer {world.recorded.access_token()}"}
        page = await world.browser().fetch("/admin/x", headers=headers)
        assert page.status == 200, json.loads(page.text)


async def test_auth0_s_older_logout_as_the_comment_says(valkey_url: str, tmp_path):
    """[12.recipes]: without an end_session_endpoint in discovery, /v2/logout with returnTo and client_id."""
    (auth0,) = (each for each in RECORDINGS if each.recipe == "auth0")
    world = ProviderWorld(auth0, valkey_url, tmp_path)
    world.text = world.text.replace("# end_session_endpoint:", "end_session_endpoint:")
    async with world:
        del world.recorded.discovery["end_session_endpoint"]
        browser = world.browser()
        await browser.get("/x")
        headers = {**NAVIGATE, "Origin": world.base}
        page = await browser.request("POST", "/.gateway/logout", follow=False, headers=headers)
        location = urlsplit(page.headers["Location"])
        fields = dict(parse_qsl(location.query, strict_parsing=True))
        assert location.path == "/v2/logout"
        assert fields["returnTo"] == f"{world.base}/.gateway/logged-out"
        assert fields["client_id"] == world.client_id


async def test_every_recipe_has_a_recording():
    """[12.recipes]: but GitHub's, whose API the demo provider has (tests/e2e/test_oauth2.py)."""
    names = {path.stem for path in (RECIPES / "providers").glob("*.yaml")}
    assert names == {each.recipe for each in RECORDINGS} | {"github"}
