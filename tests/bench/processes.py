"""Processes of the benchmark: started pinned to a core, measured through /proc, ended by id."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import Usage

PROXY_CORE = 0
LOAD_CORE = 1
TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE = 5.0


class NotStarted(Exception):  # noqa: N818 - a state of the peer, which its row then names
    """A process did not come up; the text says why."""


def find_program(name: str) -> str | None:
    """Return a program's path: beside this interpreter, on PATH, where Debian keeps servers, or Go lies."""
    here = str(Path(sys.executable).parent)
    return shutil.which(
        name,
        path=os.pathsep.join((here, os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/go/bin")),
    )


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/<pid>/stat tells: parent, and CPU seconds with those of children waited for."""

    parent: int
    cpu: float


def parse_stat(text: str) -> Stat:
    """Return what is needed of /proc/<pid>/stat; the command in brackets may hold anything."""
    fields = text.rpartition(")")[2].split()
    return Stat(int(fields[1]), sum(int(each) for each in fields[11:15]) / TICKS)


def parse_core(text: str, core: int) -> tuple[int, int]:
    """Return the busy and all ticks of one core from /proc/stat."""
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == f"cpu{core}":
            ticks = [int(each) for each in rest.split()][:8]
            return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
    raise ValueError(f"no core {core} in /proc/stat")


def tree(root: int) -> list[int]:
    """Return the process and its descendants that are alive."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(entry.name)] = parse_stat(Path(entry.path, "stat").read_text()).parent
    found = [root] if root in parents else []
    for each in found:
        found.extend(pid for pid, parent in parents.items() if parent == each)
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU seconds that these processes have used so far, user and system."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += parse_stat(Path(f"/proc/{pid}/stat").read_text()).cpu
    return total


def resident(pids: Sequence[int]) -> list[int]:
    """Return the resident bytes of each of these processes."""
    sizes: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            sizes.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE)
    return sizes


def largest(pids: Sequence[int]) -> int:
    """Return the resident bytes of the largest of these that runs Python: a worker of the gateway."""
    found = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/exe").readlink().name.startswith("python"):
                found = max(found, *resident([pid]), 0)
    return found


@dataclass(slots=True)
class Meter:
    """Measures a stretch of load: the proxy's processes, the load's, and the core that the load has.

    ``pids`` returns the proxy's: it is asked at both ends, since what it started in between counts as well.
    """

    pids: Callable[[], Sequence[int]]
    helpers: Sequence[int] = ()
    usage: Usage = field(default_factory=lambda: Usage(0.0, 0.0, 0.0))

    def _read(self) -> tuple[float, float, float, tuple[int, int]]:
        core = parse_core(Path("/proc/stat").read_text(), LOAD_CORE)
        # generators are children of the harness, and have been waited for when the stretch ends
        load = sum(os.times()[:4]) + cpu_seconds(self.helpers)
        return time.perf_counter(), cpu_seconds(self.pids()), load, core

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Take the readings around the body."""
        start, cpu, load, (busy, ticks) = self._read()
        yield
        end, cpu_end, load_end, (busy_end, ticks_end) = self._read()
        share = (busy_end - busy) / (ticks_end - ticks) if ticks_end > ticks else 0.0
        self.usage = Usage(end - start, cpu_end - cpu, share, load_end - load)


@dataclass(slots=True)
class Running:
    """A process that the benchmark started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def pids(self) -> list[int]:
        """Return its process tree."""
        return tree(self.process.pid)

    def clear_log(self) -> None:
        """Empty its log, which a minute of access lines would make large."""
        os.truncate(self.log, 0)

    def tail(self) -> str:
        """Return the end of what it wrote, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        # the page names the reason, and no folder of this machine
        return "; ".join(lines[-3:])[-400:].replace(f"{self.log.parent}/", "")


def start(name: str, command: Sequence[str], folder: Path, core: int, port: int = 0) -> Running:
    """Start a command pinned to a core, in a session of its own so that Ctrl-C reaches only the benchmark.

    Raises:
        NotStarted: it cannot be executed.
    """
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        try:
            process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NotStarted(f"{name}: {error}") from error
    return Running(name, process, log, port)


def wait_for_port(running: Running, *, timeout: float = 15.0) -> None:
    """Wait until it accepts connections on its port.

    Raises:
        NotStarted: it ended, or did not listen in time.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            raise NotStarted(f"ended with {running.process.returncode}: {running.tail()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", running.port), 0.2):
            return
        time.sleep(0.01)
    raise NotStarted(f"does not listen after {timeout:.0f} s: {running.tail()}")


def end(running: Running) -> None:
    """End a process and whatever it started: asked first, then by force."""
    pids = running.pids()
    with contextlib.suppress(ProcessLookupError):
        running.process.send_signal(signal.SIGTERM)
    try:
        running.process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    # in a session of its own: an id found there is still ours and was not given to a stranger
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid != running.process.pid and os.getsid(pid) == running.process.pid:
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def started(name: str, command: Sequence[str], folder: Path, core: int, port: int) -> Iterator[Running]:
    """Run a command for the length of the body, listening.

    Raises:
        NotStarted: as ``start`` and ``wait_for_port``.
    """
    running = start(name, command, folder, core, port)
    try:
        wait_for_port(running)
        yield running
    finally:
        end(running)
