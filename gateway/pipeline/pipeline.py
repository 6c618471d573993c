"""The way of a request, top to bottom: decide, fetch the need, decide again, forward or respond.

The hot path (everything known) runs from ``handle`` to ``Exchange.forward`` without one coroutine.
"""

import itertools
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias

from gateway.core.access.session import whose
from gateway.core.decide import (
    decide,
    interrupted_login,
    new_login,
    route_of,
    timely_cookies,
    wants_html,
)
from gateway.core.decision.answers import Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.causes import cause_of
from gateway.core.decision.context import Knowledge
from gateway.core.decision.needs import MOST_NEEDS, Admit, Body, Need, Refresh
from gateway.core.endpoints.asked import meant
from gateway.core.fault import Fault
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.request import Header, Request, accept_language
from gateway.core.outcome import Outcome
from gateway.core.phrases import Phrase
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import Allowance, RateLimit, fields
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.edge.rendering.pages.edition import PLAIN, Edition, Pages
from gateway.edge.rendering.render import render_fault, render_refuse, render_respond
from gateway.edge.tasks import Tasks
from gateway.http.ports import Exchange, Rendered, Unencrypted
from gateway.pipeline.audit import AuditLog, audit
from gateway.pipeline.transaction import Transaction

Resolver: TypeAlias = "Callable[[Any], Awaitable[object]]"

TOLD_HTTP: Final = (
    "a trusted proxy says http of browsers that are on https: let it send X-Forwarded-Proto: https, or name"
    " its field in forwarding.scheme"
)
MOST_HEAD: Final = 4096
"""Bytes of a response head that proxies take by default."""
_STATUS_LINE: Final = 60

ANSWERS: Final = (Forward, Refuse, Login, Respond)


class Recorder(AuditLog, Protocol):
    """Where outcomes and audit events go."""

    def outcome(self, outcome: Outcome) -> None:
        """Take the one record of a finished request."""

    def error(self, message: str, **fields: object) -> None:
        """Take an error of our own."""

    def warning(self, message: str, **fields: object) -> None:
        """Take what may become an error."""


class Starter(Protocol):
    """Draws state, nonce and verifier for a login, and builds the way to the provider."""

    async def start(self, login: Login) -> tuple[str, CookieChange]:
        """Return the authorization URL and the cookie of the pending login. Raises Fault."""


class Watcher(Protocol):
    """Ends what outlives its decision."""

    def watch(self, exchange: Exchange, forward: Forward, knowledge: Knowledge, request_id: str) -> None:
        """Watch an exchange from now on; to be told again changes nothing."""


