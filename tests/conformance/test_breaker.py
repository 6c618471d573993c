"""When a server is left alone: nobody's requests take it from the others (R76)."""

import asyncio

import pytest

from tests.support.cluster import OK, Cluster, die, get, hang, insist, post
from tests.support.http import Client, Plane, UpstreamSide, always, echo

QUICK = {"failures": 2, "delay": 0.05}
FOREVER = {"failures": 2, "delay": 600}
BAD = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
FAILED = (500, 502, 503, 504)


async def unwell(side: UpstreamSide) -> None:
    """Answer, but for some paths."""
    while True:
        sent = await side.request()
        if sent.target == "/die":
            side.reset()
            return
        if sent.target == "/garbage":
            await side.send(b"garbage\r\n\r\n")
            return
        if sent.target == "/slow":
            await side.ended()
            return
        await side.send(BAD if sent.target == "/bad" else OK)


WAYS = ["/die", "/garbage", "/slow", "/bad"]


async def fail(clients: list[Client], target: str, count: int) -> None:
    """Fail so often, each client in its turn."""
    for turn in range(count):
        answer = await clients[turn % len(clients)].ask(post(target))
        assert answer.status in FAILED, answer


async def people(plane: Plane, count: int) -> list[Client]:
    """Return clients with an address each."""
    return [await plane.client(local_addr=(f"127.0.0.{n + 2}", 0)) for n in range(count)]


@pytest.mark.parametrize("target", WAYS)
async def test_r76_one_path_costs_no_other(target):
    """R76 [1.15]: requests that the only server does not answer, however many and whoever sends them."""
    breaker = {**FOREVER, "status": ["5xx"]}
    async with Cluster(1, unwell, breaker=breaker, response_timeout=0.05) as cluster:
        clients = await people(cluster, 4)
        await asyncio.gather(*(fail([each], target, 8 if target == "/slow" else 15) for each in clients))
        assert cluster.gauge("breaker") == 0
        for client in clients:
            assert (await client.ask(post("/good"))).status == 200
        assert len(cluster.members[0].asked("/good")) == 4


@pytest.mark.parametrize("target", ["/die", "/bad"])
async def test_r76_one_client_takes_no_server(target):
    """R76 [1.15]: among several servers too, what one client meets counts for no more than what others do."""
    breaker = {**FOREVER, "status": ["5xx"]}
    async with Cluster(2, unwell, breaker=breaker, balance="round_robin") as cluster:
        (attacker, other) = await people(cluster, 2)
        await fail([attacker], target, 120)
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [0, 0]
        await fail([other], target, 12)
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [0, 0]
        assert (await other.ask(post("/good"))).status == 200


async def test_r76_clients_behind_a_proxy_are_told_apart():
    """R76 [1.15]: the proxy is not the client; by the address that it tells one client is one."""
    async with Cluster(2, unwell, breaker=FOREVER, balance="round_robin") as cluster:
        cluster.server.admission.exempt(["127.0.0.0/8"])
        proxy = await cluster.client()

        def told(client: str) -> bytes:
            return post("/die").replace(b"Host", b"X-Client: " + client.encode() + b"\r\nHost")

        for _ in range(80):
            assert (await proxy.ask(told("192.0.2.1"))).status == 502
        for n in range(16):
            assert (await proxy.ask(told(f"2001:db8::{n:x}"))).status == 502
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [0, 0]
        for n in range(30):
            await proxy.ask(told(f"192.0.2.{n + 2}"))
        assert sorted(cluster.gauge("breaker", n) for n in (0, 1)) == [0, 1]


