"""Stores for the contract tests."""

import time
import uuid

import pytest

from gateway.edge.store.store import Store
from tests.support.store import ValkeyServer


@pytest.fixture
def prefix():
    """A prefix of its own for each test."""
    return f"c{uuid.uuid4().hex[:10]}:"


@pytest.fixture
async def store(valkey_url, prefix):
    """The shared real store under this test's prefix."""
    store = Store(valkey_url, prefix, 2.0, time.time)
    await store.start()
    yield store
    await store.close()


@pytest.fixture
def server():
    """A server of this test alone, to be killed, stopped and flushed; it keeps an append-only file."""
    server = ValkeyServer("--appendonly", "yes", "--appendfsync", "always").start()
    yield server
    server.close()


@pytest.fixture
async def own_store(server, prefix):
    """The store of this test alone."""
    store = Store(server.url, prefix, 0.5, time.time)
    await store.start()
    yield store
    await store.close()
