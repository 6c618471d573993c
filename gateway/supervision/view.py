"""What the admin listener shows and changes: all workers as one."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from prometheus_client.metrics_core import Metric

from gateway.config.settings.admin import AdminSettings
from gateway.config.settings.root import Settings
from gateway.core.audit.chain import Anchor
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.console.backing import Backing, WorkerState
from gateway.edge.admin.listener import Admin, Pages, Reloaded
from gateway.edge.admin.readiness import Readiness
from gateway.edge.admin.revocation_request import Mandate, Terms, terms_of
from gateway.edge.admin.sessions import Answer
from gateway.edge.certificate_watch import CertificateWatch
from gateway.edge.clock import CLOCK
from gateway.edge.configfile.load import Loaded
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.edge.tasks import Tasks, stop
from gateway.edge.telemetry.exporting import Exporting
from gateway.edge.telemetry.metric_merge import Merged, Samples, Snapshot, snapshot
from gateway.edge.telemetry.metrics import Metrics
from gateway.edge.telemetry.outlets import file_head
from gateway.http.ports import limits_of
from gateway.supervision.channel import Gone, Refused
from gateway.supervision.fleet import Fleet
from gateway.supervision.messages import encode_entries
from gateway.supervision.reloading import Reloader
from gateway.supervision.slot import Slot
from gateway.supervision.sockets import Sockets
from gateway.syntax.encoding import Json

_MEASURE_EVERY: Final = 2.0
# a balancer waits for the whole answer about as long as for one worker
_STATUS_WITHIN: Final = 0.5
_MOST_NOTES: Final = 1000
_PUBLISH_WITHIN: Final = 5.0
# nobody is refused before that is known, or given up
_COUNT_WITHIN: Final = 0.5
# a provider is asked for keys, tokens and UserInfo
_LOGIN_WITHIN: Final = 45.0


class View:
    """The admin listener over all workers.

    Args:
        fleet: the workers.
        load: reads the configuration anew; raises ConfigurationError.
    """

    def __init__(self, fleet: Fleet, load: Callable[[], Loaded]) -> None:
        self._fleet = fleet
        settings = fleet.settings
        self.admin = Admin(
            settings.admin,
            metrics=self._metrics,
            ready=self._ready,
            revoke=self._revoke,
            reload=self._reload_now,
            sessions=self._sessions,
            keys=self._keys,
            explain=self._explain,
            trail=self._trail,
            terms=terms_of(settings),
            audit=fleet.logs.audit,
            clock=CLOCK,
            limits=limits_of(settings.limits),
        )
        self.reloader = Reloader(fleet, load, self.admin)
        self._noting = Tasks()
        self._notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._anchored: Anchor | None = None
        fleet.logs.keep = self._note
        self.admin.open_console = self._open_console
        if settings.admin.console is not None:
            self.admin.console = self._open_console(settings.admin, terms_of(settings))
        self.reloader.on_applied = self._export
        self._exporting = Exporting(fleet.logs, families=self._families, has_traces=False)
        self._own = Metrics()
        self._own.register("workers", self._count)
        self._own.register("reload", self.reloader.stats)
        self._own.register("log", fleet.logs.stats)
        self._own.register("telemetry", self._exporting.readings)
        self._measuring: asyncio.Task[None] | None = None
        self._watch = CertificateWatch(lambda: self.admin.certificates, fleet.logs, CLOCK)

    def _open_console(self, settings: AdminSettings, terms: Terms) -> Pages:
        # most have none, and it takes a megabyte
        from gateway.edge.admin.console.console import Console  # noqa: PLC0415

        logs = self._fleet.logs
        backing = Backing(
            self._figures,
            self._workers,
            lambda: list(logs.recent),
            self._sessions,
            self._people,
            self._trail,
            self._logins,
            self._revoke,
        )
        return Console(settings, terms, backing, self.admin.entrance, logs.audit, CLOCK)

    async def start(self, sockets: Sockets) -> None:
        """Serve on the sockets of the admin listener."""
        await self.admin.start(sockets)
        self._watch.start()
        self._export(self._fleet.settings)
        self._measuring = asyncio.get_running_loop().create_task(self._keep_measuring())

    async def close(self) -> None:
        """Stop listening."""
        await stop(self._measuring)
        await self._watch.close()
        await self._noting.close()
        await self._exporting.close()
        await self.admin.close()

    async def _reload_now(self, mandate: Mandate) -> Reloaded:
        return await self.reloader.reload(mandate)

    async def _keep_measuring(self) -> None:
        # a worker that dies takes with it what it has counted since
        while True:
            await asyncio.sleep(_MEASURE_EVERY)
            await self._measure()
            await self._anchor()
            with contextlib.suppress(Fault):
                await self._hand_over()

    async def _anchor(self) -> None:
        """Let a worker anchor what this process has written to the audit file."""
        head = file_head(self._fleet.logs)
        if head is not None and head is not self._anchored:
            with contextlib.suppress(Fault):
                await self._ask_one("anchor", chain=head.chain, text=head.encode())
                self._anchored = head

    async def _measure(self) -> None:
        await asyncio.gather(*(slot.measure() for slot in self._fleet.slots))

    def _export(self, settings: Settings) -> None:
        """Send what these settings say from now on."""
        try:
            self._exporting.commit(self._exporting.prepare(settings.telemetry))
        except (OSError, ImportError) as error:
            # the workers, which have been asked first, would have refused them
            self._fleet.logs.warning("telemetry cannot be sent", error=error)

    async def _told(self) -> list[Snapshot]:
        await self._measure()
        return [snapshot(self._own.families()), *(slot.last for slot in self._fleet.slots)]

    async def _families(self) -> Iterable[Metric]:
        return self._fleet.merged.families(await self._told())

    async def _metrics(self, accept: str) -> tuple[bytes, str]:
        return self._fleet.merged.render(await self._told(), accept)

    def _count(self) -> dict[str, float]:
        slots = self._fleet.slots
        return {
            "configured": float(len(slots)),
            "ready": float(sum(slot.is_ready for slot in slots)),
            "restarts_total": float(sum(slot.restarts for slot in slots)),
        }

    async def _ready(self) -> Readiness:
        workers = await asyncio.gather(*(self._describe(slot) for slot in self._fleet.slots))
        wrong = None
        if self._fleet.is_draining:
            wrong = "the gateway is ending"
        elif not any(cast("dict[str, Json]", each)["status"] == "ready" for each in workers):
            wrong = "no worker is ready"
        return Readiness({"workers": wrong}, workers=list(workers))

    async def _describe(self, slot: Slot) -> Json:
        about: dict[str, Json] = {"worker": slot.number, "pid": slot.pid}
        if not slot.is_ready:
            return {**about, "status": "ending" if self._fleet.is_draining else "starting"}
        try:
            told = cast("dict[str, Json]", await slot.call("status", _STATUS_WITHIN))
        except (Gone, Refused, TimeoutError):
            return {**about, "status": "silent"}
        return {**about, **told}

    def _figures(self) -> Samples:
        told = [slot.last for slot in self._fleet.slots]
        return self._fleet.merged.samples([snapshot(self._own.families()), *told])

    async def _workers(self) -> list[WorkerState]:
        return list(await asyncio.gather(*(self._look(slot) for slot in self._fleet.slots)))

    async def _look(self, slot: Slot) -> WorkerState:
        state = cast("dict[str, Any]", await self._describe(slot))
        about: dict[str, Any] = {}
        with contextlib.suppress(Gone, Refused, TimeoutError):
            about = cast("dict[str, Any]", await slot.call("describe", _STATUS_WITHIN))
        process = Merged().samples([slot.last])
        return WorkerState(
            slot.number,
            slot.pid,
            str(state["status"]),
            slot.restarts,
            process.total("gateway_process_resident_memory_bytes") or None,
            process.total("gateway_process_start_time_seconds") or None,
            about,
        )

    async def _revoke(self, entries: list[DenyEntry], mandate: Mandate) -> Acknowledgement:
        """Let every worker refuse at once, and one of them write; the others take over where it cannot."""
        data = encode_entries(entries)
        ready = [slot for slot in self._fleet.slots if slot.is_ready]
        # what refuses it already counts it no more
        met = await _met(ready[0], data) if ready else {}
        ended = sum(await asyncio.gather(*(_deny(slot, data) for slot in ready)))
        told = await self._ask_one("revoke", entries=data, mandate=dict(mandate))
        acknowledgement = Acknowledgement(**cast("dict[str, object]", told))  # type: ignore[arg-type]
        streams = ended + (acknowledgement.streams or 0)
        return replace(acknowledgement, streams=streams, sessions=met.get("sessions"), keys=met.get("keys"))

    async def _sessions(self, action: str, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        told = await self._ask_one("sessions", action=action, fields=dict(fields), mandate=dict(mandate))
        return Answer(**cast("dict[str, object]", told))  # type: ignore[arg-type]

    async def _people(self, action: str, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        told = await self._ask_one("people", action=action, fields=dict(fields), mandate=dict(mandate))
        return Answer(**cast("dict[str, object]", told))  # type: ignore[arg-type]

    async def _logins(self, action: str, fields: Mapping[str, str], _mandate: Mandate) -> Answer:
        """Ask one worker once: a code that it has redeemed serves no other. Who is let in, any one tells."""
        if action == "holds":
            answer = await self._ask_one("console_login", action=action, fields=dict(fields))
            return Answer(**cast("dict[str, object]", answer))  # type: ignore[arg-type]
        slot = next((slot for slot in self._fleet.slots if slot.is_ready), None)
        if slot is None:
            raise Fault("gateway", Reason.OVERLOADED, "no worker is ready")
        try:
            told = await _call(slot, "console_login", _LOGIN_WITHIN, action=action, fields=dict(fields))
        except (Gone, TimeoutError):
            raise Fault("gateway", Reason.OVERLOADED, "the worker has not answered") from None
        return Answer(**cast("dict[str, object]", told))  # type: ignore[arg-type]

    async def _keys(self, action: str, fields: Mapping[str, Json], mandate: Mandate) -> Answer:
        told = await self._ask_one("keys", action=action, fields=dict(fields), mandate=dict(mandate))
        return Answer(**cast("dict[str, object]", told))  # type: ignore[arg-type]

    async def _trail(self, action: str, fields: Mapping[str, str], mandate: Mandate) -> Answer:
        told = await self._ask_one("audit", action=action, fields=dict(fields), mandate=dict(mandate))
        return Answer(**cast("dict[str, object]", told))  # type: ignore[arg-type]

    def _note(self, _event: str, _fields: Mapping[str, object], line: str) -> None:
        """Let a worker keep an audit event of this process, which has no store."""
        if self._fleet.settings.audit.keep is not None:
            self._notes.append(line)
            self._noting.start(self._hand_over())

    async def _hand_over(self) -> None:
        """Hand over what waits; where no worker is ready, it waits on."""
        while self._notes:
            line = self._notes[0]
            await self._ask_one("note", line=line)
            # somebody else may have handed it over meanwhile
            if self._notes and self._notes[0] is line:
                self._notes.popleft()

    async def _explain(self, fields: Mapping[str, Json]) -> Answer:
        """Ask the workers in turn until one knows enough to decide: each remembers what it has seen."""
        told: Answer | None = None
        for slot in [slot for slot in self._fleet.slots if slot.is_ready]:
            with contextlib.suppress(Gone, TimeoutError):
                answer = await _call(slot, "explain", fields=dict(fields))
                told = Answer(**cast("dict[str, object]", answer))  # type: ignore[arg-type]
                told.document["worker"] = slot.number
                if told.document.get("decision") != "not yet":
                    return told
        if told is None:
            raise Fault("gateway", Reason.OVERLOADED, "no worker is ready")
        return told

    async def _ask_one(self, order: str, **fields: Json) -> Json:
        """Return what one worker answers; the next is asked where one ends over it. Raises Fault."""
        for slot in [slot for slot in self._fleet.slots if slot.is_ready]:
            with contextlib.suppress(Gone, TimeoutError):
                return await _call(slot, order, **fields)
        raise Fault("gateway", Reason.OVERLOADED, "no worker is ready")


async def _call(slot: Slot, order: str, patience: float = _PUBLISH_WITHIN, /, **fields: Json) -> Json:
    """Return what a worker answers. Raises Fault, Gone, TimeoutError."""
    try:
        return await slot.call(order, patience, **fields)
    except Refused as refused:
        reason = refused.kind if refused.kind in set(Reason) else Reason.INTERNAL_ERROR
        raise Fault("store", Reason(reason), str(refused)) from None


async def _met(slot: Slot, entries: Json) -> "dict[str, int | None]":
    """Return how many sessions and keys entries are about to end, nothing where that is not known soon."""
    with contextlib.suppress(Gone, Refused, TimeoutError):
        return cast("dict[str, int | None]", await slot.call("met", _COUNT_WITHIN, entries=entries))
    return {}


async def _deny(slot: Slot, entries: Json) -> int:
    """Let a worker refuse what entries name; return how many open streams that ended there."""
    with contextlib.suppress(Gone, Refused, TimeoutError):
        return cast("int", await slot.call("deny", entries=entries))
    return 0
