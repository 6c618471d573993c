"""How fast a revocation holds: ``python -m tests.bench.fleet`` (``make bench-fleet``).

Two workers under half of the load that they can bear. A token that every worker knows is revoked in the
store, as another gateway would; from the store's reply on, each worker is asked until it refuses, and each
WebSocket is waited for until it ends. Ends with a summary. Exit code: 0; 1 beyond a bound; 2 where nothing
can be measured.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.core.decision.needs import Revoke
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.demo.upstream import DemoUpstream
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.store.store import Store
from tests.bench import wrk
from tests.bench.frames import split_responses
from tests.bench.openloop import Plan, percentile
from tests.bench.processes import NotStarted
from tests.support.fleet import Fleet, inode_of, sockets_of

WORKERS = 2
REFUSED_WITHIN, CLOSED_WITHIN = 0.020, 0.100
REVOCATIONS = 200
# a worker that never refuses, or a socket that never ends, is a result too
PATIENCE = 5.0
_LONG = 3600.0
_WARM_UP, _PEAK_SECONDS = 1.0, 3.0


class BenchFleet(Fleet):
    """Workers in front of an upstream that keeps no record and echoes WebSockets."""

    upstream_class = DemoUpstream


@dataclass
class Line:
    """One connection to a known worker."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, token: str) -> int:
        """Ask for a page with a bearer token; return the status."""
        self.writer.write(request(self.port, "/api/x", token).encode())
        buffer = bytearray()
        while True:
            data = await self.reader.read(65536)
            if not data:
                raise ConnectionError("the connection was closed")
            buffer += data
            if statuses := split_responses(buffer):
                return statuses[0]

    def close(self) -> None:
        """Close it."""
        self.writer.close()


def request(port: int, path: str, token: str, **fields: str) -> str:
    """Return a whole GET request with a bearer token."""
    lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}", f"Authorization: Bearer {token}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""])


async def lines(fleet: Fleet) -> dict[int, Line]:
    """Return one connection to each worker by number; the kernel chooses, so it is asked until it does."""
    found: dict[int, Line] = {}
    pids = await fleet.pids()
    for _ in range(200):
        line = Line(fleet.public_port, *await asyncio.open_connection("127.0.0.1", fleet.public_port))
        await line.ask("none")
        inode = inode_of(fleet.public_port, line.writer.get_extra_info("sockname")[1])
        number = next(number for number, pid in pids.items() if inode in sockets_of(pid))
        if number in found:
            line.close()
        else:
            found[number] = line
        if len(found) == len(pids):
            return found
    raise NotStarted("the kernel gives some worker no connections")


async def opened(fleet: Fleet, token: str) -> dict[int, Line]:
    """Return one open WebSocket at each worker. Raises NotStarted."""
    found = await lines(fleet)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for line in found.values():
        line.writer.write(request(fleet.public_port, "/ws", token, **upgrade).encode())
        head = await line.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise NotStarted(f"no WebSocket: {head[:60]!r}")
    return found


async def refused_after(line: Line, token: str, began: float) -> float:
    """Ask one worker until it refuses; return the seconds since ``began``."""
    while True:
        status = await line.ask(token)
        took = time.perf_counter() - began
        if status == 401 or took > PATIENCE:
            return took


async def closed_after(line: Line, began: float) -> float:
    """Wait for the end of a WebSocket; return the seconds since ``began``."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(PATIENCE):
            await line.reader.read(1)
    took = time.perf_counter() - began
    line.close()
    return took


class Revoker:
    """Writes to the fleet's denylist as another gateway would."""

    def __init__(self, fleet: Fleet) -> None:
        self._issuer = fleet.provider.issuer
        self._store = Store(f"unix://{fleet.directory}/state/store/valkey.sock", "gateway:", 1.0, time.time)
        self._revocations = Revocations(
            self._store, Denylist(), time.time, worker_id="bench", on_added=self._note
        )
        self._noted: asyncio.Queue[float] = asyncio.Queue()
        self._ending: set[asyncio.Task[None]] = set()

    def _note(self, _entries: object) -> None:
        self._noted.put_nowait(time.perf_counter())

    async def start(self) -> None:
        """Connect."""
        await self._store.start()

    async def revoke(self, jti: str) -> float:
        """Revoke a token; return when the store had replied."""
        entry = DenyEntry("jti", self._issuer, jti, time.time(), time.time() + _LONG)
        # a gateway would also wait for its own reader, and there is none here
        ending = asyncio.create_task(self._revocations.revoke(Revoke((entry,))))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        # once before it is written, once with the store's reply
        await self._noted.get()
        return await self._noted.get()

    async def close(self) -> None:
        """Disconnect."""
        await self._store.close()


