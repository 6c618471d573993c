"""One gateway: started, asked, configured anew and ended as a whole."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.app.describing import describe
from gateway.app.parts import Parts
from gateway.config.settings.root import Settings
from gateway.core.decision.context import Memory
from gateway.core.endpoints import sessions
from gateway.core.endpoints.provider_logout import FRONTCHANNEL_LIMITS
from gateway.core.rules.entries import DenyEntry
from gateway.core.runtime import RuntimeConfig, bridge, compile_settings
from gateway.edge.admin.readiness import Readiness
from gateway.edge.admin.revocation_request import Mandate, terms_of
from gateway.edge.certificate_watch import CertificateWatch
from gateway.edge.rendering.pages.edition import Pages, compile_pages
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.edge.telemetry.metric_merge import Merged, Samples, snapshot
from gateway.edge.telemetry.metric_sources import provider_readings
from gateway.http.downstream.certificates import Certificates
from gateway.http.ports import limits_of
from gateway.http.upstream.pool import UpstreamPool
from gateway.syntax.encoding import Json

if TYPE_CHECKING:
    from gateway.edge.telemetry.otlp.signals import Signals


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that is ready to be gone on with; nothing can fail any more."""

    runtime: RuntimeConfig
    pages: Pages
    pools: dict[str, UpstreamPool]
    certificates: Certificates | None
    signals: "Signals | None"


