"""One request on a client connection, and its one answer: from here, from an upstream, or a tunnel."""

from time import perf_counter
from typing import TYPE_CHECKING

from gateway.core.fault import Fault
from gateway.core.headers.request import Header, Request
from gateway.core.reasons import Reason
from gateway.http.downstream.request_body import MOST_HELD, RequestBody
from gateway.http.messages.chunked import LAST_CHUNK, encode_chunk
from gateway.http.messages.fields import Malformed
from gateway.http.messages.request_head import Framing
from gateway.http.messages.response_head import ResponseHead
from gateway.http.messages.serialise import CONTINUE, Start, Unsafe, build_response_head, status_line
from gateway.http.ports import Handling
from gateway.http.tunnel import Tunnel
from gateway.http.upstream.bound import sends_binding
from gateway.http.upstream.origin import with_host

if TYPE_CHECKING:
    from gateway.http.downstream.connection import ClientConnection
    from gateway.http.upstream.connection import UpstreamConnection
    from gateway.http.upstream.origin import Origin
    from gateway.http.upstream.pool import UpstreamPool

# an answer before the body's end keeps the connection only if so much or less is left to discard
MOST_DISCARDED = 65_536
# what takes longer than this may outlive the decision that let it through
_LONG_SECONDS = 2.0
GOING_AWAY = 1001
POLICY_VIOLATION = 1008

