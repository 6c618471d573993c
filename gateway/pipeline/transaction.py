"""One request on its way through the pipeline: its plan, its answer, and what its record will say."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.decide import conclude, due_cookies, wants_html
from gateway.core.decision.answers import Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.context import Knowledge
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.request import Header, Request
from gateway.core.headers.rules import forwarded_of
from gateway.core.identity import Identity, find_claim
from gateway.core.outcome import Outcome, RequestFacts
from gateway.core.reasons import Reason
from gateway.core.rules.origins import cors_fields, without_cors
from gateway.core.rules.routes import Route
from gateway.edge.rendering.render import render_fault
from gateway.http.messages.response_head import ResponseHead
from gateway.http.messages.serialise import response_fields
from gateway.http.ports import Exchange, Rendered
from gateway.pipeline.plan import Plan

MOST_NAMED = 256
"""Characters of a claim that names a person in the log."""

_DECISIONS: Mapping[type, Any] = {Forward: "forward", Refuse: "refuse", Login: "login", Respond: "respond"}


class Way(Protocol):
    """What a transaction asks of the pipeline."""

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time in seconds since the epoch."""

    def cookie_lines(self, changes: tuple[CookieChange, ...]) -> list[bytes]:
        """Seal what is to be sealed, and write the Set-Cookie values."""

    def note(self, transaction: "Transaction", fault: Fault) -> None:
        """Take down a fault that the caller is told of."""

    def outlive(self, transaction: "Transaction") -> None:
        """Watch an exchange that outlives its decision."""

    def record(self, outcome: Outcome) -> None:
        """Take the one record of a request that has ended."""


@dataclass(slots=True)
class Transaction:
    """One request on its way: what is remembered between its head and its end.

    ``started`` is on a clock of its own; ``asked`` is when it came, in epoch seconds.
    """

    pipeline: Way
    exchange: Exchange
    knowledge: Knowledge
    request_id: str
    started: float
    asked: float
    plan: Plan | None = None
    answer: Answer | None = None
    decided: float = 0.0
    reason: Reason = Reason.INTERNAL_ERROR
    quota: tuple[Header, ...] = ()
    fault: Fault | None = None

    @property
    def extra(self) -> tuple[Header, ...]:
        """The fields that ride on any answer: what is left of a rate limit, Strict-Transport-Security."""
        request, compiled = self.exchange.request, self.knowledge.compiled
        if not compiled.hsts or not request.tls:
            return self.quota
        observed = forwarded_of(request, compiled.rules)
        # which site it was the browser knows by the name that it called, and believes none but over https
        is_site = observed.proto == "https" and not observed.unreadable
        header = compiled.hsts.get(observed.host) if is_site else None
        return self.quota if header is None else (*self.quota, header)

    @property
    def cors(self) -> tuple[Header, ...]:
        """The fields that let scripts of allowed origins read an answer of our own."""
        route = self.plan.forward.route if self.plan is not None else getattr(self.answer, "route", None)
        return () if route is None else cors_fields(route, self.exchange.request)

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the upstream."""
        return (None, None) if self.plan is None else self.plan.forward.route.timeouts

    @property
    def client(self) -> str:
        """Whose request it is, by address."""
        return "" if self.plan is None else self.plan.about.client

    def on_response(self, head: ResponseHead) -> list[bytes]:
        """Edit the upstream's response head; the cookies are looked up now, not when it was decided."""
        assert self.plan is not None
        forward, knowledge = self.plan.forward, self.knowledge
        changes: tuple[CookieChange, ...] = ()
        if forward.session:
            now = self.pipeline.clock()
            changes = due_cookies(forward, knowledge, now, now - self.asked)
        if forward.route.sets_cors:
            return self._with_cors(head, self.pipeline.cookie_lines(changes))
        if changes:
            lines = self.pipeline.cookie_lines(changes)
            named = (b"X-Request-ID", self.request_id.encode())
            return _lines(
                response_fields([*conclude(list(head.headers), knowledge, lines), named, *self.extra])
            )
        rendered = response_fields(conclude(list(head.headers), knowledge, []))
        told: bytes = b"%bX-Request-ID: %b\r\n" % (rendered, self.request_id.encode())
        return _lines(told + response_fields(self.extra) if self.quota or knowledge.compiled.hsts else told)

    def _with_cors(self, head: ResponseHead, lines: list[bytes]) -> list[bytes]:
        """Return the head of a response of which we say, and not the upstream, who may read it."""
        named = (b"X-Request-ID", self.request_id.encode())
        told = without_cors(conclude(list(head.headers), self.knowledge, lines))
        return _lines(response_fields([*told, named, *self.extra, *self.cors]))

    def on_fault(self, fault: Fault) -> Rendered:
        """Render what the caller sees when the upstream could not answer."""
        self.pipeline.note(self, fault)
        html = wants_html(self.exchange.request, self.knowledge)
        status, headers, body = render_fault(fault, html, self.request_id)
        return status, [*headers, *self.extra, *self.cors], body

    def on_long_lived(self) -> None:
        """Have the exchange ended when what it rests on is over."""
        self.pipeline.outlive(self)

    def finished(
        self,
        status: int,
        sizes: tuple[int, int],
        started: float | None,
        ended: float,
        fault: Fault | None,
    ) -> None:
        """Make the one record of this request."""
        plan, request = self.plan, self.exchange.request
        # a fault that was answered like anything else is one all the same
        fault = fault or self.fault
        if plan is not None and fault is None:
            about, path = plan.about, plan.path_of(request)
        else:
            reason = self.reason if fault is None else fault.reason
            answer = plan.forward if plan is not None else self.answer
            about, path = about_of(request, self.knowledge, answer, reason), None
        self.pipeline.record(
            Outcome(
                about,
                self.request_id,
                status,
                (self.decided or ended) - self.started,
                ended - self.started,
                None if started is None else ended - started,
                sizes[0],
                sizes[1],
                None if fault is None else fault.source,
                path,
                logged(request, self.knowledge.compiled.logged_headers),
            )
        )


def _lines(block: bytes) -> list[bytes]:
    return block.split(b"\r\n")[:-1]


def logged(request: Request, names: frozenset[bytes]) -> tuple[Header, ...]:
    """Return the fields of a request that the log repeats."""
    if not names:
        return ()
    return tuple(header for header in request.headers if header[0].lower() in names)


def named_by(identity: Identity, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the claims by which the log names a person, as texts; those that are absent are left out."""
    found = [(name, find_claim(identity.claims, name)) for name in names]
    return tuple(
        (name, value[:MOST_NAMED] if isinstance(value, str) else json.dumps(value)[:MOST_NAMED])
        for name, value in found
        if value is not None
    )


def about_of(request: Request, knowledge: Knowledge, answer: Answer | None, reason: Reason) -> RequestFacts:
    """Return what the record of a request tells of it, however often it comes again."""
    identity: Identity | None = getattr(answer, "identity", None)
    route: Route | None = getattr(answer, "route", None)
    observed = forwarded_of(request, knowledge.compiled.rules)
    about = RequestFacts(
        request.method.decode("latin-1"),
        observed.host.decode("latin-1"),
        request.target.partition(b"?")[0].decode("latin-1"),
        observed.client,
        "" if route is None else route.name,
        _DECISIONS.get(type(answer), "refuse"),
        reason,
    )
    if isinstance(answer, Forward):
        about.upstream = answer.route.upstream
    if identity is not None:
        about.issuer, about.subject = identity.issuer, identity.subject
        about.session_id = identity.session_id
        about.claims = named_by(identity, knowledge.compiled.settings.log.claims)
    return about
