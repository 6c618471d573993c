"""Heads read as a listener without rules of its own reads them."""

from types import SimpleNamespace
from typing import Any

from gateway.core.headers.rules import plain_request_lines, plain_response_lines
from gateway.http.messages import request_head, response_head
from gateway.http.messages.response_head import ResponseHead

REQUEST_LINES = plain_request_lines()
RESPONSE_LINES = plain_response_lines()
FRAMING = ("method", "minor", "length", "keep_alive", "expects_continue", "upgrade")
"""What a framing says."""
RESPONSE = (
    "binds",
    "chunked",
    "has_date",
    "idle_for",
    "is_stream",
    "length",
    "lines",
    "reusable",
    "status",
    "upgrade",
)
"""What a response head says."""


def read_request_head(data: bytes, **more: Any) -> SimpleNamespace:
    """Return what a request head says, its framing beside the rest."""
    request, framing = request_head.read_request_head(data, REQUEST_LINES, **more)
    told = {name: getattr(framing, name) for name in FRAMING}
    return SimpleNamespace(
        target=request.target, host=request.host, headers=request.headers, binds=request.binds, **told
    )


def read_response_head(data: bytes) -> ResponseHead:
    """Return what a response head says."""
    return response_head.read_response_head(data, RESPONSE_LINES)
