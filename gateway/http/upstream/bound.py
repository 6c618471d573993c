"""Connections that an upstream authenticates (NTLM, Negotiate; RFC 4559): each is one client's alone.

Such an upstream takes whatever comes on a connection for the person who once proved on it who she is. So a
connection on which a scheme of that kind was sent, offered or answered serves the client connection that it
served then, or nobody (R77).
"""

from typing import Protocol

from gateway.http.roles import Client, Upstream


class Stock(Protocol):
    """What is asked of the pool that the connections are from."""

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a connection."""

    def may_keep(self, connection: Upstream) -> bool:
        """Tell whether a connection may serve again."""


class Bound:
    """The bound connections of one upstream that serve nobody at the moment, oldest first.

    They count among the open ones. Where others wait for a connection, the oldest makes room: its client has
    to authenticate anew, which it does by itself.
    """

    __slots__ = ("_idle", "_pool")

    def __init__(self, pool: Stock) -> None:
        self._pool = pool
        self._idle: dict[Upstream, Client] = {}

    def keep(self, connection: Upstream, client: Client) -> None:
        """Keep a connection that may serve again for the client connection that it served.

        A proxy in front sends many people's requests on one connection: for it nothing is kept.
        """
        pool = self._pool
        if (
            client.is_over
            or client.is_proxy
            or not pool.may_keep(connection)
            or (client.own is not None and self in client.own)
        ):
            connection.finish()
            return
        if client.own is None:
            client.own = {}
        client.own[self] = connection
        self._idle[connection] = client
        connection.origin.busy -= 1
        if pool.is_waited_for:
            self.make_room()

    def take(self, client: Client) -> Upstream | None:
        """Return the client connection's own, for one more request; None where it has none.

        It has none either where it has turned out to be a proxy's since.
        """
        assert client.own is not None
        connection = client.own.pop(self, None)
        if connection is None:
            return None
        del self._idle[connection]
        connection.origin.busy += 1
        is_alone = not client.is_proxy
        if is_alone and connection.is_quiet() and connection.origin.up:
            return connection
        connection.finish()
        return None

    def lost(self, connection: Upstream) -> bool:
        """Note that a connection has ended; tell whether it was one that is kept here."""
        client = self._idle.pop(connection, None)
        if client is None:
            return False
        if client.own is not None:
            client.own.pop(self, None)
        return True

    def drop(self, connection: Upstream) -> None:
        """Close one that nobody wants any more."""
        if self._idle.pop(connection, None) is not None:
            connection.origin.busy += 1
            connection.finish()

    def make_room(self) -> None:
        """Close the oldest, if there is one: somebody else waits for a connection."""
        for connection, client in self._idle.items():
            if client.own is not None:
                client.own.pop(self, None)
            self.drop(connection)
            return

    def close(self) -> None:
        """Close all of them."""
        while self._idle:
            self.make_room()
