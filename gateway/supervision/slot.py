"""One worker's slot: its sockets, the process that serves on them now, and the next one when that ends."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metric_merge import Snapshot
from gateway.supervision.channel import Caller, Channel, Gone, Refused
from gateway.supervision.sockets import Sockets
from gateway.syntax.encoding import Json

START_WITHIN: Final = 30.0
FIRST_TRIES: Final = 3
MOST_SILENCES: Final = 15
_STABLE: Final = 10.0
_FIRST_PAUSE: Final = 0.1
_MOST_PAUSE: Final = 5.0
_ASK_WITHIN: Final = 1.0
_END_WITHIN: Final = 5.0

# -P and the supervisor's own path: neither the working directory nor the environment decides what is run
# modules are no garbage: collecting while they are loaded finds nothing; the worker goes on with it
_BOOT: Final = """
import gc, json, sys
gc.disable()
sys.path[:] = json.loads(sys.argv[2])
from gateway.worker import main
sys.exit(main(int(sys.argv[1])))
"""


class Conditions(Protocol):
    """What a worker is started with."""

    async def orders(self) -> Mapping[str, Json]:
        """Return settings and store; waits while these are being changed."""


class Slot:
    """Keeps one worker running.

    Args:
        number: names the worker in logs.
        sockets: what it serves on; they stay open from one process to the next.
        conditions: asked before each start.
        logs: of the supervisor.
        retire: takes the last metrics of a process that has ended.
        native: where the compiled form of this source is, if there is one.

    Attributes:
        first: done when a process of this slot has been ready for the first time, or none will be.
        is_ready: whether a process serves now.
        settled: set unless a process has been told the configuration and is not ready yet.
        last: the metrics that the process told last.
        restarts: how many processes have ended unasked.
        pid: of the process that serves now.
    """

    def __init__(
        self,
        number: int,
        sockets: Sockets,
        conditions: Conditions,
        logs: Logs,
        retire: Callable[[Snapshot], None],
        native: Path | None = None,
    ) -> None:
        self.number = number
        self.sockets = sockets
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_ready = False
        self.settled = asyncio.Event()
        self.settled.set()
        self.last: Snapshot = []
        self.restarts = 0
        self.pid: int | None = None
        self._conditions = conditions
        self._logs = logs
        self._retire = retire
        self._ahead = [] if native is None else [str(native)]
        self._caller: Caller | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._worker_id: str | None = None
        self._silences = 0
        self._is_ending = False
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def call(self, order: str, patience: float = _ASK_WITHIN, **fields: Json) -> Json:
        """Ask the process that serves now. Raises Gone, Refused, TimeoutError."""
        if self._caller is None:
            raise Gone
        return await self._caller.call(order, patience, **fields)

    async def measure(self) -> None:
        """Ask for the metrics; what was told last stays where the answer does not come.

        A process that never answers serves nobody either: after a while it is ended.
        """
        if not self.is_ready:
            return
        try:
            told = await self.call("metrics")
        except TimeoutError:
            self._silences += 1
            if self._silences >= MOST_SILENCES:
                self._logs.error("a worker does not answer and is ended", worker=self.number)
                self.kill()
        except (Gone, Refused):
            pass
        else:
            self._silences = 0
            if self.is_ready and isinstance(told, list):
                self.last = told

    def kill(self) -> None:
        """End the process at once; another one takes its place unless the slot is ending."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def drain(self, bound: float) -> None:
        """Let the process finish what it has begun, for at most about ``bound`` seconds, and end it."""
        self._is_ending = True
        was_ready, self.is_ready = self.is_ready, False
        if was_ready:
            with contextlib.suppress(Gone, Refused, TimeoutError):
                told = await self.call("drain", bound + _END_WITHIN)
                self.last = told if isinstance(told, list) else self.last
        else:
            self.kill()
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_WITHIN):
                    await self._process.wait()
        await self.end()

    async def end(self) -> None:
        """End the process, however far it is."""
        self._is_ending = True
        self.is_ready = False
        self.kill()
        if self._process is not None:
            await self._process.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self.first.done():
            self.first.cancel()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause, tries = 0.0, 0
        while True:
            began = loop.time()
            why = await self._live()
            await self._forget()
            if self._is_ending:
                return
            if not self.first.done():
                tries += 1
                if isinstance(why, Refused) or tries >= FIRST_TRIES:
                    self.first.set_exception(RuntimeError(f"worker {self.number}: {why}"))
                    return
            self.restarts += 1
            pause = 0.0 if loop.time() - began > _STABLE else min(max(2 * pause, _FIRST_PAUSE), _MOST_PAUSE)
            self._logs.error("a worker has ended", worker=self.number, why=str(why), next_in_seconds=pause)
            await asyncio.sleep(pause)

    async def _live(self) -> Exception:
        """Start a process, see it serve, and return why it ended."""
        try:
            process = await self._spawn()
            orders = await self._conditions.orders()
            self.settled.clear()
            told = await self.call(
                "start",
                START_WITHIN,
                **orders,
                worker=self.number,
                sockets=[each.fileno() for each in self.sockets],
                predecessor=self._worker_id,
            )
        except Refused as refused:
            return refused
        except TimeoutError:
            return RuntimeError(f"it was not ready within {START_WITHIN:g} s")
        except OSError as error:
            return RuntimeError(f"it cannot be started: {error.strerror or type(error).__name__}")
        except Gone:
            return RuntimeError(f"it ended before it was ready ({await self._status()})")
        else:
            self._worker_id = str(told["worker_id"]) if isinstance(told, dict) else None
            self.pid = process.pid
            self.is_ready = True
            if not self.first.done():
                self.first.set_result(None)
        finally:
            self.settled.set()
        await process.wait()
        return RuntimeError(await self._status())

    async def _spawn(self) -> asyncio.subprocess.Process:
        path = json.dumps([*self._ahead, *sys.path])
        ours, theirs = socket.socketpair()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _BOOT, str(theirs.fileno()), path),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *(each.fileno() for each in self.sockets)),
                # a Ctrl-C is the supervisor's to handle
                start_new_session=True,
            )
            self._caller = Caller(await Channel.open(ours))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return process

    async def _status(self) -> str:
        """Say how the process ended; one that does not end although its channel is closed is killed."""
        if self._process is None:
            return "no process"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASK_WITHIN):
                await self._process.wait()
        self.kill()
        code = await self._process.wait()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    async def _forget(self) -> None:
        """The process has ended, or is to end: nothing of it remains but its totals."""
        self.is_ready = False
        self.pid = None
        self._silences = 0
        if self._caller is not None:
            await self._caller.close()
        self._caller = None
        await self._status()
        self._retire(self.last)
        self.last = []
