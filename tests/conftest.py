"""What every test may ask for."""

import pytest

from tests.support.store import ValkeyServer


@pytest.fixture(scope="session")
def valkey_url():
    """The address of a real store, one for this process; tests keep apart by their prefixes."""
    server = ValkeyServer().start()
    yield server.url
    server.close()
