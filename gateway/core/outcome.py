"""What came of a request: the one record that metrics and logs are fed from."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.core.headers.request import Header
from gateway.core.identity import Identity
from gateway.core.reasons import Reason

Decision: TypeAlias = Literal["forward", "refuse", "login", "respond", "allow", "abort"]

Kind: TypeAlias = tuple[bytes, bytes, str, Decision, Reason, int, str | None]
"""What is told alike of many requests: method, host, route, decision, reason, status and upstream, which is
None where the request went to none."""


@dataclass(slots=True)
class Outcome:
    """What happened to one request: the one record that feeds metrics, access log and audit log.

    Never changed once made; it is not frozen only because a frozen record takes four times as long to make.
    ``path`` is without its query. ``claims`` name the person as the log is told to. Durations are seconds;
    ``gateway_seconds`` is the gateway's own time before the request went on or was answered;
    ``upstream_seconds`` is from the forward to the last byte of the response, or None. ``headers`` are those
    of the request that the log repeats.
    """

    kind: Kind
    path: str
    client: str
    request_id: str
    gateway_seconds: float
    total_seconds: float
    upstream_seconds: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    identity: Identity | None = None
    claims: tuple[tuple[str, str], ...] = ()
    fault: str | None = None
    headers: tuple[Header, ...] = ()
