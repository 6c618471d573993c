"""One worker process: a gateway that takes its orders from the supervisor's control channel.

It serves nobody without a supervisor: when the channel ends, it drains for a moment and ends too.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Final, cast

from gateway.app.describing import describe
from gateway.app.gateway import Gateway, Prepared
from gateway.app.parts import WorkerSlot
from gateway.core.fault import Fault
from gateway.edge.audit.anchoring import anchor
from gateway.edge.process import protect
from gateway.edge.tasks import Tasks
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.outlets import open_logs
from gateway.http.downstream.certificates import CertificateError
from gateway.supervision.channel import Channel, Gone
from gateway.supervision.descriptors import watch
from gateway.supervision.messages import decode_entries, decode_settings
from gateway.syntax.encoding import Json, parse_object

_ORPHANS_DRAIN: Final = 3.0
_YOUNG_OBJECTS: Final = 50_000
_MOST_LINE: Final = 1 << 20

Order = Callable[[dict[str, Json]], Awaitable[Json]]


def main(descriptor: int) -> int:
    """Serve as the control channel on this descriptor says; return the exit code."""
    import uvloop  # noqa: PLC0415 - absent on Windows, where nothing but this needs it

    # as the supervisor has, whose limits it has inherited; it refuses to serve by itself as well
    protect()
    # orders come by the channel alone: a signal to the whole group reaches the supervisor too
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(socket.socket(fileno=descriptor)))


def _settle() -> None:
    """Tell the collector that what lives now lives on, and let it begin.

    Requests leave no cycles behind, and a collection that walks modules, memories and connections to find
    that out costs as much as hundreds of requests. The few that the start leaves are not worth it either.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
    gc.enable()


def tell_what_broke(logs: Logs, _loop: object, context: dict[str, Any]) -> None:
    """Log what broke where nobody waits for it, as any error of ours: by type and frames, not by its text."""
    error = context.get("exception")
    if error is None:
        # asyncio's own words about what was left open
        logs.error("internal error", detail=str(context.get("message")))
    else:
        logs.error("internal error", kind=type(error).__name__, error=error)


async def _serve(end: socket.socket) -> int:
    return await Worker(await Channel.open(end)).run()


