"""Spans as OTLP's messages."""

from collections.abc import Callable
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from gateway.edge.telemetry.otlp.resource import SCOPE, attributes
from gateway.edge.telemetry.otlp.spans import Kind, Span

_KINDS: Final[dict[Kind, "trace_pb2.Span.SpanKind.ValueType"]] = {
    "internal": trace_pb2.Span.SPAN_KIND_INTERNAL,
    "server": trace_pb2.Span.SPAN_KIND_SERVER,
    "client": trace_pb2.Span.SPAN_KIND_CLIENT,
}
_FAILED: Final = trace_pb2.Status.STATUS_CODE_ERROR


def encoder(resource: Resource) -> "Callable[[list[Span]], bytes]":
    """Return what makes one message of many spans."""

    def encode(spans: list[Span]) -> bytes:
        scope = trace_pb2.ScopeSpans(scope=SCOPE, spans=map(_message, spans))
        told = trace_pb2.ResourceSpans(resource=resource, scope_spans=[scope])
        message: bytes = ExportTraceServiceRequest(resource_spans=[told]).SerializeToString()
        return message

    return encode


def rejected(answer: bytes) -> int:
    """Return how many spans a collector has not taken. Raises where that is no answer."""
    return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)


def _message(span: Span) -> trace_pb2.Span:
    return trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        trace_state=span.state.decode("ascii"),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.started,
        end_time_unix_nano=span.ended,
        attributes=attributes(span.attributes),
        status=trace_pb2.Status(code=_FAILED, message=span.failed) if span.failed else None,
        flags=0x100 | 1,
    )
