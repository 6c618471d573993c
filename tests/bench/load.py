"""One round of each kind of load on one instance, measured."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from tests.bench import openloop, player, wrk
from tests.bench.client import ask, connect, read_head
from tests.bench.configurations import API, BIG, UPLOAD, WEBSOCKET
from tests.bench.frames import field
from tests.bench.material import BIG_FILE
from tests.bench.measure import Sample, Usage, throughput
from tests.bench.peers import PEERS, clear_logs
from tests.bench.processes import LOAD_CORE, PROXY_CORE, Meter, NotStarted, end, resident, start
from tests.bench.rig import Instance, Rig

MEGABYTE = 1_000_000
KIBIBYTE = 1024
MEBIBYTE = 1 << 20
IDLE_CONNECTIONS = 10_000
TRANSFERS = 5
MOST_LAG_MILLISECONDS = 5.0
_SETTLES = 10.0


def closed_loop(rig: Rig, instance: Instance, script: str, seconds: float) -> tuple[Sample, wrk.Report]:
    """Run wrk for some seconds: requests per CPU second of the proxy, and requests per second beside them."""
    scheme = "https" if instance.place.tls else "http"
    meter = Meter(instance.running.pids, rig.helpers)
    with meter.running():
        report = wrk.run(f"{scheme}://127.0.0.1:{instance.place.port}/", script, rig.folder, seconds)
    clear_logs(instance.place.folder)
    usage = replace(meter.usage, seconds=report.seconds)
    return throughput(report.requests, usage, errors=report.errors), report


def visits(rig: Rig, instance: Instance, file: Path, seconds: float, lanes: int, pace: float = 0.0) -> Sample:
    """Play the scripts in a file: requests per CPU second of the proxy, and per second beside them.

    ``pace`` is how many connections are begun in a second at most; 0: any.

    Raises NotStarted: the player does not come up.
    """
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "tests.bench.player"]
    command += [str(file), str(instance.place.port), str(seconds), str(lanes), str(pace)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise NotStarted("the player does not come up")
        meter = Meter(instance.running.pids, [*rig.helpers, process.pid])
        with meter.running():
            process.stdin.write("go\n")
            process.stdin.flush()
            report = player.Report(**json.loads(process.stdout.readline()))
        process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    clear_logs(instance.place.folder)
    usage = replace(meter.usage, seconds=report.seconds)
    return throughput(report.answered, usage, errors=report.trouble)


def open_loop(rig: Rig, instance: Instance, plan: openloop.Plan) -> tuple[openloop.Report, Usage]:
    """Run the open-loop generator. Raises NotStarted: it could not connect or made no report."""
    file = rig.folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)))
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "tests.bench.openloop", str(file)]
    meter = Meter(instance.running.pids, rig.helpers)
    with meter.running():
        done = subprocess.run(command, capture_output=True, text=True, timeout=plan.seconds + 30, check=False)
    clear_logs(instance.place.folder)
    if done.returncode:
        raise NotStarted(f"the open-loop generator failed: {done.stderr.strip()[-200:]}")
    return openloop.Report(**json.loads(done.stdout)), meter.usage


def _trouble(report: openloop.Report) -> str:
    if report.trouble:
        return report.trouble
    if report.lag > MOST_LAG_MILLISECONDS:
        return f"the generator fell behind its schedule by {report.lag:.1f} ms"
    return ""


def latency(rig: Rig, instance: Instance, rate: float, seconds: float, seed: int) -> Sample:
    """Ask at a fixed rate: the p99 in milliseconds, and the median beside it."""
    request = wrk.head(API, instance.headers(Authorization=f"Bearer {rig.token}")) + "\r\n"
    plan = openloop.Plan(instance.place.port, request, rate, seconds, wrk.CONNECTIONS, seed=seed)
    report, usage = open_loop(rig, instance, plan)
    return Sample(report.p99, report.p50, _trouble(report), usage.proxy_share, usage.generator_share)


def websocket(rig: Rig, instance: Instance, rate: float, seconds: float, seed: int) -> Sample:
    """Have small messages echoed at a fixed rate: messages per CPU second, and the p99 in ms beside it."""
    headers = instance.headers(Authorization=f"Bearer {rig.token}", Origin=instance.place.origin)
    request = openloop.handshake(WEBSOCKET, headers)
    plan = openloop.Plan(
        instance.place.port, request, rate, seconds, wrk.CONNECTIONS, websocket=True, seed=seed
    )
    report, usage = open_loop(rig, instance, plan)
    sample = throughput(report.answered, usage, errors=_trouble(report), saturable=False)
    return Sample(sample.primary, report.p99, sample.void, usage.proxy_share, usage.generator_share)


@dataclass(slots=True)
class Growth:
    """How much the resident memory of a process tree grew at most, in bytes."""

    before: int = 0
    most: int = 0

    @property
    def mebibytes(self) -> float:
        """The growth."""
        return max(0, self.most - self.before) / MEBIBYTE


@contextlib.contextmanager
def watched(pids: list[int]) -> Iterator[Growth]:
    """Watch the resident memory during the body."""
    growth = Growth(before=sum(resident(pids)))
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            growth.most = max(growth.most, sum(resident(pids)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield growth
    finally:
        over.set()
        thread.join()
        growth.most = max(growth.most, sum(resident(pids)))


def settle(pids: list[int]) -> None:
    """Wait, for a few seconds at most, until processes that have just started grow no more by themselves."""
    before, since = sum(resident(pids)), time.monotonic()
    ends = since + _SETTLES
    while (now := time.monotonic()) < ends and now - since < 1.0:
        time.sleep(0.05)
        if (size := sum(resident(pids))) > before:
            before, since = size, now


def download(rig: Rig, instance: Instance) -> tuple[Sample, float]:
    """Fetch the big file some times: MB per CPU second, MB/s beside it; and the memory's growth in MiB."""
    rig.material.write_big_file()
    head = wrk.head(BIG, instance.headers(Authorization=f"Bearer {rig.token}")) + "\r\n"
    return _transferred(rig, instance, partial(_fetch, head.encode("latin-1")))


