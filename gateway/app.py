"""Composition root: the only module that names concrete edge classes."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.config.settings.root import Settings
from gateway.config.store_address import StoreAddress, address_of
from gateway.core.access.generations import replacement
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import (
    Confirm,
    EndLater,
    EndSession,
    KeepHint,
    KeptPage,
    Keys,
    KnownSid,
    Metadata,
    Need,
    Random,
    RedeemCode,
    Refresh,
    Replaced,
    Revoke,
    RevokeToken,
    SaveSession,
    SessionRecord,
    Touch,
    UseOnce,
    UserInfo,
)
from gateway.core.endpoints.provider_logout import FRONTCHANNEL_LIMITS
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.runtime import RuntimeConfig, bridge, compile_settings
from gateway.edge.admin.readiness import Readiness, judge
from gateway.edge.admin.revocation_request import Mandate, terms_of
from gateway.edge.admin.sessions import SessionAdmin
from gateway.edge.clock import CLOCK, SteadyClock
from gateway.edge.limits.rate_limits import RateLimits
from gateway.edge.providers.logins import Logins
from gateway.edge.providers.providers import Providers
from gateway.edge.providers.token_revocations import TokenRevocations
from gateway.edge.refresh.lease import LONGEST_CALL, Leases
from gateway.edge.refresh.refresher import Refresher
from gateway.edge.revocation.denylist_sync import LIVE_FOR, Acknowledgement, Revocations
from gateway.edge.revocation.streams import LongLived
from gateway.edge.sessions.kept_pages import KeptPages
from gateway.edge.sessions.logout_hints import LogoutHints
from gateway.edge.sessions.records import Sessions
from gateway.edge.store.embedded import EmbeddedValkey
from gateway.edge.store.store import Store
from gateway.edge.store.watch import StoreWatch
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metric_merge import snapshot
from gateway.edge.telemetry.metric_sources import provider_readings
from gateway.edge.telemetry.metrics import Metrics
from gateway.edge.telemetry.recorder import Recorder
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.certificates import Certificates, watch
from gateway.http.downstream.proxy_protocol import HeaderPeers
from gateway.http.ports import limits_of
from gateway.http.server import Server
from gateway.http.upstream.pool import UpstreamPool
from gateway.pipeline.pipeline import Pipeline, Ways
from gateway.syntax.encoding import Json
from gateway.syntax.urls import parse_listen

USERINFO_REFUSED: Final = (
    "UserInfo refused an access token that the token endpoint had just given: ask for the scopes that it"
    " wants, or set userinfo to false"
)


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """A worker's place under a supervisor, which keeps the sockets, the store and the admin listener.

    ``sockets`` are bound; ``store_url`` is the embedded store's, None where ``redis.url`` is set.
    """

    worker: int
    sockets: tuple[socket.socket, ...]
    store_url: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that is ready to be gone on with; nothing can fail any more."""

    compiled: RuntimeConfig
    pools: dict[str, UpstreamPool]
    certificates: Certificates | None


