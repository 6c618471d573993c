"""The audit log as a file of its own: chained lines, appended whole, by several processes at once.

Each write appends whole lines (O_APPEND), so that processes do not tear each other's. Where the disk takes
only a part of one, the next write begins on a line of its own, with the torn line once more, whole; what is
left of the torn one is no event. A file that was moved away or removed is opened anew under its name.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.core.audit.chain import Anchor, Chain
from gateway.core.audit.lines import MOST_LINE, link
from gateway.edge.telemetry.shipping import Record, iso
from gateway.syntax.encoding import parse_object

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_SYNC_EVERY: Final = 1.0
_MOST_WRITE: Final = 65_536
# bytes that the links add to a line, at most
_LINKS: Final = 1_024


def open_file(path: str) -> int:
    """Open an audit file to append, mode 0600 where it is made; return its descriptor.

    Raises:
        OSError: it cannot be opened, or is none that this user alone may write: a link, a pipe, a directory,
            a device, somebody else's, or one that others may write.
    """
    try:
        descriptor = os.open(path, _FLAGS, 0o600)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.EINVAL, "it is no regular file", path) from None
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", path) from None
        raise
    about = os.fstat(descriptor)
    wrong = None
    if not stat.S_ISREG(about.st_mode):
        wrong = "it is no regular file"
    elif about.st_uid != os.geteuid():
        wrong = "it belongs to another user"
    elif about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = "others may write to it"
    elif about.st_nlink > 1:
        wrong = "it has other names as well (hard links)"
    if wrong is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, wrong, path)
    return descriptor


class AuditFile:
    """Appends records to a file, as a chain.

    Args:
        path: of the file.
        chain: begins with this process.
        sync: when it is forced to disk: ``never``, ``second`` or ``each``.
        draw: returns so many random bytes.

    Raises:
        OSError: see ``open_file``.
    """

    def __init__(self, path: str, chain: Chain, sync: str, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._path = path
        self._chain = chain
        self._sync = sync
        self._draw = draw
        self._descriptor = open_file(path)
        self._waiting: list[tuple[bytes, Anchor]] = []
        self._count = 0
        self._is_torn = False
        self._is_dirty = False
        self._is_unforced = False
        self._synced_at = time.monotonic()
        self.anchor: Anchor | None = None
        """The last line that the file has taken."""

    def send(self, records: Sequence[Record]) -> int:
        """Append records. Raises OSError: the file does not take them; they are linked and wait."""
        if not self._waiting and not self._is_unforced:
            self._waiting = [self._linked(each) for each in records]
            self._count = len(records)
        self._reopen_if_moved()
        while self._waiting:
            self._append()
        # what was written is not written again because it cannot be forced
        self._is_unforced = self._sync == "each"
        if self._is_unforced:
            self._force()
            self._is_unforced = False
        return self._count

    def _linked(self, record: Record) -> tuple[bytes, Anchor]:
        members = parse_object(record.line.encode(), MOST_LINE - _LINKS)
        if members is None:
            # no line that anybody could verify: the chain says that there was one
            members = {"time": iso(record.time), "level": "info", "event": "audit_lost", "count": 1}
        line = link(self._chain, members, self._draw(16).hex())
        return f"{line}\n".encode(), self._chain.anchor()

    def _append(self) -> None:
        """Write as many lines at once as go into one write; the disk may take less. Raises OSError."""
        lines, size = 0, 0
        for line, _ in self._waiting:
            if lines and size + len(line) > _MOST_WRITE:
                break
            lines, size = lines + 1, size + len(line)
        data = b"".join(line for line, _ in self._waiting[:lines])
        lead = b"\n" if self._is_torn else b""
        written = os.write(self._descriptor, lead + data) - len(lead)
        self._is_dirty = True
        if written >= 0:
            self._is_torn = written > data[:written].rfind(b"\n") + 1
        whole = data[: max(written, 0)].count(b"\n")
        if whole:
            self.anchor = self._waiting[whole - 1][1]
            del self._waiting[:whole]

    def _reopen_if_moved(self) -> None:
        about = os.fstat(self._descriptor)
        try:
            named = os.lstat(self._path)
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (about.st_dev, about.st_ino):
            opened = open_file(self._path)
            self._force()
            os.close(self._descriptor)
            self._descriptor, self._is_torn = opened, False

    def rest(self) -> None:
        """Force what was written to disk, if that is due. Raises OSError."""
        if self._sync == "second" and time.monotonic() - self._synced_at >= _SYNC_EVERY:
            self._force()

    def _force(self) -> None:
        if self._is_dirty and self._sync != "never":
            os.fsync(self._descriptor)
            self._is_dirty = False
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        try:
            self._force()
        finally:
            os.close(self._descriptor)

    def stats(self) -> Mapping[str, float]:
        """Nothing is counted here."""
        return {}
