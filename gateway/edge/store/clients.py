"""Clients of the store's servers: how a connection is made, and what is asked on one.

A client here is redis-py's for one server, with time limits and retries as the store wants them. What it
takes to find the right server is in ``sentinel`` and ``cluster``.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from redis import exceptions
from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    Redis,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gateway.config.store_address import Node, StoreAddress, StoreTls
from gateway.http.client_tls import client_context

Argument: TypeAlias = "str | bytes | int | float"
Command: TypeAlias = "tuple[Argument, ...]"
Finder: TypeAlias = "Callable[[], Awaitable[Node]]"
Refused: TypeAlias = "Callable[[Node], None]"

MOST_CONNECTIONS = 32
_CONTEXT_LIFETIME = 10.0
_REPLICAS_KNOWN = 5.0
_MOST_TRIES = 3
_PAUSE = 0.05


class Servers(Protocol):
    """The servers of a store, whichever they are now."""

    async def ask(self, key: str | None, commands: Sequence[Command]) -> list[Any]:
        """Send commands about one key on one connection. Raises RedisError, OSError."""

    async def count_replicas(self, key: str) -> int:
        """Return how many replicas a key's server has. Raises RedisError, OSError."""

    async def open(self, key: str | None) -> Any:  # noqa: ANN401 - redis-py's commands are not typed
        """Return a client with one connection, for commands that block. Raises RedisError, OSError."""

    async def doubt(self) -> None:
        """Rely on nothing that was known of the servers: one of them has failed."""

    async def close(self) -> None:
        """Close every connection."""


class _Contexts:
    """The TLS context of new connections; files are read again, so that renewed certificates count."""

    def __init__(self, tls: StoreTls) -> None:
        self._tls = tls
        self._made: tuple[float, ssl.SSLContext] | None = None

    def get(self) -> ssl.SSLContext:
        """Return it. Raises OSError (an SSLError is one) where a file cannot be used."""
        now = time.monotonic()
        if self._made is None or now - self._made[0] > _CONTEXT_LIFETIME:
            tls = self._tls
            self._made = now, client_context(tls.ca_file, tls.certificate, tls.key, verify=tls.verify)
        return self._made[1]


class _TlsConnection(SSLConnection):
    """A connection under a context of ours: redis-py's own would trust the system's authorities as well."""

    def __init__(self, *, contexts: _Contexts, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**options)
        self.ssl_context: Any = contexts


