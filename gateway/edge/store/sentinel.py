"""Asks Sentinels which server is the master; every new connection does, so a failover needs nobody."""

import asyncio
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.config.store_address import Node
from gateway.edge.store.clients import OneServer, Opener, hang_up
from gateway.edge.tasks import SingleFlight


class Sentinels:
    """The Sentinels of one service.

    Args:
        opener: opens their clients.
    """

    def __init__(self, opener: Opener) -> None:
        self._service = opener.address.service
        self._clients = [opener.sentinel(node) for node in opener.address.nodes]
        # one that hangs must leave time for another
        self._limit = opener.timeout / (min(len(self._clients), 3) + 1)
        self._asking: SingleFlight[Node | None] = SingleFlight("the look for a master")
        self._named: Node | None = None

    async def master(self) -> Node:
        """Return where the master is, asked once however many want to know.

        Raises:
            redis.exceptions.ConnectionError: no Sentinel knows.
        """
        found = await self._asking.join("master", self._ask)
        if found is None:
            raise RedisConnectionError("no Sentinel names a master")
        return found

    async def _ask(self) -> Node | None:
        for client in tuple(self._clients):
            try:
                async with asyncio.timeout(self._limit):
                    reply = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            except (RedisError, OSError):
                reply = None
            if (node := _read(reply)) is not None:
                self._named = node
                return node
            self._ask_last(client)
        return None

    def doubt(self, node: Node) -> None:
        """Ask another Sentinel the next time: whichever named this server may know of no failover yet."""
        if node == self._named:
            self._named = None
            self._ask_last(self._clients[0])

    def _ask_last(self, client: Any) -> None:  # noqa: ANN401 - redis-py's commands are not typed
        # so whoever answered is the first
        self._clients.remove(client)
        self._clients.append(client)

    async def close(self) -> None:
        """Close every connection."""
        await self._asking.close()
        for client in self._clients:
            await hang_up(client)


class SentinelMaster(OneServer):
    """The master that Sentinels name."""

    def __init__(self, opener: Opener) -> None:
        self._sentinels = Sentinels(opener)
        sentinels = self._sentinels
        super().__init__(lambda most: opener.master(sentinels.master, sentinels.doubt, most))

    async def close(self) -> None:
        """Close every connection."""
        await super().close()
        await self._sentinels.close()


def _read(reply: Any) -> Node | None:  # noqa: ANN401 - whatever the other side says
    if not isinstance(reply, list) or len(reply) != 2:
        return None
    host, port = reply
    if not isinstance(host, bytes) or not isinstance(port, bytes) or not host or not port.isdigit():
        return None
    number = int(port) if len(port) <= 5 else 0
    return (host.decode("latin-1"), number) if 0 < number <= 65535 else None
