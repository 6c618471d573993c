"""One request on a client connection, and its one answer: from here, from an upstream, or a tunnel."""

from time import perf_counter
from typing import Final

from gateway.core.fault import Fault
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason
from gateway.http.downstream.request import ClientRequest
from gateway.http.downstream.request_body import MOST_HELD
from gateway.http.ports import Response
from gateway.http.roles import Upstream, UpstreamStream
from gateway.http.states import ExchangeMove, ExchangeState
from gateway.http.tunnel import Tunnel

# what takes longer than this may outlive the decision that let it through
_LONG_SECONDS: Final = 2.0

# looked up once: on the way of every request
_WAITING: Final = ExchangeState.WAITING
_FORWARDED: Final = ExchangeMove.FORWARDED
_BEGUN: Final = ExchangeMove.BEGUN
_ENDED: Final = ExchangeMove.ENDED

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008


class ClientExchange(ClientRequest):
    """The data plane's ``Exchange``; see there for what the handler may call."""

    __slots__ = ()

    # what the handler calls

    def respond(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        """Answer from here; a no-op once answered."""
        if self._state == _WAITING:
            self._respond(status, headers, body, None)

    def forward(self, upstream: str, target: bytes, lines: list[bytes], max_body: int | None) -> None:
        """Proxy to a server of the named upstream; a no-op once answered."""
        if self._state != _WAITING:
            return
        self._state = _FORWARDED[self._state]
        self.target = target
        self.lines = lines
        server, body = self.connection.server, self.body
        if body is not None:
            fault = body.admit(server.limits.body if max_body is None else max_body)
            if fault is not None:
                self.fail(fault)
                return
        pool = self._pool = server.pool_of(upstream)
        if pool is None:
            self.fail(Fault("gateway", Reason.INTERNAL_ERROR, f"no upstream {upstream}"))
            return
        self._started = perf_counter()
        if body is None or body.done:
            pool.acquire(self)
        else:
            pool.enter(self, body)

    def abort(self, code: int = POLICY_VIOLATION) -> None:
        """End it now, whatever it does: its session is over, or the gateway stops.

        A WebSocket gets a close frame with ``code`` (RFC 6455 section 7.4), others a broken connection.
        """
        if self.tunnel is not None and self._state == ExchangeState.TUNNEL:
            self.tunnel.end(code)
        elif self._state != ExchangeState.FINISHED:
            self._break(None)

    # what the client connection calls

    def take(self, content: bytes, *, done: bool) -> None:
        """Take content of the body; the last of it where it is ``done``."""
        body = self.body
        assert body is not None
        try:
            body.feed(content, done=done)
        except Fault as fault:
            self.body_failed(fault)
            return
        upstream = self._upstream
        if upstream is not None:
            if content or done:
                body.pass_on()
                upstream.send_content(content, length=body.length, done=done)
        else:
            body.hold(content)
            if body.held_size > MOST_HELD and not body.awaited:
                self.connection.hold_body()
        if done and self.uploads is not None:
            self.uploads.arrived(self)

    def body_failed(self, fault: Fault) -> None:
        """The rest of the body cannot be read: the connection ends with this answer."""
        assert self.body is not None
        self.connection.stop_reading_requests()
        self.body.fail(fault)
        if self._state != _WAITING:
            self.fail(fault)

    def client_lost(self, detail: str = "") -> None:
        """The client has gone."""
        if self._state == ExchangeState.FINISHED:
            return
        if self._state == ExchangeState.TUNNEL:
            self.tunnel_closed()
            return
        fault = Fault("client", Reason.CLIENT_ABORTED, detail)
        if self.body is not None:
            self.body.fail(fault)
        self._leave_upstream()
        self.end(fault)

    def sweep(self) -> None:
        """Cut a body that is too slow, tell of what goes on for long; called a few times a second."""
        body = self.body
        if body is not None and not body.done:
            connection = self.connection
            body.note_time(connection.server.now, may_send=not (connection.is_held or body.continue_due))
            if (
                not self.long_lived
                and body.fault is None
                and body.is_slow(connection.server.limits.body_timeout)
            ):
                self.body_failed(Fault("client", Reason.REQUEST_TIMEOUT, "body too slow"))
        started = self._started
        if (
            started is not None
            and self._state != ExchangeState.TUNNEL
            and perf_counter() - started > _LONG_SECONDS
        ):
            self._tell_of_long_life()

    def _tell_of_long_life(self) -> None:
        if self.handling is not None:
            self.handling.on_long_lived()

    # what the pool and the upstream connection call

    def attach(self, upstream: Upstream) -> None:
        """Send the request, and what there is of its body, on this connection."""
        self._upstream = upstream
        upstream.start(self)
        if self.connection.write_paused:
            upstream.pause_reading()

    def begin(self, head: Response, content: bytes, has_content: bool, done: bool) -> None:
        """Pass the final head on, with what there is of the content.

        Raises:
            Fault: the head cannot be sent.
        """
        handling = self.handling
        assert handling is not None
        try:
            lines = handling.on_response(head)
        except Exception as error:
            raise _broken_head(error) from error
        self._state = _BEGUN[self._state]
        self._status = head.status
        self._bytes_out = len(content)
        if self.body is not None:
            self.body.drop()
        if head.is_stream:
            handling.on_long_lived()
        self.connection.begin(head, lines, content, has_content, done)

    def deliver(self, content: bytes, done: bool) -> None:
        """Pass more of the content on, and its end where it is ``done``."""
        self._bytes_out += len(content)
        self.connection.deliver(content, done)

    def switch(self, upstream: UpstreamStream, head: Response, protocol: bytes, rest: bytes) -> None:
        """Become a tunnel (RFC 9110 section 15.2.2) for the protocol that was asked for.

        Raises:
            Fault: the head cannot be sent.
        """
        assert self.handling is not None
        try:
            lines = self.handling.on_response(head)
        except Exception as error:
            raise _broken_head(error) from error
        self._state = ExchangeMove.SWITCHED[self._state]
        self._status = head.status
        self.tunnel = Tunnel(self, upstream, is_websocket=protocol.lower() == b"websocket")
        self.connection.switch(lines, protocol)
        if rest:
            self.tunnel.from_upstream(rest)
        if self.body_done:
            # the rest of a body is the request's still, and ends in its own framing (RFC 9110 section 7.8)
            self.connection.enter_tunnel(self.tunnel)
        self._tell_of_long_life()

    def upstream_lost(self, server: object, *, reused: bool, untouched: bool) -> None:
        """The upstream's connection ended before its response did.

        A kept connection may have been closed just as we used it, and a server that has gone has perhaps a
        neighbour: then, and only then, an idempotent request whose body is still here, and to which no byte
        of a response came, goes once more, on a fresh connection (RFC 9110 section 9.2.2).
        """
        self._upstream = None
        if self._state == ExchangeState.FORWARDED and untouched and not self._retried and self._may_repeat:
            pool = self._pool
            assert pool is not None
            if reused or pool.servers.has_other(server):
                self._retried = True
                pool.retry(self, server)
                return
        self.fail(Fault("upstream", Reason.UPSTREAM_ABORTED))

    def fail(self, fault: Fault) -> None:
        """It cannot be answered as asked: a rendered fault if no head was sent, else a broken connection."""
        if self._state != ExchangeState.FORWARDED:
            if self._state != ExchangeState.FINISHED:
                self._break(fault)
            return
        self._leave_upstream()
        assert self.handling is not None
        status, headers, content = self.handling.on_fault(fault)
        self._respond(status, headers, content, fault)

    # what the tunnel calls

    def tunnel_closed(self) -> None:
        """The tunnel has ended: let the other side end too."""
        tunnel = self.tunnel
        if self._state == ExchangeState.FINISHED or tunnel is None:
            return
        if self._upstream is not None:
            self._upstream.finish()
            self._upstream = None
        self._bytes_out = tunnel.bytes_out
        self.end()
        tunnel.release()

    # the ends

    def _respond(self, status: int, headers: list[Header], content: bytes, fault: Fault | None) -> None:
        try:
            self._bytes_out = self.connection.respond(status, headers, content, self.body)
        except ValueError as error:
            self._break(Fault("gateway", Reason.INTERNAL_ERROR, str(error)))
            return
        self._status = status
        self.end(fault)

    def _leave_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.abandon()
            self._upstream = None
        elif self._pool is not None:
            self._pool.cancel(self)

    def _break(self, fault: Fault | None) -> None:
        self._leave_upstream()
        self.connection.reset()
        self.end(fault)

    def end(self, fault: Fault | None = None) -> None:
        """It is over, its answer sent whole or not; what is left of an upload ends here (R63)."""
        self._state = _ENDED[self._state]
        self._upstream = None
        # whoever handles it may refer back to this exchange: no cycle is left to the collector
        handling, self.handling = self.handling, None
        try:
            if self.uploads is not None:
                self.uploads.leave(self)
            if handling is not None:
                received = 0 if self.body is None and self.tunnel is None else self.received
                handling.finished(
                    self._status, (received, self._bytes_out), self._started, perf_counter(), fault
                )
        finally:
            pool = self._pool
            if pool is not None and pool.sharing.is_counting:
                pool.leave(self)
            self.connection.exchange_finished(self)


def _broken_head(error: Exception) -> Fault:
    return Fault("gateway", Reason.INTERNAL_ERROR, f"{type(error).__name__} in a response head")
