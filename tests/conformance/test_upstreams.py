"""Several servers: chosen, left alone, tried again; and nothing is sent twice that must not be."""

import asyncio
import socket

import pytest

from tests.support.cluster import OK, Cluster, die, get, hang, insist, post
from tests.support.http import GET, Handler, Plane, Upstream, UpstreamSide, always, echo, figures

QUICK = {"failures": 2, "delay": 0.05}
FOREVER = {"failures": 2, "delay": 600}


async def test_round_robin():
    """Each server in its turn, in the proportion of the weights, however few the connections."""
    for weights, expected in ((None, [4, 4]), ((3, 1), [6, 2])):
        async with Cluster(2, balance="round_robin", weights=weights) as cluster:
            client = await cluster.client()
            for _ in range(8):
                assert (await client.ask(get())).status == 200
            assert cluster.seen() == expected
            assert [each.connections for each in cluster.members] == [1, 1]


async def test_least_connections_by_weight():
    """Open requests stand in the proportion of the weights."""
    async with Cluster(2, hang, weights=(3, 1)) as cluster:
        for count in range(1, 9):
            await (await cluster.client()).send(get())
            await cluster.eventually(lambda count=count: sum(cluster.seen()) == count)
        assert cluster.seen() == [6, 2]
        assert cluster.gauge("busy", 0) == 6


async def test_max_connections_is_for_each_server():
    """With one connection to each, two requests run and the third waits, and is served."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await go.wait()
            await side.send(OK)

    async with Cluster(2, behave, max_connections=1) as cluster:
        clients = [await cluster.client() for _ in range(3)]
        for client in clients[:2]:
            await client.send(get())
        await cluster.eventually(lambda: cluster.seen() == [1, 1])
        await clients[2].send(get())
        await cluster.eventually(lambda: figures(cluster.server)["upstream_app_waiting"])
        go.set()
        for client in clients:
            assert (await client.answer()).status == 200
        assert figures(cluster.server)["upstream_app_open"] == 2


async def test_max_idle():
    """Beyond ``max_idle`` unused connections are closed."""
    async with Cluster(1, max_idle=2) as cluster:
        clients = [await cluster.client() for _ in range(5)]
        release = asyncio.Event()

        async def behave(side: UpstreamSide) -> None:
            await side.request()
            await release.wait()
            await side.send(OK)
            await side.ended()

        cluster.members[0].behaviour = behave
        for client in clients:
            await client.send(get())
        await cluster.eventually(lambda: cluster.seen() == [5])
        release.set()
        for client in clients:
            assert (await client.answer()).status == 200
        await cluster.eventually(lambda: cluster.members[0].open == 2)
        assert figures(cluster.server)["upstream_app_idle"] == 2


async def test_max_age():
    """A connection that is too old serves no further request, whether it was idle or busy."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await release.wait()
            await side.send(OK)

    release = asyncio.Event()
    async with Cluster(1, behave, max_age=0.1) as cluster:
        client = await cluster.client()
        await client.send(get())
        await cluster.until(0.2)
        release.set()
        assert (await client.answer()).status == 200
        await cluster.eventually(lambda: cluster.members[0].open == 0)
        assert (await client.ask(get())).status == 200
        await cluster.eventually(lambda: cluster.members[0].open == 0)
        assert cluster.members[0].connections == 2


async def test_servers_that_cannot_be_reached_are_passed_over():
    """Nothing was sent, so even a POST goes on; it arrives once."""
    async with Cluster(3) as cluster:
        await cluster.members[0].down()
        await cluster.members[1].down()
        client = await cluster.client()
        for turn in range(6):
            assert (await client.ask(post(f"/{turn}"))).status == 200
        assert cluster.seen() == [0, 0, 6]


async def test_all_servers_down():
    """502 with a time to come back; 503 at once, without trying, when the breakers are open."""
    async with Cluster(2, breaker=FOREVER) as cluster:
        for each in cluster.members:
            await each.down()
        client = await cluster.client()
        told = [(await client.ask(post())).body for _ in range(5)]
        assert told == [b"upstream_unreachable"] * 2 + [b"upstream_unavailable"] * 3
        assert all(fault.retry_after >= 1 for fault in cluster.handler.faults)
        assert cluster.handler.faults[-1].detail == "no server is up"
        assert [cluster.gauge("breaker", n) for n in (0, 1)] == [1, 1]
        assert figures(cluster.server)["upstream_app_open"] == 0


