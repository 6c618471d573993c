"""Nobody holds what others need: an upstream's connections, its queue, the listener's places (R78)."""

import asyncio
import contextlib
import os
import socket
from collections import Counter

import pytest

from gateway.http.ports import Limits
from gateway.http.upstream.shares import share_of
from tests.support.cluster import OK, Cluster, get
from tests.support.http import GET, Client, Handler, Plane, UpstreamSide, figures

ATTACKER = "127.0.0.66"
BIG = bytes(8 << 20)


def narrow(plane: Plane, address: str = ATTACKER) -> socket.socket:
    """Return a connected socket into which the kernel takes little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((address, 0))
    sock.connect(("127.0.0.1", plane.server.port))
    return sock


async def library(side: UpstreamSide) -> None:
    """Send much for /big, never answer /never, and little for all else."""
    while True:
        sent = await side.request()
        if sent.target == "/never":
            await side.ended()
            return
        if sent.target == "/big":
            await side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
            with contextlib.suppress(ConnectionError):
                await side.send(BIG)
        else:
            await side.send(OK)


async def crowd(plane: Plane, many: int, request: bytes, address: str = ATTACKER) -> list[Client]:
    """Let so many clients of one address ask and take nothing of the answer."""
    found = [await plane.client(sock=narrow(plane, address)) for _ in range(many)]
    for client in found:
        client.writer.transport.pause_reading()
        client.writer.write(request)
    return found


def busy(plane: Plane) -> int:
    """Return how many connections serve somebody."""
    return sum(origin.busy for origin in plane.server.pools["app"]._origins)


@pytest.mark.parametrize("request_", [get("/big"), get("/never")], ids=["slow reader", "slow path"])
@pytest.mark.parametrize("servers", [1, 3])
async def test_r78_one_address_leaves_half_to_others(servers, request_):
    """R78 [3.14]: many connections of one address that read nothing: everybody else is served meanwhile."""
    async with Cluster(servers, library, max_connections=16, connect_timeout=20) as cluster:
        await crowd(cluster, 16 * servers, request_)
        await cluster.eventually(lambda: busy(cluster) == 8 * servers)
        others = [await cluster.client(local_addr=(f"127.0.0.{n + 2}", 0)) for n in range(8)]
        for _ in range(3):
            for client in others:
                await client.send(get())
            for client in others:
                assert (await client.answer()).status == 200
        assert busy(cluster) == 8 * servers


async def test_r78_a_quarter_once_half_is_used():
    """R78 [3.14]: whoever comes then has a quarter; who has more already gets nothing more."""
    async with Plane(library, max_connections=16, connect_timeout=20) as plane:
        for address, held in (("127.0.0.2", 5), ("127.0.0.3", 9), ("127.0.0.4", 13), ("127.0.0.5", 16)):
            many = 5 if held == 5 else 6
            for client in [await plane.client(local_addr=(address, 0)) for _ in range(many)]:
                await client.send(get("/never"))
            await plane.eventually(lambda held=held: busy(plane) == held)
        await plane.eventually(lambda: len(plane.upstream.seen) == 16)
        counts = Counter(each.exchange.address for each in plane.server.pools["app"]._connections)
        assert counts == {"127.0.0.2": 5, "127.0.0.3": 4, "127.0.0.4": 4, "127.0.0.5": 3}


async def test_r78_people_behind_a_proxy():
    """R78 [3.14]: the address is the one that a trusted proxy tells; where it tells none, it has no share."""

    def told(client: str) -> bytes:
        return get("/never").replace(b"Host", b"X-Client: " + client.encode() + b"\r\nHost")

    async with Plane(library, max_connections=16, connect_timeout=20) as plane:
        plane.server.admission.exempt(["127.0.0.0/8"])
        for _ in range(14):
            await (await plane.client()).send(told("192.0.2.1"))
        await plane.eventually(lambda: busy(plane) == 8 and len(plane.server.pools["app"]._waiting) == 6)
        for _ in range(8):
            await (await plane.client()).send(told("2001:db8::1"))
        await plane.eventually(lambda: busy(plane) == 12)
        for _ in range(4):
            await (await plane.client()).send(get("/never"))
        await plane.eventually(lambda: busy(plane) == 16)


async def test_who_waits_for_its_share_gets_it():
    """[3.14]: as soon as the address has less, or others have, in their order."""
    async with Plane(library, max_connections=8, connect_timeout=20) as plane:
        greedy = [await plane.client(local_addr=(ATTACKER, 0)) for _ in range(4)]
        for client in greedy:
            await client.send(get("/never"))
        await plane.eventually(lambda: busy(plane) == 4)
        late = [await plane.client(local_addr=(ATTACKER, 0)) for _ in range(2)]
        for client in late:
            await client.send(get("/late"))
        await plane.eventually(lambda: len(plane.server.pools["app"]._waiting) == 2)
        assert (await (await plane.client()).ask(get())).status == 200
        assert len(plane.server.pools["app"]._waiting) == 2
        for client in greedy[:3]:
            await client.close()
        for client in late:
            assert (await client.answer()).status == 200
        await plane.eventually(lambda: not plane.server.pools["app"].shares.is_counting)


async def test_r78_who_has_gone_holds_nothing():
    """R78 [3.14]: an office whose clients left while their connections were opened has its share still."""
    gate = asyncio.Event()
    async with Plane(library, max_connections=8, connect_timeout=20) as plane:
        pool = plane.server.pools["app"]
        dial = pool._opening.dial

        async def slowly(*arguments):
            await gate.wait()
            return await dial(*arguments)

        pool._opening.dial = slowly
        for client in await crowd(plane, 4, get("/gone")):
            await plane.eventually(lambda: plane.server.in_flight)
            await client.close()
        await plane.eventually(lambda: not plane.server.in_flight and len(pool._opening) == 4)
        for n in range(2, 6):
            await (await plane.client(local_addr=(f"127.0.0.{n}", 0))).send(get("/never"))
        await plane.eventually(lambda: pool.shares.is_counting and len(pool._opening) == 8)
        gate.set()
        await plane.eventually(lambda: len(plane.upstream.seen) == busy(plane) == 4)
        assert pool.shares.is_counting
        for _ in range(3):
            back = await plane.client(local_addr=(ATTACKER, 0))
            assert (await back.ask(get())).status == 200


async def test_r78_who_waits_once_more_holds_nothing():
    """R78 [3.14]: who lost a kept connection, and its place to another, is not its own rival."""
    released = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        while (sent := await side.request()).target != "/never":
            if sent.target == "/broken" and not released.is_set():
                await released.wait()
                side.reset()
                return
            await side.send(OK)
        await side.ended()

    async with Plane(behave, max_connections=4, connect_timeout=20) as plane:
        pool = plane.server.pools["app"]
        victim = await plane.client(local_addr=(ATTACKER, 0))
        assert (await victim.ask(get())).status == 200
        others = [await plane.client(local_addr=(f"127.0.0.{n}", 0)) for n in range(2, 6)]
        await victim.send(get("/broken"))
        for client in others:
            await client.send(get("/never"))
        await plane.eventually(lambda: busy(plane) == 4 and len(pool._waiting) == 1)
        released.set()
        await plane.eventually(
            lambda: len([each for each in plane.upstream.seen if each.target == "/never"]) == 4
        )
        assert len(pool._waiting) == 1
        await others[0].close()
        assert (await victim.answer()).status == 200


async def test_r78_the_queue_is_not_one_address_s():
    """R78 [3.14]: who fills half of it leaves the rest: others wait, and are served."""
    async with Plane(library, max_connections=8, connect_timeout=20) as plane:
        for n in range(2, 6):
            for _ in range(2):
                await (await plane.client(local_addr=(f"127.0.0.{n}", 0))).send(get("/never"))
        await plane.eventually(lambda: busy(plane) == 8)
        greedy = [await plane.client(local_addr=(ATTACKER, 0)) for _ in range(12)]
        for client in greedy:
            await client.send(get("/never"))
        await plane.eventually(lambda: len(plane.handler.faults) == 8)
        assert {fault.reason for fault in plane.handler.faults} == {"overloaded"}
        other = await plane.client()
        await other.send(get())
        await plane.eventually(lambda: len(plane.server.pools["app"]._waiting) == 5)
        for client in plane.clients[:5]:
            await client.close()
        assert (await other.answer()).status == 200


async def test_r78_uploads_of_one_address():
    """R78 [3.14]: of the half that uploads may hold, one address has half once half of it is used."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with Plane(max_connections=16, connect_timeout=20) as plane:
        for _ in range(10):
            await (await plane.client(local_addr=(ATTACKER, 0))).send(head)
        await plane.eventually(lambda: figures(plane.server)["upstream_app_waiting"] == 6)
        assert figures(plane.server)["upstream_app_uploading"] == 4
        other = await plane.client()
        assert (await other.ask(head, b"0\r\n\r\n")).body == b"POST / 5"


