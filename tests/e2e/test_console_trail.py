"""The audit trail as the operator's console shows it: of whom, where and when, and whatever events hold."""

import html
import re

import pytest

from gateway.config.settings.root import Settings
from tests.e2e.test_providers import two_providers
from tests.support.console import TOKENS, Desk, inert, words_of
from tests.support.world import World

CONSOLE = {"admin": {"console": {}, "tokens": TOKENS}}
KEPT = {"session": {"mode": "redis", "rotation_grace": "60s"}}
TRAIL = CONSOLE | KEPT | {"audit": {"keep": {}}}


def audited(world: World) -> None:
    """Let requests of /admin/ be audit events."""
    config = world.config()
    for route in config["routes"]:
        if route["path"] == "/admin/":
            route["audit"] = True
    world.gateway.reload(Settings.model_validate(config))


@pytest.mark.settings(TRAIL)
async def test_who_was_at_admin_today(world: World):
    """[12.console] By path and time, and by person; each leads to the person; operators by their names."""
    audited(world)
    browsers = {}
    for user in ("alice", "bob"):
        browsers[user] = world.browser()
        await browsers[user].login("/", user)
        await browsers[user].get("/admin/people?secret=1")
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("carol")
        page = await desk.get("end?kind=sub&value=bob&provider=demo")
        await desk.send(page, "end", reason="why <b>not</b>")
        page = await desk.get("trail")
        today = re.findall(r'href="/console/(trail\?[^"]*)">Today<', page.text)[0]

        async def seen():
            await world.gateway.audit_writer.drain()
            return await desk.get(html.unescape(today) + "&path=/admin")

        page = await seen()
        assert page.status == 200
        said = words_of(page)
        assert "/admin/people" in said
        assert "secret" not in page.text
        assert page.text.count("sub=alice") == page.text.count("sub=bob") == 1
        assert "group_missing" in said
        # a login that failed looks like none that went well
        await world.browser().get("/.gateway/callback", follow=False)
        await world.gateway.audit_writer.drain()
        page = await desk.get("trail?event=login")
        assert re.findall(r'class="badge (\w+)">login<', page.text) == ["warn", "good", "good"]
        # what an event holds is told in words, and not as a program writes it
        assert "missing the group admins" in words_of(await desk.get("trail?event=refusal"))
        assert page.text.count("<tbody") == 1
        page = await desk.get("trail?sub=bob")
        assert "by carol" in words_of(page)
        assert "why &lt;b&gt;not&lt;/b&gt;" in page.text
        assert "sub=alice" not in page.text
        assert "Nothing of this is kept." in words_of(await desk.get("trail?sub=nobody"))
        page = await desk.get("trail?since=2020-01-01T00:00&until=2020-01-02T00:00&path=/admin")
        assert "Requests are kept of routes that say audit: true." in words_of(page)
        assert 'value="2020-01-01T00:00"' in page.text
        for wrong in ("since=yesterday", "before=x", "since=" + "9" * 400, "sub=" + "a" * 2000):
            page = await desk.get(f"trail?{wrong}")
            assert page.status == 400, wrong
            inert(page.text)


@pytest.mark.settings(TRAIL)
async def test_events_of_any_content_are_text(world: World):
    """[12.console] Subjects, paths and reasons that are attacks stay texts on the page of the trail."""
    audited(world)
    browser = world.browser()
    await browser.login("/", "alice")
    await browser.get("/admin/%3Cscript%3Ealert(1)%3C/script%3E/%E2%80%AE")
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("carol")
        page = await desk.get("end?kind=sub&provider=demo&value=%3Cimg%20src%3Dx%3E%E2%80%AE")
        await desk.send(page, "end", reason="<script>\u202e</script>")
        await world.gateway.audit_writer.drain()
        for query in ("", "?path=/admin", "?path=<script>", "?sub=<img src=x>\u202e", "?event=<b>"):
            page = await desk.get(f"trail{query}")
            assert page.status == 200
            inert(page.text)


@pytest.mark.settings(CONSOLE | KEPT)
async def test_where_no_trail_is_kept_it_says_how(world: World):
    """[12.console] Off by default: the page tells what to write."""
    async with Desk(world.gateway.admin_port) as desk:
        await desk.log_in("rita")
        page = await desk.get("trail?sub=alice")
        assert page.status == 200
        assert "keep: {for: 30d, most: 1000000}" in words_of(page)


async def test_the_trail_of_a_person_is_not_a_namesakes(valkey_url, tmp_path):
    """R70 [12.console] The same subject of another provider is somebody else, whichever way one looks."""
    async with two_providers(valkey_url, tmp_path, **TRAIL) as (world, _):
        for provider in ("demo", "partner"):
            await world.browser().login(f"/{provider}/", "alice")
        async with Desk(world.gateway.admin_port) as desk:
            await desk.log_in("carol")
            for provider, other in (("demo", "partner"), ("partner", "demo")):
                page = await desk.get(f"person?provider={provider}&sub=alice")
                (way,) = re.findall(r'href="/console/(trail\?[^"]*)" class="button">Audit trail', page.text)
                await world.gateway.audit_writer.drain()
                page = await desk.get(html.unescape(way))
                assert f"person?provider={provider}&amp;sub=alice" in page.text
                assert f"person?provider={other}&amp;sub=alice" not in page.text
                assert f'name="provider" value="{provider}"' in page.text
            page = await desk.get("trail?sub=alice")
            assert re.findall(r'class="soft">(demo|partner)<', page.text).count("partner") == 1
            page = await desk.get("trail?sub=alice&provider=<b>")
            assert (page.status, "There is no such provider." in words_of(page)) == (400, True)
            inert(page.text)
