"""The store: everything that the gateway asks of Redis or Valkey goes through here.

Keys carry a prefix, and those that one script touches together share a hash tag, so that single servers,
Sentinel and Cluster serve alike. Every command has a time limit, is safe to repeat, and fails as a ``Fault``
whose detail holds neither address nor password.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, NoScriptError, RedisError, ResponseError

from gateway.core.model import Fault
from gateway.core.needs import UseOnce
from gateway.core.reasons import Reason

Argument: TypeAlias = "str | bytes | int | float"

RETRY_AFTER = 5
MOST_CONNECTIONS = 32
_SILENCE = 5.0
_REPLICA_WAIT = 0.5
_CODE = re.compile(r"[A-Z][A-Z0-9]{1,19}(?= |$)")
_SCHEMES = {"valkey://": "redis://", "valkeys://": "rediss://"}


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, called by its SHA-1 (EVALSHA) and sent whole only where the store lacks it."""

    source: str = field(repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


_USE_ONCE = Script("""
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
-- a repetition of the very same command, whose first answer was lost, is still the first use
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0
""")


class Store:
    """One connection pool to the store.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; may hold a password and so is never shown.
        prefix: begins every key.
        timeout: seconds for any one command, waiting for a connection included.
        clock: wall time in seconds since the epoch.

    Raises:
        RuntimeError: the address is not one of a store.
    """

    def __init__(self, url: str, prefix: str, timeout: float, clock: Callable[[], float]) -> None:
        for spelling, scheme in _SCHEMES.items():
            if url.startswith(spelling):
                url = scheme + url.removeprefix(spelling)
        self._url = url
        self._prefix = prefix
        self.timeout = timeout
        self._clock = clock
        self._client = self._open(MOST_CONNECTIONS)
        self._replicas_known: tuple[float, int] = (float("-inf"), 0)
        self.available = False
        self.trouble: str | None = "not asked yet"

    def _open(self, connections: int) -> Any:  # noqa: ANN401 - the client's commands are not typed
        kind = BlockingConnectionPool if connections > 1 else ConnectionPool
        try:
            pool = kind.from_url(
                self._url,
                max_connections=connections,
                socket_connect_timeout=self.timeout,
                socket_timeout=None,
                # a pooled connection that died in its sleep is replaced once, since commands are safe to
                # repeat; whoever has a connection of his own wants to know
                retry=Retry(
                    NoBackoff(), int(connections > 1), supported_errors=(exceptions.ConnectionError,)
                ),
                client_name="token-gateway",
            )
        except (ValueError, TypeError):
            # the original may quote the address
            raise RuntimeError(
                "redis.url must be redis://host:port/db, rediss://host:port/db or unix:///path?db=0"
            ) from None
        pool.connection_kwargs.update(protocol=2, decode_responses=False)
        client: Any = Redis(connection_pool=pool)
        for command in ("XREAD", "ZSCAN", "ROLE"):
            client.set_response_callback(command, _raw)
        return client

    async def start(self) -> None:
        """Try the store once; one that is away now may come later, so that is no error."""
        with suppress(Fault):
            await self.execute("PING")

    async def close(self) -> None:
        """Close every connection."""
        await _close(self._client)

    def key(self, *parts: str) -> str:
        """Return a key of ours; a part in braces is its hash tag."""
        return self._prefix + ":".join(parts)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            self.available = False
            self.trouble = explain(error, self.timeout)
            # cut off: an original error may carry arguments
            raise Fault("store", Reason.STORE_UNAVAILABLE, self.trouble, RETRY_AFTER) from None
        self.available, self.trouble = True, None

    async def execute(self, *command: Argument) -> Any:  # noqa: ANN401 - a reply has any shape
        """Send one command. Raises Fault."""
        with self._faults():
            async with asyncio.timeout(self.timeout):
                return await self._client.execute_command(*command)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401
        """Run a script. Raises Fault."""
        with self._faults():
            async with asyncio.timeout(self.timeout):
                try:
                    return await self._client.execute_command(
                        "EVALSHA", script.digest, len(keys), *keys, *arguments
                    )
                except NoScriptError:
                    return await self._client.execute_command(
                        "EVAL", script.source, len(keys), *keys, *arguments
                    )

    async def run_replicated(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[Any, bool | None]:
        """Run a script, then wait until one replica has it.

        Returns:
            The reply, and whether a replica confirmed in time; None where the store has no replica.

        Raises:
            Fault: the script did not run.
        """
        if not await self._replicas():
            return await self.run(script, keys, arguments), None
        limit = min(_REPLICA_WAIT, self.timeout / 2)
        with self._faults():
            async with asyncio.timeout(self.timeout), self._client.pipeline(transaction=False) as pipe:
                # WAIT speaks of the writes of its own connection, so both travel on one
                pipe.execute_command("EVAL", script.source, len(keys), *keys, *arguments)
                pipe.execute_command("WAIT", 1, int(limit * 1000))
                reply, confirmed = await pipe.execute()
        return reply, int(confirmed) >= 1

    async def _replicas(self) -> int:
        loop_time = asyncio.get_running_loop().time()
        known_at, count = self._replicas_known
        if loop_time - known_at < _SILENCE:
            return count
        try:
            async with asyncio.timeout(self.timeout):
                role = await self._client.execute_command("ROLE")
            count = len(role[2]) if role[0] == b"master" else 0
        except ResponseError:
            count = 0  # not permitted to ask: then nothing is claimed about replicas either
        except (RedisError, OSError) as error:
            raise Fault(
                "store", Reason.STORE_UNAVAILABLE, explain(error, self.timeout), RETRY_AFTER
            ) from None
        self._replicas_known = (loop_time, count)
        return count

    async def use_once(self, need: UseOnce) -> bool:
        """Mark a value as used until ``expires``; True the first time only, False when it has expired.

        Raises:
            Fault: the store cannot tell.
        """
        lifetime = int((need.expires - self._clock()) * 1000)
        if lifetime <= 0:
            return False
        named = hashlib.sha256(f"{need.purpose}\x00{need.value}".encode()).hexdigest()
        return bool(await self.run(_USE_ONCE, [self.key("once", named)], [os.urandom(16).hex(), lifetime]))

    def line(self) -> "Line":
        """Return a connection of its own, for commands that block."""
        return Line(self._open(1), self.timeout)

    async def messages(self, channel: str) -> AsyncIterator[bytes | None]:
        """Subscribe on a connection of its own; yield what is published.

        None is yielded whenever the subscription has (again) begun: messages before it may have been missed.

        Raises:
            Fault: the connection is lost or silent.
        """
        client = self._open(1)
        subscription = client.pubsub()
        asked = False
        try:
            await subscription.subscribe(channel)
            while True:
                message = await subscription.get_message(timeout=_SILENCE)
                if message is not None:
                    asked = False
                    if message["type"] == "subscribe":
                        yield None
                    elif message["type"] == "message":
                        yield message["data"]
                elif asked:
                    raise exceptions.ConnectionError
                else:
                    asked = True
                    await subscription.ping()
        except (RedisError, OSError) as error:
            raise Fault(
                "store", Reason.STORE_UNAVAILABLE, explain(error, self.timeout), RETRY_AFTER
            ) from None
        finally:
            with suppress(RedisError, OSError):
                await subscription.aclose()
            await _close(client)


class Line:
    """One connection for blocking reads. After a Fault the next command connects anew."""

    def __init__(self, client: Any, timeout: float) -> None:  # noqa: ANN401 - as above
        self._client = client
        self._timeout = timeout

    async def execute(self, *command: Argument, patience: float) -> Any:  # noqa: ANN401 - a reply has any shape
        """Send a command that may block for ``patience`` seconds. Raises Fault."""
        try:
            async with asyncio.timeout(patience + self._timeout):
                return await self._client.execute_command(*command)
        except (RedisError, OSError) as error:
            raise Fault(
                "store", Reason.STORE_UNAVAILABLE, explain(error, self._timeout), RETRY_AFTER
            ) from None

    async def close(self) -> None:
        """Close the connection."""
        await _close(self._client)


def explain(error: Exception, timeout: float) -> str:
    """Say what went wrong without quoting what a client library says, which may hold arguments or secrets."""
    # what fails while connecting is wrapped
    kinds = (error, error.__cause__)
    if any(isinstance(kind, AuthenticationError) for kind in kinds):
        return "the store refuses the user name or password of redis.url"
    if any(isinstance(kind, BusyLoadingError) for kind in kinds):
        return "the store is still loading its data"
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return f"the store did not answer within {timeout:g} s"
    if isinstance(error, ResponseError):
        code = _CODE.match(str(error))
        return f"the store refused a command: {code[0] if code else type(error).__name__}"
    if isinstance(error, exceptions.ConnectionError | OSError):
        return "the store cannot be reached"
    return f"the store failed: {type(error).__name__}"


async def _close(client: Any) -> None:  # noqa: ANN401 - as above
    with suppress(RedisError, OSError):
        await client.aclose()
        await client.connection_pool.disconnect()


def _raw(reply: Any, **_: object) -> Any:  # noqa: ANN401 - a reply has any shape
    return reply
