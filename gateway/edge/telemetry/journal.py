"""Lines as entries of systemd's journal, by its native protocol: fields, each as bytes of any kind.

A field is ``NAME=value`` on a line; a value that holds line feeds stands behind its length instead. An entry
that is too long for a datagram goes in a sealed memory file. See systemd's JOURNAL_NATIVE_PROTOCOL.
"""

import array
import errno
import fcntl
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.config.settings.logs import SyslogSettings
from gateway.edge.telemetry.shipping import Record
from gateway.edge.telemetry.syslog import FACILITIES, flat

SOCKET: Final = "/run/systemd/journal/socket"
_NO_NAME: Final = re.compile(r"[^A-Z0-9_]")
_MOST_NAME: Final = 64
_WITHIN: Final = 5.0


def encode(record: Record, name: str, facility: str) -> bytes:
    """Return a record as the fields of an entry; what it tells has names that begin with ``GATEWAY_``."""
    fields = {
        "MESSAGE": record.line,
        "PRIORITY": str(record.severity),
        "SYSLOG_IDENTIFIER": name,
        "SYSLOG_FACILITY": str(FACILITIES[facility]),
        "SYSLOG_PID": str(os.getpid()),
    }
    for member, value in flat(record.members()).items():
        # no name begins with an underscore: those are the journal's own
        fields.setdefault(f"GATEWAY_{_NO_NAME.sub('_', member.upper())}"[:_MOST_NAME], value)
    return b"".join(_field(each, value) for each, value in fields.items())


def _field(name: str, value: str) -> bytes:
    octets = value.encode("utf-8", "backslashreplace")
    if b"\n" in octets:
        return b"%b\n%b%b\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
    return b"%b=%b\n" % (name.encode(), octets)


class JournalCarrier:
    """Sends records to the journal.

    Args:
        settings: name the program.
        facility: of the entries.
        address: the journal's socket.
    """

    def __init__(self, settings: SyslogSettings, facility: str, address: str = SOCKET) -> None:
        self._name = settings.name
        self._facility = facility
        self._address = address
        self._socket: socket.socket | None = None

    def send(self, records: Sequence[Record]) -> int:
        """Send records. Raises OSError: the first of them could not be sent."""
        for sent, record in enumerate(records):
            try:
                self._send(encode(record, self._name, self._facility))
            except OSError:
                self.close()
                if sent:
                    return sent
                raise
        return len(records)

    def _send(self, entry: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(_WITHIN)
            self._socket.connect(self._address)
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_file(self._socket, entry)

    @staticmethod
    def _send_file(to: socket.socket, entry: bytes) -> None:
        """Send a descriptor of a file in memory that nobody can change any more."""
        descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(descriptor, entry)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            to.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
        finally:
            os.close(descriptor)

    def rest(self) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def stats(self) -> Mapping[str, float]:
        """Nothing is counted."""
        return {}
