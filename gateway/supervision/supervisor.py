"""The process that keeps workers running: it holds the sockets, the admin listener and the embedded store.

It serves no request itself. Its own work is small, so that it answers for the workers when they cannot.
"""

import asyncio
import contextlib
import gc
import importlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.config.settings.root import Settings
from gateway.edge.configfile.load import Loaded
from gateway.edge.store.embedded import EmbeddedValkey
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.outlets import open_logs
from gateway.supervision import descriptors, native
from gateway.supervision.fleet import Fleet
from gateway.supervision.slot import Slot
from gateway.supervision.sockets import Sockets, bind

if TYPE_CHECKING:
    from gateway.supervision.view import View

_CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_VIEW_WITHIN: Final = 2.0


def run(settings: Settings, load: Callable[[], Loaded]) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    Args:
        settings: the validated configuration.
        load: reads it anew; raises ConfigurationError.

    Raises:
        OSError: an address is taken or not ours. RuntimeError: no store or no worker can be started.
    """
    import uvloop  # noqa: PLC0415 - absent on Windows, where nothing but this needs it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, load))


async def _run(settings: Settings, load: Callable[[], Loaded]) -> int:
    return await Supervisor(settings, load).run()


def count_workers(settings: Settings) -> int:
    """Return how many workers to run; ``auto`` is the processors that this process may use."""
    return count_processors() if settings.workers == "auto" else settings.workers


def count_processors() -> int:
    """Return how many processors this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        # a container's share of the machine (cgroup v2)
        quota, period = _CPU_QUOTA.read_text().split()
        usable = min(usable, max(1, round(int(quota) / int(period))))
    return usable


class Supervisor:
    """Starts workers, tells them what changes, and ends them.

    Args:
        settings: the validated configuration.
        load: reads it anew; raises ConfigurationError.
        logs: of this process; standard error when None.
    """

    def __init__(self, settings: Settings, load: Callable[[], Loaded], *, logs: Logs | None = None) -> None:
        self.fleet = Fleet(settings, logs if logs is not None else open_logs(settings))
        self._load = load
        self._embedded: EmbeddedValkey | None = None
        self._sockets: list[Sockets] = []
        self._admin_sockets: Sockets = ()
        self._view: View | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; a second one ends everything at once. Return the exit code.

        Raises:
            OSError, RuntimeError: it cannot start.
        """
        stop, haste, reload = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            (haste if stop.is_set() else stop).set()

        loop.add_signal_handler(signal.SIGTERM, end)
        loop.add_signal_handler(signal.SIGINT, end)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        try:
            starting = loop.create_task(self.start())
            await _first(starting, stop.wait())
            if starting.done():
                await starting
                self._tasks.add(loop.create_task(self._obey(reload)))
                await stop.wait()
                drained = loop.create_task(self.drain())
                self._tasks.add(drained)
                if not await _first(drained, haste.wait()):
                    return 1
                await drained
            else:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
        finally:
            await self.close()
        return 0

    async def start(self) -> None:
        """Start everything and wait until every worker serves.

        Raises:
            OSError: an address is taken or not ours. RuntimeError: no store or no worker can be started.
        """
        fleet, settings = self.fleet, self.fleet.settings
        descriptors.prepare(settings, fleet.logs)
        with _naming(f"listen ({settings.listen})"):
            self._sockets = bind(settings.listen, count_workers(settings))
        with _naming(f"admin.listen ({settings.admin.listen})"):
            (self._admin_sockets,) = bind(settings.admin.listen, 1)
        compiled = native.find()
        fleet.slots = [
            Slot(number, sockets, fleet, fleet.logs, fleet.merged.retire, compiled)
            for number, sockets in enumerate(self._sockets)
        ]
        url = None
        if settings.redis is None:
            self._embedded = EmbeddedValkey(fleet.logs.error)
            url = await self._embedded.start(Path(settings.state_dir))
        fleet.store_url.set_result(url)
        firsts = [slot.first for slot in fleet.slots]
        if count_processors() <= len(firsts):
            # to load an HTTP server takes a third of a second of a processor that a worker needs to start
            await asyncio.wait(firsts, timeout=_VIEW_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        await self._open_view()
        await asyncio.gather(*firsts)
        gc.enable()
        fleet.logs.info(
            "started",
            listen=settings.listen,
            admin=settings.admin.listen,
            store="redis" if url is None else "embedded",
            workers=len(fleet.slots),
            modules="compiled" if native.is_compiled(compiled) else "interpreted",
        )

    async def _open_view(self) -> None:
        """Serve on the admin listener; whoever asked since it was bound has queued."""
        await asyncio.to_thread(importlib.import_module, "gateway.supervision.view")
        from gateway.supervision.view import View  # noqa: PLC0415

        self._view = View(self.fleet, self._load)
        await self._view.start(self._admin_sockets)

    async def drain(self) -> None:
        """Tell everybody that this ends, stop accepting, and let open requests end."""
        self.fleet.is_draining = True
        bound = self.fleet.settings.limits.drain_timeout
        self.fleet.logs.info("draining", bound=bound)
        drained = asyncio.gather(*(slot.drain(bound) for slot in self.fleet.slots))
        # the workers hold theirs until they have taken in what has queued
        await asyncio.sleep(0)
        self._close_sockets()
        await drained
        self.fleet.logs.info("ended")

    async def close(self) -> None:
        """End everything at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(slot.end() for slot in self.fleet.slots))
        self._close_sockets()
        if self._view is not None:
            await self._view.close()
        for each in self._admin_sockets:
            each.close()
        if self._embedded is not None:
            await self._embedded.stop()
        self.fleet.logs.close()

    def _close_sockets(self) -> None:
        for each in (each for sockets in self._sockets for each in sockets):
            each.close()

    async def _obey(self, reload: asyncio.Event) -> None:
        """Reload whenever that is asked for; what is asked for meanwhile is done once, afterwards."""
        while True:
            await reload.wait()
            reload.clear()
            assert self._view is not None
            await self._view.reloader.reload()


@contextlib.contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Let an OSError tell whose address it is about."""
    try:
        yield
    except OSError as error:
        error.add_note(setting)
        raise


async def _first(task: "asyncio.Task[None]", other: Coroutine[None, None, object]) -> bool:
    """Wait for either; tell whether the task is done."""
    waiting = asyncio.ensure_future(other)
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return task.done()
