"""The configuration as written: pydantic models that refuse what they do not know.

Empty never means allow: a missing audience, an empty policy list or an unknown key is an error.
Durations are seconds once parsed (``8h``, ``60s``, ``7d`` in the file). What spans several fields is
checked in ``core.config_checks``.
"""

import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
)

_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Turn ``90s``, ``8h`` or ``7d`` into seconds; leave a number for pydantic to judge.

    Raises:
        ValueError: a string that is no duration, or a truth value.
    """
    if isinstance(value, bool):
        raise ValueError("write a duration as a number with a unit: 500ms, 60s, 10m, 8h or 7d")  # noqa: TRY004
    if not isinstance(value, str):
        return value
    if (match := _DURATION.fullmatch(value)) is None:
        raise ValueError("write a duration as a number with a unit: 500ms, 60s, 10m, 8h or 7d")
    return float(match["number"]) * _SECONDS[match["unit"]]


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _preflight_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | CorsSettings) else UNION_TAGS[0]


def _rate_limit_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | RateLimitSettings) else UNION_TAGS[0]


def _workers_kind(value: object) -> str:
    return UNION_TAGS[0] if value == "auto" else UNION_TAGS[1]


def _no_truth(value: object) -> object:
    # true would count as the number 1
    if isinstance(value, bool):
        raise ValueError("write a number")  # noqa: TRY004 - pydantic collects ValueError alone
    return value


def _status_text(value: object) -> object:
    # YAML reads 503 as a number
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


UNION_TAGS = ("<word>", "<section>")
"""Parts of an error's location that are pydantic's and stand for nothing in the file."""

_WrittenDuration = (
    Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)$")] | Annotated[float, Field(ge=0)]
)
_duration = BeforeValidator(parse_duration, json_schema_input_type=_WrittenDuration)

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=16384)]
Duration = Annotated[float, Field(gt=0, le=10 * 365 * 86400), _duration]
Number = Annotated[int, BeforeValidator(_no_truth)]
_STATUS = r"^[1-5]([0-9]{2}|xx)$"
_WrittenStatus = Annotated[str, Field(pattern=_STATUS)] | Annotated[int, Field(ge=100, le=599)]
StatusClass = Annotated[
    str,
    StringConstraints(pattern=_STATUS),
    BeforeValidator(_status_text, json_schema_input_type=_WrittenStatus),
]
PublicUrls = Annotated[
    tuple[Text, ...],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_many, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)]),
]


class Model(BaseModel):
    """The base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        strict=False,
        use_attribute_docstrings=True,
    )


class AdminSettings(Model):
    """The admin listener: metrics and health need no token, every change does."""

    listen: Text = "127.0.0.1:9090"
    """Address and port of metrics, health and revocation; never the public listener's."""
    token: Secret | None = None
    """Bearer token of every change, at least 16 characters; without one nothing can be changed."""


class CertificateSettings(Model):
    """One certificate of the public listener."""

    certificate: Text
    """PEM file: the certificate, then the intermediate ones."""
    key: Text
    """PEM file of its private key, without a passphrase."""


class HstsSettings(Model):
    """Strict-Transport-Security (RFC 6797): browsers come back by https alone, whatever they are told."""

    max_age: Annotated[float, Field(ge=0, le=10 * 365 * 86400), _duration] = 365 * 86400.0
    """How long a browser remembers; 0s makes it forget."""
    include_subdomains: bool = False
    """Whether that holds for every name below the host too."""
    preload: bool = False
    """Whether browsers may ship the host in their lists; that takes months to undo."""


class TlsSettings(Model):
    """TLS on the public listener; absent: plain HTTP, and TLS ends in front."""

    certificate: Text | None = None
    """PEM file of the only certificate, with its chain; instead of ``certificates``."""
    key: Text | None = None
    """PEM file of its private key, without a passphrase."""
    certificates: tuple[CertificateSettings, ...] = Field(default=(), max_length=1000)
    """Certificates, chosen by the name that a client asks for (SNI); the first serves every other name."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, and turned away without one."""
    client_ca: Text | None = None
    """PEM file of the authorities that may sign clients' certificates."""
    handshake_timeout: Duration = 10.0
    """The longest time for a handshake."""
    hsts: HstsSettings | None = None
    """Strict-Transport-Security on the responses of https sites; absent: not sent."""

    @property
    def chains(self) -> tuple[CertificateSettings, ...]:
        """Every certificate, however it was written."""
        if self.certificate is not None and self.key is not None:
            return (CertificateSettings(certificate=self.certificate, key=self.key), *self.certificates)
        return self.certificates


