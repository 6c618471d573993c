"""Settings of the routes: preflights, and the rule itself."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from gateway.config.settings.authorization import AuthorizationSettings
from gateway.config.settings.base import UNION_TAGS, Duration, Model, Number, Secret, Text
from gateway.config.settings.policies import ContactText, Require, RequireSettings
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.resources import ResourceSettings


def _preflight_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | CorsSettings) else UNION_TAGS[0]


def _authorization_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | AuthorizationSettings) else UNION_TAGS[0]


def _rate_limit_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | RateLimitSettings) else UNION_TAGS[0]


def _log_kind(value: object) -> str:
    return UNION_TAGS[0] if isinstance(value, bool) else UNION_TAGS[1]


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
    expose: tuple[Text, ...] = ("WWW-Authenticate", "Retry-After", "X-Request-ID")
    """Response header fields that scripts of these origins may read."""


class RouteSettings(Model):
    """A rule by host, path prefix and method; the longest prefix wins, on the canonical path."""

    path: Text
    """The canonical path prefix."""
    exact: bool = False
    """Whether it is for this very path alone, and for nothing below it."""
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
    """The provider whose people alone come in, and that a login uses; absent: all, and the first."""
    providers: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Several providers whose people come in; a login uses ``provider`` if given, else the first of them."""
    api_keys: bool = False
    """Whether API keys count here, whichever providers' people come in."""
    bound_tokens: Literal["optional", "required", "dpop", "mtls"] = "optional"
    """Whether access tokens have to be bound: to anything, a key or a certificate. One that is, is proven."""
    resource: ResourceSettings | None = None
    """What is published of it for agents (MCP) and APIs, whose tokens have to name it; absent: nothing."""
    require: Require | None = None
    """What the identity must hold: a policy, or the name of one of `policies`."""
    default_require: bool = True
    """Whether the `require` of all routes holds here as well."""
    contact: ContactText | None = None
    """Whom a refused person may ask; absent: as `contact` says for all routes."""
    extra_authorization_parameters: dict[Text, Text] = Field(default_factory=dict)
    """More parameters of logins that begin here, such as ``prompt``; they win over the provider's."""
    preflight: Annotated[
        Annotated[Literal["refuse", "forward"], Tag(UNION_TAGS[0])]
        | Annotated[CorsSettings, Tag(UNION_TAGS[1])],
        Discriminator(_preflight_kind),
    ] = "refuse"
    """CORS preflights: refused, forwarded to the upstream, or answered by the section given here."""
    cors: Literal["upstream", "answer"] = "upstream"
    """Who lets other origins read forwarded answers: the upstream, or the gateway, by ``preflight``."""
    unsafe_from: Literal["same-origin", "same-site", "anywhere"] = "same-origin"
    """Whose pages may change something by a session (CSRF); origins that ``preflight`` allows may as well."""
    authorization: Annotated[
        Annotated[Literal["pass", "strip", "access_token"], Tag(UNION_TAGS[0])]
        | Annotated[AuthorizationSettings, Tag(UNION_TAGS[1])],
        Discriminator(_authorization_kind),
    ] = "strip"
    """What upstreams get as Authorization: the client's, none, the caller's access token, or as told here."""
    identity_headers: dict[Text, Text] | None = None
    """As the gateway-wide ones, in their stead on this route; absent: those."""
    request_headers: dict[Text, Secret] = Field(default_factory=dict, max_length=32)
    """Header fields that requests get on their way to the upstream; on no route can clients send them."""
    response_headers: dict[Text, Text | None] = Field(default_factory=dict, max_length=32)
    """Header fields of the upstream's responses: replaced or added by these; null removes one."""
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
    raw_path: bool = False
    """Whether targets go on exactly as they came, ``%2F``, ``//`` and ``;`` too; no route may be below."""
    rate_limit: (
        Annotated[
            Annotated[Text, Tag(UNION_TAGS[0])] | Annotated[RateLimitSettings, Tag(UNION_TAGS[1])],
            Discriminator(_rate_limit_kind),
        ]
        | None
    ) = None
    """How often one caller may ask: a name of ``rate_limits``, or a section of its own; absent: no limit."""
    log: (
        Annotated[
            Annotated[bool, Tag(UNION_TAGS[0])] | Annotated[float, Field(ge=0, le=1), Tag(UNION_TAGS[1])],
            Discriminator(_log_kind),
        ]
        | None
    ) = None
    """Whether its requests get access lines, or which share of them; absent: as ``log`` has it for all."""
    audit: bool = False
    """Whether each request is an audit event, ``access``: who was there, and what became of it."""
    websocket_origins: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Origins whose pages may open WebSockets with a session, beside the site's own; absent: none."""


__all__ = ["CorsSettings", "RequireSettings", "RouteSettings"]
