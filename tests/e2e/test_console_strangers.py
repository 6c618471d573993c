"""The console while strangers knock at it, or have operators' own browsers knock: nobody is locked out."""

import pytest

from tests.e2e.test_console_login import answered, world
from tests.support.console import Desk, words_of
from tests.support.world import World

__all__ = ["world"]
pytestmark = pytest.mark.asyncio

PICTURE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FRAME = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}


@pytest.mark.parametrize("headers", [PICTURE, FRAME])
async def test_pictures_on_another_page_use_up_no_attempts(world: World, headers: dict[str, str]):
    """[12.console] A page that has an operator's browser ask, as often as it likes, keeps nobody out."""
    async with Desk(world.gateway.admin_port) as desk:
        for path in ("callback?code=x&state=x", "login/provider", ""):
            for _ in range(12):
                page = await desk.get(path, headers=headers, follow=False)
                assert page.status == 403
                assert "Set-Cookie" not in page.headers
        back = await answered(desk, world, "alice")
        assert (await desk.get(back)).status == 200
        assert (await desk.log_in("rita")).status == 200
    assert len(world.audit("console_login")) == 2


async def test_answers_to_no_login_use_up_no_attempts(world: World):
    """[12.console] Who brings an answer without the cookie of a login is refused, and takes none's place."""
    async with Desk(world.gateway.admin_port) as stranger, Desk(world.gateway.admin_port) as desk:
        for _ in range(70):
            assert (await stranger.get("callback?code=x&state=x")).status == 403
        back = await answered(desk, world, "alice")
        assert (await desk.get(back)).status == 200
        assert (await desk.log_in("rita")).status == 200
        # they write no more than this into the log
        failed = [each for each in world.audit("console_login") if each["outcome"] == "failed"]
        assert len(failed) <= 12


async def test_wrong_tokens_keep_no_login_at_the_provider_out(world: World):
    """[12.console] Each way in has attempts of its own."""
    async with Desk(world.gateway.admin_port) as desk:
        while (page := await desk.ask("POST", "login", data={"token": "wrong"})).status == 401:
            pass
        assert "Try again in" in words_of(page)
        back = await answered(desk, world, "alice")
        assert (await desk.get(back)).status == 200
