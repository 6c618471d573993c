"""The configuration as written: pydantic models that refuse what they do not know.

Empty never means allow: a missing audience, an empty policy list or an unknown key is an error.
The sections' models are in ``core.settings_*``; what spans several fields is checked in
``config.checks.every``.
"""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from gateway.config.settings.base import (
    UNION_TAGS,
    Duration,
    Model,
    Secret,
    Text,
    as_duration,
    no_truth,
    parse_duration,
)
from gateway.config.settings.listener import (
    AdminSettings,
    CertificateSettings,
    ClientHeaderSettings,
    ForwardingSettings,
    HstsSettings,
    LimitSettings,
    LogSettings,
    RateLimitSettings,
    TlsSettings,
)
from gateway.config.settings.routes import CorsSettings, RequireSettings, RouteSettings
from gateway.config.settings.store import RedisSettings, SentinelSettings, StoreTlsSettings
from gateway.config.settings.upstreams import (
    BreakerSettings,
    HealthSettings,
    UpstreamSettings,
    UpstreamTlsSettings,
)

__all__ = [
    "UNION_TAGS",
    "AdminSettings",
    "BreakerSettings",
    "CertificateSettings",
    "ClientHeaderSettings",
    "CorsSettings",
    "DenylistSettings",
    "ForwardingSettings",
    "HealthSettings",
    "HstsSettings",
    "LimitSettings",
    "LogSettings",
    "Model",
    "ProviderSettings",
    "RateLimitSettings",
    "RedisSettings",
    "RequireSettings",
    "RouteSettings",
    "SentinelSettings",
    "SessionSettings",
    "Settings",
    "StoreTlsSettings",
    "TlsSettings",
    "UpstreamSettings",
    "UpstreamTlsSettings",
    "parse_duration",
]


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _workers_kind(value: object) -> str:
    return UNION_TAGS[0] if value == "auto" else UNION_TAGS[1]


PublicUrls = Annotated[
    tuple[Text, ...],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_many, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)]),
]


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
    id_token_audiences: tuple[Text, ...] = ()
    """Further ``aud`` values that an ID token without ``azp`` may name beside ``client_id``."""
    algorithms: tuple[Text, ...] = Field(default=("RS256", "ES256"), min_length=1)
    """The signature algorithms that count; asymmetric ones only."""
    access_token: Literal["opaque", "jwt"] = "opaque"  # noqa: S105 - a kind of token, not a token
    """Whether a session's access token is verified as a JWT, which brings its scopes and claims."""
    access_token_type: Literal["any", "at+jwt"] = "any"  # noqa: S105 - the same
    """``at+jwt`` demands that header ``typ`` of a bearer token (RFC 9068)."""
    userinfo: bool = False
    """Whether a login also asks the UserInfo endpoint for claims."""
    response_mode: Literal["query", "form_post"] = "query"
    """How the provider answers a login; ``form_post``, over https, where it insists on that (Apple)."""
    email_verified: Literal["check", "assume", "ignore"] = "check"
    """Whether addresses count as verified where nothing says so, and whether unverified ones are told."""
    callback: Text | None = None
    """The path of its own callback; absent: ``<prefix>callback``, for all but the first with ``/<name>``."""
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
    proxy: Secret | None = None
    """The HTTP proxy for calls to this provider, or ``none``; absent: as the environment says."""
    extra_authorization_parameters: dict[Text, Text] = Field(default_factory=dict)
    """More parameters of the authorization request, such as ``prompt`` or ``domain_hint``."""
    clock_skew: Annotated[float, Field(ge=0, le=300), as_duration] = 30.0
    """How far the provider's clock may differ."""
    timeout: Duration = 10.0
    """The longest call to the provider, all of its tries together."""
    jwks_max_age: Duration = 600.0
    """The age at which the key set is fetched again."""
    jwks_max_stale: Duration = 86400.0
    """The age at which keys stop counting when they cannot be fetched again."""
    jwks_cooldown: Duration = 30.0
    """The shortest time between two key fetches that one caller's tokens cause."""


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
    claims_max_age: Duration | None = None
    """The age from which on what a provider told of somebody does not count; absent: as idle_lifetime."""

    @property
    def most_claims_age(self) -> float:
        """``claims_max_age`` in seconds, or what stands in for it."""
        return self.idle_lifetime if self.claims_max_age is None else self.claims_max_age


# the entry of a session's end outlives its copies by so many seconds at least
_SOON_STALE: Final = 30.0


class DenylistSettings(Model):
    """Pushed revocation."""

    max_staleness: Duration = 10.0
    """The age at which a worker's replica counts as stale."""
    when_stale: Literal["refuse", "allow"] = "refuse"
    """What happens then to requests that need an identity; a route may differ."""


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
    health_path: Text | None = None
    """Where balancers ask the public listener whether it serves, under any Host; absent: nowhere."""
    tls: TlsSettings | None = None
    """TLS on the public listener; absent: plain HTTP."""
    admin: AdminSettings = AdminSettings()
    """The admin listener."""
    workers: Annotated[
        Annotated[Literal["auto"], Tag(UNION_TAGS[0])]
        | Annotated[int, Field(ge=1, le=256), BeforeValidator(no_truth), Tag(UNION_TAGS[1])],
        Discriminator(_workers_kind),
    ] = 1
    """How many processes serve; ``auto`` is one for each usable processor."""
    extra_methods: tuple[Text, ...] = ()
    """Request methods that are taken beside the registered ones, such as ``LIST``; others are 501."""
    trusted_proxies: tuple[Text, ...] = ()
    """Networks of the proxies that are believed about the client: nobody by default."""
    proxy_protocol: tuple[Text, ...] = ()
    """Networks of balancers that begin each connection with the PROXY protocol's header, version 1 or 2."""
    forwarding: ForwardingSettings = ForwardingSettings()
    """The fields that those proxies write; every other forwarding field is dropped unread."""
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
    identity_encoding: Literal["percent", "utf-8"] = "percent"
    """Whether letters beyond ASCII in those fields are percent-encoded, or sent as UTF-8."""
    client_headers: ClientHeaderSettings = ClientHeaderSettings()
    """Which fields of clients are dropped beside those that name an identity."""
    groups_claim: Text = "groups"
    """The claim that holds a person's groups."""
    limits: LimitSettings = LimitSettings()
    """Bounds on clients."""
    log: LogSettings = LogSettings()
    """Logs."""

    @property
    def copies_last(self) -> float:
        """How long, in seconds, a copy of a session's cookies may still be good for, if it has not ended.

        A worker that has not heard of its end seals them anew until it is stale, or for good where it allows
        then (R44).
        """
        if "allow" in (self.denylist.when_stale, *(route.when_stale for route in self.routes)):
            return self.session.absolute_lifetime
        return self.session.idle_lifetime + max(0.0, self.denylist.max_staleness - _SOON_STALE)
