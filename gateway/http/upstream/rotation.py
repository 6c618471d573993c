"""Which servers of an upstream are up, which is next, and what is learned of each (R76)."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import Final

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.http.roles import Clock, Member, Server, Waiting
from gateway.http.upstream.balance import Balance
from gateway.http.upstream.origin import Origin
from gateway.http.upstream.shares import LEAST_CAPACITY

_COOL_DOWN: Final = 5.0


class Rotation:
    """The servers of one upstream.

    A server whose breaker is open or whose health checks fail has no idle connection and is not in rotation:
    so the way of an ordinary request asks for neither.

    Args:
        settings: the upstream's.
        time: the coarse clock.
        changed: is told of a server that is up from now on, or is not.

    Attributes:
        servers: all of them.
        sole: the one, where there is one.
        balance: whose turn it is.
        due: those with an open breaker that a request may try.
        scarce_from: from so many used connections on, one address may have a share of them and no more.

    Raises:
        ValueError: a server's URL is not one.
    """

    def __init__(self, settings: UpstreamSettings, time: Clock, changed: Callable[[Server], None]) -> None:
        self._settings = settings
        self._time = time
        self._changed = changed
        weights = settings.weights or (1,) * len(settings.servers)
        self.servers: list[Server] = [
            Origin(url, settings.breaker, weight=weight, rewrite=settings.host == "rewrite")
            for url, weight in zip(settings.servers, weights, strict=True)
        ]
        self.sole = self.servers[0] if len(self.servers) == 1 else None
        self.balance = Balance(in_turn=settings.balance == "round_robin")
        self.due: list[Server] = []
        self.scarce_from = 0
        self._rotate()

    @property
    def capacity(self) -> int:
        """How many connections there may be to the servers that are up."""
        return max(1, sum(1 for each in self.servers if each.up)) * self._settings.max_connections

    @property
    def used(self) -> int:
        """How many connections serve a request, those being opened included."""
        return sum([each.busy for each in self.servers])

    @property
    def is_anybody_up(self) -> bool:
        """Whether there is a server to ask."""
        return not self.balance.is_empty

    def has_other(self, server: object) -> bool:
        """Tell whether another server is up."""
        return any(each.up and each is not server for each in self.servers)

    def ranked(self) -> list[Server]:
        """Return the servers that are up, best first."""
        best = self.sole or self.balance.pick()
        in_turn = self._settings.balance == "round_robin"
        return sorted(
            (each for each in self.servers if each.up),
            key=lambda each: (
                each.cooling_until,
                0.0 if in_turn else each.busy / each.weight,
                each is not best,
            ),
        )

    def nobody_is_up(self) -> Fault:
        """Return what is told where no server is up."""
        return Fault("upstream", Reason.UPSTREAM_UNAVAILABLE, "no server is up", self.next_try())

    def next_try(self) -> int:
        """Return in how many seconds it is worth asking again."""
        health, now = self._settings.health, self._time.now
        interval = health.interval if health else 0.0
        waits = [
            interval if not each.healthy else each.breaker.retry_at - now if each.breaker.is_open else 0.0
            for each in self.servers
        ]
        return max(1, ceil(min(waits)))

    def try_again(self, exchange: Waiting) -> Server | None:
        """Return a server whose breaker lets one request try, if this request may be it.

        What must not be sent twice tries only where nobody else is up.
        """
        if not exchange.is_repeatable and self.is_anybody_up:
            return None
        server = self.due.pop()
        server.breaker.hold(self._time.now)
        return server

    def readings(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield how each server does: a figure's name, its labels, its value.

        A server is told by its place in the list; ``healthy`` and ``breaker`` (1: open) are 0 or 1.
        """
        for place, each in enumerate(self.servers):
            server = {"server": str(place)}
            yield "upstream_server_healthy", server, each.healthy
            yield "upstream_server_breaker", server, each.breaker.is_open
            yield "upstream_server_busy", server, each.busy

    # what is learned

    def failed(self, server: Server, exchange: Member) -> None:
        """Note that a server was reached and did not answer as a server does (R76)."""
        breaker, now = server.breaker, self._time.now
        if breaker.is_open:
            if breaker.is_tried:
                breaker.open(now, by_answers=breaker.by_answers)
            return
        if not breaker.limit or self.sole is not None:
            return
        server.lately.note_failure(now, exchange.address)
        if self.has_other(server) and server.lately.is_failing(server.answers):
            server.lately.forget()
            breaker.open(now, by_answers=True)
            self._settle(server)

    def answered(self, server: Server, status: int, exchange: Member) -> None:
        """Note the status of a response; called only where ``server.attentive``."""
        breaker = server.breaker
        if status in server.failing:
            # it is counted as a failure, and not as an answer too
            server.answers -= 1
            self.failed(server, exchange)
        elif breaker.is_tried or not breaker.is_open:
            breaker.close()
            self._settle(server)

    def unreached(self, server: Server) -> None:
        """No connection could be opened: whoever asked, that is the server's failure."""
        server.cooling_until = self._time.now + _COOL_DOWN
        server.breaker.unreachable(self._time.now)
        self._rotate()
        self._settle(server)

    def reached(self, server: Server) -> None:
        """A connection was opened."""
        breaker = server.breaker
        if not (server.cooling_until or breaker.failures):
            return
        server.cooling_until = 0.0
        breaker.failures = 0
        if breaker.is_open and not breaker.by_answers:
            breaker.close()
        self._settle(server)
        self._rotate()

    def health_changed(self, server: Server) -> None:
        """The active checks have found another health."""
        if server.healthy:
            # it has proven itself since whatever its breaker saw
            server.breaker.close()
            server.cooling_until = 0.0
        self._settle(server)

    def _settle(self, server: Server) -> None:
        was_up = server.up
        server.settle()
        if server.up != was_up:
            self._rotate()
            self._changed(server)

    def _rotate(self) -> None:
        up = [each for each in self.servers if each.up]
        if not up:
            # what was left alone for its answers is better than nobody
            up = [each for each in self.servers if each.healthy and each.breaker.by_answers]
            for each in up:
                each.breaker.close()
                each.settle()
        self.due = [each for each in self.due if each.breaker.is_open and each.healthy]
        capacity = self.capacity
        self.scarce_from = capacity // 2 if capacity >= LEAST_CAPACITY else capacity + 1
        self.balance.rotate([each for each in up if not each.cooling_until] or up)

    def sweep(self, now: float) -> None:
        """See who is to be tried again; a few times a second."""
        for server in self.servers:
            server.lately.note_answers(now, server.answers)
            if server.cooling_until and now >= server.cooling_until:
                server.cooling_until = 0.0
                self._rotate()
        self.due = [each for each in self.servers if each.healthy and each.breaker.is_due(now)]
