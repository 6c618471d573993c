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
from gateway.core.outcome import RequestFacts
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
class _Bond:
    exchange: Endable
    tether: StreamBasis
    request_id: str
    about: RequestFacts


class LongLived:
    """The open exchanges that serve somebody and outlive their decision.

    Args:
        denylist: the worker's replica.
        clock: wall time in seconds since the epoch.
        audit: takes an audit event.
    """

    def __init__(self, denylist: Denylist, clock: Callable[[], float], audit: Callable[..., None]) -> None:
        self._denylist = denylist
        self._clock = clock
        self._audit = audit
        self._bonds: dict[Endable, _Bond] = {}
        self._named: dict[Name, set[_Bond]] = {}
        self._doomed: deque[tuple[_Bond, Reason]] = deque()
        self._version = denylist.version
        self._timer: asyncio.TimerHandle | None = None

    def watch(
        self, exchange: Endable, forward: Forward, knowledge: Knowledge, request_id: str, about: RequestFacts
    ) -> None:
        """Watch an exchange from now on; what was revoked since its decision is ended at once.

        Does nothing where it is watched already, or serves anybody.
        """
        if exchange in self._bonds:
            return
        tether = tie(forward, knowledge)
        if tether is None:
            return
        bond = self._bonds[exchange] = _Bond(exchange, tether, request_id, about)
        for name in tether.names:
            self._named.setdefault(name, set()).add(bond)
        self._judge(bond, self._clock())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def denied(self, entries: Iterable[DenyEntry]) -> None:
        """Entries were added to the denylist: end whom they name."""
        if not self._bonds:
            return
        now = self._clock()
        for entry in entries:
            for bond in tuple(self._named.get(name_of(entry), ())):
                self._judge(bond, now)

    def session_over(self, session_id: str, reason: Reason) -> None:
        """A session cannot be refreshed any more: end what rests on it."""
        for bond in tuple(self._named.get(("session", "", session_id), ())):
            self._doom(bond, reason)

    def stats(self) -> dict[str, float]:
        """Return how many exchanges are watched."""
        return {"open": float(sum(not exchange.aborted for exchange in self._bonds))}

    async def close(self) -> None:
        """Watch no more; what is open is the server's to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._bonds.clear()
        self._named.clear()
        self._doomed.clear()

    def _judge(self, bond: _Bond, now: float) -> None:
        reason = bond.tether.judge(self._denylist, now)
        if reason is not None:
            self._doom(bond, reason)

    def _doom(self, bond: _Bond, reason: Reason) -> None:
        self._forget(bond)
        if not self._doomed:
            asyncio.get_running_loop().call_soon(self._reap)
        self._doomed.append((bond, reason))

    def _forget(self, bond: _Bond) -> None:
        del self._bonds[bond.exchange]
        for name in bond.tether.names:
            bonds = self._named[name]
            bonds.discard(bond)
            if not bonds:
                del self._named[name]

    def _reap(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._doomed))):
            bond, reason = self._doomed.popleft()
            if not bond.exchange.aborted:
                self._end(bond, reason)
        if self._doomed:
            asyncio.get_running_loop().call_soon(self._reap)

    def _end(self, bond: _Bond, reason: Reason) -> None:
        about = bond.about
        self._audit(
            "stream_ended",
            reason=reason,
            request_id=bond.request_id,
            route=about.route,
            client=about.client,
            issuer=about.issuer,
            subject=about.subject,
            session=about.session_id,
        )
        bond.exchange.abort()

    def _sweep(self) -> None:
        """Forget what has ended, and end what is over; the denylist is asked again if anything changed."""
        now, version = self._clock(), self._denylist.version
        changed, self._version = version != self._version, version
        for bond in tuple(self._bonds.values()):
            if bond.exchange.aborted:
                self._forget(bond)
            elif changed or now >= bond.tether.until:
                self._judge(bond, now)
        self._timer = None
        if self._bonds:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)
