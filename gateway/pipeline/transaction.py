"""One request on its way through the pipeline: its plan, its answer, and what its record will say."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gateway.core.decide import conclude, due_cookies, wants_html
from gateway.core.decision.answers import Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.context import Knowledge
from gateway.core.headers.rules import Observed, observe
from gateway.core.lasting import Lasting, lasting
from gateway.core.model import CookieChange, Fault, Header, Identity, Matter, Outcome, Request
from gateway.core.reasons import Reason
from gateway.core.rules.origins import cors_fields, without_cors
from gateway.core.rules.policies import find_claim
from gateway.core.rules.routes import Route
from gateway.core.span import Spanned
from gateway.edge.rendering.render import render_fault
from gateway.http.messages.response_head import ResponseHead
from gateway.http.messages.serialise import Start, check_start, response_fields
from gateway.http.ports import Exchange, Rendered

MOST_NAMED = 256
"""Characters of a claim that names a person in the log."""

_DECISIONS: Mapping[type, Any] = {Forward: "forward", Refuse: "refuse", Login: "login", Respond: "respond"}


class Way(Protocol):
    """What a passage asks of the pipeline."""

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time in seconds since the epoch."""

    def cookie_lines(self, changes: tuple[CookieChange, ...]) -> list[bytes]:
        """Seal what is to be sealed, and write the Set-Cookie values."""

    def note(self, passage: "Passage", fault: Fault) -> None:
        """Take down a fault that the caller is told of."""

    def outlive(self, passage: "Passage") -> None:
        """Watch an exchange that outlives its decision."""

    def record(self, outcome: Outcome) -> None:
        """Take the one record of a request that has ended."""


class Plan:
    """What is sent for a decision to forward, up to the request id.

    An exact plan is for one head, and is kept for it where that comes again; a general one is for all heads
    that its pattern recognises on its route (see ``pipeline.recall``), a ``Narrow`` one for those of a span.

    Attributes:
        forward: the decision.
        about: the same, as the record tells it; without a path where the plan is general.
        limit: how often a caller may ask there, None where nobody counts.
        lasting: how long the decision holds, for a plan that is kept.

    Raises:
        Unsafe: a blank line would end the head early.
    """

    __slots__ = ("_start", "_template", "about", "forward", "lasting", "limit", "max_body", "upstream")

    lasting: Lasting

    def __init__(self, forward: Forward, about: Matter, start: bytes | None) -> None:
        route = forward.route
        self.forward = forward
        self.about = about
        self.limit = route.rate_limit
        self.upstream = route.upstream
        self.max_body = route.max_body
        self._start = None if start is None else check_start(start)
        self._template = b""

    def lasts(self, knowledge: Knowledge, now: float) -> "Plan | None":
        """Return itself, ready to be kept, or None where the decision does not last."""
        found = lasting(self.forward, knowledge, now)
        if found is None:
            return None
        self.lasting = found
        return self

    @property
    def size(self) -> int:
        """The bytes of what a general plan adds to a head."""
        return len(self._template)

    def start_for(self, request: Request) -> Start:
        """Return the request line and fields of such a request, and the name of X-Request-ID."""
        if self._start is not None:
            return self._start
        pattern, match = request.pattern, request.match
        assert pattern is not None
        assert match is not None
        # the plan was checked with one such request, and no other has a line break within what differs
        filling = match.group(*pattern.sent)
        route = self.forward.route
        if route.replacement is not None:
            target, *passing = filling
            filling = (route.forwarded(match[2]) + target[len(match[2]) :], *passing)
        return self._template % filling  # type: ignore[no-any-return]

    def path_of(self, request: Request) -> str | None:
        """Return the path that the record of a request tells, None where ``about`` does."""
        return None if self._start is not None else request.target.partition(b"?")[0].decode("ascii")

    def generalise(self, request: Request, observed: Observed) -> "Plan | None":
        """Return an exact plan made general, for all heads of the request's pattern; None if it cannot be."""
        pattern, match = request.pattern, request.match
        assert pattern is not None
        assert match is not None
        _, *passing = match.group(*pattern.sent)
        lines = self.forward.fields
        before = observed.block + b"".join(passing)
        if not lines.startswith(before):
            return None
        # the lines are in the parts
        forward = replace(self.forward, target=b"", fields=b"")
        plan = Plan(forward, replace(self.about, path="", line=None), None)
        tail = lines[len(before) :]
        plan._template = pattern.template % (
            observed.block.replace(b"%", b"%%"),
            tail.replace(b"%", b"%%"),
        )
        plan.lasting = self.lasting
        # what it makes of the head that it was made of has to be what was decided, byte for byte
        return plan if plan.start_for(request) == self._start else None

    def narrow(self, request: Spanned) -> "Plan | None":
        """Return a general plan made narrower, for the heads of the request's span; None if it cannot be."""
        if self.forward.route.replacement is not None:
            return None
        plan = Narrow(self.forward, self.about, None)
        plan._template = self._template.replace(b"%%", b"%%%%") % (b"%b", *request.span.pieces)  # noqa: SLF001
        plan.lasting = self.lasting
        return plan if plan.start_for(request) == self.start_for(request) else None

    def specialise(self, request: Request) -> "Plan":
        """Return a general plan for one head that comes again."""
        about = replace(self.about, path=self.path_of(request) or self.about.path, line=None)
        plan = Plan(self.forward, about, self.start_for(request))
        plan.lasting = self.lasting
        return plan


