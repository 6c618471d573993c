"""What ``gateway check`` can tell of the store, where that answers."""

import asyncio
import time

from gateway.config.settings.root import Settings
from gateway.config.store_address import address_of
from gateway.edge.store.store import Store
from gateway.edge.store.watch import EVICTS, KEEPS_ALL

_WITHIN = 1.0


def check_store(settings: Settings) -> str | None:
    """Return what is wrong with the store's own configuration, or None.

    A store that is not reached from here is no problem of the file: nothing is said of it. Takes
    a second at most.
    """
    redis = settings.redis
    return None if redis is None else asyncio.run(_check(settings))


async def _check(settings: Settings) -> str | None:
    assert settings.redis is not None
    try:
        store = Store(address_of(settings.redis), settings.redis.prefix, _WITHIN, time.time)
    except (RuntimeError, ValueError, OSError):
        # a file of certificates that is not there on this machine, say
        return None
    try:
        async with asyncio.timeout(_WITHIN):
            policy = await store.eviction_policy()
    except TimeoutError:
        return None
    finally:
        await store.close()
    return None if policy is None or policy == KEEPS_ALL else f"{EVICTS} (now: {policy})"