def upload(rig: Rig, instance: Instance) -> tuple[Sample, float]:
    """Send the big file some times; the figures are as for ``download``."""
    fields = instance.headers(
        Authorization=f"Bearer {rig.token}",
        Content_Type="application/octet-stream",
        Content_Length=str(BIG_FILE),
        Origin=instance.place.origin,
    )
    head = wrk.head(UPLOAD, fields).replace("GET", "POST", 1) + "\r\n"
    return _transferred(rig, instance, partial(_send, head.encode("latin-1"), rig.material.write_big_file()))


def _transferred(rig: Rig, instance: Instance, once: Callable[[socket.socket], None]) -> tuple[Sample, float]:
    meter, void = Meter(instance.running.pids, rig.helpers), ""
    with watched(instance.running.pids()) as growth, meter.running():
        for _ in range(TRANSFERS):
            try:
                with connect(instance.place.port) as sock:
                    once(sock)
            except (OSError, ValueError) as error:
                void = str(error) or type(error).__name__
                break
    clear_logs(instance.place.folder)
    return throughput(TRANSFERS * BIG_FILE / MEGABYTE, meter.usage, errors=void), growth.mebibytes


def _fetch(head: bytes, sock: socket.socket) -> None:
    sock.sendall(head)
    answer, count = read_head(sock)
    if answer[9:12] != b"200" or field(answer, b"content-length") != str(BIG_FILE).encode():
        raise ValueError(f"answered {answer[:40]!r}")
    scratch = bytearray(MEBIBYTE)
    while count < BIG_FILE:
        # Linux discards the bytes of a stream without copying them: the client must not be the bottleneck
        got = sock.recv_into(scratch, MEBIBYTE, socket.MSG_TRUNC)
        if not got:
            raise ValueError(f"ended after {count} bytes")
        count += got


def _send(head: bytes, path: Path, sock: socket.socket) -> None:
    with path.open("rb") as file:
        sock.sendall(head)
        sock.sendfile(file)
    answer, _ = read_head(sock)
    if answer[9:12] != b"200":
        raise ValueError(f"answered {answer[:40]!r}")


def idle(rig: Rig, name: str) -> Sample:
    """Hold 10,000 connections that asked once: KiB resident for each, and the MiB before beside it."""
    with rig.fresh(name) as instance, contextlib.ExitStack() as stack:
        request = (wrk.head(API, instance.headers(Authorization=f"Bearer {rig.token}")) + "\r\n").encode(
            "latin-1"
        )
        with connect(instance.place.port) as sock:
            for _ in range(200):
                if ask(sock, request) != 200:
                    return Sample(0.0, void="the first request was refused")
        pids = instance.running.pids()
        before = sum(resident(pids))
        for _ in range(IDLE_CONNECTIONS):
            sock = stack.enter_context(connect(instance.place.port))
            if ask(sock, request) != 200:
                return Sample(0.0, void="a request was refused")
        after = sum(resident(pids))
    return Sample((after - before) / IDLE_CONNECTIONS / KIBIBYTE, before / MEBIBYTE)


def start_up(rig: Rig, name: str) -> Sample:
    """Start a peer until its first good answer: seconds, and the MiB of its largest process beside."""
    place = rig.place(name)
    if reason := PEERS[name].absent():
        raise NotStarted(reason)
    place.folder.mkdir()
    place.folder.chmod(0o777)
    command = PEERS[name].command(place)
    began = time.perf_counter()
    running = start("stdout", command, place.folder, PROXY_CORE, place.port)
    try:
        instance = Instance(name, place, running)
        request = (wrk.head(API, instance.headers(Authorization=f"Bearer {rig.token}")) + "\r\n").encode(
            "latin-1"
        )
        while time.perf_counter() - began < 15:
            with contextlib.suppress(OSError, ValueError), connect(instance.place.port) as sock:
                if ask(sock, request) == 200:
                    seconds = time.perf_counter() - began
                    time.sleep(1.0)
                    return Sample(seconds, max(resident(running.pids())) / MEBIBYTE)
            if running.process.poll() is not None:
                raise NotStarted(f"ended with {running.process.returncode}: {running.tail()}")
            time.sleep(0.005)
        return Sample(0.0, void="no good answer within 15 s")
    finally:
        end(running)
