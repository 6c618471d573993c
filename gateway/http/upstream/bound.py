"""Connections that an upstream authenticates (NTLM, Negotiate; RFC 4559): each is one client's alone.

Such an upstream takes whatever comes on a connection for the person who once proved on it who she is. So a
connection on which a scheme of that kind was sent, offered or answered serves the client connection that it
served then, or nobody (R77).
"""

import re
from typing import TYPE_CHECKING, TypeAlias

from gateway.core.headers.names import BINDING_SCHEME

if TYPE_CHECKING:
    from gateway.http.downstream.connection import ClientConnection
    from gateway.http.upstream.connection import UpstreamConnection
    from gateway.http.upstream.pool import UpstreamPool

_CREDENTIALS = re.compile(rb"\r\n(?i:proxy-)?(?i:authorization):(?:[^\r\n]*[ \t,])?" + BINDING_SCHEME)

Own: TypeAlias = "dict[Bound, UpstreamConnection]"
"""What one client connection has for itself, by upstream."""


def sends_binding(head: bytes) -> bool:
    """Tell whether a request head for an upstream authenticates the connection that it is sent on."""
    return _CREDENTIALS.search(head) is not None


def let_go(own: Own) -> None:
    """A client connection has ended: so do those that were its own."""
    while own:
        bound, connection = own.popitem()
        bound.drop(connection)


class Bound:
    """The bound connections of one upstream that serve nobody at the moment, oldest first.

    They count among the open ones. Where others wait for a connection, the oldest makes room: its client has
    to authenticate anew, which it does by itself.
    """

    __slots__ = ("_idle", "_pool")

    def __init__(self, pool: "UpstreamPool") -> None:
        self._pool = pool
        self._idle: dict[UpstreamConnection, ClientConnection] = {}

    def keep(self, connection: "UpstreamConnection", client: "ClientConnection") -> None:
        """Keep a connection that may serve again for the client connection that it served.

        A proxy in front sends many people's requests on one connection: for it nothing is kept.
        """
        pool = self._pool
        if (
            client.is_over
            or client.server.admission.is_exempt(client.peer)
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

    def take(self, client: "ClientConnection") -> "UpstreamConnection | None":
        """Return the client connection's own, for one more request; None where it has none.

        It has none either where it has turned out to be a proxy's since.
        """
        assert client.own is not None
        connection = client.own.pop(self, None)
        if connection is None:
            return None
        del self._idle[connection]
        connection.origin.busy += 1
        is_alone = not client.server.admission.is_exempt(client.peer)
        if is_alone and connection.is_quiet() and connection.origin.up:
            return connection
        connection.finish()
        return None

    def lost(self, connection: "UpstreamConnection") -> bool:
        """Note that a connection has ended; tell whether it was one that is kept here."""
        client = self._idle.pop(connection, None)
        if client is None:
            return False
        if client.own is not None:
            client.own.pop(self, None)
        return True

    def drop(self, connection: "UpstreamConnection") -> None:
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
