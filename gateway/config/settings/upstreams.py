"""Settings of the upstreams: servers, TLS, health checks, circuit breakers."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag

from gateway.config.settings.assertions import UpstreamAssertionSettings
from gateway.config.settings.base import UNION_TAGS, Duration, Model, Number, Text


def _status_text(value: object) -> object:
    # YAML reads 503 as a number
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_STATUS = r"^[1-5]([0-9]{2}|xx)$"
_WrittenStatus = Annotated[str, Field(pattern=_STATUS)] | Annotated[int, Field(ge=100, le=599)]
StatusClass = Annotated[
    str,
    StringConstraints(pattern=_STATUS),
    BeforeValidator(_status_text, json_schema_input_type=_WrittenStatus),
]


def _keepalive_kind(value: object) -> str:
    return UNION_TAGS[0] if value == "auto" else UNION_TAGS[1]


class HealthSettings(Model):
    """Active health checks: each worker asks each server itself, on connections of their own."""

    path: Text
    """What is asked for, with GET."""
    host: Text | None = None
    """The Host that is asked for; absent: the server's own."""
    interval: Duration = 10.0
    """The time from one check to the next."""
    timeout: Duration = 2.0
    """The longest check."""
    status: tuple[StatusClass, ...] = Field(default=("2xx",), min_length=1)
    """The status codes of a healthy server, such as ``2xx`` or ``204``."""
    unhealthy_after: Annotated[Number, Field(ge=1, le=100)] = 3
    """After so many failed checks in a row a server gets no requests."""
    healthy_after: Annotated[Number, Field(ge=1, le=100)] = 2
    """After so many good checks in a row it gets them again."""


class BreakerSettings(Model):
    """A circuit breaker for each server, of each worker."""

    failures: Annotated[Number, Field(ge=0, le=10000)] = 5
    """After so many failures to connect in a row a server is left alone; 0: never, whatever fails."""
    delay: Duration = 2.0
    """How long; then one request may try, and again after each such time until one succeeds."""
    status: tuple[StatusClass, ...] = ()
    """Status codes of responses that count as failed requests, such as ``503``."""


class UpstreamTlsSettings(Model):
    """TLS towards the https servers of an upstream. Their certificates are verified."""

    ca_file: Text | None = None
    """PEM file of the authorities that may sign the servers' certificates, instead of the system's."""
    server_name: Text | None = None
    """The name that is asked for (SNI) and that certificates must hold; absent: the URL's host."""
    client_certificate: Text | None = None
    """PEM file of the gateway's own certificate, with its chain, for servers that demand one."""
    client_key: Text | None = None
    """PEM file of its key, not encrypted; absent: it is in the certificate's file."""
    verify: bool = True
    """false: believe any certificate, so that anybody on the network can be the upstream."""


class UpstreamSettings(Model):
    """Where requests go; the destination is never taken from a request (R55)."""

    servers: tuple[Text, ...] = Field(min_length=1, max_length=100)
    """The servers: ``http://`` or ``https://`` with host and port, or ``unix:`` with an absolute path."""
    balance: Literal["least_connections", "round_robin"] = "least_connections"
    """Which server is next: the one with the fewest requests, or each in its turn."""
    weights: tuple[Annotated[Number, Field(ge=1, le=100)], ...] | None = Field(default=None, min_length=1)
    """Each server's share in relation to the others', in the order of ``servers``; absent: all the same."""
    host: Literal["preserve", "rewrite"] = "preserve"
    """Whether servers see the public Host, or their own authority; X-Forwarded-Host is public always."""
    assertion: UpstreamAssertionSettings | None = None
    """A signed assertion of who is calling; absent: none."""
    tls: UpstreamTlsSettings = UpstreamTlsSettings()
    """TLS towards https servers."""
    health: HealthSettings | None = None
    """Active health checks; absent: none."""
    breaker: BreakerSettings = BreakerSettings()
    """When a server that fails is left alone."""
    connect_timeout: Duration = 5.0
    """The longest wait for a connection to one server, TLS included."""
    response_timeout: Duration = 60.0
    """The longest wait for a response head once the request was sent; a route may differ."""
    idle_timeout: Duration = 300.0
    """The longest silence within a response body, event streams excepted; a route may differ."""
    max_connections: Number = Field(default=1024, ge=1)
    """How many connections one worker opens to each server at most."""
    max_idle: Number = Field(default=256, ge=0)
    """How many unused connections to each server it keeps at most."""
    keepalive: Annotated[
        Annotated[Literal["auto"], Tag(UNION_TAGS[0])] | Annotated[Duration, Tag(UNION_TAGS[1])],
        Discriminator(_keepalive_kind),
    ] = "auto"
    """How long an unused connection is kept; ``auto``: 1 s less than its server tells, else 4 s."""
    max_age: Duration = 3600.0
    """The age at which a connection serves no further request."""
