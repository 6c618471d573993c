"""One GET to a provider, as a browser without cookies would send it: nothing is followed."""

import asyncio
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from gateway.config.settings.providers import ProviderSettings
from gateway.core.fault import Fault
from gateway.edge.providers.proxy import proxy_for
from gateway.edge.providers.trust import Trust

_MOST_BODY: Final = 262_144
_AGENT: Final = "Mozilla/5.0 (token-gateway check)"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was answered.

    ``ahead`` is by how many seconds our clock is ahead of the server's, None where it tells no time; half the
    time of the exchange and half a second are its uncertainty, ``unsure``.
    """

    status: int
    location: str
    body: str = field(repr=False)
    ahead: float | None = None
    unsure: float = 0.0


class NotSeenError(Exception):
    """There was no answer; the text says why, and holds no secret."""


async def see(url: str, settings: ProviderSettings, within: float) -> Seen:
    """Ask for a URL of a provider.

    Raises:
        NotSeenError: no answer.
    """
    proxy = None if settings.proxy is None else settings.proxy.get_secret_value()
    try:
        async with (
            asyncio.timeout(within),
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": _AGENT}
            ) as session,
        ):
            asked_at = time.time()
            async with session.get(
                URL(url, encoded=True),
                allow_redirects=False,
                ssl=Trust(settings).context(),
                proxy=proxy_for(url, proxy),
                headers={"Accept": "text/html,application/json;q=0.9,*/*;q=0.8"},
            ) as response:
                heard_at = time.time()
                body = await _body(response)
    except Fault as fault:
        raise NotSeenError(fault.detail) from None
    except TimeoutError:
        raise NotSeenError(f"no answer within {within:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # what the library says may quote the request
        raise NotSeenError(f"no answer ({type(error).__name__})") from None
    ahead = _ahead(response.headers.get("Date"), (asked_at + heard_at) / 2)
    location = _location(url, response.headers.get("Location", ""))
    return Seen(response.status, location, body, ahead, (heard_at - asked_at) / 2 + 0.5)


def _location(url: str, location: str) -> str:
    try:
        return urljoin(url, location) if location else ""
    except ValueError:
        # such as http://[::1
        return ""


async def _body(response: aiohttp.ClientResponse) -> str:
    octets = bytearray()
    async for piece in response.content.iter_any():
        octets += piece
        if len(octets) > _MOST_BODY:
            response.close()
            break
    return octets[:_MOST_BODY].decode("utf-8", "replace")


def _ahead(date: str | None, now: float) -> float | None:
    if date is None:
        return None
    try:
        # a whole second that has begun: half of it is over, as likely as not
        return now - (parsedate_to_datetime(date).timestamp() + 0.5)
    except (ValueError, TypeError, OverflowError):
        return None
