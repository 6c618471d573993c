"""``gateway demo`` as somebody runs it who has just installed it: one command, a browser, curl, Ctrl-C."""

import asyncio
import base64
import contextlib
import html
import os
import re
import signal
import stat
import sys
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.support.jose import holds_jwt
from tests.support.processes import core_limits

pytestmark = pytest.mark.asyncio

NAVIGATE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
STARTS = "Ctrl-C ends the demo."


class Demo:
    """The demo in a process of its own, on free ports, in an empty directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[str] = []

    async def start(self, *options: str) -> None:
        """Start it and wait until it says that it runs."""
        ports = ("--port", "0", "--admin-port", "0", "--provider-port", "0", "--upstream-port", "0")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "demo",
            *ports,
            *options,
            cwd=self.directory,
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.reading = asyncio.create_task(self._read())
        await self.until(STARTS)
        text = "\n".join(self.lines)
        self.base = re.search(r"open +(http://localhost:\d+)/", text)[1]
        self.admin = re.search(r"metrics +(http://localhost:\d+)/metrics", text)[1]
        self.provider = re.search(r"provider +(http://127\.0\.0\.1:\d+)/", text)[1]

    async def _read(self) -> None:
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().rstrip("\n"))

    async def until(self, part: str) -> None:
        """Wait for a line that has ``part``; fails when the demo ends first."""
        while not any(part in line for line in self.lines):
            assert not self.reading.done(), "\n".join(self.lines)
            await asyncio.sleep(0.02)

    async def command(self, *words: str) -> tuple[int, str]:
        """Run another gateway command beside it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *words,
            cwd=self.directory,
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    def children(self) -> list[int]:
        """Return the process ids of its children, and theirs."""
        found, waiting = [], [self.process.pid]
        while waiting:
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{waiting[0]}/task/{waiting[0]}/children").read_text(encoding="ascii")
                found += map(int, text.split())
                waiting += map(int, text.split())
            del waiting[0]
        return found

    async def stop(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = await self.process.wait()
        await self.reading
        return code


@pytest.fixture
async def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    if hasattr(demo, "process") and demo.process.returncode is None:
        demo.process.kill()
        await demo.process.wait()
        await demo.reading


async def log_in(session: aiohttp.ClientSession, url: str, user: str) -> tuple[int, str]:
    """Navigate, fill in the provider's form, and come back."""
    async with session.get(url, headers=NAVIGATE) as answer:
        page, at = await answer.text(), answer.url
    assert "password" in page, page[:500]
    action = re.search(r'<form[^>]*action="([^"]*)"', page)[1]
    hidden = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page))
    form = {**hidden, "username": user, "password": user}
    async with session.post(at.join(URL(html.unescape(action))), data=form, headers=NAVIGATE) as answer:
        return answer.status, await answer.text()


def browser() -> aiohttp.ClientSession:
    """Return a session whose cookies know hosts and not ports, as a browser's."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True, quote_cookie=False))


async def test_the_demo_from_start_to_end(demo):
    """Log in, see the identity, be refreshed unnoticed, try the API, be revoked, read metrics, Ctrl-C."""
    await demo.start("--access-lifetime", "2")
    async with browser() as alice, browser() as bob:
        status, page = await log_in(alice, demo.base + "/", "alice")
        assert status == 200
        assert "Hello alice" in page
        assert "alice@example.com" in page
        await demo.until("login      alice")
        assert (await log_in(bob, demo.base + "/admin/", "bob"))[0] == 403
        await demo.until("group_missing")
        async with alice.get(demo.base + "/admin/") as answer:
            assert answer.status == 200

        # tokens live two seconds: going on until one was renewed takes no more
        while not any("refresh    alice" in line for line in demo.lines):
            async with alice.get(demo.base + "/x") as answer:
                assert answer.status == 200
            await asyncio.sleep(0.1)

        async with alice.get(f"{demo.provider}/mint?user=alice&scope=api") as answer:
            bearer = {"Authorization": f"Bearer {await answer.text()}"}
        async with aiohttp.ClientSession() as curl:
            async with curl.get(demo.base + "/api/whoami") as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            async with curl.get(demo.base + "/api/whoami", headers=bearer) as answer:
                assert (answer.status, (await answer.json())["user"]) == (200, "alice")
            async with curl.get(demo.base + "/public/") as answer:
                assert answer.status == 200

        code, output = await demo.command("revoke", "--config", ".demo/gateway.yaml", "--sub", "alice")
        assert code == 0, output
        async with alice.get(demo.base + "/x", headers=NAVIGATE) as answer:
            assert answer.status == 401
            assert "revoked" in await answer.text()
        async with (
            aiohttp.ClientSession() as curl,
            curl.get(demo.base + "/api/whoami", headers=bearer) as answer,
        ):
            assert answer.status == 401
        async with bob.get(demo.base + "/x") as answer:
            assert answer.status == 200
        await demo.until("revoked    sub alice")
        await demo.until("401 revoked")

        async with alice.get(demo.admin + "/metrics") as answer:
            metrics = await answer.text()
        assert 'reason="revoked"' in metrics
        assert "gateway_refreshes_total" in metrics

    children = demo.children()
    assert children, "the embedded store is a child"
    # nor does one process that is everything dump core [10.hold.3]
    assert [core_limits(pid) for pid in (demo.process.pid, *children)] == [["0", "0"]] * (1 + len(children))
    assert await demo.stop() == 0, "\n".join(demo.lines)
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]  # noqa: ASYNC240, PTH110 - procfs
    told = "\n".join(demo.lines)
    assert "Traceback" not in told
    assert '"event"' not in told
    for name in ("admin-token", "secret-key"):
        secret = demo.directory / ".demo" / name
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_text() not in told
    assert not holds_jwt(told)
    assert base64.b64encode(b"demo:")[:6].decode() not in told


async def test_a_second_start_keeps_sessions(demo):
    """Secrets and store are kept in the directory: who was logged in still is, who was revoked stays out."""
    await demo.start()
    async with browser() as alice, browser() as bob:
        await log_in(alice, demo.base + "/", "alice")
        await log_in(bob, demo.base + "/", "bob")
        ports = [re.search(r":(\d+)$", url)[1] for url in (demo.base, demo.admin, demo.provider)]
        code, output = await demo.command("revoke", "--config", ".demo/gateway.yaml", "--sub", "bob")
        assert code == 0, output
        assert await demo.stop() == 0
        demo.lines.clear()
        names = ("--port", "--admin-port", "--provider-port")
        await demo.start(*(word for pair in zip(names, ports, strict=True) for word in pair))
        async with alice.get(demo.base + "/x", headers=NAVIGATE) as answer:
            assert answer.status == 200
            assert "Hello alice" in await answer.text()
        async with bob.get(demo.base + "/x") as answer:
            assert answer.status == 401
            assert "revoked" in await answer.text()
    assert await demo.stop() == 0


async def test_a_taken_port_is_told(demo):
    """Exit code 1 and one line that names port and option; nothing is left behind."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    code, output = await demo.command("demo", "--port", str(port))
    server.close()
    assert code == 1
    assert output == f"gateway demo: port {port} is taken: end what uses it, or choose another with --port\n"
    assert not list(demo.directory.iterdir())