class Gateway:
    """One gateway: listener, admin listener, store, replica, providers. Start it, close it.

    Args:
        settings: the validated configuration.
        clock: seconds since the epoch; the process's own, unless a test brings one.
        logs: where log lines go; standard error when None.
        place: under a supervisor; None when this is the only process, with its own store and admin listener.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = CLOCK,
        logs: Logs | None = None,
        place: WorkerSlot | None = None,
    ) -> None:
        self.settings = settings
        self.place = place
        self.clock = clock
        self._steps_told = clock.steps if isinstance(clock, SteadyClock) else 0
        self.compiled: RuntimeConfig = compile_settings(settings)
        self.logs = logs if logs is not None else Logs(settings.log)
        self.metrics = Metrics()
        self.metrics.expect_logins(self.compiled.providers)
        self.recorder = Recorder(self.metrics, self.logs, access=settings.log.access)
        self.denylist = Denylist()
        self.long_lived = LongLived(self.denylist, clock, self.recorder.audit)
        self.providers = Providers(
            self.compiled.providers,
            clock,
            allow_insecure_http=settings.allow_insecure_http,
            report=self.logs.warning,
        )
        self.providers.on_refused = lambda provider, status: self.logs.warning(
            USERINFO_REFUSED, provider=provider, status=status
        )
        self.embedded: EmbeddedValkey | None = None
        self._watching: asyncio.Task[None] | None = None
        self._overdue: dict[str, float] = {}

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
            self._register_metrics()
            if self.place is None:
                await self._start_admin()
        except BaseException:
            await self.close()
            raise

    async def _start_store(self) -> None:
        redis = self.settings.redis
        prefix, timeout = ("gateway:", 1.0) if redis is None else (redis.prefix, redis.timeout)
        if redis is not None:
            address: StoreAddress | str = address_of(redis)
        elif self.place is not None and self.place.store_url is not None:
            address = self.place.store_url
        else:
            self.embedded = EmbeddedValkey(self.logs.error)
            address = await self.embedded.start(Path(self.settings.state_dir))
        self.store = Store(address, prefix, timeout, self.clock)
        await self.store.start()
        self.store_watch = StoreWatch(self.store, self.logs)
        self.store_watch.start()
        worker = f"{os.uname().nodename}:{os.getpid()}"
        self.revocations = Revocations(
            self.store,
            self.denylist,
            self.clock,
            worker_id=worker,
            on_added=self.long_lived.denied,
            # a worker that is cut off serves until it is stale; so long it is missing, not gone
            live_for=max(LIVE_FOR, 1.5 * self.settings.denylist.max_staleness),
            steps=self._clock_steps,
        )
        await self.revocations.start()
        session = self.settings.session
        # a refresh asks for tokens, for keys and for UserInfo
        slowest = max(provider.timeout for provider in self.settings.providers.values())
        self.leases = Leases(
            self.store,
            self.clock,
            grace=session.rotation_grace,
            idle=session.idle_lifetime,
            longest_call=max(LONGEST_CALL, 3 * slowest),
        )
        self.leases.start()

    def _clock_steps(self) -> int:
        clock = self.clock
        if not isinstance(clock, SteadyClock):
            return 0
        if clock.steps != self._steps_told:
            self._steps_told = clock.steps
            ahead = round(clock.held_back, 1)
            self.logs.error(
                "the wall clock has stepped" if ahead else "the wall clock is followed", ahead=ahead
            )
        return clock.steps

    async def _start_plane(self) -> None:
        settings, recorder = self.settings, self.recorder
        await self.providers.start()
        self.sessions = Sessions(
            self.store, self._knowledge, self._end, self.clock, recorder.audit, self.revocations.put_off
        )
        self.session_desk = SessionAdmin(self.sessions.index, self._knowledge, self.revoke, self.clock)
        self.logout_hints = LogoutHints(self.store, lambda: self.compiled.ring, self.clock)
        self.refresher = Refresher(
            self.compiled,
            self.providers,
            self.leases,
            self.denylist,
            self._end,
            self.clock,
            self._refreshed,
            self.sessions,
            self.logout_hints.start,
        )
        self.token_revocations = TokenRevocations(self.providers.revoke_token, recorder.audit)
        knowledge = Knowledge(
            compiled=self.compiled,
            keys=self.providers.keys,
            denylist=self.denylist,
            memory=Memory(),
            recent_outcome=self.refresher.recent_outcome,
            confirmed=self.refresher.confirmed,
            superseded=self.leases.superseded,
        )
        self.rate_limits = RateLimits(self.store)
        self.kept_pages = KeptPages(self.store, lambda: self.compiled.ring, self.clock)
        self.logins = Logins(self.compiled, self.providers.metadata, self.kept_pages.keep)
        ways = Ways(
            resolvers=self._resolvers(),
            logins=self.logins,
            background=self._background,
            recorder=recorder,
            clock=self.clock,
            limiter=self.rate_limits,
            watcher=self.long_lived,
        )
        self.pipeline = Pipeline(knowledge, ways)
        self.server = Server(
            self.pipeline,
            settings.upstreams,
            limits_of(settings.limits),
            clock=self.clock,
            certificates=Certificates(settings.tls) if settings.tls is not None else None,
        )
        self.server.admission.exempt(settings.trusted_proxies)
        self.server.header_peers = HeaderPeers(settings.proxy_protocol)
        self._answer_balancers()
        self.server.take_methods(frozenset(each.encode() for each in settings.extra_methods))
        address = parse_listen(settings.listen)
        assert address is not None
        host, port = address
        await self.server.start(host, port, sockets=self.place.sockets if self.place else ())
        if self.server.certificates is not None:
            self._look_at(self.server.certificates)
            self._watching = asyncio.create_task(
                watch(lambda: self.server.certificates, self._renewed, self._look_at)
            )

    def _renewed(self, error: Exception | None) -> None:
        if error is None:
            self.logs.info("certificates reloaded")
        else:
            # its text is our own, and tells file and cause
            self.logs.error("certificates unchanged", detail=str(error))

    def _look_at(self, certificates: Certificates) -> None:
        """Tell once of each certificate that has expired."""
        overdue = certificates.overdue(self.clock())
        for file, end in overdue.items():
            if self._overdue.get(file) != end:
                when = datetime.fromtimestamp(end, UTC).isoformat()
                self.logs.error("certificate expired", file=file, expired=when)
        self._overdue = overdue

    def _resolvers(self) -> "Mapping[type, Callable[[Any], Awaitable[object]]]":
        async def random(need: Random) -> bytes:
            return os.urandom(need.size)

        async def userinfo(need: UserInfo) -> object:
            # an empty document names nobody, and so is refused: None would read as "not asked"
            return await self.providers.userinfo(need) or {}

        async def end_session(need: EndSession) -> str | Fault:
            hint = await self.logout_hints.take(need.session_id) or need.id_token_hint
            return await self.providers.end_session(replace(need, id_token_hint=hint))

        async def replaced(need: Replaced) -> None:
            # a login does not fail for want of the others' ears
            with contextlib.suppress(Fault):
                await self.leases.replaced(replacement(need.session_id))

        return {
            Random: random,
            Metadata: self.providers.metadata,
            Keys: self.providers.keys_for,
            RedeemCode: self.providers.exchange,
            UserInfo: userinfo,
            EndSession: end_session,
            UseOnce: self.store.use_once,
            Revoke: self._end,
            Refresh: self.refresher.refresh,
            SessionRecord: self.sessions.fetch,
            Replaced: replaced,
            SaveSession: self.sessions.save,
            KnownSid: self.sessions.knows_sid,
            KeptPage: self.kept_pages.fetch,
        }

    def _refreshed(self, event: str, **fields: object) -> None:
        self.recorder.audit(event, **fields)
        session, reason = fields.get("session"), fields.get("reason")
        if event == "refresh_failed" and isinstance(session, str) and isinstance(reason, Reason):
            self.long_lived.session_over(session, reason)

    def _knowledge(self) -> Knowledge:
        return self.pipeline.knowledge

    async def _end(self, need: Revoke) -> None:
        await self.revocations.revoke(need)
        self._clear(need.entries)

    def _clear(self, entries: Sequence[DenyEntry]) -> None:
        if self.settings.session.mode == "redis":
            self.sessions.clear(entries)

    def _background(self, need: Need) -> None:
        if isinstance(need, RevokeToken):
            self.token_revocations.start(need)
            return
        if isinstance(need, KeepHint):
            self.logout_hints.start(need)
            return
        if isinstance(need, EndLater):
            self.sessions.end_later(need)
            return
        if isinstance(need, Touch):
            self.sessions.start(need)
            return
        assert isinstance(need, Refresh | Confirm)
        self.refresher.start(need)

    def _register_metrics(self) -> None:
        self.metrics.register("http", self.server.readings)
        self.metrics.register("long_lived", self.long_lived.stats)
        self.metrics.register("log", self.logs.stats)
        self.metrics.register("rate_limit", self.rate_limits.stats)
        self.metrics.register("issuer", lambda: provider_readings(self.providers.stats()))
        self.metrics.register("denylist", self.revocations.stats)
        self.metrics.register("store", lambda: {"up": float(self.store.available)})

    async def _start_admin(self) -> None:
        # a worker has none, and an HTTP server more is not cheap to load
        from gateway.edge.admin.listener import Admin  # noqa: PLC0415

        async def metrics() -> tuple[bytes, str]:
            return self.metrics.render()

        async def ready() -> Readiness:
            return self.ready()

        settings = self.settings
        self.admin = Admin(
            settings.admin,
            metrics=metrics,
            ready=ready,
            revoke=self.revoke_one,
            terms=terms_of(settings),
            clock=self.clock,
            sessions=self.session_desk.answer,
            limits=limits_of(settings.limits),
        )
        await self.admin.start()

    async def revoke_one(self, entries: list[DenyEntry], mandate: Mandate) -> Acknowledgement:
        """Revoke what one entry names, and tell what became of it. Raises Fault."""
        (entry,) = entries
        met = await self.session_desk.met(entry)
        until = None
        if entry.kind not in ("jti", "session"):
            providers = self.compiled.providers.values()
            skews = [each.clock_skew for each in providers if entry.issuer in ("", each.issuer)]
            until = entry.before + max(skews, default=0.0)
        told = await self.revoke([await self.session_desk.bounded(entry)], mandate)
        return replace(told, sessions=met, tokens_refused_until=until)

    async def revoke(self, entries: list[DenyEntry], mandate: Mandate) -> Acknowledgement:
        """Write denylist entries and tell which live workers hold them. Raises Fault.

        ``mandate`` is kept in the audit log.
        """
        try:
            acknowledgement = await self.revocations.publish(entries)
        except Fault as fault:
            # it holds here, and is written once the store is back
            self._tell_revoked(entries, mandate, fault.reason)
            raise
        self._clear(entries)
        self._tell_revoked(entries, mandate)
        return acknowledgement

    def _tell_revoked(self, entries: list[DenyEntry], mandate: Mandate, postponed: str | None = None) -> None:
        for entry in entries:
            if postponed is None:
                self.metrics.event("revocation", None)
            self.logs.audit(
                "revocation",
                kind=entry.kind,
                issuer=entry.issuer,
                value=entry.value,
                before=entry.before,
                postponed=postponed,
                **mandate,
            )

    def _answer_balancers(self) -> None:
        path = self.settings.health_path
        told = None if path is None else BalancerAnswer(path.encode(), lambda: self.ready().is_ready)
        self.server.answer_balancers(told)

    def ready(self) -> Readiness:
        """Tell whether this process serves, and what is wrong."""
        return judge(self.settings, self.denylist, self.store.trouble, self.clock())

    def snapshot(self) -> list[Json]:
        """Return every metric as JSON, for the supervisor's view over all workers."""
        return snapshot(self.metrics.families())

    def prepare(self, settings: Settings) -> Prepared:
        """Compile other settings, and from now on open what they will seal; ``commit`` goes on with them.

        Raises:
            ValueError, OSError: they cannot be used; nothing has changed.
        """
        prepared = Prepared(
            compile_settings(settings),
            self.server.build_pools(settings.upstreams),
            Certificates(settings.tls) if settings.tls is not None else None,
        )
        self._know(bridge(self.compiled, prepared.compiled), self.pipeline.knowledge.memory)
        return prepared

    def abandon(self) -> None:
        """Forget what was prepared."""
        self._know(self.compiled, Memory())

    def commit(self, prepared: Prepared) -> None:
        """Go on with what was prepared. Requests under way end with the knowledge that they began with."""
        compiled = prepared.compiled
        self.compiled = compiled
        self.settings = settings = compiled.settings
        self.providers.configure(compiled.providers, allow_insecure_http=settings.allow_insecure_http)
        self.logins.configure(compiled)
        self.metrics.expect_logins(compiled.providers)
        session = settings.session
        self.leases.configure(grace=session.rotation_grace, idle=session.idle_lifetime)
        self.server.configure(prepared.pools, limits_of(settings.limits))
        self._answer_balancers()
        self.server.take_methods(frozenset(each.encode() for each in settings.extra_methods))
        self.server.certificates = prepared.certificates
        self.server.admission.exempt(settings.trusted_proxies)
        self.server.header_peers = HeaderPeers(settings.proxy_protocol)
        self.rate_limits.configure(
            (*compiled.routes.limits, *filter(None, (compiled.login_limit,)), *FRONTCHANNEL_LIMITS)
        )
        self.recorder.access = settings.log.access
        self.logs.configure(settings.log)
        self._know(compiled, Memory())

    def reload(self, settings: Settings) -> None:
        """Go on with other settings, at once and without an end to anything.

        Raises:
            ValueError, OSError: they cannot be used; nothing has changed.
        """
        self.commit(self.prepare(settings))

    def _know(self, compiled: RuntimeConfig, memory: Memory) -> None:
        self.refresher.configure(compiled)
        self.pipeline.knowledge = replace(
            self.pipeline.knowledge, compiled=compiled, keys=self.providers.keys, memory=memory
        )

    async def drain(self, bound: float | None = None) -> None:
        """Stop accepting; let requests and refreshes end within ``limits.drain_timeout``, or ``bound``."""
        bound = self.settings.limits.drain_timeout if bound is None else bound
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(bound):
                await self.server.drain(bound)
                await self.pipeline.drain()
                await self.refresher.drain()
                await self.token_revocations.drain()
                await self.logout_hints.drain()
                await self.leases.drain()
                await self.sessions.drain()

    async def close(self) -> None:
        """Close everything that was started, in the reverse order."""
        if self._watching is not None:
            self._watching.cancel()
        behind = (
            "refresher",
            "token_revocations",
            "logout_hints",
            "sessions",
            "leases",
            "providers",
            "revocations",
            "store_watch",
            "store",
        )
        for name in ("server", "admin", "long_lived", *behind):
            part = getattr(self, name, None)
            if part is not None and hasattr(part, "close"):
                with contextlib.suppress(Fault, OSError):
                    await part.close()
        if self.embedded is not None:
            await self.embedded.stop()
        self.logs.close()