async def test_a_server_that_fails_for_everybody_is_left_alone():
    """[1.15]: half or more of at least 20 answers, not of one client alone; then the others serve."""
    async with Cluster(2, breaker=FOREVER, balance="round_robin") as cluster:
        cluster.members[0].behaviour = die
        clients = await people(cluster, 4)
        failed = 0
        for turn in range(400):
            failed += (await clients[turn // 2 % 4].ask(post())).status == 502
            if cluster.gauge("breaker", 0):
                break
        assert failed == 20
        for _ in range(6):
            assert (await clients[0].ask(post())).status == 200
        assert len(cluster.members[0].seen) == 20


async def test_less_than_half_is_not_enough():
    """[1.15]: a server that answers more often than not stays, whatever the number of failures."""
    async with Cluster(2, unwell, breaker=FOREVER, balance="round_robin") as cluster:
        clients = await people(cluster, 3)
        for turn in range(60):
            for target, status in (("/good", 200), ("/good", 200), ("/die", 502), ("/die", 502)):
                assert (await clients[turn % 3].ask(post(target))).status == status
            for _ in range(2):
                assert (await clients[turn % 3].ask(post("/good"))).status == 200
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [0, 0]


async def test_r76_who_was_left_alone_is_better_than_nobody():
    """R76 [1.15]: where the others go down, a server left alone for its answers comes back at once."""
    async with Cluster(2, unwell, breaker=FOREVER, balance="round_robin") as cluster:
        clients = await people(cluster, 4)
        cluster.members[1].behaviour = echo
        for turn in range(200):
            await clients[turn // 2 % 4].ask(post("/die"))
            if cluster.gauge("breaker", 0):
                break
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [1, 0]
        await cluster.members[1].down()
        await insist(clients[0], post("/good"))
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [0, 1]
        await fail(clients, "/die", 60)
        assert cluster.gauge("breaker", 0) == 0


async def test_who_is_left_alone_for_its_answers_is_tried():
    """[1.15]: a connection is not enough then: the answer closes the breaker, and no answer keeps it open."""
    async with Cluster(2, breaker=QUICK, balance="round_robin") as cluster:
        cluster.members[0].behaviour = die
        clients = await people(cluster, 4)
        for turn in range(200):
            await clients[turn // 2 % 4].ask(post())
            if cluster.gauge("breaker", 0):
                break
        before = len(cluster.members[0].seen)
        await cluster.eventually(lambda: cluster.server.pools["app"].rotation.due)
        for client in clients:
            # what must not be sent twice does not try while another server is up
            assert (await client.ask(post())).status == 200
        assert len(cluster.members[0].seen) == before
        assert (await clients[0].ask(get())).status == 200
        assert len(cluster.members[0].seen) == before + 1
        assert cluster.gauge("breaker", 0) == 1
        cluster.members[0].behaviour = echo
        while cluster.gauge("breaker", 0):
            assert (await clients[0].ask(get())).status == 200
            await asyncio.sleep(0.005)


async def test_the_only_server_cannot_be_reached():
    """[1.15]: left alone after failures to connect; one try each ``delay``, the others are 503 at once."""
    async with Cluster(1, breaker={"failures": 3, "delay": 600}) as cluster:
        client = await cluster.client()
        await cluster.members[0].down()
        statuses = [(await client.ask(post())).status for _ in range(6)]
        assert statuses == [502] * 3 + [503] * 3
        fault = cluster.handler.faults[-1]
        assert (fault.reason, fault.retry_after > 500) == ("upstream_unavailable", True)
        await cluster.members[0].start()
        assert (await client.ask(post())).status == 503
        origin = cluster.server.pools["app"]._origins[0]
        origin.breaker.retry_at = cluster.server.now
        await cluster.eventually(lambda: cluster.server.pools["app"].rotation.due)
        assert (await client.ask(post())).status == 200
        assert cluster.gauge("breaker") == 0


async def test_one_try_at_a_time():
    """[1.15]: while one request tries, the others are told at once; a try that connects is enough."""
    async with Cluster(1, hang, breaker=FOREVER) as cluster:
        await cluster.members[0].down()
        clients = await people(cluster, 3)
        for _ in range(2):
            assert (await clients[0].ask(post())).status == 502
        origin = cluster.server.pools["app"]._origins[0]
        for expected in ([502, 503, 503], None):
            if expected is None:
                await cluster.members[0].start()
            origin.breaker.retry_at = cluster.server.now
            await cluster.eventually(lambda: cluster.server.pools["app"].rotation.due)
            for client in clients:
                await client.send(post())
            if expected:
                assert sorted([(await client.answer()).status for client in clients]) == expected
        # the one whose turn it was is still being served; the breaker was closed by its connection
        await cluster.eventually(lambda: cluster.members[0].seen)
        assert cluster.gauge("breaker") == 0


async def test_failures_to_connect_count_only_in_a_row():
    """[1.15]: a connection in between begins anew, answered or not."""
    async with Cluster(1, die, breaker={"failures": 2, "delay": 600}) as cluster:
        client = await cluster.client()
        for _ in range(4):
            await cluster.members[0].down()
            assert (await client.ask(post())).status == 502
            await cluster.members[0].start()
            assert (await client.ask(post())).status == 502
        assert cluster.gauge("breaker") == 0
        assert [fault.reason for fault in cluster.handler.faults] == [
            "upstream_unreachable",
            "upstream_aborted",
        ] * 4


async def test_health_checks_may_take_the_last():
    """[1.15]: a server that says itself that it is not well gets nothing, and is 503 for everybody."""
    health = {"path": "/health", "interval": 0.02, "unhealthy_after": 2, "healthy_after": 1}
    async with Cluster(1, always(BAD), health=health) as cluster:
        await cluster.eventually(lambda: not cluster.gauge("healthy"))
        client = await cluster.client()
        answer = await client.ask(get())
        assert (answer.status, answer.body) == (503, b"upstream_unavailable")
