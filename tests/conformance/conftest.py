"""Every conformance test runs on asyncio's own loop and on uvloop."""

import asyncio

import pytest
import uvloop

from gateway.core import decide


def pytest_asyncio_loop_factories(config, item):
    """Return the loops under test."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items):
    """Where the compiled form is under test, leave out what replaces constants: it has none to replace."""
    if decide.__file__.endswith(".py"):
        return
    for item in items:
        if {"monkeypatch", "quick"} & set(item.fixturenames):
            item.add_marker(pytest.mark.skip(reason="constants of compiled modules cannot be replaced"))
