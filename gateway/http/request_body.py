"""The body of one request on its way through: counted, bounded, and held only until somebody takes it."""

import asyncio

from gateway.core.model import Fault
from gateway.core.reasons import Reason
from gateway.http.chunked import LAST_CHUNK, ChunkedReader, LengthReader, encode_chunk
from gateway.http.head import Framing

MOST_HELD = 65_536
_NO_LIMIT = 1 << 62


class RequestBody:
    """A body that begins to arrive before it is known where it goes.

    Attributes:
        length: the Content-Length, None when chunked.
        received: bytes of content so far.
        done: whether it has arrived whole.
        fault: why no more of it can be read, if so.
        continue_due: whether the client waits for 100 (Continue).
        sent: whether any of it has gone to an upstream.
    """

    __slots__ = (
        "_held",
        "_limit",
        "_reader",
        "_waiter",
        "continue_due",
        "done",
        "fault",
        "held_size",
        "length",
        "received",
        "sent",
    )

    def __init__(self, head: Framing) -> None:
        self.length = head.length
        self._reader = ChunkedReader() if head.length is None else LengthReader(head.length)
        self._held: list[bytes] = []
        self.held_size = 0
        self._limit = _NO_LIMIT
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0
        self.done = False
        self.fault: Fault | None = None
        self.continue_due = head.expects_continue
        self.sent = False

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
            self.sent = True
            if self.length is None:
                content = encode_chunk(content)
        if self.done and self.length is None:
            content += LAST_CHUNK
        return content

    def hold(self, content: bytes) -> None:
        """Keep content that nobody has taken yet; wake who waits for the whole."""
        if content:
            self._held.append(content)
            self.held_size += len(content)
        if self.done and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take_held(self) -> bytes:
        """Return and forget what was kept."""
        content = b"".join(self._held)
        self._held.clear()
        self.held_size = 0
        return content

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
