"""What a gateway is made of, from the store to the listener: made, started and closed in their order."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from gateway.app.backing import open_denylist, open_store
from gateway.app.closing import Closing
from gateway.app.forgetting import Forgetting
from gateway.app.needs import Resolvers
from gateway.app.revoking import Revoking
from gateway.app.telemetry import Telemetry
from gateway.config.settings.root import Settings
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.edge.admin.api_keys import KeyAdmin
from gateway.edge.admin.audit import AuditAdmin
from gateway.edge.admin.explain import ExplainAdmin, Known
from gateway.edge.admin.operator_logins import OperatorLogins
from gateway.edge.admin.people import PeopleAdmin
from gateway.edge.admin.readiness import Readiness, judge
from gateway.edge.admin.sessions import SessionAdmin
from gateway.edge.api_keys.records import ApiKeys
from gateway.edge.audit.anchoring import Anchoring
from gateway.edge.audit.reading import AuditTrail
from gateway.edge.audit.writing import AuditWriter
from gateway.edge.certificate_watch import CertificateWatch
from gateway.edge.clock import CLOCK
from gateway.edge.limits.rate_limits import RateLimits
from gateway.edge.limits.strangers import Strangers
from gateway.edge.providers.exchanges import Exchanges
from gateway.edge.providers.logins import Logins
from gateway.edge.providers.providers import Providers
from gateway.edge.providers.token_revocations import TokenRevocations
from gateway.edge.refresh.lease import LONGEST_CALL, Leases
from gateway.edge.refresh.refresher import Refresher
from gateway.edge.rendering.pages.edition import compile_pages
from gateway.edge.revocation.streams import Streams
from gateway.edge.sessions.kept_pages import KeptPages
from gateway.edge.sessions.logout_hints import LogoutHints
from gateway.edge.sessions.noted import NotedSessions
from gateway.edge.sessions.records import Sessions
from gateway.edge.sessions.tickets import Tickets
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.metrics import Metrics
from gateway.edge.telemetry.outlet_watch import OutletWatch
from gateway.edge.telemetry.outlets import file_head, open_logs
from gateway.edge.telemetry.recorder import Recorder
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.certificates import Certificates
from gateway.http.downstream.proxy_protocol import HeaderPeers
from gateway.http.ports import limits_of
from gateway.http.server import Server
from gateway.pipeline.pipeline import Pipeline, Ways
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


class Parts:
    """Every part of a gateway but its admin listener.

    Args:
        settings: the validated configuration.
        clock: seconds since the epoch; the process's own, unless a test brings one.
        logs: where log lines go; standard error when None.
        slot: under a supervisor; None when this is the only process, with its own store and admin listener.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = CLOCK,
        logs: Logs | None = None,
        slot: WorkerSlot | None = None,
    ) -> None:
        self.settings = settings
        self.slot = slot
        self.clock = clock
        self.runtime: RuntimeConfig = compile_settings(settings)
        self.logs = logs if logs is not None else open_logs(settings)
        self.metrics = Metrics()
        self.metrics.expect_logins(self.runtime.login_names())
        self.recorder = Recorder(self.metrics, self.logs, access=settings.log.access)
        self.recorder.configure(settings)
        self.telemetry = Telemetry(self.logs, self.metrics, None if slot is None else slot.worker)
        self.denylist = Denylist()
        self.long_lived = Streams(self.denylist, clock, self.recorder.audit)
        self.providers = Providers(
            self.runtime.providers,
            clock,
            allow_insecure_http=settings.allow_insecure_http,
            report=self.logs.warning,
        )
        self.providers.on_refused = lambda provider, status: self.logs.warning(
            USERINFO_REFUSED, provider=provider, status=status
        )
        self.strangers = Strangers()
        self.strangers.configure(settings.limits.unknown_credentials_per_address)
        self.providers.strangers = self.strangers
        self.closing = Closing()

    async def start_parts(self) -> None:
        """Start everything, each after what it rests on; ``close`` closes what was started.

        Raises:
            OSError: an address is taken or not ours. RuntimeError: no store can be started.
        """
        # to be closed last, so that what the others say in the end is sent too
        self.closing.later(self.telemetry.close)
        await self._start_store()
        self._make_sessions()
        self._make_admin()
        self._make_pipeline()
        await self._start_server()

    async def _start_store(self) -> None:
        closing = self.closing
        store_url = self.slot.store_url if self.slot is not None else None
        self.store = await open_store(self.settings, store_url, self.clock, self.logs, closing)
        self.revocations = await open_denylist(
            self.settings, self.store, self.denylist, self.clock, self.logs, self.long_lived, closing
        )
        self.audit_writer = AuditWriter(self.store, lambda: self.runtime.ring, self.clock, self.logs)
        self.audit_writer.configure(self.settings.audit.keep)
        closing.later(self.audit_writer.close)
        self.audit_writer.start()
        self.logs.keep = self.audit_writer.keep
        watch = OutletWatch(self.logs.troubles, self.logs)
        closing.later(watch.close)
        watch.start()
        if self.settings.audit.to.startswith("file:"):
            anchoring = Anchoring(self.store, partial(file_head, self.logs))
            closing.later(anchoring.close)
            anchoring.start()
        closing.later(self.providers.close)
        await self.providers.start()
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
        closing.later(self.leases.close)
        self.leases.announcements.start()

    def _make_sessions(self) -> None:
        self.revoking = Revoking(self.revocations, self.long_lived, self._knowledge, self.logs, self.metrics)
        self.sessions = Sessions(
            self.store,
            self._knowledge,
            self.revoking.end,
            self.clock,
            self.recorder.audit,
            self.revocations.put_off,
        )
        self.revoking.clear_records = self.sessions.clear
        self.noted = NotedSessions(self.sessions.index, self._knowledge, self.clock)
        self.api_keys = ApiKeys(self.store, self._knowledge, self.strangers, self.clock)
        self.revoking.mark_keys = self.api_keys.clear
        self.logout_hints = LogoutHints(self.store, lambda: self.runtime.ring, self.clock)
        self.refresher = Refresher(
            self.runtime,
            self.providers,
            self.leases,
            self.denylist,
            self.revoking.end,
            self.clock,
            self._refreshed,
            self.sessions,
            self.logout_hints.start,
            self.noted.renewed,
        )
        self.token_revocations = TokenRevocations(self.providers.revoke_token, self.recorder.audit)
        self.exchanges = Exchanges(
            self.providers.exchange_token, self.store, lambda: self.runtime, self.clock, self.recorder.audit
        )
        for each in (
            self.sessions,
            self.noted,
            self.api_keys,
            self.logout_hints,
            self.token_revocations,
            self.exchanges,
            self.refresher,
            self.long_lived,
        ):
            self.closing.later(each.close)

    def _make_admin(self) -> None:
        self.session_admin = SessionAdmin(
            self.sessions.index, self._knowledge, self.revoking.revoke, self.clock
        )
        self.operator_logins = OperatorLogins(self.providers, self._knowledge, self.clock)
        self.people_admin = PeopleAdmin(self.sessions.index, self._knowledge)
        self.key_admin = KeyAdmin(
            self.api_keys, self._knowledge, self.revoking.revoke, self.recorder.audit, self.clock
        )
        self.audit_admin = AuditAdmin(
            AuditTrail(self.store, lambda: self.runtime.ring), self._knowledge, self.recorder.audit
        )

    def _make_pipeline(self) -> None:
        knowledge = Knowledge(
            runtime=self.runtime,
            keys=self.providers.keys,
            denylist=self.denylist,
            memory=Memory(),
            recent_outcome=self.refresher.recent_outcome,
            confirmed=self.refresher.confirmed,
            superseded=self.leases.announcements.superseded,
            exchanged=self.exchanges.known,
        )
        self.rate_limits = RateLimits(self.store)
        self.kept_pages = KeptPages(self.store, lambda: self.runtime.ring, self.clock)
        self.logins = Logins(self.runtime, self.providers.authorization_url, self.kept_pages.keep)
        resolvers = Resolvers(
            self.store,
            self.providers,
            self.leases,
            self.refresher,
            self.sessions,
            self.noted,
            self.kept_pages,
            Tickets(self.store, lambda: self.runtime.ring, self.clock),
            self.logout_hints,
            self.token_revocations,
            self.api_keys,
            self.exchanges,
            self.revoking.end,
        )
        ways = Ways(
            resolvers=resolvers.by_kind(),
            logins=self.logins,
            background=resolvers.begin,
            recorder=self.recorder,
            clock=self.clock,
            limiter=self.rate_limits,
            watcher=self.long_lived,
        )
        self.pipeline = Pipeline(knowledge, ways, compile_pages(self.settings))
        known = Known(self.providers.said, self.api_keys.known, self.rate_limits.look)
        self.explain_admin = ExplainAdmin(self._knowledge, known, self.clock)
        self.forgetting = Forgetting(self._knowledge, self.clock)
        self.closing.later(self.forgetting.close)
        self.forgetting.start()
        if self.settings.api_keys is not None:
            self.api_keys.reseal()

    async def _start_server(self) -> None:
        settings = self.settings
        signals = self.telemetry.prepare(settings.telemetry)
        self.server = Server(
            self.telemetry.handler(self.pipeline, signals),
            settings.upstreams,
            limits_of(settings.limits),
            clock=self.clock,
            certificates=Certificates(settings.tls) if settings.tls is not None else None,
        )
        self.closing.later(self.server.close)
        self.configure_server(settings)
        address = parse_listen(settings.listen)
        assert address is not None
        host, port = address
        await self.server.start(host, port, sockets=self.slot.sockets if self.slot else ())
        self.certificates = CertificateWatch(lambda: self.server.certificates, self.logs, self.clock)
        self.closing.later(self.certificates.close)
        self.certificates.start()

    def _refreshed(self, event: str, **fields: object) -> None:
        self.recorder.audit(event, **fields)
        session, reason = fields.get("session"), fields.get("reason")
        if event == "refresh_failed" and isinstance(session, str) and isinstance(reason, Reason):
            self.long_lived.session_over(session, reason)

    def _knowledge(self) -> Knowledge:
        return self.pipeline.knowledge

    def configure_server(self, settings: Settings) -> None:
        """Tell the listener what it needs of the settings, beside limits, upstreams and certificates."""
        path = settings.health_path
        self.server.answer_balancers(
            None if path is None else BalancerAnswer(path.encode(), lambda: self.ready().is_ready)
        )
        self.server.take_methods(frozenset(each.encode() for each in settings.extra_methods))
        self.server.admission.exempt(settings.trusted_proxies)
        self.server.header_peers = HeaderPeers(settings.proxy_protocol)

    def ready(self) -> Readiness:
        """Tell whether this process serves, and what is wrong."""
        readiness = judge(self.settings, self.denylist, self.store.trouble, self.clock())
        troubles = self.logs.troubles()
        return replace(readiness, troubles={**readiness.troubles, **troubles}) if troubles else readiness

    async def drain(self, bound: float | None = None) -> None:
        """Stop accepting; let requests and refreshes end within ``limits.drain_timeout``, or ``bound``."""
        bound = self.settings.limits.drain_timeout if bound is None else bound
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(bound):
                await self.server.drain(bound)
                await self.pipeline.drain()
                await self.refresher.drain()
                await self.token_revocations.drain()
                await self.exchanges.drain()
                await self.logout_hints.drain()
                await self.api_keys.drain()
                await self.leases.drain()
                await self.noted.drain()
                await self.sessions.drain()
                await self.audit_writer.drain()

    async def close(self) -> None:
        """Close everything that was started, in the reverse order."""
        await self.closing.close()
        self.logs.close()
