"""What is told of a request in a trace: by OpenTelemetry's names, and nothing that names a person (R16).

No query, no header field, no claim. What looks like a credential in a path is masked, and so is a part of it
that may be an e-mail address.
"""

import re
from typing import Final

from gateway.core.outcome import Outcome
from gateway.edge.telemetry.log_values import clean_text
from gateway.edge.telemetry.otlp.spans import Value

# those that the conventions know; others would be as many as clients think of
_METHODS: Final = frozenset(b"CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split())
_ADDRESS: Final = re.compile(r"[^/]*(?:@|%(?:25)*40)[^/]*", re.IGNORECASE)
_OTHER: Final = "_OTHER"


def method_of(outcome: Outcome) -> str:
    """Return the method of a request, ``_OTHER`` where it is not a common one."""
    method = outcome.kind[0]
    return method.decode("ascii") if method in _METHODS else _OTHER


def span_name(outcome: Outcome) -> str:
    """Return the name of a request's span: of few values."""
    method, route = method_of(outcome), outcome.kind[2]
    shown = "HTTP" if method == _OTHER else method
    return f"{shown} {route}" if route else shown


def request_attributes(outcome: Outcome, scheme: str) -> dict[str, Value]:
    """Return what is told of a request that came."""
    _, host, route, decision, reason, status, upstream = outcome.kind
    name, port = _host_and_port(host.decode("latin-1"))
    told: dict[str, Value] = {
        "http.request.method": method_of(outcome),
        "url.path": path_of(outcome),
        "url.scheme": scheme,
        "server.address": clean_text(name, 256),
        "client.address": outcome.client,
        "gateway.decision": decision,
        "gateway.reason": str(reason),
        "gateway.request_id": outcome.request_id,
    }
    if port:
        told["server.port"] = port
    if status:
        told["http.response.status_code"] = status
    if route:
        told["gateway.route"] = route
    if upstream is not None:
        told["gateway.upstream"] = upstream
    if outcome.fault is not None:
        told["gateway.fault"] = outcome.fault
    if status >= 500:
        told["error.type"] = str(reason) if outcome.fault is not None else str(status)
    return told


def upstream_attributes(outcome: Outcome, status: int) -> dict[str, Value]:
    """Return what is told of the call to an upstream, which answered with ``status``, 0 where it did not."""
    upstream = outcome.kind[6] or ""
    told: dict[str, Value] = {
        "http.request.method": method_of(outcome),
        "gateway.upstream": upstream,
        "url.path": path_of(outcome),
    }
    if status:
        told["http.response.status_code"] = status
    if outcome.fault == "upstream":
        told["error.type"] = str(outcome.kind[4])
    elif status >= 400:
        told["error.type"] = str(status)
    return told


def path_of(outcome: Outcome) -> str:
    """Return the path as traces tell it."""
    path = outcome.path
    if "@" in path or "%" in path:
        path = _ADDRESS.sub("[redacted]", path)
    return clean_text(path)


def _host_and_port(host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) < 6:
        return name, int(port)
    return host, 0
