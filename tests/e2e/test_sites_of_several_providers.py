"""One login for several sites where people of two providers come in."""

import pytest

from gateway.demo.provider import DemoProvider
from tests.e2e.test_choosing import offered
from tests.support.sites import SiteWorld
from tests.support.world import CLIENT_SECRET

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=[False, True], ids=["first", "choice"])
async def two(request, valkey_url, tmp_path):
    """The wiki is for partners, the shop for both, files for whoever the first provider knows."""
    world = SiteWorld(valkey_url, tmp_path)
    partner = DemoProvider("demo", CLIENT_SECRET, (), "demo-api", clock=world.clock)
    await partner.start()
    section = {
        "issuer": partner.issuer,
        "client_id": "demo",
        "client_secret": CLIENT_SECRET,
        "scopes": ["openid", "offline_access"],
        "audiences": ["demo-api"],
        "label": "Partner",
    }

    def route(site: str, *providers: str) -> dict:
        host = world.site(site).partition("://")[2]
        return {"path": "/", "upstream": "app", "access": "required", "hosts": [host], "providers": providers}

    world.override = {
        "providers": {"partner": section},
        "choose_provider": request.param,
        "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Issuer": "iss"},
        "routes": [
            {**route("wiki", "partner"), "provider": "partner"},
            route("shop", "demo", "partner"),
            route("files", "demo"),
        ],
    }
    try:
        async with world:
            partner.redirect_uris = tuple(
                f"{world.site('login')}/.gateway/callback{end}" for end in ("", "/partner", "/demo")
            )
            yield world, partner, request.param
    finally:
        await partner.close()


async def test_a_session_is_good_where_its_provider_is(two):
    """R70 [11.2]: a session of a provider that a site admits is taken; for another one logs in there."""
    world, partner, _ = two
    alice = world.browser()
    page = await alice.get(world.site("wiki") + "/")
    assert str(page.url).startswith(partner.issuer)
    page = await alice.submit(page, username="alice", password="alice")
    assert (page.status, str(page.url)) == (200, world.site("wiki") + "/")
    assert world.upstream.last().headers["X-Forwarded-Issuer"] == partner.issuer
    # the shop admits both, whichever it would lead to
    page = await alice.get(world.site("shop") + "/")
    assert (page.status, str(page.url)) == (200, world.site("shop") + "/")
    assert len(world.audit("login")) == 1
    # nobody of the partner's is anybody there
    page = await alice.get(world.site("files") + "/")
    assert str(page.url).startswith(world.provider.issuer)
    page = await alice.submit(page, username="alice", password="alice")
    assert (page.status, str(page.url)) == (200, world.site("files") + "/")
    assert world.upstream.last().headers["X-Forwarded-Issuer"] == world.provider.issuer


async def test_whoever_is_nobody_yet_chooses_at_the_host(two):
    """[11.4 11.2]: among those whose people come in at the site, and comes back to it."""
    world, partner, chooses = two
    alice = world.browser()
    page = await alice.get(world.site("shop") + "/basket?x=1")
    if chooses:
        assert str(page.url).startswith(world.site("login") + "/.gateway/login")
        assert set(offered(page)) == {"demo", "Partner"}
        page = await alice.get(offered(page)["Partner"])
        assert str(page.url).startswith(partner.issuer)
    else:
        assert str(page.url).startswith(world.provider.issuer)
    page = await alice.submit(page, username="alice", password="alice")
    assert (page.status, str(page.url)) == (200, world.site("shop") + "/basket?x=1")
    # where there is one that comes in, nobody is asked
    page = await world.browser().get(world.site("files") + "/")
    assert str(page.url).startswith(world.provider.issuer)


async def test_who_wishes_for_a_provider_logs_in_there(two):
    """[11.4 11.2]: a link that names one, though a session of the other would do."""
    world, partner, _ = two
    alice = world.browser()
    page = await alice.get(world.site("shop") + "/.gateway/login?provider=demo&return_to=/x")
    page = await alice.submit(page, username="alice", password="alice")
    assert (page.status, page.url.path) == (200, "/x")
    page = await alice.get(world.site("shop") + "/.gateway/login?provider=partner&return_to=/y")
    assert str(page.url).startswith(partner.issuer)
    page = await alice.submit(page, username="alice", password="alice")
    assert (page.status, page.url.path) == (200, "/y")
    assert world.upstream.last().headers["X-Forwarded-Issuer"] == partner.issuer


async def test_a_wish_for_the_routes_own_provider(two):
    """[11.4 11.2]: counts as well, though whoever the other one knows would be let in."""
    world, partner, _ = two
    alice = world.browser()
    await alice.login(world.site("wiki") + "/")
    page = await alice.get(world.site("shop") + "/.gateway/login?provider=demo&return_to=/x")
    assert str(page.url).startswith(world.provider.issuer)
    assert not str(page.url).startswith(partner.issuer)
