"""The store: everything that the gateway asks of Redis or Valkey goes through here.

Keys carry a prefix, and those that one script touches together share a hash tag, so that single servers,
Sentinel and Cluster serve alike. Every command has a time limit, is safe to repeat, and fails as a ``Fault``
whose detail holds neither address nor password.
"""

import asyncio
import hashlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions
from redis.exceptions import AuthenticationError, BusyLoadingError, NoScriptError, RedisError, ResponseError

from gateway.config.store_address import AddressError, StoreAddress, parse_url
from gateway.core.decision.needs import UseOnce
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.edge.store.clients import Argument, Command, OneServer, Opener, Servers, hang_up
from gateway.edge.store.cluster import Cluster
from gateway.edge.store.sentinel import SentinelMaster

RETRY_AFTER = 5
PATIENCE = 2.0
"""Seconds of an outage that are waited out where somebody would otherwise be refused."""
_SILENCE = 5.0
_REPLICA_WAIT = 0.5
_FIRST_PAUSE = 0.05
_MOST_PAUSE = 0.4
_POLICY = re.compile(r"[a-z-]{1,32}")
_CODE = re.compile(r"[A-Z][A-Z0-9]{1,19}(?= |$)")


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
    """The way to the store.

    Args:
        address: where it is; a URL stands for one server. May hold a password and so is never shown.
        prefix: begins every key.
        timeout: seconds for any one command, waiting for a connection included.
        clock: wall time in seconds since the epoch.

    Raises:
        RuntimeError: the address is not one of a store.
    """

    def __init__(
        self, address: StoreAddress | str, prefix: str, timeout: float, clock: Callable[[], float]
    ) -> None:
        if isinstance(address, str):
            try:
                address = parse_url(address)
            except AddressError as error:
                raise RuntimeError(f"redis.url cannot be used: {error}") from None
        self._prefix = prefix
        self.timeout = timeout
        self._clock = clock
        self._servers = open_servers(address, timeout)
        self._away_since: float | None = None
        self.available = False
        self.trouble: str | None = "not asked yet"

    async def start(self) -> None:
        """Try the store once; one that is away now may come later, so that is no error."""
        with suppress(Fault):
            await self.execute("PING")

    async def close(self) -> None:
        """Close every connection."""
        await self._servers.close()

    async def eviction_policy(self) -> str | None:
        """Return the store's ``maxmemory-policy``, None where it does not say; a refusal is no trouble."""
        try:
            async with asyncio.timeout(self.timeout):
                (told,) = await self._servers.ask(None, (("INFO", "memory"),))
        except (RedisError, OSError):
            return None
        policy = told.get("maxmemory_policy") if isinstance(told, dict) else None
        return policy if isinstance(policy, str) and _POLICY.fullmatch(policy) is not None else None

    def key(self, *parts: str) -> str:
        """Return a key of ours; a part in braces is its hash tag."""
        return self._prefix + ":".join(parts)

    async def _failed(self, error: Exception) -> Fault:
        self.available = False
        self.trouble = explain(error, self.timeout)
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()
        if not isinstance(error, ResponseError):
            await self._servers.doubt()
        return Fault("store", Reason.STORE_UNAVAILABLE, self.trouble, RETRY_AFTER)

    async def _ask(self, key: str | None, *commands: Command) -> list[Any]:
        try:
            async with asyncio.timeout(self.timeout):
                replies = await self._servers.ask(key, commands)
        except NoScriptError:
            raise
        except (RedisError, OSError) as error:
            # cut off: an original error may carry arguments
            raise await self._failed(error) from None
        self.available, self.trouble, self._away_since = True, None, None
        return replies

    async def execute(self, *command: Argument) -> Any:  # noqa: ANN401 - a reply has any shape
        """Send one command; in a Cluster it goes where its first argument is kept. Raises Fault."""
        key = command[1] if len(command) > 1 else None
        is_key = isinstance(key, str) and key.startswith(self._prefix)
        return (await self._ask(str(key) if is_key else None, command))[0]

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401
        """Run a script, all of whose keys share a slot. Raises Fault."""
        return (await self._run(script, keys, arguments))[0]

    async def _run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], *more: Command
    ) -> list[Any]:
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._ask(keys[0], ("EVALSHA", script.digest, *rest), *more)
        except NoScriptError:
            return await self._ask(keys[0], ("EVAL", script.source, *rest), *more)

    async def run_replicated(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[Any, bool | None]:
        """Run a script, then wait for half a second at most until one replica has it.

        Returns:
            The reply, and whether a replica confirmed in time; None where the store has no replica.

        Raises:
            Fault: the script did not run, or that is not known.
        """
        try:
            async with asyncio.timeout(self.timeout):
                replicas = await self._servers.count_replicas(keys[0])
        except (RedisError, OSError) as error:
            raise await self._failed(error) from None
        if not replicas:
            return await self.run(script, keys, arguments), None
        limit = min(_REPLICA_WAIT, self.timeout / 2)
        # WAIT speaks of the writes of its own connection, so both travel on one
        reply, confirmed = await self._run(script, keys, arguments, ("WAIT", 1, int(limit * 1000)))
        return reply, int(confirmed) >= 1

    async def run_patiently(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        replicated: bool = False,
    ) -> Any:  # noqa: ANN401
        """Run a script, waiting out a short outage: a restart of the store, or a quick failover.

        Once the store has been away for ``PATIENCE``, nobody waits any longer.

        Args:
            script: safe to repeat.
            keys: share a slot.
            arguments: the same ones are sent each time.
            replicated: as ``run_replicated``, whether or not a replica confirms.

        Raises:
            Fault: the store is away for longer.
        """
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        # what the store refuses while it is there is refused for good: a command that its ACL does not permit
        end = loop.time() + PATIENCE
        while True:
            try:
                if replicated:
                    return (await self.run_replicated(script, keys, arguments))[0]
                return await self.run(script, keys, arguments)
            except Fault:
                away = self._away_since
                if loop.time() >= (end if away is None else away + PATIENCE):
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_PAUSE)

    async def use_once(self, need: UseOnce) -> bool:
        """Mark a value as used until ``expires``; True the first time only, False when it has expired.

        Raises:
            Fault: the store cannot tell.
        """
        lifetime = int((need.expires - self._clock()) * 1000)
        if lifetime <= 0:
            return False
        named = hashlib.sha256(f"{need.purpose}\x00{need.value}".encode()).hexdigest()
        mark = os.urandom(16).hex()
        return bool(await self.run_patiently(_USE_ONCE, [self.key("once", named)], [mark, lifetime]))

    def line(self, key: str) -> "Line":
        """Return a connection of its own to where a key is kept, for commands that block."""
        return Line(self._servers, key, self.timeout)

    async def messages(self, channel: str) -> AsyncIterator[bytes | None]:
        """Subscribe on a connection of its own; yield what is published.

        A Cluster passes messages on to all its servers, so any of them will do.

        None is yielded whenever the subscription has (again) begun: messages before it may have been missed.

        Raises:
            Fault: the connection is lost or silent.
        """
        client = subscription = None
        try:
            async with asyncio.timeout(self.timeout):
                client = await self._servers.open(None)
            subscription = client.pubsub()
            async for message in _listen(subscription, channel):
                yield message
        except (RedisError, OSError) as error:
            raise Fault(
                "store", Reason.STORE_UNAVAILABLE, explain(error, self.timeout), RETRY_AFTER
            ) from None
        finally:
            with suppress(RedisError, OSError):
                if subscription is not None:
                    await subscription.aclose()
            if client is not None:
                await hang_up(client)


