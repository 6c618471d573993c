"""One HTTP exchange with a provider: bounded in time and size, its failures told apart."""

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import MappingProxyType, SimpleNamespace
from typing import Final, Literal

import aiohttp
from yarl import URL

from gateway.config.settings.providers import ProviderSettings
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.edge.providers.assertions import Assertions
from gateway.edge.providers.faults import unavailable
from gateway.edge.providers.proxy import proxy_for
from gateway.edge.providers.trust import Trust
from gateway.oauth.form import FormRequest

Pool = Literal["login", "pushed", "refresh", "exchange", "published", "revocation", "introspection"]
"""What a call is for; each has connections of its own, so that logins cannot starve refreshes (R84).

``pushed`` are logins that begin, which anybody can do; they take nothing from those that end.
"""

MOST_CONNECTIONS: Final[Mapping[Pool, int]] = MappingProxyType(
    {
        "login": 32,
        "pushed": 32,
        "refresh": 32,
        "exchange": 32,
        "published": 4,
        "revocation": 8,
        "introspection": 32,
    }
)
# the content codings that are read (RFC 9110 section 8.4.1), with zlib's name for each
_CODINGS: Final[dict[str, int | None]] = {
    "identity": None,
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
    "deflate": zlib.MAX_WBITS,
}


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """What a provider is asked; never shown, since all of it may hold secrets.

    Attributes:
        method: GET or POST.
        url: absolute; sent as it is, without normalisation.
        headers: of the request.
        limit: the most bytes that the response's body may have.
        body: none where it is None.
        pool: whose connections are used.
        within: seconds that the exchange may take, if fewer than the provider's time-out.
        assertion_for: the audience of the client assertion that its form still lacks, empty for none.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    limit: int
    body: bytes | None = None
    pool: Pool = "published"
    within: float | None = None
    assertion_for: str = ""


def posted(form: FormRequest, limit: int, pool: Pool, within: float | None = None) -> Request:
    """Return the request that posts a form."""
    return Request("POST", form.url, form.headers, limit, form.body, pool, within, form.assertion_for)


@dataclass(frozen=True, slots=True)
class Response:
    """What a provider answered. Absent fields are "" but for ``retry_after``; the body may hold tokens."""

    status: int
    content_type: str
    retry_after: str | None
    link: str
    body: bytes = field(repr=False)


@dataclass(slots=True)
class _Progress:
    is_sent: bool = False


class ProviderClient:
    """HTTP towards one provider.

    No redirects, no cookies, no compression asked for, no reuse of
    connections: on a reused one the server's idle close can cross a token request, and nobody could tell
    whether it arrived.
    """

    def __init__(self, settings: ProviderSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._assertions = Assertions(settings, clock)
        self._trust = Trust(settings)
        self._sessions: dict[Pool, aiohttp.ClientSession] = {}

    async def send(self, request: Request) -> Response:
        """Send a request and read the whole response.

        Raises:
            NeverSent: nothing left this machine; trying again is safe.
            Ambiguous: sent, and no complete answer came.
            Fault: the answer is too large, encoded in an unknown way or no HTTP.
        """
        url, within = request.url, request.within
        session = self._open(request.pool)
        timeout = self._settings.timeout if within is None else min(within, self._settings.timeout)
        context, progress = self._trust.context(), _Progress()
        try:
            async with (
                asyncio.timeout(timeout),
                session.request(
                    request.method,
                    URL(url, encoded=True),
                    data=self._body(request),
                    headers={"Accept-Encoding": "identity", **request.headers},
                    allow_redirects=False,
                    ssl=context,
                    proxy=proxy_for(url, _proxy_of(self._settings)),
                    trace_request_ctx=progress,
                ) as response,
            ):
                return await _read(response, request.limit)
        except zlib.error:
            raise unavailable(Fault, f"{url.partition('?')[0]} sent a broken compressed answer") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # the original is cut off: aiohttp's errors carry the request's headers and bytes of the answer
            raise self._classify(error, url, is_sent=progress.is_sent) from None

    def _body(self, request: Request) -> bytes | None:
        if request.body is None or not request.assertion_for:
            return request.body
        # a JWT has no character that a form would encode
        return b"%b&client_assertion=%b" % (
            request.body,
            self._assertions.sign(request.assertion_for).encode(),
        )

    async def close(self) -> None:
        """Close what is open; calls under way fail."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    def _open(self, pool: Pool) -> aiohttp.ClientSession:
        session = self._sessions.get(pool)
        if session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_note_sent)
            session = self._sessions[pool] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=MOST_CONNECTIONS[pool]),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                headers={"User-Agent": "token-gateway"},
                auto_decompress=False,
                trust_env=False,
                trace_configs=[trace],
            )
        return session

    def _classify(self, error: Exception, url: str, *, is_sent: bool) -> Fault:
        where = url.partition("?")[0]
        if not is_sent:
            return unavailable(
                NeverSent, f"{where} cannot be reached: {self._explain(error)}; is the provider up?"
            )
        if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
            return unavailable(Fault, f"{where} answered something that is no HTTP; check the address")
        if isinstance(error, TimeoutError):
            return unavailable(Ambiguous, f"{where} did not answer: {self._explain(error)}")
        return unavailable(
            Ambiguous, f"{where} broke off ({type(error).__name__}) before its answer was complete"
        )

    def _explain(self, error: Exception) -> str:
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return f"the proxy answered {error.status}"
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return f"the proxy cannot be reached ({error.os_error.strerror or 'no connection'})"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            certificate = error.certificate_error
            why = getattr(certificate, "verify_message", None) or "it cannot be trusted"
            return f"its certificate is refused: {why}"
        if isinstance(error, aiohttp.ClientConnectorError):
            why = error.os_error.strerror or "no connection"
            return f"no connection to {error.host}:{error.port}: {why}"
        if isinstance(error, TimeoutError):
            return f"no success within {self._settings.timeout:g} s"
        return type(error).__name__


