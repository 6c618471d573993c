"""Thousands of slow clients, in a process of their own, which has its own limit of open files.

``python -m tests.support.slow_clients PORT`` takes a JSON list for each line and answers with a JSON value:
``["open", kind, many, address]`` with how many connections are open once that many of a kind have been added,
``["ended"]`` with how many of each kind have ended how by now, ``["ends"]`` with the same once every
connection has ended.
"""

import asyncio
import contextlib
import json
import os
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

TREE = Path(__file__).parents[2]
PATIENCE = 60.0
_TICK = 0.5
# so that the kernels of both sides hold little of what is not read: the gateway is what is under test
_LITTLE = 4096
_SEGMENT = 1400
_MOST = 65_536

_GET, _POST = b"GET %b HTTP/1.1\r\nHost: HOST\r\n%b", b"POST %b HTTP/1.1\r\nHost: HOST\r\n%b\r\n\r\n"
# what each kind begins with, and with what it goes on from time to time
KINDS = {
    "silent": (b"", b""),
    "beyond": (b"", b""),
    "head": (_GET % (b"/public/head", b"X-Slow: "), b"a"),
    "fat head": (_GET % (b"/public/fat", b"X-Slow: " + b"a" * 30_000), b"a"),
    "short body": (_POST % (b"/public/short", b"Content-Length: 60000") + b"x" * 1000, b"x"),
    "body": (_POST % (b"/public/body", b"Content-Length: 100000") + b"x" * 1000, b"x"),
    "chunked": (_POST % (b"/public/chunked", b"Transfer-Encoding: chunked") + b"ffff\r\nx", b"x"),
    "refused": (_POST % (b"/guarded", b"Content-Length: 1000") + b"x", b"x"),
    "unread": (_GET % (b"/public/endless", b"\r\n"), b""),
}


class Slow:
    """One connection: what came on it, and how it ended once it has."""

    def __init__(self, kind: str, port: int, address: str) -> None:
        self.kind = kind
        start, self.drop = KINDS[kind]
        self.came = b""
        self.socket = socket.socket()
        if kind == "unread":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        # whoever is turned away at once may be cut off already
        with contextlib.suppress(OSError):
            self.socket.sendall(start.replace(b"HOST", b"localhost:%d" % port))
        self.socket.setblocking(False)

    def trickle(self) -> None:
        """Send one byte more, where there is anything to go on with."""
        if self.drop:
            with contextlib.suppress(OSError):
                self.socket.send(self.drop)

    def read(self) -> str | None:
        """Take what there is; return how it ended (``408 closed``, ``reset``), None while it goes on."""
        try:
            data = self.socket.recv(_MOST)
        except BlockingIOError:
            return None
        except OSError:
            end = "reset"
        else:
            # no more than tells the status: much of the rest is padding
            self.came = self.came or data[:12]
            if data:
                return None
            end = "closed"
        self.socket.close()
        return f"{self.came[9:].decode()} {end}".strip()


class Crowd:
    """All of them, and when each is to be heard."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open: dict[int, Slow] = {}
        self.ends: dict[str, Counter[str]] = {}
        self.poll = select.epoll()
        self.trickled = time.monotonic()

    def more(self, kind: str, many: int, address: str) -> int:
        """Connect; return how many are open."""
        for _ in range(many):
            slow = Slow(kind, self.port, address)
            self.open[slow.socket.fileno()] = slow
            if kind != "unread":
                self.poll.register(slow.socket, select.EPOLLIN)
            self.turn(0)
        return len(self.open)

    def turn(self, wait: float) -> None:
        """Trickle if it is time, and take what comes within ``wait`` seconds."""
        if time.monotonic() - self.trickled > _TICK:
            for slow in self.open.values():
                slow.trickle()
            self.trickled = time.monotonic()
        for number, _ in self.poll.poll(wait):
            if number in self.open and (end := self.open[number].read()) is not None:
                self.ends.setdefault(self.open.pop(number).kind, Counter())[end] += 1

    def last(self) -> dict[str, Counter[str]]:
        """Read all that there is to read, wait for every end, and tell of them."""
        for slow in self.open.values():
            if slow.kind == "unread":
                self.poll.register(slow.socket, select.EPOLLIN)
        until = time.monotonic() + PATIENCE
        while self.open and time.monotonic() < until:
            self.turn(_TICK)
        for slow in self.open.values():
            self.ends.setdefault(slow.kind, Counter())["open"] += 1
        return self.ends

    def serve(self) -> None:
        """Do as told on stdin until it ends."""
        orders = sys.stdin.fileno()
        self.poll.register(orders, select.EPOLLIN)
        while True:
            self.turn(_TICK)
            if not select.select([orders], [], [], 0)[0]:
                continue
            # there is one order at a time: the next comes after the answer
            line = os.read(orders, _MOST)
            if not line:
                return
            order, *words = json.loads(line)
            answers: dict[str, Callable[..., Any]] = {
                "open": self.more,
                "ended": lambda: self.ends,
                "ends": self.last,
            }
            answer = answers[order](*words)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


class SlowClients:
    """The test's end: an asynchronous context manager around that process."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.slow_clients", str(self.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=TREE,
        )  # fmt: skip
        return self

    async def open(self, kind: str, many: int, address: str) -> None:
        """Connect so many clients of a kind; they stay, and trickle."""
        await self._ask(["open", kind, many, address])

    async def ends(self) -> dict[str, dict[str, int]]:
        """Wait until every connection has ended; return by kind how many ended how."""
        found: dict[str, dict[str, int]] = await self._ask(["ends"])
        return found

    async def ended(self) -> dict[str, dict[str, int]]:
        """Return by kind how many have ended how by now."""
        found: dict[str, dict[str, int]] = await self._ask(["ended"])
        return found

    async def _ask(self, order: Sequence[Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        line = await self.process.stdout.readline()
        assert line, "the process of the slow clients has ended"
        return json.loads(line)

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


if __name__ == "__main__":
    Crowd(int(sys.argv[1])).serve()
