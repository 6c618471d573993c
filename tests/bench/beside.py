"""Start what answers first, wait until it listens, then become what asks it: two as one process tree.

beside.py PORT FIRST... -- SECOND...
"""

import os
import socket
import subprocess
import sys
import time

PATIENCE = 15.0


def listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until a port of the loopback takes connections; tell whether it does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def main(port: str, *commands: str) -> None:
    """Run both; returns only where the first does not listen."""
    middle = commands.index("--")
    if listens(int(port), subprocess.Popen(commands[:middle])):
        os.execv(commands[middle + 1], commands[middle + 1 :])  # noqa: S606 - one process tree, without a shell


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.exit(1)
