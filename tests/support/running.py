"""Applications that run as processes of their own, for a whole module of tests."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

PATIENCE = 60.0


@dataclass(frozen=True)
class Running:
    """One of them: where it listens, and what it wrote."""

    port: int
    output: Path

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        """Return what it wrote."""
        return self.output.read_text(errors="replace")


@contextlib.contextmanager
def running(directory: Path, *command: str, **environment: str) -> Iterator[Running]:
    """Run a command in a directory, ``@port`` in it a free port, until it listens; end it afterwards."""
    port = free_port()
    found = Running(port, directory / "output")
    home = {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    kept: Mapping[str, str] = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    with found.output.open("wb") as output:
        process = subprocess.Popen(
            [each.replace("@port", str(port)) for each in command],
            cwd=directory,
            env={
                **kept,
                **home,
                **{name: each.replace("@port", str(port)) for name, each in environment.items()},
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(process, found)
        yield found
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], found: Running) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, found.said()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", found.port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"it does not listen: {found.said()}")
