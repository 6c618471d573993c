"""What logins ask for: more parameters by route, and what access tokens are to be for (RFC 8707)."""

import json

import pytest
from yarl import URL

from tests.support.world import World

pytestmark = pytest.mark.asyncio

APP = {"upstream": "app", "access": "required"}
ROUTES = {
    "routes": [
        {
            **APP,
            "path": "/desk/",
            "unauthenticated": "login",
            "extra_authorization_parameters": {
                "prompt": "login",
                "acr_values": "mfa",
                "login_hint": "bob",
                "ui_locales": "de",
            },
        },
        {
            **APP,
            "path": "/strict/",
            "require": {"acr": ["mfa"]},
            "extra_authorization_parameters": {"acr_values": "pwd", "prompt": "consent"},
        },
        {**APP, "path": "/"},
    ],
    "providers": {"demo": {"extra_authorization_parameters": {"prompt": "select_account", "kc_idp": "x"}}},
}
RESOURCES = ("https://api.example.com/", "urn:example:reports")
FOR = {"providers": {"demo": {"resources": list(RESOURCES)}}}


async def asked(world: World, path: str, **more) -> dict[str, str]:
    """Return what a navigation asks the provider for, leaving out what each login draws."""
    page = await world.browser().get(path, follow=False, **more)
    assert page.status == 303, page.text
    return dict(URL(page.headers["Location"], encoded=True).query)


@pytest.mark.parametrize("pushed", ["no", "offered"])
@pytest.mark.settings(ROUTES)
async def test_a_route_has_parameters_of_its_own(world: World, pushed: str):
    """[11.5]: prompt, acr_values and login_hint of the page's route reach the provider, pushed or not."""
    world.provider.pushed_requests = pushed
    page = await world.browser().get("/desk/x")
    assert "Authentication asked for: mfa." in page.text
    assert "Prompt asked for: login." in page.text
    assert 'value="bob"' in page.text
    page = await world.browser().get("/x")
    assert "Prompt asked for: select_account." in page.text
    assert "mfa" not in page.text


@pytest.mark.settings(ROUTES)
async def test_which_word_wins(world: World):
    """[11.5]: what is required wins over the route's, the route's over the provider's, a link's over both."""
    desk = await asked(world, "/desk/x")
    assert (desk["prompt"], desk["kc_idp"], desk["ui_locales"]) == ("login", "x", "de")
    strict = await asked(world, "/strict/x")
    assert (strict["acr_values"], strict["prompt"]) == ("mfa", "consent")
    # a login that is begun by a link asks as the page does that it leads to
    link = "/.gateway/login?return_to=/desk/y"
    assert (await asked(world, link))["login_hint"] == "bob"
    hinted = await asked(world, f"{link}&login_hint=alice&acr_values=pwd")
    assert (hinted["login_hint"], hinted["acr_values"]) == ("alice", "pwd")
    assert (await asked(world, f"{link}&account=other"))["prompt"] == "select_account"
    plain = await asked(world, "/x")
    assert "login_hint" not in plain
    assert "acr_values" not in plain


@pytest.mark.settings(ROUTES)
async def test_a_stranger_cannot_ask_for_more(world: World):
    """R11 R13 [11.5]: a page's or a link's own query adds nothing to what the provider is asked for."""
    evil = "prompt=none&redirect_uri=https://evil.example/&request_uri=urn:evil&resource=urn:evil&scope=all"
    for path in (f"/desk/x?{evil}", f"/.gateway/login?return_to=/desk/y&{evil}"):
        found = await asked(world, path)
        assert found["prompt"] == "login"
        assert found["redirect_uri"] == f"{world.base}/.gateway/callback"
        assert found["scope"] == "openid profile email offline_access"
        assert not found.keys() & {"request_uri", "resource"}


@pytest.mark.parametrize("mode", ["cookie", "redis"])
@pytest.mark.parametrize("pushed", ["no", "offered"])
async def test_access_tokens_are_for_what_is_asked(valkey_url, tmp_path, mode: str, pushed: str):
    """R24 [11.5]: resource goes with the login, the code and each refresh; the token names all of them."""
    provider = {"resources": list(RESOURCES), "access_token": "jwt", "audiences": [RESOURCES[1]]}
    session = {"mode": mode, "rotation_grace": "60s"}
    async with World(valkey_url, tmp_path, providers={"demo": provider}, session=session) as world:
        world.provider.pushed_requests = pushed
        world.provider.client.resources = frozenset(RESOURCES)
        sent: list[str] = []
        world.provider.alter["refresh_token"] = lambda answer: sent.append(answer["access_token"]) or answer
        browser = world.browser()
        assert (await browser.login()).text.startswith("hello alice")
        world.clock.advance(61)
        assert (await browser.fetch("/x")).status == 200
        claims = world.provider.keys.verify(sent[0])
        assert claims is not None
        assert claims["aud"] == list(RESOURCES)


@pytest.mark.settings(
    {
        "providers": {
            "demo": {
                "access_token": "jwt",
                "resources": list(RESOURCES[:1]),
                "audiences": list(RESOURCES[:1]),
            }
        }
    }
)
async def test_a_token_for_somebody_else_is_no_login(world: World):
    """R24 [11.5]: a provider that ignores resource gives a token that the audiences do not name: refused."""
    world.provider.client.resources = frozenset(RESOURCES)
    assert (await world.browser().login()).status == 200
    world.provider.quirks.add("resource-ignored")
    page = await world.browser().login()
    assert page.status == 401
    assert "token_audience" in json.dumps(world.lines)


@pytest.mark.settings(FOR)
async def test_a_resource_that_is_refused(world: World):
    """R7 [11.5]: invalid_target, at the authorization endpoint and at the token endpoint: no session."""
    world.provider.client.resources = frozenset(RESOURCES[:1])
    page = await world.browser().get("/x")
    assert page.status == 400
    assert "login_denied" in json.dumps(world.lines) or "login_refused" in json.dumps(world.lines)
    world.provider.client.resources = frozenset(RESOURCES)
    browser = world.browser()
    form = await browser.get("/x")
    world.provider.quirks.add("resource-refused")
    page = await browser.submit(form, username="alice", password="alice")
    assert page.status == 400
    assert not any("-session" in name for name in browser.cookies())
