"""Where people log in: the provider, how the gateway is its client, and which of its people come in."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.cli.oauth2_proxy.addresses import split
from gateway.cli.oauth2_proxy.draft import NO_BEARER, Draft
from gateway.cli.oauth2_proxy.options import Options
from gateway.cli.oauth2_proxy.server import callback_of
from gateway.config.settings.providers import ALGORITHMS

Provider = dict[str, Any]

_NAMES: Final = {"keycloak-oidc": "keycloak", "entra-id": "entra", "login.gov": "logingov"}
_KEYCLOAK_LOGIN: Final = "/protocol/openid-connect/auth"
USER_CLAIMS: Final[Mapping[str, str]] = {"github": "login", "gitlab": "nickname"}
"""What a provider's people are called by there, where that is not ``sub``."""


def put_providers(options: Options, draft: Draft) -> None:
    """Put in the provider, and those whose bearer tokens count besides."""
    kind = options.text("provider")
    make = _KINDS.get(kind)
    if make is None:
        draft.error(
            "provider",
            f"there is no preset for {kind[:40]}: write it by hand, as kind: oauth2 (docs/providers.md)",
        )
        return
    provider = make(options, draft)
    if provider is None:
        return
    if options.text("provider_display_name"):
        provider["label"] = options.text("provider_display_name")
    provider |= _client(options, draft, provider)
    is_oidc = provider.get("kind") != "oauth2"
    provider["scopes"] = _scopes(options, is_oidc=is_oidc)
    name = _NAMES.get(kind, kind)
    if is_oidc:
        provider |= _tokens(options, draft, provider)
    provider |= _endpoints(options, is_oidc=is_oidc) | _parameters(options, draft)
    callback = callback_of(options, draft)
    if callback is not None:
        provider["callback"] = callback
    elif not is_oidc:
        provider["callback"] = f"{options.text('proxy_prefix').rstrip('/')}/callback"
    _put_ca(options, draft, provider)
    providers = {name: provider}
    if options.flag("skip_jwt_bearer_tokens"):
        providers |= _bearer_only(options, draft)
    draft.sections["providers"] = providers


def _oidc(options: Options, draft: Draft) -> Provider | None:
    issuer = options.text("oidc_issuer_url")
    if not issuer:
        draft.error("oidc_issuer_url", "the issuer is what people are told apart by: it has to be named")
        return None
    return {"issuer": issuer} | _userinfo(options)


def _keycloak_oidc(options: Options, draft: Draft) -> Provider | None:
    provider = _oidc(options, draft)
    if provider is not None and options.items("allowed_roles"):
        # an access token is read only where it is meant for us, and would count as a bearer token then
        provider["userinfo"] = True
        draft.note(
            "allowed_roles",
            "roles stand in Keycloak's access tokens alone by default: let its client scope roles add them to"
            " UserInfo (mappers realm roles, client roles: Add to userinfo)",
        )
    return provider


def _userinfo(options: Options) -> Provider:
    return {} if options.flag("skip_claims_from_profile_url") else {"userinfo": True}


def _google(options: Options, _: Draft) -> Provider:
    return {"issuer": options.text("oidc_issuer_url") or "https://accounts.google.com"}


def _gitlab(options: Options, _: Draft) -> Provider:
    # as there: who somebody is, and in which groups, is asked at UserInfo
    return {"issuer": options.text("oidc_issuer_url") or "https://gitlab.com", "userinfo": True}


def _github(options: Options, _: Draft) -> Provider:
    login = split(options.text("login_url"))
    issuer = f"{login.scheme}://{login.netloc}" if login.netloc else "https://github.com"
    return {"kind": "oauth2", "preset": "github", "issuer": issuer, "client_auth": "client_secret_post"}


def _keycloak(options: Options, draft: Draft) -> Provider | None:
    """Return the provider of an old kind, OAuth 2.0 alone: the same server speaks OpenID Connect."""
    issuer, _, rest = options.text("login_url").partition(_KEYCLOAK_LOGIN)
    if options.text("oidc_issuer_url"):
        return _oidc(options, draft)
    if not issuer or rest or issuer == options.text("login_url"):
        draft.error("login_url", f"the realm is read from it: https://.../realms/NAME{_KEYCLOAK_LOGIN}")
        return None
    return {"issuer": issuer} | _userinfo(options)


def _entra(options: Options, draft: Draft) -> Provider | None:
    issuer = options.text("oidc_issuer_url")
    if not issuer and options.text("provider") == "azure":
        issuer = f"https://login.microsoftonline.com/{options.text('azure_tenant')}/v2.0"
    parts = split(issuer).path.split("/")
    if not issuer or {"common", "organizations", "consumers"} & set(parts):
        where = "azure_tenant" if options.text("provider") == "azure" else "oidc_issuer_url"
        draft.error(where, "a tenant has to be named: its own issuer is what its tokens are known by")
        return None
    return {"issuer": issuer, "client_auth": "client_secret_post", "groups_overage": "graph"}


def _logingov(options: Options, draft: Draft) -> Provider:
    key = draft.secret(
        "jwt_key", options.text("jwt_key"), options.text("jwt_key_file"), "GATEWAY_SIGNING_KEY"
    )
    if key is None:
        draft.error("jwt_key_file", "login.gov knows its clients by their signatures")
    return {
        "issuer": options.text("oidc_issuer_url") or "https://secure.login.gov/",
        "client_auth": "private_key_jwt",
        "assertion_audience": "endpoint",
        "signing_keys": [key],
        "userinfo": True,
    }


