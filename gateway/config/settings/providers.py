"""Settings of a provider: OpenID Connect, or OAuth 2.0 with an API that tells who somebody is."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.settings.base import Duration, Model, Secret, Text, as_duration
from gateway.config.settings.claims import ClaimSource

ALGORITHMS = frozenset(
    (
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
        # RFC 8037's name for both curves, and RFC 9864's for one
        *("EdDSA", "Ed25519"),
    )
)
"""The algorithms that exist here; asymmetric all, so that no public key can serve as a secret (R18)."""

SigningAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


class ProviderSettings(Model):
    """One provider."""

    issuer: Text
    """The issuer identifier, equal to the last character to the discovery document's and to ``iss``."""
    kind: Literal["oidc", "oauth2"] = "oidc"
    """OpenID Connect; or OAuth 2.0 alone, without ID tokens: the provider's own API tells who somebody is."""
    preset: Literal["github", "gitlab", "discord"] | None = None
    """Whose API it is, for ``kind: oauth2``: its endpoints follow from the issuer; absent: any other."""
    label: Text | None = None
    """What people know it as, where they choose; absent: its name."""
    subject: Text | None = None
    """Where in the user API's answer the account's id is that never changes, for ``kind: oauth2``."""
    user_max_age: Duration = 900.0
    """How long the user API's answer holds where no refresh token came, for ``kind: oauth2``."""
    bearer_only: bool = False
    """Whether its bearer tokens count and nobody logs in there."""
    client_id: Text = ""
    """The gateway's client identifier there; required unless ``bearer_only``."""
    client_secret: Secret | None = None
    """The client's secret; required unless ``client_auth`` is ``none``."""
    client_auth: Literal[
        "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "none"
    ] = "client_secret_basic"
    """How the gateway authenticates at the token endpoint."""
    signing_keys: tuple[Secret, ...] = Field(default=(), max_length=8)
    """Of ``private_key_jwt``: private keys in PEM form. The first signs; all are published."""
    signing_algorithm: SigningAlgorithm | None = None
    """How the first of them signs; absent: RS256, ES256, ES384, ES512 or EdDSA, as its kind has it."""
    assertion_audience: Literal["issuer", "endpoint"] = "issuer"
    """The ``aud`` of ``private_key_jwt``: the issuer, or the URL that is called (Entra ID, Okta)."""
    client_certificate: Text | None = None
    """PEM file of the gateway's certificate for calls to this provider, with its chain (RFC 8705)."""
    client_key: Text | None = None
    """Its key, if that is in a file of its own."""
    pushed_requests: Literal["offered", "always", "never"] = "offered"
    """Whether logins push what they ask for (RFC 9126): where the provider offers that, always, or never."""
    resources: tuple[Text, ...] = Field(default=(), max_length=16)
    """What the access tokens of logins are to be for, as absolute URIs (RFC 8707)."""
    scopes: tuple[Text, ...] = ("openid",)
    """What a login asks for; ``openid`` always. ``offline_access`` often brings a refresh token."""
    audiences: tuple[Text, ...] = Field(default=(), min_length=1)
    """The ``aud`` values of which a bearer token must name one; none of ``kind: oauth2``."""
    clients_without_aud: tuple[Text, ...] = ()
    """The ``client_id`` values with which a token counts that has no ``aud`` at all (Cognito)."""
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
    token_userinfo: Duration | None = None
    """How long claims hold that UserInfo tells of a bearer token's bearer; absent: it is not asked."""
    groups_overage: Literal["omit", "graph"] = "omit"
    """Whether groups too many for an ID token (Entra ID) are missing, or asked for at Microsoft Graph."""
    graph_url: Text = "https://graph.microsoft.com/v1.0"
    """Where Microsoft Graph is; national clouds have their own."""
    response_mode: Literal["query", "form_post"] = "query"
    """How the provider answers a login; ``form_post``, over https, where it insists on that (Apple)."""
    email_verified: Literal["check", "assume", "ignore"] = "check"
    """Whether addresses count as verified where nothing says so, and whether unverified ones are told."""
    claims: dict[Text, ClaimSource] = Field(default_factory=dict, max_length=100)
    """What routes, headers and logs call its claims: names with the paths that they come from."""
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
    revocation_endpoint: Text | None = None
    """Wins over the discovery document's; the gateway calls it at logout."""
    introspection: Literal["none", "json", "jwt"] = "none"
    """Whether it is asked about opaque tokens (RFC 7662); ``jwt``: its answers must be signed (RFC 9701)."""
    introspection_endpoint: Text | None = None
    """Wins over the discovery document's; the gateway calls it."""
    introspection_max_age: Duration = 60.0
    """How long its answer about a token counts at most, and never beyond the token's ``exp``."""
    introspection_refused_for: Duration = 5.0
    """How long a token that is not active is not asked about again."""
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


EMAIL = "email"
