"""Upstreams that authenticate connections (NTLM, Negotiate): nobody gets another's connection (R77)."""

import asyncio
from base64 import b64encode

import pytest

from tests.support.cluster import Cluster
from tests.support.http import Handler, Plane, UpstreamSide

GET = b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n"

CHALLENGES = {
    "ntlm": b"WWW-Authenticate: NTLM\r\n",
    "negotiate": b"WWW-Authenticate: Negotiate\r\n",
    "kerberos": b"WWW-Authenticate: Kerberos\r\n",
    "nego2": b"WWW-Authenticate: Nego2\r\n",
    "credssp": b"WWW-Authenticate: CredSSP\r\n",
    "lower case": b"www-authenticate: nTLM\r\n",
    "a list": b'WWW-Authenticate: Basic realm="a, b", negotiate\r\n',
    "tight list": b'WWW-Authenticate: Digest realm="x",NTLM\r\n',
    "several fields": b'WWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: Negotiate YII=\r\n',
    "for proxies": b"Proxy-Authenticate: NTLM\r\n",
    "persistent": b"Persistent-Auth: true\r\n",
    "hidden": b"WWW-Authenticate: NTLM\r\nConnection: www-authenticate\r\n",
}


def ask(authorization: str = "", method: str = "GET", more: str = "") -> bytes:
    """Return a request with such a credential."""
    line = f"Authorization: {authorization}\r\n" if authorization else ""
    return f"{method} /page HTTP/1.1\r\nHost: h\r\n{line}{more}\r\n".encode()


def page(status: int, content: bytes, fields: bytes = b"") -> bytes:
    """Return an answer."""
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(content), content)


def windows(challenge: bytes = b"WWW-Authenticate: NTLM\r\n", answer: bytes = b""):
    """Behave as IIS does: who has once said who she is on a connection need not say it again."""

    async def behave(side: UpstreamSide) -> None:
        user = b""
        while True:
            sent = await side.request()
            if told := sent.get("authorization"):
                user = told.split()[-1].encode()
            if sent.method == "HEAD":
                await side.send(
                    b"HTTP/1.1 200 X\r\n%bX-User: %b\r\nContent-Length: 9\r\n\r\n" % (answer, user)
                )
            elif user:
                await side.send(page(200, user, answer))
            else:
                await side.send(page(401, b"", challenge))

    return behave


@pytest.mark.parametrize(
    "told",
    [
        "NTLM alice",
        "Negotiate alice",
        "nEGOTIATE alice",
        "Kerberos alice",
        "CredSSP alice",
        "ntlm\talice",
        ", NTLM alice",
        "Basic x, NTLM alice",
    ],
)
async def test_r77_what_was_proven_is_the_client_s_own(told):
    """R77 [3.1]: the connection that a client authenticated goes on serving it, and nobody else ever."""
    async with Plane(windows()) as plane:
        alice, bob = await plane.client(), await plane.client()
        assert (await alice.ask(GET)).status == 401
        assert (await alice.ask(ask(told))).body == b"alice"
        for _ in range(3):
            assert (await bob.ask(GET)).status == 401
            assert (await alice.ask(GET)).body == b"alice"
        assert (await bob.ask(ask("NTLM bob"))).body == b"bob"
        assert (await alice.ask(GET)).body == b"alice"
        assert plane.upstream.connections == 2
        await alice.close()
        await plane.eventually(lambda: plane.upstream.open == 1)
        carol = await plane.client()
        assert (await carol.ask(GET)).status == 401
        assert (await bob.ask(GET)).body == b"bob"


