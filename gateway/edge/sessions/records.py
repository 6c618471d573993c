"""Sessions that the store keeps (``session.mode: redis``): read, begun, renewed, touched and ended.

Only the browser's cookie opens a record, so nothing here sees a token except while a login or a refresh
brings it. The order of writes is such that a crash between two of them loses nothing: the list before the
record, the record before the cookie; a rotation's result before the record that it leads to, which whoever
follows the result writes if it is not there.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from gateway.core.decision.context import Knowledge
from gateway.core.decision.needs import (
    EndLater,
    JoinSite,
    KnownSid,
    Revoke,
    SaveSession,
    SessionRecord,
    Touch,
)
from gateway.core.fault import Fault
from gateway.core.rules.entries import DenyEntry, session_end
from gateway.core.sessions import renewal
from gateway.core.sessions.model import OpenedSession, Renewed, Session
from gateway.core.sessions.record import RECORD_PURPOSE, StoredSession, as_session, begun, record_name
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.edge.sessions import scripts
from gateway.edge.sessions.index import Filter, Listed, SessionIndex, time_of
from gateway.edge.store.store import Argument, Store
from gateway.edge.tasks import SingleFlight, Tasks, drain

MOST_RECORDS = 4
"""How many records of one session an end of that session deletes: the newest, and those it replaced."""
_AFTER_GRACE = 5.0


class Sessions:
    """The sessions of one store, as one worker sees them.

    Args:
        store: shared by all workers.
        knowledge: returns the configuration, the denylist and the memory of now.
        revoke: writes denylist entries; raises Fault.
        clock: wall time in seconds since the epoch.
        on_event: takes an audit event.
        put_off: lets the store write an entry after so many seconds; raises Fault.
    """

    def __init__(
        self,
        store: Store,
        knowledge: Callable[[], Knowledge],
        revoke: Callable[[Revoke], Awaitable[None]],
        clock: Callable[[], float],
        on_event: Callable[..., None],
        put_off: Callable[[DenyEntry, float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._knowledge = knowledge
        self._revoke = revoke
        self._clock = clock
        self._on_event = on_event
        self._put_off = put_off
        self._running: SingleFlight[None] = SingleFlight("a touch of a session")
        self._fetching: SingleFlight[StoredSession] = SingleFlight("a look-up of a session")
        self._replaced: dict[str, tuple[asyncio.TimerHandle, DenyEntry]] = {}
        self._installing: SingleFlight[None] = SingleFlight("the keeping of a session")
        self._clearing = Tasks()
        self.index = SessionIndex(store, knowledge, clock)

    def _record(self, name: str) -> str:
        return self._store.key("session", f"{{{name}}}")

    def _lifetime(self, session: Session, now: float) -> float:
        idle = self._knowledge().runtime.settings.session.idle_lifetime
        return max(0.001, min(idle, session.ends_at - now))

    async def fetch(self, need: SessionRecord) -> StoredSession:
        """Return what the store has, asked once however many wait for it.

        A handle that was replaced, after the grace, ends its family (R37).

        Raises:
            Fault: the store cannot tell.
        """
        return await self._fetching.join(need.record, lambda: self._read(need))

    async def _read(self, need: SessionRecord) -> StoredSession:
        tag = f"{{{need.record}}}"
        keys = [
            self._record(need.record),
            self._store.key("refresh", tag, "spent"),
            self._store.key("refresh", tag, "result"),
        ]
        body, seen, spent, over = await self._store.run_patiently(scripts.LOOK_UP, keys, [])
        if spent:
            await self._end_family(need.session_id)
        return StoredSession(body.decode("latin-1"), time_of(seen), bool(spent), bool(over))

    async def _end_family(self, session_id: str) -> None:
        listed = await self.index.read(session_id)
        about = listed.about if listed is not None else None
        lifetime = self._knowledge().runtime.settings.session.absolute_lifetime
        ends_at = about.ends_at if about is not None else self._clock() + lifetime
        await self._revoke(Revoke((self._end_entry(session_id, ends_at),)))
        self._on_event(
            "reuse_detected",
            issuer=about.issuer if about is not None else None,
            subject=about.subject if about is not None else None,
            session=session_id,
        )

    async def save(self, need: SaveSession) -> None:
        """Keep a session that begins; the one before in this browser goes when requests under way are over.

        Raises:
            Fault: the store does not take it; then there is no session.
        """
        session, now = need.current.session, self._clock()
        about = begun(session, need.address, need.agent)
        lifetime = self._lifetime(session, now)
        await self.index.add(about, now, need.record, lifetime, os.urandom(NONCE_BYTES), need.site)
        await self.index.called.write(session, now + lifetime, lifetime)
        await self._keep(need.handle, need.current, now, lifetime)
        if need.replaces:
            # the new session stands whatever becomes of the old one
            with contextlib.suppress(Fault):
                await self._replace(need.replaces, by_itself=session.is_shared)

    async def join(self, need: JoinSite) -> None:
        """Put one more site on the list of a session, where there is one. Raises Fault."""
        if self._knowledge().runtime.keeps_records:
            await self.index.join(need.session.session_id, need.site)

    async def _replace(self, session_id: str, *, by_itself: bool) -> None:
        before = await self.index.read(session_id)
        if before is None:
            return
        await self.retire(before.records)
        self.end_later(EndLater(session_id, before.about.ends_at, by_itself))

    def end_later(self, need: EndLater) -> None:
        """Begin to end a session that was replaced, once the grace for requests under way has passed."""
        # at once, their refusal would clear the new cookie
        if need.session_id in self._replaced:
            return
        settings = self._knowledge().runtime.settings
        grace = settings.session.rotation_grace
        entry = session_end(
            need.session_id,
            need.ends_at,
            self._clock() + grace,
            settings.copies_last,
            by_itself=need.by_itself,
        )
        timer = asyncio.get_running_loop().call_later(grace, self._end_replaced, entry)
        self._replaced[need.session_id] = (timer, entry)
        # this worker may not live as long; what the store does not take, or loses, is left to the timer
        self._clearing.start(self._put_off(entry, grace))

    def _end_replaced(self, entry: DenyEntry) -> None:
        self._replaced.pop(entry.value, None)
        # what the store does not take now holds here, and is written later
        self._clearing.start(self._revoke(Revoke((entry,))))

    def _end_entry(self, session_id: str, ends_at: float) -> DenyEntry:
        idle = self._knowledge().runtime.settings.copies_last
        return session_end(session_id, ends_at, self._clock(), idle)

    async def _keep(self, handle: str, current: Renewed, now: float, lifetime: float) -> bool:
        kept = replace(current, session=replace(current.session, seen_at=now))
        sealed = self._knowledge().runtime.ring.seal_under(
            handle, RECORD_PURPOSE, renewal.encode_outcome(kept), os.urandom(NONCE_BYTES)
        )
        record = record_name(handle)
        arguments: list[Argument] = [sealed, round(now, 3), int(lifetime * 1000)]
        is_new = bool(
            await self._store.run_patiently(scripts.KEEP, [self._record(record)], arguments, replicated=True)
        )
        rotation_id = record if current.grant is not None else ""
        opened = OpenedSession(kept.session, current.grant, rotation_id, record)
        self._knowledge().memory.sessions.put(record, opened)
        return is_new

    async def install(self, renewed: Renewed) -> None:
        """Keep the record that a rotation's result leads to, if nobody has yet; once however many ask.

        Raises:
            Fault: the store does not take it; the old handle still leads to the result.
        """
        assert renewed.grant is not None
        record = record_name(renewed.grant.handle)
        if self._knowledge().memory.sessions.get(record) is not None:
            return
        await self._installing.join(record, lambda: self._install(renewed))

    async def _install(self, renewed: Renewed) -> None:
        grant, session, now = renewed.grant, renewed.session, self._clock()
        assert grant is not None
        lifetime = self._lifetime(session, now)
        if await self._keep(grant.handle, renewed, now, lifetime):
            records = (record_name(grant.handle), *grant.unconfirmed)[:MOST_RECORDS]
            await self.index.update(session, now, lifetime, records)

    async def knows_sid(self, need: KnownSid) -> bool:
        """Tell whether a session is kept that has this ``sid``. Raises Fault."""
        return await self.index.has(Filter(sid=need.sid, providers=(need.provider,)))

    async def retire(self, records: Iterable[str]) -> None:
        """Let the records of handles that were replaced go once the grace has passed. Raises Fault."""
        grace = self._knowledge().runtime.settings.session.rotation_grace
        for record in records:
            await self._store.run(
                scripts.RETIRE, [self._record(record)], [int((grace + _AFTER_GRACE) * 1000)]
            )

    def start(self, need: Touch) -> None:
        """Begin to tell the store, behind the request's back, that a session was in use."""
        # where that fails, the next request tries again
        self._running.start(need.record, lambda: self.touch(need))

    async def touch(self, need: Touch) -> None:
        """Tell the store that a session was in use; one that is gone there is forgotten. Raises Fault."""
        lifetime = self._lifetime(need.session, need.seen_at)
        arguments: list[Argument] = [round(need.seen_at, 3), int(lifetime * 1000)]
        memory = self._knowledge().memory.sessions
        if not await self._store.run(scripts.TOUCH, [self._record(need.record)], arguments):
            memory.forget(need.record)
            return
        opened = memory.get(need.record)
        if opened is not None:
            memory.put(need.record, replace(opened, session=replace(opened.session, seen_at=need.seen_at)))
        await self.index.update(need.session, need.seen_at, lifetime)

    async def drain(self) -> None:
        """Do at once what was put off, and wait for what is under way behind requests' backs."""
        for timer, entry in list(self._replaced.values()):
            timer.cancel()
            self._end_replaced(entry)
        await drain(self._running, self._clearing)

    async def close(self) -> None:
        """Give up whatever is under way; drain first."""
        for timer, _ in self._replaced.values():
            timer.cancel()
        for under_way in (self._running, self._fetching, self._installing, self._clearing):
            await under_way.close()

    def clear(self, entries: Sequence[DenyEntry]) -> None:
        """Begin to delete, behind the caller's back, the records that these entries have ended."""
        self._clearing.start(self.ended(entries))

    async def ended(self, entries: Sequence[DenyEntry]) -> None:
        """Delete the records of sessions that the denylist has ended; what fails is left to expire.

        Where the entry does not name the session, that it was revoked is kept: whoever has only the handle
        cannot tell from the denylist.

        Entries that end everybody's sessions delete none: their records cannot be used, and idle out.
        """
        with contextlib.suppress(Fault):
            for entry in entries:
                for listed in await self._named(entry):
                    if not self._is_ended(listed):
                        continue
                    await self.index.remove(listed, is_told=entry.kind == "session")

    async def _named(self, entry: DenyEntry) -> list[Listed]:
        if entry.kind == "session":
            listed = await self.index.read(entry.value)
            return [listed] if listed is not None else []
        providers = self._knowledge().runtime.providers
        names = tuple(name for name, each in providers.items() if each.issuer == entry.issuer)
        if not names or entry.kind not in ("sub", "sid"):
            return []
        subject, sid = (entry.value, None) if entry.kind == "sub" else (None, entry.value)
        return await self.index.named(Filter(subject, sid, names))

    def _is_ended(self, listed: Listed) -> bool:
        session = as_session(listed.about, listed.seen_at)
        return self._knowledge().denylist.judge_session(session, self._clock())
