"""One request on its way through the pipeline: its answer, and what its record will say."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gateway.core.decide import due_cookies, wants_html
from gateway.core.decision.answers import Allow, Answer, Forward, Login, Respond
from gateway.core.decision.context import Knowledge
from gateway.core.endpoints.asked import meant
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.downstream import with_cookies
from gateway.core.headers.forwarded import Forwarded
from gateway.core.headers.request import Header, Request
from gateway.core.headers.rules import forwarded_of
from gateway.core.identity import Identity, find_claim
from gateway.core.outcome import CORRELATION, Decision, Kind, Outcome
from gateway.core.reasons import Reason
from gateway.core.rules.origins import cors_fields, without_cors
from gateway.core.rules.routes import Route
from gateway.core.runtime import RuntimeConfig
from gateway.edge.rendering.pages.edition import PLAIN, Edition
from gateway.edge.rendering.render import render_fault
from gateway.http.ports import Exchange, Rendered, Response

# what correlates lines of several programs: a word of these
_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
MOST_NAMED: Final = 256
"""Characters of a claim that names a person in the log."""

_DECISIONS: Final[Mapping[type, Decision]] = {Login: "login", Respond: "respond", Allow: "allow"}


class Way(Protocol):
    """What a transaction asks of the pipeline."""

    __slots__ = ()

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time in seconds since the epoch."""

    def cookie_lines(self, changes: tuple[CookieChange, ...]) -> list[bytes]:
        """Seal what is to be sealed, and write the Set-Cookie values."""

    def note(self, transaction: "Transaction", fault: Fault) -> None:
        """Take down a fault that the caller is told of."""

    def edition(self, request: Request) -> Edition:
        """Return what a page is of that answers a request."""

    def outlive(self, transaction: "Transaction") -> None:
        """Watch an exchange that outlives its decision."""

    def record(self, outcome: Outcome) -> None:
        """Take the one record of a request that has ended."""


