"""One connection to an upstream's server: a request out, its response back, again and again (RFC 9112)."""

from typing import Final

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.messages.binding import sends_binding
from gateway.http.messages.chunked import BodyReader, ChunkedReader, LengthReader, UntilCloseReader
from gateway.http.messages.fields import Malformed
from gateway.http.messages.mending import end_of_head
from gateway.http.messages.response_head import (
    MOST_HEAD,
    ResponseHead,
    check_partial_head,
    read_response_head,
)
from gateway.http.roles import Pool, Served, Server
from gateway.http.sockets import read_left
from gateway.http.states import UpstreamMove, UpstreamState
from gateway.http.upstream.request import chunk_of, request_of
from gateway.http.upstream.transport import UpstreamTransport

_MOST_INTERIM: Final = 32
# less than what servers that tell nothing commonly wait, with a second for the way
_KEPT_BY_DEFAULT: Final = 4.0
_MARGIN: Final = 1.0

# looked up once: on the way of every request
_HEAD: Final = UpstreamState.HEAD
_BODY: Final = UpstreamState.BODY
_STARTED: Final = UpstreamMove.STARTED
_COMPLETED: Final = UpstreamMove.COMPLETED


def kept_for(settings: UpstreamSettings) -> float:
    """Return how many seconds an unused connection is kept to a server that does not tell."""
    return _KEPT_BY_DEFAULT if settings.keepalive == "auto" else settings.keepalive