async def test_refused_by_tcp_and_there_again():
    """A port where nobody listens is 502, then 503; when somebody does, the next try finds them."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with Plane(servers=(f"http://127.0.0.1:{port}",), breaker=QUICK) as plane:
            client = await plane.client()
            assert [(await client.ask(GET)).status for _ in range(3)] == [502, 502, 503]
            late = Upstream()
            late._server = await asyncio.start_server(late._serve, sock=reserved)
            try:
                await insist(client, GET)
                assert figures(plane.server)["upstream_app_server_0_breaker"] == 0
            finally:
                await late.close()


async def test_the_breaker_can_be_switched_off():
    """0 failures: a server is never left alone."""
    async with Cluster(1, die, breaker={"failures": 0}) as cluster:
        client = await cluster.client()
        for _ in range(12):
            assert (await client.ask(post())).status == 502
        assert cluster.seen() == [12]


async def test_r63_a_dying_server_s_neighbour():
    """R63: an idempotent request without an answer goes to another server, once; any other is 502."""
    async with Cluster(2, breaker={"failures": 0}, balance="round_robin") as cluster:
        cluster.members[0].behaviour = die
        client = await cluster.client()
        for turn in range(4):
            assert (await client.ask(get(f"/{turn}"))).status == 200
        assert len(cluster.members[1].seen) == 4
        statuses = [(await client.ask(post(f"/p{turn}"))).status for turn in range(4)]
        assert sorted(statuses) == [200, 200, 502, 502]
        for turn in range(4):
            assert sum(len(each.asked(f"/p{turn}")) for each in cluster.members) == 1
        cluster.members[1].behaviour = die
        for each in cluster.members:
            await each.down()
            await each.start()
        assert (await client.ask(get("/none"))).status == 502
        assert sum(len(each.asked("/none")) for each in cluster.members) == 2


@pytest.mark.parametrize("partial", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"])
async def test_r63_nothing_is_repeated_once_an_answer_began(partial: bytes):
    """R63: a byte is enough; the other server never hears of it."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(partial)

    async with Cluster(2, behave) as cluster:
        client = await cluster.client()
        await client.send(get("/x"))
        if b"\r\n\r\n" in partial:
            with pytest.raises(ConnectionError):
                await client.rest()
        else:
            assert (await client.answer()).status == 502
        assert sum(cluster.seen()) == 1


async def test_a_kept_connection_whose_server_has_gone():
    """R63: an idempotent request goes on elsewhere; a server that ended idle connections is no failure."""
    async with Cluster(2, balance="round_robin") as cluster:
        client = await cluster.client()
        for _ in range(2):
            assert (await client.ask(get())).status == 200
        await cluster.members[0].down()
        for turn in range(4):
            assert (await client.ask(get(f"/{turn}"))).status == 200
        assert len(cluster.members[1].seen) == 5


