"""What upstreams get by route, through a whole gateway."""

import pytest

from tests.support.world import World

pytestmark = pytest.mark.asyncio

ROUTES = [
    {
        "path": "/own/",
        "upstream": "app",
        "access": "required",
        "unauthenticated": "login",
        "identity_headers": {"X-Who": "email", "X-Whose": "iss"},
        "request_headers": {"X-Gateway-Secret": "from-a-secret"},
        "response_headers": {
            "Cache-Control": "public, max-age=60",
            "Server": None,
            "X-Frame-Options": "DENY",
        },
    },
    {"path": "/none/", "upstream": "app", "access": "required", "identity_headers": {}},
    {
        "path": "/public/",
        "upstream": "app",
        "access": "public",
        "request_headers": {"X-Gateway-Secret": "other"},
    },
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]


@pytest.mark.settings({"routes": ROUTES})
async def test_r53_identity_headers_of_a_route(world: World):
    """R53 [11.9]: in the gateway-wide ones' stead, whatever the client says under either name."""
    browser = world.browser()
    await browser.login("/own/x")
    forged = {"X-Who": "root", "x_whose": "root", "X-Forwarded-User": "root", "X-Gateway-Secret": "guess"}
    for path, told in (
        ("/own/x", {"X-Who": "alice@example.com", "X-Whose": world.provider.issuer}),
        ("/none/x", {}),
        ("/x", {"X-Forwarded-User": "alice"}),
        ("/public/x", {}),
    ):
        for _ in range(2):
            assert (await browser.fetch(path, headers=forged)).status == 200
            seen = world.upstream.last().headers
            assert "root" not in seen.values()
            assert "guess" not in seen.values()
            names = ("X-Who", "X-Whose", "X-Forwarded-User")
            assert {name: seen[name] for name in names if name in seen} == told
        secret = {"/own/x": "from-a-secret", "/public/x": "other"}.get(path)
        assert seen.getall("X-Gateway-Secret", []) == ([secret] if secret else [])
    assert "from-a-secret" not in str(world.lines)


@pytest.mark.settings({"routes": ROUTES})
async def test_r59_response_headers_of_a_route(world: World):
    """R59 [11.9]: they replace the upstream's; where our cookies ride no shared cache is told to keep it."""
    browser = world.browser()
    await browser.login("/own/x")
    world.upstream.headers = [("Cache-Control", "no-cache"), ("Server", "app"), ("X-Frame-Options", "ALLOW")]
    page = await browser.fetch("/own/x")
    assert page.headers["Cache-Control"] == "public, max-age=60"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "Server" not in page.headers
    world.clock.advance(61)
    page = await browser.fetch("/own/x")
    assert page.set_cookies
    assert page.headers["Cache-Control"] == "private, no-cache"
    assert (await browser.fetch("/x")).headers["Server"] == "app"