class UpstreamConnection(UpstreamTransport):
    """Frames responses strictly; whatever is left over or unasked for ends the connection.

    Attributes:
        bound: whether it may know who its client is (R77): it serves no other.
    """

    __slots__ = (
        "_buffer",
        "_interims",
        "_reader",
        "_reusable",
        "_served",
        "_stream",
        "_untouched",
        "bound",
    )

    def __init__(self, pool: Pool, origin: Server) -> None:
        super().__init__(pool, origin)
        self.bound = False
        self._buffer = b""
        self._reader: BodyReader | None = None
        self._served = False
        self._interims = 0
        self._untouched = True
        self._reusable = False
        self._stream = False

    # the request

    def start(self, exchange: Served) -> None:
        """Send an exchange's request, and as much of its body as there is, in one write."""
        self.exchange = exchange
        self._state = _STARTED[self._state]
        self._untouched = True
        self._interims = 0
        self.since = self._pool.time.now
        request = exchange.request
        if request.authorization and request.binds and sends_binding(exchange.lines):
            self.bound = True
        self._transport.write(request_of(exchange, self.origin.host_line))

    def send_content(self, content: bytes, *, length: int | None, done: bool) -> None:
        """Send more of the body, in the framing of its head: chunked where its length was not known."""
        if length is None:
            content = chunk_of(content, done=done)
        if content:
            self.send(content)

    # the response

    def data_received(self, data: bytes) -> None:
        """Take what the server sent; asyncio.Protocol."""
        self.since = self._pool.time.now
        state = self._state
        if state != _HEAD:
            if state == _BODY:
                self._take_body(data)
            else:
                self._take_more(data)
            return
        exchange, checked = self.exchange, 0
        assert exchange is not None
        handling = exchange.handling
        assert handling is not None
        self._untouched = False
        if self._buffer:
            # a CR at its end was not judged yet
            checked = len(self._buffer) - 1
            data = self._buffer + data
            self._buffer = b""
        try:
            while data:
                end = end_of_head(data)
                if not end or end > MOST_HEAD:
                    self._keep_partial(data, checked)
                    return
                head = read_response_head(data[:end], handling.response_lines)
                data = data[end:]
                checked = 0
                if head.status >= 200 or head.status == 101:
                    self._take_final(exchange, head, data)
                    return
                self._take_interim(exchange, head)
        except Fault as fault:
            if fault.source == "upstream":
                self._pool.servers.failed(self.origin, exchange)
            exchange.fail(fault)

    def _take_more(self, data: bytes) -> None:
        """Take what belongs to no response."""
        state = self._state
        if state == UpstreamState.TUNNEL:
            assert self.exchange is not None
            assert self.exchange.passage is not None
            self.exchange.passage.from_upstream(data)
        elif state == UpstreamState.IDLE:
            self.finish()

    def _keep_partial(self, data: bytes, checked: int) -> None:
        """Keep what may become a head; its bytes before ``checked`` were looked at before. Raises Fault."""
        if len(data) > MOST_HEAD:
            raise Fault("upstream", Reason.UPSTREAM_MALFORMED, "response head too large")
        check_partial_head(data, checked)
        self._buffer = data

    def _take_interim(self, exchange: Served, head: ResponseHead) -> None:
        """Pass on what comes before the final response. Raises Fault: that is too much."""
        self._interims += 1
        if self._interims >= _MOST_INTERIM:
            raise Fault("upstream", Reason.UPSTREAM_MALFORMED, "too many interim responses")
        if head.binds:
            self.bound = True
        if not head.reusable:
            # where one head may have been read wrongly, none after it is trusted for others
            self.retires_at = self.since
        exchange.interim(head)

    def _take_final(self, exchange: Served, head: ResponseHead, rest: bytes) -> None:
        status, length, origin = head.status, head.length, self.origin
        if head.idle_for is not None and self._pool.heeds:
            self._kept_for = max(0.0, head.idle_for - _MARGIN)
        if head.binds:
            self.bound = True
        origin.answers += 1
        if origin.attentive:
            self._pool.servers.answered(origin, status, exchange)
        if status == 101:
            self._switch(exchange, head, rest)
            return
        has_content = status not in (204, 304) and exchange.request.method != b"HEAD"
        if has_content and length == len(rest):
            # the whole body came with the head, as short ones do
            exchange.begin(head, rest, True, True)
            self._complete(exchange, head.reusable)
            return
        if not has_content or length == 0:
            exchange.begin(head, b"", has_content, True)
            self._complete(exchange, head.reusable and not rest)
            return
        self._reusable = head.reusable
        self._stream = head.is_stream
        if head.chunked:
            reader: BodyReader = ChunkedReader(is_response=True)
        elif length is not None:
            reader = LengthReader(length)
        else:
            self._reusable = False
            reader = UntilCloseReader()
        # before the head is sent: what is wrong with a body's beginning can be told still
        try:
            content = reader.feed(rest)
        except Malformed as error:
            raise _malformed(error) from None
        self._state = UpstreamMove.BODY_BEGUN[self._state]
        self._reader = reader
        exchange.begin(head, content, True, reader.done)
        if reader.done:
            self._end_body(exchange, reader)

    def _switch(self, exchange: Served, head: ResponseHead, rest: bytes) -> None:
        """Become a tunnel (RFC 9110 section 15.2.2), if that is what was asked for."""
        wanted = exchange.upgrade
        if wanted is None or head.upgrade is None or head.upgrade.lower() != wanted.lower():
            raise Fault("upstream", Reason.UPSTREAM_MALFORMED, "101 that was not asked for")
        self._state = UpstreamMove.SWITCHED[self._state]
        exchange.switch(self, head, head.upgrade, rest)

    def _take_body(self, data: bytes) -> None:
        exchange, reader = self.exchange, self._reader
        assert exchange is not None
        assert reader is not None
        try:
            content = reader.feed(data)
        except Malformed as error:
            exchange.fail(_malformed(error))
            return
        exchange.deliver(content, reader.done)
        if reader.done:
            self._end_body(exchange, reader)

    def _end_body(self, exchange: Served, reader: BodyReader) -> None:
        self._reader = None
        self._complete(exchange, self._reusable and not reader.rest)

    def _complete(self, exchange: Served, reusable: bool) -> None:
        self.exchange = None
        self._state = _COMPLETED[self._state]
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
                self._pool.keep(self, exchange.client)
            else:
                self._pool.release(self)
        else:
            self.abandon()
        exchange.end()

    # the ends

    def eof_received(self) -> bool:
        """The server sends no more; asyncio.Protocol. Tell whether to keep the other direction open."""
        exchange = self.exchange
        if exchange is None:
            return False
        if self._state == UpstreamState.TUNNEL:
            assert exchange.passage is not None
            return exchange.passage.upstream_ended()
        if self._state == UpstreamState.BODY and isinstance(self._reader, UntilCloseReader):
            self._reader = None
            exchange.deliver(b"", True)
            self._complete(exchange, False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended; asyncio.Protocol."""
        if exc is not None and self._state in (_HEAD, UpstreamState.BODY):
            for data in read_left(self._transport):
                if self.exchange is None:
                    break
                self.data_received(data)
        exchange, state = self.exchange, self._state
        self.exchange = None
        self._state = UpstreamMove.CLOSED[self._state]
        self._pool.lost(self)
        if exchange is None:
            return
        if state == UpstreamState.TUNNEL:
            exchange.tunnel_closed()
        else:
            reused = self._served
            if state == _HEAD and not (reused and self._untouched):
                # a kept connection may end at any time: that alone is no failure
                self._pool.servers.failed(self.origin, exchange)
            exchange.upstream_lost(self.origin, reused=reused, untouched=self._untouched)

    def sweep(self, now: float) -> None:
        """Cut what takes too long; called a few times a second."""
        settings, exchange = self._pool.settings, self.exchange
        waited = now - self.since
        if exchange is None:
            self._sweep_idle(now, waited)
            return
        response_timeout, idle_timeout = exchange.timeouts
        if self._state == _HEAD:
            # while the upload goes on, its own time-out is the client's
            due = settings.response_timeout if response_timeout is None else response_timeout
            if waited > due and (exchange.body_done or self.write_paused):
                self._pool.servers.failed(self.origin, exchange)
                exchange.fail(Fault("upstream", Reason.UPSTREAM_TIMEOUT, "no response head"))
        elif self._state == UpstreamState.BODY and not self._stream and not self._reading_paused:
            due = settings.idle_timeout if idle_timeout is None else idle_timeout
            if waited > due:
                exchange.fail(Fault("upstream", Reason.UPSTREAM_TIMEOUT, "response body stalled"))


def _malformed(error: Malformed) -> Fault:
    return Fault("upstream", Reason.UPSTREAM_MALFORMED, str(error))
