"""One connection to an upstream's server: a request out, its response back, again and again."""

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.config.settings.root import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.messages.chunked import BodyReader, ChunkedReader, LengthReader, UntilCloseReader
from gateway.http.messages.fields import Malformed
from gateway.http.messages.mending import end_of_head
from gateway.http.messages.response_head import (
    MOST_HEAD,
    ResponseHead,
    check_partial_head,
    read_response_head,
)
from gateway.http.sockets import HIGH_WATER, end_writing, has_ended, has_news, keep_alive, read_left

if TYPE_CHECKING:
    from gateway.http.downstream.exchange import ClientExchange
    from gateway.http.upstream.pool import Origin, UpstreamPool

_IDLE, _HEAD, _BODY, _TUNNEL, _CLOSED = range(5)
_MOST_INTERIM = 32


# less than what servers that tell nothing commonly wait, with a second for the way
_KEPT_BY_DEFAULT = 4.0
_MARGIN = 1.0


def kept_for(settings: UpstreamSettings) -> float:
    """Return how many seconds an unused connection is kept to a server that does not tell."""
    return _KEPT_BY_DEFAULT if settings.keepalive == "auto" else settings.keepalive


class UpstreamConnection(asyncio.Protocol):
    """Frames responses strictly; whatever is left over or unasked for ends the connection.

    Attributes:
        origin: the server at its other end.
        retires_at: when it is too old to serve another request (the data plane's coarse clock, seconds).
        since: when it last did something (the data plane's coarse clock, seconds).
        bound: whether it may know who its client is (R77): it serves no other.
        write_paused: whether the server does not keep up with the upload.
    """

    __slots__ = (
        "_buffer",
        "_exchange",
        "_interims",
        "_kept_for",
        "_mode",
        "_pool",
        "_reader",
        "_reading_paused",
        "_reusable",
        "_served",
        "_stream",
        "_transport",
        "_untouched",
        "bound",
        "origin",
        "retires_at",
        "since",
        "write_paused",
    )

    def __init__(self, pool: "UpstreamPool", origin: "Origin") -> None:
        self._pool = pool
        self.origin = origin
        self._exchange: ClientExchange | None = None
        self._mode = _IDLE
        self._buffer = b""
        self._reader: BodyReader | None = None
        self._served = False
        self._interims = 0
        self._untouched = True
        self._reusable = False
        self._stream = False
        self._reading_paused = False
        self.write_paused = False
        self.bound = False
        self._kept_for = pool.kept_for
        self.since = pool.time.now
        self.retires_at = self.since + pool.settings.max_age

    @property
    def exchange(self) -> "ClientExchange | None":
        """The request that it serves, if any."""
        return self._exchange

    def is_usable(self) -> bool:
        """Tell whether a request may be sent on it."""
        return self._mode == _IDLE and not self._transport.is_closing()

    def is_quiet(self) -> bool:
        """Tell whether nothing has come from the server since its last response, its end least of all."""
        return self.is_usable() and not has_news(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        keep_alive(self._transport)

    def start(self, exchange: "ClientExchange", data: bytes) -> None:
        """Send a request head, and as much of its body as there is."""
        self._exchange = exchange
        self._mode = _HEAD
        self._untouched = True
        self._interims = 0
        self.since = self._pool.time.now
        self._transport.write(data)

    def send(self, data: bytes) -> None:
        """Send more of a request's body, or of a tunnel."""
        if self._mode in (_HEAD, _BODY) and has_ended(self._transport):
            # it takes no more of the body, and its answer may have come: a write that fails would lose that
            return
        if self._mode != _CLOSED:
            self.since = self._pool.time.now
            self._transport.write(data)

    def send_end(self) -> bool:
        """End this direction of a tunnel, where the transport can; tell whether it could."""
        if self._mode == _CLOSED or not self._transport.can_write_eof():
            return False
        end_writing(self._transport)
        return True

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self._reading_paused and self._mode != _CLOSED and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._reading_paused:
            self._reading_paused = False
            self.since = self._pool.time.now
            if self._mode != _CLOSED and not self._transport.is_closing():
                self._transport.resume_reading()

    def abandon(self) -> None:
        """Nobody wants what comes any more."""
        self._exchange = None
        self._mode = _CLOSED
        self._transport.abort()

    def finish(self) -> None:
        """Close, once what was written has been sent."""
        self._exchange = None
        self._mode = _CLOSED
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what the server sent; asyncio.Protocol."""
        self.since = self._pool.time.now
        if self._mode == _HEAD:
            self._take_heads(data)
        else:
            self._take_more(data)

    def _heed(self, head: ResponseHead) -> None:
        """Heed how long the server keeps a connection that nobody uses."""
        if head.idle_for is not None and self._pool.heeds:
            self._kept_for = max(0.0, head.idle_for - _MARGIN)

    def _take_more(self, data: bytes) -> None:
        """Take what belongs to no head."""
        mode = self._mode
        if mode == _BODY:
            self._take_body(data)
        elif mode == _TUNNEL:
            assert self._exchange is not None
            assert self._exchange.tunnel is not None
            self._exchange.tunnel.from_upstream(data)
        elif mode == _IDLE:
            self.finish()

    def _take_heads(self, data: bytes) -> None:
        self._untouched = False
        exchange = self._exchange
        assert exchange is not None
        # a CR at its end was not judged yet
        checked = max(0, len(self._buffer) - 1)
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        try:
            while data:
                head, data = self._next_head(data, checked)
                if head is None:
                    return
                checked = 0
                if head.status >= 200 or head.status == 101:
                    self._take_final(exchange, head, data)
                    return
                if head.binds:
                    self.bound = True
                if not head.reusable:
                    # where one head may have been read wrongly, none after it is trusted for others
                    self.retires_at = self.since
                exchange.interim(head)
        except Fault as fault:
            if fault.source == "upstream":
                self._pool.failed(self.origin, exchange)
            exchange.fail(fault)

    def _next_head(self, data: bytes, checked: int) -> tuple[ResponseHead | None, bytes]:
        """Return the first head of the data and what follows it; None while it is not complete.

        The bytes before ``checked`` were looked at before.
        """
        end = end_of_head(data)
        if not end or end > MOST_HEAD:
            if len(data) > MOST_HEAD:
                raise Fault("upstream", Reason.UPSTREAM_MALFORMED, "response head too large")
            check_partial_head(data, checked)
            self._buffer = data
            return None, b""
        self._interims += 1
        if self._interims > _MOST_INTERIM:
            raise Fault("upstream", Reason.UPSTREAM_MALFORMED, "too many interim responses")
        return read_response_head(data[:end]), data[end:]

    def _take_final(self, exchange: "ClientExchange", head: ResponseHead, rest: bytes) -> None:
        status = head.status
        self._heed(head)
        if head.binds:
            self.bound = True
        self.origin.answers += 1
        if self.origin.attentive:
            self._pool.answered(self.origin, status, exchange)
        if head.is_whole and head.length == len(rest) and exchange.head.method != b"HEAD":
            # the whole body came with the head, as short ones do
            exchange.deliver(exchange.begin(head, bodyless=False), rest, done=True)
            self._complete(exchange, head.reusable)
            return
        if status == 101:
            self._mode = _TUNNEL
            exchange.switch(self, head, rest)
            return
        self._reusable = head.reusable
        self._stream = head.is_stream
        bodyless = status in (204, 304) or exchange.head.method == b"HEAD"
        if bodyless or head.length == 0:
            exchange.deliver(exchange.begin(head, bodyless=bodyless), b"", done=True)
            self._complete(exchange, head.reusable and not rest)
            return
        if head.chunked:
            reader: BodyReader = ChunkedReader(is_response=True)
        elif head.length is not None:
            reader = LengthReader(head.length)
        else:
            self._reusable = False
            reader = UntilCloseReader()
        # before the head is sent: what is wrong with a body's beginning can be told still
        content = _read(reader, rest)
        prefix = exchange.begin(head, bodyless=False)
        self._mode = _BODY
        self._reader = reader
        self._deliver(exchange, reader, prefix, content)

    def _take_body(self, data: bytes) -> None:
        exchange, reader = self._exchange, self._reader
        assert exchange is not None
        assert reader is not None
        try:
            content = _read(reader, data)
        except Fault as fault:
            exchange.fail(fault)
            return
        self._deliver(exchange, reader, b"", content)

    def _deliver(self, exchange: "ClientExchange", reader: BodyReader, prefix: bytes, content: bytes) -> None:
        exchange.deliver(prefix, content, done=reader.done)
        if reader.done:
            self._reader = None
            self._complete(exchange, self._reusable and not reader.rest)

    def _complete(self, exchange: "ClientExchange", reusable: bool) -> None:
        self._exchange = None
        self._mode = _IDLE
        self._served = True
        transport, body = self._transport, exchange.body
        if (
            reusable
            and (body is None or body.done)
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        ):
            if self._reading_paused:
                self.resume_reading()
            if self.bound:
                self._pool.bound.keep(self, exchange.connection)
            else:
                self._pool.release(self)
        else:
            self.abandon()
        exchange.end()

    def eof_received(self) -> bool:
        """The server sends no more; asyncio.Protocol. Tell whether to keep the other direction open."""
        exchange = self._exchange
        if exchange is None:
            return False
        if self._mode == _TUNNEL:
            assert exchange.tunnel is not None
            return exchange.tunnel.upstream_ended()
        if self._mode == _BODY and isinstance(self._reader, UntilCloseReader):
            self._reader.done = True
            exchange.deliver(b"", b"", done=True)
            self._reader = None
            self._complete(exchange, False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended; asyncio.Protocol."""
        if exc is not None and self._mode in (_HEAD, _BODY):
            for data in read_left(self._transport):
                if self._exchange is None:
                    break
                self.data_received(data)
        exchange, mode = self._exchange, self._mode
        self._exchange = None
        self._mode = _CLOSED
        self._pool.lost(self)
        if exchange is None:
            return
        if mode == _TUNNEL:
            exchange.tunnel_closed()
        else:
            reused = self._served
            if mode == _HEAD and not (reused and self._untouched):
                # a kept connection may end at any time: that alone is no failure
                self._pool.failed(self.origin, exchange)
            exchange.upstream_lost(self.origin, reused=reused, untouched=self._untouched)

    def pause_writing(self) -> None:
        """The server does not keep up; asyncio.Protocol."""
        self.write_paused = True
        if self._exchange is not None:
            self._exchange.connection.hold_body()

    def resume_writing(self) -> None:
        """The server has caught up; asyncio.Protocol."""
        self.write_paused = False
        self.since = self._pool.time.now
        if self._exchange is not None:
            self._exchange.connection.release_body()

    def sweep(self, now: float) -> None:
        """Cut what takes too long; called a few times a second."""
        settings, exchange = self._pool.settings, self._exchange
        waited = now - self.since
        if exchange is None:
            # a stamp may be a sweep old, and the next sweep is one away: by then it must not be too late
            soon = waited + 2 * (self._pool.time.now - now)
            if self._mode == _IDLE and (soon > self._kept_for or now > self.retires_at):
                self.finish()
            return
        response_timeout, idle_timeout = exchange.timeouts
        if self._mode == _HEAD:
            # while the upload goes on, its own time-out is the client's
            due = settings.response_timeout if response_timeout is None else response_timeout
            if waited > due and (exchange.body_done or self.write_paused):
                self._pool.failed(self.origin, exchange)
                exchange.fail(Fault("upstream", Reason.UPSTREAM_TIMEOUT, "no response head"))
        elif self._mode == _BODY and not self._stream and not self._reading_paused:
            due = settings.idle_timeout if idle_timeout is None else idle_timeout
            if waited > due:
                exchange.fail(Fault("upstream", Reason.UPSTREAM_TIMEOUT, "response body stalled"))


def _read(reader: BodyReader, data: bytes) -> bytes:
    try:
        return reader.feed(data)
    except Malformed as error:
        raise Fault("upstream", Reason.UPSTREAM_MALFORMED, str(error)) from None
