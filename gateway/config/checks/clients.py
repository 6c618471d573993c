"""Checks of the gateway as a client of its providers: who it says that it is, and what it asks for."""

from collections.abc import Iterator, Mapping

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.root import Settings
from gateway.syntax import urls
from gateway.syntax.private_keys import algorithms_of, read_signing_key

_WITH_SECRET = ("client_secret_basic", "client_secret_post")


def check_clients(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with how the gateway is a client of each provider."""
    for name, provider in settings.providers.items():
        at: Path = ("providers", name)
        yield from _check_secret(provider, at)
        yield from _check_keys(provider, at)
        yield from _check_certificate(provider, at)
        yield from _check_resources(provider, at)
        extra = provider.extra_authorization_parameters
        yield from _check_parameters(extra, (*at, "extra_authorization_parameters"))
        if provider.resources and "resource" in extra:
            where = (*at, "extra_authorization_parameters", "resource")
            yield Problem(where, "resources says this already, to the token endpoint as well: remove it here")
    for index, route in enumerate(settings.routes):
        where = ("routes", index, "extra_authorization_parameters")
        extra = route.extra_authorization_parameters
        yield from _check_parameters(extra, where)
        if "resource" in extra:
            yield Problem(
                (*where, "resource"), "a session's access token is for what its provider's resources say"
            )


def _check_secret(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    method = provider.client_auth
    is_client = bool(provider.client_id) or not provider.bearer_only
    if provider.client_secret is None and method in _WITH_SECRET and is_client:
        yield Problem((*at, "client_secret"), "required; a public client says client_auth: none")
    if provider.client_secret is not None and method not in _WITH_SECRET:
        yield Problem((*at, "client_auth"), f"{method}, and yet there is a client_secret: remove one of them")


def _check_keys(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    if provider.client_auth != "private_key_jwt":
        for setting in ("signing_keys", "signing_algorithm", "assertion_audience"):
            if setting in provider.model_fields_set and getattr(provider, setting):
                yield Problem((*at, setting), "of client_auth: private_key_jwt alone")
        return
    if not provider.signing_keys:
        yield Problem(
            (*at, "signing_keys"), "private_key_jwt signs with one: list at least one private key in PEM form"
        )
    for index, secret in enumerate(provider.signing_keys):
        read = read_signing_key(secret.get_secret_value())
        if isinstance(read, str):
            yield Problem((*at, "signing_keys", index), read)
        elif index == 0 and provider.signing_algorithm not in {None, *algorithms_of(read.key)}:
            fitting = ", ".join(algorithms_of(read.key))
            yield Problem((*at, "signing_algorithm"), f"the first of signing_keys signs with {fitting}")


def _check_certificate(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    if provider.client_certificate is None:
        if provider.client_auth == "tls_client_auth":
            yield Problem((*at, "client_certificate"), "tls_client_auth authenticates by it: name its file")
        if provider.client_key is not None:
            yield Problem((*at, "client_key"), "the key of no certificate: name client_certificate as well")


def _check_resources(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, resource in enumerate(provider.resources):
        where = (*at, "resources", index)
        # RFC 8707 section 2: an absolute URI without a fragment, of whatever scheme
        if not urls.is_absolute_uri(resource):
            yield Problem(where, "an absolute URI without a fragment, such as https://api.example.com/")
        elif resource in seen:
            yield Problem(where, "listed already")
        seen.add(resource)


def _check_parameters(extra: Mapping[str, str], at: Path) -> Iterator[Problem]:
    for parameter in extra:
        if parameter in urls.RESERVED_PARAMETERS:
            yield Problem((*at, parameter), "the gateway sets this one itself")
