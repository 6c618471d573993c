"""The alpha configuration of oauth2-proxy: upstreams, header fields, servers and the provider.

Most of it are the options of the usual file under other names. What is more is put into the draft as it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

from gateway.cli.oauth2_proxy.options import MOST_FILE, Unreadable

Document: TypeAlias = Mapping[str, Any]

_PROVIDER: Final = """
    clientID client_id | clientSecret client_secret | clientSecretFile client_secret_file
    keycloakConfig.groups keycloak_groups | keycloakConfig.roles allowed_roles
    azureConfig.tenant azure_tenant | azureConfig.graphGroupField azure_graph_group_field
    microsoftEntraIDConfig.allowedTenants entra_id_allowed_tenants
    microsoftEntraIDConfig.federatedTokenAuth entra_id_federated_token_auth
    bitbucketConfig.team bitbucket_team | bitbucketConfig.workspace bitbucket_workspace
    bitbucketConfig.repository bitbucket_repository | githubConfig.org github_org
    githubConfig.team github_team | githubConfig.repo github_repo | githubConfig.token github_token
    githubConfig.users github_users | gitlabConfig.group gitlab_groups | gitlabConfig.projects gitlab_projects
    googleConfig.group google_groups | googleConfig.adminEmail google_admin_email
    googleConfig.serviceAccountJson google_service_account_json
    googleConfig.useApplicationDefaultCredentials google_use_application_default_credentials
    googleConfig.targetPrincipal google_target_principal
    googleConfig.useOrganizationID google_use_organization_id
    googleConfig.adminAPIUserScope google_admin_api_user_scope | oidcConfig.issuerURL oidc_issuer_url
    oidcConfig.insecureAllowUnverifiedEmail insecure_oidc_allow_unverified_email
    oidcConfig.insecureSkipIssuerVerification insecure_oidc_skip_issuer_verification
    oidcConfig.insecureSkipNonce insecure_oidc_skip_nonce | oidcConfig.skipDiscovery skip_oidc_discovery
    oidcConfig.jwksURL oidc_jwks_url | oidcConfig.publicKeyFiles oidc_public_key_files
    oidcConfig.emailClaim oidc_email_claim | oidcConfig.groupsClaim oidc_groups_claim
    oidcConfig.userIDClaim user_id_claim | oidcConfig.audienceClaims oidc_audience_claims
    oidcConfig.extraAudiences oidc_extra_audiences | oidcConfig.enabledSigningAlgs oidc_enabled_signing_algs
    loginGovConfig.jwtKey jwt_key | loginGovConfig.jwtKeyFile jwt_key_file
    loginGovConfig.pubjwkURL pubjwk_url | provider provider | name provider_display_name
    caFiles provider_ca_files | useSystemTrustStore use_system_trust_store | loginURL login_url
    authRequestResponseMode auth_request_response_mode | redeemURL redeem_url | profileURL profile_url
    skipClaimsFromProfileURL skip_claims_from_profile_url | resource resource | validateURL validate_url
    scope scope | allowedGroups allowed_groups | code_challenge_method code_challenge_method
    backendLogoutURL backend_logout_url
"""
_SERVERS: Final = """
    server.bindAddress http_address | server.secureBindAddress https_address
    server.tls.key.fromFile tls_key_file | server.tls.cert.fromFile tls_cert_file
    server.tls.minVersion tls_min_version | server.tls.cipherSuites tls_cipher_suites
    metricsServer.bindAddress metrics_address | metricsServer.secureBindAddress metrics_secure_address
    metricsServer.tls.key.fromFile metrics_tls_key_file
    metricsServer.tls.cert.fromFile metrics_tls_cert_file