_WAITING, _FORWARDED, _ANSWERING, _TUNNEL, _FINISHED = range(5)
_IDEMPOTENT = frozenset(
    {b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PROPFIND", b"REPORT", b"SEARCH", b"QUERY"}
)
_USUALLY_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


class ClientExchange:
    """The data plane's ``Exchange``; see there for what the handler may call."""

    __slots__ = (
        "_bytes_out",
        "_chunk_out",
        "_connection",
        "_keep",
        "_pool",
        "_retried",
        "_sent",
        "_started",
        "_state",
        "_status",
        "_upstream",
        "body",
        "handling",
        "head",
        "request",
        "tunnel",
    )

    def __init__(self, connection: "ClientConnection", request: Request, head: Framing) -> None:
        self.request = request
        self.handling: Handling | None = None
        self.head = head
        self.body = RequestBody(head) if head.length != 0 else None
        self.tunnel: Tunnel | None = None
        self._connection = connection
        self._state = _WAITING
        self._status = 499
        self._upstream: UpstreamConnection | None = None
        self._pool: UpstreamPool | None = None
        self._started: float | None = None
        self._retried = False
        self._chunk_out = False
        self._keep = False
        self._bytes_out = 0

    # what the handler calls

    @property
    def aborted(self) -> bool:
        """Whether the client has gone, or the exchange is over; answering is then a no-op."""
        return self._state == _FINISHED

    @property
    def long_lived(self) -> bool:
        """Whether it is a tunnel or an answer under way: what outlives its decision."""
        return self._state in (_ANSWERING, _TUNNEL)

    def respond(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        """Answer from here; a no-op once answered."""
        if self._state == _WAITING:
            self._respond(status, headers, body, None)

    def forward(self, upstream: str, start: Start, last: bytes, max_body: int | None) -> None:
        """Proxy to a server of the named upstream; a no-op once answered."""
        if self._state != _WAITING:
            return
        self._state = _FORWARDED
        head, body = self.head, self.body
        if body is not None:
            fault = body.admit(self._connection.server.limits.body if max_body is None else max_body)
            if fault is not None:
                self.fail(fault)
                return
            expects = b"Expect: 100-continue\r\n" if body.continue_due else b""
            framing = body.framing + expects
        elif head.method in _USUALLY_WITH_BODY:
            framing = b"Content-Length: 0\r\n"
        else:
            framing = b""
        if head.upgrade is not None:
            framing += b"Connection: upgrade\r\nUpgrade: %b\r\n" % head.upgrade
        self._sent = b"".join((start, last, b"\r\n", framing, b"\r\n"))
        pool = self._pool = self._connection.server.pools.get(upstream)
        if pool is None:
            self.fail(Fault("gateway", Reason.INTERNAL_ERROR, f"no upstream {upstream}"))
            return
        self._started = perf_counter()
        if body is None or body.done:
            pool.acquire(self)
        else:
            pool.uploads.enter(self, body)

    async def read_body(self, limit: int) -> bytes:
        """Return the whole request body of at most ``limit`` bytes.

        Raises:
            Fault: of the client: ``body_too_large``, ``client_aborted``, ``request_malformed``,
                ``request_timeout``.
        """
        if self._state != _WAITING:
            raise Fault("client", Reason.CLIENT_ABORTED)
        body = self.body
        if body is None:
            return b""
        fault = body.admit(limit)
        if fault is not None:
            raise fault
        if not body.done:
            self.send_continue()
            self._connection.release_body()
            await body.wait()
        content = body.take_held()
        body.hold(content)
        return content

    def abort(self, code: int = POLICY_VIOLATION) -> None:
        """End it now, whatever it does: its session is over, or the gateway stops.

        A WebSocket gets a close frame with ``code`` (RFC 6455 section 7.4), others a broken connection.
        """
        if self.tunnel is not None and self._state == _TUNNEL:
            self.tunnel.end(code)
        elif self._state != _FINISHED:
            self._break(None)

    # what the client connection calls

    @property
    def body_done(self) -> bool:
        """Whether the request has arrived whole."""
        return self.body is None or self.body.done

    def take(self, data: bytes) -> bytes:
        """Take bytes of the body; return those after it."""
        body = self.body
        assert body is not None
        try:
            content = body.feed(data)
        except Malformed as error:
            self.body_failed(Fault("client", Reason.REQUEST_MALFORMED, str(error)))
            return b""
        except Fault as fault:
            self.body_failed(fault)
            return b""
        upstream = self._upstream
        if upstream is not None:
            if encoded := body.encode(content):
                upstream.send(encoded)
        else:
            body.hold(content)
            if body.held_size > MOST_HELD and not body.awaited:
                self._connection.hold_body()
        if body.done and body.uploads is not None:
            body.uploads.arrived(self)
        return body.rest if body.done else b""

    def body_failed(self, fault: Fault) -> None:
        """The rest of the body cannot be read: the connection ends with this answer."""
        assert self.body is not None
        self._connection.stop_reading_requests()
        self.body.fail(fault)
        if self._state != _WAITING:
            self.fail(fault)

    def send_continue(self) -> None:
        """Tell the client to send its body, if it waits for that (RFC 9110 section 10.1.1)."""
        if self.body is not None and self.body.continue_due:
            self.body.continue_due = False
            self._connection.send(CONTINUE)

    def client_lost(self, detail: str = "") -> None:
        """The client has gone."""
        if self._state == _FINISHED:
            return
        if self._state == _TUNNEL:
            self.tunnel_closed()
            return
        fault = Fault("client", Reason.CLIENT_ABORTED, detail)
        if self.body is not None:
            self.body.fail(fault)
        self._leave_upstream()
        self._keep = False
        self.end(fault)

    def pause_upstream(self) -> None:
        """The client does not keep up: read no more for it."""
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_upstream(self) -> None:
        """The client has caught up."""
        if self._upstream is not None:
            self._upstream.resume_reading()

    # what the pool and the upstream connection call

    @property
    def connection(self) -> "ClientConnection":
        """The client's connection."""
        return self._connection

    @property
    def address(self) -> str:
        """Whose request it is where fairness is concerned: an address (in IPv6: one /64).

        Behind a trusted proxy it is the one that the proxy tells; empty where it tells none.
        """
        connection = self._connection
        admission, peer = connection.server.admission, connection.peer
        if not admission.is_exempt(peer):
            return admission.name_of(peer)
        client = "" if self.handling is None else self.handling.client
        return admission.name_of(client) if client not in ("", peer) else ""

    @property
    def awaits_upstream(self) -> bool:
        """Whether a connection to the upstream is still wanted."""
        return self._state == _FORWARDED

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does, and its content will still be here."""
        return self.head.method in _IDEMPOTENT and (
            self.body is None or (self.body.done and self.body.is_here)
        )

    @property
    def looks_first(self) -> bool:
        """Whether a kept connection is looked at before it is used: what is written on it may be lost."""
        return self.body is not None or self.head.method not in _IDEMPOTENT

    @property
    def _may_repeat(self) -> bool:
        return self.head.method in _IDEMPOTENT and (self.body is None or self.body.is_here)

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the wait for a head, and on silence in the body (seconds)."""
        return (None, None) if self.handling is None else self.handling.timeouts

    def attach(self, upstream: "UpstreamConnection") -> None:
        """Send the request, and what there is of its body, on this connection in one write."""
        self._upstream = upstream
        pool = self._pool
        if pool is not None and pool.shares.is_counting:
            pool.shares.enter(self)
        data = self._sent
        if self.head.binds and sends_binding(data):
            upstream.bound = True
        host_line = upstream.origin.host_line
        if host_line is not None:
            data = with_host(data, host_line)
        if self.body is not None:
            data += self.body.start(keep=self.head.method in _IDEMPOTENT)
            self._connection.release_body()
        upstream.start(self, data)
        if self._connection.write_paused:
            upstream.pause_reading()

    def interim(self, head: ResponseHead) -> None:
        """Pass an interim response on (RFC 9110 section 15.2); an HTTP/1.0 client knows none."""
        if self.head.minor == 0:
            return
        if head.status == 100:
            self.send_continue()
        else:
            self._connection.send(build_response_head(head.status, head.interim, b"", None))

    def begin(self, head: ResponseHead, *, bodyless: bool) -> bytes:
        """Return the final head for the client.

        Raises:
            Fault: the head cannot be sent.
        """
        status, handling = head.status, self.handling
        assert handling is not None
        try:
            fields = handling.on_response(head)
            if not head.has_date:
                fields += b"Date: %b\r\n" % self._connection.server.date()
            keep = self._may_keep() and self.body_done
            framing = b""
            if head.length is not None and (not bodyless or status != 204):
                framing = b"Content-Length: %d\r\n" % head.length
            elif not bodyless:
                if self.head.minor:
                    self._chunk_out = True
                    framing = b"Transfer-Encoding: chunked\r\n"
                else:
                    keep = False
            self._keep = keep
            data = b"%b%b%b%b\r\n" % (status_line(status), fields, framing, self._persistence())
        except Exception as error:
            raise _broken_head(error) from error
        self._state = _ANSWERING
        self._status = status
        if self.body is not None:
            self.body.drop()
        if head.is_stream:
            handling.on_long_lived()
        return data

    def deliver(self, head: bytes, content: bytes, *, done: bool) -> None:
        """Send content of the response, after its head if given, before its end if done; in one write."""
        if content:
            self._bytes_out += len(content)
            if self._chunk_out:
                content = encode_chunk(content)
        if head:
            content = head + content
        if done and self._chunk_out:
            content += LAST_CHUNK
        if content:
            self._connection.send(content)

    def switch(self, upstream: "UpstreamConnection", head: ResponseHead, rest: bytes) -> None:
        """Become a tunnel (RFC 9110 section 15.2.2).

        Raises:
            Fault: nobody asked for this protocol, or the head cannot be sent.
        """
        wanted = self.head.upgrade
        if wanted is None or head.upgrade is None or head.upgrade.lower() != wanted.lower():
            raise Fault("upstream", Reason.UPSTREAM_MALFORMED, "101 that was not asked for")
        framing = b"Connection: upgrade\r\nUpgrade: %b\r\n" % head.upgrade
        try:
            assert self.handling is not None
            data = b"%b%b%b\r\n" % (status_line(101), self.handling.on_response(head), framing)
        except Exception as error:
            raise _broken_head(error) from error
        self._state = _TUNNEL
        self._status = 101
        self.tunnel = Tunnel(self, upstream, is_websocket=wanted.lower() == b"websocket")
        self._connection.send(data)
        if rest:
            self.tunnel.from_upstream(rest)
        if self.body_done:
            # the rest of a body is the request's still, and ends in its own framing (RFC 9110 section 7.8)
            self._connection.enter_tunnel(self.tunnel)
        self._tell_of_long_life()

    def upstream_lost(self, origin: "Origin", *, reused: bool, untouched: bool) -> None:
        """The upstream's connection ended before its response did.

        A kept connection may have been closed just as we used it, and a server that has gone has perhaps a
        neighbour: then, and only then, an idempotent request whose body is still here, and to which no byte
        of a response came, goes once more, on a fresh connection (RFC 9110 section 9.2.2).
        """
        self._upstream = None
        if self._state == _FORWARDED and untouched and not self._retried and self._may_repeat:
            pool = self._pool
            assert pool is not None
            if reused or pool.has_other(origin):
                self._retried = True
                pool.retry(self, origin)
                return
        self.fail(Fault("upstream", Reason.UPSTREAM_ABORTED))

    def fail(self, fault: Fault) -> None:
        """It cannot be answered as asked: a rendered fault if no head was sent, else a broken connection."""
        if self._state != _FORWARDED:
            if self._state != _FINISHED:
                self._break(fault)
            return
        self._leave_upstream()
        assert self.handling is not None
        status, headers, content = self.handling.on_fault(fault)
        self._respond(status, headers, content, fault)

    def sweep(self) -> None:
        """Cut a body that is too slow, tell of what goes on for long; called a few times a second."""
        body = self.body
        if body is not None and not body.done:
            connection = self._connection
            body.note_time(connection.server.now, may_send=not (connection.is_held or body.continue_due))
            if (
                not self.long_lived
                and body.fault is None
                and body.is_slow(connection.server.limits.body_timeout)
            ):
                self.body_failed(Fault("client", Reason.REQUEST_TIMEOUT, "body too slow"))
        started = self._started
        if started is not None and self._state != _TUNNEL and perf_counter() - started > _LONG_SECONDS:
            self._tell_of_long_life()

    def _tell_of_long_life(self) -> None:
        if self.handling is not None:
            self.handling.on_long_lived()

    # what the tunnel calls

    def tunnel_closed(self) -> None:
        """The tunnel has ended: let the other side end too."""
        tunnel = self.tunnel
        if self._state == _FINISHED or tunnel is None:
            return
        if self._upstream is not None:
            self._upstream.finish()
            self._upstream = None
        self._bytes_out = tunnel.bytes_out
        self._keep = False
        self.end()
        tunnel.release()

    # the ends

    def _may_keep(self) -> bool:
        connection = self._connection
        return self.head.keep_alive and not connection.last_request and not connection.server.draining

    def _persistence(self) -> bytes:
        if not self._keep:
            return b"Connection: close\r\n"
        return b"" if self.head.minor else b"Connection: keep-alive\r\n"

    def _respond(self, status: int, headers: list[Header], content: bytes, fault: Fault | None) -> None:
        body = self.body
        self._keep = self._may_keep()
        if body is not None and not body.done:
            # who still waits for 100 may or may not send the body: nobody can tell where the next head begins
            may_follow = not body.continue_due and body.remaining <= MOST_DISCARDED
            self._keep = self._keep and may_follow and body.fault is None
        framing = b""
        if status not in (204, 304):
            framing = b"Content-Length: %d\r\n" % len(content)
        if status in (204, 304) or self.head.method == b"HEAD":
            content = b""
        server = self._connection.server
        try:
            data = build_response_head(status, headers, framing + self._persistence(), server.date())
        except Unsafe as error:
            self._break(Fault("gateway", Reason.INTERNAL_ERROR, str(error)))
            return
        self._status = status
        self._bytes_out = len(content)
        self._connection.send(data + content)
        self.end(fault)

    def _leave_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.abandon()
            self._upstream = None
        elif self._pool is not None:
            self._pool.cancel(self)

    def _break(self, fault: Fault | None) -> None:
        self._leave_upstream()
        self._connection.reset()
        self._keep = False
        self.end(fault)

    def end(self, fault: Fault | None = None) -> None:
        """It is over, its answer sent whole or not; what is left of an upload ends here (R63)."""
        self._state = _FINISHED
        self._upstream = None
        # whoever handles it may refer back to this exchange: no cycle is left to the collector
        handling, self.handling = self.handling, None
        try:
            if handling is not None:
                received = 0 if self.body is None and self.tunnel is None else self._end_reading()
                handling.finished(
                    self._status, (received, self._bytes_out), self._started, perf_counter(), fault
                )
        finally:
            pool = self._pool
            if pool is not None and pool.shares.is_counting:
                pool.leave(self)
            self._connection.exchange_finished(self, self._keep)

    def _end_reading(self) -> int:
        """Let others have the place of an upload that ends early; return how many bytes came."""
        body = self.body
        if body is not None and body.uploads is not None:
            body.uploads.leave(self)
        received = 0 if body is None else body.received
        return received if self.tunnel is None else received + self.tunnel.bytes_in


def _broken_head(error: Exception) -> Fault:
    return Fault("gateway", Reason.INTERNAL_ERROR, f"{type(error).__name__} in a response head")
