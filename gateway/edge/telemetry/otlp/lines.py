"""Log lines on their way to a collector, each with the trace in which it was written."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.edge.telemetry.otlp.spans import CURRENT


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as it was written, masked and bounded. ``observed`` is in nanoseconds since the epoch.

    The ids are empty where it was written in no request's trace.
    """

    text: str
    observed: int
    trace_id: bytes
    span_id: bytes
    flags: int


def collect(offer: Callable[[LogLine], None]) -> Callable[[str], None]:
    """Return what takes lines as they are written, and offers them with what is known of their trace."""

    def take(text: str) -> None:
        trace = CURRENT.get()
        if trace is None or trace.is_over:
            offer(LogLine(text, time.time_ns(), b"", b"", 0))
        else:
            offer(LogLine(text, time.time_ns(), trace.trace_id, trace.span_id, trace.flags))

    return take
