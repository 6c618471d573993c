"""What is recorded of a request's way, as plain values: put together where it happens, encoded elsewhere."""

import random
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.syntax.trace_context import SAMPLED, TraceContext

Value: TypeAlias = "str | int | float | bool"
Attributes: TypeAlias = Mapping[str, Value]
Kind: TypeAlias = Literal["internal", "server", "client"]

MOST_SPANS: Final = 64
"""Of one request."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. Times are nanoseconds since the epoch; ``parent_id`` is empty for none.

    ``failed`` says what went wrong, in a word of ours; empty where nothing did.
    """

    name: str
    kind: Kind
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    state: bytes
    started: int
    ended: int
    attributes: Attributes
    failed: str = ""


@dataclass(slots=True)
class Trace:
    """One request's part of a trace.

    Attributes:
        trace_id: of the whole trace.
        parent_id: the span of whoever sent the request, empty where it begins here.
        span_id, decision_id, upstream_id: of our own spans.
        state: the tracestate, which goes on as it came.
        flags: as they go on.
        wall, clock: one moment on two clocks, in nanoseconds since the epoch, and in seconds of its own.
        spans: what was recorded so far.
        is_over: whether the request has ended. What it started may outlive it, and is none of it.
    """

    trace_id: bytes
    parent_id: bytes
    span_id: bytes
    decision_id: bytes
    upstream_id: bytes
    state: bytes
    flags: int
    wall: int
    clock: float
    spans: list[Span]
    is_over: bool = False

    @property
    def is_sampled(self) -> bool:
        """Whether it is recorded."""
        return bool(self.flags & SAMPLED)

    @property
    def forwarded(self) -> TraceContext:
        """What the upstream is told: its parent is our span of the call to it."""
        return TraceContext(self.trace_id, self.upstream_id, self.flags, self.state)

    def at(self, moment: float) -> int:
        """Return when that was, in nanoseconds since the epoch."""
        return self.wall + int((moment - self.clock) * 1e9)

    def add(
        self,
        name: str,
        kind: Kind,
        span_id: bytes,
        parent_id: bytes,
        started: float,
        ended: float,
        attributes: Attributes,
        failed: str = "",
    ) -> None:
        """Record something, where there is room."""
        if len(self.spans) < MOST_SPANS:
            self.spans.append(
                Span(
                    name, kind, self.trace_id, span_id, parent_id, self.state, self.at(started),
                    max(self.at(started), self.at(ended)), attributes, failed,
                )
            )  # fmt: skip


CURRENT: Final[ContextVar[Trace | None]] = ContextVar("gateway_trace", default=None)
"""The request that is being worked on."""


def current() -> Trace | None:
    """Return the trace of the request that is being worked on, None where there is none."""
    trace = CURRENT.get()
    return None if trace is None or trace.is_over else trace


class Tracer:
    """Begins traces, and goes on from those of others.

    Args:
        sample: the share of those that begin here which are recorded.
    """

    def __init__(self, sample: float) -> None:
        # as other implementations do, so that all of them choose the same (TraceIdRatioBased)
        self._bound = round(sample * 2**64)
        # seeded by the system, in the process that uses it; ids are no secrets
        self._draw = random.Random().getrandbits  # noqa: S311

    def begin(self, parent: TraceContext | None, clock: float) -> Trace:
        """Return the trace of a request whose sender told ``parent``; ``clock`` is now, in seconds."""
        if parent is None:
            low = self._draw(64)
            trace_id = (self._draw(64) or 1).to_bytes(8, "big") + low.to_bytes(8, "big")
            flags, parent_id, state = (SAMPLED if low < self._bound else 0), b"", b""
        else:
            trace_id, parent_id, flags, state = parent.trace_id, parent.span_id, parent.flags, parent.state
        if not flags & SAMPLED:
            # nobody sees the others
            upstream_id = self.span_id()
            return Trace(trace_id, parent_id, b"", b"", upstream_id, state, flags, 0, 0.0, [])
        return Trace(
            trace_id, parent_id, self.span_id(), self.span_id(), self.span_id(), state, flags,
            time.time_ns(), clock, [],
        )  # fmt: skip

    def span_id(self) -> bytes:
        """Return the id of one more span."""
        return (self._draw(64) or 1).to_bytes(8, "big")
