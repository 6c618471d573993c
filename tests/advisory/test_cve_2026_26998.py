"""CVE-2026-26998: an answer of the provider was read without a bound."""

import asyncio
import time

import pytest

from gateway.config.settings.providers import ProviderSettings
from gateway.core.fault import Fault
from gateway.edge.providers.client import ProviderClient, Request

pytestmark = pytest.mark.asyncio
ENDLESS = {
    "body": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "field": b"HTTP/1.1 200 OK\r\nX-Long: ",
    "fields": b"HTTP/1.1 200 OK\r\n",
}
PIECE = {"chunks": b"4000\r\n" + b"x" * 0x4000 + b"\r\n", "fields": b"X-One: 1\r\n" * 1000}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_an_endless_answer_is_cut_off(kind: str):
    """R60: a bound on each answer, head included, however it is framed; what is beyond it is not read."""
    sent = 0
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ENDLESS[kind])
        try:
            while sent < 64 << 20:
                piece = PIECE.get(kind, b"x" * 0x4000)
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
        except ConnectionError:
            pass
        finally:
            writer.close()
            over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = ProviderClient(
        ProviderSettings(issuer=url, client_id="c", client_secret="s", audiences=("a",), timeout=20.0),
        time.time,
    )
    try:
        with pytest.raises(Fault):
            await client.send(Request("GET", f"{url}/jwks", {}, limit=100_000))
        async with asyncio.timeout(20):
            await over.wait()
        # what fits into the buffers of two sockets is beyond anybody's control
        assert sent < 32 << 20
    finally:
        await client.close()
        server.close()
