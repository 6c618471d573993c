"""What came of a request: the one record that metrics and logs are fed from."""

from dataclasses import dataclass
from typing import Literal

from gateway.core.headers.request import Header
from gateway.core.identity import Identity
from gateway.core.reasons import Reason


@dataclass(slots=True)
class RequestFacts:
    """What a request was about, as its decision tells.

    ``path`` is without its query. ``claims`` name the person as the log is told to.
    """

    method: str
    host: str
    path: str
    client: str
    route: str
    decision: Literal["forward", "refuse", "login", "respond", "abort"]
    reason: Reason
    upstream: str | None = None
    identity: Identity | None = None
    claims: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Outcome:
    """What happened to one request: the one record that feeds metrics, access log and audit log.

    Never changed once made; it is not frozen only because a frozen record takes four times as long to make.
    Durations are seconds; ``gateway_seconds`` is the gateway's own time before the request went on or was
    answered; ``upstream_seconds`` is from the forward to the last byte of the response, or None. ``headers``
    are those of the request that the log repeats.
    """

    about: RequestFacts
    request_id: str
    status: int
    gateway_seconds: float
    total_seconds: float
    upstream_seconds: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    fault: str | None = None
    headers: tuple[Header, ...] = ()
