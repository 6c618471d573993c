"""The configuration is read anew while two workers serve: no request fails, nobody is logged out."""

import base64
import signal

import pytest
import pytest_asyncio

from tests.support.fleet import TREE, Client, Fleet, load
from tests.support.world import ADMIN_TOKEN, SECRET_KEY, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKERS = 2
OTHER_KEY = base64.b64encode(bytes(range(100, 132))).decode()
PUBLIC = {"path": "/public/", "upstream": "app", "access": "public"}
REST = {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running():
    """Two workers that these tests share."""
    async with Fleet(WORKERS) as fleet:
        yield fleet


@pytest_asyncio.fixture(loop_scope="module")
async def fleet(running: Fleet):
    """The two workers with the configuration that they began with."""
    running.write()
    code, text = await running.command("reload")
    assert code == 0, text
    yield running
    for browser in running.browsers:
        await browser.close()
    running.browsers.clear()


async def hang_up(fleet: Fleet, event: str = "reloaded"):
    """Send SIGHUP and return the line that tells what became of it."""
    # lines are written a moment after they are made
    figure = "gateway_reload_applied_total" if event == "reloaded" else "gateway_reload_refused_total"
    before = int(await fleet.counted(figure))
    fleet.signal(signal.SIGHUP)
    return (await fleet.eventually(lambda: reloads(fleet, event)[before:]))[0]


def reloads(fleet: Fleet, event: str):
    """Return the lines about reloads that came to pass, or that were refused."""
    return [
        line
        for line in fleet.lines()
        if line.get("event") == event and (event == "reloaded" or "refused" in line["message"])
    ]


async def test_alternating_configurations_under_load(fleet: Fleet):
    """Reload after reload under load, with other routes, upstreams and providers: no request fails."""
    pids = await fleet.pids()
    other = Upstream()
    await other.start()
    variants = (
        {
            "upstreams": {"app": {"servers": [other.url]}, "more": {"servers": [fleet.upstream.url]}},
            "routes": [PUBLIC, {"path": "/public/c1", "upstream": "more", "access": "public"}, REST],
            "limits": {"body": 1000},
            "log": {"level": "error"},
        },
        {"providers": {"demo": {"clock_skew": "5s"}}, "upstreams": {"app": {"keepalive": "5s"}}},
    )
    clients = [Client(fleet, number) for number in range(16)]
    async with load(clients):
        for turn in range(8):
            fleet.write(**variants[turn % 2])
            line = await hang_up(fleet)
            assert "upstreams" in line["changed"]
            assert line["workers"] == WORKERS
            answered = sum(client.answered for client in clients)
            await fleet.eventually(lambda: sum(client.answered for client in clients) > answered + 64)  # noqa: B023
    assert [name for client in clients for name in client.failed] == []
    assert {status for client in clients for status in client.statuses} == {200}
    assert other.seen
    assert await fleet.pids() == pids
    await other.close()


async def test_a_broken_configuration_is_refused(fleet: Fleet):
    """A file with errors changes nothing; each error is logged and returned, with its line."""
    fleet.write(routes=[PUBLIC, {**REST, "upstream": "nowhere"}, {"path": "relative"}])
    line = await hang_up(fleet, "error")
    assert any("upstream" in error for error in line["errors"])
    assert len(line["errors"]) >= 2
    status, text = await fleet.admin("POST", "/reload")
    assert status == 422
    assert "gateway.yaml:" in text
    assert "the old one runs on" in text
    assert (await fleet.browser().fetch("/public/x")).status == 200
    fleet.path.write_text("public_url: [")
    assert (await fleet.admin("POST", "/reload"))[0] == 422
    assert await fleet.counted("gateway_reload_refused_total") >= 3


async def test_what_cannot_change_is_told(fleet: Fleet):
    """Other addresses, stores and numbers of workers need a restart; nothing else is taken over either."""
    fleet.write(workers=3, listen="127.0.0.1:1", routes=[REST])
    code, text = await fleet.command("reload")
    assert code == 1
    assert "workers: this change needs a restart" in text or "nothing listens" in text
    status, text = await fleet.admin("POST", "/reload")
    assert status == 422
    assert "workers: this change needs a restart" in text
    assert "listen: this change needs a restart" in text
    assert (await fleet.browser().fetch("/public/x")).status == 200


async def test_rotating_secret_keys_logs_nobody_out(fleet: Fleet):
    """A new first key under load: whichever worker answers, nobody is logged out at any moment."""
    browser = fleet.browser()
    await browser.login()
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    clients = [Client(fleet, number, cookie=cookie, path="/") for number in range(8)]
    async with load(clients):
        for keys in ([OTHER_KEY, SECRET_KEY], [SECRET_KEY, OTHER_KEY], [OTHER_KEY, SECRET_KEY]):
            fleet.write(secret_keys=keys)
            assert (await hang_up(fleet))["changed"] == ["secret_keys"]
            newcomer = fleet.browser()
            await newcomer.login(user="bob")
            tabs = [newcomer.clone() for _ in range(16)]
            assert {(await tab.fetch("/n")).status for tab in tabs} == {200}
    assert {status for client in clients for status in client.statuses} == {200}
    assert not any(client.failed for client in clients)
    fleet.write(secret_keys=[OTHER_KEY])
    await hang_up(fleet)
    assert (await browser.fetch("/x")).status == 401
    assert (await newcomer.fetch("/x")).status == 200


async def test_a_secret_in_a_file_is_read_anew(fleet: Fleet):
    """The text of ``${file:}`` counts as it is at the reload; the admin token takes effect at once."""
    token = fleet.directory / "token"
    token.write_text("another-admin-token-0123456789abcdef")
    fleet.write(admin={"token": f"${{file:{token}}}"})
    assert (await hang_up(fleet))["changed"] == ["admin"]
    assert (await fleet.admin("POST", "/reload"))[0] == 401
    token.write_text(ADMIN_TOKEN)
    code, text = await fleet.command("reload")
    assert code == 1
    assert "SIGHUP" in text
    assert (await hang_up(fleet))["changed"] == ["admin"]
    assert (await fleet.admin("POST", "/reload"))[0] == 200


async def test_a_worker_that_starts_later_begins_with_the_new_configuration(fleet: Fleet):
    """A successor runs what the others run, not what the supervisor was started with."""
    fleet.write(routes=[{**PUBLIC, "path": "/open/"}, REST])
    assert (await hang_up(fleet))["changed"] == ["routes"]
    for pid in (await fleet.pids()).values():
        signal_and_forget(pid)
    await fleet.eventually(lambda: fleet.counted("gateway_workers_restarts_total"))
    await fleet.eventually(fleet.is_ready)
    pages = [await fleet.browser().fetch("/open/x") for _ in range(8)]
    assert {page.status for page in pages} == {200}
    assert (await fleet.browser().fetch("/public/x")).status == 401


def signal_and_forget(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


async def test_pages_of_ones_own_are_reloaded_or_refused(fleet: Fleet):
    """[12.pages]: both workers show what was read; a bad template leaves all as it was, a gone file too."""
    own = fleet.directory / "own"
    own.mkdir(exist_ok=True)
    (fleet.directory / "logo.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h4"/></svg>'
    )
    shipped = (TREE / "gateway/edge/rendering/pages/page.html").read_text()
    (own / "page.html").write_text(shipped.replace("</main>", "<p>By us.</p></main>"))
    pages = {"name": "Example Ltd", "logo": "logo.svg", "templates": "own", "languages": ["de", "en"]}
    fleet.write(pages=pages)
    line = await hang_up(fleet)
    assert line["changed"] == ["pages"]

    async def shown() -> set[tuple[bool, ...]]:
        found = set()
        for _ in range(12):
            browser = fleet.browser()
            page = await browser.get("/.gateway/nothing", headers={"Accept-Language": "fr, en;q=0.1"})
            logo = await browser.get("/.gateway/logo")
            found.add(
                (
                    "<p>By us.</p>" in page.text,
                    "There is no such page - Example Ltd" in page.text,
                    page.headers["Vary"] == "Accept-Language",
                    logo.headers["Content-Type"] == "image/svg+xml",
                )
            )
        return found

    assert await shown() == {(True,) * 4}
    (own / "page.html").write_text(shipped.replace("</main>", "{{nobody}}<script>x</script></main>"))
    line = await hang_up(fleet, "error")
    assert any("own/page.html:17: there is no slot {{nobody}}" in each for each in line["errors"])
    assert any("own/page.html:17: <script> has no place" in each for each in line["errors"])
    (own / "page.html").unlink()
    (fleet.directory / "logo.svg").unlink()
    assert await shown() == {(True,) * 4}
    code, text = await fleet.command("reload")
    assert (code, "logo.svg: there is no such file" in text) == (1, True)
    assert await shown() == {(True,) * 4}
