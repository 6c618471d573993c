"""Balancers that cannot be run here: TLS ends at a stand-in, which says what theirs are documented to say.

AWS: docs.aws.amazon.com/elasticloadbalancing/latest/application/, x-forwarded-headers and -limits.
Cloudflare: developers.cloudflare.com/fundamentals/reference/, http-headers and connection-limits.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import yaml

from tests.support.before import CLIENT, BehindWorld
from tests.support.fronts import SHIPPED, Front
from tests.support.world import World

Lines = list[tuple[str, str]]
TRACE = "Root=1-692ae0b1-0123456789abcdef01234567"
RAY = "9a5e2c1d0b7f4e21-FRA"
_KB = 1024


def _without(lines: Lines, *names: str) -> Lines:
    return [line for line in lines if line[0].lower() not in names]


def _appended(lines: Lines, name: str, value: str) -> Lines:
    """Append to a field that is a list, as one line."""
    before = [each for found, each in lines if found.lower() == name.lower()]
    return [*_without(lines, name.lower()), (name, ", ".join([*before, value]))]


def alb(lines: Lines) -> Lines | None:
    """Return what an Application Load Balancer (append, preserve_host_header) sends; None: it answers 400."""
    if max(len(name) + len(value) for name, value in lines) > 16 * _KB:
        return None
    if sum(len(name) + len(value) + 4 for name, value in lines) > 64 * _KB:
        return None
    lines = _appended(lines, "X-Forwarded-For", CLIENT)
    began = [value for name, value in lines if name.lower() == "x-amzn-trace-id"]
    trace = ";".join((TRACE.replace("Root", "Self"), *began)) if began else TRACE
    lines = _without(lines, "x-forwarded-proto", "x-forwarded-port", "x-amzn-trace-id")
    return [
        *lines, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443"), ("X-Amzn-Trace-Id", trace),
    ]  # fmt: skip


def cloudflare(lines: Lines) -> Lines | None:
    """Return what Cloudflare sends; None: it answers 400 itself."""
    if sum(len(name) + len(value) + 4 for name, value in lines) > 128 * _KB:
        return None
    lines = _appended(_appended(lines, "X-Forwarded-For", CLIENT), "CDN-Loop", "cloudflare; loops=1")
    own = {
        "CF-Connecting-IP": CLIENT,
        "CF-Ray": RAY,
        "CF-IPCountry": "DE",
        "CF-Visitor": '{"scheme":"https"}',
        "X-Forwarded-Proto": "https",
        "Accept-Encoding": "gzip, br",
    }
    return [*_without(lines, *map(str.lower, own)), *own.items()]


class ShapedWorld(BehindWorld):
    """A gateway with the settings of a shipped file, behind such a balancer."""

    def __init__(
        self,
        file: str,
        shape: Callable[[Lines], Lines | None],
        store_url: str,
        tmp_path: Any,
        **override: Any,
    ) -> None:
        told = yaml.safe_load((SHIPPED / "front" / file).read_text(encoding="utf-8"))
        taken = ("health_path", "forwarding", "session", "limits", "log")
        settings = {"asked_by": [], **{name: told[name] for name in taken if name in told}, **override}
        super().__init__(Front(file, "", lambda _program, _place: []), store_url, tmp_path, **settings)
        self.shape = shape

    async def _start_front(self) -> None:
        pair = self.authority.issue("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=context, limit=256 * _KB
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *rest = head.split("\r\n")[:-2]
            lines: Lines | None = [(each.partition(":")[0], each.partition(":")[2].strip()) for each in rest]
            lines = self.shape(lines or [])
            if lines is None:
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                if not any(name.lower() == "upgrade" for name, _ in lines):
                    lines = [*_without(lines, "connection"), ("Connection", "close")]
                await self._forward(first, lines, reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _forward(
        self, first: str, lines: Lines, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.public_port)
        text = "\r\n".join((first, *(f"{name}: {value}" for name, value in lines), "", ""))
        ours.write(text.encode("latin-1"))

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while data := await source.read(64 * _KB):
                    sink.write(data)
                    await sink.drain()

        back = asyncio.create_task(copy(reader, ours))
        await copy(theirs, writer)
        back.cancel()
        ours.close()

    async def __aexit__(self, *_: object) -> None:
        for browser in self.browsers:
            await browser.close()
        self.browsers.clear()
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await World.__aexit__(self)
