"""The data plane without sockets: transports that remember what was written, an upstream's pool in memory."""
# ruff: noqa: D102 - methods whose names are asyncio's

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.server import Server
from gateway.http.upstream.connection import UpstreamConnection
from gateway.http.upstream.origin import Origin
from gateway.http.upstream.shares import Shares
from gateway.http.upstream.uploads import Uploads


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
    """One upstream connection in memory, a new one when the last was given up."""

    def __init__(self, server: Server) -> None:
        self.time = server
        self.settings = UpstreamSettings(servers=("http://u:80",))
        self.connections: list[UpstreamConnection] = []
        self.free: list[UpstreamConnection] = []
        self.most_uploads = 1
        self.uploads = Uploads(self)
        self.shares = Shares()
        self.rotation = self
        self.kept_for = 60.0
        self.heeds = True

    def enter(self, exchange, body) -> None:
        self.uploads.enter(exchange, body)

    def acquire(self, exchange) -> None:
        if not self.free:
            self.free.append(UpstreamConnection(self, Origin("http://u:80")))
            self.free[-1].connection_made(Transport())
            self.connections.append(self.free[-1])
        exchange.attach(self.free.pop())

    def release(self, connection: UpstreamConnection) -> None:
        self.free.append(connection)

    def keep(self, connection: UpstreamConnection, client: object) -> None:
        """One that is a client's own serves nobody else: here nobody at all any more."""
        connection.finish()

    def cancel(self, exchange) -> None:
        pass

    def failed(self, origin: Origin, exchange: object) -> None:
        pass

    def written(self) -> bytes:
        return b"".join(each._transport.written for each in self.connections)
