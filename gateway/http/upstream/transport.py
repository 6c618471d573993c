"""A socket to an upstream's server: what is written, when reading is paused, how it is closed."""

import asyncio
from typing import Final, cast

from gateway.http.roles import Pool, Served, Server
from gateway.http.sockets import HIGH_WATER, end_writing, has_ended, has_news, keep_alive
from gateway.http.states import UpstreamMove, UpstreamState

# looked up once: on the way of every request
_IDLE: Final = UpstreamState.IDLE
_CLOSED: Final = UpstreamState.CLOSED


class UpstreamTransport:
    """What both directions of a connection to a server share.

    Attributes:
        origin: the server at its other end.
        exchange: the request that it serves, if any.
        retires_at: when it is too old to serve another request (the data plane's coarse clock, seconds).
        since: when it last did something (the data plane's coarse clock, seconds).
        write_paused: whether the server does not keep up with the upload.
    """

    __slots__ = (
        "_kept_for",
        "_pool",
        "_reading_paused",
        "_state",
        "_transport",
        "exchange",
        "origin",
        "retires_at",
        "since",
        "write_paused",
    )

    _transport: asyncio.Transport

    def __init__(self, pool: Pool, origin: Server) -> None:
        self._pool = pool
        self.origin = origin
        self.exchange: Served | None = None
        self._state = _IDLE
        self._reading_paused = False
        self.write_paused = False
        self._kept_for = pool.kept_for
        self.since = pool.time.now
        self.retires_at = self.since + pool.settings.max_age

    def is_usable(self) -> bool:
        """Tell whether a request may be sent on it."""
        return self._state == _IDLE and not self._transport.is_closing()

    def is_quiet(self) -> bool:
        """Tell whether nothing has come from the server since its last response, its end least of all."""
        return self.is_usable() and not has_news(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        keep_alive(transport.get_extra_info("socket"))

    def send(self, data: bytes) -> None:
        """Send more of a request's body, or of a tunnel."""
        if self._state in (UpstreamState.HEAD, UpstreamState.BODY) and has_ended(self._transport):
            # it takes no more of the body, and its answer may have come: a write that fails would lose that
            return
        if self._state != _CLOSED:
            self.since = self._pool.time.now
            self._transport.write(data)

    def send_end(self) -> bool:
        """End this direction of a tunnel, where the transport can; tell whether it could."""
        if self._state == _CLOSED or not self._transport.can_write_eof():
            return False
        end_writing(self._transport)
        return True

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self._reading_paused and self._state != _CLOSED and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._reading_paused:
            self._reading_paused = False
            self.since = self._pool.time.now
            if self._state != _CLOSED and not self._transport.is_closing():
                self._transport.resume_reading()

    def abandon(self) -> None:
        """Nobody wants what comes any more."""
        self.exchange = None
        self._state = UpstreamMove.CLOSED[self._state]
        self._transport.abort()

    def finish(self) -> None:
        """Close, once what was written has been sent."""
        self.exchange = None
        self._state = UpstreamMove.CLOSED[self._state]
        self._transport.close()

    def pause_writing(self) -> None:
        """The server does not keep up; asyncio.Protocol."""
        self.write_paused = True
        if self.exchange is not None:
            self.exchange.client.hold_body()

    def resume_writing(self) -> None:
        """The server has caught up; asyncio.Protocol."""
        self.write_paused = False
        self.since = self._pool.time.now
        if self.exchange is not None:
            self.exchange.client.release_body()

    def _sweep_idle(self, now: float, waited: float) -> None:
        """Close what nobody has used for long enough."""
        # a stamp may be a sweep old, and the next sweep is one away: by then it must not be too late
        soon = waited + 2 * (self._pool.time.now - now)
        if self._state == _IDLE and (soon > self._kept_for or now > self.retires_at):
            self.finish()
