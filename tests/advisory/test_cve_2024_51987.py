"""CVE-2024-51987: a refreshed token ended in another user's request."""

import asyncio

import jwt
import pytest

from tests.support.world import World

ROUTES = [
    {"path": "/token/", "upstream": "app", "access": "required", "authorization": "access_token"},
    {
        "path": "/orders/",
        "upstream": "app",
        "access": "required",
        "authorization": {"exchange": {"audience": "orders-api"}},
    },
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]
USERS = ("alice", "bob")


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_each_gets_what_is_theirs_in_the_middle_of_a_refresh(valkey_url, tmp_path, mode: str):
    """R75 [11.9]: two people renewed side by side: no token goes with another one's request."""
    async with World(valkey_url, tmp_path, routes=ROUTES, session={"mode": mode}) as world:
        browsers = {user: world.browser() for user in USERS}
        for user, browser in browsers.items():
            await browser.login("/", user)
        for _ in range(3):
            world.clock.advance(61)
            paths = [f"{place}{user}" for place in ("/token/", "/orders/") for user in USERS] * 5
            pages = await asyncio.gather(*(browsers[path.rpartition("/")[2]].fetch(path) for path in paths))
            assert {page.status for page in pages} == {200}
        seen = [request for request in world.upstream.seen if request.path != "/"]
        assert len(seen) >= 60
        for request in seen:
            token = request.headers["Authorization"].removeprefix("Bearer ")
            told = jwt.decode(token, options={"verify_signature": False})
            user = request.path.rpartition("/")[2]
            assert told["sub"] == user == request.headers["X-Forwarded-User"]
            assert told["aud"] == ("orders-api" if request.path.startswith("/orders/") else "demo-api")