class CountedClient:
    """The calls to one provider by name, each counted by (call, outcome): ``calls`` of ``ProviderStats``.

    What never came, or is no HTTP, is counted here; what an answer comes to is for the caller to ``count``.
    """

    def __init__(
        self, settings: ProviderSettings, counts: "Counter[tuple[str, str]]", clock: Callable[[], float]
    ) -> None:
        self._client = ProviderClient(settings, clock)
        self.counts = counts

    def count(self, call: str, outcome: str) -> None:
        """Count what a call came to."""
        self.counts[call, outcome] += 1

    async def send(self, call: str, request: Request) -> Response:
        """Send the request of a call, and read the whole response: ``ProviderClient.send``."""
        try:
            return await self._client.send(request)
        except NeverSent:
            self.count(call, "unreachable")
            raise
        except Ambiguous:
            self.count(call, "unanswered")
            raise
        except Fault:
            self.count(call, "failed")
            raise

    async def close(self) -> None:
        """Close what is open; calls under way fail."""
        await self._client.close()


def _proxy_of(settings: ProviderSettings) -> str | None:
    return None if settings.proxy is None else settings.proxy.get_secret_value()


async def _note_sent(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _parameters: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    # called before the first byte is written: what fails earlier was certainly not sent
    context.trace_request_ctx.is_sent = True


def _seconds(wait: str | None, sent_at: str | None) -> str | None:
    """Return Retry-After in seconds, also where it is a date (RFC 9110 section 10.2.3)."""
    if wait is None or wait.isdigit() or sent_at is None:
        return wait
    try:
        left = parsedate_to_datetime(wait) - parsedate_to_datetime(sent_at)
    except (ValueError, TypeError):
        return wait
    return str(max(0, int(left.total_seconds())))


async def _read(response: aiohttp.ClientResponse, limit: int) -> Response:
    where = str(response.url).partition("?")[0]
    coding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
    if coding not in _CODINGS:
        response.close()
        raise unavailable(Fault, f"{where} encoded its answer in a way that it was not asked for")
    # some compress although asked not to; the limit counts what comes out (a small body may hold gigabytes)
    window = _CODINGS[coding]
    inflate = None if window is None else zlib.decompressobj(window)
    body, is_empty = bytearray(), True
    async for piece in response.content.iter_any():
        is_empty = is_empty and not piece
        body += piece if inflate is None else inflate.decompress(piece, limit + 1 - len(body))
        if len(body) > limit:
            response.close()
            raise unavailable(Fault, f"{where} answered more than {limit} bytes; check the address")
    if inflate is not None and not inflate.eof and not is_empty:
        raise unavailable(Fault, f"{where} sent a compressed answer that has no end")
    return Response(
        status=response.status,
        content_type=response.headers.get("Content-Type", ""),
        link=response.headers.get("Link", ""),
        retry_after=_seconds(response.headers.get("Retry-After"), response.headers.get("Date")),
        body=bytes(body),
    )
