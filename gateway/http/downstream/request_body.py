"""The body of one request on its way through: counted, bounded, and held only until somebody takes it."""

import asyncio
from typing import TYPE_CHECKING

from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.messages.chunked import LAST_CHUNK, ChunkedReader, LengthReader, encode_chunk
from gateway.http.messages.request_head import Framing

if TYPE_CHECKING:
    from gateway.http.upstream.uploads import Uploads

MOST_HELD = 65_536
_NO_LIMIT = 1 << 62
# bytes in a second, on the average of a whole body: slower is no network, but somebody who takes up a place
_LEAST_RATE = 240
# bytes that end a standstill
_PROGRESS = 4096


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
    """A body that begins to arrive before it is known where it goes.

    Attributes:
        length: the Content-Length, None when chunked.
        received: bytes of content so far.
        done: whether it has arrived whole.
        fault: why no more of it can be read, if so.
        continue_due: whether the client waits for 100 (Continue).
        pace: how fast it comes, once it has not come at once.
        uploads: who counts it while it has not arrived whole, once it is forwarded.
    """

    __slots__ = (
        "_gone",
        "_held",
        "_kept",
        "_limit",
        "_reader",
        "_waiter",
        "continue_due",
        "done",
        "fault",
        "held_size",
        "length",
        "pace",
        "received",
        "uploads",
    )

    def __init__(self, head: Framing) -> None:
        self.length = head.length
        self._reader = ChunkedReader() if head.length is None else LengthReader(head.length)
        # not a list of what came: a client that sends single bytes would make it weigh forty times as much
        self._held: bytes | bytearray = b""
        self.held_size = 0
        self._limit = _NO_LIMIT
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0
        self.done = False
        self.fault: Fault | None = None
        self.continue_due = head.expects_continue
        self._gone = False
        self._kept: bytes | None = None
        self.uploads: Uploads | None = None
        self.pace: Pace | None = None

    def feed(self, data: bytes) -> bytes:
        """Return the content of what arrived.

        Raises:
            Malformed: the chunked coding is broken. Fault: ``body_too_large``.
        """
        self.continue_due = False
        content = self._reader.feed(data)
        self.done = self._reader.done
        self.received += len(content)
        if self.received > self._limit:
            raise Fault("client", Reason.BODY_TOO_LARGE)
        return content

    @property
    def rest(self) -> bytes:
        """What arrived after the body, once it is done."""
        return self._reader.rest

    @property
    def remaining(self) -> int:
        """The bytes still to come, as far as known: 0 when chunked."""
        return (self.length or self.received) - self.received

    @property
    def framing(self) -> bytes:
        """The framing field for an upstream."""
        if self.length is None:
            return b"Transfer-Encoding: chunked\r\n"
        return b"Content-Length: %d\r\n" % self.length

    def admit(self, limit: int) -> Fault | None:
        """Set the limit in bytes; return why the body cannot be taken, if so."""
        self._limit = limit
        if self.fault is None and max(self.length or 0, self.received) > limit:
            self.fault = Fault("client", Reason.BODY_TOO_LARGE)
        return self.fault

    def encode(self, content: bytes) -> bytes:
        """Return content in the framing of the upstream, with the last chunk when done."""
        if content:
            self._gone = True
            if self.length is None:
                content = encode_chunk(content)
        if self.done and self.length is None:
            content += LAST_CHUNK
        return content

    @property
    def is_here(self) -> bool:
        """Whether none of what has come is gone for good: it can be sent from its beginning."""
        return self._kept is not None or not self._gone

    def start(self, *, keep: bool) -> bytes:
        """Return what there is of it in the framing of the upstream, from the beginning.

        Args:
            keep: whether to keep it until ``drop`` where that is all of it, to be sent once more.
        """
        content = self.take_held() if self._kept is None else self._kept
        if keep and self.done and self.is_here:
            self._kept = content
        return self.encode(content)

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

        A chunked body never does: whoever sends it may be making it, one line of a log after the other.
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
