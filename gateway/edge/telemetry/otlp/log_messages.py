"""Log lines as OTLP's messages: what a line says by name is an attribute of that name."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gateway.edge.telemetry.otlp.lines import LogLine
from gateway.edge.telemetry.otlp.resource import SCOPE, any_value, key_values
from gateway.syntax.encoding import Json

_SEVERITIES: Final = {
    "debug": logs_pb2.SEVERITY_NUMBER_DEBUG,
    "info": logs_pb2.SEVERITY_NUMBER_INFO,
    "warning": logs_pb2.SEVERITY_NUMBER_WARN,
    "error": logs_pb2.SEVERITY_NUMBER_ERROR,
}
# of these the text is what they say
_MESSAGES: Final = frozenset({"message", "error"})


def encoder(resource: Resource) -> "Callable[[list[LogLine]], bytes]":
    """Return what makes one message of many lines."""

    def encode(lines: list[LogLine]) -> bytes:
        scope = logs_pb2.ScopeLogs(scope=SCOPE, log_records=map(_message, lines))
        told = logs_pb2.ResourceLogs(resource=resource, scope_logs=[scope])
        message: bytes = ExportLogsServiceRequest(resource_logs=[told]).SerializeToString()
        return message

    return encode


def rejected(answer: bytes) -> int:
    """Return how many lines a collector has not taken. Raises where that is no answer."""
    return int(ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records)


def _message(line: LogLine) -> logs_pb2.LogRecord:
    record = logs_pb2.LogRecord(
        observed_time_unix_nano=line.observed,
        time_unix_nano=line.observed,
        trace_id=line.trace_id,
        span_id=line.span_id,
        flags=line.flags,
    )
    members = _members(line.text)
    if members is None:
        record.body.string_value = line.text
        return record
    level, event, when = members.pop("level", None), members.pop("event", None), members.pop("time", None)
    if isinstance(when, str):
        record.time_unix_nano = _nanoseconds(when) or line.observed
    if isinstance(level, str):
        record.severity_text = level
        record.severity_number = _SEVERITIES.get(level, logs_pb2.SEVERITY_NUMBER_UNSPECIFIED)
    message = members.pop("message", None) if event in _MESSAGES else event
    record.body.CopyFrom(any_value(message))
    if isinstance(event, str) and event not in _MESSAGES:
        record.event_name = event
    record.attributes.extend(key_values(members))
    return record


def _members(text: str) -> dict[str, Json] | None:
    """Return what a line says by name, None where it is written in another way."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _nanoseconds(when: str) -> int:
    try:
        return int(datetime.fromisoformat(when).timestamp() * 1000) * 1_000_000
    except ValueError:
        return 0
