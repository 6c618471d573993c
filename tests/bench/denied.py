"""A long denylist: written into the store of an instance at once, and waited for in its worker."""

import itertools
import time
import urllib.request
import uuid
from collections.abc import Iterator

import redis

from gateway.core.rules.entries import DenyEntry
from gateway.edge.revocation.denylist_log import TAG, encode_entry
from tests.bench.processes import NotStarted, largest
from tests.bench.rig import Instance

ENTRIES = 1_000_000
_PIECE = 5_000
_LONG = 6 * 3600.0
_PATIENCE = 180.0
# past what the garbage of reading leaves: the worker's memory is read once it has stood still
_SETTLED = 3.0


def entries(issuer: str, now: float) -> Iterator[tuple[str, float]]:
    """Yield texts and expiries: tokens by their id, as providers make them."""
    for number in range(ENTRIES):
        entry = DenyEntry("jti", issuer, str(uuid.UUID(int=number << 64 | 7)), now, now + _LONG)
        text, expires = encode_entry(entry)
        yield text, float(expires)


def fill(instance: Instance) -> float:
    """Deny a million tokens at an instance; return by how many bytes its worker grew.

    Raises:
        NotStarted: the worker does not come to know them.
    """
    before = largest(instance.running.pids())
    path = instance.place.folder / "state" / "store" / "valkey.sock"
    with redis.Redis(unix_socket_path=str(path)) as store:
        coming = entries(instance.place.material.issuer, time.time())
        while piece := dict(itertools.islice(coming, _PIECE)):
            store.zadd(f"gateway:{TAG}:entries", piece)
        # counted and in no log: the worker reads the whole list anew
        store.incr(f"gateway:{TAG}:seq")
    deadline = time.monotonic() + _PATIENCE
    while held(instance) < ENTRIES:
        if time.monotonic() > deadline:
            raise NotStarted(f"its worker holds {held(instance):,.0f} entries")
        time.sleep(0.2)
    time.sleep(_SETTLED)
    return largest(instance.running.pids()) - before


def held(instance: Instance) -> float:
    """Return how many entries the worker holds, as the metrics say."""
    url = f"http://127.0.0.1:{instance.place.admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            name, _, value = line.partition(" ")
            if name == "gateway_denylist_entries":
                return float(value)
    return 0.0