async def _listen(subscription: Any, channel: str) -> AsyncIterator[bytes | None]:  # noqa: ANN401 - not typed
    asked = False
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


class Line:
    """One connection for blocking reads; after a Fault the next command connects to where the key is then."""

    def __init__(self, servers: Servers, key: str, timeout: float) -> None:
        self._servers = servers
        self._key = key
        self._timeout = timeout
        self._client: Any = None

    async def execute(self, *command: Argument, patience: float) -> Any:  # noqa: ANN401 - a reply has any shape
        """Send a command that may block for ``patience`` seconds. Raises Fault."""
        try:
            async with asyncio.timeout(patience + self._timeout):
                if self._client is None:
                    self._client = await self._servers.open(self._key)
                return await self._client.execute_command(*command)
        except (RedisError, OSError) as error:
            await self.close()
            await self._servers.doubt()
            raise Fault(
                "store", Reason.STORE_UNAVAILABLE, explain(error, self._timeout), RETRY_AFTER
            ) from None

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await hang_up(client)


def open_servers(address: StoreAddress, timeout: float) -> Servers:
    """Return the servers of an address; nothing is asked yet."""
    opener = Opener(address, timeout)
    if address.kind == "cluster":
        return Cluster(opener)
    if address.kind == "sentinel":
        return SentinelMaster(opener)
    node = address.nodes[0] if address.nodes else None
    return OneServer(lambda connections: opener.server(node, connections))


_ADVICE = {
    "MISCONF": ": it cannot write its files; is its disk full?",
    "OOM": ": it is full; raise its maxmemory",
    "OutOfMemoryError": ": it is full; raise its maxmemory",
    "READONLY": ": it is a replica; name the primary",
    "ReadOnlyError": ": it is a replica; name the primary",
    "NoPermissionError": ": its ACL does not permit it; see the commands in docs/store.md",
    "MASTERDOWN": ": it is a replica without its primary",
}


def explain(error: Exception, timeout: float) -> str:
    """Say what went wrong without quoting what a client library says, which may hold arguments or secrets."""
    # what fails while connecting is wrapped
    kinds = tuple(_wrapped(error))
    if any(isinstance(kind, AuthenticationError) for kind in kinds):
        return "the store refuses the user name or password of redis.url"
    if any(isinstance(kind, BusyLoadingError) for kind in kinds):
        return "the store is still loading its data"
    if any(isinstance(kind, ssl.SSLCertVerificationError) for kind in kinds):
        return "the store's certificate cannot be trusted: see redis.tls"
    if any(isinstance(kind, ssl.SSLError) for kind in kinds):
        return "TLS with the store fails"
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return f"the store did not answer within {timeout:g} s"
    if isinstance(error, ResponseError):
        code = _CODE.match(str(error))
        word = code[0] if code else type(error).__name__
        return f"the store refused a command: {word}{_ADVICE.get(word, '')}"
    if isinstance(error, exceptions.ConnectionError | OSError):
        return "the store cannot be reached"
    return f"the store failed: {type(error).__name__}"


def _wrapped(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


__all__ = ["PATIENCE", "RETRY_AFTER", "Argument", "Line", "Script", "Store", "explain", "open_servers"]