def checked(status: dict[str, int]):
    """Answer health checks as told now, everything else with 200."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            sent = await side.request()
            code = status["health"] if sent.target == "/health?x" else 200
            await side.send(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % code)

    return behave


HEALTH = {"path": "/health?x", "interval": 0.05, "timeout": 0.5, "unhealthy_after": 2, "healthy_after": 2}


async def test_health_checks():
    """A server that says it is not well gets nothing, loses its idle connections, and comes back."""
    status = {"health": 204}
    async with Cluster(2, checked(status), health=HEALTH, balance="round_robin") as cluster:
        ill = {"health": 204}
        cluster.members[0].behaviour = checked(ill)
        client = await cluster.client()
        for _ in range(4):
            assert (await client.ask(get("/before"))).status == 200
        assert [len(each.asked("/before")) for each in cluster.members] == [2, 2]
        ill["health"] = 500
        await cluster.eventually(lambda: cluster.gauge("healthy", 0) == 0)
        for _ in range(4):
            assert (await client.ask(get("/while"))).status == 200
        assert [len(each.asked("/while")) for each in cluster.members] == [0, 4]
        assert figures(cluster.server)["upstream_app_idle"] == 1
        ill["health"] = 200
        await cluster.eventually(lambda: cluster.gauge("healthy", 0) == 1)
        for _ in range(4):
            assert (await client.ask(get("/after"))).status == 200
        assert [len(each.asked("/after")) for each in cluster.members] == [2, 2]
        check = cluster.members[0].asked("/health?x")[0]
        assert (check.method, check.get("host"), check.get("connection")) == ("GET", "localhost", "close")


@pytest.mark.parametrize(
    "behaviour",
    [
        hang,
        die,
        always(b"garbage\r\n\r\n"),
        always(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
        always(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000),
        always(b"HTTP/1.1 103 Early\r\n\r\n"),
    ],
    ids=["hangs", "dies", "garbage", "redirect", "endless", "interim"],
)
async def test_nobody_is_well(behaviour):
    """Whatever is no good answer in time is none; with nobody left, 503 with a time to come back."""
    health = HEALTH | {"timeout": 0.05}
    async with Cluster(2, behaviour, health=health) as cluster:
        await cluster.eventually(lambda: not (cluster.gauge("healthy", 0) or cluster.gauge("healthy", 1)))
        client = await cluster.client()
        answer = await client.ask(post())
        assert (answer.status, answer.body) == (503, b"upstream_unavailable")
        assert cluster.handler.faults[0].retry_after == 1
        for each in cluster.members:
            each.behaviour = echo
        await cluster.eventually(lambda: cluster.gauge("healthy", 0) and cluster.gauge("healthy", 1))
        assert (await client.ask(post())).status == 200


async def test_health_checks_end_with_the_plane():
    """Closing waits for no check, and leaves none behind."""
    async with Cluster(1, hang, health=HEALTH | {"timeout": 60}) as cluster:
        await cluster.eventually(lambda: cluster.members[0].seen)
        await cluster.server.close()
        await cluster.eventually(lambda: cluster.members[0].open == 0)


async def test_the_route_s_time_outs():
    """They replace the upstream's, in both directions."""

    async def late(side: UpstreamSide) -> None:
        await side.request()
        await cluster.until(0.4)
        await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
        await cluster.until(0.4)
        await side.send(b"ok")

    strict = Handler(timeouts=(0.1, None))
    async with Cluster(1, hang, handler=strict, connect_timeout=0.2) as cluster:
        client = await cluster.client()
        assert (await client.ask(get())).status == 504
    strict = Handler(timeouts=(None, 0.1))
    async with Cluster(1, late, handler=strict, connect_timeout=0.2) as cluster:
        client = await cluster.client()
        await client.send(get())
        with pytest.raises(ConnectionError):
            await client.rest()
    patient = Handler(timeouts=(30, 30))
    async with Cluster(1, late, handler=patient, response_timeout=0.1, idle_timeout=0.1) as cluster:
        client = await cluster.client()
        assert (await client.ask(get())).body == b"okok"


async def test_the_host():
    """The public Host is kept, or the server's own takes its place, also where a request is repeated."""
    async with Cluster(1) as cluster:
        await (await cluster.client()).ask(get())
        assert cluster.members[0].seen[0].get("host") == "h"
    first, second = await Upstream(die).start(), await Upstream().start()
    servers = tuple(f"http://127.0.0.1:{each.port}" for each in (first, second))
    head = b"GET / HTTP/1.1\r\nX-Host: host: x\r\nhOST: h\r\nX: \\1\r\n\r\n"
    try:
        async with Plane(servers=servers, host="rewrite") as plane:
            client = await plane.client()
            for _ in range(4):
                assert (await client.ask(head)).status == 200
            assert first.seen
            for each in (first, second):
                for sent in each.seen:
                    assert sent.get("host") == f"127.0.0.1:{each.port}"
                    assert (sent.get("x-host"), sent.get("x")) == ("host: x", "\\1")
    finally:
        await first.close()
        await second.close()


