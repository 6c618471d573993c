"""The port to the OpenID Connect providers: metadata, keys, tokens, claims."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.core.compiled import Provider
from gateway.core.faults import Ambiguous, NeverSent
from gateway.core.keys import KeySet
from gateway.core.model import Fault, Json, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.needs import EndSession, Exchange, Keys, Metadata, RevokeToken, UserInfo
from gateway.core.reasons import Reason
from gateway.edge.issuer_cache import Cached, KeyCache
from gateway.edge.issuer_client import RETRY_AFTER, IssuerClient, Response
from gateway.oauth import discovery, jwks, logout, revocation, token, userinfo
from gateway.oauth.answers import is_success
from gateway.oauth.errors import MessageError
from gateway.oauth.form import FormRequest

_METADATA_AGE = 3600.0
_LOGOUT_PATIENCE = 3.0
_CALLS_OF_A_REFRESH = 4
_JSON = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class IssuerStats:
    """Figures of one provider.

    ``jwks_age`` is in seconds, None before the first good fetch. ``calls`` counts by (call, outcome); calls
    are ``metadata``, ``jwks``, ``token``, ``userinfo`` and ``revocation``; outcomes are ``ok``,
    ``unreachable`` (never sent), ``unanswered``, ``refused`` (the answer is a no) and ``failed`` (the answer
    is no use).
    """

    jwks_age: float | None
    calls: Mapping[tuple[str, str], int]


class Issuers:
    """All configured providers, each asked lazily: the gateway starts and runs while one is down.

    Faults carry ``ISSUER_UNAVAILABLE``, ``ISSUER_MISCONFIGURED`` (only the operator can help) or
    ``KEYS_UNAVAILABLE``; their details hold no secret.
    """

    def __init__(
        self, providers: Mapping[str, Provider], clock: Callable[[], float], *, allow_insecure_http: bool
    ) -> None:
        """Prepare for ``providers`` by name; ``clock`` is wall time in epoch seconds."""
        self._clock = clock
        self._issuers = _ByName()
        self._retired: dict[asyncio.Task[None], _Issuer] = {}
        # a count goes on where the provider of that name had got to
        self._calls: dict[str, Counter[tuple[str, str]]] = {}
        self.keys: Mapping[str, KeySet] = {}
        """A live view of the last good key sets by provider; ``KeySet.is_usable`` bounds their use."""
        self.configure(providers, allow_insecure_http=allow_insecure_http)

    def configure(self, providers: Mapping[str, Provider], *, allow_insecure_http: bool) -> None:
        """Go on with these providers; those that are the same keep what was learned from them.

        ``keys`` becomes another view, so that nobody who holds the old one takes a new provider's keys for
        the old one's.
        """
        view: dict[str, KeySet] = {}
        issuers = _ByName()
        for name, provider in providers.items():
            known = self._issuers.get(name)
            if known is not None and known.is_for(provider, allow_insecure_http=allow_insecure_http):
                if name in self.keys:
                    view[name] = self.keys[name]
                known.view = view
                issuers[name] = known
            else:
                calls = self._calls.setdefault(name, Counter())
                issuers[name] = _Issuer(
                    provider, self._clock, view, calls, allow_insecure_http=allow_insecure_http
                )
        for name, issuer in self._issuers.items():
            if issuers.get(name) is not issuer:
                task = asyncio.get_running_loop().create_task(issuer.retire())
                self._retired[task] = issuer
                task.add_done_callback(lambda done: self._retired.pop(done, None))
        self._issuers = issuers
        self.keys = MappingProxyType(view)

    async def start(self) -> None:
        """Begin; nothing is fetched before it is needed."""

    async def close(self) -> None:
        """Stop the background work and close connections."""
        for task, issuer in tuple(self._retired.items()):
            task.cancel()
            await issuer.close()
        for issuer in self._issuers.values():
            await issuer.close()

    async def metadata(self, need: Metadata) -> ProviderMetadata:
        """Return the provider's metadata, cached for an hour and renewed in the background.

        Raises:
            Fault: there is none yet and it cannot be fetched.
        """
        return await self._issuers[need.provider].metadata.get()

    async def keys_for(self, need: Keys) -> KeySet:
        """Return the provider's usable keys; refetched when ``kid`` is unknown, as the cool-down allows.

        Raises:
            Fault: ``KEYS_UNAVAILABLE``.
        """
        return await self._issuers[need.provider].keys.find(need.kid)

    async def exchange(self, need: Exchange) -> TokenSet | TokenRefusal:
        """Redeem an authorization code.

        Raises:
            Fault: no verdict.
        """
        issuer = self._issuers[need.provider]

        def build(metadata: ProviderMetadata) -> FormRequest:
            return token.build_code_request(
                metadata,
                issuer.settings,
                code=need.code,
                verifier=need.verifier,
                redirect_uri=need.redirect_uri,
            )

        return await issuer.call_token(build, is_code=True)

    async def refresh_call(self, provider: str, refresh_token: str) -> TokenSet | TokenRefusal:
        """Ask for new tokens (RFC 6749 section 6).

        Raises:
            NeverSent: nothing was sent; the refresh token is as good as before.
            Ambiguous: sent and unanswered; the provider may have rotated the refresh token.
            Fault: answered without a verdict.
        """
        issuer = self._issuers[provider]
        return await issuer.call_token(
            lambda metadata: token.build_refresh_request(metadata, issuer.settings, refresh_token),
            is_code=False,
        )

    async def userinfo(self, need: UserInfo) -> dict[str, Json] | None:
        """Return the UserInfo claims, or None when the provider refused the access token.

        Raises:
            Fault: neither.
        """
        return await self._issuers[need.provider].call_userinfo(need.access_token)

    async def end_session(self, need: EndSession) -> str | Fault:
        """Return where a browser logs out there, "" where it cannot.

        The Fault is a value: the logout goes on without the provider. So it also waits less than others for
        metadata that nobody has fetched yet.
        """
        issuer = self._issuers[need.provider]
        try:
            async with asyncio.timeout(_LOGOUT_PATIENCE):
                metadata = await issuer.metadata.get()
        except Fault as fault:
            return fault
        except TimeoutError:
            return Fault("issuer", Reason.ISSUER_UNAVAILABLE, "no metadata in time for a logout", RETRY_AFTER)
        url = logout.build_request(
            metadata,
            issuer.settings,
            redirect_uri=need.redirect_uri,
            state=need.state,
            id_token_hint=need.id_token_hint,
        )
        return url or ""

    async def revoke_token(self, need: RevokeToken) -> bool:
        """Revoke a refresh token; False where the provider cannot.

        Raises:
            Fault: it may not have been revoked.
        """
        return await self._issuers[need.provider].call_revocation(need.refresh_token)

    def stats(self) -> dict[str, IssuerStats]:
        """Return the figures of each provider by name."""
        return {
            name: IssuerStats(issuer.keys.age, dict(issuer.calls)) for name, issuer in self._issuers.items()
        }


class _ByName(dict[str, "_Issuer"]):
    def __missing__(self, name: str) -> "_Issuer":
        # a request that began before the configuration was reloaded
        raise Fault("issuer", Reason.ISSUER_MISCONFIGURED, "the provider is no longer configured")


class _Issuer:
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
        return self.settings == provider.settings and self._allow_insecure_http == allow_insecure_http

    async def retire(self) -> None:
        # a token call that is cut may have rotated a refresh token
        await asyncio.sleep(_CALLS_OF_A_REFRESH * self.settings.timeout)
        await self.close()

    async def close(self) -> None:
        await self.keys.close()
        await self.metadata.close()
        await self._client.close()

    async def call_token(
        self, build: Callable[[ProviderMetadata], FormRequest], *, is_code: bool
    ) -> TokenSet | TokenRefusal:
        try:
            request = build(await self.metadata.get())
        except Fault as fault:
            raise NeverSent("issuer", fault.reason, fault.detail, fault.retry_after) from fault
        except MessageError as error:
            raise NeverSent("issuer", Reason.ISSUER_MISCONFIGURED, error.detail) from error
        response = await self._send(
            "token", "POST", request.url, request.headers, limit=token.MOST_RESPONSE, body=request.body
        )
        result = token.process_response(
            response.status, response.content_type, response.body, response.retry_after, is_code=is_code
        )
        if isinstance(result, token.TokenUnavailable):
            self.calls["token", "failed"] += 1
            raise Fault("issuer", result.reason, result.detail, result.retry_after or RETRY_AFTER)
        self.calls["token", "ok" if isinstance(result, TokenSet) else "refused"] += 1
        return result

    async def call_userinfo(self, access_token: str) -> dict[str, Json] | None:
        metadata = await self.metadata.get()
        try:
            url, headers = userinfo.build_request(metadata, access_token)
            response = await self._send("userinfo", "GET", url, headers, limit=userinfo.MOST_USERINFO)
            claims = userinfo.process_response(response.status, response.content_type, response.body)
        except MessageError as error:
            self.calls["userinfo", "failed"] += 1
            raise _to_fault(error) from error
        self.calls["userinfo", "refused" if claims is None else "ok"] += 1
        return claims

    async def call_revocation(self, refresh_token: str) -> bool:
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
    ) -> Response:
        try:
            return await self._client.send(method, url, headers, limit=limit, body=body)
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
