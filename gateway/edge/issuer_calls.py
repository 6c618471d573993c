"""One OpenID Connect provider: its calls, its caches, its counters."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from math import ceil
from typing import Final, Literal

from gateway.core.compiled import Provider
from gateway.core.faults import Ambiguous, NeverSent, Paused
from gateway.core.keys import KeySet
from gateway.core.model import Fault, Json, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.needs import Exchange
from gateway.core.reasons import Reason
from gateway.edge.issuer_cache import Cached, KeyCache
from gateway.edge.issuer_client import MOST_CONNECTIONS, RETRY_AFTER, IssuerClient, Pool, Response
from gateway.edge.issuer_pauses import Pauses
from gateway.oauth import discovery, jwks, revocation, token, userinfo
from gateway.oauth.answers import is_success
from gateway.oauth.errors import MessageError
from gateway.oauth.form import FormRequest

_METADATA_AGE: Final = 3600.0
_CALLS_OF_A_REFRESH: Final = 4
_JSON: Final = {"Accept": "application/json"}
_EVERYBODY: Final = ""
_MOST_REST: Final = 1.0


class Issuer:
    """One provider: its client, its caches, its counters."""

    def __init__(
        self,
        provider: Provider,
        clock: Callable[[], float],
        view: dict[str, KeySet],
        calls: "Counter[tuple[str, str]]",
        *,
        allow_insecure_http: bool,
    ) -> None:
        self.settings = provider.settings
        self.calls = calls
        self.view = view
        self._name = provider.name
        self._clock = clock
        self._allow_insecure_http = allow_insecure_http
        self._client = IssuerClient(provider.settings)
        self._pauses = Pauses(clock)
        self._refreshes = asyncio.Semaphore(MOST_CONNECTIONS["refresh"])
        self.metadata = Cached(
            self._fetch_metadata, clock, renew_after=_METADATA_AGE, is_usable=lambda _value, _now: True
        )
        self.keys = KeyCache(
            self._fetch_keys,
            clock,
            renew_after=min(self.settings.jwks_max_age, self.settings.jwks_max_stale / 2),
            cooldown=self.settings.jwks_cooldown,
        )

    def is_for(self, provider: Provider, *, allow_insecure_http: bool) -> bool:
        """Tell whether this is the provider as it is configured now."""
        return self.settings == provider.settings and self._allow_insecure_http == allow_insecure_http

    async def retire(self) -> None:
        """Close once what is under way has ended."""
        # a token call that is cut may have rotated a refresh token
        await asyncio.sleep(_CALLS_OF_A_REFRESH * self.settings.timeout)
        await self.close()

    async def close(self) -> None:
        """Stop the background work and close connections."""
        await self.keys.close()
        await self.metadata.close()
        await self._client.close()

    async def redeem(self, need: Exchange) -> TokenSet | TokenRefusal:
        """Redeem a code: one try, whatever came of the calls before. Raises as ``_ask``."""

        def build(metadata: ProviderMetadata) -> FormRequest:
            return token.build_code_request(
                metadata,
                self.settings,
                code=need.code,
                verifier=need.verifier,
                redirect_uri=need.redirect_uri,
            )

        return _verdict(await self._ask(build, "login", self.settings.timeout))

    async def refresh(self, refresh_token: str) -> TokenSet | TokenRefusal:
        """Ask for new tokens once, unless the provider is left alone. Raises as ``_ask``, and Paused."""
        name = hashlib.sha256(refresh_token.encode()).hexdigest()
        end = asyncio.get_running_loop().time() + self.settings.timeout
        async with self._refreshes:
            await self._rest(name, end)
            asked_at = self._clock()
            try:
                left = end - asyncio.get_running_loop().time()
                result = await self._ask(
                    lambda metadata: token.build_refresh_request(metadata, self.settings, refresh_token),
                    "refresh",
                    left,
                )
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
                request = build(await self.metadata.get())
        except TimeoutError:
            detail = "the discovery document did not come in time"
            raise NeverSent("issuer", Reason.ISSUER_UNAVAILABLE, detail, RETRY_AFTER) from None
        except Fault as fault:
            raise NeverSent("issuer", fault.reason, fault.detail, fault.retry_after) from fault
        except MessageError as error:
            raise NeverSent("issuer", Reason.ISSUER_MISCONFIGURED, error.detail) from error
        response = await self._send(
            "token",
            "POST",
            request.url,
            request.headers,
            limit=token.MOST_RESPONSE,
            body=request.body,
            pool=pool,
            within=end - asyncio.get_running_loop().time(),
        )
        result = token.process_response(
            response.status,
            response.content_type,
            response.body,
            response.retry_after,
            is_code=pool == "login",
        )
        outcomes = {TokenSet: "ok", TokenRefusal: "refused", token.TokenUnavailable: "failed"}
        self.calls["token", outcomes[type(result)]] += 1
        return result

    async def call_userinfo(
        self, access_token: str, pool: Literal["login", "refresh"]
    ) -> dict[str, Json] | None:
        """Return the UserInfo claims, None where the access token was refused. Raises Fault."""
        metadata = await self.metadata.get()
        try:
            url, headers = userinfo.build_request(metadata, access_token)
            response = await self._send(
                "userinfo", "GET", url, headers, limit=userinfo.MOST_USERINFO, pool=pool
            )
            claims = userinfo.process_response(response.status, response.content_type, response.body)
        except MessageError as error:
            self.calls["userinfo", "failed"] += 1
            raise _to_fault(error) from error
        self.calls["userinfo", "refused" if claims is None else "ok"] += 1
        return claims

    async def call_revocation(self, refresh_token: str) -> bool:
        """Revoke a refresh token; False where the provider cannot. Raises Fault."""
        metadata = await self.metadata.get()
        try:
            request = revocation.build_request(metadata, self.settings, refresh_token)
            if request is None:
                return False
            response = await self._send(
                "revocation",
                "POST",
                request.url,
                request.headers,
                limit=revocation.MOST_RESPONSE,
                body=request.body,
                pool="revocation",
            )
            revocation.process_response(response.status)
        except MessageError as error:
            self.calls["revocation", "failed"] += 1
            raise _to_fault(error) from error
        self.calls["revocation", "ok"] += 1
        return True

    async def _fetch_metadata(self) -> ProviderMetadata:
        url = discovery.metadata_url(self.settings)
        try:
            discovery.check_endpoint(
                "the discovery document", url, allow_insecure_http=self._allow_insecure_http
            )
            body = await self._get("metadata", url, discovery.MOST_METADATA)
            metadata = discovery.process_response(
                body, self.settings, allow_insecure_http=self._allow_insecure_http
            )
        except MessageError as error:
            self.calls["metadata", "failed"] += 1
            raise _to_fault(error) from error
        self.calls["metadata", "ok"] += 1
        return metadata

    async def _fetch_keys(self) -> KeySet:
        asked_at = self._clock()
        try:
            url = await self._find_jwks_uri()
            body = await self._get("jwks", url, jwks.MOST_JWKS)
            keys = jwks.process_response(body, asked_at, self.settings.jwks_max_stale)
        except MessageError as error:
            self.calls["jwks", "failed"] += 1
            self.metadata.doubt()
            raise Fault("issuer", Reason.KEYS_UNAVAILABLE, error.detail, RETRY_AFTER) from error
        except Fault as fault:
            self.metadata.doubt()
            raise Fault("issuer", Reason.KEYS_UNAVAILABLE, fault.detail, RETRY_AFTER) from fault
        self.calls["jwks", "ok"] += 1
        self.view[self._name] = keys
        return keys

    async def _find_jwks_uri(self) -> str:
        if self.settings.jwks_uri is None:
            return (await self.metadata.get()).jwks_uri
        return discovery.check_endpoint(
            "jwks_uri", self.settings.jwks_uri, allow_insecure_http=self._allow_insecure_http
        )

    async def _get(self, call: str, url: str, limit: int) -> bytes:
        response = await self._send(call, "GET", url, _JSON, limit=limit)
        if not is_success(response.status):
            hint = "; redirects are not followed" if 300 <= response.status < 400 else ""
            raise MessageError(
                f"{call}_unavailable", f"{url.partition('?')[0]} answered {response.status}{hint}"
            )
        return response.body

    async def _send(
        self,
        call: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        limit: int,
        body: bytes | None = None,
        pool: Pool = "published",
        within: float | None = None,
    ) -> Response:
        try:
            return await self._client.send(
                method, url, headers, limit=limit, body=body, pool=pool, within=within
            )
        except NeverSent:
            self.calls[call, "unreachable"] += 1
            raise
        except Ambiguous:
            self.calls[call, "unanswered"] += 1
            raise
        except Fault:
            self.calls[call, "failed"] += 1
            raise


def _to_fault(error: MessageError) -> Fault:
    reason = Reason.ISSUER_MISCONFIGURED if error.is_misconfiguration else Reason.ISSUER_UNAVAILABLE
    return Fault("issuer", reason, error.detail, RETRY_AFTER)


def _verdict(result: token.TokenResponse) -> TokenSet | TokenRefusal:
    if isinstance(result, token.TokenUnavailable):
        raise Fault("issuer", result.reason, result.detail, result.retry_after or RETRY_AFTER)
    return result
