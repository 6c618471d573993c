"""Traces of requests: what stands between the data plane and the pipeline where traces are recorded.

Where they are not, neither knows of this. It is a handler that hands on to the pipeline, an exchange that
adds ``traceparent`` to what is forwarded, and resolvers that take the time. Names of spans and attributes
follow OpenTelemetry's semantic conventions for HTTP; what they lack begins with ``gateway.``.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from typing import Final, Literal, TypeVar, cast

from gateway.core.decision.answers import Login
from gateway.core.decision.needs import Need
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.kinds import TRACE
from gateway.core.headers.lines import LineTable, Malformed
from gateway.core.headers.request import Header, Request
from gateway.core.headers.rules import forwarded_of
from gateway.core.outcome import Outcome
from gateway.core.rules.rate_limit import Allowance, RateLimit
from gateway.edge.telemetry.otlp.attributes import request_attributes, span_name, upstream_attributes
from gateway.edge.telemetry.otlp.spans import CURRENT, Span, Trace, Tracer, current
from gateway.http.ports import Exchange, Handling, Rendered, Response
from gateway.pipeline.pipeline import Limiter, Pipeline, Resolver, Starter
from gateway.pipeline.transaction import Transaction
from gateway.syntax.trace_context import TraceContext, read, write

Continue = Literal["nobody", "trusted_proxies", "anybody"]

_Found = TypeVar("_Found")

_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Tracing:
    """The data plane's handler where traces are recorded.

    Args:
        pipeline: decides.
        tracer: begins traces.
        continue_from: whose traces are gone on with.
        offer: takes what was recorded.
    """

    def __init__(
        self, pipeline: Pipeline, tracer: Tracer, continue_from: Continue, offer: Callable[[Span], None]
    ) -> None:
        self.tracer = tracer
        self.offer = offer
        self.continue_from = continue_from
        self._pipeline = pipeline
        self._outcome: Outcome | None = None
        self._plain = pipeline.ways
        pipeline.ways = replace(
            self._plain,
            resolvers={
                kind: _timed(kind, resolver, tracer) for kind, resolver in self._plain.resolvers.items()
            },
            logins=_TimedLogins(self._plain.logins, tracer),
            limiter=_TimedLimiter(self._plain.limiter, tracer),
        )
        pipeline.record = self._record

    def remove(self) -> None:
        """Let the pipeline be as it was; requests under way are recorded to their end."""
        self._pipeline.ways = self._plain
        self._pipeline.record = self._plain.recorder.outcome

    @property
    def request_lines(self) -> LineTable:
        """What the lines of a request are, under the present configuration."""
        return self._pipeline.request_lines

    def handle(self, exchange: Exchange) -> None:
        """Take one request, as its trace's next part."""
        trace = self.tracer.begin(self._parent(exchange.request), perf_counter())
        token = CURRENT.set(trace)
        try:
            self._pipeline.handle(_Traced(self, exchange, trace))
        finally:
            CURRENT.reset(token)

    def malformed(self, fault: Fault, peer: str) -> Rendered:
        """Render the refusal of bytes that are no acceptable request head; they are in no trace."""
        return self._pipeline.malformed(fault, peer)

    def outcome_of(self, finish: Callable[[], None]) -> Outcome | None:
        """Return the record that a request's end makes, None where it makes none."""
        self._outcome = None
        finish()
        found, self._outcome = self._outcome, None
        return found

    def _record(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._plain.recorder.outcome(outcome)

    def _parent(self, request: Request) -> TraceContext | None:
        """Return where in which trace the request's sender is, if that is told and believed."""
        if self.continue_from == "nobody":
            return None
        rules = self._pipeline.knowledge.runtime.rules
        try:
            request.sort(rules.request_lines)
        except Malformed:
            # the pipeline will find out for itself
            return None
        lines = [line for line in request.read if line.kind == TRACE]
        if not lines or (
            self.continue_from == "trusted_proxies" and not forwarded_of(request, rules).is_vouched
        ):
            return None
        told: dict[bytes, list[bytes]] = {b"traceparent": [], b"tracestate": []}
        for line in lines:
            told[line.name.lower()].append(line.value)
        if request.dropped & told.keys():
            # it was for one connection alone
            return None
        return read(told[b"traceparent"], told[b"tracestate"])


class _Traced:
    """One request: the pipeline's exchange, and the data plane's handling."""

    __slots__ = ("_exchange", "_handling", "_status", "_tracing", "request", "response_lines", "trace")

    def __init__(self, tracing: Tracing, exchange: Exchange, trace: Trace) -> None:
        self._tracing = tracing
        self._exchange = exchange
        self._handling: Handling | None = None
        self._status = 0
        self.request = exchange.request
        self.trace = trace

    # the exchange

    @property
    def handling(self) -> Handling | None:
        """Who handles it."""
        return self._handling

    @handling.setter
    def handling(self, handling: Handling | None) -> None:
        self._handling = handling
        if handling is not None:
            self.response_lines = handling.response_lines
        self._exchange.handling = self

    @property
    def aborted(self) -> bool:
        """Whether the client has gone."""
        return self._exchange.aborted

    def respond(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        """Answer from here."""
        self._exchange.respond(status, headers, body)

    def forward(self, upstream: str, target: bytes, lines: list[bytes], max_body: int | None) -> None:
        """Proxy to a server of the named upstream, which is told of its place in the trace."""
        lines.append(write(self.trace.forwarded))
        self._exchange.forward(upstream, target, lines, max_body)

    async def read_body(self, limit: int) -> bytes:
        """Read the whole request body."""
        return await self._exchange.read_body(limit)

    def abort(self, code: int = 1008) -> None:
        """End it now."""
        self._exchange.abort(code)

    # the handling

    @property
    def timeouts(self) -> tuple[float | None, float | None]:
        """The route's own bounds on the upstream."""
        return (None, None) if self._handling is None else self._handling.timeouts

    @property
    def client(self) -> str:
        """Whose request it is, by address."""
        return "" if self._handling is None else self._handling.client

    def on_response(self, head: Response) -> list[bytes]:
        """Edit the upstream's response head."""
        assert self._handling is not None
        self._status = head.status
        return self._handling.on_response(head)

    def on_fault(self, fault: Fault) -> Rendered:
        """Render what the caller sees when the upstream could not answer."""
        assert self._handling is not None
        token = CURRENT.set(self.trace)
        try:
            return self._handling.on_fault(fault)
        finally:
            CURRENT.reset(token)

    def on_long_lived(self) -> None:
        """Have the exchange ended when what it rests on is over."""
        if self._handling is not None:
            self._handling.on_long_lived()

    def finished(
        self,
        status: int,
        sizes: tuple[int, int],
        started: float | None,
        ended: float,
        fault: Fault | None,
    ) -> None:
        """Make the record of this request, and tell of its spans."""
        # nothing leads back here any more: no cycle is left to the collector
        handling, self._handling = self._handling, None
        assert handling is not None
        trace = self.trace
        token = CURRENT.set(trace)
        try:
            outcome = self._tracing.outcome_of(
                lambda: handling.finished(status, sizes, started, ended, fault)
            )
        finally:
            CURRENT.reset(token)
            trace.is_over = True
        if outcome is not None and trace.is_sampled:
            # whoever handles a request here is the pipeline's transaction
            scheme = cast("Transaction", handling).forwarded.proto
            self._tell(trace, outcome, scheme, started, ended)

    def _tell(self, trace: Trace, outcome: Outcome, scheme: str, started: float | None, ended: float) -> None:
        begun = ended - outcome.total_seconds
        decided = begun + outcome.gateway_seconds
        about = {"gateway.decision": outcome.kind[3], "gateway.reason": str(outcome.kind[4])}
        trace.add("decision", "internal", trace.decision_id, trace.span_id, begun, decided, about)
        failed = str(outcome.kind[4]) if outcome.fault not in (None, "client") else ""
        if started is not None:
            told = upstream_attributes(outcome, self._status)
            at_fault = failed if outcome.fault == "upstream" else ""
            name = str(told["gateway.upstream"])
            trace.add(name, "client", trace.upstream_id, trace.span_id, started, ended, told, at_fault)
        if outcome.kind[5] >= 500 and not failed:
            # told by the status alone (semantic conventions for HTTP spans)
            failed = str(outcome.kind[5])
        told = request_attributes(outcome, scheme)
        trace.add(span_name(outcome), "server", trace.span_id, trace.parent_id, begun, ended, told, failed)
        for span in trace.spans:
            self._tracing.offer(span)
        # what the request has started may hold its context for long
        trace.spans = []


def _timed(kind: type, resolver: Resolver, tracer: Tracer) -> Resolver:
    """Return a resolver that records how long it takes, in the trace of the request that asks."""
    word = _WORDS.sub("_", kind.__name__).lower()

    async def resolve(need: Need) -> object:
        return await _recorded(word, getattr(need, "provider", ""), tracer, lambda: resolver(need))

    return resolve


async def _recorded(
    word: str, provider: str, tracer: Tracer, work: Callable[[], Awaitable[_Found]]
) -> _Found:
    """Return what some work comes to, recorded as a need of the request that is being worked on."""
    trace = current()
    if trace is None or not trace.is_sampled:
        return await work()
    started, failed = perf_counter(), ""
    about: dict[str, str] = {"gateway.need": word}
    if provider:
        about["gateway.provider"] = provider
    try:
        return await work()
    except Fault as fault:
        failed = str(fault.reason)
        about["gateway.fault"] = fault.source
        raise
    except BaseException as error:
        failed = type(error).__name__
        raise
    finally:
        if not trace.is_over:
            trace.add(
                word, "internal", tracer.span_id(), trace.decision_id, started, perf_counter(), about, failed
            )


class _TimedLogins:
    def __init__(self, logins: Starter, tracer: Tracer) -> None:
        self._logins = logins
        self._tracer = tracer

    async def start(self, login: Login) -> tuple[str, CookieChange]:
        """Return the authorization URL and the cookie of the pending login. Raises Fault."""
        return await _recorded("login", login.provider, self._tracer, lambda: self._logins.start(login))


class _TimedLimiter:
    def __init__(self, limiter: Limiter, tracer: Tracer) -> None:
        self.check = limiter.check
        self._limiter = limiter
        self._tracer = tracer

    async def check_shared(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request for all gateways together. Never raises Fault."""
        return await _recorded("allowance", "", self._tracer, lambda: self._limiter.check_shared(limit, key))