class Gateway(Parts):
    """One gateway: listener, admin listener, store, replica, providers. Start it, close it."""

    @property
    def port(self) -> int:
        """The port of the public listener."""
        return self.server.port

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
            await self.start_parts()
            self._register_metrics()
            if self.slot is None:
                await self._start_admin()
        except BaseException:
            await self.close()
            raise

    def _register_metrics(self) -> None:
        self.metrics.register("http", self.server.readings)
        self.metrics.register("long_lived", self.long_lived.stats)
        self.metrics.register("log", self.logs.stats)
        self.metrics.register("audit", self.audit_writer.stats)
        self.metrics.register("telemetry", self.telemetry.readings)
        self.metrics.register("rate_limit", self.rate_limits.stats)
        self.metrics.register("api_keys", self.api_keys.stats)
        self.metrics.register("issuer", lambda: provider_readings(self.providers.stats()))
        self.metrics.register("denylist", self.revocations.stats)
        self.metrics.register("assertions", self._assertions)
        self.metrics.register("store", lambda: {"up": float(self.store.available)})

    def _assertions(self) -> dict[str, float]:
        signing = self.runtime.signing
        return {"signed": 0.0 if signing is None else float(signing.signed)}

    async def _start_admin(self) -> None:
        # a worker has none, and an HTTP server more is not cheap to load
        from gateway.edge.admin.listener import Admin  # noqa: PLC0415

        async def metrics(accept: str) -> tuple[bytes, str]:
            return self.metrics.render(accept)

        async def ready() -> Readiness:
            return self.ready()

        settings = self.settings
        self.admin = Admin(
            settings.admin,
            metrics=metrics,
            ready=ready,
            revoke=self.revoke_one,
            terms=terms_of(settings),
            audit=self.logs.audit,
            clock=self.clock,
            sessions=self.session_admin.answer,
            keys=self.key_admin.answer,
            explain=self.explain_admin.answer,
            trail=self.audit_admin.answer,
            limits=limits_of(settings.limits),
        )
        if settings.admin.console is not None:
            self._open_console(settings)
        self.closing.later(self.admin.close)
        await self.admin.start()
        watch = CertificateWatch(lambda: self.admin.certificates, self.logs, self.clock)
        self.closing.later(watch.close)
        watch.start()

    def _open_console(self, settings: Settings) -> None:
        from gateway.edge.admin.console.backing import Backing, WorkerState  # noqa: PLC0415
        from gateway.edge.admin.console.console import Console  # noqa: PLC0415

        def figures() -> Samples:
            return Merged().samples([snapshot(self.metrics.families())])

        async def workers() -> list[WorkerState]:
            told, status = figures(), "ready" if self.ready().is_ready else "unready"
            memory = told.total("gateway_process_resident_memory_bytes")
            began = told.total("gateway_process_start_time_seconds")
            return [WorkerState(0, os.getpid(), status, 0, memory or None, began or None, describe(self))]

        # what this process has logged, it describes
        backing = Backing(
            figures,
            workers,
            list,
            self.session_admin.answer,
            self.people_admin.answer,
            self.audit_admin.answer,
            self.operator_logins.answer,
            self.revoke_one,
        )
        self.admin.console = Console(
            settings.admin, terms_of(settings), backing, self.admin.entrance, self.logs.audit, self.clock
        )

    async def revoke_one(self, entries: list[DenyEntry], mandate: Mandate) -> Acknowledgement:
        """Revoke what one entry names, and tell what became of it. Raises Fault."""
        (entry,) = entries
        return await self.revoking.revoke_one((self.session_admin, self.key_admin), entry, mandate)

    async def met(self, entries: list[DenyEntry]) -> dict[str, Json]:
        """Return how many sessions and API keys one entry is about to end; None where nobody can tell."""
        (entry,) = entries
        return {"sessions": await self.session_admin.met(entry), "keys": await self.key_admin.met(entry)}

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
            compile_pages(settings),
            self.server.build_pools(settings.upstreams),
            Certificates(settings.tls) if settings.tls is not None else None,
            self.telemetry.prepare(settings.telemetry),
        )
        self._know(bridge(self.runtime, prepared.runtime), self.pipeline.knowledge.memory)
        return prepared

    def abandon(self) -> None:
        """Forget what was prepared, and what was learned of lines that only its keys open."""
        self.runtime.rules.request_lines.forget_all()
        self._know(self.runtime, Memory())

    def commit(self, prepared: Prepared) -> None:
        """Go on with what was prepared. Requests under way end with the knowledge that they began with."""
        runtime, before = prepared.runtime, self.runtime.rules
        # facts lead back to the configuration they are of: as a cycle they would wait for the collector
        before.request_lines.forget_all()
        before.response_lines.forget_all()
        if runtime.signing is not None and self.runtime.signing is not None:
            # a count goes on
            runtime.signing.signed += self.runtime.signing.signed
        self.runtime = runtime
        self.pipeline.pages = prepared.pages
        self.settings = settings = runtime.settings
        self.providers.configure(runtime.providers, allow_insecure_http=settings.allow_insecure_http)
        self.logins.configure(runtime)
        self.metrics.expect_logins(runtime.login_names())
        session = settings.session
        self.leases.configure(grace=session.rotation_grace, idle=session.idle_lifetime)
        self.server.configure(prepared.pools, limits_of(settings.limits))
        self.configure_server(settings)
        self.server.certificates = prepared.certificates
        self.rate_limits.configure(
            (
                *runtime.routes.limits,
                *filter(None, (runtime.login_limit,)),
                *FRONTCHANNEL_LIMITS,
                sessions.LIMIT,
            )
        )
        self.strangers.configure(settings.limits.unknown_credentials_per_address)
        if settings.api_keys is not None:
            self.api_keys.reseal()
        self.recorder.configure(settings)
        self.audit_writer.configure(settings.audit.keep)
        self.logs.configure(settings.log)
        self.server.handler = self.telemetry.handler(self.pipeline, prepared.signals)
        self._know(runtime, Memory())

    def reload(self, settings: Settings) -> None:
        """Go on with other settings, at once and without an end to anything.

        Raises:
            ValueError, OSError: they cannot be used; nothing has changed.
        """
        self.commit(self.prepare(settings))

    def _know(self, runtime: RuntimeConfig, memory: Memory) -> None:
        self.refresher.configure(runtime)
        self.pipeline.knowledge = replace(
            self.pipeline.knowledge, runtime=runtime, keys=self.providers.keys, memory=memory
        )
