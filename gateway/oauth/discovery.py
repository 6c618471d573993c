"""Discovery: where a provider's endpoints are (OpenID Connect Discovery 1.0, RFC 8414)."""

from collections.abc import Mapping

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth.answers import read_object
from gateway.oauth.errors import MessageError
from gateway.syntax.encoding import Json
from gateway.syntax.urls import is_loopback, split_url

MOST_METADATA = 1 << 20
# the endpoints that the gateway itself calls as a client; browsers have no certificate of ours
_CALLED = frozenset(
    (
        "token_endpoint",
        "userinfo_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "pushed_authorization_request_endpoint",
    )
)


def metadata_url(settings: ProviderSettings) -> str:
    """Return where the metadata is, by default under the issuer (OIDC Discovery section 4)."""
    return settings.discovery_url or settings.issuer.removesuffix("/") + "/.well-known/openid-configuration"


def process_response(
    body: bytes, settings: ProviderSettings, *, allow_insecure_http: bool
) -> ProviderMetadata:
    """Check a discovery document and take from it what the gateway uses.

    Endpoints in ``settings`` win over those of the document.

    Args:
        body: of a 200 response.
        settings: the provider's section of the configuration.
        allow_insecure_http: let endpoints use plain http beyond this machine.

    Raises:
        MessageError: no JSON object, another issuer (R8), a missing, malformed or insecure endpoint, or no
            support of the code flow (R1) or of S256 (R2).
    """
    document = _by_certificate(_read(body, settings.issuer), settings)
    _judge_capabilities(document)
    unusable: list[tuple[str, str, str]] = []

    def find(name: str, override: str | None = None) -> str | None:
        url = override if override is not None else document.get(name) or None
        return None if url is None else check_endpoint(name, url, allow_insecure_http=allow_insecure_http)

    def optional(name: str, override: str | None = None) -> str | None:
        # what nobody uses must not stand in the way of a login; who uses it is told
        try:
            return find(name, override)
        except MessageError as error:
            if override is not None:
                raise
            unusable.append((name, error.code, error.detail))
            return None

    return ProviderMetadata(
        issuer=settings.issuer,
        authorization_endpoint=_required(
            "authorization_endpoint", find("authorization_endpoint", settings.authorization_endpoint)
        ),
        token_endpoint=_required("token_endpoint", find("token_endpoint", settings.token_endpoint)),
        jwks_uri=_required("jwks_uri", find("jwks_uri", settings.jwks_uri)),
        userinfo_endpoint=optional("userinfo_endpoint", settings.userinfo_endpoint),
        end_session_endpoint=optional("end_session_endpoint", settings.end_session_endpoint),
        revocation_endpoint=optional("revocation_endpoint", settings.revocation_endpoint),
        introspection_endpoint=optional("introspection_endpoint", settings.introspection_endpoint),
        pushed_authorization_request_endpoint=optional("pushed_authorization_request_endpoint"),
        iss_parameter_supported=document.get("authorization_response_iss_parameter_supported") is True,
        code_challenge_methods=_words(document, "code_challenge_methods_supported") or (),
        # for whoever looks at it: the configuration decides how the client authenticates
        token_auth_methods=_named(document.get("token_endpoint_auth_methods_supported"))
        or ("client_secret_basic",),
        token_auth_algorithms=_named(document.get("token_endpoint_auth_signing_alg_values_supported")),
        requires_pushed_requests=document.get("require_pushed_authorization_requests") is True,
        unusable=tuple(unusable),
    )


def _by_certificate(document: Mapping[str, Json], settings: ProviderSettings) -> Mapping[str, Json]:
    """Return the document with the endpoints for who shows a certificate, as we do (RFC 8705 section 5)."""
    aliases = document.get("mtls_endpoint_aliases")
    if settings.client_certificate is None or not isinstance(aliases, dict):
        return document
    return {**document, **{name: url for name, url in aliases.items() if name in _CALLED}}


def _read(body: bytes, expected: str) -> Mapping[str, Json]:
    document = read_object(body, MOST_METADATA)
    if document is None:
        raise MessageError(
            "metadata_malformed",
            "the discovery document is no JSON object; check that issuer or discovery_url is right",
        )
    issuer = document.get("issuer")
    if issuer != expected:
        raise MessageError(
            "issuer_mismatch",
            f"the discovery document names issuer {_show(issuer)}, the configuration {expected!r};"
            " they must be equal to the last character",
        )
    return document


def check_endpoint(name: str, url: Json, *, allow_insecure_http: bool) -> str:
    """Return an endpoint's URL when it is absolute, clean and safe to send secrets to.

    Plain http is fine towards this very machine. An empty path segment (``//``) is a provider's habit and
    passes unchanged.

    Args:
        name: what to call it in an error.
        url: as found.
        allow_insecure_http: let it use plain http beyond this machine.

    Raises:
        MessageError: ``endpoint_invalid`` or ``endpoint_insecure``.
    """
    parts = split_url(url) if isinstance(url, str) else None
    if not isinstance(url, str) or parts is None or "@" in parts.netloc or "#" in url:
        raise MessageError("endpoint_invalid", f"{name} is no absolute http or https URL")
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(parts.hostname or ""):
        raise MessageError(
            "endpoint_insecure",
            f"{name} uses plain http; serve it over https, or set allow_insecure_http for a closed network",
        )
    return url


def _judge_capabilities(document: Mapping[str, Json]) -> None:
    response_types = _words(document, "response_types_supported")
    if response_types is not None and "code" not in response_types:
        raise MessageError(
            "code_flow_unsupported",
            "the provider does not offer response_type code; enable the authorization code flow there",
        )
    challenges = _words(document, "code_challenge_methods_supported")
    if challenges is not None and "S256" not in challenges:
        raise MessageError("pkce_unsupported", "the provider does not offer PKCE with S256; enable it there")


def _required(name: str, url: str | None) -> str:
    if url is None:
        raise MessageError(
            "metadata_malformed", f"the discovery document lacks {name}; the configuration can name it"
        )
    return url


def _words(document: Mapping[str, Json], name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, list | str):
        raise MessageError("metadata_malformed", f"{name} of the discovery document is no list")
    return _named(value)


def _named(value: Json) -> tuple[str, ...]:
    """Return the words of a list; of a text, as some providers write a list of one, that text's."""
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _show(value: Json) -> str:
    return repr(value[:200]) if isinstance(value, str) else "nothing that is a string"