def token_of(fleet: Fleet, jti: str) -> str:
    """Return a token of somebody under a name of its own."""
    return fleet.provider.mint("alice", "api", lifetime=_LONG, jti=jti)


async def measure_refusals(fleet: Fleet, revoker: Revoker, count: int) -> list[float]:
    """Return, for each revocation and worker, the seconds from the store's reply to the first refusal."""
    found, known = [], await lines(fleet)
    for number in range(count):
        token = token_of(fleet, f"refused-{number}")
        statuses = [await line.ask(token) for line in known.values()]
        if statuses != [200] * WORKERS:
            raise NotStarted(f"a token that is good was answered {statuses}")
        began = await revoker.revoke(f"refused-{number}")
        found += await asyncio.gather(*(refused_after(line, token, began) for line in known.values()))
        await asyncio.sleep(0.01)
    for line in known.values():
        line.close()
    return found


async def measure_closings(fleet: Fleet, revoker: Revoker, count: int) -> list[float]:
    """Return, for each revocation and worker, the seconds from the store's reply to the WebSocket's end."""
    found = []
    for number in range(count):
        sockets = await opened(fleet, token_of(fleet, f"closed-{number}"))
        waiting = [asyncio.create_task(line.reader.read(1)) for line in sockets.values()]
        await asyncio.sleep(0.01)
        if any(task.done() for task in waiting):
            raise NotStarted("a WebSocket ended before its revocation")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        began = await revoker.revoke(f"closed-{number}")
        found += await asyncio.gather(*(closed_after(line, began) for line in sockets.values()))
    return found


async def peak(fleet: Fleet) -> float:
    """Return how many requests a second the workers answer at most. Raises NotStarted."""
    host = f"localhost:{fleet.public_port}"
    headers = {"Host": host, "Authorization": f"Bearer {load_token(fleet)}"}
    script = wrk.repeated_script("/api/x", headers)
    url = f"http://127.0.0.1:{fleet.public_port}"
    report = await asyncio.to_thread(wrk.run, url, script, fleet.directory, _PEAK_SECONDS)
    if report.errors:
        raise NotStarted(report.errors)
    return report.requests / report.seconds


def load_token(fleet: Fleet) -> str:
    """Return a token that nobody revokes."""
    return token_of(fleet, "load")


@contextlib.contextmanager
def load(fleet: Fleet, rate: float, seconds: float) -> Iterator[None]:
    """Keep a rate of requests up in a process of its own while the block runs."""
    plan = Plan(fleet.public_port, request(fleet.public_port, "/api/x", load_token(fleet)), rate, seconds)
    path = fleet.directory / "plan.json"
    path.write_text(json.dumps(asdict(plan)))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.openloop", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        if process.poll() is not None:
            raise NotStarted("the load ended before the measurement did")
    finally:
        process.kill()
        process.wait()


def summary(what: str, found: list[float], bound: float) -> tuple[str, bool]:
    """Return one line about these durations, and whether they hold the bound."""
    p50, p99 = (percentile(found, share) * 1000 for share in (0.5, 0.99))
    holds = bool(found) and p99 <= bound * 1000
    word = "" if holds else "  BEYOND THE BOUND"
    return (
        f"{what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {max(found, default=0) * 1000:.1f} ms"
        f" (bound: p99 {bound * 1000:.0f} ms; {len(found)} measured){word}"
    ), holds


async def run(count: int) -> int:
    """Measure; return the exit code."""
    async with BenchFleet(WORKERS, log={"access": False}) as fleet:
        revoker = Revoker(fleet)
        await revoker.start()
        try:
            most = await peak(fleet)
            with load(fleet, most / 2, 120.0):
                await asyncio.sleep(_WARM_UP)
                refusals = await measure_refusals(fleet, revoker, count)
                closings = await measure_closings(fleet, revoker, count // 2)
        finally:
            await revoker.close()
    say(f"{WORKERS} workers, {os.cpu_count()} cores, {most / 2:,.0f} requests a second, half of the most")
    results = [
        summary("revocation to refusal, every worker", refusals, REFUSED_WITHIN),
        summary("revocation to closed WebSocket", closings, CLOSED_WITHIN),
    ]
    for text, _ in results:
        say(text)
    return 0 if all(holds for _, holds in results) else 1


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.add_argument("--revocations", type=int, default=REVOCATIONS, help=f"{REVOCATIONS} by default")
    options = parser.parse_args(argv)
    os.chdir(Path(__file__).resolve().parents[2])
    try:
        return asyncio.run(run(max(10, options.revocations)))
    except NotStarted as error:
        say(f"nothing can be measured: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
