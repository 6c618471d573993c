"""Random walks: revocations, logins, workers, and a store that restarts, loses its data and hangs (R66)."""

import asyncio
import contextlib
import random
import shutil
import time
from dataclasses import dataclass, field

import pytest

from gateway.core.decision.needs import Revoke
from gateway.core.fault import Fault
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry, session_end
from gateway.core.sessions.model import Session
from gateway.edge.revocation import denylist_sync as module
from gateway.edge.revocation.denylist_log import decode_epoch
from gateway.edge.revocation.denylist_sync import Revocations
from gateway.edge.store.store import Store
from tests.support.store import ValkeyServer, eventually

pytestmark = pytest.mark.asyncio
ISSUERS = ("https://one.example", "https://two.example")
PEOPLE = ("alice", "bob")
SIDS = ("sid", "other", None)
LONG = 1000.0


@dataclass
class Revoked:
    """A revocation, and who had logged in before it."""

    entry: DenyEntry
    before: set[str]


@dataclass
class Walk:
    """Workers on one store, all that logged in and was revoked, and what must hold of it."""

    server: ValkeyServer
    rng: random.Random
    store: Store
    workers: list[Revocations] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    revoked: list[Revoked] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def now(self, ahead: float = 0.0) -> float:
        """Return the time on a machine."""
        return time.time() + ahead

    async def add_worker(self) -> None:
        """Start another one, on a machine whose clock is off by up to two seconds."""
        ahead = self.rng.choice([-2.0, 0.0, 2.0])
        worker = Revocations(self.store, Denylist(), lambda: self.now(ahead), worker_id="w")
        worker.ahead = ahead
        await worker.start()
        self.workers.append(worker)

    def login(self) -> None:
        """Somebody logs in at some worker."""
        at, name = self.rng.choice(self.workers), f"s{len(self.sessions)}"
        now = self.now(at.ahead)
        session = Session(
            session_id=name,
            provider="p",
            issuer=self.rng.choice(ISSUERS),
            subject=self.rng.choice(PEOPLE),
            sid=self.rng.choice(SIDS),
            claims={},
            scopes=frozenset(),
            login_at=now,
            ends_at=now + LONG,
            seen_at=now,
            renewed_at=now,
            access_expires_at=now + LONG,
            position=at._denylist.position,
        )
        # whoever is refused where it logs in is sent back at once
        if at._denylist.why_over(session, now) is None:
            self.sessions[name] = session
            self.told.append(
                f"login {name} {session.issuer} {session.subject} {session.sid} {session.position}"
            )

    def entry(self, at: Revocations) -> DenyEntry:
        """Return some entry."""
        now, issuer = self.now(at.ahead), self.rng.choice(ISSUERS)
        kind = self.rng.choice(["sub", "sub", "sid", "all", "session", "timed"])
        if kind == "session" and self.sessions:
            return session_end(self.rng.choice(sorted(self.sessions)), now + LONG, now, LONG)
        if kind == "sid":
            return DenyEntry("sid", issuer, "sid", now, now + LONG, AS_WRITTEN)
        if kind == "all":
            return DenyEntry("all", self.rng.choice(("", issuer)), "", now, now + LONG, AS_WRITTEN)
        position = None if kind == "timed" else AS_WRITTEN
        return DenyEntry("sub", issuer, self.rng.choice(PEOPLE), now, now + LONG, position)

    async def revoke(self) -> None:
        """Somebody is revoked at some worker, perhaps after its siblings were told."""
        at, how = self.rng.choice(self.workers), self.rng.choice(["revoke", "publish", "told"])
        entry = self.entry(at)
        met = {name for name, each in self.sessions.items() if _names(entry, each)}
        self.revoked.append(Revoked(entry, met))
        self.told.append(f"{how} {entry} by {self.workers.index(at)}")
        if how == "told":
            for each in self.workers:
                each.deny([entry])
        with contextlib.suppress(Fault):
            if how == "publish":
                await at.publish([entry])
            else:
                await at.revoke(Revoke((entry,)))
        for name in met:
            assert self.is_out(name, at), (name, self.told)

    def is_out(self, name: str, at: Revocations) -> bool:
        """Tell whether a worker refuses a session."""
        return at._denylist.why_over(self.sessions[name], self.now(at.ahead)) is not None

    async def converge(self) -> None:
        """Wait until every worker has applied what the store has, and has written what it had to."""

        def same() -> bool:
            with self.server.client() as client:
                epoch, seq = client.mget("walk:{denylist}:epoch", "walk:{denylist}:seq")
            at = (decode_epoch(epoch or b""), int(seq or 0))
            return all(
                each._denylist.position == at and not each.stats()["unwritten"] for each in self.workers
            )

        await eventually(same, tries=1500)

    def judge(self) -> None:
        """Nobody revoked before is in anywhere; whoever came after what it began after is in everywhere."""
        out = set().union(*(each.before for each in self.revoked))
        for number, worker in enumerate(self.workers):
            for name in out:
                assert self.is_out(name, worker), (number, self.sessions[name], self.told)
        for name in self.sessions.keys() - out:
            verdicts = {self.is_out(name, each) for each in self.workers}
            if self.began_after_all(self.sessions[name]):
                assert verdicts == {False}, (self.sessions[name], self.told)

    def began_after_all(self, session: Session) -> bool:
        """Tell whether all that could meet a session has an earlier place in its epoch, and is no time."""
        position = session.position
        for worker in self.workers:
            for entry in worker._denylist.entries(0):
                if not _names(entry, session):
                    continue
                if entry.position is None or position is None or entry.position[0] != position[0]:
                    return False
                if entry.position[1] > position[1]:
                    return False
        return True

    async def step(self) -> None:
        """Do something."""
        what = self.rng.choices(
            ["login", "revoke", "wait", "flush", "restart", "lose", "hang", "worker", "both"],
            [8, 6, 3, 1, 1, 1, 1, 1, 2],
        )[0]
        self.told.append(what)
        if what == "login":
            self.login()
        elif what == "revoke":
            await self.revoke()
        elif what == "both":
            await asyncio.gather(self.revoke(), self.revoke(), _soon(self.login))
        elif what == "wait":
            await asyncio.sleep(self.rng.choice([0.0, 0.01, 0.1]))
        elif what == "flush":
            with self.server.client() as client:
                client.flushall()
        elif what in ("restart", "lose"):
            self.server.kill()
            if what == "lose":
                shutil.rmtree(self.server.directory / "appendonlydir", ignore_errors=True)
            if self.rng.random() < 0.5:
                await self.revoke()
                self.login()
            self.server.start()
        elif what == "hang":
            self.server.pause()
            if self.rng.random() < 0.5:
                await self.revoke()
            self.server.resume()
        elif len(self.workers) < 5:
            await self.add_worker()
        else:
            # one that ends has written what it was told, or another one has it
            await self.converge()
            await self.workers.pop(0).close()


