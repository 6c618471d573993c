"""Reloading: the file is read and checked, every worker prepares, and only then all go on with it.

In between every worker opens what any of them may seal by then, so that a new secret key logs nobody out.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.config.changes import changed_sections, needs_restart
from gateway.config.settings.root import Settings
from gateway.core.runtime import compile_settings
from gateway.edge.admin.listener import Admin, Reloaded, certificates_of
from gateway.edge.admin.revocation_request import Mandate, terms_of
from gateway.edge.configfile.load import ConfigurationError, Loaded
from gateway.http.ports import limits_of
from gateway.supervision.channel import Gone, Refused
from gateway.supervision.fleet import Fleet
from gateway.supervision.messages import encode_settings
from gateway.supervision.slot import Slot
from gateway.syntax.encoding import Json

_STEP_WITHIN: Final = 10.0


class Reloader:
    """Swaps the configuration of all workers, or of none.

    Args:
        fleet: the workers.
        load: reads the configuration anew; raises ConfigurationError.
        admin: goes on with the new token.

    Attributes:
        on_applied: is told of settings that were taken over.
    """

    def __init__(self, fleet: Fleet, load: Callable[[], Loaded], admin: Admin) -> None:
        self._fleet = fleet
        self._load = load
        self._admin = admin
        self.on_applied: Callable[[Settings], None] = lambda _: None
        self._turn = asyncio.Lock()
        self._applied = 0
        self._refused = 0

    def stats(self) -> dict[str, float]:
        """Return how many reloads came to pass and how many were refused."""
        return {"applied_total": float(self._applied), "refused_total": float(self._refused)}

    async def reload(self, mandate: Mandate | None = None) -> Reloaded:
        """Read the configuration anew and let all workers go on with it, if it can be used.

        ``mandate`` is kept in the audit log; None where a signal asks.
        """
        async with self._turn:
            try:
                reloaded = await self._reload()
            except Exception as error:  # noqa: BLE001 - the next attempt must be possible
                reloaded = Reloaded(errors=[f"failed inside the gateway: {type(error).__name__}"])
        logs = self._fleet.logs
        if reloaded.errors:
            self._refused += 1
            logs.error("the new configuration is refused; the old one runs on", errors=list(reloaded.errors))
        else:
            self._applied += 1
            logs.audit(
                "reloaded",
                changed=list(reloaded.changed),
                warnings=list(reloaded.warnings) or None,
                workers=reloaded.workers,
                **(mandate or {}),
            )
        return reloaded

    async def _reload(self) -> Reloaded:
        try:
            # the file may be on a disk that hangs
            loaded = await asyncio.to_thread(self._load)
        except ConfigurationError as error:
            return Reloaded(errors=str(error).splitlines())
        old, new = self._fleet.settings, loaded.settings
        if errors := needs_restart(old, new):
            return Reloaded(errors=errors)
        try:
            compile_settings(new)
            certificates = certificates_of(new.admin)
        except ValueError as error:
            return Reloaded(errors=[str(error)])
        async with self._fleet.unchanging() as slots:
            if errors := await self._prepare(slots, new):
                return Reloaded(errors=errors)
            self._fleet.settings = new
            await asyncio.gather(*(self._finish(slot) for slot in slots))
        self._admin.configure(new.admin, terms_of(new), limits_of(new.limits), certificates)
        self._fleet.logs.configure(new.log)
        self.on_applied(new)
        return Reloaded(
            warnings=[str(each) for each in loaded.warnings],
            changed=changed_sections(old, new),
            workers=len(slots),
        )

    async def _prepare(self, slots: list[Slot], new: Settings) -> list[str]:
        """Let every worker prepare; return why that failed, with nothing changed then."""
        data = encode_settings(new)
        answers = await asyncio.gather(*(_try(slot, "prepare", settings=data) for slot in slots))
        errors = list(dict.fromkeys(answer for answer in answers if answer is not None))
        if errors:
            await asyncio.gather(*(_try(slot, "abandon") for slot in slots))
        return errors

    @staticmethod
    async def _finish(slot: Slot) -> None:
        if await _try(slot, "commit") is not None:
            # its successor begins with the new configuration
            slot.kill()


async def _try(slot: Slot, order: str, **fields: Json) -> str | None:
    """Give an order; return why it was not carried out. A worker that has ended needs none."""
    try:
        await slot.call(order, _STEP_WITHIN, **fields)
    except Refused as refused:
        return f"worker {slot.number}: {refused}"
    except TimeoutError:
        slot.kill()
    except Gone:
        pass
    return None
