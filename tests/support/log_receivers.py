"""What takes logs in tests: sockets, and readings of RFC 5424 and of the journal's protocol."""

import array
import os
import re
import socket
import ssl
from pathlib import Path
from typing import Any

# RFC 5424 section 6, as its grammar has it
HEADER = re.compile(
    rb"<(?P<pri>0|[1-9][0-9]{0,2})>(?P<version>[1-9][0-9]?) "
    rb"(?P<time>-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    rb"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    rb"(?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
)
ELEMENT = re.compile(
    rb"\[(?P<id>[!#-<>-\\^-~]{1,32})(?P<params>(?: [!#-<>-\\^-~]{1,32}=\"(?:[^\"\\\]]|\\.)*\")*)\]"
)
PARAM = re.compile(rb" (?P<name>[!#-<>-\\^-~]{1,32})=\"(?P<value>(?:[^\"\\\]]|\\.)*)\"")


def read_syslog(message: bytes) -> dict[str, Any]:
    """Return the parts of a message; raises AssertionError where it is none of RFC 5424."""
    head = HEADER.match(message)
    assert head is not None, message
    found: dict[str, Any] = {name: value.decode() for name, value in head.groupdict().items()}
    number = int(found.pop("pri"))
    assert number <= 191
    found |= {"facility": number // 8, "severity": number % 8, "data": {}}
    at = head.end()
    if message[at : at + 1] == b"-":
        at += 1
    else:
        assert message[at : at + 1] == b"["
        while (element := ELEMENT.match(message, at)) is not None:
            params = {
                each["name"].decode(): re.sub(rb"\\([\"\\\]])", rb"\1", each["value"]).decode()
                for each in PARAM.finditer(element["params"])
            }
            assert element["id"].decode() not in found["data"]
            found["data"][element["id"].decode()] = params
            at = element.end()
    assert message[at : at + 1] in (b" ", b"")
    found["message"] = message[at + 1 :].decode("utf-8")
    return found


def read_journal(entry: bytes) -> dict[str, bytes]:
    """Return the fields of an entry of the journal's native protocol."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(entry):
        end = entry.index(b"\n", at)
        name, sign, value = entry[at:end].partition(b"=")
        at = end + 1
        if not sign:
            size = int.from_bytes(entry[at : at + 8], "little")
            value = entry[at + 8 : at + 8 + size]
            at += 8 + size
            assert entry[at : at + 1] == b"\n"
            at += 1
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), name
        assert name.decode() not in found
        found[name.decode()] = value
    return found


class Datagrams:
    """Takes datagrams on a Unix socket or UDP; descriptors that come with one are read instead of it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(str(path) if path else ("127.0.0.1", 0))
        self.socket.settimeout(10)

    @property
    def address(self) -> str:
        """What to configure."""
        return f"unix:{self.path}" if self.path else f"udp://127.0.0.1:{self.socket.getsockname()[1]}"

    def take(self) -> bytes:
        """Return the next one."""
        data, more, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(array.array("i").itemsize))
        for level, kind, raw in more:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            (descriptor,) = array.array("i", raw)
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                return file.read()
        return data

    def close(self) -> None:
        """Close it, and remove its name."""
        self.socket.close()
        if self.path:
            self.path.unlink(missing_ok=True)


class Streams:
    """Takes messages by TCP or TLS, each behind its length (RFC 6587 section 3.4.1)."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(10)
        self.connection: socket.socket | None = None
        self.buffer = b""

    @property
    def address(self) -> str:
        """What to configure."""
        return f"{'tls' if self.context else 'tcp'}://localhost:{self.listener.getsockname()[1]}"

    def take(self) -> bytes:
        """Return the next one."""
        if self.connection is None:
            taken, _ = self.listener.accept()
            taken.settimeout(10)
            self.connection = self.context.wrap_socket(taken, server_side=True) if self.context else taken
        while True:
            size, space, rest = self.buffer.partition(b" ")
            if space and len(rest) >= int(size):
                assert size.isdigit()
                assert not size.startswith(b"0")
                self.buffer = rest[int(size) :]
                return rest[: int(size)]
            data = self.connection.recv(65536)
            assert data, "the connection has ended"
            self.buffer += data

    def hang_up(self) -> None:
        """End the connection; the next message comes by another."""
        if self.connection is not None:
            self.connection.close()
            self.connection, self.buffer = None, b""

    def close(self) -> None:
        """Close everything."""
        self.hang_up()
        self.listener.close()
