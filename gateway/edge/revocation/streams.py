"""Ends what outlives its decision: WebSockets, event streams, long downloads, polls and uploads (R44, R49).

An entry of the denylist leads by its name straight to what it may end, so a storm of entries costs nothing
per open exchange. A coarse sweep finds what has come to its own end. Ending happens in turns of the loop
that follow, some at a time: whoever brings the news is not held up, nor are others when everybody is ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.core.access.streams import Name, StreamBasis, name_of, tie
from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry

SWEEP_INTERVAL = 1.0
_AT_ONCE = 100


class Endable(Protocol):
    """An exchange, as far as it is ended from here."""

    @property
    def aborted(self) -> bool:
        """Whether it is over."""

    def abort(self, code: int = ...) -> None:
        """End it: a WebSocket gets a close frame, others are broken off."""


@dataclass(frozen=True, slots=True, eq=False)
class _WatchedStream:
    exchange: Endable
    basis: StreamBasis
    request_id: str
    route: str
    client: str


class Streams:
    """The open exchanges that serve somebody and outlive their decision.

    Args:
        denylist: the worker's replica.
        clock: wall time in seconds since the epoch.
        audit: takes an audit event.

    Attributes:
        ended: how many have been ended.
    """

    def __init__(self, denylist: Denylist, clock: Callable[[], float], audit: Callable[..., None]) -> None:
        self._denylist = denylist
        self._clock = clock
        self._audit = audit
        self.ended = 0
        self._streams: dict[Endable, _WatchedStream] = {}
        self._named: dict[Name, set[_WatchedStream]] = {}
        self._doomed: deque[tuple[_WatchedStream, Reason]] = deque()
        self._version = denylist.version
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, exchange: Endable, forward: Forward, knowledge: Knowledge, request_id: str) -> None:
        """Watch an exchange from now on; what was revoked since its decision is ended at once.

        Does nothing where it is watched already, or serves anybody.
        """
        if exchange in self._streams:
            return
        basis = tie(forward, knowledge)
        if basis is None:
            return
        route, client = forward.route.name, forward.context.forwarded.client
        stream = self._streams[exchange] = _WatchedStream(exchange, basis, request_id, route, client)
        for name in basis.names:
            self._named.setdefault(name, set()).add(stream)
        self._judge(stream, self._clock())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def denied(self, entries: Iterable[DenyEntry]) -> None:
        """Entries were added to the denylist: end whom they name."""
        if not self._streams:
            return
        now = self._clock()
        for entry in entries:
            for stream in tuple(self._named.get(name_of(entry), ())):
                self._judge(stream, now)

    def session_over(self, session_id: str, reason: Reason) -> None:
        """A session cannot be refreshed any more: end what rests on it."""
        for stream in tuple(self._named.get(("session", "", session_id), ())):
            self._doom(stream, reason)

    def stats(self) -> dict[str, float]:
        """Return how many exchanges are watched."""
        return {"open": float(sum(not exchange.aborted for exchange in self._streams))}

    async def close(self) -> None:
        """Watch no more; what is open is the server's to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._streams.clear()
        self._named.clear()
        self._doomed.clear()

    def _judge(self, stream: _WatchedStream, now: float) -> None:
        reason = stream.basis.judge(self._denylist, now)
        if reason is not None:
            self._doom(stream, reason)

    def _doom(self, stream: _WatchedStream, reason: Reason) -> None:
        self._forget(stream)
        self.ended += not stream.exchange.aborted
        if not self._doomed:
            asyncio.get_running_loop().call_soon(self._reap)
        self._doomed.append((stream, reason))

    def _forget(self, stream: _WatchedStream) -> None:
        del self._streams[stream.exchange]
        for name in stream.basis.names:
            streams = self._named[name]
            streams.discard(stream)
            if not streams:
                del self._named[name]

    def _reap(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._doomed))):
            stream, reason = self._doomed.popleft()
            if not stream.exchange.aborted:
                self._end(stream, reason)
        if self._doomed:
            asyncio.get_running_loop().call_soon(self._reap)

    def _end(self, stream: _WatchedStream, reason: Reason) -> None:
        self._audit(
            "stream_ended",
            reason=reason,
            request_id=stream.request_id,
            route=stream.route,
            client=stream.client,
            issuer=stream.basis.identity.issuer,
            subject=stream.basis.identity.subject,
            session=stream.basis.identity.session_id,
        )
        stream.exchange.abort()

    def _sweep(self) -> None:
        """Forget what has ended, and end what is over; the denylist is asked again if anything changed."""
        now, version = self._clock(), self._denylist.version
        changed, self._version = version != self._version, version
        for stream in tuple(self._streams.values()):
            if stream.exchange.aborted:
                self._forget(stream)
            elif changed or now >= stream.basis.until:
                self._judge(stream, now)
        self._timer = None
        if self._streams:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)