def _names(entry: DenyEntry, session: Session) -> bool:
    if entry.kind == "session":
        return entry.value == session.session_id
    if entry.issuer not in ("", session.issuer):
        return False
    wanted = {"sub": session.subject, "sid": session.sid, "all": ""}[entry.kind]
    return entry.value == wanted


async def _soon(work) -> None:
    await asyncio.sleep(0)
    work()


async def walk(seed: int, steps: int) -> None:
    """Take one walk."""
    server = ValkeyServer("--appendonly", "yes", "--appendfsync", "always").start()
    store = Store(server.url, "walk:", 0.3, time.time)
    await store.start()
    walking = Walk(server, random.Random(seed), store)
    try:
        for _ in range(3):
            await walking.add_worker()
        for number in range(steps):
            await walking.step()
            if number % 6 == 5:
                await walking.converge()
                walking.judge()
        # who comes last knows what the store and the others remember
        await walking.converge()
        await walking.add_worker()
        await walking.converge()
        walking.judge()
    finally:
        for worker in walking.workers:
            await worker.close()
        await store.close()
        server.close()


@pytest.mark.parametrize("seed", range(6))
async def test_r66_nobody_revoked_is_in_and_nobody_after_is_out(seed: int, monkeypatch):
    """R66 [1.4]: at every worker, whatever becomes of the store meanwhile and whatever the clocks say."""
    monkeypatch.setattr(module, "BEAT_INTERVAL", 0.05)
    await walk(seed, 24)
