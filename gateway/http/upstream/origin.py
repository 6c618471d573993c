"""One server of an upstream: where it is, how it does, and how to get through to it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Generic, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from gateway.config.settings.upstreams import BreakerSettings
from gateway.http.sockets import as_protocol
from gateway.http.upstream.breaker import Breaker, Lately
from gateway.syntax.urls import authority_of, port_of

UNIX: Final = "unix:"
_MOST_ADDRESSES: Final = 6

AnyProtocol = TypeVar("AnyProtocol")


def expand_statuses(texts: tuple[str, ...]) -> frozenset[int]:
    """Return the status codes that ``503`` or ``5xx`` stand for."""
    found: set[int] = set()
    for text in texts:
        if text.endswith("xx"):
            found.update(range(int(text[0]) * 100, int(text[0]) * 100 + 100))
        else:
            found.add(int(text))
    return frozenset(found)


class Kept(Protocol):
    """A connection that is kept for a request to come."""

    def is_usable(self) -> bool:
        """Tell whether a request may be sent on it."""

    def is_quiet(self) -> bool:
        """Tell whether nothing has come from the server since its last response, its end least of all."""

    def finish(self) -> None:
        """Close."""


AnyKept = TypeVar("AnyKept", bound=Kept)


class Origin(Generic[AnyKept]):
    """One server of an upstream.

    Args:
        url: ``http://host:port``, ``https://host:port`` or ``unix:/path``.
        breaker: when to leave it alone.
        weight: its share in relation to the others'.
        rewrite: whether it is asked under its own authority instead of the public one.

    Attributes:
        authority: host and port, as Host tells them; ``localhost`` for a Unix socket.
        host_line: the Host line that it gets (without CRLF), None where the public one is kept.
        busy: its requests, those connecting included.
        open: its connections, those being opened included.
        idle: connections that serve nobody, oldest first.
        up: whether requests may go to it: healthy, and the breaker is closed.
        healthy: what the active checks say; True without any.
        cooling_until: until when it is tried last, after a connection failed; 0 when it is not.
        failing: status codes that count as failures.
        attentive: whether the next response's status means anything for the breaker.
        answers: how many responses of it had a head, whatever it said.
        lately: how often it was reached and did not answer.

    Raises:
        ValueError: the URL names no server.
    """

    __slots__ = (
        "answers",
        "attentive",
        "authority",
        "breaker",
        "busy",
        "cooling_until",
        "failing",
        "healthy",
        "host",
        "host_line",
        "idle",
        "lately",
        "open",
        "path",
        "port",
        "tls",
        "up",
        "weight",
    )

    def __init__(
        self, url: str, breaker: BreakerSettings | None = None, *, weight: int = 1, rewrite: bool = False
    ) -> None:
        self.tls = False
        self.host, self.port, self.path = "", 0, ""
        if url.startswith(UNIX):
            self._locate_socket(url[len(UNIX) :])
        else:
            self._locate(url)
        self.host_line = b"Host: " + self.authority if rewrite else None
        self.weight = weight
        breaker = breaker or BreakerSettings()
        self.breaker = Breaker(breaker.failures, breaker.delay)
        self.failing = expand_statuses(breaker.status)
        self.idle: list[AnyKept] = []
        self.busy = 0
        self.open = 0
        self.answers = 0
        self.lately = Lately()
        self.healthy = True
        self.cooling_until = 0.0
        self.settle()

    def _locate_socket(self, path: str) -> None:
        if not path.startswith("/") or path.startswith("//") or "\0" in path:
            raise ValueError("a Unix socket is unix: and an absolute path")
        self.path = path
        self.authority = b"localhost"

    def _locate(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a server is http://host:port, https://host:port or unix:/path")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("a server is a scheme, a host and a port, nothing else")
        self.tls = parts.scheme == "https"
        self.host = parts.hostname
        self.port = port_of(parts)
        self.authority = authority_of(parts).encode("ascii")

    def take(self, careful: bool) -> AnyKept | None:
        """Return the idle connection that served last, for one more request; None where there is none.

        Args:
            careful: look first whether the server has ended it, since the request must not be sent twice.
        """
        idle = self.idle
        while idle:
            connection = idle.pop()
            self.busy += 1
            if connection.is_usable():
                if not careful or connection.is_quiet():
                    return connection
                connection.finish()
        return None

    def settle(self) -> None:
        """Draw the consequences of what was learned of its health."""
        self.up = self.healthy and not self.breaker.is_open
        self.attentive = bool(self.breaker.failures or self.breaker.is_open or self.failing)


async def dial(
    origin: Origin[AnyKept],
    make: Callable[[], AnyProtocol],
    *,
    timeout: float,  # noqa: ASYNC109 - it is shared out over several addresses
    context: ssl.SSLContext | None,
    server_name: str | None,
) -> AnyProtocol:
    """Connect to a server, by any of its addresses; a name is resolved anew each time.

    Args:
        origin: the server.
        make: makes the protocol, anew for each address.
        timeout: seconds for everything, TLS included; shared out, so that one dead address is not all.
        context: for https.
        server_name: what SNI and the certificate say, if not the URL's host.

    Raises:
        OSError: it cannot be reached, or is not who it should be. ValueError: a name that none can have.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    async with asyncio.timeout(timeout):
        if origin.path:
            _, protocol = await loop.create_unix_connection(lambda: as_protocol(make()), origin.path)
            return cast("AnyProtocol", protocol)
        addresses = await _addresses(origin)
        name = (server_name or origin.host) if origin.tls else None
        failure: OSError = OSError("the name has no address")
        for index, address in enumerate(addresses):
            share = (until - loop.time()) / (len(addresses) - index)
            try:
                async with asyncio.timeout(share):
                    _, protocol = await loop.create_connection(
                        lambda: as_protocol(make()),
                        address,
                        origin.port,
                        ssl=context if origin.tls else None,
                        server_hostname=name,
                    )
                    return cast("AnyProtocol", protocol)
            except OSError as error:
                failure = error
        raise failure


def describe_failure(origin: Origin[AnyKept], error: Exception) -> str:
    """Say in a line, for the log, why there is no connection to a server."""
    why = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is refused: {error.verify_message}"
    return f"no connection to {origin.path or origin.authority.decode()}: {why or type(error).__name__}"


async def _addresses(origin: Origin[AnyKept]) -> list[str]:
    """Return a host's addresses in the resolver's order, the families by turns (RFC 8305 section 4)."""
    try:
        return [str(ip_address(origin.host))]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    families: dict[int, list[str]] = {}
    for family, _, _, _, place in found:
        address = str(place[0])
        if address not in families.setdefault(family, []):
            families[family].append(address)
    lists = list(families.values())
    longest = max(map(len, lists), default=0)
    return [each[place] for place in range(longest) for each in lists if place < len(each)][:_MOST_ADDRESSES]
