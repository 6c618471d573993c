"""Every conformance test runs on asyncio's own loop and on uvloop."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Return the loops under test."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
