"""Active health checks: a server is asked now and then, apart from the requests that it serves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from gateway.config.settings.upstreams import HealthSettings
from gateway.core.fault import Fault
from gateway.core.headers.rules import plain_response_lines
from gateway.http.messages.mending import end_of_head
from gateway.http.messages.response_head import MOST_HEAD, read_response_head
from gateway.http.roles import Server
from gateway.http.sockets import is_own_lack
from gateway.http.upstream.origin import expand_statuses

_FIELDS = b"User-Agent: gateway-health\r\nAccept: */*\r\nConnection: close\r\n"

Dial: TypeAlias = "Callable[[Server, Callable[[], Probe], float], Awaitable[Probe]]"

_LINES = plain_response_lines()


class Probe(asyncio.Protocol):
    """One question on a connection of its own; ``status`` is its answer's status code, None without one."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = b""
        self.status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask; asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take the response head, of which the status is all that counts; asyncio.Protocol."""
        self._buffer += data
        end = end_of_head(self._buffer)
        if not end:
            if len(self._buffer) > MOST_HEAD:
                self._tell(None)
            return
        try:
            status = read_response_head(self._buffer[:end], _LINES).status
        except Fault:
            self._tell(None)
            return
        # an interim response is no answer, and no health check asks for one
        self._tell(status if status >= 200 else None)

    def connection_lost(self, exc: Exception | None) -> None:
        """No answer; asyncio.Protocol."""
        del exc
        self._tell(None)

    def _tell(self, status: int | None) -> None:
        if not self.status.done():
            self.status.set_result(status)


class Checks:
    """The checks of one upstream's servers; driven by the data plane's coarse clock.

    Args:
        settings: what to ask, and how often.
        origins: whom.
        dial: connects within so many seconds, as requests do.
        changed: is told which server's health has changed.
    """

    def __init__(
        self,
        settings: HealthSettings,
        origins: list[Server],
        dial: Dial,
        changed: Callable[[Server], None],
    ) -> None:
        self._settings = settings
        self._dial = dial
        self._changed = changed
        self._wanted = expand_statuses(settings.status)
        self._due = dict.fromkeys(origins, 0.0)
        self._rows = dict.fromkeys(origins, 0)
        self._running: dict[Server, asyncio.Task[None]] = {}

    def sweep(self, now: float) -> None:
        """Begin the checks that are due."""
        for origin, due in self._due.items():
            if now >= due and origin not in self._running:
                self._due[origin] = now + self._settings.interval
                task = asyncio.get_running_loop().create_task(self._check(origin))
                self._running[origin] = task
                task.add_done_callback(lambda _, origin=origin: self._running.pop(origin, None))  # type: ignore[misc]

    async def _check(self, origin: Server) -> None:
        try:
            answer = await self._ask(origin)
        except (OSError, ValueError) as error:
            if is_own_lack(error):
                # says nothing of the server
                return
            answer = None
        self._note(origin, good=answer in self._wanted)

    async def _ask(self, origin: Server) -> int | None:
        host = self._settings.host.encode() if self._settings.host is not None else origin.authority
        request = b"GET %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (self._settings.path.encode(), host, _FIELDS)
        timeout = self._settings.timeout
        async with asyncio.timeout(timeout):
            probe = await self._dial(origin, lambda: Probe(request), timeout)
            try:
                return await probe.status
            finally:
                probe.transport.abort()

    def _note(self, origin: Server, *, good: bool) -> None:
        """Count checks in a row that contradict what is believed; enough of them change it."""
        if good == origin.healthy:
            self._rows[origin] = 0
            return
        self._rows[origin] += 1
        needed = self._settings.healthy_after if good else self._settings.unhealthy_after
        if self._rows[origin] >= needed:
            self._rows[origin] = 0
            origin.healthy = good
            self._changed(origin)

    def stop(self) -> list["asyncio.Task[None]"]:
        """Check no more; return what was running, to be waited for."""
        self._due.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        return running