class Worker:
    """Carries out orders. Those that change something are taken one after the other, questions meanwhile."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._gateway: Gateway | None = None
        self._prepared: Prepared | None = None
        self._ended = False
        self._tasks = Tasks()
        self._changes: dict[str, Order] = {
            "start": self._start,
            "prepare": self._prepare,
            "commit": self._commit,
            "abandon": self._abandon,
            "drain": self._drain,
        }
        self._questions: dict[str, Order] = {
            "metrics": self._metrics,
            "status": self._status,
            "revoke": self._revoke,
            "deny": self._deny,
            "sessions": self._sessions,
            "keys": self._keys,
            "explain": self._explained,
            "audit": self._audit,
            "note": self._note,
            "met": self._met,
            "anchor": self._anchor,
            "describe": self._describe,
            "people": self._people,
            "console_login": self._console_login,
        }

    @property
    def gateway(self) -> Gateway:
        """The gateway, once started."""
        assert self._gateway is not None
        return self._gateway

    async def run(self) -> int:
        """Work until told to end, or until the supervisor is gone; return the exit code."""
        try:
            while not self._ended:
                message = await self._channel.receive()
                order = str(message.get("order"))
                if order in self._changes:
                    await self._answer(message, self._changes[order])
                elif order in self._questions:
                    self._tasks.start(self._answer(message, self._questions[order]))
        except Gone:
            await self._end_alone()
            return 1
        await self._channel.flush()
        self._channel.close()
        return 0

    async def _end_alone(self) -> None:
        if (gateway := self._gateway) is None:
            return
        gateway.logs.error("the supervisor has ended; so does this worker")
        with contextlib.suppress(Exception):
            await gateway.drain(min(_ORPHANS_DRAIN, gateway.settings.limits.drain_timeout))
            await gateway.close()

    async def _answer(self, message: dict[str, Json], order: Order) -> None:
        answer: dict[str, Json] = {"id": message.get("id")}
        try:
            answer["result"] = await order(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor is waiting for an answer
            kind = error.reason if isinstance(error, Fault) else type(error).__name__
            answer["error"] = {"kind": kind, "text": _explain(error)}
        self._channel.send(answer)

    async def _start(self, message: dict[str, Json]) -> Json:
        settings = decode_settings(message["settings"])
        number, descriptors, store_url = message["worker"], message["sockets"], message["store_url"]
        assert isinstance(number, int)
        assert isinstance(descriptors, list)
        assert store_url is None or isinstance(store_url, str)
        sockets = tuple(socket.socket(fileno=each) for each in descriptors)  # type: ignore[arg-type]
        logs = open_logs(settings, number)
        asyncio.get_running_loop().set_exception_handler(partial(tell_what_broke, logs))
        gateway = Gateway(settings, logs=logs, slot=WorkerSlot(number, sockets, store_url))
        await gateway.start()
        _settle()
        self._gateway = gateway
        self._tasks.start(watch(logs))
        if isinstance(predecessor := message.get("predecessor"), str):
            with contextlib.suppress(Fault):
                await gateway.revocations.dismiss(predecessor)
        return {"worker_id": gateway.revocations.worker_id, "pid": os.getpid()}

    async def _prepare(self, message: dict[str, Json]) -> Json:
        self._prepared = self.gateway.prepare(decode_settings(message["settings"]))
        return None

    async def _commit(self, _message: dict[str, Json]) -> Json:
        assert self._prepared is not None
        prepared, self._prepared = self._prepared, None
        self.gateway.commit(prepared)
        return None

    async def _abandon(self, _message: dict[str, Json]) -> Json:
        self._prepared = None
        self.gateway.abandon()
        return None

    async def _drain(self, _message: dict[str, Json]) -> Json:
        self._ended = True
        await self.gateway.drain()
        last = self.gateway.snapshot()
        await self.gateway.close()
        return last

    async def _metrics(self, _message: dict[str, Json]) -> Json:
        return self.gateway.snapshot()

    async def _status(self, _message: dict[str, Json]) -> Json:
        return self.gateway.ready().to_json()

    async def _revoke(self, message: dict[str, Json]) -> Json:
        mandate = cast("dict[str, str]", message["mandate"])
        acknowledgement = await self.gateway.revoke_one(decode_entries(message["entries"]), mandate)
        return acknowledgement.to_json()

    async def _sessions(self, message: dict[str, Json]) -> Json:
        answer = await self.gateway.session_admin.answer(
            str(message["action"]),
            cast("dict[str, str]", message["fields"]),
            cast("dict[str, str]", message["mandate"]),
        )
        return cast("Json", asdict(answer))

    async def _people(self, message: dict[str, Json]) -> Json:
        answer = await self.gateway.people_admin.answer(
            str(message["action"]),
            cast("dict[str, str]", message["fields"]),
            cast("dict[str, str]", message["mandate"]),
        )
        return cast("Json", asdict(answer))

    async def _console_login(self, message: dict[str, Json]) -> Json:
        answer = await self.gateway.operator_logins.answer(
            str(message["action"]), cast("dict[str, str]", message["fields"]), {}
        )
        return cast("Json", asdict(answer))

    async def _keys(self, message: dict[str, Json]) -> Json:
        answer = await self.gateway.key_admin.answer(
            str(message["action"]),
            cast("dict[str, Json]", message["fields"]),
            cast("dict[str, str]", message["mandate"]),
        )
        return cast("Json", asdict(answer))

    async def _explained(self, message: dict[str, Json]) -> Json:
        answer = await self.gateway.explain_admin.answer(cast("dict[str, Json]", message["fields"]))
        return cast("Json", asdict(answer))

    async def _audit(self, message: dict[str, Json]) -> Json:
        answer = await self.gateway.audit_admin.answer(
            str(message["action"]),
            cast("dict[str, str]", message["fields"]),
            cast("dict[str, str]", message["mandate"]),
        )
        return cast("Json", asdict(answer))

    async def _note(self, message: dict[str, Json]) -> Json:
        line = str(message["line"])
        fields = parse_object(line.encode(), _MOST_LINE) or {}
        self.gateway.audit_writer.keep(str(fields.get("event")), fields, line)
        return None

    async def _met(self, message: dict[str, Json]) -> Json:
        return await self.gateway.met(decode_entries(message["entries"]))

    async def _describe(self, _message: dict[str, Json]) -> Json:
        return describe(self.gateway)

    async def _anchor(self, message: dict[str, Json]) -> Json:
        await anchor(self.gateway.store, str(message["chain"]), str(message["text"]))
        return None

    async def _deny(self, message: dict[str, Json]) -> Json:
        return self.gateway.revoking.deny(decode_entries(message["entries"]))


def _explain(error: Exception) -> str:
    """Say what went wrong; the texts of these kinds are ours and hold no secret."""
    if isinstance(error, Fault):
        return error.detail or error.reason
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, RuntimeError | ValueError | CertificateError):
        return str(error).partition("\n")[0] or type(error).__name__
    return type(error).__name__
