"""A collector that speaks OTLP over HTTP, and keeps what it was told as the protocol's own messages."""

import asyncio
from collections.abc import Iterator
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

_REQUESTS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Collector:
    """Listens on the loopback; answers as ``statuses`` say, one after the other, and then 200.

    Attributes:
        requests: the heads of all messages.
        messages: those that were taken.
        rejects: how many spans it says it has not taken.
    """

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.messages: list[Any] = []
        self.statuses: list[int] = []
        self.rejects = 0
        self.hold: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._take, access_log=None))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.hold is not None:
            self.hold.set()
        await self._runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(request)
        body = await request.read()
        if self.hold is not None:
            await self.hold.wait()
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), headers={"Retry-After": "0"})
        # raises on what is no such message
        message = _REQUESTS[request.path]()
        message.ParseFromString(body)
        self.messages.append(message)
        answer = ExportTraceServiceResponse()
        if self.rejects:
            answer.partial_success.rejected_spans = self.rejects
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")

    def spans(self) -> list[Any]:
        """Return every span so far."""
        return [
            span
            for told in self._told("resource_spans")
            for scope in told.scope_spans
            for span in scope.spans
        ]

    def records(self) -> list[Any]:
        """Return every log record so far."""
        return [
            record
            for told in self._told("resource_logs")
            for scope in told.scope_logs
            for record in scope.log_records
        ]

    def metrics(self) -> dict[str, Any]:
        """Return the metrics by name, each as it was told last."""
        return {
            metric.name: metric
            for told in self._told("resource_metrics")
            for scope in told.scope_metrics
            for metric in scope.metrics
        }

    def resources(self) -> list[dict[str, Any]]:
        """Return who told."""
        kinds = ("resource_spans", "resource_logs", "resource_metrics")
        return [attributes(told.resource) for kind in kinds for told in self._told(kind)]

    def _told(self, kind: str) -> Iterator[Any]:
        for message in self.messages:
            yield from getattr(message, kind, ())


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, a record, a point or a resource."""
    return {each.key: value_of(each.value) for each in of.attributes}


def value_of(value: AnyValue) -> Any:
    """Return what a value of the protocol stands for."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        members: list[KeyValue] = list(value.kvlist_value.values)
        return {each.key: value_of(each.value) for each in members}
    return None if kind is None else getattr(value, kind)
