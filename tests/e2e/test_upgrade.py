"""This version and the one before it side by side on one store, and back, as machines are upgraded."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.configuration import TREE
from tests.support.fleet import Fleet
from tests.support.ports import free_port
from tests.support.store import ValkeyServer
from tests.support.version_before import version_before
from tests.support.world import Browser

pytestmark = pytest.mark.asyncio


class Switch:
    """The balancer in front: every new connection goes to the gateway that is named."""

    def __init__(self) -> None:
        self.target = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        """Listen."""
        self.server = await asyncio.start_server(self._serve, "localhost", port)

    async def to(self, port: int) -> None:
        """Lead to another gateway; connections to the one before end."""
        self.target = port
        for writer in self.writers:
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers |= {writer, away}
        await asyncio.gather(_pass(reader, away), _pass(there, writer))
        self.writers -= {writer, away}

    async def close(self) -> None:
        """Stop."""
        await self.to(self.target)
        self.server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Version(Fleet):
    """One of the two, with the provider, the upstream, the store and the public URL of both."""

    def __init__(
        self, source: Path, base: str, store: ValkeyServer, mode: str, other: "Version | None"
    ) -> None:
        super().__init__(1, redis={"url": store.url}, session={"mode": mode})
        self.source, self.base = source, base
        self.other = other

    def config(self) -> dict[str, Any]:
        """Return its configuration: on a port of its own, behind the switch."""
        return {**super().config(), "public_url": self.base}

    async def __aenter__(self) -> Self:
        if self.other is None:
            return await super().__aenter__()
        self.provider, self.upstream = self.other.provider, self.other.upstream
        self.write()
        await self.run()
        return self

    async def run(self) -> None:
        """Start it from its own source."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "gateway", "run", "--config", str(self.path),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(self.source)},
            )  # fmt: skip
        await self.eventually(self.is_ready)

    async def command_of_its_own(self, *words: str) -> tuple[int, str]:
        """Run a command of this version; return its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "gateway", *words, "--config", str(self.path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(self.source)},
        )  # fmt: skip
        text, _ = await process.communicate()
        return process.returncode or 0, text.decode()


class Pair:
    """Both versions, the switch, and people who come through it."""

    def __init__(self, old: Version, new: Version, switch: Switch) -> None:
        self.old, self.new, self.switch = old, new, switch

    async def old_one(self) -> None:
        """Lead everybody to the version before."""
        await self.switch.to(self.old.public_port)

    async def new_one(self) -> None:
        """Lead everybody to this version."""
        await self.switch.to(self.new.public_port)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the version before."""
    source = tmp_path_factory.mktemp("before")
    if (why := version_before(source)) is not None:
        pytest.skip(why)
    return source


@pytest.fixture(params=["cookie", "redis"])
async def pair(request: pytest.FixtureRequest, before: Path) -> AsyncIterator[Pair]:
    """Both run, on one store."""
    store, switch, port = ValkeyServer().start(), Switch(), free_port()
    base = f"http://localhost:{port}"
    try:
        old = Version(before, base, store, request.param, None)
        async with old:
            new = Version(TREE, base, store, request.param, old)
            await new.__aenter__()
            await switch.start(port)
            try:
                yield Pair(old, new, switch)
            finally:
                await switch.close()
                new.process.terminate()
                await new.process.wait()
    finally:
        store.close()


async def status(browser: Browser, path: str = "/x") -> int:
    """Return how a script of the page fares."""
    return (await browser.fetch(path)).status


async def test_side_by_side_and_back(pair: Pair):
    """[12.releases]: sessions, refreshes and revocations of either version hold at the other."""
    old, new = pair.old, pair.new
    alice, bob, carol = (old.browser() for _ in range(3))
    await pair.old_one()
    assert (await alice.login("/x")).status == 200
    assert await status(alice) == 200
    # upgraded: nobody is logged out, and whoever comes now is known at both
    await pair.new_one()
    assert await status(alice) == 200
    assert (await bob.login("/x", user="bob")).status == 200
    # rolled back: sessions of the newer version go on
    await pair.old_one()
    assert await status(bob) == 200
    # tokens are renewed at one version, and shown to the other
    old.provider.access_lifetime = 1.0
    assert (await carol.login("/x")).status == 200
    await asyncio.sleep(1.1)
    for lead in (pair.new_one, pair.old_one, pair.new_one):
        await lead()
        assert await status(carol) == 200
    assert old.events("reuse_detected") == new.events("reuse_detected") == []
    # what either revokes, both refuse
    code, told = await old.command_of_its_own("revoke", "--sub", "bob")
    assert code == 0, told
    for lead in (pair.new_one, pair.old_one):
        await lead()
        assert await status(bob) == 401
    code, told = await new.command_of_its_own("revoke", "--sub", "alice")
    assert code == 0, told
    for lead in (pair.old_one, pair.new_one):
        await lead()
        assert await status(alice) == 401