class Limiter(Protocol):
    """Counts requests of limited routes."""

    def check(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request in this process, and tell whether it may pass."""

    async def check_shared(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request for all gateways together. Never raises Fault."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What the pipeline calls beside the pure core."""

    resolvers: Mapping[type, Resolver]
    logins: Starter
    background: Callable[[Need], None]
    recorder: Recorder
    clock: Callable[[], float]
    limiter: Limiter
    watcher: Watcher
    spawned: Tasks = field(default_factory=Tasks)
    draw: Callable[[int], bytes] = os.urandom


class Pipeline:
    """The data plane's handler: turns exchanges into answers.

    ``knowledge`` and ``pages``, which people see, are swapped whole on reload.
    """

    def __init__(self, knowledge: Knowledge, ways: Ways, pages: Pages | None = None) -> None:
        self._knowledge = knowledge
        self.pages = Pages((PLAIN,)) if pages is None else pages
        # what the lines of a request are, under the present configuration
        self.request_lines = knowledge.runtime.rules.request_lines
        self.ways = ways
        self.clock = ways.clock
        self.record = ways.recorder.outcome
        # the sites that were warned of
        self._told_http: set[str] = set()
        self._ids = map(f"{os.urandom(6).hex()}%08x".__mod__, itertools.count())

    @property
    def knowledge(self) -> Knowledge:
        """What new requests are decided on."""
        return self._knowledge

    @knowledge.setter
    def knowledge(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self.request_lines = knowledge.runtime.rules.request_lines

    def handle(self, exchange: Exchange) -> None:
        """Take one request; answer it now, or later when a fact has been fetched."""
        now, knowledge = self.clock(), self._knowledge
        transaction = Transaction(self, exchange, knowledge, next(self._ids), perf_counter(), now)
        exchange.handling = transaction
        try:
            decision = decide(exchange.request, knowledge, now, transaction.request_id)
            if decision.__class__ is Forward:
                self._forward(transaction, decision)
            else:
                self._go_on(transaction, decision, {})
        except Exception as error:  # noqa: BLE001 - one request's fault must not end its connection's loop
            self._broken(transaction, error)

    def _go_on(self, transaction: Transaction, decision: Answer | Need, facts: dict[Need, object]) -> None:
        """Answer; count at once what is counted here; spawn whatever has to wait."""
        while isinstance(decision, Admit) and not decision.limit.shared:
            if decision in facts:
                raise RuntimeError("a request is counted once")
            facts[decision] = self._count(
                transaction, self.ways.limiter.check(decision.limit, decision.key), decision
            )
            decision = self._decide_with(transaction, facts)
        if isinstance(decision, ANSWERS):
            self._answer(transaction, decision)
        else:
            self.ways.spawned.start(self._fetch(transaction, decision, facts))

    def _decide_with(self, transaction: Transaction, facts: dict[Need, object]) -> Answer | Need:
        # what the request began with: the configuration may have been reloaded meanwhile
        transaction.knowledge = replace(transaction.knowledge, facts=facts)
        return decide(
            transaction.exchange.request, transaction.knowledge, self.clock(), transaction.request_id
        )

    @staticmethod
    def _count(transaction: Transaction, allowance: Allowance, need: Admit) -> Allowance:
        if need.limit in transaction.knowledge.runtime.routes.limits:
            transaction.quota = fields(need.limit, allowance)
        return allowance

    def malformed(self, fault: Fault, peer: str) -> Rendered:
        """Render the refusal of bytes that are no acceptable request head."""
        request_id = next(self._ids)
        if isinstance(fault, Unencrypted):
            edition = self.edition(fault.request)
            rendered = render_refuse(_lead_to_tls(fault.request, self.knowledge), request_id, edition)
        else:
            edition = self.pages.edition(fault.languages)
            rendered = render_fault(fault, fault.html, request_id, edition=edition)
        client = self.knowledge.runtime.rules.proxies.sender(peer)
        self.ways.recorder.outcome(
            Outcome(
                (b"", b"", "", "refuse", fault.reason, rendered[0], None),
                "",
                client,
                request_id,
                0.0,
                0.0,
                fault=fault.source,
            )
        )
        return rendered

    async def _fetch(self, transaction: Transaction, need: Need, facts: dict[Need, object]) -> None:
        request = transaction.exchange.request
        try:
            for _ in range(MOST_NEEDS):
                if need in facts:
                    raise RuntimeError(f"the same need twice: {type(need).__name__}")  # noqa: TRY301
                fact = await self._resolve(transaction, need)
                facts[need] = True if fact is None else fact
                decision = self._decide_with(transaction, facts)
                if isinstance(decision, ANSWERS):
                    self._answer(transaction, decision)
                    return
                need = decision
            raise RuntimeError("too many needs in one request")  # noqa: TRY301
        except Fault as fault:
            # so that the record tells which route it was, and whose
            transaction.answer = Refuse(fault.reason, route_of(request, transaction.knowledge), whose(need))
            url = None
            if isinstance(need, Refresh) and fault.source == "issuer":
                # what keeps a session that cannot be renewed must not keep the person out (R85)
                provider, now = need.session.provider, self.clock()
                url = new_login(request, transaction.knowledge, now, transaction.request_id, provider)
            self._fault(transaction, fault, url)
        except Exception as error:  # noqa: BLE001 - as in handle
            self._broken(transaction, error)

    async def _resolve(self, transaction: Transaction, need: Need) -> object:
        # the one fact that is the request's own
        if isinstance(need, Body):
            return await transaction.exchange.read_body(need.limit)
        if isinstance(need, Admit):
            limiter = self.ways.limiter
            if need.limit.shared:
                return self._count(transaction, await limiter.check_shared(need.limit, need.key), need)
            return self._count(transaction, limiter.check(need.limit, need.key), need)
        return await self.ways.resolvers[type(need)](need)

    def _answer(self, transaction: Transaction, answer: Answer) -> None:
        if isinstance(answer, Forward):
            if nonce := getattr(answer.context, "nonce", ""):
                transaction.quota += ((b"DPoP-Nonce", nonce.encode()),)
            self._forward(transaction, answer)
        elif isinstance(answer, Login):
            self.ways.spawned.start(self._login(transaction, answer))
        else:
            self._tell(transaction, answer)

    def _tell(self, transaction: Transaction, answer: Refuse | Respond) -> None:
        transaction.answer = answer
        transaction.reason = answer.reason
        transaction.decided = perf_counter()
        audit(self.ways.recorder, transaction, answer)
        if isinstance(answer, Refuse):
            edition = self.edition(transaction.exchange.request) if answer.html else PLAIN
            rendered = render_refuse(answer, transaction.request_id, edition)
        else:
            edition = PLAIN if answer.page is None else self.edition(transaction.exchange.request)
            rendered = render_respond(answer, transaction.request_id, edition)
            for need in answer.background:
                self.ways.background(need)
        changes = timely_cookies(answer, transaction.knowledge, self.clock() - transaction.asked)
        self._respond(transaction, rendered, changes)

    def _forward(self, transaction: Transaction, forward: Forward) -> None:
        transaction.forward = forward
        if forward.live is not None:
            for need in forward.live.background:
                self.ways.background(need)
        lines, route = forward.lines, forward.route
        lines.append(transaction.id_line)
        transaction.decided = perf_counter()
        transaction.exchange.forward(route.upstream, forward.target, lines, route.max_body)

    async def _login(self, transaction: Transaction, login: Login) -> None:
        if login.told_http and login.origin not in self._told_http:
            self._told_http.add(login.origin)
            self.ways.recorder.warning(TOLD_HTTP, site=login.origin)
        try:
            location, cookie = await self.ways.logins.start(login)
        except Fault as fault:
            # so that the record tells which route it was
            transaction.answer = Refuse(fault.reason, login.route)
            self._fault(transaction, fault)
            return
        except Exception as error:  # noqa: BLE001 - as in handle
            self._broken(transaction, error)
            return
        transaction.answer, transaction.reason, transaction.decided = login, login.reason, perf_counter()
        if login.audit is not None:
            ended = Refuse(login.reason, login.route, provider=login.provider, audit=login.audit)
            audit(self.ways.recorder, transaction, ended, outcome="repeated")
        answer = Respond(login.reason, 303, location=location, route=login.route)
        self._respond(transaction, render_respond(answer, transaction.request_id), (*login.cookies, cookie))

    def _respond(
        self, transaction: Transaction, rendered: Rendered, changes: tuple[CookieChange, ...]
    ) -> None:
        status, headers, body = rendered
        headers.extend((b"Set-Cookie", line) for line in self.cookie_lines(changes))
        headers.extend(transaction.extra)
        if transaction.reason is not Reason.PREFLIGHT:
            headers.extend(transaction.cors)
        if transaction.reason is Reason.LOGIN_COMPLETED:
            self._weigh_head(transaction, headers)
        transaction.exchange.respond(status, headers, body)

    def _weigh_head(self, transaction: Transaction, headers: list[Header]) -> None:
        """Warn of a login's answer that a proxy may cut: nginx, by default, makes it a 502."""
        size = sum(len(name) + len(value) + 4 for name, value in headers) + _STATUS_LINE
        if size > MOST_HEAD:
            self.ways.recorder.warning(
                "login answer too long for some proxies",
                request_id=transaction.request_id,
                bytes=size,
                most=MOST_HEAD,
                help="raise proxy_buffer_size in nginx, or set session.mode: redis",
            )

    def cookie_lines(self, changes: tuple[CookieChange, ...]) -> list[bytes]:
        """Seal what is to be sealed, each with a nonce of its own, and write the Set-Cookie values.

        What several answers give alike is sealed for the first of them.
        """
        lines: list[bytes] = []
        ring = self.knowledge.runtime.ring
        for change in changes:
            if change.written and change.written[0][0] is ring:
                lines.extend(change.written[0][1])
                continue
            sealed = change.plain
            if change.value is not None:
                sealed = ring.seal(change.value.purpose, change.value.payload, self.ways.draw(NONCE_BYTES))
            written = jar.set_cookie_lines(change, sealed)
            change.written[:] = [(ring, written)]
            lines.extend(written)
        return lines

    def edition(self, request: Request) -> Edition:
        """Return what a page is of that answers a request: its language, and whose it looks."""
        return self.pages.edition(accept_language(meant(request)))

    def note(self, transaction: Transaction, fault: Fault) -> None:
        """Take down a fault that the caller is told of; its detail is for the log alone."""
        transaction.reason, transaction.decided, transaction.fault = fault.reason, perf_counter(), fault
        if fault.source == "client":
            # the access line says it already, and a client must not write the error log
            return
        self.ways.recorder.error(
            "fault",
            request_id=transaction.request_id,
            source=fault.source,
            reason=fault.reason,
            detail=fault.detail,
        )

    def outlive(self, transaction: Transaction) -> None:
        """Watch an exchange that outlives its decision."""
        forward = transaction.forward
        if forward is not None:
            self.ways.watcher.watch(
                transaction.exchange, forward, transaction.knowledge, transaction.request_id
            )

    def _fault(self, transaction: Transaction, fault: Fault, login_url: str | None = None) -> None:
        self.note(transaction, fault)
        request, knowledge = transaction.exchange.request, transaction.knowledge
        login = interrupted_login(request, knowledge, self.clock(), transaction.request_id)
        if login is not None:
            cause = cause_of(fault.reason) or ""
            login = replace(login, reason=fault.reason, retry_after=fault.retry_after, cause=cause)
            audit(self.ways.recorder, transaction, login)
            edition = self.edition(request) if login.html else PLAIN
            self._respond(transaction, render_refuse(login, transaction.request_id, edition), ())
            return
        html = wants_html(request, knowledge)
        edition = self.edition(request) if html else PLAIN
        self._respond(transaction, render_fault(fault, html, transaction.request_id, login_url, edition), ())

    def _broken(self, transaction: Transaction, error: Exception) -> None:
        self.ways.recorder.error(
            "internal error", request_id=transaction.request_id, kind=type(error).__name__, error=error
        )
        self._fault(transaction, Fault("gateway", Reason.INTERNAL_ERROR, type(error).__name__))

    async def drain(self) -> None:
        """Wait for the requests that are waiting for facts; a client that left cancels nothing."""
        await self.ways.spawned.drain()


def _lead_to_tls(request: Request, knowledge: Knowledge) -> Refuse:
    # no redirect: what was sent has been seen by everybody on the way, and a client must learn of it
    site = knowledge.runtime.sites.get(request.host)
    origin = f"https://{request.host.decode('ascii')}" if site is None or not site.secure else site.origin
    hint = Phrase.of("ask_for", url=f"{origin}{request.target.decode('latin-1')}")
    return Refuse(Reason.TLS_EXPECTED, html=wants_html(request, knowledge), detail=hint)
