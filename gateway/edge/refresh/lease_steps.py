"""The steps of the refresh lease, as scripts that the store runs (``lease_scripts``)."""

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gateway.core.fault import Fault
from gateway.core.sessions.codec import former_name
from gateway.edge.refresh import lease_scripts as scripts
from gateway.edge.store.store import Argument, Script, Store

_MOST_UNHEARD = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that we hold, as its key's value says."""

    rotation_id: str
    fence: str
    owner: str

    @property
    def value(self) -> str:
        """The value of its key."""
        return f"{self.fence} {self.owner}"


class LeaseSteps:
    """The steps, for one process. Every one raises Fault where the store does not take it.

    Args:
        store: shared by all workers.
        channel: on which decided rotations are told.
        grace: seconds for which a confirmed rotation's result lives on, for the other tabs.
        idle: seconds for which an unconfirmed rotation's result lives.
    """

    def __init__(self, store: Store, channel: str, *, grace: float, idle: float) -> None:
        self._store = store
        self._channel = channel
        self.grace = grace
        self.idle = idle
        self._unheard: OrderedDict[str, str] = OrderedDict()

    def keys(self, rotation_id: str) -> list[str]:
        """Return the keys of a rotation; the one that stands for the lease has kept its old name there."""
        former, own = former_name(rotation_id), rotation_id.partition(".")[2]
        tag, parts = f"{{{former}}}", ("claim", "result", "spent", "fence")
        keys = [self._store.key("refresh", tag, part) for part in parts]
        # one script touches both, so both have one tag
        return [self._store.key("refresh", tag, own, part) for part in parts] + keys if own else keys

    async def acquire(self, rotation_id: str, lease: float, *, alone: bool) -> tuple[str, list[Any]]:
        """Ask for the lease for so many seconds; return under which owner, and the reply.

        An owner of its own for each attempt, or a lease that was left to lapse would seem to be ours. The
        exception is an attempt whose reply never came: the store may have run it after all, or may yet.
        """
        owner = self._unheard.pop(rotation_id, None) or os.urandom(12).hex()
        durations = (_milliseconds(lease), _milliseconds(self.idle), _milliseconds(self.grace))
        arguments = (owner, *durations, _mark(rotation_id), int(alone))
        try:
            reply: list[Any] = await self._store.run_patiently(
                scripts.ACQUIRE, self.keys(rotation_id), arguments, replicated=True
            )
        except Fault:
            self._unheard[rotation_id] = owner
            while len(self._unheard) > _MOST_UNHEARD:
                self._unheard.popitem(last=False)
            raise
        return owner, reply

    async def renew(self, held: Held, lease: float) -> bool:
        """Hold it for so many seconds more; False where it is not ours any longer."""
        return bool(await self._run(scripts.RENEW, held.rotation_id, held.value, _milliseconds(lease)))

    async def release(self, held: Held) -> None:
        """Nothing was sent: let others try."""
        await self._run(
            scripts.RELEASE, held.rotation_id, held.value, held.fence, self._channel, held.rotation_id
        )

    async def doubt(self, held: Held) -> None:
        """The call may have been made: the lease is left to lapse."""
        await self._run(scripts.DOUBT, held.rotation_id, held.fence, _milliseconds(self.idle))

    async def keep(self, held: Held, sealed: bytes, lifetime: float) -> bytes:
        """Store a result for so many seconds; return the one that counts: the first."""
        arguments = (
            held.value,
            held.fence,
            sealed,
            max(1, _milliseconds(lifetime)),
            max(1, _milliseconds(self.grace)),
            self._channel,
            held.rotation_id,
        )
        # a failover that lost it would let another worker use the old token again
        reply, _ = await self._store.run_replicated(scripts.STORE, self.keys(held.rotation_id), arguments)
        return bytes(reply)

    async def conclude(self, held: Held, error: str, longest: float, *, alone: bool) -> list[Any]:
        """Say that the provider refused; no call takes longer than so many seconds. Return the reply."""
        reply: list[Any] = await self._run(
            scripts.CONCLUDE,
            held.rotation_id,
            held.value,
            held.fence,
            error,
            _milliseconds(longest),
            _milliseconds(self.idle),
            self._channel,
            held.rotation_id,
            int(alone),
        )
        return reply

    async def result(self, rotation_id: str) -> bytes | None:
        """Return the sealed result of a rotation that was made, None where there is none."""
        found = await self._run(scripts.RESULT, rotation_id)
        return None if found is None else bytes(found)

    async def confirm(self, rotation_id: str, remembered: float) -> None:
        """Remember for so many seconds that the old token is spent."""
        await self._run(
            scripts.CONFIRM,
            rotation_id,
            _milliseconds(remembered),
            _milliseconds(self.grace),
            _mark(rotation_id),
        )

    async def leave(self, rotation_id: str, site: str, remembered: float) -> None:
        """Remember for so many seconds that at one site the old token is spent; others may still show it."""
        key = self._left(rotation_id, site)
        await self._store.run(scripts.LEAVE, [key], [_milliseconds(remembered)])

    async def was_left(self, rotation_id: str, site: str) -> bool:
        """Tell whether that is so, and the grace has passed since."""
        key = self._left(rotation_id, site)
        return bool(await self._store.run(scripts.WAS_LEFT, [key], [_milliseconds(self.grace)]))

    async def forget_left(self, rotation_id: str, site: str) -> None:
        """Remember no longer what was spent at a site."""
        await self._store.execute("DEL", self._left(rotation_id, site))

    def _left(self, rotation_id: str, site: str) -> str:
        named = hashlib.sha256(f"{rotation_id} {site}".encode()).hexdigest()
        return self._store.key("refresh", f"{{{former_name(rotation_id)}}}", "left", named[:32])

    async def _run(self, script: Script, rotation_id: str, *arguments: Argument) -> Any:  # noqa: ANN401 - of the script
        return await self._store.run(script, self.keys(rotation_id), arguments)


def _mark(rotation_id: str) -> str:
    """Return a number below one that stands for a rotation (``lease_scripts`` says why)."""
    return f"0.{int.from_bytes(hashlib.sha256(rotation_id.encode()).digest()[:6]):015d}"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
