"""Who is telling: what every message to a collector begins with."""

import os
import platform
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

import gateway
from gateway.config.settings.telemetry import TelemetrySettings
from gateway.syntax.encoding import Json

SCOPE: Final = InstrumentationScope(name="gateway", version=gateway.__version__)

_MOST_DEPTH: Final = 4
_EVER_NEW: Final = frozenset({"url.path", "gateway.request_id"})


def resource_of(settings: TelemetrySettings, worker: int | None) -> Resource:
    """Return what is told of this process; ``worker`` is its number, None of the supervisor."""
    told: dict[str, Json] = {
        "service.name": settings.service_name,
        "service.version": gateway.__version__,
        # every start is another instance, so that a counter that begins anew is another one
        "service.instance.id": str(uuid.uuid4()),
        "host.name": os.uname().nodename,
        "process.pid": os.getpid(),
        "process.runtime.name": platform.python_implementation().lower(),
        "process.runtime.version": platform.python_version(),
        "telemetry.sdk.name": "token-gateway",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": gateway.__version__,
        **settings.attributes,
    }
    if worker is not None:
        told["gateway.worker"] = worker
    return Resource(attributes=key_values(told))


def key_values(told: Mapping[str, Json]) -> list[KeyValue]:
    """Return attributes as the protocol has them; null is left out."""
    return [KeyValue(key=name, value=any_value(value)) for name, value in told.items() if value is not None]


def attributes(told: Mapping[str, str | int | float | bool]) -> list[KeyValue]:
    """Return attributes of which most come again and again: those are remembered, which takes a third off."""
    return [
        KeyValue(key=name, value=any_value(value)) if name in _EVER_NEW else _remembered(name, value)
        for name, value in told.items()
    ]


@lru_cache(maxsize=4096, typed=True)
def _remembered(name: str, value: str | float | bool) -> KeyValue:
    return KeyValue(key=name, value=any_value(value))


def any_value(value: Json, depth: int = 0) -> AnyValue:
    """Return one value as the protocol has it."""
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        # beyond that no number of the protocol's reaches
        return AnyValue(int_value=value) if -(2**63) <= value < 2**63 else AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if value is None or depth >= _MOST_DEPTH:
        return AnyValue()
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(each, depth + 1) for each in value]))
    return AnyValue(
        kvlist_value=KeyValueList(
            values=[KeyValue(key=name, value=any_value(each, depth + 1)) for name, each in value.items()]
        )
    )