@pytest.mark.parametrize(("capacity", "share"), [(1, 1), (3, 3), (4, 1), (7, 1), (8, 2), (1024, 256)])
def test_shares(capacity, share):
    """[3.14]: a quarter, where there are quarters."""
    assert share_of(capacity) == share


async def test_r78_a_reader_below_the_least_rate_is_cut():
    """R78 [3.14]: whoever takes a little now and then is as good as whoever takes nothing."""
    async with Plane(library, limits=Limits(write_timeout=2.0)) as plane:
        drip = await plane.client(sock=narrow(plane))
        fair = await plane.client(sock=narrow(plane, "127.0.0.7"))
        for client in (drip, fair):
            client.writer.transport.pause_reading()
            client.writer.write(get("/big"))
        connections = {each.peer: each for each in await both(plane)}
        end = plane.server.now + 8
        reading = {ATTACKER: 0, "127.0.0.7": 0}
        socks = {ATTACKER: drip, "127.0.0.7": fair}
        while plane.server.now < end and len(plane.server._connections) == 2:
            for address, rate in ((ATTACKER, 1), ("127.0.0.7", 4096)):
                # below the stream, which has buffers of its own
                sock = socks[address].writer.transport.get_extra_info("socket")
                with contextlib.suppress(BlockingIOError):
                    reading[address] += len(_receive(sock, rate))
            await asyncio.sleep(0.05)
        assert {each.peer for each in plane.server._connections} == {"127.0.0.7"}
        assert connections[ATTACKER].is_over
        assert reading[ATTACKER] > 10


