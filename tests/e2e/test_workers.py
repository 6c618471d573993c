"""Several workers on one port, as processes: sessions, revocations and the port are shared."""

import asyncio
import os
import signal

import pytest
import pytest_asyncio

from tests.support.fleet import Client, Fleet, cookies_in, is_alive, load, tokens_of
from tests.support.world import Page

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKERS = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet():
    """Four workers that these tests share; each leaves them whole."""
    async with Fleet(WORKERS, session={"refresh_before_expiry": "200ms"}) as fleet:
        yield fleet


async def log_in(fleet: Fleet, count: int, lifetime: float):
    """Return browsers whose access tokens expire together after ``lifetime`` seconds."""
    browsers = [fleet.browser() for _ in range(count)]
    fleet.provider.access_lifetime = lifetime
    for start in range(0, count, 25):
        await asyncio.gather(*(each.login() for each in browsers[start : start + 25]))
    fleet.provider.access_lifetime = 3600.0
    return browsers


async def test_r32_one_call_for_one_session_across_workers(fleet: Fleet):
    """R32: 1,000 parallel requests of one expired session, over four workers: one token call, all 200.

    Every answer brings the same new tokens.
    """
    (browser,) = await log_in(fleet, 1, 0.5)
    await asyncio.sleep(0.6)
    before = fleet.provider.counts["token:refresh_token"]
    pages = await asyncio.gather(*(browser.fetch(f"/r32-{i}") for i in range(1000)))
    assert {page.status for page in pages} == {200}
    assert fleet.provider.counts["token:refresh_token"] - before == 1
    assert len({new_tokens(fleet, page) for page in pages}) == 1
    await fleet.eventually(lambda: len(served(fleet, "/r32-")) == WORKERS)


def new_tokens(fleet: Fleet, page: Page) -> tuple[str, float, str]:
    """Return session, expiry and refresh token that an answer brings its browser."""
    session, grant = tokens_of(fleet, cookies_in(page))
    return session.session_id, session.access_expires_at, grant.refresh_token


def served(fleet: Fleet, path: str) -> set[int]:
    """Return the workers that have answered requests of such paths."""
    return {line["worker"] for line in fleet.events("request") if line["path"].startswith(path)}


async def test_r32_as_many_calls_as_sessions(fleet: Fleet):
    """R32: 200 sessions that have expired, each asking three times at once: 200 token calls, all 200.

    All answers of one session bring the same new tokens, and nobody else's.
    """
    browsers = await log_in(fleet, 200, 2.0)
    expired = asyncio.get_running_loop().time() + 2.1
    before = fleet.provider.counts["token:refresh_token"]
    await asyncio.sleep(max(0.0, expired - asyncio.get_running_loop().time()))
    pages = await asyncio.gather(*(each.fetch(f"/many-{i}") for each in browsers for i in range(3)))
    assert {page.status for page in pages} == {200}
    assert fleet.provider.counts["token:refresh_token"] - before == 200
    tokens = [new_tokens(fleet, page) for page in pages]
    assert tokens[0::3] == tokens[1::3] == tokens[2::3]
    assert len({session for session, _, _ in tokens}) == len(set(tokens)) == 200


async def test_r44_a_revocation_reaches_every_worker_before_it_returns(fleet: Fleet):
    """R44: when the revocation is acknowledged, each of the four workers refuses."""
    browser = fleet.browser()
    await browser.login(user="bob")
    status, text = await fleet.admin("POST", "/revoke", json={"sub": "bob"})
    assert status == 200, text
    asked = 0
    while asked < 640 and len(served(fleet, "/revoked-")) < WORKERS:
        clients = [browser.clone() for _ in range(16)]
        pages = await asyncio.gather(*(each.fetch(f"/revoked-{asked}") for each in clients))
        assert {page.status for page in pages} == {401}
        asked += len(pages)
        await asyncio.sleep(0.15)
    assert served(fleet, "/revoked-") == set(range(WORKERS))


async def test_r66_whoever_logs_in_again_is_in_at_every_worker(fleet: Fleet):
    """R66 [1.4]: at once, at those that were told of the revocation before it was written, too."""
    before = fleet.browser()
    await before.login(user="bob")
    assert (await fleet.admin("POST", "/revoke", json={"sub": "bob"}))[0] == 200
    browser = fleet.browser()
    await browser.login(user="bob")
    asked = 0
    while asked < 640 and len(served(fleet, "/again-")) < WORKERS:
        pages = await asyncio.gather(*(browser.clone().fetch(f"/again-{asked}") for _ in range(16)))
        assert {page.status for page in pages} == {200}
        pages = await asyncio.gather(*(before.clone().fetch(f"/before-{asked}") for _ in range(4)))
        assert {page.status for page in pages} == {401}
        asked += 16
        await asyncio.sleep(0.15)
    assert served(fleet, "/again-") == set(range(WORKERS))