_KINDS: Final[Mapping[str, Callable[[Options, Draft], Provider | None]]] = {
    "oidc": _oidc,
    "cidaas": _oidc,
    "adfs": _oidc,
    "keycloak-oidc": _keycloak_oidc,
    "keycloak": _keycloak,
    "google": _google,
    "azure": _entra,
    "entra-id": _entra,
    "gitlab": _gitlab,
    "github": _github,
    "login.gov": _logingov,
}


def _client(options: Options, draft: Draft, provider: Provider) -> Provider:
    client: Provider = {"client_id": options.text("client_id")}
    if not client["client_id"]:
        draft.error("client_id", "the gateway's name at the provider has to be named")
    if provider.get("client_auth") == "private_key_jwt":
        return client
    secret = draft.secret(
        "client_secret",
        options.text("client_secret"),
        options.text("client_secret_file"),
        "GATEWAY_CLIENT_SECRET",
    )
    return client | ({"client_auth": "none"} if secret is None else {"client_secret": secret})


def _scopes(options: Options, *, is_oidc: bool) -> list[str]:
    scopes = options.text("scope").split()
    if not is_oidc:
        return scopes or ["read:user", "user:email", "read:org"]
    if not scopes:
        has_groups = options.text("provider") in ("oidc", "keycloak-oidc") and options.items("allowed_groups")
        scopes = ["openid", "email", "profile", *(["groups"] if has_groups else [])]
    return list(dict.fromkeys(["openid", *scopes]))


def _tokens(options: Options, draft: Draft, provider: Provider) -> Provider:
    """Return which tokens count: as bearer tokens, and at a login."""
    tokens: Provider = {"audiences": [NO_BEARER]}
    extra = options.items("oidc_extra_audiences")
    if options.flag("skip_jwt_bearer_tokens"):
        tokens["audiences"] = [options.text("client_id"), *extra]
        if provider.get("userinfo"):
            # what a token does not say of somebody is asked for, as there
            tokens["token_userinfo"] = "5m"  # noqa: S105 - a duration
        draft.note(
            "skip_jwt_bearer_tokens",
            "access tokens count as bearer tokens, and an ID token does not; who presents one needs an"
            " e-mail address as everybody does, where email_domains says *",
        )
    if extra:
        tokens["id_token_audiences"] = extra
    wanted = options.items("oidc_enabled_signing_algs")
    known = [each for each in wanted if each in ALGORITHMS]
    if known != wanted:
        draft.error(
            "oidc_enabled_signing_algs", "one of them is no asymmetric algorithm: a public key is no secret"
        )
    if known:
        tokens["algorithms"] = known
    # absent is not false there
    is_lax = options.flag("insecure_oidc_allow_unverified_email")
    tokens["email_verified"] = "ignore" if is_lax else "assume"
    claim = email_claim(options)
    if claim != "email":
        tokens["claims"] = {"email": claim}
    return tokens


def email_claim(options: Options) -> str:
    """Return the claim that is somebody's address."""
    claim = options.text("oidc_email_claim")
    return options.text("user_id_claim") if claim == "email" else claim


def _endpoints(options: Options, *, is_oidc: bool) -> Provider:
    names = {
        "login_url": "authorization_endpoint",
        "redeem_url": "token_endpoint",
        "profile_url": "userinfo_endpoint",
        "oidc_jwks_url": "jwks_uri",
    }
    if not is_oidc:
        # a preset knows them
        return {}
    return {ours: options.text(theirs) for theirs, ours in names.items() if options.text(theirs)}


def _parameters(options: Options, draft: Draft) -> Provider:
    found: Provider = {}
    parameters: dict[str, str] = {}
    if options.text("acr_values"):
        parameters["acr_values"] = options.text("acr_values")
    is_google = options.text("provider") == "google"
    if is_google:
        parameters["access_type"] = "offline"
    if options.text("prompt"):
        parameters["prompt"] = options.text("prompt")
    elif is_google and options.text("approval_prompt") == "force":
        parameters["prompt"] = "consent"
    if resource := options.text("resource"):
        if split(resource).scheme and not split(resource).fragment:
            found["resources"] = [resource]
        else:
            parameters["resource"] = resource
    if parameters:
        found["extra_authorization_parameters"] = parameters
    mode = options.text("auth_request_response_mode")
    if mode in ("query", "form_post"):
        found["response_mode"] = mode
    elif mode:
        draft.error("auth_request_response_mode", "query or form_post")
    return found


def _put_ca(options: Options, draft: Draft, provider: Provider) -> None:
    files = options.items("provider_ca_files")
    if len(files) > 1:
        draft.error("provider_ca_files", "put the certificates into one file")
    elif files:
        provider["ca_file"] = files[0]


def _bearer_only(options: Options, draft: Draft) -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for place, pair in enumerate(options.items("extra_jwt_issuers"), 1):
        issuer, equals, audience = pair.rpartition("=")
        if not equals or not issuer or not audience:
            draft.error("extra_jwt_issuers", "each is issuer=audience")
            continue
        known = next((each for each in found.values() if each["issuer"] == issuer), None)
        if known is None:
            found[f"issuer-{place}"] = {
                "issuer": issuer,
                "bearer_only": True,
                "audiences": [audience],
                "email_verified": "assume",
            }
        else:
            known["audiences"].append(audience)
    return found