class Narrow(Plan):
    """A plan for the heads of one span: only what differs among those is filled in."""

    __slots__ = ()

    def start_for(self, request: Request) -> Start:
        """Return the request line and fields of such a request, and the name of X-Request-ID."""
        assert isinstance(request, Spanned)
        # as in a general plan: no other head of the span has a line break within what differs
        return self._template % request.filling  # type: ignore[return-value]

    def path_of(self, request: Request) -> str:
        """Return the path that the record of a request tells."""
        assert isinstance(request, Spanned)
        return request.path.decode("ascii")


def plan_of(request: Request, forward: Forward, about: Matter) -> Plan:
    """Return the exact plan of a decision. Raises Unsafe: a blank line would end the head early."""
    start = b"%b %b HTTP/1.1\r\n%bX-Request-ID: " % (request.method, forward.target, forward.fields)
    return Plan(forward, about, start)


@dataclass(slots=True)
class Passage:
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
        observed = observe(request, compiled.rules)
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

    def on_response(self, head: ResponseHead) -> bytes:
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
            return response_fields([*conclude(list(head.headers), knowledge, lines), named, *self.extra])
        rules, rendered = knowledge.compiled.rules, head.rendered
        if rendered is None or rendered[0] is not rules:
            rendered = (rules, response_fields(conclude(list(head.headers), knowledge, [])))
            head.rendered = rendered
        told: bytes = b"%bX-Request-ID: %b\r\n" % (rendered[1], self.request_id.encode())
        return told + response_fields(self.extra) if self.quota or knowledge.compiled.hsts else told

    def _with_cors(self, head: ResponseHead, lines: list[bytes]) -> bytes:
        """Return the head of a response of which we say, and not the upstream, who may read it."""
        named = (b"X-Request-ID", self.request_id.encode())
        told = without_cors(conclude(list(head.headers), self.knowledge, lines))
        return response_fields([*told, named, *self.extra, *self.cors])

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


def about_of(request: Request, knowledge: Knowledge, answer: Answer | None, reason: Reason) -> Matter:
    """Return what the record of a request tells of it, however often it comes again."""
    identity: Identity | None = getattr(answer, "identity", None)
    route: Route | None = getattr(answer, "route", None)
    observed = observe(request, knowledge.compiled.rules)
    about = Matter(
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
