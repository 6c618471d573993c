"""One OpenID Connect provider: its calls, its caches, its counters."""

import asyncio
import contextlib
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from math import ceil
from typing import Final, Literal

from gateway.core.decision.needs import Keys, RedeemCode
from gateway.core.fault import Ambiguous, Fault, NeverSent, Paused
from gateway.core.identity import Claims
from gateway.core.provider import Provider, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.tokens import signed_userinfo
from gateway.core.tokens.jws import UnknownKey, kid_of, proof_of
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.cache import Cached, KeyCache
from gateway.edge.providers.client import MOST_CONNECTIONS, RETRY_AFTER, IssuerClient, Pool, Response
from gateway.edge.providers.pauses import Pauses
from gateway.oauth import discovery, jwks, revocation, token, userinfo
from gateway.oauth.answers import is_success
from gateway.oauth.errors import MessageError
from gateway.oauth.form import FormRequest
from gateway.syntax.encoding import Json

_METADATA_AGE: Final = 3600.0
_CALLS_OF_A_REFRESH: Final = 4
_JSON: Final = {"Accept": "application/json"}
_EVERYBODY: Final = ""
_MOST_REST: Final = 1.0
_PROBE_FIRST: Final = 1.0
_PROBE_EVERY: Final = 60.0
_MOST_TOLD: Final = 10


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
        report: Callable[..., None],
    ) -> None:
        self._provider = provider
        self._report = report
        # by what is published: why its last fetch failed, empty where it did not
        self._troubles: dict[str, str] = {}
        self._watching: asyncio.Task[None] | None = None
        self._told_keys: tuple[str, ...] = ()
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

    @property
    def is_up(self) -> bool | None:
        """Whether the last fetches of what is published succeeded, None before any."""
        return not any(self._troubles.values()) if self._troubles else None

    def key_counts(self) -> tuple[int | None, int]:
        """Return how many keys serve, None before the first good fetch, and how many were left out."""
        keys = self.view.get(self._name)
        if keys is None:
            return None, 0
        return len({id(key) for found in keys.keys.values() for key in found}), len(keys.left_out)

    def watch(self) -> None:
        """Probe the provider from now on, if nobody does yet."""
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        # after the start, and not all workers at once
        await asyncio.sleep(_PROBE_FIRST * random.uniform(1, 1.5))  # noqa: S311 - no secret
        while True:
            # what fails has been noted; a fresh value costs no call
            with contextlib.suppress(Fault):
                await self.metadata.get()
            with contextlib.suppress(Fault):
                await self.keys.find(Keys(self._name, None))
            await asyncio.sleep(_PROBE_EVERY * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def _note(self, call: str, trouble: str) -> None:
        """Take note of how a fetch went, and say so where that is news."""
        before = self._troubles.get(call)
        self._troubles[call] = trouble
        if trouble and trouble != before:
            self._report("provider unusable", provider=self._name, call=call, detail=trouble)
        elif before and not trouble:
            self._report("provider usable again", provider=self._name, call=call)

    def _note_keys(self, keys: KeySet) -> None:
        told = keys.left_out
        if told and told != self._told_keys:
            message = "keys left out" if keys.keys else "no key of the provider can be used"
            self._report(message, provider=self._name, detail="; ".join(told[:_MOST_TOLD]), count=len(told))
        elif not keys.keys and not told and self._told_keys != ("none",):
            self._report("the provider publishes no keys", provider=self._name)
            told = ("none",)
        self._told_keys = told

    async def retire(self) -> None:
        """Close once what is under way has ended."""
        # a token call that is cut may have rotated a refresh token
        await asyncio.sleep(_CALLS_OF_A_REFRESH * self.settings.timeout)
        await self.close()

    async def close(self) -> None:
        """Stop the background work and close connections."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.keys.close()
        await self.metadata.close()
        await self._client.close()

    async def redeem(self, need: RedeemCode) -> TokenSet | TokenRefusal:
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
        async with self._turn(end):
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

    @contextlib.asynccontextmanager
    async def _turn(self, end: float) -> AsyncIterator[None]:
        """Wait for one of the connections that refreshes have. Raises NeverSent: none came free in time."""
        try:
            async with asyncio.timeout_at(end):
                await self._refreshes.acquire()
        except TimeoutError:
            detail = "too many refreshes wait for the token endpoint"
            raise NeverSent("issuer", Reason.ISSUER_UNAVAILABLE, detail, RETRY_AFTER) from None
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
    ) -> tuple[int, dict[str, Json] | None]:
        """Return the status and the UserInfo claims, None where the token was refused. Raises Fault."""
        metadata = await self.metadata.get()
        try:
            url, headers = userinfo.build_request(metadata, access_token)
            response = await self._send(
                "userinfo", "GET", url, headers, limit=userinfo.MOST_USERINFO, pool=pool
            )
            if userinfo.is_signed(response.status, response.content_type):
                claims: dict[str, Json] | None = await self._verify_userinfo(response.body)
            else:
                claims = userinfo.process_response(response.status, response.content_type, response.body)
        except MessageError as error:
            self.calls["userinfo", "failed"] += 1
            raise to_fault(error) from error
        self.calls["userinfo", "refused" if claims is None else "ok"] += 1
        return response.status, claims

    async def _verify_userinfo(self, body: bytes) -> dict[str, Json]:
        """Return the claims of a signed answer. Raises Fault, MessageError."""
        want = Keys(self._name, None)
        found: Claims | UnknownKey | Reason = Reason.TOKEN_KEY_UNKNOWN
        for _ in range(2):
            keys = await self.keys.find(want)
            found = signed_userinfo.check(body, self._provider, keys, self._clock(), userinfo.MOST_USERINFO)
            failed = found is Reason.TOKEN_SIGNATURE
            if not failed and not isinstance(found, UnknownKey):
                break
            token = body.decode("latin-1").strip()
            want = Keys(self._name, kid_of(token), failed, None, proof_of(token))
        if isinstance(found, Mapping):
            return dict(found)
        reason = Reason.TOKEN_KEY_UNKNOWN if isinstance(found, UnknownKey) else found
        raise MessageError(
            "userinfo_malformed", f"the userinfo endpoint's signed answer is refused: {reason}"
        )

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
            raise to_fault(error) from error
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
            self._note("metadata", error.detail)
            raise to_fault(error) from error
        except Fault as fault:
            self._note("metadata", fault.detail)
            raise
        self.calls["metadata", "ok"] += 1
        self._note("metadata", "")
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
            self._note("jwks", error.detail)
            raise Fault("issuer", Reason.KEYS_UNAVAILABLE, error.detail, RETRY_AFTER) from error
        except Fault as fault:
            self.metadata.doubt()
            self._note("jwks", fault.detail)
            raise Fault("issuer", Reason.KEYS_UNAVAILABLE, fault.detail, RETRY_AFTER) from fault
        self.calls["jwks", "ok"] += 1
        self._note("jwks", "")
        self._note_keys(keys)
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


def to_fault(error: MessageError) -> Fault:
    """Return the fault that a message of no use is."""
    reason = Reason.ISSUER_MISCONFIGURED if error.is_misconfiguration else Reason.ISSUER_UNAVAILABLE
    return Fault("issuer", reason, error.detail, RETRY_AFTER)


def _verdict(result: token.TokenResponse) -> TokenSet | TokenRefusal:
    if isinstance(result, token.TokenUnavailable):
        raise Fault("issuer", result.reason, result.detail, result.retry_after or RETRY_AFTER)
    return result