"""
_NOT_NEEDED: Final = frozenset({"id", "ADFSConfig.skipScope", "additionalClaims"})
_PARAMETERS: Final = ("acr_values", "prompt", "approval_prompt")
_UPSTREAM: Final = frozenset(
    {"id", "path", "rewriteTarget", "uri", "static", "staticCode", "insecureSkipTLSVerify", "passHostHeader"}
    | {"proxyWebSockets", "timeout", "disableKeepAlives", "flushInterval"}
)
_REWRITTEN: Final = re.compile(r"\^(/[^\\.\[\]{}()*+?|^$]*?)/?\((?:\.\*)\)\$?")
REWRITE: Final = re.compile(r"(/(?:[^$]*/)?)\$1")


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for part in text.replace("\n", "|").split("|"):
        if part.strip():
            theirs, ours = part.split()
            found[theirs] = ours
    return found


PROVIDER: Final = _pairs(_PROVIDER)
"""The option of the usual file for each member of a provider."""
SERVERS: Final = _pairs(_SERVERS)
"""The same for the servers."""


@dataclass(slots=True)
class Alpha:
    """What the file says. ``options`` are those of the usual file; None of the others where they are absent.

    ``parameters`` are more ones of the authorization request.
    """

    options: dict[str, object] = field(default_factory=dict)
    upstreams: list[Document] = field(default_factory=list)
    request_headers: list[Document] = field(default_factory=list)
    response_headers: list[Document] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    passes_raw: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_alpha(data: bytes) -> Alpha:
    """Read the alpha configuration. Raises Unreadable."""
    if len(data) > MOST_FILE:
        raise Unreadable(["the alpha configuration is too long"])
    try:
        document = yaml.safe_load(data.decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise Unreadable(["the alpha configuration is no YAML"]) from None
    if not isinstance(document, dict):
        raise Unreadable(["the alpha configuration is no mapping"])
    alpha = Alpha()
    _servers({name: document.pop(name, None) or {} for name in ("server", "metricsServer")}, alpha)
    _providers(document.pop("providers", None), alpha)
    _upstreams(document.pop("upstreamConfig", None) or {}, alpha)
    alpha.request_headers = _list(document.pop("injectRequestHeaders", None), "injectRequestHeaders", alpha)
    alpha.response_headers = _list(
        document.pop("injectResponseHeaders", None), "injectResponseHeaders", alpha
    )
    alpha.problems += [f"{name}: the alpha configuration has no such member" for name in map(str, document)]
    if alpha.problems:
        raise Unreadable(alpha.problems)
    return alpha


def _leaves(document: object, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(document, dict):
        yield path, document
        return
    for name, value in document.items():
        yield from _leaves(value, f"{path}.{name}" if path else str(name))


def _servers(servers: Document, alpha: Alpha) -> None:
    for path, value in _leaves(servers):
        if path in SERVERS:
            alpha.options[SERVERS[path]] = value
        elif not isinstance(value, dict) and path not in ("server", "metricsServer"):
            alpha.problems.append(f"{path}: only files and addresses are read here, and no such member")
    if alpha.options.get("http_address") in ("", "-"):
        alpha.options.pop("http_address")


def _providers(providers: object, alpha: Alpha) -> None:
    if not isinstance(providers, list) or len(providers) != 1 or not isinstance(providers[0], dict):
        alpha.problems.append("providers: one provider is expected, as oauth2-proxy takes the first alone")
        return
    provider = dict(providers[0])
    alpha.options["approval_prompt"] = ""
    for each in _list(provider.pop("loginURLParameters", None), "loginURLParameters", alpha):
        _parameter(each, alpha)
    for path, value in _leaves(provider):
        if path in PROVIDER:
            alpha.options[PROVIDER[path]] = value
        elif path not in _NOT_NEEDED:
            alpha.problems.append(f"providers[0].{path}: the alpha configuration has no such member")


def _parameter(each: Document, alpha: Alpha) -> None:
    name, default = str(each.get("name", "")), each.get("default") or []
    if each.get("allow"):
        alpha.notes.append(
            f"loginURLParameters: what {name} may be is the configuration's to say, not a link's"
        )
    if default and name in _PARAMETERS:
        alpha.options[name] = str(default[0])
    elif default:
        alpha.parameters[name] = str(default[0])


def _upstreams(config: object, alpha: Alpha) -> None:
    if not isinstance(config, dict):
        alpha.problems.append("upstreamConfig: a mapping is expected")
        return
    alpha.passes_raw = config.pop("proxyRawPath", False) is True
    alpha.upstreams = _list(config.pop("upstreams", None), "upstreamConfig.upstreams", alpha)
    alpha.problems += [
        f"upstreamConfig.{name}: the alpha configuration has no such member" for name in config
    ]
    for each in alpha.upstreams:
        alpha.problems += [
            f"upstreamConfig.upstreams.{name}: the alpha configuration has no such member"
            for name in sorted(map(str, each))
            if name not in _UPSTREAM
        ]


def _list(value: object, name: str, alpha: Alpha) -> list[Document]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        alpha.problems.append(f"{name}: a list of mappings is expected")
        return []
    return value


def rewritten(path: str, target: str) -> tuple[str, str] | None:
    """Return the prefix of an upstream that rewrites, and what takes its place; None where it is no such."""
    found, put = _REWRITTEN.fullmatch(path), REWRITE.fullmatch(target)
    if found is None or put is None or not found[1]:
        return None
    return f"{found[1]}/", put[1]