class _Found:
    """What makes a connection look for its server whenever it connects, and say where it was none."""

    def __init__(self, *, finder: Finder, refused: Refused, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        self._finder = finder
        self._refused = refused
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await self._finder()
        try:
            await super()._connect()  # type: ignore[misc]
        except (RedisError, OSError, asyncio.CancelledError):
            self.refuse()
            raise

    def refuse(self) -> None:
        """Say that the server which was found is not the one."""
        self._refused((self.host, self.port))


class _FoundConnection(_Found, Connection):
    pass


class _FoundTlsConnection(_Found, _TlsConnection):
    pass


async def _greet_master(connection: Any) -> None:  # noqa: ANN401 - a connection of either kind
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    try:
        role = await connection.read_response()
    except exceptions.NoPermissionError:
        return
    if role[0] != b"master":
        connection.refuse()
        raise exceptions.ConnectionError("not the master")


class Opener:
    """Opens clients of one store's servers.

    Args:
        address: how to reach them.
        timeout: seconds to connect.
    """

    def __init__(self, address: StoreAddress, timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self._contexts = _Contexts(address.tls) if address.tls is not None else None
        self._options: dict[str, Any] = {
            "socket_connect_timeout": timeout,
            "socket_timeout": None,
            "client_name": "token-gateway",
            "protocol": 2,
            "decode_responses": False,
        }

    def server(self, node: Node | None, connections: int) -> Any:  # noqa: ANN401 - as above
        """Return a client of one server; None is the Unix socket."""
        options = self._with_user(self.address.username, self.address.password)
        options["db"] = self.address.database
        if node is None:
            options |= {"connection_class": UnixDomainSocketConnection, "path": self.address.path}
        else:
            options |= {"host": node[0], "port": node[1], **self._kind(Connection, _TlsConnection)}
        return _client(options, connections)

    def master(self, finder: Finder, refused: Refused, connections: int) -> Any:  # noqa: ANN401 - as above
        """Return a client whose connections go to whatever server ``finder`` names, if it is a master.

        One that is none, or cannot be reached, is told to ``refused``.
        """
        options = self._with_user(self.address.username, self.address.password)
        options |= {"db": self.address.database, "redis_connect_func": _greet_master}
        options |= {"finder": finder, "refused": refused}
        options |= self._kind(_FoundConnection, _FoundTlsConnection)
        return _client(options, connections)

    def sentinel(self, node: Node) -> Any:  # noqa: ANN401 - as above
        """Return a client of one Sentinel."""
        options = self._with_user(self.address.sentinel_username, self.address.sentinel_password)
        options |= {"host": node[0], "port": node[1], **self._kind(Connection, _TlsConnection)}
        return _client(options, 2)

    def _with_user(self, username: str | None, password: str | None) -> dict[str, Any]:
        return {**self._options, "username": username, "password": password}

    def _kind(self, plain: type, tls: type) -> dict[str, Any]:
        if self._contexts is None:
            return {"connection_class": plain}
        return {"connection_class": tls, "contexts": self._contexts}


def _client(options: dict[str, Any], connections: int) -> Any:  # noqa: ANN401 - as above
    kind = BlockingConnectionPool if connections > 1 else ConnectionPool
    # a pooled connection that died in its sleep is replaced once, since commands are safe to repeat;
    # whoever has a connection of his own wants to know
    retry = Retry(NoBackoff(), int(connections > 1), supported_errors=(exceptions.ConnectionError,))
    client: Any = Redis(connection_pool=kind(max_connections=connections, retry=retry, **options))
    for command in ("XREAD", "ZSCAN", "ROLE", "CLUSTER SLOTS", "CLUSTER", "SENTINEL"):
        client.set_response_callback(command, _raw)
    return client


def _raw(reply: Any, **_: object) -> Any:  # noqa: ANN401 - a reply has any shape
    return reply


async def perform(client: Any, commands: Sequence[Command]) -> list[Any]:  # noqa: ANN401 - as above
    """Send commands, all on one connection, and return their replies. Raises RedisError, OSError."""
    if len(commands) == 1:
        return [await client.execute_command(*commands[0])]
    async with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def hang_up(client: Any, *, idle_only: bool = False) -> None:  # noqa: ANN401 - as above
    """Close a client's connections, whatever becomes of that."""
    with suppress(RedisError, OSError):
        if not idle_only:
            await client.aclose()
        await client.connection_pool.disconnect(inuse_connections=not idle_only)


class Replicas:
    """How many replicas servers have, asked now and then."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[float, int]] = {}

    async def count(self, name: object, client: Any) -> int:  # noqa: ANN401 - as above
        """Return it for the server of this name. Raises RedisError, OSError."""
        now = asyncio.get_running_loop().time()
        known_at, count = self._known.get(name, (float("-inf"), 0))
        if now - known_at < _REPLICAS_KNOWN:
            return count
        try:
            role = await client.execute_command("ROLE")
            count = len(role[2]) if role[0] == b"master" else 0
        except ResponseError:
            count = 0  # not permitted to ask: then nothing is claimed about replicas either
        self._known[name] = now, count
        return count

    def forget(self) -> None:
        """Ask again."""
        self._known.clear()


class OneServer:
    """One server: the only one, or the master that Sentinels name.

    Args:
        open_client: returns a client with so many connections.
    """

    def __init__(self, open_client: Callable[[int], Any]) -> None:
        self._open = open_client
        self._client = open_client(MOST_CONNECTIONS)
        self._replicas = Replicas()

    async def ask(self, key: str | None, commands: Sequence[Command]) -> list[Any]:
        """Send commands on one connection. Raises RedisError, OSError."""
        del key
        for _ in range(_MOST_TRIES - 1):
            try:
                return await perform(self._client, commands)
            except exceptions.ReadOnlyError:
                # it was the master when we connected; a new connection finds the new one
                await self.doubt()
                await asyncio.sleep(_PAUSE)
        return await perform(self._client, commands)

    async def count_replicas(self, key: str) -> int:
        """Return how many replicas it has. Raises RedisError, OSError."""
        del key
        return await self._replicas.count(None, self._client)

    async def open(self, key: str | None) -> Any:  # noqa: ANN401 - as above
        """Return a client with one connection."""
        del key
        return self._open(1)

    async def doubt(self) -> None:
        """Give up idle connections: each might lead to where nobody answers."""
        self._replicas.forget()
        await hang_up(self._client, idle_only=True)

    async def close(self) -> None:
        """Close every connection."""
        await hang_up(self._client)