async def test_a_socket_that_goes_and_comes_back():
    """A Unix socket is a server like any other."""
    async with Cluster(1, breaker={"failures": 0}) as cluster:
        client = await cluster.client()
        assert (await client.ask(post())).body == b"POST / 5"
        await cluster.members[0].down()
        assert (await client.ask(get())).status == 502
        await cluster.members[0].start()
        assert (await client.ask(post())).body == b"POST / 5"


async def test_a_name_with_a_dead_address(monkeypatch):
    """Every address of a name is tried; the name is resolved for each connection anew."""
    asked = []

    async def resolve(origin) -> list[str]:
        asked.append(origin.host)
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr("gateway.http.upstream.origin._addresses", resolve)
    async with Plane(servers=("http://upstream.invalid:1",)) as plane:
        plane.server.pools["app"]._origins[0].port = plane.upstream.port
        client = await plane.client()
        for _ in range(2):
            assert (await client.ask(GET)).status == 200
            plane.server.pools["app"].close_idle()
        assert asked == ["upstream.invalid"] * 2


async def test_names_and_ipv6():
    """A name is resolved by the system; an IPv6 address is a server."""
    async with Plane() as plane:
        port = plane.upstream.port
        async with Plane(servers=(f"http://localhost:{port}",)) as named:
            assert (await (await named.client()).ask(GET)).status == 200
        async with Plane(servers=("http://gateway-test.invalid:80",)) as nowhere:
            assert (await (await nowhere.client()).ask(GET)).status == 502
    upstream = Upstream()
    try:
        upstream._server = await asyncio.start_server(upstream._serve, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    port = upstream._server.sockets[0].getsockname()[1]
    try:
        async with Plane(servers=(f"http://[::1]:{port}",), host="rewrite") as plane:
            assert (await (await plane.client()).ask(GET)).status == 200
            assert upstream.seen[0].get("host") == f"[::1]:{port}"
    finally:
        await upstream.close()


async def test_a_retired_pool_ends():
    """On a reload with other settings, what is open ends as it began, and checks end."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        while True:
            sent = await side.request()
            if sent.target == "/slow":
                await go.wait()
            await side.send(OK)

    async with Cluster(1, behave, health=HEALTH | {"path": "/"}) as cluster:
        old = cluster.server.pools["app"]
        client = await cluster.client()
        await client.send(get("/slow"))
        await cluster.eventually(lambda: cluster.members[0].asked("/slow"))
        changed = {"app": old.settings.model_copy(update={"max_idle": 7, "health": None})}
        cluster.server.configure(cluster.server.build_pools(changed), cluster.limits)
        assert cluster.server.pools["app"] is not old
        go.set()
        assert (await client.answer()).status == 200
        await cluster.eventually(lambda: old.is_done)
        assert (await client.ask(get())).status == 200


async def test_an_old_connection_is_not_handed_on():
    """Who waits for a connection gets a new one in place of one that is too old, or that has ended."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await release.wait()
            await side.send(answer)

    for answer in (OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")):
        release = asyncio.Event()
        async with Cluster(1, behave, max_age=0.1, max_connections=1) as cluster:
            first, second = await cluster.client(), await cluster.client()
            await first.send(get())
            await cluster.eventually(lambda cluster=cluster: cluster.seen() == [1])
            await second.send(get())
            await cluster.eventually(lambda cluster=cluster: figures(cluster.server)["upstream_app_waiting"])
            if answer == OK:
                await cluster.until(0.2)
            release.set()
            assert (await first.answer()).status == (await second.answer()).status == 200
            assert cluster.members[0].connections == 2


async def test_the_end_of_kept_connections_is_no_failure():
    """Three in a row, each just as it is used: the requests fail, and the server is not left alone."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await release.wait()
        await side.send(OK)
        await side.request()

    release = asyncio.Event()
    async with Cluster(1, behave, breaker=FOREVER) as cluster:
        clients = [await cluster.client() for _ in range(3)]
        for client in clients:
            await client.send(get())
        await cluster.eventually(lambda: cluster.seen() == [3])
        release.set()
        for client in clients:
            assert (await client.answer()).status == 200
        for client in clients:
            assert (await client.ask(post())).status == 502
        assert cluster.gauge("breaker") == 0
        assert (await clients[0].ask(post())).status == 200
