"""The second upstream: echoes WebSocket messages and swallows uploads, as cheaply as Python can.

``python -m tests.bench.auxiliary PORT``. One thread, one epoll; it shares the generator's core.
"""

import contextlib
import select
import socket
import sys
from dataclasses import dataclass, field

from tests.bench.frames import accept_key, frame, split_frames
from tests.bench.frames import field as header

_CHUNK = 1 << 20
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_LENGTH_REQUIRED = b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n"
_CLOSE, _PING = 8, 9


@dataclass(slots=True)
class Connection:
    """One connection: in a head, in a body of ``left`` bytes, or in a WebSocket."""

    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    left: int = 0
    is_websocket: bool = False


def serve(port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    scratch = bytearray(_CHUNK)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    sock, _ = listener.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections[sock.fileno()] = Connection(sock)
                    poll.register(sock, select.EPOLLIN)
                continue
            connection = connections[number]
            try:
                is_open = readable(connection, scratch)
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                is_open = False
            if not is_open:
                poll.unregister(number)
                del connections[number]
                connection.sock.close()


def readable(connection: Connection, scratch: bytearray) -> bool:
    """Take what has arrived; return whether the connection goes on."""
    sock = connection.sock
    if connection.left:
        # Linux discards the bytes of a stream without copying them: the sink must not be the bottleneck
        count = sock.recv_into(scratch, min(connection.left, _CHUNK), socket.MSG_TRUNC)
        connection.left -= count
        if count and not connection.left:
            sock.sendall(_OK)
        return count > 0
    data = sock.recv(65536)
    if not data:
        return False
    connection.buffer += data
    if connection.is_websocket:
        return _echo(connection)
    end = connection.buffer.find(b"\r\n\r\n")
    if end < 0:
        return len(connection.buffer) < 65536
    head = bytes(connection.buffer[:end])
    del connection.buffer[: end + 4]
    return _begin(connection, head)


def _begin(connection: Connection, head: bytes) -> bool:
    key = header(head, b"sec-websocket-key")
    if key is not None:
        connection.sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
        )
        connection.is_websocket = True
        return _echo(connection)
    length = header(head, b"content-length") or (b"0" if head.startswith(b"GET ") else b"")
    if not length.isdigit():
        connection.sock.sendall(_LENGTH_REQUIRED)
        return False
    connection.left = int(length) - len(connection.buffer)
    connection.buffer.clear()
    if connection.left <= 0:
        connection.sock.sendall(_OK)
        return connection.left == 0
    return True


def _echo(connection: Connection) -> bool:
    answer = bytearray()
    is_open = True
    for opcode, payload in split_frames(connection.buffer):
        if opcode == _CLOSE:
            is_open = False
        answer += b"\x8a\x00" if opcode == _PING else frame(payload, masked=False)
    if answer:
        connection.sock.sendall(answer)
    return is_open


if __name__ == "__main__":
    serve(int(sys.argv[1]))