class Transaction:
    """One request on its way: what is remembered between its head and its end.

    Attributes:
        started: when it came, on a clock of its own; ``asked`` the same in epoch seconds.
        knowledge: what it is decided on, whatever is reloaded meanwhile.
        forward: how it goes on, once that is decided; ``answer`` any other answer.
        decided: when that was, on the clock of ``started``; 0.0 before.
        quota: the fields that tell what is left of a rate limit.
    """

    __slots__ = (
        "answer",
        "asked",
        "decided",
        "exchange",
        "fault",
        "forward",
        "id_line",
        "knowledge",
        "pipeline",
        "quota",
        "reason",
        "request_id",
        "response_lines",
        "started",
    )

    def __init__(
        self,
        pipeline: Way,
        exchange: Exchange,
        knowledge: Knowledge,
        request_id: str,
        started: float,
        asked: float,
    ) -> None:
        self.pipeline = pipeline
        self.exchange = exchange
        self.knowledge = knowledge
        self.request_id = request_id
        self.started = started
        self.asked = asked
        self.forward: Forward | None = None
        self.answer: Answer | None = None
        self.decided = 0.0
        self.reason = Reason.INTERNAL_ERROR
        self.quota: tuple[Header, ...] = ()
        self.fault: Fault | None = None
        self.id_line = b"X-Request-ID: " + request_id.encode()
        self.response_lines = knowledge.runtime.rules.response_lines

    @property
    def forwarded(self) -> Forwarded:
        """How the request came."""
        if self.forward is not None:
            return self.forward.context.forwarded
        return forwarded_of(self.exchange.request, self.knowledge.runtime.rules)

    @property
    def extra(self) -> tuple[Header, ...]:
        """The fields that ride on any answer: what is left of a rate limit, Strict-Transport-Security."""
        request, runtime = self.exchange.request, self.knowledge.runtime
        if not runtime.hsts or not request.tls:
            return self.quota
        forwarded = self.forwarded
        # which site it was the browser knows by the name that it called, and believes none but over https
        is_site = forwarded.proto == "https" and not forwarded.unreadable
        header = runtime.hsts.get(forwarded.host) if is_site else None
        return self.quota if header is None else (*self.quota, header)

    @property
    def cors(self) -> tuple[Header, ...]:
        """The fields that let scripts of allowed origins read an answer of our own."""
        route = self.forward.route if self.forward is not None else getattr(self.answer, "route", None)
        return () if route is None else cors_fields(route, self.exchange.request)

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the upstream."""
        return (None, None) if self.forward is None else self.forward.route.timeouts

    @property
    def client(self) -> str:
        """Whose request it is, by address."""
        return "" if self.forward is None else self.forward.context.forwarded.client

    def on_response(self, head: Response) -> list[bytes]:
        """Edit the upstream's response head; the cookies are looked up now, not when it was decided."""
        forward = self.forward
        assert forward is not None
        lines = head.lines
        live = forward.live
        changes: tuple[CookieChange, ...] = ()
        # where nothing was due, nothing rides
        if live is not None and (live.cookies or live.background):
            now = self.pipeline.clock()
            changes = due_cookies(forward, self.knowledge, now, now - self.asked)
            if changes:
                lines = with_cookies(lines, head.read, self.pipeline.cookie_lines(changes))
        if forward.route.answers is not None:
            lines = forward.route.answers.set_in(lines, is_private=bool(changes))
        if forward.route.sets_cors:
            lines = [*without_cors(lines), *map(b": ".join, self.cors)]
        lines.append(self.id_line)
        if self.quota or self.knowledge.runtime.hsts:
            lines.extend(map(b": ".join, self.extra))
        return lines

    def on_fault(self, fault: Fault) -> Rendered:
        """Render what the caller sees when the upstream could not answer."""
        self.pipeline.note(self, fault)
        request = self.exchange.request
        html = wants_html(request, self.knowledge)
        edition = self.pipeline.edition(request) if html else PLAIN
        status, headers, body = render_fault(fault, html, self.request_id, edition=edition)
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
        # a fault that was answered like anything else is one all the same
        fault = fault or self.fault
        request, runtime, forward = self.exchange.request, self.knowledge.runtime, self.forward
        plain, names = request.plain, runtime.log_claims
        if forward is not None:
            route, forwarded, identity = forward.route, forward.context.forwarded, forward.identity
            reason = forward.reason if fault is None else fault.reason
            kind: Kind = (
                request.method,
                forwarded.host,
                route.name,
                "forward",
                reason,
                status,
                route.upstream,
            )
        else:
            request = meant(request)
            plain, forwarded = request.plain, forwarded_of(request, runtime.rules)
            identity = getattr(self.answer, "identity", None)
            reason = self.reason if fault is None else fault.reason
            kind = _kind_of(request, self.answer, forwarded, reason, status)
        self.pipeline.record(
            Outcome(
                kind,
                (plain[0] if plain is not None else request.target.partition(b"?")[0]).decode("latin-1"),
                forwarded.client,
                self.request_id,
                (self.decided or ended) - self.started,
                ended - self.started,
                None if started is None else ended - started,
                sizes[0],
                sizes[1],
                identity,
                named_by(identity, names) if names and identity is not None else (),
                None if fault is None else fault.source,
                logged(request, runtime) if runtime.logged_headers else (),
            )
        )


def logged(request: Request, runtime: RuntimeConfig) -> tuple[Header, ...]:
    """Return the fields of a request that the log repeats."""
    names, own = runtime.logged_headers, runtime.proxy_request_id
    found = tuple(header for header in request.headers if header[0].lower() in names)
    return found if not own else correlated(found, own, runtime.rules.proxies.is_trusted(request.peer))


def correlated(found: tuple[Header, ...], own: bytes, is_trusted: bool) -> tuple[Header, ...]:
    """Return the fields with the id that a trusted proxy gave under no name; one of anybody else is none."""
    ids = [value for name, value in found if name.lower() == own]
    rest = tuple(header for header in found if header[0].lower() != own)
    is_id = is_trusted and len(ids) == 1 and _ID.fullmatch(ids[0]) is not None
    return ((CORRELATION, ids[0]), *rest) if is_id else rest


def named_by(identity: Identity, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the claims by which the log names a person, as texts; those that are absent are left out."""
    found = [(name, find_claim(identity.claims, name)) for name in names]
    return tuple(
        (name, value[:MOST_NAMED] if isinstance(value, str) else json.dumps(value)[:MOST_NAMED])
        for name, value in found
        if value is not None
    )


def _kind_of(
    request: Request, answer: Answer | None, forwarded: Forwarded, reason: Reason, status: int
) -> Kind:
    """Return what the record tells of a request that went to no upstream."""
    route: Route | None = getattr(answer, "route", None)
    decision: Decision = _DECISIONS.get(type(answer), "refuse")
    return (
        request.method,
        forwarded.host,
        "" if route is None else route.name,
        decision,
        reason,
        status,
        None,
    )
