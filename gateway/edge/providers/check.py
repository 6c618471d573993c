"""What ``gateway check --providers`` finds out about the providers themselves."""

import asyncio
import time

from gateway.config.settings.root import Settings
from gateway.core.decision.needs import Keys, Metadata
from gateway.core.fault import Fault
from gateway.core.runtime import compile_settings
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
        told = await asyncio.gather(*(_check_one(providers, name) for name in settings.providers))
    finally:
        await providers.close()
    return [warning for warnings in told for warning in warnings]


async def _check_one(providers: Providers, name: str) -> list[str]:
    try:
        metadata = await providers.metadata(Metadata(name))
        if not metadata.jwks_uri:
            # what publishes nothing cannot be asked before somebody logs in
            return []
        keys = await providers.keys_for(Keys(name, None))
    except Fault as fault:
        return [f"providers.{name}: {fault.detail}"]
    unusable = [f"providers.{name}: {detail} (not used)" for _, _, detail in metadata.unusable]
    return [*unusable, *(f"providers.{name}: {text}" for text in _told_of(keys))]


def _told_of(keys: KeySet) -> list[str]:
    left_out = [f"left out of the key set: {each}" for each in keys.left_out[:_MOST_TOLD]]
    return left_out if keys.keys else ["no key of the provider can be used", *left_out]
