"""A Cluster: which server holds a key's slot, and what to do when that has changed.

Each server has a client of its own, so that commands that belong together (ASKING and what it is for, a
write and its WAIT) travel on one connection. A server that fails, or says that a slot has moved, makes the
map of slots be asked anew, once however many need it.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from gateway.config.store_address import Node
from gateway.edge.store.clients import MOST_CONNECTIONS, Command, Opener, Replicas, hang_up, perform
from gateway.edge.tasks import SingleFlight

SLOTS = 16384
_MOST_HOPS = 6
_MOST_ASKED = 8
_PAUSE = 0.05
_PASSING = ("TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY")
# redis-py cuts the word off where it has a class of its own
_WORDS = {
    "MovedError": "MOVED",
    "AskError": "ASK",
    "TryAgainError": "TRYAGAIN",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "ReadOnlyError": "READONLY",
}


class Cluster:
    """The servers of one Cluster.

    Args:
        opener: opens their clients; its address names some of them.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._limit = opener.timeout / 3
        self._clients: dict[Node, Any] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._nodes: tuple[Node, ...] = ()
        self._failed: set[Node] = set()
        self._is_stale = True
        self._mapping: SingleFlight[bool] = SingleFlight("the map of slots")
        self._replicas = Replicas()

    async def ask(self, key: str | None, commands: Sequence[Command]) -> list[Any]:
        """Send commands about one key to the server of its slot. Raises RedisError, OSError."""
        slot = None if key is None else key_slot(key.encode())
        ask_at: Node | None = None
        for hop in range(_MOST_HOPS):
            node = ask_at or await self._node_of(slot)
            asked = commands if ask_at is None else [("ASKING",), *commands]
            try:
                replies = await self._perform(node, asked)
            except ResponseError as error:
                word, target = _redirection(error, node)
                if hop + 1 == _MOST_HOPS or not (target or word in _PASSING):
                    raise
                ask_at = target if word == "ASK" else None
                if word == "MOVED" and slot is not None:
                    self._slots[slot] = target
                if word != "ASK":
                    self._is_stale = True
                if word in _PASSING:
                    await asyncio.sleep(_PAUSE)
            except (RedisError, OSError):
                # another server only: this one was tried twice
                ask_at = None
                if hop + 1 == _MOST_HOPS or await self._node_of(slot) == node:
                    raise
            else:
                return replies[len(asked) - len(commands) :]
        raise AssertionError

    async def _perform(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        try:
            replies = await perform(self._client(node), commands)
        except ResponseError:
            raise
        except (RedisError, OSError, asyncio.CancelledError):
            # who is cancelled has most likely waited too long for this server
            self._failed.add(node)
            self._is_stale = True
            raise
        self._failed.discard(node)
        return replies

    def _client(self, node: Node) -> Any:  # noqa: ANN401 - redis-py's commands are not typed
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = self._opener.server(node, MOST_CONNECTIONS)
        return client

    async def _node_of(self, slot: int | None) -> Node:
        """Return the server of a slot, or any. Raises redis.exceptions.ConnectionError."""
        known = self._nodes if slot is None else self._slots[slot]
        if (self._is_stale or not known) and not await self._mapping.join("map", self._map):
            raise RedisConnectionError("no server of the Cluster tells who holds which slot")
        if slot is None:
            healthy = [node for node in self._nodes if node not in self._failed]
            return random.choice(healthy or self._nodes)  # noqa: S311 - any will do
        node = self._slots[slot]
        if node is None:
            self._is_stale = True
            raise RedisConnectionError("no server of the Cluster holds this slot")
        return node

    async def _map(self) -> bool:
        """Ask who holds which slot; those that have failed are asked last."""
        known = dict.fromkeys((*self._nodes, *self._opener.address.nodes))
        candidates = sorted(known, key=self._failed.__contains__)[:_MOST_ASKED]
        for node in candidates:
            try:
                async with asyncio.timeout(self._limit):
                    reply = await self._client(node).execute_command("CLUSTER", "SLOTS")
            except (RedisError, OSError) as error:
                if not isinstance(error, ResponseError):
                    self._failed.add(node)
                continue
            slots = read_slots(reply, node)
            if slots is not None:
                self._slots, self._is_stale = slots, False
                self._nodes = tuple(dict.fromkeys(each for each in slots if each is not None))
                self._failed &= {*self._nodes, *self._opener.address.nodes}
                await self._forget_others()
                return True
        return False

    async def _forget_others(self) -> None:
        for node in self._clients.keys() - {*self._nodes, *self._opener.address.nodes}:
            await hang_up(self._clients.pop(node))

    async def count_replicas(self, key: str) -> int:
        """Return how many replicas a key's server has. Raises RedisError, OSError."""
        node = await self._node_of(key_slot(key.encode()))
        return await self._replicas.count(node, self._client(node))

    async def open(self, key: str | None) -> Any:  # noqa: ANN401 - as above
        """Return a client with one connection to a key's server, or any. Raises RedisError, OSError."""
        slot = None if key is None else key_slot(key.encode())
        return self._opener.server(await self._node_of(slot), 1)

    async def doubt(self) -> None:
        """Ask anew who holds which slot; idle connections to servers that failed are given up."""
        self._is_stale = True
        self._replicas.forget()
        for node in tuple(self._failed):
            if (client := self._clients.get(node)) is not None:
                await hang_up(client, idle_only=True)

    async def close(self) -> None:
        """Close every connection."""
        await self._mapping.close()
        for client in self._clients.values():
            await hang_up(client)


def _redirection(error: ResponseError, asked: Node) -> tuple[str, Node | None]:
    """Return an error's first word, and where it sends us if it does."""
    text = str(error)
    word = _WORDS.get(type(error).__name__) or text.partition(" ")[0]
    if word not in ("MOVED", "ASK"):
        return word, None
    host, _, port = text.rpartition(" ")[2].rpartition(":")
    if not port.isdecimal() or not 0 < int(port[:6]) <= 65535:
        return word, None
    # without a host it is the one that was asked
    return word, (host or asked[0], int(port))


def read_slots(reply: Any, asked: Node) -> list[Node | None] | None:  # noqa: ANN401 - whatever it says
    """Return each slot's server by the reply to CLUSTER SLOTS, or None where it is no such thing."""
    slots: list[Node | None] = [None] * SLOTS
    try:
        for first, last, master, *_ in reply:
            host = (master[0] or b"").decode("latin-1")
            if not (0 <= first <= last < SLOTS and 0 < master[1] <= 65535):
                return None
            node = (asked[0] if host in ("", "?") else host, int(master[1]))
            slots[first : last + 1] = [node] * (last + 1 - first)
    except (TypeError, ValueError, IndexError, AttributeError):
        return None
    return slots if any(slots) else None
