"""The connections to one upstream: kept alive, bounded, waited for, spread over the servers that are up."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from math import ceil
from typing import TYPE_CHECKING, Protocol

from gateway.config.settings.root import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.sockets import is_own_lack
from gateway.http.upstream.balance import Balance
from gateway.http.upstream.bound import Bound
from gateway.http.upstream.connection import UpstreamConnection, kept_for
from gateway.http.upstream.health import Checks
from gateway.http.upstream.origin import AnyProtocol, Origin, describe_failure, dial
from gateway.http.upstream.shares import LEAST_CAPACITY, Queue, Shares
from gateway.http.upstream.tls import Version, client_context, version_of
from gateway.http.upstream.uploads import Uploads

if TYPE_CHECKING:
    from gateway.http.downstream.exchange import ClientExchange

_COOL_DOWN = 5.0
_MOST_TRIES = 3


class CoarseTime(Protocol):
    """The data plane's clock: seconds, moved on a few times a second."""

    now: float


class UpstreamPool:
    """Connections to the servers of one upstream.

    A request takes the last idle connection of the server whose turn it is, else a new one, else its turn in
    a bounded queue. A server that cannot be reached is passed over for the next, since nothing was sent, and
    for some seconds it is tried last. A server whose breaker is open or whose health checks fail has no idle
    connection and is not in rotation: so the way of an ordinary request asks for neither.

    Attributes:
        uploads: where requests wait whose body has not arrived whole.
        bound: connections that serve one client connection alone (R77).
        shares: who holds connections, where they are scarce (R78).
        kept_for: how many seconds an unused connection is kept, unless its server tells.
        heeds: whether what a server tells of that counts.

    Raises:
        ValueError: a server's URL is not one. OSError: a file of ``tls`` cannot be used.
    """

    def __init__(self, settings: UpstreamSettings, time: CoarseTime) -> None:
        self.settings = settings
        self.time = time
        # read for every response, and slow to read from a model
        self._max_idle = settings.max_idle
        self.kept_for = kept_for(settings)
        self.heeds = settings.keepalive == "auto"
        weights = settings.weights or (1,) * len(settings.servers)
        self._origins = [
            Origin(url, settings.breaker, weight=weight, rewrite=settings.host == "rewrite")
            for url, weight in zip(settings.servers, weights, strict=True)
        ]
        self._sole = self._origins[0] if len(self._origins) == 1 else None
        self._balance = Balance(in_turn=settings.balance == "round_robin")
        self._due: list[Origin] = []
        self._connections: set[UpstreamConnection] = set()
        self._waiting = Queue(settings.max_connections)
        self.shares = Shares()
        self._scarce_from = 0
        self.uploads = Uploads(self)
        self.bound = Bound(self)
        self._opening: dict[asyncio.Task[None], ClientExchange] = {}
        self._trouble = "no connection"
        self._retired = False
        self._ssl: ssl.SSLContext | None = None
        self._files: Version = version_of(settings.tls)
        if any(origin.tls for origin in self._origins):
            self._ssl = client_context(settings.tls)
        self._checks: Checks | None = None
        if settings.health is not None:
            self._checks = Checks(settings.health, self._origins, self._dial, self._health_changed)
        self._rotate()

    @property
    def is_current(self) -> bool:
        """Whether the files that ``tls`` names are still those that were read."""
        return version_of(self.settings.tls) == self._files

    def readings(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield how many connections are open and idle, how many requests wait, and how each server does.

        ``uploading`` are the requests among them whose body is still coming, ``gathering`` those that want no
        connection before theirs has come.

        A server is told by its place in the list; ``healthy`` and ``breaker`` (1: open) are 0 or 1.
        """
        states = {
            "open": sum(origin.open for origin in self._origins),
            "idle": sum(len(origin.idle) for origin in self._origins),
            "waiting": len(self._waiting) + self.uploads.waiting,
            **self.uploads.gauges(),
        }
        for state, count in states.items():
            yield "upstream_connections", {"state": state}, count
        for place, origin in enumerate(self._origins):
            server = {"server": str(place)}
            yield "upstream_server_healthy", server, origin.healthy
            yield "upstream_server_breaker", server, origin.breaker.is_open
            yield "upstream_server_busy", server, origin.busy

    # taking and giving back

    def acquire(self, exchange: "ClientExchange") -> None:
        """Attach a connection to the exchange, now or later; or fail it."""
        if exchange.connection.own is not None and (own := self.bound.take(exchange.connection)) is not None:
            exchange.attach(own)
            return
        if self._due and (origin := self._try_again(exchange)) is not None:
            self._begin_opening(exchange, origin)
            return
        first = self._sole or self._balance.pick()
        used = first.busy if first is self._sole and first is not None else self._used
        if used >= self._scarce_from and not self._may_have(exchange.address):
            self._wait(exchange)
            return
        if first is not None:
            connection = first.take(careful=exchange.looks_first)
            if connection is not None:
                exchange.attach(connection)
                return
            if first.up and first.open < self.settings.max_connections:
                self._begin_opening(exchange, first)
                return
        self._acquire_elsewhere(exchange)

    def retry(self, exchange: "ClientExchange", failed: Origin) -> None:
        """Send the exchange once more, on a fresh connection: to another server, if one is in rotation."""
        others = [each for each in self._ranked() if each is not failed]
        for origin in (*others, failed):
            if origin.up and origin.open < self.settings.max_connections:
                self._begin_opening(exchange, origin)
                return
        self._wait(exchange)

    @property
    def most_uploads(self) -> int:
        """How many connections may be held by requests whose body has not arrived whole: half of all."""
        return max(1, self.capacity // 2)

    def has_other(self, origin: Origin) -> bool:
        """Tell whether another server is up."""
        return any(each.up and each is not origin for each in self._origins)

    @property
    def capacity(self) -> int:
        """How many connections there may be to the servers that are up."""
        return max(1, sum(1 for origin in self._origins if origin.up)) * self.settings.max_connections

    @property
    def _used(self) -> int:
        return sum([origin.busy for origin in self._origins])

    def _may_have(self, address: str) -> bool:
        """Tell whether an address may have one more connection."""
        shares = self.shares
        if self._used < self._scarce_from:
            return True
        if not shares.is_counting:
            serving = [each.exchange for each in self._connections if each.exchange is not None]
            # who has gone in the meantime will never say that it ends
            coming = [each for each in self._opening.values() if each.awaits_upstream]
            shares.begin([*serving, *coming])
        return shares.may_have(address, self.capacity)

    def leave(self, exchange: "ClientExchange") -> None:
        """An exchange has ended, and with it its share; called only where shares are counted."""
        held = self.shares.leave(exchange)
        # whoever leaves may give its connection back only after this, so that nobody is left counts too
        if self.shares.is_empty or 4 * self._used < 3 * self._scarce_from:
            self.shares.end()
        if held and self._waiting:
            self._serve_waiting()

    def cancel(self, exchange: "ClientExchange") -> None:
        """Forget an exchange that waits; a connection that is being opened for it will serve another."""
        self._waiting.leave(exchange)

    def may_keep(self, connection: UpstreamConnection) -> bool:
        """Tell whether a connection may serve again."""
        return connection.origin.up and connection.retires_at > self.time.now and not self._retired

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a connection."""
        return bool(self._waiting)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that may serve again."""
        origin = connection.origin
        if origin.up and connection.retires_at > self.time.now:
            if self._waiting:
                if not connection.is_quiet():
                    connection.finish()
                    return
                if (exchange := self._next_waiting()) is not None:
                    exchange.attach(connection)
                    return
            if not self._retired and len(origin.idle) < self._max_idle:
                origin.busy -= 1
                origin.idle[connection] = None
                return
        connection.finish()

    def lost(self, connection: UpstreamConnection) -> None:
        """Note that a connection has ended."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        origin = connection.origin
        origin.open -= 1
        if connection in origin.idle:
            del origin.idle[connection]
        elif not self.bound.lost(connection):
            origin.busy -= 1
        if self._waiting:
            self._serve_waiting()

    def _ranked(self) -> list[Origin]:
        """Return the servers that are up, best first."""
        best = self._sole or self._balance.pick()
        return sorted(
            (origin for origin in self._origins if origin.up),
            key=lambda origin: (
                origin.cooling_until,
                origin.busy / origin.weight if self.settings.balance != "round_robin" else 0.0,
                origin is not best,
            ),
        )

    def _acquire_elsewhere(self, exchange: "ClientExchange") -> None:
        """The server whose turn it is can take no more: another one, or wait."""
        ranked = self._ranked()
        for origin in ranked:
            connection = origin.take(careful=exchange.looks_first)
            if connection is not None:
                exchange.attach(connection)
                return
        for origin in ranked:
            if origin.open < self.settings.max_connections:
                self._begin_opening(exchange, origin)
                return
        self._wait(exchange)

    def _wait(self, exchange: "ClientExchange") -> None:
        if not self._is_anybody_up():
            exchange.fail(self._nobody_is_up())
            return
        # what it may have held has ended
        self.shares.leave(exchange)
        if self._waiting.enter(exchange, self.time.now):
            self.bound.make_room()
        else:
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "too many requests wait for a connection"))

    def _next_waiting(self) -> "ClientExchange | None":
        """Take the first of those who wait that may have a connection out of the queue."""
        for exchange in self._waiting:
            if self._may_have(self._waiting.address_of(exchange)):
                self._waiting.leave(exchange)
                return exchange
        return None

    def _serve_waiting(self) -> None:
        """Give those who wait what there is, as far as there is any; with no server left, tell them."""
        while self._waiting:
            ranked = self._ranked()
            if not ranked:
                exchange = next(iter(self._waiting))
                self._waiting.leave(exchange)
                exchange.fail(self._nobody_is_up())
                continue
            room = [each for each in ranked if each.idle or each.open < self.settings.max_connections]
            found = self._next_waiting() if room else None
            if found is None:
                return
            connection = room[0].take(careful=found.looks_first)
            if connection is not None:
                found.attach(connection)
            else:
                self._begin_opening(found, room[0])

    # who is up

    def failed(self, origin: Origin, exchange: "ClientExchange") -> None:
        """Note that a server was reached and did not answer as a server does (R76)."""
        breaker, now = origin.breaker, self.time.now
        if breaker.is_open:
            if breaker.is_tried:
                breaker.open(now, by_answers=breaker.by_answers)
            return
        if not breaker.limit or self._sole is not None:
            return
        origin.lately.note_failure(now, exchange.address)
        if self.has_other(origin) and origin.lately.is_failing(origin.answers):
            origin.lately.forget()
            breaker.open(now, by_answers=True)
            self._settle(origin)

    def answered(self, origin: Origin, status: int, exchange: "ClientExchange") -> None:
        """Note the status of a response; called only where ``origin.attentive``."""
        breaker = origin.breaker
        if status in origin.failing:
            # it is counted as a failure, and not as an answer too
            origin.answers -= 1
            self.failed(origin, exchange)
        elif breaker.is_tried or not breaker.is_open:
            breaker.close()
            self._settle(origin)

    def _unreached(self, origin: Origin) -> None:
        """No connection could be opened: whoever asked, that is the server's failure."""
        origin.cooling_until = self.time.now + _COOL_DOWN
        origin.breaker.unreachable(self.time.now)
        self._rotate()
        self._settle(origin)

    def _reached(self, origin: Origin) -> None:
        """A connection was opened."""
        breaker = origin.breaker
        if not (origin.cooling_until or breaker.failures):
            return
        origin.cooling_until = 0.0
        breaker.failures = 0
        if breaker.is_open and not breaker.by_answers:
            breaker.close()
        self._settle(origin)
        self._rotate()

    def _health_changed(self, origin: Origin) -> None:
        if origin.healthy:
            # it has proven itself since whatever its breaker saw
            origin.breaker.close()
            origin.cooling_until = 0.0
        self._settle(origin)

    def _settle(self, origin: Origin) -> None:
        was_up = origin.up
        origin.settle()
        if origin.up != was_up:
            self._rotate()
            if not origin.up:
                self._close_idle(origin)
            self._serve_waiting()

    def _rotate(self) -> None:
        up = [origin for origin in self._origins if origin.up]
        if not up:
            # what was left alone for its answers is better than nobody
            up = [each for each in self._origins if each.healthy and each.breaker.by_answers]
            for each in up:
                each.breaker.close()
                each.settle()
        self._due = [each for each in self._due if each.breaker.is_open and each.healthy]
        capacity = self.capacity
        self._scarce_from = capacity // 2 if capacity >= LEAST_CAPACITY else capacity + 1
        self._balance.rotate([origin for origin in up if not origin.cooling_until] or up)

    def _try_again(self, exchange: "ClientExchange") -> Origin | None:
        """Return a server whose breaker lets one request try, if this request may be it.

        What must not be sent twice tries only where nobody else is up.
        """
        if not exchange.is_repeatable and self._is_anybody_up():
            return None
        origin = self._due.pop()
        origin.breaker.hold(self.time.now)
        return origin

    def _is_anybody_up(self) -> bool:
        return not self._balance.is_empty

    def _nobody_is_up(self) -> Fault:
        return Fault("upstream", Reason.UPSTREAM_UNAVAILABLE, "no server is up", self._next_try())

    def _next_try(self) -> int:
        """Return in how many seconds it is worth asking again."""
        now, interval = self.time.now, self.settings.health.interval if self.settings.health else 0.0
        waits = [
            interval if not each.healthy else each.breaker.retry_at - now if each.breaker.is_open else 0.0
            for each in self._origins
        ]
        return max(1, ceil(min(waits)))

    # opening

    def _begin_opening(self, exchange: "ClientExchange", origin: Origin) -> None:
        origin.busy += 1
        origin.open += 1
        if self.shares.is_counting:
            self.shares.enter(exchange)
        task = asyncio.get_running_loop().create_task(self._open_one(exchange, origin))
        self._opening[task] = exchange
        task.add_done_callback(self._opened)

    def _opened(self, task: "asyncio.Task[None]") -> None:
        del self._opening[task]

    async def _open_one(self, exchange: "ClientExchange", origin: Origin) -> None:
        try:
            connection = await self._reach(exchange, origin)
        except OSError:
            self._share(exchange)
            return
        if connection is None:
            self._serve_waiting()
            return
        self._connections.add(connection)
        if exchange.awaits_upstream:
            exchange.attach(connection)
        else:
            self.release(connection)

    async def _reach(self, exchange: "ClientExchange", origin: Origin) -> UpstreamConnection | None:
        """Return a connection to this server or another; None where the exchange has failed, or has gone."""
        tried: set[Origin] = set()
        while (connection := await self._connect(origin)) is None:
            tried.add(origin)
            if not exchange.awaits_upstream:
                return None
            room = [
                each
                for each in self._ranked()
                if each not in tried and each.open < self.settings.max_connections
            ]
            if not room or len(tried) >= _MOST_TRIES:
                reason = Reason.UPSTREAM_UNREACHABLE
                exchange.fail(Fault("upstream", reason, self._trouble, self._next_try()))
                return None
            origin = room[0]
            origin.busy += 1
            origin.open += 1
        return connection

    def _share(self, exchange: "ClientExchange") -> None:
        """No connection can be opened, whichever the server: take one that others used, or wait for it."""
        if not exchange.awaits_upstream:
            return
        for origin in self._ranked():
            connection = origin.take(careful=exchange.looks_first)
            if connection is not None:
                exchange.attach(connection)
                return
        if any(origin.open for origin in self._origins):
            self._wait(exchange)
        else:
            exchange.fail(Fault("gateway", Reason.OVERLOADED, self._trouble, 1))

    async def _connect(self, origin: Origin) -> UpstreamConnection | None:
        """Return a new connection, None where there is none; the server's counts know of it already.

        Raises:
            OSError: no file may be opened here, which is no server's failure.
        """
        connection: UpstreamConnection | None = None
        try:
            connection = await self._dial(
                origin, lambda: UpstreamConnection(self, origin), self.settings.connect_timeout
            )
        except (OSError, ValueError) as error:
            # an SSLError is an OSError; a bad name may be a UnicodeError
            self._trouble = describe_failure(origin, error)
            if is_own_lack(error):
                raise
        finally:
            if connection is None or not connection.is_usable():
                connection = None
                origin.busy -= 1
                origin.open -= 1
        if connection is None:
            self._unreached(origin)
        else:
            self._reached(origin)
        return connection

    async def _dial(self, origin: Origin, make: Callable[[], AnyProtocol], timeout: float) -> AnyProtocol:  # noqa: ASYNC109
        return await dial(
            origin, make, timeout=timeout, context=self._ssl, server_name=self.settings.tls.server_name
        )

    # time and end

    def sweep(self, now: float) -> None:
        """Cut what takes too long, see who may be tried again, check who is well; a few times a second."""
        for exchange in self._waiting.expired(now, self.settings.connect_timeout):
            self._waiting.leave(exchange)
            exchange.fail(Fault("upstream", Reason.OVERLOADED, "waited too long for a connection"))
        self.uploads.sweep(now, len(self._waiting))
        for connection in tuple(self._connections):
            connection.sweep(now)
        for origin in self._origins:
            origin.lately.note_answers(now, origin.answers)
            if origin.cooling_until and now >= origin.cooling_until:
                origin.cooling_until = 0.0
                self._rotate()
        self._due = [each for each in self._origins if each.healthy and each.breaker.is_due(now)]
        if self._checks is not None and not self._retired:
            self._checks.sweep(now)

    def retire(self) -> None:
        """Keep no connection beyond the requests that are here already."""
        self._retired = True
        if self._checks is not None:
            self._checks.stop()
        self.close_idle()

    @property
    def is_done(self) -> bool:
        """Whether nothing is open and nobody waits."""
        return not (
            any(origin.open for origin in self._origins) or len(self._waiting) or self.uploads.is_anybody_here
        )

    def close_idle(self) -> None:
        """Close the connections that serve nobody."""
        for origin in self._origins:
            self._close_idle(origin)
        self.bound.close()

    @staticmethod
    def _close_idle(origin: Origin) -> None:
        while origin.idle:
            connection, _ = origin.idle.popitem()
            origin.busy += 1
            connection.finish()

    async def close(self) -> None:
        """Close everything."""
        running: list[asyncio.Task[None]] = [*self._opening]
        for task in running:
            task.cancel()
        if self._checks is not None:
            running += self._checks.stop()
        await asyncio.gather(*running, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.abandon()


__all__ = ["CoarseTime", "Origin", "UpstreamPool"]