class RateLimitSettings(Model):
    """How often one caller may ask; beyond it, 429."""

    requests: Annotated[Number, Field(ge=1, le=1_000_000)]
    """So many requests ..."""
    per: Duration
    """... in so much time, on average."""
    burst: Annotated[Number, Field(ge=1, le=1_000_000)] | None = None
    """The most requests at once; absent: as many as ``requests``."""
    by: Literal["identity", "address", "session"] = "identity"
    """Whose requests count together; somebody without an identity counts by address."""
    shared: bool = False
    """Whether all workers and gateways count together, through the store, or each worker for itself."""


class StoreTlsSettings(Model):
    """TLS towards the store: with ``rediss://``, Sentinels or a Cluster; verified unless told otherwise."""

    ca_file: Text | None = None
    """PEM file of the authorities to trust instead of the system's."""
    certificate: Text | None = None
    """PEM file of the gateway's own certificate, where the store asks for one."""
    key: Text | None = None
    """PEM file of its private key, without a passphrase."""
    verify: bool = True
    """Whether the store's certificate is checked; never false beyond a test."""


class SentinelSettings(Model):
    """Sentinels that know which server of a service is the master, instead of ``url``."""

    service: Text
    """The name of the service, as ``sentinel monitor`` has it."""
    nodes: tuple[Text, ...] = Field(min_length=1, max_length=100)
    """The Sentinels, each ``host:port``."""
    username: Text | None = None
    """The ACL user at the Sentinels."""
    password: Secret | None = None
    """The password at the Sentinels."""
    database: Annotated[Number, Field(ge=0, le=65535)] = 0
    """The number of the database."""


class RedisSettings(Model):
    """The store: ``url``, ``sentinel`` or ``cluster``. Absent: an embedded Valkey in ``state_dir``."""

    url: Secret | None = None
    """Where one Redis or Valkey listens; it may hold a password."""
    sentinel: SentinelSettings | None = None
    """Sentinels to ask for the master."""
    cluster: tuple[Text, ...] = Field(default=(), max_length=100)
    """Some servers of a Cluster, each ``host:port``; they name the others."""
    username: Text | None = None
    """The ACL user, unless the URL has it."""
    password: Secret | None = None
    """The password, unless the URL has it."""
    tls: StoreTlsSettings | None = None
    """TLS: for Sentinels and a Cluster present where it is spoken."""
    prefix: Text = "gateway:"
    """What every key begins with; gateways that share it share sessions and revocations."""
    timeout: Duration = 1.0
    """The longest wait for an answer."""


class ProviderSettings(Model):
    """One OpenID Connect provider."""

    issuer: Text
    """The issuer identifier, equal to the last character to the discovery document's and to ``iss``."""
    client_id: Text
    """The gateway's client identifier there."""
    client_secret: Secret | None = None
    """The client's secret; required unless ``client_auth`` is ``none``."""
    client_auth: Literal["client_secret_basic", "client_secret_post", "none"] = "client_secret_basic"
    """How the gateway authenticates at the token endpoint."""
    scopes: tuple[Text, ...] = ("openid",)
    """What a login asks for; ``openid`` always. ``offline_access`` often brings a refresh token."""
    audiences: tuple[Text, ...] = Field(min_length=1)
    """The ``aud`` values of which a bearer token must name one."""
    algorithms: tuple[Text, ...] = Field(default=("RS256", "ES256"), min_length=1)
    """The signature algorithms that count; asymmetric ones only."""
    access_token: Literal["opaque", "jwt"] = "opaque"  # noqa: S105 - a kind of token, not a token
    """Whether a session's access token is verified as a JWT, which brings its scopes and claims."""
    access_token_type: Literal["any", "at+jwt"] = "any"  # noqa: S105 - the same
    """``at+jwt`` demands that header ``typ`` of a bearer token (RFC 9068)."""
    userinfo: bool = False
    """Whether a login also asks the UserInfo endpoint for claims."""
    discovery_url: Text | None = None
    """Where the discovery document is, if not under the issuer."""
    authorization_endpoint: Text | None = None
    """Wins over the discovery document's; browsers go there."""
    token_endpoint: Text | None = None
    """Wins over the discovery document's; the gateway calls it."""
    userinfo_endpoint: Text | None = None
    """Wins over the discovery document's; the gateway calls it."""
    jwks_uri: Text | None = None
    """Wins over the discovery document's; the gateway calls it."""
    end_session_endpoint: Text | None = None
    """Wins over the discovery document's; browsers go there at logout."""
    logout: Literal["provider", "local"] = "provider"
    """Whether a logout goes on at the provider, where it has an end_session_endpoint, or ends here."""
    frontchannel_logout: bool = False
    """Whether the provider's pages may end sessions by a GET that names their ``sid``."""
    ca_file: Text | None = None
    """PEM file of the authorities that may sign the provider's certificate, instead of the system's."""
    extra_authorization_parameters: dict[Text, Text] = Field(default_factory=dict)
    """More parameters of the authorization request, such as ``prompt`` or ``domain_hint``."""
    clock_skew: Annotated[float, Field(ge=0, le=300), _duration] = 30.0
    """How far the provider's clock may differ."""
    timeout: Duration = 10.0
    """The longest exchange with the provider."""
    jwks_max_age: Duration = 600.0
    """The age at which the key set is fetched again."""
    jwks_max_stale: Duration = 86400.0
    """The age at which keys stop counting when they cannot be fetched again."""
    jwks_cooldown: Duration = 30.0
    """The shortest time between two fetches that an unknown key id causes."""


