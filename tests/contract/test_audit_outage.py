"""The audit trail while the store is away, and when it comes back as another one."""

import asyncio
import json
import time

import pytest

from gateway.config.settings.audit import KeepSettings
from gateway.config.settings.logs import LogSettings
from gateway.core.audit.chain import read_entry
from gateway.core.audit.verify import Anchors, Walk
from gateway.core.fault import Fault
from gateway.core.sessions.seal import KeyRing
from gateway.edge.audit.places import keys_of
from gateway.edge.audit.reading import AuditTrail, Question
from gateway.edge.audit.writing import AuditWriter
from gateway.edge.store.store import Store
from gateway.edge.telemetry.logs import Logs
from tests.support.store import ValkeyServer, eventually

RING = KeyRing((bytes(range(32)),))


def make_writer(store: Store, lines: list[str]) -> AuditWriter:
    """Return a writer that keeps events."""
    writer = AuditWriter(store, lambda: RING, time.time, Logs(LogSettings(), write=lines.append))
    writer.configure(KeepSettings())
    return writer


async def verdicts(trail: AuditTrail) -> list[str]:
    """Return what a walk tells of each chain."""
    told = await trail.anchors()
    anchors = Anchors(told["heads"], told["firsts"])
    walk = Walk(keys_of(RING), anchors)
    for row in (await trail.walk("", 1000))[0]:
        entry = read_entry(str(row["entry"]))
        assert entry is not None
        walk.see(entry, row["personal"], str(row["mark"]))
    return [each.verdict for each in walk.end(anchors)]


async def test_an_outage_loses_nothing(server: ValkeyServer, own_store: Store):
    """[12.logs] Events wait in their order and are kept once the store is back; the chain is one."""
    lines: list[str] = []
    writer, trail = make_writer(own_store, lines), AuditTrail(own_store, lambda: RING)
    writer.start()
    try:
        for number in range(5):
            writer.take(json.dumps({"event": "refresh", "generation": number}), is_strangers=False)
        await writer.flush()
        server.kill()
        for number in range(5, 10):
            writer.take(json.dumps({"event": "refresh", "generation": number}), is_strangers=False)
        with pytest.raises(Fault):
            await writer.flush()
        assert writer.stats()["lost_total"] == 0
        await asyncio.to_thread(server.start)

        async def are_kept() -> bool:
            try:
                entries = (await trail.read(Question(event="refresh"))).entries
            except Fault:
                return False
            return [each["generation"] for each in entries] == [*range(9, -1, -1)]

        await eventually(are_kept)
        assert await verdicts(trail) == ["good"]
        assert not any("not as it was left" in line for line in lines)
    finally:
        await writer.close()
