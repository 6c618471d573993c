"""Groups that are too many for an ID token: asked for at Microsoft Graph, and never where a token says."""

import json

import pytest

from gateway.demo.faults import Canned
from tests.support.world import World

pytestmark = pytest.mark.asyncio

MANY = [f"fee2c45b-915a-4a64-b130-{number:012x}" for number in range(30)]


@pytest.fixture(params=[("cookie", False), ("redis", False), ("redis", True)])
async def entra(request, valkey_url, tmp_path):
    """A provider as Entra ID, with and without UserInfo."""
    mode, userinfo = request.param
    async with _Entra(valkey_url, tmp_path, mode, userinfo) as world:
        world.provider.accounts["alice"]["groups"] = [*MANY, "admins"]
        world.provider.quirks = {"groups-overage"}
        yield world


class _Entra(World):
    def __init__(self, store_url, tmp_path, mode, userinfo, **more):
        super().__init__(store_url, tmp_path, session={"mode": mode}, **more)
        self.userinfo = userinfo

    def config(self):
        data = super().config()
        data["providers"]["demo"] |= {
            "groups_overage": "graph",
            "graph_url": f"{self.provider.base}/graph",
            "userinfo": self.userinfo,
        }
        return data


async def test_they_are_asked_for_at_login_and_at_each_refresh(entra):
    """R68 [11.4]: whoever has left a group has left it after the next refresh."""
    world = entra
    browser = world.browser()
    assert (await browser.login("/admin/x", "alice")).status == 200
    assert world.upstream.last().headers["X-Forwarded-Groups"] == ",".join([*MANY, "admins"])
    assert world.provider.counts["groups"] == 1
    world.provider.accounts["alice"]["groups"] = MANY
    world.clock.advance(70)
    assert (await browser.fetch("/admin/x")).status == 403
    assert world.provider.counts["groups"] == 2


async def test_groups_that_fit_again_are_the_tokens(entra):
    """R68 [11.4]: without an overage nothing is asked, and nothing of the former answer is left."""
    world = entra
    browser = world.browser()
    await browser.login("/admin/x", "alice")
    world.provider.quirks = set()
    world.provider.accounts["alice"]["groups"] = ["staff"]
    world.clock.advance(70)
    assert (await browser.fetch("/admin/x")).status == 403
    assert (await browser.fetch("/x")).status == 200
    assert world.upstream.last().headers["X-Forwarded-Groups"] == "staff"
    assert world.provider.counts["groups"] == 1
    # Entra ID writes no claim at all for somebody without groups
    del world.provider.accounts["alice"]["groups"]
    world.clock.advance(70)
    assert (await browser.fetch("/x")).status == 200
    assert "X-Forwarded-Groups" not in world.upstream.last().headers


async def test_no_groups_are_left_of_those_who_have_none(entra):
    """R68 [11.4]: from an overage straight to no groups: what Graph had told is gone."""
    world = entra
    browser = world.browser()
    await browser.login("/admin/x", "alice")
    world.provider.quirks = set()
    del world.provider.accounts["alice"]["groups"]
    world.clock.advance(70)
    assert (await browser.fetch("/admin/x")).status == 403


async def test_a_refresh_without_an_id_token_asks_again(entra):
    """R68 [11.4]: nothing says whether there still are too many."""
    world = entra
    browser = world.browser()
    await browser.login("/admin/x", "alice")
    world.provider.quirks = {"groups-overage", "no-id-token-at-refresh"}
    world.provider.accounts["alice"]["groups"] = MANY
    world.clock.advance(70)
    assert (await browser.fetch("/admin/x")).status == 403
    assert world.provider.counts["groups"] == 2


@pytest.mark.parametrize(
    "answer",
    [
        Canned(401, b"{}"),
        Canned(403, b"{}"),
        Canned(500, b""),
        Canned(302, b"", {"Location": "http://127.0.0.1:1/"}),
        Canned(200, b""),
        Canned(200, b"[]"),
        Canned(200, b"{}"),
        Canned(200, b'{"value": null}'),
        Canned(200, b'{"value": "admins"}'),
        Canned(200, b'{"value": ["admins", 1]}'),
        Canned(200, b'{"value": [""]}'),
        Canned(200, b'{"value": [["admins"]]}'),
        Canned(200, b'{"value": ["admins"], "@odata.nextLink": "http://127.0.0.1:1/"}'),
        Canned(200, b'{"value": ["admins"], "value": []}'),
        Canned(200, json.dumps({"value": ["x" * 300]}).encode()),
        Canned(200, b'{"value": [' + b'"a",' * 300_000 + b'"b"]}'),
    ],
)
async def test_an_answer_that_is_none_fails_the_login_and_keeps_a_session(valkey_url, tmp_path, answer):
    """R68 CVE-2026-26998 [11.4]: nobody comes in by half an answer, and nobody is thrown out by one."""
    async with _Entra(valkey_url, tmp_path, "cookie", False) as world:
        world.provider.quirks = {"groups-overage"}
        browser = world.browser()
        await browser.login("/admin/x", "alice")
        world.provider.canned["groups"] = answer
        world.clock.advance(70)
        assert (await browser.fetch("/admin/x")).status == 200
        count = len(world.upstream.seen)
        page = await world.browser().login("/admin/x", "alice")
        assert page.status == 503
        assert len(world.upstream.seen) == count
        # what nobody confirms holds for claims_max_age and no longer
        world.clock.advance(8 * 3600)
        assert (await browser.fetch("/admin/x")).status != 200


async def test_without_the_setting_such_people_have_no_groups(valkey_url, tmp_path):
    """[11.4]: by default nothing is asked, and rules on groups refuse."""
    async with World(valkey_url, tmp_path) as world:
        world.provider.quirks = {"groups-overage"}
        browser = world.browser()
        assert (await browser.login("/admin/x", "alice")).status == 403
        assert world.provider.counts["groups"] == 0
        # a token of an API's caller has none either
        token = world.provider.mint("alice", groups=None, _claim_names={"groups": "src1"})
        headers = {"Authorization": f"Bearer {token}"}
        assert (await world.browser().fetch("/admin/x", headers=headers)).status == 403
