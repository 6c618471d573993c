"""An OpenID Connect provider: what it is, what it says of itself, and what its token endpoint answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.settings.providers import ProviderSettings
from gateway.core import email
from gateway.core.claim_mapping import ClaimMapping, Shape
from gateway.core.identity import Claims


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A successful token response (RFC 6749 section 5.1), checked for form only.

    ``expires_in`` is in seconds. ``scopes`` is None when the response named none (then the requested ones
    hold, RFC 6749 section 5.1). ``user`` is what the user API told with it, None where it was not asked.
    """

    access_token: str = field(repr=False)
    expires_in: float | None
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scopes: frozenset[str] | None = None
    user: Claims | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A token exchanged for an upstream, to be renewed from ``due_at`` on; times are epoch seconds."""

    token: str = field(repr=False)
    due_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """A token endpoint's error response that counts (R34). ``error`` is RFC 6749's code, or ``empty``."""

    error: str


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What discovery told (OpenID Connect Discovery 1.0 section 3), checked and limited.

    ``unusable`` holds name, code and detail of optional endpoints that were left out because nothing may be
    sent there; only who uses one needs to know. ``also_issuers`` are what it may call itself in an
    authorization response. ``jwks_uri`` is empty where it signs nothing.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    iss_parameter_supported: bool = False
    code_challenge_methods: tuple[str, ...] = ()
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    token_auth_algorithms: tuple[str, ...] = ()
    requires_pushed_requests: bool = False
    unusable: tuple[tuple[str, str, str], ...] = ()
    also_issuers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, ready for checks.

    ``callback`` is the path of its own callback (RFC 9700 section 4.4). ``clock_skew`` is in seconds.
    ``kept_claims`` are the names of those that a session keeps, as the provider calls them; ``mapping`` is
    what they become, and ``shapes`` what of them is enough for that.
    ``keeps_access_token``: a session keeps its access token too, to verify it or to give it to an upstream.
    """

    name: str
    settings: ProviderSettings
    issuer: str
    client_id: str
    audiences: frozenset[str]
    algorithms: tuple[str, ...]
    clock_skew: float
    callback: str = ""
    kept_claims: frozenset[str] = frozenset()
    keeps_access_token: bool = False
    mapping: ClaimMapping | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def has_id_tokens(self) -> bool:
        """Whether it speaks OpenID Connect; else its user API says who somebody is."""
        return self.settings.kind == "oidc"

    @property
    def assumed_scopes(self) -> frozenset[str]:
        """What was granted where the token response does not say (RFC 6749 section 5.1)."""
        asked = frozenset(self.settings.scopes)
        return asked if self.has_id_tokens else asked - {"openid"}


def claims_of(provider: Provider, subject: str, claims: Claims) -> Claims:
    """Return what a provider's claims of a subject are here: mapped, and its address as configured."""
    if provider.mapping is not None:
        # both were verified as such; no other source of claims can replace them (R26)
        claims = provider.mapping.apply({**claims, "iss": provider.issuer, "sub": subject})
    return email.claims_of(provider.settings, claims)
