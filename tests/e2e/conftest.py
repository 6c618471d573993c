"""The world of the end-to-end tests."""

import pytest

from tests.support.browser import chromium, somebody
from tests.support.world import World


@pytest.fixture
async def world(request, valkey_url, tmp_path):
    """A gateway with everything around it; ``@pytest.mark.parametrize("world_settings", ...)`` overrides."""
    override = {"session": {"rotation_grace": "60s"}}
    marker = request.node.get_closest_marker("settings")
    if marker:
        override.update(marker.args[0])
    # half of it bounds how late an answer may set cookies, so only tests that wait for its end shorten it
    if grace := request.node.get_closest_marker("grace"):
        override["session"] = override["session"] | {"rotation_grace": grace.args[0]}
    async with World(valkey_url, tmp_path, **override) as world:
        yield world


@pytest.fixture(scope="module")
def devtools():
    """The address of the DevTools of a Chromium that serves this module."""
    with chromium() as address:
        yield address


@pytest.fixture
async def person(devtools):
    """A browser context without a cookie, for any number of tabs."""
    async with somebody(devtools) as person:
        yield person


@pytest.fixture
async def tab(person):
    """One tab in a context without a cookie."""
    return await person.tab()
