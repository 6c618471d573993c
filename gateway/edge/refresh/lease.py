"""The refresh lease: one token call for one rotation, across all workers and machines.

A refresh token that rotates may be used once, and whoever loses the answer loses the session. So the right
to call is leased from the store, the answer is stored before anybody uses it, and a rotation is complete only
when the browser has shown its new cookie.

1. A result is there: use it. Spent: reuse. Leased: wait. Else take the lease, with a new fence number.
2. The call belongs to the worker: a caller that leaves cancels nothing. Only the holder renews the lease.
3. A success is always stored, whatever the fence says.
4. A refusal counts from the current fence alone, and only if no earlier call is in doubt; otherwise the
   longest possible call is waited out for a late success, and then the session is lost, which is not reuse.
5. Never sent: release and retry once. Sent and unanswered: one retry after the lease.
6. Confirmed: the old token is spent until the session's end, and the result lives for the grace only.
"""

import asyncio
import contextlib
import hashlib
import math
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.core.decision.needs import Confirm
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.core.reasons import Reason
from gateway.core.sessions.codec import former_name
from gateway.edge.refresh import lease_scripts as scripts
from gateway.edge.store.store import RETRY_AFTER, Argument, Script, Store
from gateway.edge.tasks import SingleFlight, Tasks, drain, stop

LEASE = 5.0
LONGEST_CALL = 30.0
_POLL = 1.0
_MOST_CONFIRMED = 50_000
_MOST_UNHEARD = 10_000
_MOST_BACKOFF = 2.0
_MOST_SUPERSEDED = 100_000
_MADE = " made"
"""Stands behind a name on the channel: that rotation was made, or that session replaced."""


@dataclass(frozen=True, slots=True)
class Success:
    """The provider gave new tokens; ``sealed`` is the result as the store may keep it."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The provider refused the refresh token. ``error`` is RFC 6749's code (section 5.2)."""

    error: str


@dataclass(frozen=True, slots=True)
class Stored:
    """How the rotation ended, for everybody who asks."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spent:
    """The rotation was confirmed and its grace has passed: this is reuse."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An earlier call may have rotated the token, and its answer never came."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The provider refused, and that counts."""

    error: str


Call: TypeAlias = Callable[[], Awaitable[Success | Refusal]]
Obtained: TypeAlias = Stored | Spent | Lost | Ended


@dataclass(slots=True)
class _Flight:
    """One conversation with the store about one rotation, on behalf of every caller in this process."""

    rotation_id: str
    call: Call
    end: float
    is_own: Callable[[bytes], bool]
    alone: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    never_sent: bool = False
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """A lease that we hold, as its key's value says."""

    rotation_id: str
    fence: str
    owner: str

    @property
    def value(self) -> str:
        return f"{self.fence} {self.owner}"


