"""What every test may ask for."""

import pytest
from hypothesis import settings

from tests.support.store import ValkeyServer

# how long an example takes says more about the machine than about the code
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def valkey_url():
    """The address of a real store, one for this process; tests keep apart by their prefixes."""
    server = ValkeyServer().start()
    yield server.url
    server.close()
