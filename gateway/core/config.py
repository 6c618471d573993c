"""The configuration as written: pydantic models that refuse what they do not know.

Empty never means allow: a missing audience, an empty policy list or an unknown key is an error.
Durations are seconds once parsed (``8h``, ``60s``, ``7d`` in the file).
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

_DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,3})?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Turn ``90s``, ``8h`` or ``7d`` into seconds; leave anything else for pydantic to judge.

    Raises:
        ValueError: a string that is no duration.
    """
    if not isinstance(value, str):
        return value
    if (match := _DURATION.fullmatch(value.strip())) is None:
        raise ValueError("write a duration as a number with a unit: 500ms, 60s, 10m, 8h or 7d")
    return float(match["number"]) * _SECONDS[match["unit"]]


Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, le=10 * 365 * 86400)]


class Model(BaseModel):
    """The base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=False)


class AdminSettings(Model):
    """The admin listener: metrics and health need no token, every change does."""

    listen: str = "127.0.0.1:9090"
    token: SecretStr | None = None


class RedisSettings(Model):
    """The store. Absent: an embedded Valkey in ``state_dir``."""

    url: SecretStr
    prefix: str = "gateway:"
    timeout: Duration = 1.0


class ProviderSettings(Model):
    """One OpenID Connect provider."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    client_auth: Literal["client_secret_basic", "client_secret_post", "none"] = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid",)
    audiences: tuple[str, ...] = Field(min_length=1)
    algorithms: tuple[str, ...] = Field(default=("RS256", "ES256"), min_length=1)
    access_token: Literal["opaque", "jwt"] = "opaque"  # noqa: S105 - a kind of token, not a token
    access_token_type: Literal["any", "at+jwt"] = "any"  # noqa: S105 - the same
    userinfo: bool = False
    discovery_url: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    end_session_endpoint: str | None = None
    ca_file: str | None = None
    extra_authorization_parameters: dict[str, str] = Field(default_factory=dict)
    clock_skew: Annotated[float, BeforeValidator(parse_duration), Field(ge=0, le=300)] = 30.0
    timeout: Duration = 10.0
    jwks_max_age: Duration = 600.0
    jwks_max_stale: Duration = 86400.0
    jwks_cooldown: Duration = 30.0


class SessionSettings(Model):
    """Browser sessions."""

    mode: Literal["cookie"] = "cookie"
    idle_lifetime: Duration = 8 * 3600.0
    absolute_lifetime: Duration = 7 * 86400.0
    refresh_before_expiry: Duration = 60.0
    rotation_grace: Duration = 60.0
    login_lifetime: Duration = 600.0


class DenylistSettings(Model):
    """Pushed revocation."""

    max_staleness: Duration = 10.0
    when_stale: Literal["refuse", "allow"] = "refuse"


class UpstreamSettings(Model):
    """Where requests go; the destination is never taken from a request (R55)."""

    servers: tuple[str, ...] = Field(min_length=1)
    ca_file: str | None = None
    connect_timeout: Duration = 5.0
    response_timeout: Duration = 60.0
    idle_timeout: Duration = 300.0
    max_connections: int = Field(default=1024, ge=1)
    keepalive: Duration = 60.0


class RequireSettings(Model):
    """What an identity must hold; every line must be satisfied. Each names a policy of ``POLICIES``."""

    scopes: tuple[str, ...] | None = Field(default=None, min_length=1)
    groups: tuple[str, ...] | None = Field(default=None, min_length=1)
    claims: dict[str, str | int | bool | tuple[str, ...]] | None = Field(default=None, min_length=1)
    methods: tuple[str, ...] | None = Field(default=None, min_length=1)
    acr: tuple[str, ...] | None = Field(default=None, min_length=1)
    max_age: Duration | None = None


class CorsSettings(Model):
    """Preflights that the gateway answers itself (Fetch standard, CORS protocol). Never ``*``."""

    origins: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = ("authorization", "content-type")
    credentials: bool = False
    max_age: Duration = 600.0


class RouteSettings(Model):
    """A rule by host, path prefix and method; the longest prefix wins, on the canonical path."""

    path: str
    upstream: str
    access: Literal["public", "optional", "required"]
    hosts: tuple[str, ...] | None = Field(default=None, min_length=1)
    methods: tuple[str, ...] | None = Field(default=None, min_length=1)
    name: str | None = None
    unauthenticated: Literal["auto", "login", "reject"] = "auto"
    provider: str | None = None
    require: RequireSettings | None = None
    preflight: Literal["refuse", "forward"] | CorsSettings = "refuse"
    authorization: Literal["pass", "strip"] = "strip"
    when_stale: Literal["refuse", "allow"] | None = None
    max_body: int | None = Field(default=None, ge=0)


class LimitSettings(Model):
    """Bounds on what a client may send and hold (R60). Sizes are bytes."""

    head: int = Field(default=32768, ge=1024, le=1 << 20)
    fields: int = Field(default=100, ge=8, le=1000)
    body: int = Field(default=1 << 30, ge=0)
    connections: int = Field(default=10000, ge=1)
    head_timeout: Duration = 10.0
    body_timeout: Duration = 30.0
    idle_timeout: Duration = 75.0
    write_timeout: Duration = 60.0
    drain_timeout: Duration = 30.0


class LogSettings(Model):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = True


class Settings(Model):
    """The whole file."""

    public_url: tuple[str, ...] = Field(min_length=1)
    allow_insecure_http: bool = False
    listen: str = "127.0.0.1:8080"
    prefix: str = "/.gateway/"
    admin: AdminSettings = AdminSettings()
    trusted_proxies: tuple[str, ...] = ()
    secret_keys: tuple[SecretStr, ...] = Field(min_length=1)
    redis: RedisSettings | None = None
    state_dir: str = "state"
    providers: dict[str, ProviderSettings] = Field(min_length=1)
    session: SessionSettings = SessionSettings()
    denylist: DenylistSettings = DenylistSettings()
    upstreams: dict[str, UpstreamSettings] = Field(min_length=1)
    routes: tuple[RouteSettings, ...] = Field(min_length=1)
    identity_headers: dict[str, str] = Field(
        default_factory=lambda: {
            "X-Forwarded-User": "sub",
            "X-Forwarded-Email": "email",
            "X-Forwarded-Groups": "groups",
            "X-Forwarded-Preferred-Username": "preferred_username",
        }
    )
    groups_claim: str = "groups"
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