class Leases:
    """The leases of one process.

    Args:
        store: shared by all workers.
        clock: wall time in seconds since the epoch.
        grace: seconds for which a confirmed rotation's result lives on, for the other tabs.
        idle: seconds for which an unconfirmed rotation's result lives.
        lease: seconds for which a silent holder keeps its lease.
        longest_call: seconds that no call exceeds, with everything that it does beside the token request.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        grace: float,
        idle: float,
        lease: float = LEASE,
        longest_call: float = LONGEST_CALL,
    ) -> None:
        self._store = store
        self._clock = clock
        self._grace = _milliseconds(grace)
        self._idle = idle
        self._lease = lease
        self._longest = longest_call
        self._channel = store.key("refreshed")
        self._flights: dict[str, _Flight] = {}
        self._former: dict[str, _Flight] = {}
        self._tasks: SingleFlight[Obtained] = SingleFlight("a refresh")
        self._unstored: dict[str, bytes] = {}
        self._storing = Tasks()
        self._listener: asyncio.Task[None] | None = None
        self._confirmed: OrderedDict[str, None] = OrderedDict()
        self._unheard: OrderedDict[str, str] = OrderedDict()
        self._superseded: OrderedDict[str, float] = OrderedDict()

    def start(self) -> None:
        """Begin to listen to what other workers make."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())

    def superseded(self, name: str) -> bool:
        """Tell whether a rotation was made lately, or a session replaced, wherever that was."""
        until = self._superseded.get(name)
        return until is not None and self._clock() < until

    async def replaced(self, name: str) -> None:
        """Tell every worker that a session was replaced (``core.access.generations.replacement``).

        Raises:
            Fault: the others were not told; this worker knows.
        """
        self._supersede(name)
        await self._store.run(scripts.TELL, [self._channel], [self._channel, f"{name}{_MADE}"])

    def _supersede(self, name: str) -> None:
        now = self._clock()
        # what is older is on its way to nobody: late answers give no cookies
        self._superseded[name] = now + self._grace / 1000
        self._superseded.move_to_end(name)
        known = self._superseded
        while known and (len(known) > _MOST_SUPERSEDED or next(iter(known.values())) <= now):
            known.popitem(last=False)

    async def result(self, rotation_id: str) -> bytes | None:
        """Return the sealed result of a rotation that was made, None where there is none.

        Raises:
            Fault: the store cannot tell.
        """
        if (sealed := self._unstored.get(rotation_id)) is not None:
            return sealed
        found = await self._run(scripts.RESULT, rotation_id)
        return None if found is None else bytes(found)

    def configure(self, *, grace: float, idle: float) -> None:
        """Go on with these durations."""
        self._grace = _milliseconds(grace)
        self._idle = idle

    async def obtain(
        self,
        rotation_id: str,
        call: Call,
        within: float = math.inf,
        is_own: Callable[[bytes], bool] = lambda _: True,
    ) -> Obtained:
        """Return how a rotation ended, making the call if nobody else does.

        Args:
            rotation_id: names the rotation (``core.sessions.renewal.rotation_id``).
            call: makes the token call once; raises NeverSent, Ambiguous or another Fault.
            within: seconds that all tries may take together; a call that would begin later is not made.
            is_own: tells whether a result that the version before has stored is of this very session.

        Raises:
            Fault: the store or the provider cannot tell now; nothing is decided.
        """
        if (sealed := self._unstored.get(rotation_id)) is not None:
            return Stored(sealed)
        end = asyncio.get_running_loop().time() + within
        return await self._tasks.join(rotation_id, lambda: self._fly(_Flight(rotation_id, call, end, is_own)))

    async def confirm(self, need: Confirm) -> None:
        """Phase two: the browser has shown the cookie that these rotations led to. May be repeated.

        Raises:
            Fault: the store did not take it.
        """
        remembered = _milliseconds(need.ends_at - self._clock())
        for rotation_id in need.rotations:
            if remembered > 0 and rotation_id not in self._confirmed:
                await self._run(scripts.CONFIRM, rotation_id, remembered, self._grace, _mark(rotation_id))
            self._confirmed[rotation_id] = None
            self._confirmed.move_to_end(rotation_id)
        while len(self._confirmed) > _MOST_CONFIRMED:
            self._confirmed.popitem(last=False)

    def was_confirmed(self, rotation_id: str) -> bool:
        """Tell whether this process remembers having confirmed a rotation."""
        return rotation_id in self._confirmed

    async def drain(self) -> None:
        """Wait for every call under way and every result that is not stored yet."""
        await drain(self._tasks, self._storing)

    async def close(self) -> None:
        """Give up whatever is under way; drain first to lose nothing."""
        await stop(*self._tasks.running, *self._storing.running, self._listener)

    async def _run(self, script: Script, rotation_id: str, *arguments: Argument) -> Any:  # noqa: ANN401 - of the script
        return await self._store.run(script, self._keys(rotation_id), arguments)

    def _keys(self, rotation_id: str) -> list[str]:
        former, own = former_name(rotation_id), rotation_id.partition(".")[2]
        tag, parts = f"{{{former}}}", ("claim", "result", "spent", "fence")
        keys = [self._store.key("refresh", tag, part) for part in parts]
        # one script touches both, so both have one tag
        return [self._store.key("refresh", tag, own, part) for part in parts] + keys if own else keys

    async def _fly(self, flight: _Flight) -> Obtained:
        former = former_name(flight.rotation_id)
        self._flights[flight.rotation_id] = self._former[former] = flight
        try:
            return await self._settle(flight)
        finally:
            del self._flights[flight.rotation_id]
            if self._former.get(former) is flight:
                del self._former[former]

    async def _settle(self, flight: _Flight) -> Obtained:
        loop = asyncio.get_running_loop()
        patience = loop.time() + 2 * self._longest + self._lease
        while True:
            flight.wake.clear()
            owner, reply = await self._acquire(flight)
            if reply[0] == b"former":
                if flight.is_own(reply[1]):
                    return Stored(reply[1])
                flight.alone = True
                continue
            found = _judge(reply)
            if found is None and reply[0] == b"leased":
                found = await self._hold(flight, _Held(flight.rotation_id, reply[1].decode(), owner))
                patience = loop.time() + 2 * self._longest + self._lease
            elif found is None:
                if loop.time() >= patience:
                    raise Fault(
                        "store",
                        Reason.STORE_UNAVAILABLE,
                        "another worker does not finish its refresh",
                        RETRY_AFTER,
                    )
                await self._wait(flight, int(reply[1]) / 1000)
            if found is not None:
                return found

    async def _acquire(self, flight: _Flight) -> tuple[str, list[Any]]:
        """Ask for the lease; return under which owner, and the reply.

        An owner of its own for each attempt, or a lease that was left to lapse would seem to be ours. The
        exception is an attempt whose reply never came: the store may have run it after all, or may yet.
        """
        rotation_id = flight.rotation_id
        owner = self._unheard.pop(rotation_id, None) or os.urandom(12).hex()
        durations = (_milliseconds(self._lease), _milliseconds(self._idle), self._grace)
        arguments = (owner, *durations, _mark(rotation_id), int(flight.alone))
        try:
            reply: list[Any] = await self._store.run_patiently(
                scripts.ACQUIRE, self._keys(rotation_id), arguments, replicated=True
            )
        except Fault:
            self._unheard[rotation_id] = owner
            while len(self._unheard) > _MOST_UNHEARD:
                self._unheard.popitem(last=False)
            raise
        return owner, reply

    async def _hold(self, flight: _Flight, held: _Held) -> Obtained | None:
        """Make the call under the lease; None means: ask the store again."""
        try:
            async with self._renewed(held, self._longest):
                answer = await flight.call()
        except NeverSent:
            await self._let_go(scripts.RELEASE, held, held.value, held.fence, self._channel, held.rotation_id)
            if flight.never_sent:
                raise
            flight.never_sent = True
            return None
        except Ambiguous:
            # the lease is left to lapse: the provider may be busy with the very rotation
            await self._let_go(scripts.DOUBT, held, held.fence, _milliseconds(self._idle))
            if flight.unanswered or asyncio.get_running_loop().time() + self._lease >= flight.end:
                raise
            flight.unanswered = True
            return None
        except Fault:
            await self._let_go(scripts.RELEASE, held, held.value, held.fence, self._channel, held.rotation_id)
            raise
        except Exception:
            await self._let_go(scripts.DOUBT, held, held.fence, _milliseconds(self._idle))
            raise
        if isinstance(answer, Success):
            return await self._keep(held, answer.sealed)
        return await self._conclude(flight, held, answer.error)

    async def _let_go(self, script: Script, held: _Held, *arguments: Argument) -> None:
        # what went wrong with the call is what counts; a store that fails too lets the lease lapse
        with contextlib.suppress(Fault):
            await self._run(script, held.rotation_id, *arguments)

    @contextlib.asynccontextmanager
    async def _renewed(self, held: _Held, bound: float) -> "Any":  # noqa: ANN401 - the decorator types it
        task = asyncio.get_running_loop().create_task(self._renew(held, bound))
        try:
            yield
        finally:
            await stop(task)

    async def _renew(self, held: _Held, bound: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + bound
        while loop.time() < end:
            await asyncio.sleep(self._lease / 3)
            with contextlib.suppress(Fault):
                if not await self._run(
                    scripts.RENEW, held.rotation_id, held.value, _milliseconds(self._lease)
                ):
                    return

    async def _keep(self, held: _Held, sealed: bytes) -> Stored:
        try:
            return Stored(await self._store_result(held, sealed, self._idle))
        except Fault:
            self._unstored[held.rotation_id] = sealed
            self._storing.start(self._keep_trying(held, sealed))
            return Stored(sealed)

    async def _store_result(self, held: _Held, sealed: bytes, lifetime: float) -> bytes:
        arguments = (
            held.value,
            held.fence,
            sealed,
            max(1, _milliseconds(lifetime)),
            max(1, self._grace),
            self._channel,
            held.rotation_id,
        )
        # a failover that lost it would let another worker use the old token again
        reply, _ = await self._store.run_replicated(scripts.STORE, self._keys(held.rotation_id), arguments)
        return bytes(reply)

    async def _keep_trying(self, held: _Held, sealed: bytes) -> None:
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._idle, 0.1
        try:
            while (left := end - loop.time()) > 0:
                await asyncio.sleep(min(pause, left))
                pause = min(2 * pause, _MOST_BACKOFF)
                with contextlib.suppress(Fault):
                    await self._store_result(held, sealed, end - loop.time())
                    return
        finally:
            del self._unstored[held.rotation_id]

    async def _conclude(self, flight: _Flight, held: _Held, error: str) -> Obtained | None:
        async with self._renewed(held, self._longest + self._lease):
            while True:
                flight.wake.clear()
                reply = await self._run(
                    scripts.CONCLUDE,
                    held.rotation_id,
                    held.value,
                    held.fence,
                    error,
                    _milliseconds(self._longest),
                    _milliseconds(self._idle),
                    self._channel,
                    held.rotation_id,
                    int(flight.alone),
                )
                if (found := _judge(reply)) is not None or reply[0] == b"superseded":
                    return found
                await self._wait(flight, int(reply[1]) / 1000)

    async def _wait(self, flight: _Flight, seconds: float) -> None:
        """Wait for news of a rotation: until it is published, or its lease lapses, or for a slow poll."""
        self.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_POLL, max(0.0, seconds) + 0.01)):
                await flight.wake.wait()

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            with contextlib.suppress(Fault):
                async for name in self._store.messages(self._channel):
                    pause = 0.1
                    if name is None:
                        for flight in self._flights.values():
                            flight.wake.set()
                    else:
                        self._hear(name.decode("latin-1"))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_BACKOFF)

    def _hear(self, news: str) -> None:
        if news.endswith(_MADE):
            self._supersede(news[: -len(_MADE)])
        elif (found := self._flights.get(news) or self._former.get(news)) is not None:
            found.wake.set()


def _mark(rotation_id: str) -> str:
    """Return a number below one that stands for a rotation (``lease_scripts`` says why)."""
    return f"0.{int.from_bytes(hashlib.sha256(rotation_id.encode()).digest()[:6]):015d}"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _judge(reply: list[Any]) -> Obtained | None:
    """Return what a script's reply decides, or None where it decides nothing."""
    word = reply[0]
    if word == b"stored":
        return Stored(reply[1])
    if word == b"spent":
        return Spent()
    if word == b"verdict":
        name, _, error = reply[1].decode("utf-8", "replace").partition(" ")
        return Ended(error) if name == "ended" else Lost()
    return None