async def test_gateway_revoke_names_every_worker(fleet: Fleet):
    """The command prints the acknowledgement of each worker, and until when tokens are refused."""
    code, text = await fleet.command("revoke", "--sub", "carol")
    assert code == 0, text
    assert text.count("acknowledged: ") == len(text.splitlines()) - 3 == WORKERS
    assert "sessions ended: cannot be told" in text
    assert "open connections ended at this gateway: none" in text
    assert "bearer tokens are refused that were issued until 2" in text


async def test_what_a_revocation_met_is_told_of_all_workers(fleet: Fleet):
    """[12.admin] Each worker ends its own WebSockets, and the answer is their sum; bob's go on."""
    sockets = []
    for user, count in (("alice", 8), ("bob", 2)):
        browser = fleet.browser()
        await browser.login(user=user)
        for _ in range(count):
            # a connection of its own, which any worker may take
            client = browser.clone()
            fleet.browsers.append(client)
            sockets.append(
                await client.session.ws_connect(f"{fleet.base}/ws", headers={"Origin": fleet.base})
            )
    code, text = await fleet.command("revoke", "--sub", "alice")
    assert code == 0, text
    assert "open connections ended at this gateway: 8" in text
    for ws in sockets[8:]:
        await ws.send_str("still here")
        assert (await ws.receive_str()).endswith("still here")
        await ws.close()


async def test_a_worker_that_is_killed_comes_back(fleet: Fleet):
    """A worker is killed under load: only its own connections fail, it is back, no total goes backwards."""
    clients = [Client(fleet, number) for number in range(32)]
    before = await fleet.counted("gateway_requests_total")
    killed = (await fleet.pids())[2]
    async with load(clients):
        await asyncio.sleep(0.5)
        seen = await fleet.counted("gateway_requests_total")
        os.kill(killed, signal.SIGKILL)
        totals = [seen]
        async with asyncio.timeout(20):
            while True:
                totals.append(await fleet.counted("gateway_requests_total"))
                if await fleet.counted("gateway_workers_ready") == WORKERS and not is_alive(killed):
                    break
        await asyncio.sleep(0.3)
    assert totals == sorted(totals)
    assert totals[0] > before
    assert (await fleet.pids())[2] != killed
    failed = [name for client in clients for name in client.failed]
    await asyncio.sleep(0.3)
    workers = {line["path"].removeprefix("/public/"): line["worker"] for line in fleet.events("request")}
    assert {workers[name] for name in failed} <= {2}
    assert len(failed) <= len(clients)
    assert {status for client in clients for status in client.statuses} == {200}
    (line,) = [line for line in fleet.lines() if line.get("message") == "a worker has ended"]
    assert line["why"] == "killed by SIGKILL"
    assert line["worker"] == 2
    code, text = await fleet.command("revoke", "--sub", "carol")
    assert code == 0, text


async def test_sigterm_drains():
    """SIGTERM: not ready, open requests end, then nothing is left: no process, no store, exit code 0."""
    async with Fleet(2) as fleet:
        everybody = fleet.family()
        assert len(everybody) == 3
        fleet.upstream.hold = asyncio.Event()
        browser = fleet.browser()
        open_requests = [asyncio.create_task(browser.fetch(f"/public/{i}")) for i in range(8)]
        await fleet.eventually(lambda: len(fleet.upstream.seen) == 8)
        fleet.signal(signal.SIGTERM)
        await fleet.eventually(lambda: any(line.get("message") == "draining" for line in fleet.lines()))
        status, document = await fleet.readiness()
        assert (status, document["checks"]) == (503, {"workers": "the gateway is ending"})
        await fleet.eventually(lambda: refuses(fleet.public_port))
        assert not any(task.done() for task in open_requests)
        fleet.upstream.hold.set()
        assert {(await task).status for task in open_requests} == {200}
        assert await fleet.process.wait() == 0
        assert not any(map(is_alive, everybody))


async def refuses(port: int) -> bool:
    """Tell whether nobody listens."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


async def test_a_second_signal_ends_at_once():
    """Whoever asks twice does not wait for open requests; the exit code says that some were cut."""
    async with Fleet(2) as fleet:
        everybody = fleet.family()
        fleet.upstream.hold = asyncio.Event()
        browser = fleet.browser()
        held = asyncio.create_task(browser.fetch("/public/held"))
        await fleet.eventually(lambda: fleet.upstream.seen)
        fleet.signal(signal.SIGINT)
        await fleet.eventually(lambda: any(line.get("message") == "draining" for line in fleet.lines()))
        fleet.signal(signal.SIGINT)
        assert await fleet.process.wait() == 1
        assert not any(map(is_alive, everybody))
        fleet.upstream.hold.set()
        await asyncio.gather(held, return_exceptions=True)


async def test_nobody_outlives_the_supervisor():
    """The supervisor is killed: workers and store notice, and end."""
    async with Fleet(2) as fleet:
        everybody = fleet.family()
        fleet.process.kill()
        await fleet.process.wait()
        await fleet.eventually(lambda: not any(map(is_alive, everybody)))


async def test_a_port_that_is_served_is_not_shared(fleet: Fleet):
    """A second gateway on the same port is told so, although ports can be shared."""
    code, text = await fleet.command("run")
    assert code == 1
    assert "is taken" in text
