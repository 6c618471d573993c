"""What walks through a login: a browser's requests without a browser, one at a time, nothing followed."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from gateway.edge.providers.proxy import proxy_for
from gateway.http.client_tls import client_context

_MOST_BODY: Final = 262_144
NAVIGATION: Final[Mapping[str, str]] = {
    "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (gateway doctor)",
}
"""What a browser says that opens a page."""
PROGRAM: Final[Mapping[str, str]] = {"Accept": "application/problem+json", "User-Agent": "gateway doctor"}
"""What a program says that wants to know the reason."""


class NoAnswerError(Exception):
    """There was no answer; the text says why."""


class _Resolver(aiohttp.ThreadedResolver):
    """As browsers do: a name below localhost is this machine, whoever is asked (RFC 6761 section 6.3)."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.endswith(".localhost"):
            return await super().resolve(host, port, family)
        found = await super().resolve("localhost", port, family)
        # certificates are for the name that was asked for
        return [ResolveResult(**{**each, "hostname": host}) for each in found]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. ``ahead`` is by how many seconds our clock is ahead of its Date, None without one."""

    url: str
    status: int
    location: str
    headers: Mapping[str, str]
    set_cookies: Sequence[str] = field(repr=False)
    body: str = field(repr=False)
    ahead: float | None = None


async def get(
    url: str,
    within: float,
    *,
    headers: Mapping[str, str] = NAVIGATION,
    cookies: Mapping[str, str] | None = None,
    ca_file: str | None = None,
) -> Page:
    """Ask for a URL.

    Args:
        url: absolute.
        within: seconds.
        headers: of the request.
        cookies: to send, by name.
        ca_file: whose certificates are believed; the system's authorities without one.

    Raises:
        NoAnswerError: no answer.
    """
    sent = dict(headers)
    if cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    try:
        context = client_context(ca_file)
    except OSError:
        raise NoAnswerError(f"{ca_file or 'the certificates of the system'} cannot be used") from None
    with _faults_told(within):
        return await _asked(url, within, sent, context)


async def _asked(url: str, within: float, headers: Mapping[str, str], trusted: ssl.SSLContext) -> Page:
    async with (
        asyncio.timeout(within),
        # the environment's proxy, and never the passwords in ~/.netrc: what leads on may be anybody's
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session,
        session.get(
            URL(url, encoded=True),
            allow_redirects=False,
            headers=headers,
            ssl=trusted,
            proxy=proxy_for(url, None),
        ) as response,
    ):
        octets = bytearray()
        async for piece in response.content.iter_any():
            octets += piece
            if len(octets) > _MOST_BODY:
                response.close()
                break
    return Page(
        url,
        response.status,
        location_of(url, response.headers.get("Location", "")),
        {name.lower(): value for name, value in response.headers.items()},
        response.headers.getall("Set-Cookie", []),
        octets[:_MOST_BODY].decode("utf-8", "replace"),
        _ahead(response.headers.get("Date")),
    )


@contextlib.contextmanager
def _faults_told(within: float) -> Iterator[None]:
    """Say why there is no answer. Raises NoAnswerError."""
    try:
        yield
    except TimeoutError:
        raise NoAnswerError(f"no answer within {within:g} s") from None
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or "it cannot be trusted"
        raise NoAnswerError(f"its certificate is refused: {why}") from None
    except aiohttp.ClientConnectorError as error:
        raise NoAnswerError(f"no connection: {error.os_error.strerror or 'it fails'}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswerError(f"no HTTP answer ({type(error).__name__})") from None


def location_of(url: str, location: str) -> str:
    """Return where an answer of a URL leads, empty where that is no address."""
    try:
        return location if urlsplit(urljoin(url, location)) else ""
    except ValueError:
        return ""


def _ahead(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return time.time() - (parsedate_to_datetime(date).timestamp() + 0.5)
    except (ValueError, TypeError, OverflowError):
        return None
