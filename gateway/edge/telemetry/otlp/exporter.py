"""What one signal has to send waits here: bounded, sent in batches, never in the way of a request.

Whoever brings something only appends it to a queue. A task sends it, a batch at a time; encoding takes place
in a thread. Where the collector is away the batch is tried again, ever more seldom, and what finds the queue
full meanwhile is dropped and counted.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from gateway.edge.tasks import stop
from gateway.edge.telemetry.otlp.sender import Sender, Sent

Item = TypeVar("Item")

MOST_WAITING: Final = 4096
"""Items that may wait."""
BATCH: Final = 512
PAUSE: Final = 2.0
"""Seconds after which what waits is sent, however little it is."""
CLOSE_WITHIN: Final = 2.0
"""Seconds that the end may take."""
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
# one that the collector cannot take for so long is worth less than what has come since
_MOST_TRIES: Final = 8


class Exporter(Generic[Item]):
    """Sends what it is given.

    Args:
        url: where it is sent to.
        sender: sends it; it may be shared.
        encode: makes one message of a batch, in a thread.
        rejected: reads from an answer how much of it was not taken.
        report: takes a warning.
        most: items that may wait; ``MOST_WAITING`` where None.

    Attributes:
        dropped: how many found no room, or could not be sent.
        sent: how many the collector took.
    """

    def __init__(
        self,
        url: str,
        sender: Sender,
        encode: Callable[[list[Item]], bytes],
        rejected: Callable[[bytes], int],
        report: Callable[..., None],
        most: int | None = None,
    ) -> None:
        self.url = url
        self._most = MOST_WAITING if most is None else most
        self.dropped = 0
        self.sent = 0
        self._sender = sender
        self._encode = encode
        self._rejected = rejected
        self._report = report
        self._queue: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._ends = asyncio.Event()
        self._is_away = False
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None
        self._underway: list[Item] = []

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, item: Item) -> None:
        """Take one more, where there is room. Called on the event loop; never waits, never raises."""
        queue = self._queue
        if len(queue) >= self._most or self._is_closed:
            self.dropped += 1
            return
        queue.append(item)
        if len(queue) >= BATCH:
            self._wake.set()

    def stats(self) -> Mapping[str, float]:
        """Return how many were sent and dropped, and how many wait."""
        return {
            "sent_total": float(self.sent),
            "dropped_total": float(self.dropped),
            "waiting": float(len(self._queue) + len(self._underway)),
        }

    async def close(self) -> None:
        """Send what waits, within ``CLOSE_WITHIN`` seconds, and give up the rest."""
        self._ends.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_WITHIN)
            await stop(self._task)
        self._is_closed = True
        self.dropped += len(self._queue) + len(self._underway)
        self._queue.clear()
        self._underway = []

    async def _run(self) -> None:
        while True:
            await self._pause(PAUSE)
            while self._queue:
                await self._send_batch()
            if self._ends.is_set():
                return

    async def _pause(self, seconds: float) -> None:
        if not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        self._wake.clear()

    async def _send_batch(self) -> None:
        queue = self._queue
        batch = self._underway = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
        try:
            message = await asyncio.to_thread(self._encode, batch)
        except Exception as error:  # noqa: BLE001 - what cannot be told must not end the telling
            self._lose(len(batch), f"it cannot be encoded ({type(error).__name__})")
            return
        wait = _FIRST_WAIT
        for _ in range(_MOST_TRIES):
            came = await self._sender.send(self.url, message)
            if came.is_taken:
                self._note_taken(came, len(batch))
                return
            if not came.may_try_again or self._ends.is_set():
                break
            self._note_away(came.why)
            await self._back_off(max(came.wait, wait))
            wait = min(2 * wait, _LONGEST_WAIT)
        self._lose(len(batch), came.why)

    async def _back_off(self, seconds: float) -> None:
        # several workers must not come back all at once
        spread = seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(spread):
                await self._ends.wait()

    def _note_taken(self, came: Sent, size: int) -> None:
        self._underway = []
        try:
            lost = min(size, max(0, self._rejected(came.answer)))
        except Exception:  # noqa: BLE001 - an answer that is no message says nothing
            lost = 0
        self.sent += size - lost
        self.dropped += lost
        if self._is_away:
            self._is_away = False
            self._report("telemetry is taken again", collector=self.url, dropped=self.dropped)

    def _note_away(self, why: str) -> None:
        """Tell of it once: what is told of may be what cannot be sent."""
        if not self._is_away:
            self._is_away = True
            self._report("telemetry is not taken", collector=self.url, detail=why)

    def _lose(self, size: int, why: str) -> None:
        self._underway = []
        self.dropped += size
        self._note_away(why)
