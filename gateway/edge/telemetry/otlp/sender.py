"""One message to a collector: OTLP over HTTP, binary protobuf, compressed (OTLP specification 1.x)."""

import asyncio
import gzip
import ssl
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from gateway.config.settings.telemetry import TelemetrySettings
from gateway.http.client_tls import client_context

_MOST_ANSWER: Final = 65_536
_AGAIN: Final = frozenset({429, 502, 503, 504})
_MOST_WAIT: Final = 300.0
_CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a message.

    Attributes:
        is_taken: whether the collector has it.
        may_try_again: whether it is worth sending once more, where it has not.
        wait: seconds that it asks for before that, 0 where it does not say.
        answer: what it said, if that is a message.
        why: what went wrong, in our own words; empty where nothing did.
    """

    is_taken: bool
    may_try_again: bool = False
    wait: float = 0.0
    answer: bytes = b""
    why: str = ""


class Sender:
    """Connections to a collector, under one configuration.

    Raises:
        OSError: the authorities cannot be read.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        if settings.ca_file is not None:
            self._tls = client_context(settings.ca_file)

    async def send(self, url: str, message: bytes) -> Sent:
        """Send a message, and tell what came of it. Never raises but when cancelled."""
        try:
            # compressing lets the loop go on
            body = await asyncio.to_thread(gzip.compress, message, 1)
            async with (
                asyncio.timeout(self._settings.timeout),
                self._open().post(
                    URL(url, encoded=True),
                    data=body,
                    headers=self._headers(),
                    allow_redirects=False,
                    ssl=self._tls if self._tls is not None else True,
                ) as response,
            ):
                answer = await response.content.read(_MOST_ANSWER)
                return _judge(response, answer)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            # their texts may hold header fields
            return Sent(is_taken=False, may_try_again=True, why=_explain(error))

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _headers(self) -> dict[str, str]:
        told = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        return {**told, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                headers={"User-Agent": "token-gateway"},
                trust_env=False,
            )
        return self._session


def _judge(response: aiohttp.ClientResponse, answer: bytes) -> Sent:
    if response.status // 100 == 2:
        return Sent(is_taken=True, answer=answer)
    if response.status not in _AGAIN:
        return Sent(is_taken=False, why=f"the collector answered {response.status}")
    told = response.headers.get("Retry-After", "")
    wait = min(float(told), _MOST_WAIT) if told.isascii() and told.isdigit() and len(told) < 9 else 0.0
    return Sent(
        is_taken=False, may_try_again=True, wait=wait, why=f"the collector answered {response.status}"
    )


def _explain(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "the collector's certificate does not verify"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"the collector cannot be reached ({error.os_error.strerror or 'no connection'})"
    if isinstance(error, TimeoutError):
        return "the collector did not answer in time"
    return f"the collector cannot be asked ({type(error).__name__})"
