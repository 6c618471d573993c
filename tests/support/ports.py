"""Ports for listeners that are named before they are opened.

A port that the kernel hands out (bind to 0) may go to somebody else between the moment it is read and
the moment it is bound: to a listener of another test process, or to any outgoing connection. These come
from below the ephemeral range, and a process takes whole blocks of them that no other process takes.
"""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_240
_BLOCK = 256
_taken: dict[int, tuple[socket.socket, Iterator[int]]] = {}


def free_port() -> int:
    """Return a TCP port of the loopback that nothing else in any test process is given."""
    if (held := _taken.get(os.getpid())) is None:
        held = _taken[os.getpid()] = _reserve()
    for port in itertools.islice(held[1], _BLOCK):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is left in this process's block")


def _reserve() -> tuple[socket.socket, Iterator[int]]:
    """Take a block: whoever has bound the Unix socket of its name owns it while the process lives."""
    lowest = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    for start in range(_FIRST, lowest - _BLOCK, _BLOCK):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0token-gateway-test-ports-{start}")
        except OSError:
            lock.close()
        else:
            return lock, itertools.cycle(range(start, start + _BLOCK))
    raise RuntimeError(f"no block of ports is free below {lowest}")
