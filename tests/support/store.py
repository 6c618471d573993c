"""Real stores for tests: servers that die with the process that runs the tests."""

import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from gateway.edge.store.embedded import find_server, tethered


class ValkeyServer:
    """One Valkey on a Unix socket (or a port), with an append-only file if asked; ours to kill.

    ``binary`` is another server than the one that the gateway itself would start.
    """

    def __init__(self, *options: str, port: int = 0, binary: str | None = None) -> None:
        # short, since the path of a Unix socket is limited; pytest's own directories are not
        self.directory = Path(tempfile.mkdtemp(prefix="gw-"))
        self.socket = self.directory / "s"
        self.port = port
        self.options = options
        self.binary = binary
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """The address."""
        return f"unix://{self.socket}?db=0"

    def start(self) -> "ValkeyServer":
        """Start it and wait until it answers."""
        command = [
            self.binary or find_server(), "--port", str(self.port), "--bind", "127.0.0.1",
            "--unixsocket", str(self.socket), "--dir", str(self.directory), "--save", "",
            "--loglevel", "warning", *self.options,
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(tethered(command), stdout=log, stderr=log, start_new_session=True)
        with self.client() as client:
            for _ in range(500):
                try:
                    client.ping()
                except RedisError:
                    time.sleep(0.01)
                else:
                    return self
        raise AssertionError((self.directory / "log").read_text())

    def client(self) -> Redis:
        """Return a plain client, for looking inside."""
        return Redis(unix_socket_path=str(self.socket), protocol=2)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Let it hang."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


async def eventually(probe, *, tries: int = 400):
    """Return the probe's first true value; fails after some seconds."""
    for _ in range(tries):
        value = probe()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")