class SessionSettings(Model):
    """Browser sessions."""

    mode: Literal["cookie", "redis"] = "cookie"
    """Where sessions and their tokens are kept: sealed in the browser's cookies, or sealed in the store."""
    idle_lifetime: Duration = 8 * 3600.0
    """A session that was not used for so long is over."""
    absolute_lifetime: Duration = 7 * 86400.0
    """A session this old is over, used or not."""
    refresh_before_expiry: Duration = 60.0
    """How long before its expiry an access token is renewed behind a request's back."""
    rotation_grace: Duration = 60.0
    """How long the old refresh token still gets the new result once the new one was seen."""
    login_lifetime: Duration = 600.0
    """How long a person may take at the provider."""


class DenylistSettings(Model):
    """Pushed revocation."""

    max_staleness: Duration = 10.0
    """The age at which a worker's replica counts as stale."""
    when_stale: Literal["refuse", "allow"] = "refuse"
    """What happens then to requests that need an identity; a route may differ."""


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
    """After so many failures in a row a server is left alone; 0: never."""
    delay: Duration = 2.0
    """How long; then one request may try, and again after each such time until one succeeds."""
    status: tuple[StatusClass, ...] = ()
    """Status codes of responses that count as failures too, such as ``503``."""


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
    keepalive: Duration = 60.0
    """How long an unused connection is kept."""
    max_age: Duration = 3600.0
    """The age at which a connection serves no further request."""


class RequireSettings(Model):
    """What an identity must hold; every line must be satisfied. Each names a policy of ``POLICIES``."""

    scopes: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Every one of these scopes."""
    groups: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """At least one of these groups."""
    claims: dict[Text, Text | int | bool | tuple[Text, ...]] | None = Field(default=None, min_length=1)
    """Every one of these claims; a list names the values of which one is enough."""
    methods: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """One of these request methods."""
    acr: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """One of these authentication contexts; a browser is sent to step up (RFC 9470)."""
    max_age: Duration | None = None
    """The longest time since the person last authenticated (RFC 9470)."""


class CorsSettings(Model):
    """Preflights that the gateway answers itself (Fetch standard, CORS protocol). Never ``*``."""

    origins: tuple[Text, ...] = Field(min_length=1)
    """Origins that may call, exactly as browsers write them."""
    methods: tuple[Text, ...] = Field(default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), min_length=1)
    """Methods that they may use."""
    headers: tuple[Text, ...] = ("authorization", "content-type")
    """Request header fields that they may send."""
    credentials: bool = False
    """Whether cookies may be sent along."""
    max_age: Duration = 600.0
    """How long a browser may remember the answer."""


class RouteSettings(Model):
    """A rule by host, path prefix and method; the longest prefix wins, on the canonical path."""

    path: Text
    """The canonical path prefix."""
    upstream: Text
    """The name of the upstream."""
    access: Literal["public", "optional", "required"]
    """Whether an identity is not looked at, passed on if there is one, or required."""
    hosts: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Hosts, with a port or for every port, or ``*.example.com``; absent: every ``public_url``."""
    methods: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """The request methods that it holds for; absent: every method."""
    name: Text | None = None
    """What logs and metrics call it; absent: its path."""
    unauthenticated: Literal["auto", "login", "reject"] = "auto"
    """What nobody gets: a login for navigations and 401 for scripts, a login, or 401."""
    provider: Text | None = None
    """The name of the provider that a login uses; absent: the first provider."""
    require: RequireSettings | None = None
    """What the identity must hold."""
    preflight: Annotated[
        Annotated[Literal["refuse", "forward"], Tag(UNION_TAGS[0])]
        | Annotated[CorsSettings, Tag(UNION_TAGS[1])],
        Discriminator(_preflight_kind),
    ] = "refuse"
    """CORS preflights: refused, forwarded to the upstream, or answered by the section given here."""
    authorization: Literal["pass", "strip"] = "strip"
    """Whether the upstream sees the client's Authorization field."""
    when_stale: Literal["refuse", "allow"] | None = None
    """As ``denylist.when_stale``, for this route."""
    max_body: Annotated[Number, Field(ge=0)] | None = None
    """The largest request body in bytes; absent: ``limits.body``."""
    timeout: Duration | None = None
    """The upstream's ``response_timeout``, for this route."""
    idle_timeout: Duration | None = None
    """The upstream's ``idle_timeout``, for this route."""
    strip_prefix: bool = False
    """Whether the upstream sees the path without the route's: ``/api/x`` as ``/x``."""
    replace_prefix: Text | None = None
    """What the upstream sees in place of the route's path: with ``/v2/``, ``/api/x`` as ``/v2/x``."""
    rate_limit: (
        Annotated[
            Annotated[Text, Tag(UNION_TAGS[0])] | Annotated[RateLimitSettings, Tag(UNION_TAGS[1])],
            Discriminator(_rate_limit_kind),
        ]
        | None
    ) = None
    """How often one caller may ask: a name of ``rate_limits``, or a section of its own; absent: no limit."""
    websocket_origins: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Origins whose pages may open WebSockets with a session, beside the site's own; absent: none."""


