"""One request on its way through the pipeline: its plan, its answer, and what its record will say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.answers import Answer, Forward, Login, Refuse, Respond
from gateway.core.context import Knowledge
from gateway.core.decision import conclude, due_cookies, wants_html
from gateway.core.headers import observe
from gateway.core.lasting import Lasting, lasting
from gateway.core.model import CookieChange, Fault, Header, Identity, Matter, Request
from gateway.core.reasons import Reason
from gateway.core.routes import Route
from gateway.edge.endpoints import render_fault
from gateway.http.exchange import Exchange, Finished, Rendered
from gateway.http.response_head import ResponseHead
from gateway.http.serialise import response_fields

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

    def finished(self, passage: "Passage", finished: Finished) -> None:
        """Make the one record of a request that has ended."""


class Plan:
    """What is sent for a decision to forward, up to the request id; kept for a head that comes again.

    Attributes:
        forward: the decision.
        about: the same, as the record tells it.
        limit: how often a caller may ask there, None where nobody counts.
        start: the request line and fields, and the name of X-Request-ID.
        lasting: how long the decision holds, for a plan that is kept.
    """

    __slots__ = ("about", "forward", "lasting", "limit", "start")

    lasting: Lasting

    def __init__(self, request: Request, forward: Forward, about: Matter) -> None:
        self.forward = forward
        self.about = about
        self.limit = forward.route.rate_limit
        self.start = b"%b %b HTTP/1.1\r\n%bX-Request-ID: " % (request.method, forward.target, forward.fields)

    def lasts(self, knowledge: Knowledge, now: float) -> "Plan | None":
        """Return itself, ready to be kept, or None where the decision does not last."""
        found = lasting(self.forward, knowledge, now)
        if found is None:
            return None
        self.lasting = found
        return self


@dataclass(slots=True)
class Passage:
    """One request on its way: what is remembered between its head and its end."""

    pipeline: Way
    exchange: Exchange
    knowledge: Knowledge
    request_id: str
    started: float
    plan: Plan | None = None
    answer: Answer | None = None
    decided: float = 0.0
    reason: Reason = Reason.INTERNAL_ERROR
    quota: tuple[Header, ...] = ()

    @property
    def extra(self) -> tuple[Header, ...]:
        """The fields that ride on any answer: what is left of a rate limit, Strict-Transport-Security."""
        request, hsts = self.exchange.request, self.knowledge.compiled.hsts
        header = hsts.get(request.host) if hsts and request.tls else None
        return self.quota if header is None else (*self.quota, header)

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the upstream."""
        return (None, None) if self.plan is None else self.plan.forward.route.timeouts

    def on_response(self, head: ResponseHead) -> bytes:
        """Edit the upstream's response head; the cookies are looked up now, not when it was decided."""
        assert self.plan is not None
        forward, knowledge = self.plan.forward, self.knowledge
        changes = due_cookies(forward, knowledge, self.pipeline.clock()) if forward.session else ()
        if changes:
            lines = self.pipeline.cookie_lines(changes)
            return response_fields([*conclude(list(head.headers), knowledge, lines), *self.extra])
        rules, rendered = knowledge.compiled.rules, head.rendered
        if rendered is None or rendered[0] is not rules:
            rendered = (rules, response_fields(conclude(list(head.headers), knowledge, [])))
            head.rendered = rendered
        if self.quota or knowledge.compiled.hsts:
            return rendered[1] + response_fields(self.extra)
        return rendered[1]

    def on_fault(self, fault: Fault) -> Rendered:
        """Render what the caller sees when the upstream could not answer."""
        self.pipeline.note(self, fault)
        html = wants_html(self.exchange.request, self.knowledge)
        status, headers, body = render_fault(fault, html, self.request_id)
        return status, [*headers, *self.extra], body

    def on_long_lived(self) -> None:
        """Have the exchange ended when what it rests on is over."""
        self.pipeline.outlive(self)

    def finished(self, finished: Finished) -> None:
        """Make the one record of this request."""
        self.pipeline.finished(self, finished)


def about_of(request: Request, knowledge: Knowledge, answer: Answer | None, reason: Reason) -> Matter:
    """Return what the record of a request tells of it, however often it comes again."""
    identity: Identity | None = getattr(answer, "identity", None)
    route: Route | None = getattr(answer, "route", None)
    about = Matter(
        request.method.decode("latin-1"),
        request.host.decode("latin-1"),
        request.target.partition(b"?")[0].decode("latin-1"),
        observe(request, knowledge.compiled.rules).client,
        "" if route is None else route.name,
        _DECISIONS.get(type(answer), "refuse"),
        reason,
    )
    if isinstance(answer, Forward):
        about.upstream = answer.route.upstream
    if identity is not None:
        about.issuer, about.subject = identity.issuer, identity.subject
        about.session_id = identity.session_id
    return about
