"""The audit log of several processes: one file, one trail, and the chains of each."""

import asyncio
import contextlib
import io
import json
import os
import signal
import stat
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.fleet import Fleet

pytestmark = pytest.mark.asyncio

ROUTES = [{"path": "/", "upstream": "app", "access": "public", "audit": True}]


async def test_one_file_and_one_trail_of_all_processes(tmp_path):
    """[12.logs] Lines whole, chains good, a worker killed, a file rotated; the supervisor's events, too."""
    path = tmp_path / "audit.log"
    async with Fleet(2, audit={"to": f"file:{path}", "keep": {}}, routes=ROUTES) as fleet:
        for number in range(20):
            assert (await fleet.browser().get(f"/{number}?code=secret")).status == 200
        await fleet.eventually(lambda: len(told(path, "access")) == 20)
        await fleet.eventually(lambda: anchored(fleet, path))
        await fleet.eventually(lambda: kept(fleet, 20))
        killed = (await fleet.pids())[0]
        os.kill(killed, signal.SIGKILL)
        await fleet.eventually(fleet.is_ready)
        path.rename(tmp_path / "audit.log.1")
        await fleet.admin("POST", "/reload", json={"reason": "a test"})
        for number in range(20, 30):
            assert (await fleet.browser().get(f"/{number}")).status == 200
        await fleet.eventually(lambda: len(told(path, "access")) == 30)
        await fleet.eventually(lambda: told(path, "reloaded"))
        assert "secret" not in json.dumps(told(path, "access"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        # what goes to the file is not in the log
        assert not fleet.events("access")

        async def verified() -> bool:
            return (await verify(fleet, f"{path}.1", str(path)))[0] == 0

        await fleet.eventually(verified, tries=20)
        assert (await verify(fleet))[0] == 0
        _, text = await fleet.admin("GET", "/audit?event=reloaded")
        assert json.loads(text)["entries"][0]["reason"] == "a test"
        await fleet.eventually(lambda: kept(fleet, 30))
        # one line of the file is altered, and another taken out
        lines = path.read_text().splitlines()
        path.write_text(
            "\n".join([lines[0].replace('"level":"info"', '"level":"none"', 1), *lines[2:]]) + "\n"
        )
        code, text = await verify(fleet, f"{path}.1", str(path))
        assert code == 1
        assert "is not as it was written" in text


async def verify(fleet: Fleet, *files: str) -> tuple[int, str]:
    """Run ``gateway audit verify``; return its exit code and what it said."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = await asyncio.to_thread(main, ["audit", "verify", *files, "--config", str(fleet.path)])
    return code, said.getvalue()


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file."""
    return path.read_text().splitlines()


def told(path: Path, event: str) -> list[dict]:
    """Return the events of this kind in both files."""
    found = []
    for each in (Path(f"{path}.1"), path):
        if each.exists():
            found += [json.loads(line) for line in lines_of(each)]
    return [each for each in found if each["event"] == event]


async def anchored(fleet: Fleet, path: Path) -> bool:
    """Tell whether every chain that the file has is anchored."""
    told = json.loads((await fleet.admin("GET", "/audit/heads"))[1])["files"]
    return {json.loads(line)["chain"] for line in lines_of(path)} <= set(told)


async def kept(fleet: Fleet, count: int) -> bool:
    """Tell whether the store has so many requests."""
    told = json.loads((await fleet.admin("GET", "/audit?path=/&limit=100"))[1])["entries"]
    return len(told) == count
