"""The player: it plays the scripts of connections from a file, a closed loop as cheap as Python can.

``python -m tests.bench.player FILE PORT SECONDS LANES [PACE]`` loads the requests that ``save`` wrote, says
``ready``, begins at the next line of its input, and prints a report (JSON of ``Report``). Each lane is a
connection at a time: it sends a request, reads the whole answer, sends the next; at the end of a script it
closes the connection, and takes the next script. After the time, or where a lane finds no script any more,
no request is sent; those under way are waited for. One thread, one epoll; all bytes stand ready beforehand.

An answer must have the status and the length that the script says. Its body is not copied.
"""

import contextlib
import gc
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.visits import ORIGIN_PORT, Ask, Script

_FIRST = 4096
_MOST_HEAD = 65536
_PATIENCE = 5.0
_REST = 1 << 20
_SEND_TIME_OUT = struct.pack("ll", int(_PATIENCE), 0)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. ``trouble`` says what was wrong first; ``seconds`` go to the last answer."""

    answered: int
    connections: int
    seconds: float
    trouble: str = ""


def save(file: Path, scripts: Iterable[Script]) -> int:
    """Write scripts: the requests end to end in FILE, what belongs to each in FILE.json; return how many."""
    index: list[list[tuple[int, int, int]]] = []
    with file.open("wb") as out:
        for script in scripts:
            out.write(b"".join(ask.data for ask in script))
            index.append([(len(ask.data), ask.status, ask.length) for ask in script])
    file.with_suffix(".json").write_text(json.dumps(index))
    return sum(map(len, index))


def load(file: Path, port: int) -> list[Script]:
    """Return the scripts in a file, for a proxy's port.

    Raises:
        ValueError: the port has not as many digits as what stands for it.
    """
    digits = str(port)
    if len(digits) != len(ORIGIN_PORT):
        raise ValueError(f"a port of {len(ORIGIN_PORT)} digits is needed, not {port}")
    data = file.read_bytes().replace(ORIGIN_PORT.encode(), digits.encode())
    at, scripts = 0, list[Script]()
    for lengths in json.loads(file.with_suffix(".json").read_text()):
        script: Script = []
        for size, status, length in lengths:
            script.append(Ask(data[at : at + size], status, length))
            at += size
        scripts.append(script)
    return scripts


class Trouble(Exception):  # noqa: N818 - what the report then says, not a failure of the player
    """An answer that is not what it must be."""


class Lane:
    """One connection at a time, and the request that waits for its answer; ``left`` bytes of it are due."""

    __slots__ = ("ask", "asks", "head", "left", "receive", "receive_into", "send", "sock")

    def __init__(self, sock: socket.socket, asks: Iterator[Ask]) -> None:
        self.sock = sock
        self.asks = asks
        self.send, self.receive, self.receive_into = sock.send, sock.recv, sock.recv_into
        self.head = b""
        self.left = 0
        self.ask = next(asks)
        self.put(self.ask.data)

    def put(self, data: bytes) -> None:
        """Send a request: it fits into the socket's buffer."""
        if self.send(data) != len(data):
            raise Trouble("a request did not fit into the socket's buffer")

    def is_done(self, scratch: bytearray) -> bool:
        """Take what has arrived; return whether the answer is whole. Raises Trouble, OSError."""
        left = self.left
        if not left:
            data = self.receive(_FIRST)
            is_more = len(data) == _FIRST
            if not data:
                raise Trouble("the connection was closed")
            if self.head:
                data = self.head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _MOST_HEAD:
                    raise Trouble("an answer's head does not end")
                self.head = data
                return False
            self.head = b""
            _, status, length = self.ask
            if data[9:12] != b"%d" % status:
                raise Trouble(f"{data[:40]!r} instead of {status} for {self.ask.data[:80]!r}")
            left = (length if length >= 0 else length_of(data[:end])) - (len(data) - end - 4)
            if left < 0:
                raise Trouble(f"{-left} bytes too many for {self.ask.data[:80]!r}: {data[:end]!r}")
            if not is_more:
                self.left = left
                return not left
        with contextlib.suppress(BlockingIOError):
            # Linux discards the bytes of a stream without copying them
            count = self.receive_into(scratch, left, socket.MSG_TRUNC | socket.MSG_DONTWAIT)
            if not count:
                raise Trouble("the connection was closed within an answer")
            left -= count
        self.left = left
        return not left


def length_of(head: bytes) -> int:
    """Return the Content-Length of an answer. Raises Trouble: it has none."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    raise Trouble("an answer without Content-Length")


class Player:
    """Plays scripts against a port; ``pace`` is how many connections it begins in a second at most, 0 any."""

    def __init__(self, scripts: Iterable[Script], port: int, lanes: int, pace: float = 0.0) -> None:
        self.scripts = iter(scripts)
        self.address = "127.0.0.1", port
        self.lanes: dict[int, Lane] = {}
        self.free = lanes
        self.poll = select.epoll()
        self.answered = self.connections = 0
        self.is_over = False
        self.gap = 1 / pace if pace else 0.0
        self.due = 0.0

    def run(self, seconds: float) -> Report:
        """Play for some seconds at most."""
        trouble, began = "", time.perf_counter()
        self.due = began
        try:
            self._play(began + seconds)
        except (Trouble, OSError) as error:
            trouble = str(error) or type(error).__name__
        took = time.perf_counter() - began
        for lane in self.lanes.values():
            lane.sock.close()
        return Report(self.answered, self.connections, took, trouble)

    def _play(self, ends: float) -> None:
        poll, scratch, clock = self.poll.poll, bytearray(_REST), time.perf_counter
        while True:
            now = clock()
            if now > ends:
                self.is_over = True
            while self.free and not self.is_over and self.due <= now:
                self._open()
            if not self.lanes and self.is_over:
                return
            # those that are free wait for their turn, the others for answers
            events = poll(max(0.0, self.due - now) if self.free and not self.is_over else _PATIENCE)
            if not events and self.lanes and clock() - now >= _PATIENCE:
                ask = next(iter(self.lanes.values())).ask
                raise Trouble(f"no answer for {_PATIENCE:.0f} s to {ask.data[:80]!r}")
            for number, _ in events:
                self._advance(number, scratch)

    def _advance(self, number: int, scratch: bytearray) -> None:
        lane = self.lanes[number]
        if not lane.is_done(scratch):
            return
        self.answered += 1
        ask = None if self.is_over else next(lane.asks, None)
        if ask is None:
            # closing takes it out of the epoll as well
            self.lanes.pop(number).sock.close()
            self.free += 1
        else:
            lane.ask = ask
            lane.put(ask.data)

    def _open(self) -> None:
        script = next(self.scripts, None)
        if script is None:
            self.is_over = True
            return
        self.free -= 1
        self.connections += 1
        self.due += self.gap
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # bounds the connecting as well, which on the loopback waits for nobody
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIME_OUT)
        sock.connect(self.address)
        self.lanes[sock.fileno()] = Lane(sock, iter(script))
        self.poll.register(sock, select.EPOLLIN)


def main(file: str, port: str, seconds: str, lanes: str, pace: str = "0") -> int:
    """Play a file and print the report; go on once the input has a line, end at its end."""
    player = Player(load(Path(file), int(port)), int(port), int(lanes), float(pace))
    # nothing that is made from here on has cycles
    gc.disable()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        return 1
    sys.stdout.write(json.dumps(asdict(player.run(float(seconds)))) + "\n")
    sys.stdout.flush()
    # its CPU is read from /proc: it stays until that is done
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
