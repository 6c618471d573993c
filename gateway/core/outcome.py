"""What came of a request: the one record that metrics and logs are fed from."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.core.headers.request import Header
from gateway.core.identity import Identity
from gateway.core.reasons import Reason

CORRELATION: Final = b""
"""Among the headers of an outcome: under no name stands the id that a trusted proxy gave the request."""

Decision: TypeAlias = Literal["forward", "refuse", "login", "respond", "allow", "abort"]

Kind: TypeAlias = tuple[bytes, bytes, str, Decision, Reason, int, str | None]
"""What is told alike of many requests: method, host, route, decision, reason, status and upstream, which is
None where the request went to none."""


@dataclass(slots=True, init=False)
class Outcome:
    """What happened to one request: the one record that feeds metrics, access log and audit log.

    Never changed once made. ``path`` is without its query. ``claims`` name the person as the log is told to.
    Durations are seconds; ``gateway_seconds`` is the gateway's own time before the request went on or was
    answered; ``upstream_seconds`` is from the forward to the last byte of the response, or None. ``headers``
    are those of the request that the log repeats.
    """

    kind: Kind
    path: str
    client: str
    request_id: str
    gateway_seconds: float
    total_seconds: float
    upstream_seconds: float | None
    bytes_in: int
    bytes_out: int
    identity: Identity | None
    claims: tuple[tuple[str, str], ...]
    fault: str | None
    headers: tuple[Header, ...]

    # written by hand: compiled with the class, as a generated one is not
    def __init__(
        self,
        kind: Kind,
        path: str,
        client: str,
        request_id: str,
        gateway_seconds: float,
        total_seconds: float,
        upstream_seconds: float | None = None,
        bytes_in: int = 0,
        bytes_out: int = 0,
        identity: Identity | None = None,
        claims: tuple[tuple[str, str], ...] = (),
        fault: str | None = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        self.kind = kind
        self.path = path
        self.client = client
        self.request_id = request_id
        self.gateway_seconds = gateway_seconds
        self.total_seconds = total_seconds
        self.upstream_seconds = upstream_seconds
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out
        self.identity = identity
        self.claims = claims
        self.fault = fault
        self.headers = headers
