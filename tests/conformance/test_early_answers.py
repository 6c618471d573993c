"""Upstreams that answer an upload without reading it: the answer arrives, however the upload fails (R63)."""

import asyncio
import contextlib
import ssl

import pytest

from gateway.http.sockets import has_ended
from tests.support.certificates import Authority
from tests.support.http import Client, Plane, Upstream, UpstreamSide

SIZE = 10 << 20
PIECE = bytes(65536)
HEADS = {
    "chunked": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % SIZE,
}
SMALL = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
LARGE = b"HTTP/1.1 401 No\r\nContent-Length: 30000\r\nConnection: close\r\n\r\n" + b"n" * 30_000


def refusing(answer: bytes, *, patience: float = 0.0):
    """Answer at the head and close, with the body unread: the kernel resets such a connection."""

    async def behave(side: UpstreamSide) -> None:
        await side.request(body=False)
        side.writer.transport.pause_reading()
        if patience:
            await asyncio.sleep(patience)
        await side.send(answer)
        side.writer.transport.close()

    return behave


async def upload(client: Client, kind: str) -> None:
    """Send the whole body, or as much as is taken."""
    with contextlib.suppress(ConnectionError):
        await client.send(HEADS[kind])
        for _ in range(SIZE // len(PIECE)):
            client.writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if kind == "chunked" else PIECE)
            await client.writer.drain()
        if kind == "chunked":
            await client.send(b"0\r\n\r\n")


async def ask(plane: Plane, kind: str):
    """Upload and read the answer at the same time, as clients do."""
    client = await plane.client()
    sending = asyncio.create_task(upload(client, kind))
    try:
        return await client.answer()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        client.writer.transport.abort()


@pytest.mark.parametrize("patience", [0.0, 0.01])
@pytest.mark.parametrize("answer", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", HEADS)
async def test_r63_the_answer_is_not_lost_with_the_upload(kind, answer, patience):
    """R63 [3.4]: an answer that was received before the reset is the client's, each time."""
    async with Plane(refusing(answer, patience=patience)) as plane:
        for _ in range(8):
            found = await ask(plane, kind)
            assert (found.status, found.body) == (401, answer.partition(b"\r\n\r\n")[2])
        assert not plane.handler.faults


async def test_r63_a_write_that_fails_reads_first():
    """R63 [3.4]: the very order that loses answers: received and reset first, and only then written to."""
    go = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        await side.request(body=False)
        side.writer.transport.pause_reading()
        await go.wait()
        await side.send(SMALL)
        side.writer.transport.close()

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.send(HEADS["length"])
        await plane.eventually(lambda: plane.upstream.seen)
        await client.send(PIECE)
        (connection,) = plane.server.pools["app"]._connections
        await plane.eventually(lambda: plane.handler.exchanges[0].body.received == len(PIECE))
        connection._transport.pause_reading()
        go.set()
        await plane.eventually(lambda: plane.upstream.open == 0 and has_ended(connection._transport))
        # past the look at the connection that comes before a write
        for _ in range(2):
            connection._transport.write(PIECE)
        assert (await client.answer()).status == 401


async def test_r63_without_an_answer_it_is_a_fault():
    """R63 [3.4]: a reset in place of an answer, or in the middle of one, is none."""
    for answer in (b"", b"HTTP/1.1 401 No\r\nContent-", b"HTTP/1.1 401 No\r\nContent-Length: 20\r\n\r\nno"):
        async with Plane(refusing(answer, patience=0.01)) as plane:
            if b"\r\n\r\n" in answer:
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await ask(plane, "length")
            else:
                assert (await ask(plane, "length")).status == 502


async def test_r63_over_tls(tmp_path):
    """R63 [3.4]: the same for an https server."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    upstream = await Upstream(refusing(SMALL, patience=0.01)).start(ssl=context)
    servers = (f"https://localhost:{upstream.port}",)
    try:
        async with Plane(servers=servers, tls={"ca_file": str(authority.file)}) as plane:
            for _ in range(8):
                assert (await ask(plane, "chunked")).status == 401
    finally:
        await upstream.close()
