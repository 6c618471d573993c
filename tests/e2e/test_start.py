"""The start: what is bound first, what waits for what, and what has the processor meanwhile."""

import asyncio
import contextlib
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.config.settings.root import Settings
from gateway.edge.configfile.load import Loaded
from gateway.edge.telemetry.logs import Logs
from gateway.supervision import slot as slots
from gateway.supervision import supervisor as supervision
from gateway.supervision.supervisor import Supervisor
from tests.support.configuration import KEY
from tests.support.store import eventually


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory whose path is short enough for the store's socket."""
    made = Path(tempfile.mkdtemp(prefix="gw-"))
    yield made
    shutil.rmtree(made)


@contextlib.asynccontextmanager
async def supervised(state: Path, admin: str = "127.0.0.1:0") -> AsyncIterator[Supervisor]:
    """A supervisor with one worker and an embedded store, in this process; not started yet."""
    settings = Settings.model_validate(
        {
            "public_url": "http://localhost:8080",
            "listen": "127.0.0.1:0",
            "admin": {"listen": admin},
            "secret_keys": [KEY],
            "state_dir": str(state),
            "providers": {"one": {"issuer": "https://one.example", "client_id": "c", "audiences": ["a"]}},
            "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
            "routes": [{"path": "/", "upstream": "app", "access": "public"}],
        }
    )
    made = Supervisor(settings, lambda: Loaded(settings, []), logs=Logs(settings.log, write=lambda _: None))
    try:
        yield made
    finally:
        await made.close()
        gc.enable()


async def ask(made: Supervisor, path: str) -> tuple[int, str]:
    """Ask the admin listener as soon as it is bound; return status and body."""
    await eventually(lambda: made._admin_sockets)
    reader, writer = await asyncio.open_connection(*made._admin_sockets[0].getsockname())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


@pytest.mark.parametrize("processors", [1, 64])
async def test_whoever_asks_early_is_answered(processors: int, state: Path, monkeypatch):
    """The admin listener is bound first and served later: with no processor to spare, after a worker."""
    monkeypatch.setattr(supervision, "count_processors", lambda: processors)
    monkeypatch.setattr(supervision, "_VIEW_WITHIN", 60.0)
    gc.disable()
    async with supervised(state) as made:
        opened: list[bool] = []
        opening = made._open_view

        async def open_view() -> None:
            opened.append(made.fleet.slots[0].is_ready)
            await opening()

        made._open_view = open_view
        early, _ = await asyncio.gather(ask(made, "/livez"), made.start())
        assert early == (200, '{"status": "alive"}')
        assert opened == [True] or processors > 1
        assert gc.isenabled()
        assert (await ask(made, "/readyz"))[0] == 200


async def test_the_admin_listener_does_not_wait_forever(state: Path, monkeypatch):
    """A worker that takes long: who asks is told that it is starting."""
    monkeypatch.setattr(supervision, "count_processors", lambda: 1)
    monkeypatch.setattr(supervision, "_VIEW_WITHIN", 0.01)
    monkeypatch.setattr(slots, "_BOOT", "import time; time.sleep(600)")
    async with supervised(state) as made:
        starting = asyncio.create_task(made.start())
        status, body = await ask(made, "/readyz")
        assert status == 503
        assert json.loads(body)["workers"] == [{"worker": 0, "pid": None, "status": "starting"}]
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def test_a_taken_admin_port_is_told_before_anybody_is_served(state: Path):
    """No worker starts, and the error names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with supervised(state, f"127.0.0.1:{taken.getsockname()[1]}") as made:
            with pytest.raises(OSError, match="in use") as error:
                await made.start()
            assert error.value.__notes__ == [f"admin.listen ({made.fleet.settings.admin.listen})"]
            assert made.fleet.slots == []


def run(code: str) -> list[str]:
    """Run Python in a process of its own; return the lines that it prints."""
    without = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=without
    )
    return done.stdout.splitlines()


def test_a_worker_collects_garbage_once_it_serves():
    """It begins without; what the start has made is not looked at again."""
    told = run(
        "import gc; gc.disable()\nfrom gateway import worker\nworker._settle()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    )
    assert told == ["True True"]


def test_the_command_keeps_plugins_away_from_the_configuration():
    """A plugin of pydantic's would be given every secret; workers inherit that there are none."""
    told = run(
        "import os, sys\nfrom gateway.cli.main import main\nmain(['keys', 'generate'])\n"
        "print('pydantic' in sys.modules, os.environ['PYDANTIC_DISABLE_PLUGINS'])"
    )
    assert told[-1] == "False __all__"