@pytest.mark.parametrize("challenge", CHALLENGES.values(), ids=CHALLENGES.keys())
async def test_r77_what_was_offered_binds(challenge):
    """R77 [3.1]: a challenge is enough, however it is written, and in whichever kind of answer."""
    lone = b"HTTP/1.1 200 X\r\n" + challenge
    answers = {
        "whole": page(401, b"x", challenge),
        "empty": page(401, b"", challenge),
        "chunked": lone + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "204": b"HTTP/1.1 204 X\r\n" + challenge + b"\r\n",
        "interim": b"HTTP/1.1 103 X\r\n" + challenge + b"\r\n" + page(200, b"x"),
    }
    for name, answer in answers.items():

        async def behave(side: UpstreamSide, answer: bytes = answer) -> None:
            while True:
                await side.request()
                await side.send(answer)

        async with Plane(behave) as plane:
            first, second = await plane.client(), await plane.client()
            for _ in range(3):
                for client in (first, second):
                    while (await client.ask(GET) if name != "interim" else await final(client)).status < 200:
                        pass
            assert plane.upstream.connections == 2, name
            pool = plane.server.pools["app"]
            assert not pool._origins[0].idle, name
            assert pool._origins[0].busy == 0, name


async def final(client):
    """Ask, and skip the interim answer."""
    assert (await client.ask(GET)).status == 103
    return await client.answer()


async def test_other_schemes_bind_nothing():
    """[3.1]: Basic, Digest, Bearer and what only mentions such a name share connections as ever."""
    plain = b'WWW-Authenticate: Basic realm="NTLM"\r\nWWW-Authenticate: Bearer\r\nPersistent-Auth: false\r\n'
    async with Plane(windows(plain, plain)) as plane:
        for told in ("Basic bmVnbw==", "Bearer eyJhbGciOi", "Digest username=x", ""):
            for client in (await plane.client(), await plane.client()):
                await client.ask(ask(told))
        assert plane.upstream.connections == 1


@pytest.mark.parametrize("told", ["NTLM", "negotiate", "Basic x, NTLM", "Basic x,NTLM", ", \tntlm"])
async def test_r77_no_memory_of_heads_hides_it(told):
    """R77 [3.1]: a head that looks like many before it in all but the scheme binds all the same."""
    async with Plane(windows()) as plane:
        alice, bob = await plane.client(), await plane.client()
        for turn in range(6):
            basic = b64encode(b"%d" % turn).decode()
            assert (await alice.ask(ask(f"Basic {basic}", more=f"X-N: {turn}\r\n"))).status == 200
        for turn in range(4):
            assert (await alice.ask(ask(f"{told} alice", more=f"X-N: {turn}\r\n"))).body == b"alice"
        assert (await bob.ask(GET)).status == 401
        for _ in range(3):
            assert (await alice.ask(ask(f"{told} alice"))).body == b"alice"
            assert (await bob.ask(GET)).status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_r77_any_method(method):
    """R77 [3.1]: with or without a body, and an answer without one."""
    more = "Content-Length: 3\r\n" if method == "POST" else ""
    body = b"abc" if method == "POST" else b""
    async with Plane(windows()) as plane:
        alice, bob = await plane.client(), await plane.client()
        answer = await alice.ask(ask("Negotiate alice", method, more) + body, head_only=method == "HEAD")
        assert answer.status == 200
        assert (await bob.ask(GET)).status == 401
        assert (await alice.ask(GET)).body == b"alice"


async def test_r77_a_refused_upgrade():
    """R77 [3.1]: a WebSocket's handshake authenticates its connection, which becomes the tunnel."""

    async def behave(side: UpstreamSide) -> None:
        user = None
        while True:
            sent = await side.request()
            if user is not None and sent.get("upgrade"):
                await side.send(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + user)
                await side.ended()
                return
            user = (sent.get("authorization") or "").encode() or user
            await side.send(page(401, b"", b"WWW-Authenticate: Negotiate abc\r\n"))

    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    async with Plane(behave) as plane:
        alice, bob = await plane.client(), await plane.client()
        assert (await alice.ask(ask("Negotiate one", more=upgrade))).status == 401
        assert (await bob.ask(GET)).status == 401
        assert (await alice.ask(ask(more=upgrade))).status == 101
        assert await alice.exactly(13) == b"Negotiate one"
        assert plane.upstream.connections == 2
        await alice.close()
        await plane.eventually(lambda: plane.upstream.open == 1)


