"""The open-loop generator: it keeps a rate whatever the proxy does, and speaks WebSocket.

``python -m tests.bench.openloop PLAN`` reads a plan (JSON of ``Plan``) and prints a report (JSON of
``Report``). Arrivals are a Poisson process with a fixed seed, so every peer meets the same ones. A latency
counts from the moment at which a request was due, not from when a connection was free for it: what a slow
proxy delays is not left out of its own statistics. One thread, one epoll.
"""

import json
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.frames import accept_key, frame, split_frames, split_responses
from tests.bench.frames import field as header

_WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_GRACE = 2.0
MESSAGE = b"a small message of thirty bytes"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: ``request`` is a whole request, or the handshake's when ``websocket`` is set.

    ``rate`` is per second over all connections; ``seconds`` is how long arrivals go on.
    """

    port: int
    request: str
    rate: float
    seconds: float
    connections: int = 64
    websocket: bool = False
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. Latencies are milliseconds; ``lag`` is the p99 of the generator's own lateness.

    ``queued`` counts the arrivals that found every connection busy.
    """

    sent: int
    answered: int
    errors: int
    seconds: float
    p50: float
    p99: float
    lag: float
    queued: int

    @property
    def trouble(self) -> str:
        """Say why the run counts for nothing, or nothing."""
        if self.errors:
            return f"{self.errors} answers were no success"
        if self.answered < self.sent:
            return f"{self.sent - self.answered} of {self.sent} were not answered"
        return ""


@dataclass(slots=True, eq=False)
class Connection:
    """One connection and the due times of what it has not been answered yet."""

    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    due: "deque[float]" = field(default_factory=deque)


def schedule(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the arrival times of a Poisson process, in seconds from its start."""
    draw = random.Random(seed)
    times: list[float] = []
    at = draw.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += draw.expovariate(rate)
    return times


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all do not exceed; 0 where there is none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


class Generator:
    """Runs one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.errors = self.queued = 0
        self.message = frame(MESSAGE, masked=True) if plan.websocket else plan.request.encode("latin-1")
        self.split: Callable[[bytearray], list[bool]] = _messages if plan.websocket else _answers

    def connect(self) -> None:
        """Open every connection; for WebSockets, shake hands. Raises OSError, ValueError."""
        for _ in range(self.plan.connections):
            sock = socket.create_connection(("127.0.0.1", self.plan.port), 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.plan.websocket:
                _shake_hands(sock, self.plan.request)
            sock.setblocking(False)
            connection = Connection(sock)
            self.connections[sock.fileno()] = connection
            self.idle.append(connection)
            self.poll.register(sock, select.EPOLLIN)

    def run(self) -> Report:
        """Send on schedule, and wait a while for the last answers."""
        times = schedule(self.plan.rate, self.plan.seconds, self.plan.seed)
        start, index, answered_at = time.perf_counter(), 0, 0.0
        while len(self.latencies) < len(times):
            now = time.perf_counter() - start
            while index < len(times) and times[index] <= now:
                self.lags.append(now - times[index])
                self._arrive(times[index])
                index += 1
            if now > self.plan.seconds + _GRACE or not self.connections:
                break
            wait = times[index] - (time.perf_counter() - start) if index < len(times) else 0.1
            # epoll waits whole milliseconds, select waits microseconds
            if select.select([self.poll], [], [], max(0.0, wait))[0]:
                for number, _ in self.poll.poll(0):
                    self._read(self.connections[number], start)
                answered_at = time.perf_counter() - start
        return self._report(index, answered_at)

    def _report(self, sent: int, seconds: float) -> Report:
        return Report(
            sent=sent,
            answered=len(self.latencies),
            errors=self.errors,
            seconds=seconds,
            p50=percentile(self.latencies, 0.50) * 1e3,
            p99=percentile(self.latencies, 0.99) * 1e3,
            lag=percentile(self.lags, 0.99) * 1e3,
            queued=self.queued,
        )

    def _arrive(self, due: float) -> None:
        if self.plan.websocket:
            # messages wait for no answer: each goes at once, on the connections in turn
            if not self.idle:
                self.errors += 1
                return
            connection = self.idle[0]
            self.idle.rotate(-1)
            self._send(connection, due)
        elif self.idle:
            self._send(self.idle.popleft(), due)
        else:
            self.queued += 1
            self.waiting.append(due)

    def _send(self, connection: Connection, due: float) -> None:
        connection.due.append(due)
        try:
            connection.sock.sendall(self.message)
        except OSError:
            self._lose(connection)

    def _read(self, connection: Connection, start: float) -> None:
        try:
            data = connection.sock.recv(65536)
            connection.buffer += data
            answers = self.split(connection.buffer)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data, answers = b"", []
        now = time.perf_counter() - start
        for is_good in answers:
            self.errors += not is_good
            self.latencies.append(now - connection.due.popleft())
            if not self.plan.websocket:
                if self.waiting:
                    self._send(connection, self.waiting.popleft())
                else:
                    self.idle.append(connection)
        if not data:
            self._lose(connection)

    def _lose(self, connection: Connection) -> None:
        self.errors += 1
        if self.connections.pop(connection.sock.fileno(), None) is not None:
            self.poll.unregister(connection.sock)
            connection.sock.close()
        if connection in self.idle:
            self.idle.remove(connection)


def _messages(buffer: bytearray) -> list[bool]:
    return [payload == MESSAGE for _, payload in split_frames(buffer)]


def _answers(buffer: bytearray) -> list[bool]:
    return [status == 200 for status in split_responses(buffer)]


def handshake(path: str, headers: dict[str, str]) -> str:
    """Return the request that opens a WebSocket (RFC 6455 section 4.1)."""
    fields = headers | {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": _WEBSOCKET_KEY,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n"


def _shake_hands(sock: socket.socket, request: str) -> None:
    sock.sendall(request.encode("latin-1"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = sock.recv(4096)
        if not data:
            raise ValueError("the handshake was not answered")
        answer += data
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ValueError(f"no WebSocket: {answer[:40]!r}")
    if header(answer.partition(b"\r\n\r\n")[0], b"sec-websocket-accept") != accept_key(
        _WEBSOCKET_KEY.encode()
    ):
        raise ValueError("a wrong Sec-WebSocket-Accept")


def main(file: str) -> int:
    """Run the plan in a file and print the report."""
    generator = Generator(Plan(**json.loads(Path(file).read_text())))
    try:
        generator.connect()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(generator.run())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
