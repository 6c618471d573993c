"""What a gateway rests on: the store, the eye that is kept on it, and the replica of the denylist."""

import os
from collections.abc import Callable
from pathlib import Path

from gateway.app.clock_steps import ClockSteps
from gateway.app.closing import Closing
from gateway.config.settings.root import Settings
from gateway.config.store_address import StoreAddress, address_of
from gateway.core.rules.denylist import Denylist
from gateway.edge.revocation.denylist_sync import LIVE_FOR, Revocations
from gateway.edge.revocation.streams import Streams
from gateway.edge.store.embedded import EmbeddedValkey
from gateway.edge.store.store import Store
from gateway.edge.store.watch import StoreWatch
from gateway.edge.telemetry.logs import Logs


async def open_store(
    settings: Settings, store_url: str | None, clock: Callable[[], float], logs: Logs, closing: Closing
) -> Store:
    """Start the store: as configured, at a supervisor's ``store_url``, or else a child of our own.

    Raises:
        RuntimeError: it cannot be started.
    """
    redis = settings.redis
    prefix, timeout = ("gateway:", 1.0) if redis is None else (redis.prefix, redis.timeout)
    if redis is not None:
        address: StoreAddress | str = address_of(redis)
    elif store_url is not None:
        address = store_url
    else:
        embedded = EmbeddedValkey(logs.error)
        closing.later(embedded.stop)
        address = await embedded.start(Path(settings.state_dir))
    store = Store(address, prefix, timeout, clock)
    closing.later(store.close)
    await store.start()
    watch = StoreWatch(store, logs)
    closing.later(watch.close)
    watch.start()
    return store


async def open_denylist(
    settings: Settings,
    store: Store,
    denylist: Denylist,
    clock: Callable[[], float],
    logs: Logs,
    streams: Streams,
    closing: Closing,
) -> Revocations:
    """Start the replica of the denylist, and let each entry end what is open by then."""
    revocations = Revocations(
        store,
        denylist,
        clock,
        worker_id=f"{os.uname().nodename}:{os.getpid()}",
        on_added=streams.denied,
        # a worker that is cut off serves until it is stale; so long it is missing, not gone
        live_for=max(LIVE_FOR, 1.5 * settings.denylist.max_staleness),
        steps=ClockSteps(clock, logs),
    )
    closing.later(revocations.close)
    await revocations.start()
    return revocations
