"""The writing side of a client connection: answers in HTTP/1 (RFC 9112), and how the connection ends."""

from typing import Final

from gateway.core.fault import Fault
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason
from gateway.http.downstream.request_body import RequestBody
from gateway.http.downstream.roles import Front
from gateway.http.downstream.transport import FULL, ClientTransport
from gateway.http.messages.chunked import LAST_CHUNK, encode_chunk
from gateway.http.messages.request_head import Framing
from gateway.http.messages.serialise import CONTINUE, STATUS_LINES, build_response_head
from gateway.http.ports import Response
from gateway.http.states import ClientMove, ClientState

# an answer before the body's end keeps the connection only if so much or less is left to discard
MOST_DISCARDED: Final = 65_536

# looked up once: on the way of every answer
_BODY: Final = ClientState.BODY
_LINGER: Final = ClientState.LINGER
_MOST_TURNED_AWAY: Final = 64
# bytes of content that are joined to their head
_SHORT: Final = 2048
# over TLS many clients take the end of one direction for that of both, and fail in the middle of their upload
_QUIET_SECONDS: Final = 2.0
_LINGER_SECONDS: Final = 5.0


class ClientWriter(ClientTransport):
    """Writes one answer at a time, and says with each whether the connection goes on.

    Attributes:
        head: of the request that is being answered.
        last_request: whether the connection ends with the present answer.
        since: since when nothing has happened (the coarse clock, seconds).
        discarded: bytes that came, and nobody wanted.
    """

    __slots__ = ("_chunked", "_keep", "discarded", "head", "last_request", "since")

    head: Framing

    def __init__(self, server: Front) -> None:
        super().__init__(server)
        self.last_request = False
        self.since = server.now
        self.discarded = 0
        self._keep = False
        self._chunked = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent on it."""
        return self.state >= ClientState.LINGER

    # answers

    def begin(
        self, head: Response, lines: list[bytes], content: bytes, has_content: bool, done: bool
    ) -> None:
        """Send the head of a response, with what there is of its content, in one write.

        Args:
            head: the response.
            lines: its fields, without framing.
            content: what there is of the content, or all of it.
            has_content: whether content follows a head of its kind, and of its request's method.
            done: whether that is all.
        """
        asked, server, state = self.head, self.server, self.state
        status, length = head.status, head.length
        # before the body's end nobody can tell where the next request begins
        keep = asked.keep_alive and state != _BODY and not self.last_request and not server.draining
        self._chunked = False
        parts = [STATUS_LINES[status], *lines]
        if not head.has_date:
            parts.append(b"Date: " + server.date())
        if length is not None:
            if has_content or status != 204:
                parts.append(b"Content-Length: %d" % length)
        elif has_content:
            if asked.minor:
                self._chunked = True
                parts.append(b"Transfer-Encoding: chunked")
                content = (encode_chunk(content) if content else b"") + (LAST_CHUNK if done else b"")
            else:
                keep = False
        self._keep = keep
        if not keep:
            parts.append(b"Connection: close")
        elif not asked.minor:
            parts.append(b"Connection: keep-alive")
        if state >= _LINGER:
            return
        if len(content) <= _SHORT:
            parts += (b"", content)
            self.transport.write(b"\r\n".join(parts))
        else:
            # one system call, and no copy of the content
            parts += (b"", b"")
            self.transport.writelines((b"\r\n".join(parts), content))

    def deliver(self, content: bytes, done: bool) -> None:
        """Send more of the content, and its end where it is ``done``."""
        if self._chunked:
            if content:
                content = encode_chunk(content)
            if done:
                content += LAST_CHUNK
        if content and self.state < _LINGER:
            self.transport.write(content)

    def respond(self, status: int, headers: list[Header], content: bytes, body: RequestBody | None) -> int:
        """Send a whole answer to a request with this body; return how many bytes of content went out.

        Raises:
            Unsafe: it would be read as something else than is meant.
        """
        keep = self.head.keep_alive and not self.last_request and not self.server.draining
        if body is not None and not body.done:
            # who still waits for 100 may or may not send the body: nobody can tell where the next head begins
            may_follow = not body.continue_due and body.remaining <= MOST_DISCARDED
            keep = keep and may_follow and body.fault is None
        framing: list[bytes] = []
        if status not in (204, 304):
            framing.append(b"Content-Length: %d" % len(content))
        if status in (204, 304) or self.head.method == b"HEAD":
            content = b""
        if not keep:
            framing.append(b"Connection: close")
        elif not self.head.minor:
            framing.append(b"Connection: keep-alive")
        data = build_response_head(status, headers, framing, self.server.date())
        self._keep = keep
        self.send(data + content)
        return len(content)

    def interim(self, head: Response) -> None:
        """Send an interim response (RFC 9110 section 15.2); an HTTP/1.0 client knows none."""
        if self.head.minor:
            self.send(b"\r\n".join((STATUS_LINES[head.status], *head.interim, b"", b"")))

    def send_continue(self) -> None:
        """Tell the client to send its body."""
        self.send(CONTINUE)

    def switch(self, lines: list[bytes], protocol: bytes) -> None:
        """Tell the client that what follows is the protocol that it asked for."""
        self._keep = False
        ends = [b"Connection: upgrade", b"Upgrade: " + protocol, b"", b""]
        self.send(b"\r\n".join([STATUS_LINES[101], *lines, *ends]))

    # reading, as far as an answer needs it

    def hold_body(self) -> None:
        """Read no more of the body, or of the tunnel, for now."""
        self.hold(FULL)

    def release_body(self) -> None:
        """Read on."""
        self.since = self.server.now
        self.release(FULL)

    # the ends

    def turn_away(self, beyond: int) -> None:
        """Tell a client that it is one of so many too many; of very many, not even that."""
        if beyond > _MOST_TURNED_AWAY:
            # even saying no takes a socket for a while
            self.state = ClientMove.CLOSES[self.state]
            self.transport.abort()
        else:
            fault = Fault("gateway", Reason.OVERLOADED, "too many connections")
            # nobody knows yet who asks: programs go by the status, people need words
            fault.html = True
            self.refuse(fault)

    def refuse(self, fault: Fault) -> None:
        """Answer bytes that are no acceptable request, and close."""
        status, headers, content = self.server.handler.malformed(fault, self.peer)
        framing = (b"Content-Length: %d" % len(content), b"Connection: close")
        self.send(build_response_head(status, headers, framing, self.server.date()) + content)
        self.close(unread=True)

    def close(self, *, unread: bool, at_once: bool = False) -> None:
        """Close once everything has been sent.

        Where the client may still be sending, closing at once would reset the connection and take the answer
        away from it (RFC 9112 section 9.6): then what comes is discarded for a while. Over TLS the end is
        said when nothing comes any more, unless it is due ``at_once``.
        """
        if self.state >= ClientState.LINGER:
            return
        unread = unread or bool(self.ahead)
        self.ahead = b""
        self.since = self.server.now
        transport = self.transport
        closing = transport.is_closing()
        if unread or closing or self.tls or transport.get_write_buffer_size():
            # otherwise it ends at once
            self.note_unsent()
        if closing:
            self.state = ClientMove.CLOSES[self.state]
        elif unread:
            self.state = ClientMove.LAST_ANSWERED[self.state]
            self.discarded = 0
            self.release_all()
            self.eof_due = self.since + _QUIET_SECONDS
            if at_once or not self.tls:
                self.send_eof()
        else:
            self.state = ClientMove.CLOSES[self.state]
            transport.close()

    def drop(self, data: bytes, most: int) -> None:
        """Take what a client sends that has been answered for the last time; of too much it is broken off."""
        self.discarded += len(data)
        if self.eof_due:
            self.eof_due = self.server.now + _QUIET_SECONDS
        if self.discarded > most:
            self.transport.abort()

    def sweep_linger(self, now: float) -> None:
        """Say the end, and close, when it is time."""
        if self.transport.get_write_buffer_size():
            # whoever is still being answered has not begun to be patient with us
            self.since = self.server.now
        elif now - self.since > _LINGER_SECONDS:
            self.transport.abort()
        elif self.eof_due is not None and now > self.eof_due:
            self.send_eof()
