"""Writing the audit trail into the store: in batches, behind everybody's back, and bounded.

What happens takes one append to a queue. A task links what has gathered and sends it; a store that is away
makes it wait, up to a bound, and what is lost beyond that stands in the chain as a number. Once a batch is
linked it is sent as it is until the store has taken it.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from math import inf
from typing import Final, Protocol

from gateway.config.settings.audit import KeepSettings
from gateway.core.audit.chain import (
    MOST_ENTRY,
    Chain,
    encode_entry,
    name_chain,
    split,
)
from gateway.core.fault import Fault
from gateway.core.sessions.seal import NONCE_BYTES, KeyRing
from gateway.edge.audit.places import SEAL, Places, keys_of, names_of
from gateway.edge.audit.scripts import APPEND
from gateway.edge.audit.trimming import trim
from gateway.edge.store.store import Argument, Store
from gateway.edge.tasks import stop
from gateway.syntax.encoding import Json, parse_object

MOST_WAITING: Final = 10_000
"""Events that wait for the store; more are lost, and counted."""
MOST_STRANGERS: Final = 60
"""Events of nobody in particular that are kept in a minute: strangers must not displace what is kept."""
STRANGERS: Final = frozenset(
    {"access", "admin_refused", "console_login", "login", "logout_refused", "refusal", "site_refused"}
)
"""Events that anybody may cause; those of nobody in particular are bounded, and refusals are not kept."""
GATHER: Final = 0.2
_PAUSE: Final = 1.0
_BATCH: Final = 200
_TRIM_EVERY: Final = 10.0
_MOST_HEADS: Final = 64
# anchors of chains of which nothing is left
_MOST_SPENT: Final = 1000
# beyond the age of its last entry, until a trail that nobody writes to is gone
_MARGIN: Final = 86_400.0
_DRAIN_WITHIN: Final = 2.0


class Teller(Protocol):
    """Where trouble is told."""

    def error(self, message: str, **fields: object) -> None:
        """Take an error."""


class AuditWriter:
    """Writes one process's chain.

    Args:
        store: shared by all.
        ring: returns the key ring of now.
        clock: wall time in seconds since the epoch.
        logs: take what goes wrong.
    """

    def __init__(
        self, store: Store, ring: Callable[[], KeyRing], clock: Callable[[], float], logs: Teller
    ) -> None:
        self._store = store
        self._places = Places(store)
        self._ring = ring
        self._clock = clock
        self._logs = logs
        self._keep: KeepSettings | None = None
        self._kept_for = KeepSettings().for_
        self._appended_at = -inf
        self._queue: deque[str] = deque()
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._chain: Chain | None = None
        self._linked: tuple[list[dict[str, Json]], list[Argument]] | None = None
        self._again: list[dict[str, Json]] = []
        self._unsaid = {"audit_lost": 0, "audit_skipped": 0}
        self._minute, self._strangers = -inf, 0
        self._trimmed_at = -inf
        self.kept = self.lost = self.skipped = 0

    def configure(self, keep: KeepSettings | None) -> None:
        """Go on with these bounds; with None nothing more is taken, and what is kept goes when it is old."""
        self._keep = keep
        if keep is not None:
            self._kept_for = keep.for_

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._keep_writing())

    def stats(self) -> dict[str, float]:
        """Return what was counted, by short names."""
        return {
            "kept_total": float(self.kept),
            "lost_total": float(self.lost),
            "skipped_total": float(self.skipped),
            "waiting": float(len(self._queue)),
        }

    def keep(self, event: str, fields: Mapping[str, object], line: str) -> None:
        """Take an audit event as the log has it; never waits, never raises."""
        if self._keep is None:
            return
        # what anybody may cause, as often as they like
        nobody = fields.get("subject") is None and fields.get("actor") is None
        is_strangers = nobody and event in STRANGERS
        if event == "refusal" and is_strangers:
            return
        self.take(line, is_strangers=is_strangers)

    def take(self, line: str, *, is_strangers: bool) -> None:
        """Take an event as its JSON line; never waits, never raises.

        Args:
            line: as the audit log has it.
            is_strangers: whether anybody may cause it, as often as they like.
        """
        if self._keep is None:
            return
        if is_strangers and not self._has_room_for_strangers():
            self.skipped += 1
            self._unsaid["audit_skipped"] += 1
            return
        if len(self._queue) >= MOST_WAITING:
            self.lost += 1
            self._unsaid["audit_lost"] += 1
            return
        self._queue.append(line)
        if not self._woken.is_set():
            self._woken.set()

    def _has_room_for_strangers(self) -> bool:
        now = self._clock()
        if not 0.0 <= now - self._minute < 60.0:
            self._minute, self._strangers = now, 0
        self._strangers += 1
        return self._strangers <= MOST_STRANGERS

    async def _keep_writing(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TRIM_EVERY):
                    await self._woken.wait()
            await asyncio.sleep(GATHER)
            self._woken.clear()
            try:
                await self.flush()
                await self._trim_if_due()
            except Fault:
                # the eye on the store tells of it
                self._woken.set()
                await asyncio.sleep(_PAUSE)
            except Exception as error:  # noqa: BLE001 - one event that breaks it must not end all that follow
                self._logs.error("internal error", kind=type(error).__name__, error=error)
                await asyncio.sleep(_PAUSE)

    async def flush(self) -> None:
        """Write what waits. Raises Fault: it waits on."""
        async with self._turn:
            await self._flush()

    async def _flush(self) -> None:
        while self._queue or self._again or self._linked is not None or any(self._unsaid.values()):
            if self._linked is None:
                if self._chain is not None and self._clock() - self._appended_at > self._kept_for:
                    # nothing of it is left by now
                    self._chain = None
                if self._chain is None:
                    await self._begin("")
                self._link(self._take_batch())
            await self._send()

    def _take_batch(self) -> list[dict[str, Json]]:
        batch, self._again = self._again, []
        while self._queue and len(batch) < _BATCH:
            members = parse_object(self._queue.popleft().encode(), MOST_ENTRY)
            if members is None:
                self.lost += 1
                self._unsaid["audit_lost"] += 1
            else:
                batch.append(members)
        # the newest are those that are lost, so this comes after what has waited
        for event, count in self._unsaid.items() if not self._queue else ():
            if count:
                self._unsaid[event] = 0
                batch.append(self._own(event, count=count))
        return batch

    def _own(self, event: str, **fields: Json) -> dict[str, Json]:
        return {"time": stamp(self._clock()), "level": "info", "event": event, **fields}

    async def _begin(self, after: str) -> None:
        """Begin a chain. Its first entry names the heads that are there, so that none goes unseen."""
        heads = numbers_of(await self._store.execute("HGETALL", self._places.heads))
        firsts = numbers_of(await self._store.execute("HGETALL", self._places.firsts))
        spent = sorted(name for name, seq in heads.items() if firsts.get(name, 0) > seq)[:-_MOST_SPENT]
        for where in (self._places.heads, self._places.firsts) if spent else ():
            await self._store.execute("HDEL", where, *spent)
        keys = keys_of(self._ring())
        name = name_chain(self._clock(), os.urandom(8))
        self._chain = Chain(name, keys.newest, keys.seeds[keys.newest])
        last: dict[str, Json] = {each: heads[each] for each in sorted(heads)[-_MOST_HEADS:]}
        began = self._own("chain_began", key_hint=keys.newest, heads=last, pid=os.getpid())
        self._link([began | ({"after": after} if after else {})])
        await self._send()

    def _link(self, batch: list[dict[str, Json]]) -> None:
        chain, ring, keys = self._chain, self._ring(), keys_of(self._ring())
        assert chain is not None
        before = chain.seq
        seed, told = keys.seeds[keys.newest], list[Argument]()
        for members in batch:
            public, personal = split(members, os.urandom(16).hex())
            entry = chain.add(public, personal)
            names = names_of(members, seed)
            sealed = ring.seal(SEAL, personal.encode(), os.urandom(NONCE_BYTES))
            told += [encode_entry(entry), f"{names}|{sealed}", names]
        lifetime = int((self._kept_for + _MARGIN) * 1000)
        self._linked = batch, [chain.name, before, chain.anchor().encode(), lifetime, *told]

    async def _send(self) -> None:
        """Send what is linked. Raises Fault: it is sent again, just so."""
        linked, places, chain = self._linked, self._places, self._chain
        assert linked is not None
        assert chain is not None
        if not linked[0]:
            self._linked = None
            return
        length = int(
            await self._store.run(
                APPEND, [places.log, places.who, places.by, places.heads, places.firsts], linked[1]
            )
        )
        self._linked = None
        if length < 0:
            # the store has lost what it had, or somebody has taken it away: another chain goes on
            self._again = linked[0]
            self._logs.error("the audit trail in the store is not as it was left", chain=chain.name)
            self._chain = None
            await self._begin(chain.name)
            return
        self.kept += len(linked[0])
        self._appended_at = self._clock()
        if self._keep is not None and length > self._keep.most:
            self._trimmed_at = -inf

    async def _trim_if_due(self) -> None:
        if not 0.0 <= self._clock() - self._trimmed_at < _TRIM_EVERY:
            await self.trim()

    async def trim(self) -> None:
        """Give up the oldest entries beyond the bounds. Raises Fault."""
        now = self._trimmed_at = self._clock()
        if self._keep is not None:
            await trim(self._store, keys_of(self._ring()), self._keep, now)

    async def drain(self) -> None:
        """Write what waits, for two seconds at most."""
        try:
            async with asyncio.timeout(_DRAIN_WITHIN):
                await self.flush()
        except (Fault, TimeoutError):
            return

    async def close(self) -> None:
        """Stop writing."""
        await stop(self._task)
        self._task = None


def stamp(now: float) -> str:
    """Return a time as log lines have it."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"


def numbers_of(told: object) -> dict[str, int]:
    """Return the numbers that anchors begin with, by chain."""
    found: dict[str, int] = {}
    for name, value in told.items() if isinstance(told, dict) else ():
        number = _text(value).partition(" ")[0]
        if number.isascii() and number.isdecimal() and len(number) <= 16:
            found[_text(name)] = int(number)
    return found


def _text(value: bytes | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else value.decode("latin-1")
