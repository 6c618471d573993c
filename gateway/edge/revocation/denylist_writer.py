"""Writes to the denylist: entries of this worker's, and those that the store did not take at first."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from gateway.core.fault import Fault
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.edge.revocation import denylist_log as log
from gateway.edge.store.store import Argument, Store
from gateway.syntax.encoding import Json

ACKNOWLEDGE_WITHIN = 1.0
_BATCH = 500
_MARGIN = 300
_ANY_SEQ = 2**53


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Which live workers hold the entries and which have not said so in time.

    ``replicated`` tells whether a replica of the store confirmed the write (WAIT 1); None without replicas.
    ``sessions`` is how many sessions that live the entries met, ``streams`` how many open WebSockets, event
    streams and other long exchanges of this gateway, ``keys`` how many API keys; None where nobody can tell.
    Bearer tokens with an ``iat`` until ``tokens_refused_until`` (epoch seconds) are refused; None where the
    entry names no time.
    """

    seq: int
    acknowledged: list[str]
    missing: list[str]
    replicated: bool | None = None
    sessions: int | None = None
    tokens_refused_until: float | None = None
    streams: int | None = None
    keys: int | None = None

    def to_json(self) -> dict[str, Json]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(slots=True)
class History:
    """How far the store's history was applied: epoch, seq, the item of the log, and whether it has forked."""

    epoch: bytes | None = None
    seq: int = 0
    last: bytes = b"0-0"
    forked: bool = False

    def told(self) -> tuple[Argument, Argument]:
        """Return the epoch that was followed last and what was applied of it, as the scripts take them."""
        return self.epoch or b"", _ANY_SEQ if self.forked else self.seq


class DenylistWriter:
    """Writes for one worker.

    Args:
        store: shared by all workers.
        history: what this worker has applied.
        add: adds entries to this worker's replica.
        clock: wall time in seconds since the epoch.
        live_for: seconds after which a worker that was not heard of is not waited for.
        log_length: about how many changes the log keeps.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        add: Callable[[Sequence[DenyEntry]], None],
        clock: Callable[[], float],
        *,
        live_for: float,
        log_length: int,
    ) -> None:
        self._store = store
        self._history = history
        self._add = add
        self._clock = clock
        self._live_for = live_for
        self.log_length = log_length
        self.keys = [store.key(log.TAG, name) for name in log.KEYS]
        self.unwritten: dict[DenyEntry, None] = {}

    def hold(self, entries: Iterable[DenyEntry]) -> None:
        """Add entries to the replica that another worker writes: ``Revocations.deny``. Raises ValueError."""
        told = tuple(entries)
        for entry in told:
            log.encode_entry(entry)
        self.unwritten.update((entry, None) for entry in told if entry.position == AS_WRITTEN)
        self._add(told)

    async def write(
        self, entries: Sequence[DenyEntry], *, replicated: bool, is_late: bool = False
    ) -> tuple[int, bool | None]:
        """Add entries to the replica and write them; return the seq that they have then.

        The second is whether a replica of the store has them, None where nobody was asked, or there is none.

        Args:
            entries: to be written.
            replicated: ask a replica of the store.
            is_late: they are in the replica already, and could not be written then.

        Raises:
            Fault, ValueError: as ``Revocations.revoke``.
        """
        encoded = [(*log.encode_entry(entry), log.encode_place(entry)) for entry in entries]
        if not is_late:
            self.unwritten.update(dict.fromkeys(entries))
            self._add(entries)
        seq, confirmed = 0, None
        for start in range(0, len(encoded), _BATCH):
            batch = encoded[start : start + _BATCH]
            arguments: list[Argument] = [
                self.log_length,
                _MARGIN,
                round(self._clock(), 3),
                os.urandom(16).hex(),
                *self._history.told(),
                *(part for each in batch for part in each),
            ]
            if replicated:
                reply, confirmed = await self._store.run_replicated(log.WRITE, self.keys, arguments)
            else:
                reply = await self._store.run(log.WRITE, self.keys, arguments)
            seq = int(reply[1])
            self._add(
                [
                    replace(entry, position=log.decode_place(place))
                    for entry, place in zip(entries[start : start + _BATCH], reply[2], strict=True)
                    if entry.position == AS_WRITTEN
                ]
            )
        for entry in entries:
            self.unwritten.pop(entry, None)
        return seq, confirmed

    async def write_late(self) -> None:
        """Try again what the store has not taken."""
        if self.unwritten:
            with contextlib.suppress(Fault):
                await self.write(tuple(self.unwritten), replicated=False, is_late=True)

    async def put_off(self, entry: DenyEntry, seconds: float) -> None:
        """As ``Revocations.put_off``."""
        arguments = (int(seconds * 1000), *log.encode_entry(entry))
        await self._store.run(log.PUT_OFF, self.keys, arguments)

    async def publish(self, entries: Sequence[DenyEntry]) -> Acknowledgement:
        """As ``Revocations.publish``."""
        seq, replicated = await self.write(entries, replicated=True)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ACKNOWLEDGE_WITHIN
        while True:
            reply = await self._store.run(log.ACKNOWLEDGED, self.keys, [int(self._live_for * 1000)])
            applied = {worker.decode("utf-8", "replace"): log.decode_count(count) for worker, count in reply}
            missing = sorted(worker for worker, count in applied.items() if count is None or count < seq)
            if not missing or loop.time() >= deadline:
                held = sorted(applied.keys() - set(missing))
                return Acknowledgement(seq, held, missing, replicated)
            await asyncio.sleep(0.02)
