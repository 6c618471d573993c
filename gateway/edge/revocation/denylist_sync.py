"""Keeps this worker's denylist in step with the store, and writes to it.

A worker reads epoch, seq and the log's end at one moment, merges the snapshot, and follows the log with a
blocking read on a connection of its own. A trimmed stream skips entries without an error, a failover may lose
some, and a restart without data loses all: so every entry must be the last seq + 1, and every second epoch
and seq are compared. Whatever does not fit means synchronising again, which merges and never forgets, and
gives back to the store what it has lost, each entry with the place that it had: a session that began after it
lives on. Only a comparison that fits makes the replica fresh.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.decision.needs import Revoke
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.edge.clock import since_boot
from gateway.edge.revocation import denylist_log as log
from gateway.edge.revocation.denylist_reader import Items, Unseen, read_log, read_snapshot
from gateway.edge.revocation.denylist_writer import Acknowledgement, DenylistWriter, History
from gateway.edge.store.store import Argument, Script, Store
from gateway.edge.tasks import stop

BEAT_INTERVAL = 1.0
DELIVERY = 0.5
LIVE_FOR = 15.0
LOG_LENGTH = 10_000
_FORGET_AFTER = 60.0
_MOST_BACKOFF = 2.0
_BETWEEN_RESYNCS = 0.02


@dataclass(slots=True)
class _Counts:
    resyncs: int = 0
    reconnects: int = 0
    garbage: int = 0
    failures: int = 0
    lag: float = 0.0


class Revocations:
    """The denylist's way to and from the store, for one worker.

    Args:
        store: shared by all workers.
        denylist: the replica that requests are judged by.
        clock: wall time in seconds since the epoch.
        worker_id: names the worker to the operator; made unique here.
        live_for: seconds after which a worker that was not heard of is not waited for.
        log_length: about how many changes the log keeps.
        on_added: is told of entries just after they were added to the replica, some of them perhaps again; it
            must not raise.
        steps: counts the steps of the wall clock; each means synchronising anew.
    """

    def __init__(
        self,
        store: Store,
        denylist: Denylist,
        clock: Callable[[], float],
        *,
        worker_id: str,
        live_for: float = LIVE_FOR,
        log_length: int = LOG_LENGTH,
        on_added: Callable[[Iterable[DenyEntry]], None] = lambda _: None,
        steps: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._denylist = denylist
        self._clock = clock
        self.worker_id = f"{worker_id}:{os.urandom(3).hex()}"
        self._on_added = on_added
        self._steps = steps
        self._stepped = steps()
        self._history = History()
        self._writer = DenylistWriter(
            store, self._history, self._add, clock, live_for=live_for, log_length=log_length
        )
        self._keys = self._writer.keys
        self._good_at: float | None = None
        self._nudge = asyncio.Event()
        self._applied = asyncio.Event()
        self._attempted = asyncio.Event()
        self._counts = _Counts()
        self._written_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, and wait for the first attempt to synchronise; a store that is away may come later."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._attempted.wait()

    async def close(self) -> None:
        """Stop following, and leave the list of live workers."""
        if self._task is None:
            return
        task, self._task = self._task, None
        await stop(task)
        with contextlib.suppress(Fault):
            await self._script(log.LEAVE, self.worker_id)

    async def dismiss(self, worker_id: str) -> None:
        """Take a worker that has died off the list: nobody is to wait for it. Raises Fault."""
        await self._script(log.LEAVE, worker_id)

    def deny(self, entries: Iterable[DenyEntry]) -> None:
        """Refuse from now on what the entries name; another worker writes them.

        What has no place before it is written shuts everybody out here, so it is written here too: the other
        one may have ended.

        Raises:
            ValueError: as ``revoke``.
        """
        self._writer.hold(entries)

    def _add(self, entries: Sequence[DenyEntry]) -> None:
        for entry in entries:
            self._denylist.add(entry)
        self._on_added(entries)

    async def revoke(self, need: Revoke) -> None:
        """Write entries. This worker refuses what they name from now on, whatever becomes of the store.

        Raises:
            Fault: the store has not taken them yet; writing is tried again behind the caller's back.
            ValueError: an entry of the wrong shape; none is written.
        """
        seq, _ = await self._writer.write(need.entries, replicated=False)
        # whoever logs in here from now on is to begin after it
        await self._delivered(seq)

    async def put_off(self, entry: DenyEntry, seconds: float) -> None:
        """Let an entry that names one thing hold after so many seconds, whichever worker lives then.

        Raises:
            Fault: the store does not take it. ValueError: as ``revoke``.
        """
        await self._writer.put_off(entry, seconds)

    async def publish(self, entries: Sequence[DenyEntry]) -> Acknowledgement:
        """Write entries and wait, up to a second, until every live worker has applied them.

        Raises:
            Fault, ValueError: as ``revoke``.
        """
        return await self._writer.publish(entries)

    def stats(self) -> dict[str, float]:
        """Return the figures of the replica; durations are seconds, staleness infinite before the first."""
        good = self._good_at
        return {
            "entries": float(len(self._denylist)),
            "seq": float(self._history.seq),
            "lag_seconds": self._counts.lag,
            "staleness_seconds": float("inf") if good is None else since_boot() - good,
            "unwritten": float(len(self._writer.unwritten)),
            "resyncs": float(self._counts.resyncs),
            "reconnects": float(self._counts.reconnects),
            "garbage": float(self._counts.garbage),
            "failures": float(self._counts.failures),
        }

    async def _script(self, script: Script, *arguments: Argument) -> Any:  # noqa: ANN401 - of the script
        return await self._store.run(script, self._keys, arguments)

    async def _run(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._synchronise()
                pause = 0.1
                await self._follow()
                self._counts.resyncs += 1
                await asyncio.sleep(_BETWEEN_RESYNCS)
            except Exception:  # noqa: BLE001 - whatever the store holds, following goes on; meanwhile it is stale
                self._counts.failures += 1
                self._attempted.set()
                self._age()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MOST_BACKOFF)

    async def _synchronise(self) -> None:
        self._stepped = self._steps()
        epoch, seq, last = await self._script(log.SYNCHRONISE, os.urandom(16).hex(), *self._history.told())
        unseen = Unseen(self._denylist)

        def add(entries: Sequence[DenyEntry]) -> None:
            self._add(entries)
            unseen.see(entries)

        self._counts.garbage += await read_snapshot(self._store, self._keys, add)
        history = self._history
        history.epoch, history.seq, history.last, history.forked = epoch, int(seq), last, False
        self._denylist.position = log.decode_epoch(epoch), history.seq
        # the store has lost it, or never got it
        if lacking := unseen.left(self._clock()):
            await self._writer.write(lacking, replicated=False)

    async def _follow(self) -> None:
        """Follow the log until something does not fit; then it is time to synchronise again."""
        loop = asyncio.get_running_loop()
        line = self._store.line(self._keys[3])
        reading = read_log(line, self._keys[3], lambda: self._history.last, self._apply, self._lost)
        tasks = [loop.create_task(reading), loop.create_task(self._beat())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await stop(*tasks)
            await line.close()

    def _lost(self) -> None:
        self._counts.reconnects += 1
        self._nudge.set()

    def _apply(self, items: Items) -> bool:
        """Apply items of the log; False where one is not the next."""
        for identifier, fields in items:
            seq, entry = log.decode_change(fields)
            if entry is None:
                self._counts.garbage += 1
            if seq is not None and seq != self._history.seq + 1:
                # what was applied already is told anew, of something else: the store has lost history
                self._history.forked = seq <= self._history.seq
                return False
            if entry is not None and seq is not None:
                self._add((entry,))
                self._written_at = int(identifier.partition(b"-")[0]) / 1000
            self._history.last = identifier
            if seq is not None:
                self._history.seq = seq
                if self._history.epoch is not None:
                    self._denylist.position = log.decode_epoch(self._history.epoch), seq
        self._applied.set()
        self._nudge.set()
        return True

    async def _beat(self) -> None:
        """Each second, and whenever there is news, compare with the store and say what was applied."""
        loop = asyncio.get_running_loop()
        while True:
            self._nudge.clear()
            self._applied.clear()
            applied, written, asked, due = (
                self._history.seq,
                self._written_at,
                since_boot(),
                loop.time() + BEAT_INTERVAL,
            )
            self._clock()
            if self._steps() != self._stepped:
                return
            try:
                epoch, seq, at = await self._script(
                    log.BEAT, self.worker_id, applied, int(_FORGET_AFTER * 1000), self._writer.log_length
                )
            except Fault:
                self._age()
            else:
                if epoch != self._history.epoch or int(seq) < applied or not await self._delivered(int(seq)):
                    return
                if written is not None:
                    self._counts.lag = max(0.0, int(at) / 1000 - written)
                    self._written_at = None if written == self._written_at else self._written_at
                self._good_at = asked
                self._denylist.expire(self._clock())
                await self._writer.write_late()
            self._age()
            self._attempted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - loop.time())):
                    await self._nudge.wait()

    async def _delivered(self, seq: int) -> bool:
        """Tell whether the blocking read soon brings what the store has counted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELIVERY):
                while self._history.seq < seq:
                    self._applied.clear()
                    await self._applied.wait()
        return self._history.seq >= seq

    def _age(self) -> None:
        """Tell the replica when it was last good, on today's clock: a step of that clock changes no age."""
        if self._good_at is not None:
            self._denylist.synchronised_at = self._clock() - (since_boot() - self._good_at)
