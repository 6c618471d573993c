"""The data plane without sockets: transports that remember what was written, an upstream's pool in memory."""
# ruff: noqa: D102 - methods whose names are asyncio's

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.server import Server
from gateway.http.upstream.connection import UpstreamConnection
from gateway.http.upstream.origin import Origin
from gateway.http.upstream.pool import UpstreamPool


class Transport:
    """A transport that remembers what was written; reading is paused as a socket would."""

    def __init__(self, peer: str = "192.0.2.1", *, tls: bool = False) -> None:
        self.written = b""
        self._extra = {"peername": (peer, 1), "sslcontext": tls or None}
        self.closing = False
        self.paused = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.written += data

    def close(self) -> None:
        self.closing = True

    abort = close

    def write_eof(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str) -> object:
        return self._extra.get(name)


class Pool:
    """The pool of the upstream ``app`` of a listener, whose connections are opened in memory, at once.

    Attributes:
        connections: all that were opened.
    """

    def __init__(self, server: Server) -> None:
        self.connections: list[UpstreamConnection] = []
        self.exchanges: list[object] = []
        self._pool = UpstreamPool(UpstreamSettings(servers=("http://u:80",)), server)
        self._pool._opening = self
        server.pools["app"] = self._pool

    def begin(self, exchange, origin: Origin) -> None:
        origin.busy += 1
        origin.open += 1
        connection = UpstreamConnection(self._pool, origin)
        connection.connection_made(Transport())
        self.connections.append(connection)
        self._pool.adopt(connection)
        self._pool.serve(exchange, connection)

    def written(self) -> bytes:
        return b"".join(each._transport.written for each in self.connections)
