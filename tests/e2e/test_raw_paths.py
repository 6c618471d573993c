"""Paths of real applications through a whole gateway, byte for byte (R79)."""

import asyncio

import pytest

from tests.support.world import World

ROUTES = {
    "routes": [
        {"path": "/git/", "upstream": "app", "access": "optional", "raw_path": True},
        {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
        {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
    ]
}
KEPT = [
    "/git/api/v4/projects/group%2Fsub%2fproject",
    "/git/a//b/./c/",
    "/git/a%5Cb/report%2520final.pdf",
    "/git/x;jsessionid=1A?next=/git/%2F&q={a|b}",
]
REFUSED = ["/git/..%2fadmin/x", "/git/%252e%252e/admin", "/git/..;/admin/x", "/other/a%2Fb", "/git/%00"]


@pytest.mark.settings(ROUTES)
async def test_r79_as_it_came(world: World):
    """R79 [3.3]: what the upstream gets is what the client sent, on a warm gateway as on a cold one."""
    browser = world.browser()
    for _ in range(3):
        for number in range(20):
            assert (await browser.fetch(f"/git/plain/{number}")).status == 200
        for target in KEPT:
            assert (await browser.fetch(target)).status == 200
            assert world.upstream.last().raw_path == target
        for target in REFUSED:
            before = len(world.upstream.seen)
            assert (await browser.fetch(target)).status == 400, target
            assert len(world.upstream.seen) == before


@pytest.mark.settings(ROUTES)
async def test_the_refusal_names_the_setting(world: World):
    """[3.3] The page, and the problem document, say how such paths are let through."""
    page = await world.browser().get("/other/a%2Fb")
    assert page.status == 400
    assert "raw_path" in page.text
    assert "raw_path" in (await world.browser().fetch("/other/a%2Fb")).text


@pytest.mark.settings(ROUTES)
async def test_a_login_comes_back_to_a_raw_path(world: World):
    """[3.3] A deep link that is one of these is not lost at the login."""
    browser = world.browser()
    deep = "/git/a%2Fb//c"
    page = await browser.get(f"/.gateway/login?return_to={deep.replace('%', '%25')}")
    page = await browser.submit(page, username="alice", password="alice")
    assert page.status == 200
    assert world.upstream.last().raw_path == deep
    assert world.upstream.last().headers["X-Forwarded-User"] == "alice"


@pytest.mark.settings(ROUTES)
async def test_an_absolute_form_is_no_way_around(world: World):
    """R79: another form of the same target is judged in the same way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.public_port)
    host = f"localhost:{world.public_port}"
    for target, status in (("/git/a%2Fb", 200), ("/git/..%2fadmin", 400), ("//evil%2f", 400)):
        writer.write(f"GET http://{host}{target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert f" {status} ".encode() in head
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    writer.close()
