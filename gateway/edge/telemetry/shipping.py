"""A thread that takes lines to where they go, so that the event loop waits for no disk and no network.

What is handed over is queued, up to a bound; beyond it the newest is dropped and counted, and a line
``log_lines_dropped`` with the ``count`` follows once there is room. What could not be sent is sent again, in
its order, until it is taken.
"""

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

MOST_RECORDS: Final = 20_000
MOST_BYTES: Final = 8 << 20
"""What waits at most, in lines and in their bytes."""
CLOSE_WITHIN: Final = 2.0
GATHER: Final = 0.05
_IDLE: Final = 1.0
_FIRST_PAUSE: Final = 0.05
_MOST_PAUSE: Final = 1.0
_BATCH: Final = 256
_NO_AUDIT: Final = frozenset({"request", "message", "error", "log_lines_dropped"})


class Record(NamedTuple):
    """A line on its way: when it was written (epoch seconds), how severe it is, what it tells of."""

    time: float
    level: str
    event: str
    line: str

    @property
    def severity(self) -> int:
        """Its severity (RFC 5424 section 6.2.1): audit events are notices."""
        if self.level == "info":
            return 6 if self.event in _NO_AUDIT else 5
        return {"error": 3, "warning": 4}.get(self.level, 7)

    def members(self) -> dict[str, object]:
        """Return what it tells, empty where it is no JSON."""
        try:
            told = json.loads(self.line)
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}


def iso(now: float) -> str:
    """Return a time, epoch seconds, as log lines have it: UTC, in milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"


class Carrier(Protocol):
    """Takes records to one place. Called by one thread alone."""

    def send(self, records: Sequence[Record]) -> int:
        """Take records, the first of them first; return how many were. Raises OSError: none was."""

    def rest(self) -> None:
        """Do what is due while nothing is to be sent. Raises OSError."""

    def close(self) -> None:
        """Let go. Never raises."""

    def stats(self) -> Mapping[str, float]:
        """Return figures of its own."""


class Shipper:
    """Hands lines over to a carrier's thread.

    Args:
        carrier: takes them on.
        name: of the thread.
        lost: the event that tells how many were dropped.
    """

    def __init__(self, carrier: Carrier, name: str, lost: str = "log_lines_dropped") -> None:
        self.carrier = carrier
        self._lost = lost
        self.trouble: str | None = None
        self.dropped = 0
        self._queue: deque[Record] = deque()
        # each is written by one thread alone
        self._taken = self._sent = self._told = 0
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take an access line."""
        self._put(Record(time.time(), "info", "request", line))

    def tell(self, level: str, event: str, line: str) -> None:
        """Take any other line."""
        self._put(Record(time.time(), level, event, line))

    def _put(self, record: Record) -> None:
        size = len(record.line)
        is_full = len(self._queue) >= MOST_RECORDS or self._taken - self._sent + size > MOST_BYTES
        if is_full or self._ending.is_set():
            self.dropped += 1
            return
        self._taken += size
        self._queue.append(record)
        if not self._woken.is_set():
            self._woken.set()

    def stats(self) -> Mapping[str, float]:
        """Return how many lines were dropped, how many bytes wait, and what the carrier counts."""
        return {
            "dropped_lines_total": float(self.dropped),
            "waiting_bytes": float(self._taken - self._sent),
            **self.carrier.stats(),
        }

    def drain(self, within: float) -> bool:
        """Wait until everything is sent; tell whether it was within so many seconds."""
        end = time.monotonic() + within
        while self._queue and time.monotonic() < end:
            time.sleep(0.005)
        return not self._queue

    def close(self) -> None:
        """Send what is held, for two seconds at most; what comes later is dropped."""
        self._ending.set()
        self._woken.set()
        self._thread.join(CLOSE_WITHIN)

    def _run(self) -> None:
        pause, end = _FIRST_PAUSE, float("inf")
        while time.monotonic() < end:
            self._woken.wait(_IDLE)
            self._ending.wait(GATHER)
            self._woken.clear()
            if self._ending.is_set():
                end = min(end, time.monotonic() + CLOSE_WITHIN)
            try:
                self._send()
                self.carrier.rest()
            except Exception as error:  # noqa: BLE001 - without this thread no line would go anywhere any more
                self.trouble = getattr(error, "strerror", None) or type(error).__name__
                self._woken.set()
                self._ending.wait(pause)
                if self._ending.is_set():
                    time.sleep(_FIRST_PAUSE)
                pause = min(2 * pause, _MOST_PAUSE)
                continue
            self.trouble, pause = None, _FIRST_PAUSE
            if self._ending.is_set() and not self._queue:
                break
        with contextlib.suppress(Exception):
            self.carrier.close()

    def _send(self) -> None:
        while self._queue:
            batch = list(islice(self._queue, _BATCH))
            for _ in range(self.carrier.send(batch)):
                self._sent += len(self._queue.popleft().line)
        if (dropped := self.dropped) > self._told:
            now = time.time()
            told = {"time": iso(now), "level": "warning", "event": self._lost, "count": dropped - self._told}
            line = json.dumps(told, separators=(",", ":"))
            self.carrier.send([Record(now, "warning", self._lost, line)])
            self._told = dropped
