"""nginx as ingress-nginx configures it, for the annotations of config/proxies/ingress-nginx.yaml."""

from collections.abc import AsyncIterator

import pytest

from tests.support.fronts import INGRESS, FrontWorld, behind, raw

pytestmark = pytest.mark.skipif(
    INGRESS.program is None, reason=f"no nginx on this machine ({INGRESS.package})"
)

IDENTITY = ("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username")
FORGED = dict.fromkeys(IDENTITY, "mallory")


@pytest.fixture
async def world(valkey_url: str, tmp_path) -> AsyncIterator[FrontWorld]:
    """A gateway that it asks."""
    async with behind(INGRESS, valkey_url, tmp_path) as started:
        yield started


async def test_logging_in_renewing_and_logging_out(world: FrontWorld):
    """[11.10] R54: over auth-signin and back; the application gets who it is, and nothing of ours."""
    browser = world.browser()
    page = await browser.login("/page")
    assert (page.text, page.url.path) == ("hello alice GET /page 0", "/page")
    assert (await browser.fetch("/x", headers={"Authorization": "Basic YTpi", **FORGED})).status == 200
    assert [world.told(name) for name in IDENTITY] == [
        ["alice"],
        ["alice@example.com"],
        ["admins"],
        ["alice"],
    ]
    assert world.told("Cookie") == world.told("Authorization") == []
    for generation in (1, 2):
        world.clock.advance(world.provider.access_lifetime + 60)
        page = await browser.fetch("/x")
        assert (page.status, len(page.set_cookies)) == (200, 1)
        assert (await browser.fetch("/x")).status == 200
        assert world.provider.counts["token:refresh_token"] == generation


async def test_r55_another_site_s_rules_open_nothing(valkey_url: str, tmp_path):
    """[11.10] R55, R57: a request line that names this site, and a Host that names another, reach nobody."""
    routes = [
        {"path": "/", "upstream": "app", "access": "public", "hosts": ["open.test"], "name": "open"},
        {"path": "/", "upstream": "app", "access": "required"},
    ]
    async with behind(INGRESS, valkey_url, tmp_path, routes=routes) as world:
        own = world.base.removeprefix("https://")
        for target, host in (
            ("/x", "open.test"),
            (f"https://{own}/x", "open.test"),
            ("https://open.test/x", own),
        ):
            await raw(world, target, "Accept: */*", host=host)
            assert not world.upstream.seen, (target, host)


async def test_who_is_refused(world: FrontWorld):
    """[11.10] R53: nobody is sent to log in, bob is told no; the application sees no forged name."""
    nobody, bob = world.browser(), world.browser()
    page = await nobody.get("/x", follow=False)
    assert page.status == 302
    assert page.headers["Location"] == f"{world.base}/.gateway/login?return_to={world.base}/x"
    await bob.login("/", "bob")
    world.upstream.seen.clear()
    assert (await bob.fetch("/admin/x", headers=FORGED)).status == 403
    assert (await nobody.fetch("/.gateway/decide/ingress-nginx")).status == 503
    assert not world.upstream.seen
    event = world.audit("refusal")[-1]
    assert (event["reason"], event["route"], event["subject"]) == ("group_missing", "/admin/", "bob")
    for path in ("/public/x", "/optional/x"):
        assert (await nobody.fetch(path, headers=FORGED)).status == 200
        assert [value for name in IDENTITY for value in world.told(name)] == []
