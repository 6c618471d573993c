"""One provider's token endpoint: codes redeemed, refresh tokens used, and left alone after failures."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from math import ceil
from typing import Final, Literal

from gateway.config.settings.providers import ProviderSettings
from gateway.core.decision.needs import RedeemCode
from gateway.core.fault import Ambiguous, Fault, NeverSent, Paused
from gateway.core.provider import ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.edge.providers.client import MOST_CONNECTIONS, CountedClient, posted
from gateway.edge.providers.faults import RETRY_AFTER, unavailable
from gateway.edge.providers.pauses import Pauses
from gateway.oauth import token, user_api
from gateway.oauth.errors import MessageError
from gateway.oauth.form import FormRequest

_EVERYBODY: Final = ""
_MOST_REST: Final = 1.0


class TokenEndpoint:
    """The calls to one token endpoint.

    Args:
        settings: of the provider.
        client: makes the calls, and counts them.
        metadata: returns the provider's metadata; raises Fault.
        clock: wall time in epoch seconds.
        ask_again: asks the user API with an access token that stands for a grant; raises Fault.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        client: CountedClient,
        metadata: Callable[[], Awaitable[ProviderMetadata]],
        clock: Callable[[], float],
        ask_again: Callable[[str], Awaitable[TokenSet | TokenRefusal]],
    ) -> None:
        self._settings = settings
        self._ask_again = ask_again
        self._client = client
        self._metadata = metadata
        self._clock = clock
        self._pauses = Pauses(clock)
        self._refreshes = asyncio.Semaphore(MOST_CONNECTIONS["refresh"])

    async def redeem(self, need: RedeemCode) -> TokenSet | TokenRefusal:
        """Redeem a code: one try, whatever came of the calls before. Raises as ``_ask``."""

        def build(metadata: ProviderMetadata) -> FormRequest:
            return token.build_code_request(
                metadata,
                self._settings,
                code=need.code,
                verifier=need.verifier,
                redirect_uri=need.redirect_uri,
            )

        return _verdict(await self._ask(build, "login", self._settings.timeout))

    async def refresh(self, refresh_token: str) -> TokenSet | TokenRefusal:
        """Ask for new tokens once, unless the provider is left alone. Raises as ``_ask``, and Paused."""
        name = hashlib.sha256(refresh_token.encode()).hexdigest()
        end = asyncio.get_running_loop().time() + self._settings.timeout
        async with self._turn(end):
            await self._rest(name, end)
            asked_at = self._clock()
            try:
                left = end - asyncio.get_running_loop().time()
                result = await self._renewed(refresh_token, left)
            except Fault:
                self._pauses.failed(_EVERYBODY, asked_at, None)
                self._pauses.failed(name, asked_at, None)
                raise
        if isinstance(result, token.TokenUnavailable):
            self._pauses.failed(name, asked_at, result.retry_after)
            if result.is_moment:
                # it is busy, not with this grant alone
                self._pauses.failed(_EVERYBODY, asked_at, result.retry_after)
        else:
            self._pauses.succeeded(_EVERYBODY)
            self._pauses.succeeded(name)
        return _verdict(result)

    async def _renewed(self, refresh_token: str, left: float) -> token.TokenResponse:
        """Renew a grant once, within so many seconds. Raises as ``_ask``."""
        access_token = user_api.access_token_of(refresh_token)
        if access_token is not None:
            if self._settings.kind != "oauth2":
                # a grant of before the provider was configured anew
                return TokenRefusal("invalid_grant")
            try:
                async with asyncio.timeout(left):
                    return await self._ask_again(access_token)
            except TimeoutError:
                raise unavailable(Fault, "the user API did not answer in time") from None
            except Ambiguous as fault:
                # asking changes nothing there, whether or not it was heard
                raise unavailable(NeverSent, fault.detail) from fault
        return await self._ask(
            lambda metadata: token.build_refresh_request(metadata, self._settings, refresh_token),
            "refresh",
            left,
        )

    @contextlib.asynccontextmanager
    async def _turn(self, end: float) -> AsyncIterator[None]:
        """Wait for one of the connections that refreshes have. Raises NeverSent: none came free in time."""
        try:
            async with asyncio.timeout_at(end):
                await self._refreshes.acquire()
        except TimeoutError:
            detail = "too many refreshes wait for the token endpoint"
            raise unavailable(NeverSent, detail) from None
        try:
            yield
        finally:
            self._refreshes.release()

    def rests(self, refresh_token: str) -> float:
        """Return for how many seconds a refresh would only be refused a call."""
        return self._rests(hashlib.sha256(refresh_token.encode()).hexdigest())

    def _rests(self, name: str) -> float:
        return max(self._pauses.left(_EVERYBODY), self._pauses.left(name))

    async def _rest(self, name: str, end: float) -> None:
        """Wait out a short pause; a longer one is told."""
        left = self._rests(name)
        if left > min(_MOST_REST, (end - asyncio.get_running_loop().time()) / 2):
            detail = "the token endpoint is left alone for a while after a failure"
            raise Paused("issuer", Reason.ISSUER_UNAVAILABLE, detail, ceil(left))
        if left:
            await asyncio.sleep(left)

    async def _ask(
        self,
        build: Callable[[ProviderMetadata], FormRequest],
        pool: Literal["login", "refresh"],
        within: float,
    ) -> token.TokenResponse:
        """Call the token endpoint once, within so many seconds.

        Raises:
            NeverSent: nothing was sent. Ambiguous: sent and unanswered. Fault: the answer is no HTTP.
        """
        end = asyncio.get_running_loop().time() + within
        try:
            async with asyncio.timeout(within):
                request = build(await self._metadata())
        except TimeoutError:
            detail = "the discovery document did not come in time"
            raise unavailable(NeverSent, detail) from None
        except Fault as fault:
            raise NeverSent("issuer", fault.reason, fault.detail, fault.retry_after) from fault
        except MessageError as error:
            raise NeverSent("issuer", Reason.ISSUER_MISCONFIGURED, error.detail) from error
        left = end - asyncio.get_running_loop().time()
        response = await self._client.send("token", posted(request, token.MOST_RESPONSE, pool, left))
        result = token.process_response(
            response.status,
            response.content_type,
            response.body,
            response.retry_after,
            is_code=pool == "login",
        )
        if isinstance(result, TokenSet) and self._settings.kind == "oauth2":
            result = user_api.normalise(result, self._settings)
        outcomes = {TokenSet: "ok", TokenRefusal: "refused", token.TokenUnavailable: "failed"}
        self._client.count("token", outcomes[type(result)])
        return result


def _verdict(result: token.TokenResponse) -> TokenSet | TokenRefusal:
    if isinstance(result, token.TokenUnavailable):
        raise Fault("issuer", result.reason, result.detail, result.retry_after or RETRY_AFTER)
    return result
