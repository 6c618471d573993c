"""Composition root: the only module that names concrete edge classes."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.core.compiled import Compiled, compile_settings
from gateway.core.config import Settings
from gateway.core.context import Knowledge, Memory
from gateway.core.denylist import Denylist
from gateway.core.model import DenyEntry, Fault, Outcome
from gateway.core.needs import (
    Confirm,
    EndSession,
    Exchange,
    Keys,
    Metadata,
    Need,
    Random,
    Refresh,
    Revoke,
    RevokeToken,
    UseOnce,
    UserInfo,
)
from gateway.edge.admin import Admin
from gateway.edge.claims import Claims
from gateway.edge.embedded import EmbeddedValkey
from gateway.edge.issuer import Issuers
from gateway.edge.logins import Logins
from gateway.edge.logs import Logs
from gateway.edge.metrics import Metrics
from gateway.edge.refresher import Refresher
from gateway.edge.revocations import Acknowledgement, Revocations
from gateway.edge.store import Store
from gateway.edge.token_revocations import TokenRevocations
from gateway.http.exchange import Limits
from gateway.http.server import Server
from gateway.pipeline import Pipeline, Ways


class Recorder:
    """Feeds metrics, access log and audit log from one record."""

    def __init__(self, metrics: Metrics, logs: Logs, *, access: bool) -> None:
        self._metrics = metrics
        self._logs = logs
        self._access = access

    def outcome(self, outcome: Outcome) -> None:
        """Take the one record of a finished request."""
        self._metrics.observe(outcome)
        if self._access:
            self._logs.access(outcome)

    def audit(self, event: str, **fields: object) -> None:
        """Take an audit event."""
        self._metrics.event(event, fields.get("reason"))
        self._logs.audit(event, **fields)

    def error(self, message: str, **fields: object) -> None:
        """Take an error of our own."""
        self._logs.error(message, **fields)


class Gateway:
    """One gateway: listener, admin listener, store, replica, issuers. Start it, close it.

    Args:
        settings: the validated configuration.
        clock: wall time in seconds since the epoch.
        logs: where log lines go; standard error when None.
    """

    def __init__(
        self, settings: Settings, *, clock: Callable[[], float] = time.time, logs: Logs | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.compiled: Compiled = compile_settings(settings)
        self.logs = logs if logs is not None else Logs(settings.log)
        self.metrics = Metrics()
        self.denylist = Denylist()
        self.issuers = Issuers(
            self.compiled.providers, clock, allow_insecure_http=settings.allow_insecure_http
        )
        self.embedded: EmbeddedValkey | None = None
        self._closers: list[Callable[[], object]] = []

    @property
    def port(self) -> int:
        """The port of the public listener."""
        return self.server.port

    @property
    def store_kind(self) -> str:
        """Say which store is in use, without its address."""
        return "embedded" if self.embedded is not None else "redis"

    @property
    def admin_port(self) -> int:
        """The port of the admin listener."""
        return self.admin.port

    async def start(self) -> None:
        """Start everything; on failure whatever was started is closed again.

        Raises:
            OSError: an address is taken or not ours. RuntimeError: no store can be started.
        """
        try:
            await self._start_store()
            await self._start_plane()
            await self._start_admin()
        except BaseException:
            await self.close()
            raise

    async def _start_store(self) -> None:
        redis = self.settings.redis
        if redis is None:
            self.embedded = EmbeddedValkey()
            url = await self.embedded.start(Path(self.settings.state_dir))
            prefix, timeout = "gateway:", 1.0
        else:
            url, prefix, timeout = redis.url.get_secret_value(), redis.prefix, redis.timeout
        self.store = Store(url, prefix, timeout, self.clock)
        await self.store.start()
        worker = f"{os.uname().nodename}:{os.getpid()}"
        self.revocations = Revocations(self.store, self.denylist, self.clock, worker_id=worker)
        await self.revocations.start()
        session = self.settings.session
        self.claims = Claims(self.store, self.clock, grace=session.rotation_grace, idle=session.idle_lifetime)

    async def _start_plane(self) -> None:
        settings = self.settings
        await self.issuers.start()
        recorder = Recorder(self.metrics, self.logs, access=settings.log.access)
        self.refresher = Refresher(
            self.compiled,
            self.issuers,
            self.claims,
            self.denylist,
            self.revocations.revoke,
            self.clock,
            recorder.audit,
        )
        self.token_revocations = TokenRevocations(self.issuers.revoke_token, recorder.audit)
        knowledge = Knowledge(
            compiled=self.compiled,
            keys=self.issuers.keys,
            denylist=self.denylist,
            memory=Memory(),
            news=self.refresher.news,
            confirmed=self.refresher.confirmed,
        )
        ways = Ways(
            resolvers=self._resolvers(),
            logins=Logins(self.compiled.providers, self.issuers.metadata),
            background=self._background,
            recorder=recorder,
            clock=self.clock,
        )
        self.pipeline = Pipeline(knowledge, ways)
        limits = settings.limits
        self.server = Server(
            self.pipeline,
            settings.upstreams,
            Limits(
                head=limits.head,
                fields=limits.fields,
                body=limits.body,
                connections=limits.connections,
                head_timeout=limits.head_timeout,
                body_timeout=limits.body_timeout,
                idle_timeout=limits.idle_timeout,
                write_timeout=limits.write_timeout,
            ),
            clock=self.clock,
        )
        host, port = split_address(settings.listen)
        await self.server.start(host, port)

    def _resolvers(self) -> "Mapping[type, Callable[[Any], Awaitable[object]]]":
        async def random(need: Random) -> bytes:
            return os.urandom(need.size)

        async def userinfo(need: UserInfo) -> object:
            # an empty document names nobody, and so is refused: None would read as "not asked"
            return await self.issuers.userinfo(need) or {}

        return {
            Random: random,
            Metadata: self.issuers.metadata,
            Keys: self.issuers.keys_for,
            Exchange: self.issuers.exchange,
            UserInfo: userinfo,
            EndSession: self.issuers.end_session,
            UseOnce: self.store.use_once,
            Revoke: self.revocations.revoke,
            Refresh: self.refresher.refresh,
        }

    def _background(self, need: Need) -> None:
        if isinstance(need, RevokeToken):
            self.token_revocations.start(need)
            return
        assert isinstance(need, Refresh | Confirm)
        self.refresher.start(need)

    async def _start_admin(self) -> None:
        settings = self.settings
        self.metrics.register("http", self.server.gauges)
        self.metrics.register("log", self.logs.stats)
        self.metrics.register("issuer", self.issuers.stats)
        self.metrics.register("denylist", self.revocations.stats)
        self.metrics.register("store", lambda: {"up": float(self.store.available)})
        self.admin = Admin(
            settings.admin,
            metrics=self.metrics.render,
            ready=self._ready,
            revoke=self._revoke,
            issuer_of_provider={name: each.issuer for name, each in self.compiled.providers.items()},
            clock=self.clock,
            entry_lifetime=settings.session.absolute_lifetime,
        )
        await self.admin.start()

    async def _revoke(self, entries: list[DenyEntry]) -> Acknowledgement:
        acknowledgement = await self.revocations.publish(entries)
        for entry in entries:
            self.metrics.event("revocation", None)
            self.logs.audit(
                "revocation", kind=entry.kind, issuer=entry.issuer, value=entry.value, before=entry.before
            )
        return acknowledgement

    def _ready(self) -> dict[str, str | None]:
        deny = self.settings.denylist
        fresh = self.denylist.is_fresh(self.clock(), deny.max_staleness)
        return {
            "store": None if self.store.available else "the store does not answer",
            "denylist": None if fresh or deny.when_stale == "allow" else "the denylist replica is stale",
        }

    async def drain(self) -> None:
        """Stop accepting, let open requests and refreshes end, within ``limits.drain_timeout``."""
        bound = self.settings.limits.drain_timeout
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(bound):
                await self.server.drain(bound)
                await self.pipeline.drain()
                await self.refresher.drain()
                await self.token_revocations.drain()
                await self.claims.drain()

    async def close(self) -> None:
        """Close everything that was started, in the reverse order."""
        for name in ("server", "admin", "token_revocations", "claims", "issuers", "revocations", "store"):
            part = getattr(self, name, None)
            if part is not None and hasattr(part, "close"):
                with contextlib.suppress(Fault, OSError):
                    await part.close()
        if self.embedded is not None:
            await self.embedded.stop()
        self.logs.close()


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def _serve(settings: Settings) -> int:
    gateway = Gateway(settings)
    await gateway.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway.logs.info(
        "started", listen=f"{settings.listen}", admin=settings.admin.listen, store=gateway.store_kind
    )
    await stop.wait()
    gateway.logs.info("draining", bound=settings.limits.drain_timeout)
    await gateway.drain()
    await gateway.close()
    return 0


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    import uvloop  # noqa: PLC0415 - absent on Windows, where nothing but this command needs it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))
