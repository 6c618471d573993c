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
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.core.decision.needs import Confirm, left_at
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.core.reasons import Reason
from gateway.core.sessions.codec import former_name
from gateway.edge.refresh.announcements import Announcements
from gateway.edge.refresh.lease_steps import Held, LeaseSteps
from gateway.edge.refresh.outcomes import Call, Obtained, Stored, Success, judge
from gateway.edge.store.store import RETRY_AFTER, Store
from gateway.edge.tasks import SingleFlight, Tasks, drain, stop

LEASE = 5.0
LONGEST_CALL = 30.0
_POLL = 1.0
_MOST_CONFIRMED = 50_000
_LEAST_REMEMBERED = 0.001
_MOST_BACKOFF = 2.0


@dataclass(slots=True)
class _Flight:
    """One conversation with the store about one rotation, on behalf of every caller in this process."""

    rotation_id: str
    call: Call
    end: float
    is_own: Callable[[bytes], bool]
    wake: asyncio.Event
    alone: bool = False
    never_sent: bool = False
    unanswered: bool = False


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
        self._clock = clock
        self._lease = lease
        self._longest = longest_call
        self.announcements = Announcements(store, clock, grace)
        self._steps = LeaseSteps(store, self.announcements.channel, grace=grace, idle=idle)
        self._tasks: SingleFlight[Obtained] = SingleFlight("a refresh")
        self._unstored: dict[str, bytes] = {}
        self._storing = Tasks()
        self._confirmed: OrderedDict[str, None] = OrderedDict()

    async def result(self, rotation_id: str) -> bytes | None:
        """Return the sealed result of a rotation that was made, None where there is none.

        Raises:
            Fault: the store cannot tell.
        """
        if (sealed := self._unstored.get(rotation_id)) is not None:
            return sealed
        return await self._steps.result(rotation_id)

    def configure(self, *, grace: float, idle: float) -> None:
        """Go on with these durations."""
        self._steps.grace = self.announcements.grace = grace
        self._steps.idle = idle

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
        return await self._tasks.join(rotation_id, lambda: self._fly(rotation_id, call, end, is_own))

    async def confirm(self, need: Confirm) -> None:
        """Phase two: the browser has shown the cookie that these rotations led to. May be repeated.

        Raises:
            Fault: the store did not take it.
        """
        remembered = need.ends_at - self._clock()
        for rotation_id in need.rotations:
            name = left_at(rotation_id, need.site)
            if remembered >= _LEAST_REMEMBERED and name not in self._confirmed:
                if need.site:
                    await self._steps.leave(rotation_id, need.site, remembered)
                else:
                    await self._steps.confirm(rotation_id, remembered)
            self._confirmed[name] = None
            self._confirmed.move_to_end(name)
        while len(self._confirmed) > _MOST_CONFIRMED:
            self._confirmed.popitem(last=False)

    def was_confirmed(self, name: str) -> bool:
        """Tell whether this process remembers having confirmed a rotation, as ``left_at`` names that."""
        return name in self._confirmed

    async def was_left(self, rotation_id: str, site: str) -> bool:
        """Tell whether a browser has shown at this site what came after, and the grace has passed since.

        Raises:
            Fault: the store cannot tell.
        """
        return await self._steps.was_left(rotation_id, site)

    async def forget_left(self, rotation_id: str, site: str) -> None:
        """A site begins anew at this generation. Raises Fault."""
        self._confirmed.pop(left_at(rotation_id, site), None)
        await self._steps.forget_left(rotation_id, site)

    async def drain(self) -> None:
        """Wait for every call under way and every result that is not stored yet."""
        await drain(self._tasks, self._storing)

    async def close(self) -> None:
        """Give up whatever is under way; drain first to lose nothing."""
        await stop(*self._tasks.running, *self._storing.running)
        await self.announcements.close()

    async def _fly(
        self, rotation_id: str, call: Call, end: float, is_own: Callable[[bytes], bool]
    ) -> Obtained:
        with self.announcements.waking({rotation_id, former_name(rotation_id)}) as wake:
            return await self._settle(_Flight(rotation_id, call, end, is_own, wake))

    async def _settle(self, flight: _Flight) -> Obtained:
        loop = asyncio.get_running_loop()
        patience = loop.time() + 2 * self._longest + self._lease
        while True:
            flight.wake.clear()
            owner, reply = await self._steps.acquire(flight.rotation_id, self._lease, alone=flight.alone)
            if reply[0] == b"former":
                if flight.is_own(reply[1]):
                    return Stored(reply[1])
                flight.alone = True
                continue
            found = judge(reply)
            if found is None and reply[0] == b"leased":
                found = await self._hold(flight, Held(flight.rotation_id, reply[1].decode(), owner))
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

    async def _hold(self, flight: _Flight, held: Held) -> Obtained | None:
        """Make the call under the lease; None means: ask the store again."""
        try:
            async with self._renewed(held, self._longest):
                answer = await flight.call()
        except NeverSent:
            await _let_go(self._steps.release(held))
            if flight.never_sent:
                raise
            flight.never_sent = True
            return None
        except Ambiguous:
            # the lease is left to lapse: the provider may be busy with the very rotation
            await _let_go(self._steps.doubt(held))
            if flight.unanswered or asyncio.get_running_loop().time() + self._lease >= flight.end:
                raise
            flight.unanswered = True
            return None
        except Fault:
            await _let_go(self._steps.release(held))
            raise
        except Exception:
            await _let_go(self._steps.doubt(held))
            raise
        if isinstance(answer, Success):
            return await self._keep(held, answer.sealed)
        return await self._conclude(flight, held, answer.error)

    @contextlib.asynccontextmanager
    async def _renewed(self, held: Held, bound: float) -> "Any":  # noqa: ANN401 - the decorator types it
        task = asyncio.get_running_loop().create_task(self._renew(held, bound))
        try:
            yield
        finally:
            await stop(task)

    async def _renew(self, held: Held, bound: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + bound
        while loop.time() < end:
            await asyncio.sleep(self._lease / 3)
            with contextlib.suppress(Fault):
                if not await self._steps.renew(held, self._lease):
                    return

    async def _keep(self, held: Held, sealed: bytes) -> Stored:
        try:
            return Stored(await self._steps.keep(held, sealed, self._steps.idle))
        except Fault:
            self._unstored[held.rotation_id] = sealed
            self._storing.start(self._keep_trying(held, sealed))
            return Stored(sealed)

    async def _keep_trying(self, held: Held, sealed: bytes) -> None:
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._steps.idle, 0.1
        try:
            while (left := end - loop.time()) > 0:
                await asyncio.sleep(min(pause, left))
                pause = min(2 * pause, _MOST_BACKOFF)
                with contextlib.suppress(Fault):
                    await self._steps.keep(held, sealed, end - loop.time())
                    return
        finally:
            del self._unstored[held.rotation_id]

    async def _conclude(self, flight: _Flight, held: Held, error: str) -> Obtained | None:
        async with self._renewed(held, self._longest + self._lease):
            while True:
                flight.wake.clear()
                reply = await self._steps.conclude(held, error, self._longest, alone=flight.alone)
                if (found := judge(reply)) is not None or reply[0] == b"superseded":
                    return found
                await self._wait(flight, int(reply[1]) / 1000)

    async def _wait(self, flight: _Flight, seconds: float) -> None:
        """Wait for news of a rotation: until it is published, or its lease lapses, or for a slow poll."""
        self.announcements.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_POLL, max(0.0, seconds) + 0.01)):
                await flight.wake.wait()


async def _let_go(step: Awaitable[None]) -> None:
    # what went wrong with the call is what counts; a store that fails too lets the lease lapse
    with contextlib.suppress(Fault):
        await step
