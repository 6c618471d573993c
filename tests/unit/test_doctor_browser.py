"""What ``gateway doctor`` sends to servers that it is led to: nothing that is in this machine's files."""

import asyncio

import pytest

from gateway.cli.doctor.browser import get

pytestmark = pytest.mark.asyncio


async def server(answer: bytes, seen: list[bytes]) -> asyncio.Server:
    """Answer every request so, and keep its head."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.mark.parametrize("entry", ["default", "machine 127.0.0.1"])
async def test_no_password_of_this_machine_is_sent(monkeypatch, tmp_path, entry):
    """[12.cli] R16: whoever runs it may have passwords in ~/.netrc; whatever leads there gets none."""
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"{entry} login alice password of-the-operator\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[bytes] = []
    async with await server(ANSWER, seen) as listening:
        port = listening.sockets[0].getsockname()[1]
        page = await get(f"http://127.0.0.1:{port}/", 5.0)
    assert page.status == 200
    assert b"authorization" not in seen[0].lower()


async def test_the_proxy_of_the_environment_is_asked(monkeypatch):
    """[12.cli]: as browsers do, but for what NO_PROXY names."""
    seen: list[bytes] = []
    async with await server(ANSWER, seen) as listening:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        assert (await get("http://app.example/page", 5.0)).status == 200
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert (await get(f"http://127.0.0.1:{port}/page", 5.0)).status == 200
    assert [each.split(b"\r\n")[0] for each in seen] == [
        b"GET http://app.example/page HTTP/1.1",
        b"GET /page HTTP/1.1",
    ]
