"""The configuration as written: pydantic models that refuse what they do not know.

Empty never means allow: a missing audience, an empty policy list or an unknown key is an error.
Each section's model stands beside this one; what spans several fields is checked in ``config.checks.every``.
"""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag

from gateway.config.settings.admin import AdminSettings
from gateway.config.settings.api_keys import ApiKeysSettings
from gateway.config.settings.asking import Asker
from gateway.config.settings.assertions import AssertionSettings
from gateway.config.settings.audit import AuditSettings
from gateway.config.settings.base import (
    UNION_TAGS,
    Model,
    Secret,
    Text,
    no_truth,
)
from gateway.config.settings.dpop import DpopSettings
from gateway.config.settings.listener import (
    ClientHeaderSettings,
    ForwardingSettings,
    LimitSettings,
    TlsSettings,
)
from gateway.config.settings.logs import LogSettings
from gateway.config.settings.pages import PagesSettings
from gateway.config.settings.policies import ContactText, Require
from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.routes import RouteSettings
from gateway.config.settings.sessions import DenylistSettings, SessionSettings
from gateway.config.settings.store import RedisSettings
from gateway.config.settings.telemetry import TelemetrySettings
from gateway.config.settings.upstreams import (
    UpstreamSettings,
)


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _workers_kind(value: object) -> str:
    return UNION_TAGS[0] if value == "auto" else UNION_TAGS[1]


PublicUrls = Annotated[
    tuple[Text, ...],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_many, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)]),
]


NetworkName = Annotated[str, StringConstraints(min_length=1, max_length=60)]

# the entry of a session's end outlives its copies by so many seconds at least
_SOON_STALE: Final = 30.0


class Settings(Model):
    """The whole file."""

    public_url: PublicUrls
    """Where browsers find the gateway: one URL or a list; ``https://*.example.com`` is a site a name."""
    login_host: Text | None = None
    """The URL under which people log in for every site; absent: each site has a callback of its own."""
    cookie_domain: Text | None = None
    """The domain whose every host is sent the sessions; absent: each is for one host alone."""
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
    asked_by: tuple[Asker, ...] = ()
    """The kinds of those proxies that ask for decisions, and forward by themselves: nobody by default."""
    secret_keys: tuple[Secret, ...] = Field(min_length=1, max_length=16)
    """Keys of 32 random bytes in base64: the first seals, all open."""
    redis: RedisSettings | None = None
    """The store; absent: an embedded Valkey."""
    state_dir: Text = "state"
    """Where the embedded store keeps its files."""
    providers: dict[Text, ProviderSettings] = Field(min_length=1, max_length=100)
    """The OpenID Connect providers by name; the first is the default."""
    api_keys: ApiKeysSettings | None = None
    """API keys for machines; absent: there are none."""
    dpop: DpopSettings = DpopSettings()
    """Proofs that come with access tokens which are bound to a key."""
    choose_provider: bool = False
    """Whether people choose where to log in, where those of several providers come in; false: the first."""
    session: SessionSettings = SessionSettings()
    """Browser sessions."""
    networks: dict[NetworkName, tuple[Text, ...]] = Field(default_factory=dict, max_length=100)
    """Networks by the names under which people are shown where they have logged in."""
    denylist: DenylistSettings = DenylistSettings()
    """Revocation."""
    upstreams: dict[Text, UpstreamSettings] = Field(min_length=1)
    """The upstreams by name."""
    routes: tuple[RouteSettings, ...] = Field(min_length=1)
    """The rules; a request that no route matches is refused."""
    policies: dict[Text, Require] = Field(default_factory=dict, max_length=1000)
    """Policies by name, for routes and for one another."""
    require: Require | None = None
    """What every identity must hold, beside what its route requires."""
    contact: ContactText | None = None
    """Whom a refused person may ask: an e-mail address, a URL, or words."""
    pages: PagesSettings = PagesSettings()
    """The pages that people see."""
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
    assertions: AssertionSettings = AssertionSettings()
    """How assertions are signed."""
    client_headers: ClientHeaderSettings = ClientHeaderSettings()
    """Which fields of clients are dropped beside those that name an identity."""
    groups_claim: Text = "groups"
    """The claim that holds a person's groups."""
    roles_claim: Text = "roles"
    """The claim that holds a person's roles."""
    limits: LimitSettings = LimitSettings()
    """Bounds on clients."""
    log: LogSettings = LogSettings()
    """Logs."""
    audit: AuditSettings = AuditSettings()
    """The audit log."""
    telemetry: TelemetrySettings | None = None
    """OpenTelemetry; absent: nothing is sent anywhere."""

    @property
    def copies_last(self) -> float:
        """How long, in seconds, a copy of a session's cookies may still be good for, if it has not ended.

        A worker that has not heard of its end seals them anew until it is stale, or for good where it allows
        then (R44).
        """
        if "allow" in (self.denylist.when_stale, *(route.when_stale for route in self.routes)):
            return self.session.absolute_lifetime
        return self.session.idle_lifetime + max(0.0, self.denylist.max_staleness - _SOON_STALE)
