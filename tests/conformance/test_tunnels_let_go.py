"""What an ended tunnel leaves behind: nothing that only the collector would find."""

import gc

import pytest

from gateway.http.downstream.exchange import ClientExchange
from gateway.http.tunnel import Tunnel
from gateway.http.upstream.connection import UpstreamConnection
from tests.conformance.test_tunnels import ask, switching
from tests.support.http import Client, Plane


def alive() -> list[str]:
    """Return the kinds of what there is of tunnels and of the exchanges and connections that they joined."""
    kinds = (Tunnel, ClientExchange, UpstreamConnection)
    return [type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds)]


async def by_client(plane: Plane, client: Client) -> None:
    """The client leaves."""
    await client.close()


async def by_upstream(plane: Plane, client: Client) -> None:
    """The upstream has ended its direction, and the client follows."""
    assert await client.ended()
    await client.close()


async def by_abort(plane: Plane, client: Client) -> None:
    """The session that it rests on is over."""
    plane.handler.exchanges[0].abort()
    await client.rest()
    await client.close()


@pytest.mark.parametrize(("end", "stay"), [(by_client, True), (by_upstream, False), (by_abort, True)])
async def test_an_ended_tunnel_leaves_no_cycle(end, stay: bool):
    """However a tunnel ends, both its connections are freed at once, and not when the collector runs."""
    gc.collect()
    before = alive()
    gc.disable()
    try:
        async with Plane(switching(stay=stay)) as plane:
            client = await plane.client()
            assert (await client.ask(ask())).status == 101
            assert alive() != before
            await end(plane, client)
            await plane.eventually(lambda: plane.handler.finished and plane.upstream.open == 0)
            plane.handler.exchanges.clear()
            await plane.eventually(lambda: alive() == before)
    finally:
        gc.enable()
