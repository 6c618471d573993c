"""A data plane before several servers on Unix sockets that come, go and misbehave on command."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.support.http import Behaviour, Client, Plane, Sent, Upstream, UpstreamSide, echo, figures

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(target: str = "/", method: str = "GET") -> bytes:
    """Return a request without a body."""
    return f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def post(target: str = "/") -> bytes:
    """Return an unsafe request with a body."""
    return f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".encode()


async def die(side: UpstreamSide) -> None:
    """Take a request and end without a byte."""
    await side.request()
    side.reset()


async def hang(side: UpstreamSide) -> None:
    """Take a request and never answer."""
    await side.request()
    await side.ended()


async def insist(client: Client, request: bytes) -> None:
    """Ask until it is answered with 200."""
    for _ in range(2000):
        if (await client.ask(request)).status == 200:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never 200")


class SocketServer(Upstream):
    """An upstream on a Unix socket."""

    def __init__(self, path: Path, behaviour: Behaviour) -> None:
        super().__init__(behaviour)
        self.path = path

    async def start(self, **more: Any) -> "SocketServer":
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), **more)
        return self

    async def down(self) -> None:
        """Stop listening, and end every connection."""
        await self.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def asked(self, target: str) -> list[Sent]:
        """Return the requests for a target."""
        return [each for each in self.seen if each.target == target]


class Cluster(Plane):
    """A data plane before ``count`` such servers; settings are an upstream's."""

    def __init__(self, count: int, behaviour: Behaviour = echo, **settings: Any) -> None:
        # the names of sockets are short: a test's own directory may be too deep
        self.directory = Path(tempfile.mkdtemp(prefix="gw-"))
        self.members = [SocketServer(self.directory / f"{n}.sock", behaviour) for n in range(count)]
        super().__init__(servers=tuple(f"unix:{each.path}" for each in self.members), **settings)

    async def __aenter__(self) -> Self:
        for each in self.members:
            await each.start()
        await super().__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        for each in self.members:
            await each.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def gauge(self, name: str, server: int = 0) -> float:
        """Return what is told of one server."""
        return figures(self.server)[f"upstream_app_server_{server}_{name}"]

    def seen(self) -> list[int]:
        """Return how many requests each server has seen."""
        return [len(each.seen) for each in self.members]

    async def until(self, seconds: float) -> None:
        """Let the data plane's own clock go on by so much."""
        start = self.server.now
        await self.eventually(lambda: self.server.now - start > seconds)
