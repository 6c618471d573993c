"""One request at a time over a plain socket: for checks, transfers and connections that stay idle."""

import socket

from tests.bench.frames import split_responses


def connect(port: int) -> socket.socket:
    """Return a connection to a port of the loopback. Raises OSError."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.settimeout(30)
    return sock


def read_head(sock: socket.socket) -> tuple[bytes, int]:
    """Return a response head, and how many bytes of its body came along. Raises OSError."""
    data = b""
    while (at := data.find(b"\r\n\r\n")) < 0:
        more = sock.recv(4096)
        if not more:
            raise ConnectionError("the connection ended within a head")
        data += more
    return data[:at], len(data) - at - 4


def ask(sock: socket.socket, request: bytes) -> int:
    """Send one request and read its whole answer; return the status. Raises OSError, ValueError."""
    sock.sendall(request)
    buffer = bytearray()
    while True:
        data = sock.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed")
        buffer += data
        if statuses := split_responses(buffer):
            return statuses[0]
