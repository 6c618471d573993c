"""The tutorial, as it is written: its commands run one after the other, and its people log in."""

import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from tests.support.configuration import TREE
from tests.support.ports import free_port
from tests.support.world import Browser

pytestmark = pytest.mark.asyncio
TEXT = (TREE / "docs/tutorial.md").read_text(encoding="utf-8")
PORTS = ("8081", "3000", "8000", "9000")
DONE = "### done"


class Shell:
    """One terminal: a bash that takes one block after the other, in a folder that looks like a checkout."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def start(self) -> None:
        """Open it."""
        self.process = await asyncio.create_subprocess_exec(
            "bash",
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(TREE)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        await self.run("shopt -s expand_aliases")

    async def run(self, block: str) -> str:
        """Return what a block prints, once every line of it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f'{block}\nprintf "\\n{DONE} $?\\n"\n'.encode())
        told = []
        while not (line := (await self.process.stdout.readline()).decode()).startswith(DONE):
            assert line, "".join(told)
            told.append(line)
        assert line.split()[-1] == "0", "".join(told)
        return "".join(told)

    async def close(self) -> None:
        """End it, and whatever it has started."""
        os.killpg(self.process.pid, signal.SIGTERM)
        await self.process.communicate()


def checkout(directory: Path) -> Path:
    """Return a folder with the commands that ``make demo`` leaves in a checkout."""
    (commands := directory / ".venv/bin").mkdir(parents=True)
    for name, arguments in (("python", ""), ("gateway", " -m gateway")):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        (commands / name).chmod(0o755)
    return directory


async def until_it_answers(url: str) -> None:
    """Wait until something listens there."""
    end = time.monotonic() + 60
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url, allow_redirects=False):
                    return
            except aiohttp.ClientError:
                assert time.monotonic() < end, f"nobody answers at {url}"
                await asyncio.sleep(0.1)


async def test_every_step(tmp_path: Path):
    """[12.docs]: from the empty folder to a revoked session, with the commands and the file that it shows."""
    ports = dict(zip(PORTS, (free_port() for _ in PORTS), strict=True))
    text = re.sub(rf"\b({'|'.join(PORTS)})\b", lambda match: str(ports[match[1]]), TEXT)
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (configuration,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    application, register, run, program, route, why, out, after = blocks
    base = f"http://localhost:{ports['8000']}"
    shell = Shell(checkout(tmp_path))
    await shell.start()
    browsers = [Browser(SimpleNamespace(base=base)) for _ in range(2)]
    alice, bob = browsers
    try:
        demo = f"--port 0 --admin-port 0 --provider-port {ports['8081']} --upstream-port 0"
        await shell.run(f".venv/bin/gateway demo {demo} > demo.log 2>&1 &")
        await shell.run(application.rstrip() + " > application.log 2>&1 &")
        await until_it_answers(f"http://127.0.0.1:{ports['8081']}/")
        await shell.run(register)
        (tmp_path / "tutorial/gateway.yaml").write_text(configuration)
        assert "good" in await shell.run(run.replace("gateway run &", "gateway run > gateway.log 2>&1 &"))
        await until_it_answers(base)
        page = await alice.login("/")
        assert (page.status, "Hello" in page.text) == (200, True)
        told = await shell.run(program)
        assert "401 Unauthorized" in told
        assert "No credentials were presented." in told
        assert "changed: routes" in await shell.run(route)
        assert "Reports" in (await alice.get("/reports/")).text
        refused = await bob.login("/reports/", user="bob")
        assert refused.status == 403
        assert "missing" in refused.text
        away = await bob.submit(await bob.get("/.gateway/logout"))
        assert (away.status, str(away.url.with_query(None))) == (200, f"{base}/.gateway/logged-out")
        assert (await bob.get("/reports/", follow=False)).status == 303
        told = await shell.run(why)
        assert "route:    /reports/" in told
        await shell.run(out)
        revoked = await alice.get("/reports/")
        assert (revoked.status, "revoked" in revoked.text) == (401, True)
        assert 'gateway_logins_total{outcome="completed"' in await shell.run(after.replace("kill %1", ""))
    finally:
        for each in browsers:
            await each.session.close()
        await shell.close()
