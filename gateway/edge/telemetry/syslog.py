"""Lines as syslog messages (RFC 5424), by Unix socket, UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425)."""

import errno
import os
import re
import socket
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Final, Protocol
from urllib.parse import urlsplit

from gateway.config.settings.logs import SyslogSettings
from gateway.edge.telemetry.shipping import Record, iso

FACILITIES: Final[Mapping[str, int]] = {
    **{name: number for number, name in enumerate(("kern", "user", "mail", "daemon", "auth", "syslog"))},
    "authpriv": 10,
    **{f"local{number}": 16 + number for number in range(8)},
}
_MOST_NUMBER: Final = 2_147_483_647
_WITHIN: Final = 5.0
_SHORTER: Final = 2_000
# so that not even the shortest message is cut within it
_MOST_DATA: Final = 1_400
_NO_ASCII: Final = re.compile(r"[^!-~]")
_NO_NAME: Final = re.compile(r"[^!#-<>-\\^-~]")
_NO_PRINT: Final = re.compile(r"[^ -~]")
_SPECIAL: Final = re.compile(r'["\\\]]')
_MOST_PARAMETERS: Final = 32


class Formatter:
    """Writes records as messages of RFC 5424.

    Args:
        settings: name the program, the facility and the structured data.
        facility: of the messages.
        worker: the number of the worker.
    """

    def __init__(self, settings: SyslogSettings, facility: str, worker: int | None) -> None:
        self._facility = FACILITIES[facility] * 8
        self._sd_id = settings.sd_id
        host = _NO_ASCII.sub("?", socket.gethostname())[:255] or "-"
        name = _NO_ASCII.sub("?", settings.name)[:48]
        number = os.getpid()
        self._from = f"{host} {name} {number if worker is None else f'{number}.{worker}'}"
        self._most = settings.most
        self._number = 0
        self.cut = 0

    def message(self, record: Record) -> bytes:
        """Return the message; one that is too long loses its end."""
        self._number = self._number % _MOST_NUMBER + 1
        event = _NO_ASCII.sub("?", record.event)[:32] or "-"
        at = iso(record.time)
        head = f"<{self._facility + record.severity}>1 {at} {self._from} {event}"
        head += f' [meta sequenceId="{self._number}"]'
        if self._sd_id is not None:
            head += self._structured(record, min(self._most - len(head) - 1, _MOST_DATA))
        head += " "
        made = (head + record.line).encode("ascii", "backslashreplace")
        if len(made) > self._most:
            self.cut += 1
        return made[: self._most]

    def _structured(self, record: Record, room: int) -> str:
        """Return what the record tells as an element of structured data (section 6.3), in so many bytes.

        A client chooses how long some of it is: what has no room is left out, and the line has it all.
        """
        element = f"[{self._sd_id}"
        for name, value in list(flat(record.members()).items())[:_MOST_PARAMETERS]:
            told = f' {_NO_NAME.sub("_", name)[:32]}="{_escaped(value)}"'
            if len(element) + len(told) < room:
                element += told
        return f"{element}]" if len(element) < room else ""


def flat(members: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return members as texts; those of an object have dots, and a list is JSON."""
    found: dict[str, str] = {}
    for name, value in members.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            found[prefix + name] = value
        elif value is not None:
            found[prefix + name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _escaped(value: str) -> str:
    # control characters and what is not ASCII as in JSON, and then as section 6.3.3 has it
    plain = _NO_PRINT.sub(lambda match: quote(match[0])[1:-1], value)
    return _SPECIAL.sub(r"\\\g<0>", plain)


class Transport(Protocol):
    """Carries messages, one at a time."""

    def send(self, message: bytes) -> None:
        """Send one. Raises OSError."""

    def close(self) -> None:
        """Close the connection; the next message opens another."""


class Datagrams:
    """A Unix datagram socket, or UDP: a message each."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> None:
        """Send one; one that is too long for the socket is cut once more. Raises OSError."""
        if self._socket is None:
            self._socket = self._open()
        try:
            self._socket.send(message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._socket.send(message[:_SHORTER])

    def _open(self) -> socket.socket:
        if self._address.startswith("unix:"):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            where: str | tuple[object, ...] = self._address.removeprefix("unix:")
        else:
            parts = urlsplit(self._address)
            family, kind, protocol, _, where = socket.getaddrinfo(
                parts.hostname, parts.port or 514, type=socket.SOCK_DGRAM
            )[0]
            made = socket.socket(family, kind, protocol)
        made.settimeout(_WITHIN)
        try:
            made.connect(where)
        except OSError:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Stream:
    """TCP or TLS, each message behind its length (octet counting, RFC 6587 section 3.4.1, RFC 5425)."""

    def __init__(self, address: str, ca_file: str | None) -> None:
        self._parts = urlsplit(address)
        self._ca_file = ca_file
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> None:
        """Send one. Raises OSError."""
        if self._socket is None:
            self._socket = self._open()
        self._socket.sendall(b"%d %b" % (len(message), message))

    def _open(self) -> socket.socket:
        host, tls = self._parts.hostname or "", self._parts.scheme == "tls"
        port = self._parts.port or (6514 if tls else 601)
        made = socket.create_connection((host, port), _WITHIN)
        if not tls:
            return made
        from gateway.http.client_tls import client_context  # noqa: PLC0415 - few want it

        try:
            return client_context(self._ca_file).wrap_socket(made, server_hostname=host)
        except OSError:
            made.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class SyslogCarrier:
    """Sends records to a syslog daemon."""

    def __init__(self, settings: SyslogSettings, facility: str, worker: int | None) -> None:
        self._formatter = Formatter(settings, facility, worker)
        is_stream = settings.address.startswith(("tcp://", "tls://"))
        self._transport: Transport = (
            Stream(settings.address, settings.ca_file) if is_stream else Datagrams(settings.address)
        )
        # made once: another attempt sends the very same one
        self._made: tuple[Record, bytes] | None = None

    def send(self, records: Sequence[Record]) -> int:
        """Send records. Raises OSError: the first of them could not be sent."""
        for sent, record in enumerate(records):
            if self._made is None or self._made[0] is not record:
                self._made = record, self._formatter.message(record)
            try:
                self._transport.send(self._made[1])
            except OSError:
                self._transport.close()
                if sent:
                    return sent
                raise
        return len(records)

    def rest(self) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def stats(self) -> Mapping[str, float]:
        """Return how many messages were cut."""
        return {"cut_lines_total": float(self._formatter.cut)}
