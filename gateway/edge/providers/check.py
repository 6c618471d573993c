"""What ``gateway check --providers`` finds out about the providers themselves."""

import asyncio
import time

from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.root import Settings
from gateway.core.decision.needs import Keys, Metadata
from gateway.core.fault import Fault
from gateway.core.provider import ProviderMetadata
from gateway.core.runtime import compile_settings
from gateway.core.tokens.client_keys import compile_client_keys
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.providers import Providers

_MOST_TOLD = 10


def check_providers(settings: Settings) -> list[str]:
    """Return a warning for each provider that cannot be reached or used, or whose keys are left out.

    Takes two of the longest ``timeout`` at most.
    """
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> list[str]:
    providers = Providers(
        compile_settings(settings).providers, time.time, allow_insecure_http=settings.allow_insecure_http
    )
    try:
        told = await asyncio.gather(
            *(_check_one(providers, name, each) for name, each in settings.providers.items())
        )
    finally:
        await providers.close()
    return [warning for warnings in told for warning in warnings]


async def _check_one(providers: Providers, name: str, settings: ProviderSettings) -> list[str]:
    try:
        metadata = await providers.metadata(Metadata(name))
        if not metadata.jwks_uri:
            # what publishes nothing cannot be asked before somebody logs in
            return []
        keys = await providers.keys_for(Keys(name, None))
    except Fault as fault:
        return [f"providers.{name}: {fault.detail}"]
    unusable = [f"providers.{name}: {detail} (not used)" for _, _, detail in metadata.unusable]
    told = [*told_of_client(metadata, settings), *told_of_keys(keys)]
    return [*unusable, *(f"providers.{name}: {text}" for text in told)]


def told_of_client(metadata: ProviderMetadata, settings: ProviderSettings) -> list[str]:
    """Return where what the provider says of its clients does not fit how the gateway is one."""
    if settings.kind != "oidc":
        # it publishes no metadata, so what is known of it says nothing of that
        return []
    method, told = settings.client_auth, []
    known = {each.removeprefix("self_signed_") for each in metadata.token_auth_methods}
    if method not in known and method != "none":
        told.append(f"client_auth is {method}, and its metadata names {', '.join(sorted(known))}")
    algorithms = metadata.token_auth_algorithms
    for key in compile_client_keys(settings)[:1]:
        if algorithms and key.algorithm not in algorithms:
            named = ", ".join(algorithms[:_MOST_TOLD])
            told.append(f"signing_keys: the first signs with {key.algorithm}, and its metadata names {named}")
    if settings.pushed_requests == "never" and metadata.requires_pushed_requests:
        told.append("pushed_requests is never, and its metadata says that requests have to be pushed")
    if settings.pushed_requests == "always" and metadata.pushed_authorization_request_endpoint is None:
        told.append("pushed_requests is always, and its metadata names no endpoint for it that can be used")
    return told


def told_of_keys(keys: KeySet) -> list[str]:
    """Return which keys of a provider are left out and why, and that none is left."""
    left_out = [f"left out of the key set: {each}" for each in keys.left_out[:_MOST_TOLD]]
    return left_out if keys.keys else ["no key of the provider can be used", *left_out]
