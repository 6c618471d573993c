"""The control channel between the supervisor and one worker: frames of JSON over a socket pair.

Only these two processes hold its ends, so that it needs no secret. A frame is four octets of length, then one
JSON object. The supervisor asks, with an ``id``; the worker answers with the same ``id`` and ``result`` or
``error``. The end of the stream means that the other process is gone.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import struct
from typing import Final

from gateway.syntax.encoding import Json

MOST_FRAME: Final = 64 << 20
_LENGTH: Final = struct.Struct("!I")


class Gone(Exception):  # noqa: N818 - an end, not an error
    """The other process has ended, or speaks no sense any more."""


class Refused(Exception):  # noqa: N818 - an answer
    """The worker says no. ``kind`` tells callers apart, the text people."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Channel:
    """One end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> "Channel":
        """Take over one end of a socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: dict[str, Json]) -> None:
        """Send a message; one to a process that is gone is lost."""
        frame = json.dumps(message).encode()
        self._writer.write(_LENGTH.pack(len(frame)) + frame)

    async def receive(self) -> dict[str, Json]:
        """Return the next message.

        Raises:
            Gone: there will be none.
        """
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > MOST_FRAME:
                raise Gone
            message = json.loads(await self._reader.readexactly(length))
        except (OSError, EOFError, ValueError, RecursionError):
            raise Gone from None
        if not isinstance(message, dict):
            raise Gone
        return message

    async def flush(self) -> None:
        """Wait until what was sent has left this process."""
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


class Caller:
    """The supervisor's end: calls, each with its answer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def call(self, order: str, patience: float, **fields: Json) -> Json:
        """Ask the worker and return its result.

        Raises:
            Gone: it has ended. Refused: it says no. TimeoutError: no answer within ``patience`` seconds.
        """
        if self._task.done():
            raise Gone
        number = next(self._ids)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._channel.send({"id": number, "order": order, **fields})
            async with asyncio.timeout(patience):
                return await answer
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End; whoever waits for an answer gets Gone."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            while True:
                self._take(await self._channel.receive())
        except Gone:
            pass
        finally:
            self._channel.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Gone())

    def _take(self, message: dict[str, Json]) -> None:
        number = message.get("id")
        answer = self._waiting.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return
        error = message.get("error")
        if isinstance(error, dict):
            answer.set_exception(Refused(str(error.get("kind")), str(error.get("text"))))
        else:
            answer.set_result(message.get("result"))