async def both(plane: Plane):
    """Wait until both are held up."""
    await plane.eventually(
        lambda: (
            len(plane.server._connections) == 2
            and all(each.write_paused for each in plane.server._connections)
        )
    )
    return tuple(plane.server._connections)


def _receive(sock, most: int) -> bytes:

    duplicate = socket.socket(fileno=os.dup(sock.fileno()))
    with duplicate:
        return duplicate.recv(most, socket.MSG_DONTWAIT)


async def test_r78_who_has_most_loses_idle_ones_first():
    """R78 [3.14]: beyond four fifths of ``limits.connections`` there is room for whoever comes."""
    async with Plane(library, limits=Limits(connections=20)) as plane:
        greedy = [await plane.client(local_addr=(ATTACKER, 0)) for _ in range(14)]
        for client in greedy[:4]:
            await client.send(get("/never"))
        few = [await plane.client(local_addr=("127.0.0.2", 0)) for _ in range(2)]
        for client in few:
            assert (await client.ask(GET)).status == 200
        await plane.eventually(lambda: len(plane.server._connections) == 16)
        for n in range(10, 20):
            client = await plane.client(local_addr=(f"127.0.0.{n}", 0))
            assert (await client.ask(GET)).status == 200
        for client in few:
            assert (await client.ask(GET)).status == 200
        await plane.eventually(lambda: len(plane.server._connections) <= 16)
        counts = Counter(each.peer for each in plane.server._connections)
        assert counts[ATTACKER] >= 4
        assert counts["127.0.0.2"] == 2
        # whose request is being answered loses nothing
        assert plane.server.in_flight == 4


@pytest.mark.parametrize(
    "said",
    [b"", b"G", GET[:-1], GET + b"G", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"],
    ids=["nothing", "a byte", "nearly a request", "a byte more", "no body"],
)
async def test_r78_a_listener_full_of_silence(said):
    """R78 [3.14]: one address opens as many as it can, and says a little; people come in all the while."""

    def answer(exchange) -> bool:
        exchange.respond(200, [])
        return True

    async with Plane(handler=Handler(answer), limits=Limits(connections=200)) as plane:
        for turn in range(5):
            found = await asyncio.gather(*(plane.client(local_addr=(ATTACKER, 0)) for _ in range(100)))
            for client in found:
                client.writer.write(said)
            await asyncio.sleep(0.01)
            client = await plane.client(local_addr=(f"127.0.0.{turn + 2}", 0))
            assert (await client.ask(GET)).status == 200
        assert len(plane.server._connections) <= 200


async def test_r78_a_proxy_s_requests_are_not_cut():
    """R78 [3.14]: what is on its way from a trusted proxy is no silence of its own."""
    async with Plane(limits=Limits(connections=20)) as plane:
        plane.server.admission.exempt([f"{ATTACKER}/32"])
        proxy = []
        for _ in range(18):
            proxy.append(client := await plane.client(local_addr=(ATTACKER, 0)))
            await client.send(GET[:-2])
            await plane.eventually(lambda: not any(each.idle for each in plane.server._connections))
        for n in range(4):
            await plane.client(local_addr=(f"127.0.0.{n + 2}", 0))
        for client in proxy:
            assert (await client.ask(GET[-2:])).status == 200
