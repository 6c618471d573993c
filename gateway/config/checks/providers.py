"""Checks of the providers."""

from collections.abc import Iterator

from gateway.config.checks.claims import check_claims
from gateway.config.checks.problems import Path, Problem
from gateway.config.checks.provider_kinds import check_kind
from gateway.config.settings.providers import ALGORITHMS, ProviderSettings
from gateway.config.settings.root import Settings
from gateway.syntax import urls
from gateway.syntax.tokens import NAME

_ENDPOINTS = (
    "discovery_url",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
    "revocation_endpoint",
    "graph_url",
    "introspection_endpoint",
)


def check_providers(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with each provider by itself."""
    issuers: dict[str, str] = {}
    for name, provider in settings.providers.items():
        at: Path = ("providers", name)
        if NAME.fullmatch(name) is None:
            yield Problem(at, "a provider's name has letters, digits, - and _, at most 64")
        message = urls.judge_url(provider.issuer, insecure=settings.allow_insecure_http, query=False)
        issuer, is_metadata, _ = provider.issuer.partition("/.well-known/")
        if message is None and is_metadata:
            message = f"this is where its metadata is; the issuer is what that says, mostly {issuer}"
        if message is not None:
            yield Problem((*at, "issuer"), message)
        if provider.issuer in issuers:
            yield Problem((*at, "issuer"), f"provider {issuers[provider.issuer]} has this issuer already")
        issuers.setdefault(provider.issuer, name if NAME.fullmatch(name) else "?")
        yield from _check_endpoints(settings, provider, at)
        yield from _check_client(provider, at)
        yield from check_kind(provider, at)
        yield from check_claims(provider, at)
        if provider.jwks_max_stale < provider.jwks_max_age:
            yield Problem((*at, "jwks_max_stale"), "at least jwks_max_age")


def _check_endpoints(settings: Settings, provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    for setting in _ENDPOINTS:
        url = getattr(provider, setting)
        if url is not None:
            message = urls.judge_url(url, insecure=settings.allow_insecure_http)
            if message is not None:
                yield Problem((*at, setting), message)


def _check_client(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    if provider.proxy is not None and not urls.is_proxy(provider.proxy.get_secret_value()):
        yield Problem((*at, "proxy"), "write http://host:port, with user:password@ if need be, or none")
    if not provider.client_id and not provider.bearer_only:
        yield Problem(
            (*at, "client_id"), "required; a provider whose bearer tokens alone count says bearer_only"
        )
    for index, algorithm in enumerate(provider.algorithms):
        if algorithm not in ALGORITHMS:
            yield Problem(
                (*at, "algorithms", index),
                f"one of {', '.join(sorted(ALGORITHMS))}; never none, never HMAC (R18)",
            )
    for index, scope in enumerate(provider.scopes):
        if not urls.is_scope(scope):
            yield Problem((*at, "scopes", index), "write one scope without white space, quote or backslash")
