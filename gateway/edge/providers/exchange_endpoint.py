"""One provider's token endpoint, asked to exchange tokens, and left alone after failures."""

import hashlib
from collections.abc import Awaitable, Callable
from math import ceil

from gateway.config.settings.providers import ProviderSettings
from gateway.core.decision.needs import ExchangeToken
from gateway.core.fault import Fault, Paused
from gateway.core.provider import Exchanged, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.edge.providers.client import CountedClient, Response, posted
from gateway.edge.providers.faults import RETRY_AFTER, to_fault
from gateway.edge.providers.pauses import Pauses
from gateway.oauth import exchange, token
from gateway.oauth.errors import MessageError

UNTOLD_LIFETIME = 60.0
"""Seconds for which a token counts of which the provider does not say how long it lives."""
_WINDOW = 60.0


class ExchangeEndpoint:
    """The exchanges at one token endpoint.

    Args:
        settings: of the provider.
        client: makes the calls, and counts them.
        metadata: returns the provider's metadata; raises Fault.
        clock: wall time in epoch seconds.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        client: CountedClient,
        metadata: Callable[[], Awaitable[ProviderMetadata]],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._client = client
        self._metadata = metadata
        self._clock = clock
        self._pauses = Pauses(clock)

    async def ask(self, need: ExchangeToken) -> Exchanged | TokenRefusal:
        """Exchange a token once, unless that failed just now.

        Raises:
            Paused: the endpoint is left alone. Fault: no verdict.
        """
        target = f"{need.target.audience}\x00{need.target.resource}"
        one = hashlib.sha256(f"{target}\x00{need.access_token}".encode()).hexdigest()
        if left := max(self._pauses.left(target), self._pauses.left(one)):
            detail = "exchanges of tokens are left alone for a while after a failure"
            raise Paused("issuer", Reason.ISSUER_UNAVAILABLE, detail, ceil(left))
        asked_at = self._clock()
        try:
            response = await self._send(need)
        except Fault:
            self._pauses.failed(target, asked_at, None)
            raise
        result = exchange.process_response(
            response.status, response.content_type, response.body, response.retry_after
        )
        outcomes = {TokenSet: "ok", TokenRefusal: "refused", token.TokenUnavailable: "failed"}
        self._client.count("exchange", outcomes[type(result)])
        if isinstance(result, token.TokenUnavailable):
            # where it is busy, or not set up for this target, it is so for everybody
            is_all = result.is_moment or result.reason is Reason.ISSUER_MISCONFIGURED
            self._pauses.failed(target if is_all else one, asked_at, result.retry_after)
            raise Fault("issuer", result.reason, result.detail, result.retry_after or RETRY_AFTER)
        self._pauses.succeeded(target)
        if isinstance(result, TokenRefusal):
            return result
        return _exchanged(result, asked_at)

    async def _send(self, need: ExchangeToken) -> Response:
        metadata = await self._metadata()
        try:
            request = exchange.build_request(metadata, self._settings, need.access_token, need.target)
        except MessageError as error:
            raise to_fault(error) from error
        return await self._client.send("exchange", posted(request, token.MOST_RESPONSE, "exchange"))


def _exchanged(tokens: TokenSet, now: float) -> Exchanged:
    """Return a token with its times: due for renewal in the last quarter of its life, a minute at most."""
    life = UNTOLD_LIFETIME if tokens.expires_in is None else tokens.expires_in
    return Exchanged(tokens.access_token, now + life - min(_WINDOW, life / 4), now + life)