async def test_r77_a_trusted_proxy_keeps_nothing():
    """R77 [3.1]: behind one connection of a proxy are many people: the upstream's ends with each answer."""
    async with Plane(windows()) as plane:
        plane.server.admission.exempt(["127.0.0.0/8"])
        proxy = await plane.client()
        for _ in range(3):
            assert (await proxy.ask(ask("NTLM alice"))).body == b"alice"
            assert (await proxy.ask(GET)).status == 401
        assert plane.upstream.connections == 6
        await plane.eventually(lambda: plane.upstream.open == 0)


async def test_r77_who_is_called_a_proxy_later():
    """R77 [3.1]: from the reload on that trusts it, nothing that was kept for it serves anybody."""
    async with Plane(windows()) as plane:
        proxy = await plane.client()
        assert (await proxy.ask(ask("NTLM alice"))).body == b"alice"
        plane.server.admission.exempt(["127.0.0.0/8"])
        assert (await proxy.ask(GET)).status == 401
        await plane.eventually(lambda: plane.upstream.open == 0)


async def test_r77_what_is_kept_makes_room():
    """R77 [3.1]: kept connections count, and one ends where somebody else waits for a connection."""
    async with Cluster(1, windows(), max_connections=2) as cluster:
        clients = [await cluster.client() for _ in range(5)]
        for turn, client in enumerate(clients):
            assert (await client.ask(ask(f"NTLM u{turn}"))).body == f"u{turn}".encode()
        assert cluster.members[0].connections == 5
        assert (await clients[4].ask(ask())).body == b"u4"
        assert (await clients[0].ask(ask())).status == 401
        for client in clients:
            await client.close()
        await cluster.eventually(lambda: cluster.members[0].open == 0)
        origin = cluster.server.pools["app"]._origins[0]
        await cluster.eventually(lambda: (origin.busy, origin.open) == (0, 0))


async def test_r77_a_kept_connection_that_ends():
    """R77 [3.1]: the next request goes on a new one, on which nobody has proven anything."""
    async with Plane(windows()) as plane:
        alice = await plane.client()
        assert (await alice.ask(ask("NTLM alice"))).body == b"alice"
        for _ in range(2):
            for each in tuple(plane.server.pools["app"]._connections):
                each.finish()
            assert (await alice.ask(GET)).status == 401
        plane.server.pools["app"].close_idle()
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert (await alice.ask(GET)).status == 401


async def test_r77_many_at_once():
    """R77 [3.1]: twenty people in random order, each seen as nobody else."""
    async with Plane(windows(), max_connections=12) as plane:

        async def person(name: str) -> None:
            client = await plane.client(local_addr=(f"127.0.0.{name[1:]}", 0))
            for _ in range(6):
                answer = await client.ask(ask(f"NTLM {name}"))
                assert answer.body == name.encode()
                await asyncio.sleep(0)
                answer = await client.ask(GET)
                assert answer.body in (b"", name.encode())

        await asyncio.gather(*(person(f"p{n}") for n in range(2, 22)))


async def test_r77_the_credential_did_not_go_on():
    """[3.1]: where the handler passes no Authorization, nothing is bound by what the client sent."""

    def strip(exchange) -> bool:
        exchange.request._headers = tuple(
            header for header in exchange.request.headers if header[0].lower() != b"authorization"
        )
        return False

    async def behave(side: UpstreamSide) -> None:
        while True:
            assert (await side.request()).get("authorization") is None
            await side.send(page(200, b"x"))

    async with Plane(behave, handler=Handler(strip)) as plane:
        for client in [await plane.client() for _ in range(3)]:
            assert (await client.ask(ask("NTLM alice"))).status == 200
        assert plane.upstream.connections == 1
