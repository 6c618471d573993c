"""The body of one request on its way through: counted, bounded, and held only until somebody takes it."""

import asyncio
from typing import Final

from gateway.core.fault import Fault
from gateway.core.reasons import Reason

MOST_HELD: Final = 65_536
_NO_LIMIT: Final = 1 << 62
# bytes in a second, on the average of a whole body: slower is no network, but somebody who takes up a place
_LEAST_RATE: Final = 240
# bytes that end a standstill
_PROGRESS: Final = 4096


class Pace:
    """How fast a body comes that does not come at once.

    Attributes:
        seconds: for how long its client could send.
        still: for how many of those, up to now, next to nothing has come.
    """

    __slots__ = ("_marked", "_noted", "seconds", "still")

    def __init__(self, now: float) -> None:
        self.seconds = 0.0
        self.still = 0.0
        self._marked = 0
        self._noted = now

    def note(self, received: int, now: float, *, may_send: bool) -> None:
        """Note the bytes received by now (seconds), and whether the client could send since the last time."""
        if may_send:
            self.seconds += now - self._noted
            self.still += now - self._noted
        self._noted = now
        if received - self._marked >= _PROGRESS:
            self._marked = received
            self.still = 0.0


class RequestBody:
    """A body that begins to arrive before it is known where it goes. How it was framed is not known here.

    Args:
        length: how long it is said to be, None where nothing is said.
        expects_continue: whether its client waits for 100 (Continue).

    Attributes:
        length: as given.
        received: bytes of content so far.
        done: whether it has arrived whole.
        fault: why no more of it can be read, if so.
        continue_due: whether the client waits for 100 (Continue).
        pace: how fast it comes, once it has not come at once.
    """

    __slots__ = (
        "_gone",
        "_held",
        "_kept",
        "_limit",
        "_waiter",
        "continue_due",
        "done",
        "fault",
        "held_size",
        "length",
        "pace",
        "received",
    )

    def __init__(self, length: int | None, *, expects_continue: bool) -> None:
        self.length = length
        # not a list of what came: a client that sends single bytes would make it weigh forty times as much
        self._held: bytes | bytearray = b""
        self.held_size = 0
        self._limit = _NO_LIMIT
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0
        self.done = False
        self.fault: Fault | None = None
        self.continue_due = expects_continue
        self._gone = False
        self._kept: bytes | None = None
        self.pace: Pace | None = None

    def feed(self, content: bytes, *, done: bool) -> None:
        """Count content that has arrived; with the last of it the body is ``done``.

        Raises:
            Fault: ``body_too_large``.
        """
        self.continue_due = False
        self.done = done
        self.received += len(content)
        if self.received > self._limit:
            raise Fault("client", Reason.BODY_TOO_LARGE)

    @property
    def remaining(self) -> int:
        """The bytes still to come, as far as known: 0 where nothing is said."""
        return (self.length or self.received) - self.received

    def admit(self, limit: int) -> Fault | None:
        """Set the limit in bytes; return why the body cannot be taken, if so."""
        self._limit = limit
        if self.fault is None and max(self.length or 0, self.received) > limit:
            self.fault = Fault("client", Reason.BODY_TOO_LARGE)
        return self.fault

    @property
    def is_here(self) -> bool:
        """Whether none of what has come is gone for good: it can be sent from its beginning."""
        return self._kept is not None or not self._gone

    def pass_on(self) -> None:
        """Content of it goes on as it comes, and is not here any more."""
        self._gone = True

    def start(self, *, keep: bool) -> bytes:
        """Return what there is of it, from the beginning, to be passed on.

        Args:
            keep: whether to keep it until ``drop`` where that is all of it, to be sent once more.
        """
        content = self.take_held() if self._kept is None else self._kept
        if keep and self.done and self.is_here:
            self._kept = content
        if content:
            self._gone = True
        return content

    def drop(self) -> None:
        """It is not sent once more."""
        self._kept = None

    def hold(self, content: bytes) -> None:
        """Keep content that nobody has taken yet; wake who waits for the whole."""
        if content:
            if not self._held:
                self._held = content
            elif isinstance(self._held, bytes):
                self._held = bytearray(self._held) + content
            else:
                self._held += content
            self.held_size += len(content)
        if self.done and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take_held(self) -> bytes:
        """Return and forget what was kept."""
        content = bytes(self._held)
        self._held = b""
        self.held_size = 0
        return content

    def note_time(self, now: float, *, may_send: bool) -> None:
        """Note the time (seconds), and whether the client could send since the last time."""
        if self.pace is None:
            self.pace = Pace(now)
        self.pace.note(self.received, now, may_send=may_send)

    def is_slow(self, grace: float) -> bool:
        """Tell whether it comes too slowly, after ``grace`` seconds in which the client could send.

        One that says nothing of its length never does: whoever sends it may be making it, one line of a log
        after the other.
        """
        if self.length is None or self.pace is None:
            return False
        seconds = self.pace.seconds
        return seconds > grace and self.received < seconds * _LEAST_RATE

    def fail(self, fault: Fault) -> None:
        """No more can be read, for this reason; the first one counts."""
        if self.fault is None:
            self.fault = fault
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self.fault)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the whole of it."""
        return self._waiter is not None

    async def wait(self) -> None:
        """Wait until it has arrived whole.

        Raises:
            Fault: it will not.
        """
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
