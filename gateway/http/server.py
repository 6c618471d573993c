"""The listener: accepts, bounds, sweeps what takes too long, drains and closes."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from typing import Final, Protocol

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.downstream.admission import Admission
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.certificates import Certificates
from gateway.http.downstream.connection import ClientConnection
from gateway.http.downstream.crowd import Crowd
from gateway.http.downstream.exchange import GOING_AWAY, ClientExchange
from gateway.http.downstream.proxy_protocol import HeaderPeers
from gateway.http.downstream.tls_listener import Gate, Reception, bind
from gateway.http.ports import Handler, Limits
from gateway.http.roles import Pool
from gateway.http.sockets import BACKLOG, as_protocol, file_of, find_ended, prepare_listener
from gateway.http.upstream.pool import UpstreamPool
from gateway.http.upstream.pools import Pools

_SLOWEST_SWEEP: Final = 0.5
_FASTEST_SWEEP: Final = 0.02
_LEAST_PROGRESS: Final = 256
_SETTLE: Final = 0.02
# for handshakes that have begun when the gateway drains
_PATIENCE: Final = 1.0


class Listening(Protocol):
    """A listener: what is asked of an event loop's own, whichever loop it is, and of a gate."""

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What it listens on."""

    async def start_serving(self) -> None:
        """Accept from now on."""

    def close(self) -> None:
        """Accept nothing any more."""


class Server(Reception):
    """The HTTP/1.1 proxy. One coarse timer serves every time-out: no request has one of its own.

    Args:
        handler: decides what happens to each request.
        upstreams: where requests may be forwarded to, by name.
        limits: bounds of the client side.
        clock: wall time in seconds since the epoch, for Date; time-outs run on the loop's own clock.

    Attributes:
        now: the coarse clock, in seconds: moved on by each sweep, and never by more than a few sweeps, so
            that a process that was stopped for a while does not find everybody late.
        in_flight: open requests, tunnels included.
        draining: whether every answer is its connection's last.
        certificates: what TLS is spoken with, and may be replaced; None: plain HTTP, for good.
        admission: counts connections by address.
        crowd: who is connected, and who makes room.
        pools: where requests may be forwarded to, by name.
        handshakes_failed: how many clients did not get as far as HTTP.
        header_peers: from where connections begin with a proxy's header (PROXY protocol).
        headers_missing: how many of those did not.
        balancer: what balancers are told, None where they are told nothing.
        hostless: the paths that may be asked for in HTTP/1.0 without a Host.
        extra_methods: what is taken beside the registered methods.
        least_progress: bytes of a body that count as progress.

    Raises:
        ValueError: a server's URL is not one. OSError: a file of ``tls`` cannot be used.
    """

    def __init__(
        self,
        handler: Handler,
        upstreams: Mapping[str, UpstreamSettings],
        limits: Limits,
        clock: Callable[[], float] = time.time,
        certificates: Certificates | None = None,
    ) -> None:
        self.handler = handler
        self.certificates = certificates
        self.admission = Admission()
        self.handshakes_failed = 0
        self.header_peers = HeaderPeers()
        self.headers_missing = 0
        self.balancer = None
        self.hostless = frozenset()
        self.extra_methods = frozenset()
        self.limits = limits
        self.now = 0.0
        self.in_flight = 0
        self.draining = False
        self.least_progress = _LEAST_PROGRESS
        self.pools = Pools(upstreams, self)
        self._by_name: Mapping[str, Pool] = self.pools
        self.entrance = Crowd(self, self.admission, self._note_empty)
        self.crowd = self.entrance
        self._clock = clock
        self._connections = self.entrance.connections
        self._empty = asyncio.Event()
        self._listeners: list[Listening] = []
        self._timer: asyncio.TimerHandle | None = None
        self._swept = 0.0
        self._port = 0
        self._date = (0, b"")
        self._interval = self._sweep_interval()

    def answer_balancers(self, balancer: BalancerAnswer | None) -> None:
        """Tell balancers whether this process serves, from now on."""
        self.balancer = balancer
        self.hostless = frozenset() if balancer is None else balancer.hostless

    def take_methods(self, extra: frozenset[bytes]) -> None:
        """Take these methods beside the registered ones, from now on."""
        self.extra_methods = extra

    # life

    async def start(self, host: str, port: int, *, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen on bound sockets, else on an address; port 0 takes a free one.

        Raises:
            OSError: the address is taken or not ours.
        """
        self.loop = asyncio.get_running_loop()
        if self.certificates is not None or self.header_peers:
            self._listeners.append(Gate(self, sockets or await bind(host, port)))
        else:
            places: list[dict[str, object]] = [{"sock": each} for each in sockets]
            for place in places or [{"host": host, "port": port}]:
                self._listeners.append(
                    await self.loop.create_server(  # type: ignore[call-overload]
                        lambda: as_protocol(ClientConnection(self)),
                        backlog=BACKLOG,
                        start_serving=False,
                        **place,
                    )
                )
        for listener in self._listeners:
            for each in listener.sockets:
                prepare_listener(each)
            await listener.start_serving()
        self._port = int(self._listeners[0].sockets[0].getsockname()[1])
        self._swept = self.loop.time()
        self._timer = self.loop.call_later(self._interval, self._sweep)

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    def build_pools(self, upstreams: Mapping[str, UpstreamSettings]) -> dict[str, UpstreamPool]:
        """Return the pools of other upstreams; those that are the same stay the same. Raises as ``Pools``."""
        return self.pools.build(upstreams)

    def configure(self, pools: Mapping[str, UpstreamPool], limits: Limits) -> None:
        """Go on with these pools and limits; what is open ends as it began."""
        self.pools.replace(pools)
        self.limits = limits
        self._interval = self._sweep_interval()

    def _sweep_interval(self) -> float:
        limits = self.limits
        shortest = min(
            limits.head_timeout,
            limits.body_timeout,
            limits.idle_timeout,
            limits.write_timeout,
            self.pools.shortest,
        )
        return min(_SLOWEST_SWEEP, max(_FASTEST_SWEEP, shortest / 4))

    async def drain(self, bound: float) -> None:
        """Stop accepting, let open requests end, and return when all have, or after ``bound`` seconds.

        WebSockets are told 1001 (going away) at once; what is open after the bound is ended.
        """
        self.draining = True
        # what has queued by now is taken in: closing the listener would reset it
        await asyncio.sleep(_SETTLE)
        for listener in self._listeners:
            listener.close()
        shaking = [each.task for each in self.entrance.handshakes if each.task is not None]
        if shaking:
            await asyncio.wait(shaking, timeout=min(bound, _PATIENCE))
        for connection in tuple(self._connections):
            connection.drain()
        for exchange in tuple(self.exchanges()):
            # one that has a way to be told would otherwise use up the whole bound
            if exchange.tunnel is not None and exchange.tunnel.is_websocket:
                exchange.abort(GOING_AWAY)
        try:
            if self._connections:
                self._empty.clear()
                async with asyncio.timeout(bound):
                    await self._empty.wait()
        except TimeoutError:
            pass
        finally:
            for exchange in tuple(self.exchanges()):
                exchange.abort(GOING_AWAY)

    async def close(self) -> None:
        """Close everything at once."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for exchange in tuple(self.exchanges()):
            exchange.abort(GOING_AWAY)
        for connection in tuple(self._connections):
            connection.reset()
        for handshake in tuple(self.entrance.handshakes):
            if handshake.task is not None:
                handshake.task.cancel()
        await self.pools.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # transports tell of their end in the loop's next turns
        for _ in range(2):
            await asyncio.sleep(0)

    # what connections call

    def pool_of(self, upstream: str) -> Pool | None:
        """Return where requests for an upstream are forwarded to; None where there is none of this name."""
        return self._by_name.get(upstream)

    def _note_empty(self) -> None:
        self._empty.set()

    def date(self) -> bytes:
        """Return the value of Date (RFC 9110 section 6.6.1)."""
        second = int(self._clock())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]

    # what is seen from outside

    def exchanges(self) -> Iterator[ClientExchange]:
        """Yield the open exchanges."""
        for connection in self._connections:
            if connection.exchange is not None:
                yield connection.exchange

    def readings(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what is open now: a figure's name, its labels, its value."""
        yield "client_connections", {}, len(self._connections)
        yield "requests_in_flight", {}, self.in_flight
        yield "tunnels", {}, sum(1 for exchange in self.exchanges() if exchange.tunnel is not None)
        yield "connections_refused_per_address", {}, self.admission.refused
        yield "tls_handshakes", {}, len(self.entrance.handshakes)
        yield "tls_handshakes_failed", {}, self.handshakes_failed
        yield "proxy_headers_missing", {}, self.headers_missing
        if self.certificates is not None:
            yield "tls_certificate_expires_seconds", {}, self.certificates.expires
            yield "tls_certificate_reloads", {}, self.certificates.reloads
            yield "tls_certificate_reload_failures", {}, self.certificates.failures
        yield from self.pools.readings()

    # time

    def _sweep(self) -> None:
        measured = self.loop.time()
        self.now += min(measured - self._swept, 4 * self._interval)
        self._swept = measured
        self._timer = self.loop.call_later(self._interval, self._sweep)
        # a stamp may be one sweep old already: nobody is cut before the time is really up
        due = self.now - self._interval
        for connection in tuple(self._connections):
            connection.sweep(due)
        self._see_who_left()
        self.pools.sweep(due)

    def _see_who_left(self) -> None:
        """Find clients that have gone where nothing is read from them (R78)."""
        held = {file_of(each.unwatched): each for each in self._connections if each.unwatched is not None}
        if held:
            ended = find_ended(each.unwatched for each in held.values() if each.unwatched is not None)
            for number, broken in ended.items():
                held[number].client_ended(broken=broken)
