"""Getting log lines out of the process without ever holding up the event loop."""

import asyncio
import os
import select
import stat
import time
from collections import deque
from collections.abc import Mapping
from typing import Final


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


# what is more than information, by the prefixes that the journal takes off again (sd-daemon(3))
_PRIORITIES: Final[Mapping[str, str]] = {"warning": "<4>", "error": "<3>"}
_NONE: Final[Mapping[str, str]] = {}


def _is_journal(descriptor: int) -> bool:
    """Tell whether what is written there goes to systemd's journal (systemd.exec(5))."""
    told = os.environ.get("JOURNAL_STREAM", "")
    try:
        about = os.fstat(descriptor)
    except OSError:
        return False
    return bool(told) and told == f"{about.st_dev}:{about.st_ino}"


class Writer:
    """Writes whole lines to a file descriptor from the event loop without ever waiting for it.

    Lines are gathered and go out when there are ``BATCH`` bytes of them or after ``PAUSE`` seconds. Each
    write holds whole lines and at most ``PIPE_BUF`` bytes: the kernel does not interleave those of several
    workers on one pipe, and a pipe that polls as writable takes them at once (pipe(7)). Only a line that is
    longer than that goes in pieces. A regular file takes a whole batch in one write. A reader that stalls
    makes lines wait, up to ``MOST`` bytes; beyond that the newest are dropped and counted.
    """

    BATCH = 65_536
    PAUSE = 0.1
    MOST = 4 << 20
    CLOSE_WAIT = 1.0

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._most = self.BATCH if _is_file(descriptor) else select.PIPE_BUF
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._prefixes = _PRIORITIES if _is_journal(descriptor) else _NONE
        self._lines: list[str] = []
        self._open = 0
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._due = self.BATCH
        self._timer: asyncio.TimerHandle | None = None
        self._unreported = 0
        self.dropped = 0

    def write(self, line: str) -> None:
        """Take one ASCII line."""
        size = self._open + len(line) + 1
        if size > self._most:
            self._seal()
            size = len(line) + 1
        self._lines.append(line)
        self._open = size
        if self._timer is None:
            self._schedule()

    def tell(self, level: str, event: str, line: str) -> None:  # noqa: ARG002 - a sink's
        """Take one ASCII line that is no access line."""
        self.write(self._prefixes.get(level, "") + line)

    def flush(self) -> None:
        """Write what the descriptor takes now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._seal()
        self._drain(0)
        self._due = self._held + self.BATCH
        if self._chunks:
            self._schedule()

    def close(self) -> None:
        """Write what is held, waiting for a slow reader for at most ``CLOSE_WAIT`` seconds."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._seal()
        end = time.monotonic() + self.CLOSE_WAIT
        while self._chunks and (left := end - time.monotonic()) > 0:
            self._drain(int(left * 1000) + 1)
        self._drop_chunks()

    def stats(self) -> Mapping[str, float]:
        """Return how many lines were dropped and how many bytes wait."""
        return {"dropped_lines_total": float(self.dropped), "waiting_bytes": float(self._held + self._open)}

    @property
    def trouble(self) -> str | None:
        """A reader that stalls is seen by what waits."""
        return None

    def _schedule(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # before the loop runs, or after: there is nothing to hold up
            if not self._chunks:
                self.flush()
            return
        self._timer = loop.call_later(self.PAUSE, self.flush)

    def _seal(self) -> None:
        """Make one chunk of the gathered lines, and write when there is a batch of chunks."""
        lines, size = self._lines, self._open
        if not lines:
            return
        self._lines, self._open = [], 0
        if self._held + size > self.MOST:
            self._drop(len(lines))
            return
        if self._unreported:
            lines.insert(0, f'{{"level":"warning","event":"log_lines_dropped","count":{self._unreported}}}')
            self._unreported = 0
        lines.append("")
        chunk = "\n".join(lines).encode("ascii", "backslashreplace")
        self._chunks.append(chunk)
        self._held += len(chunk)
        if self._held >= self._due:
            self._drain(0)
            self._due = self._held + self.BATCH

    def _drain(self, patience: int) -> None:
        """Write chunks while the descriptor polls as writable; ``patience`` is in milliseconds."""
        while self._chunks:
            try:
                if not self._poll.poll(patience):
                    return
                written = os.write(self._descriptor, self._chunks[0][: self._most])
            except BlockingIOError:
                return
            except OSError:
                # nobody reads any more (EPIPE, EBADF, ENOSPC): what waits can go nowhere
                self._drop_chunks()
                return
            chunk = self._chunks.popleft()
            self._held -= written
            if written < len(chunk):
                self._chunks.appendleft(chunk[written:])

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._unreported += lines

    def _drop_chunks(self) -> None:
        self._drop(sum(chunk.count(b"\n") for chunk in self._chunks))
        self._chunks.clear()
        self._held = 0
