"""redis-py's own clients for Sentinels and for a Cluster, behind the protocol of ours.

What ADR 12 says of them is measured on these: they have the settings that suit best.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Self

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from gateway.config.store_address import StoreAddress
from gateway.edge.store.clients import MOST_CONNECTIONS, Command, Servers, perform

NAME = "token-gateway"


async def _greet_master(connection: Any) -> None:
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    if (await connection.read_response())[0] != b"master":
        raise RedisConnectionError("not the master")


class _Watched:
    """The master that Sentinels name; servers are asked for their role, as ours are."""

    def __init__(self, address: StoreAddress, timeout: float) -> None:
        limit = timeout / (min(len(address.nodes), 3) + 1)
        asked = {
            "username": address.sentinel_username, "password": address.sentinel_password,
            "socket_timeout": limit, "socket_connect_timeout": limit, "retry": Retry(NoBackoff(), 0),
        }  # fmt: skip
        shared = {"client_name": NAME, "protocol": 2}
        self._timeout = timeout
        self._service = address.service
        self._sentinel = Sentinel(address.nodes, sentinel_kwargs=asked | shared, **shared)
        self._client = self._master(MOST_CONNECTIONS, 1)

    def _master(self, connections: int, retries: int) -> Any:
        return self._sentinel.master_for(
            self._service,
            max_connections=connections,
            socket_timeout=None,
            socket_connect_timeout=self._timeout / 2,
            retry=Retry(NoBackoff(), retries),
            redis_connect_func=_greet_master,
        )

    async def ask(self, key: str | None, commands: Sequence[Command]) -> list[Any]:
        return await perform(self._client, commands)

    async def count_replicas(self, key: str) -> int:
        return len((await self._client.execute_command("ROLE"))[2])

    async def open(self, key: str | None) -> Any:
        return self._master(1, 0)

    async def doubt(self) -> None:
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()
        await self._sentinel.aclose()


class _Cluster:
    """The servers of a Cluster; the configured addresses are kept, and an uncovered slot ends nothing."""

    def __init__(self, address: StoreAddress, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._opened: list[RedisCluster] = []
        self._client = self._of(MOST_CONNECTIONS, timeout / 2, 2)

    def _of(self, connections: int, limit: float | None, retries: int) -> RedisCluster:
        tls = self._address.tls
        client = RedisCluster(
            startup_nodes=[ClusterNode(*node) for node in self._address.nodes],
            username=self._address.username,
            password=self._address.password,
            max_connections=connections,
            socket_timeout=limit,
            socket_connect_timeout=self._timeout / 2,
            retry=Retry(NoBackoff(), retries),
            require_full_coverage=False,
            dynamic_startup_nodes=False,
            reinitialize_steps=0,
            client_name=NAME,
            protocol=2,
            ssl=tls is not None,
            ssl_ca_certs=tls.ca_file if tls else None,
        )
        self._opened.append(client)
        return client

    async def ask(self, key: str | None, commands: Sequence[Command]) -> list[Any]:
        try:
            return await self._ask(key, commands)
        except RedisClusterException as error:
            # no RedisError, though it stands for an outage
            raise RedisConnectionError from error

    async def _ask(self, key: str | None, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        await self._client.initialize()
        node = self._client.get_node_from_key(key)
        async with self._client.pipeline() as pipe:
            for command in commands:
                # what names no key goes where the key was when this was asked
                where = {"target_nodes": node} if command[0] == "WAIT" else {}
                pipe.execute_command(*command, **where)
            return await pipe.execute()

    async def count_replicas(self, key: str) -> int:
        await self._client.initialize()
        node = self._client.get_node_from_key(key)
        return len((await node.execute_command("ROLE"))[2])

    async def open(self, key: str | None) -> Any:
        return self._of(1, None, 0)

    async def doubt(self) -> None:
        return None

    async def close(self) -> None:
        await self._client.aclose()

    async def tidy(self) -> None:
        """Close what it leaves open, lest a later test is told of it."""
        for each in self._opened:
            # after a failure it closes nothing
            await each.aclose()
            await each.nodes_manager.aclose()
            await each.nodes_manager.aclose("startup_nodes")


def open_redis_py(address: StoreAddress, timeout: float) -> Servers:
    """Return redis-py's own client of the address's topology."""
    return {"sentinel": _Watched, "cluster": _Cluster}[address.kind](address, timeout)


class Nonsense:
    """A server that greets like any other and then answers with a list of a number."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65536):
            for each in re.split(rb"(?:^|\r\n)\*\d+\r\n", asked)[1:]:
                writer.write(b"+OK\r\n" if b"CLIENT" in each else b"*1\r\n:1\r\n")
        writer.close()