class LimitSettings(Model):
    """Bounds on what a client may send and hold (R60). Sizes are bytes."""

    head: Number = Field(default=32768, ge=1024, le=1 << 20)
    """The largest request head."""
    fields: Number = Field(default=100, ge=8, le=1000)
    """The most header fields of a request."""
    body: Number = Field(default=1 << 30, ge=0)
    """The largest request body."""
    connections: Number = Field(default=10000, ge=1)
    """The most client connections of one worker."""
    connections_per_address: Number = Field(default=0, ge=0)
    """The most of them from one address (in IPv6: one /64); 0: no limit. Trusted proxies are exempt."""
    logins_per_address: Number = Field(default=1200, ge=0)
    """The most logins that one address may complete in a minute; 0: no limit."""
    head_timeout: Duration = 10.0
    """The longest time for a request head to arrive."""
    body_timeout: Duration = 30.0
    """The longest silence within a request body."""
    idle_timeout: Duration = 75.0
    """How long a client connection may wait for its next request."""
    write_timeout: Duration = 60.0
    """The longest time that a client may refuse to read."""
    drain_timeout: Duration = 30.0
    """How long open requests may go on after SIGTERM."""


class LogSettings(Model):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are written."""
    access: bool = True
    """Whether every request gets a line."""


class Settings(Model):
    """The whole file."""

    public_url: PublicUrls
    """Where browsers find the gateway: one URL or a list, each with its own callback and session."""
    allow_insecure_http: bool = False
    """Let public URLs, issuers and endpoints use plain http beyond this machine."""
    listen: Text = "127.0.0.1:8080"
    """Address and port of the public listener."""
    prefix: Text = "/.gateway/"
    """The path under which the gateway's own endpoints are."""
    tls: TlsSettings | None = None
    """TLS on the public listener; absent: plain HTTP."""
    admin: AdminSettings = AdminSettings()
    """The admin listener."""
    workers: Annotated[
        Annotated[Literal["auto"], Tag(UNION_TAGS[0])]
        | Annotated[int, Field(ge=1, le=256), BeforeValidator(_no_truth), Tag(UNION_TAGS[1])],
        Discriminator(_workers_kind),
    ] = 1
    """How many processes serve; ``auto`` is one for each usable processor."""
    trusted_proxies: tuple[Text, ...] = ()
    """Networks whose ``X-Forwarded-*`` are believed: nobody by default."""
    secret_keys: tuple[Secret, ...] = Field(min_length=1, max_length=16)
    """Keys of 32 random bytes in base64: the first seals, all open."""
    redis: RedisSettings | None = None
    """The store; absent: an embedded Valkey."""
    state_dir: Text = "state"
    """Where the embedded store keeps its files."""
    providers: dict[Text, ProviderSettings] = Field(min_length=1, max_length=100)
    """The OpenID Connect providers by name; the first is the default."""
    session: SessionSettings = SessionSettings()
    """Browser sessions."""
    denylist: DenylistSettings = DenylistSettings()
    """Revocation."""
    upstreams: dict[Text, UpstreamSettings] = Field(min_length=1)
    """The upstreams by name."""
    routes: tuple[RouteSettings, ...] = Field(min_length=1)
    """The rules; a request that no route matches is refused."""
    rate_limits: dict[Text, RateLimitSettings] = Field(default_factory=dict, max_length=1000)
    """Rate limits by name; routes that name the same one count together."""
    identity_headers: dict[Text, Text] = Field(
        default_factory=lambda: {
            "X-Forwarded-User": "sub",
            "X-Forwarded-Email": "email",
            "X-Forwarded-Groups": "groups",
            "X-Forwarded-Preferred-Username": "preferred_username",
        }
    )
    """Header fields that tell the upstream who is calling, each with its claim; clients cannot send them."""
    groups_claim: Text = "groups"
    """The claim that holds a person's groups."""
    limits: LimitSettings = LimitSettings()
    """Bounds on clients."""
    log: LogSettings = LogSettings()
    """Logs."""
