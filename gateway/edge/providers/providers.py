"""The port to the OpenID Connect providers: metadata, keys, tokens, claims."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from gateway.core.decision.needs import EndSession, Keys, Metadata, RedeemCode, RevokeToken, UserInfo
from gateway.core.fault import Fault
from gateway.core.provider import Provider, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.calls import Issuer, to_fault
from gateway.edge.providers.client import RETRY_AFTER
from gateway.oauth import logout
from gateway.oauth.errors import MessageError
from gateway.syntax.encoding import Json

_LOGOUT_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class IssuerStats:
    """Figures of one provider.

    ``up`` tells whether the last fetch of metadata and of keys succeeded, None before any. ``jwks_age`` is in
    seconds, None before the first good fetch; ``keys`` are how many serve, ``keys_left_out`` how many do not.
    ``calls`` counts by (call, outcome); calls
    are ``metadata``, ``jwks``, ``token``, ``userinfo`` and ``revocation``; outcomes are ``ok``,
    ``unreachable`` (never sent), ``unanswered``, ``refused`` (the answer is a no) and ``failed`` (the answer
    is no use).
    """

    jwks_age: float | None
    calls: Mapping[tuple[str, str], int]
    up: bool | None = None
    keys: int | None = None
    keys_left_out: int = 0


class Issuers:
    """All configured providers, each asked as needed: the gateway starts and runs while one is down.

    Faults carry ``ISSUER_UNAVAILABLE``, ``ISSUER_MISCONFIGURED`` (only the operator can help) or
    ``KEYS_UNAVAILABLE``; their details hold no secret.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        clock: Callable[[], float],
        *,
        allow_insecure_http: bool,
        report: Callable[..., None] | None = None,
    ) -> None:
        """Prepare for ``providers`` by name.

        Args:
            providers: as configured.
            clock: wall time in epoch seconds.
            allow_insecure_http: let endpoints use plain http beyond this machine.
            report: takes a warning for the log: a message, and fields without secrets.
        """
        self._clock = clock
        self._report = report or (lambda _message, **_fields: None)
        self._is_started = False
        self._issuers = _ByName()
        self._retired: dict[asyncio.Task[None], Issuer] = {}
        # a count goes on where the provider of that name had got to
        self._calls: dict[str, Counter[tuple[str, str]]] = {}
        self.on_refused: Callable[[str, int], None] = lambda _provider, _status: None
        """Told of each access token that a UserInfo endpoint refused: the provider's name, and the status."""
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
                issuers[name] = Issuer(
                    provider,
                    self._clock,
                    view,
                    calls,
                    allow_insecure_http=allow_insecure_http,
                    report=self._report,
                )
        for name, issuer in self._issuers.items():
            if issuers.get(name) is not issuer:
                task = asyncio.get_running_loop().create_task(issuer.retire())
                self._retired[task] = issuer
                task.add_done_callback(lambda done: self._retired.pop(done, None))
        self._issuers = issuers
        self.keys = MappingProxyType(view)
        if self._is_started:
            self._watch()

    async def start(self) -> None:
        """Begin to probe each provider, again and again; one that is down keeps nobody from starting."""
        self._is_started = True
        self._watch()

    def _watch(self) -> None:
        for issuer in self._issuers.values():
            issuer.watch()

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
        """Return the provider's usable keys; refetched where they do not do, as who asks may have it.

        Raises:
            Fault: ``KEYS_UNAVAILABLE``.
        """
        return await self._issuers[need.provider].keys.find(need)

    async def exchange(self, need: RedeemCode) -> TokenSet | TokenRefusal:
        """Redeem an authorization code.

        Raises:
            Fault: no verdict.
        """
        return await self._issuers[need.provider].redeem(need)

    async def refresh_call(self, provider: str, refresh_token: str) -> TokenSet | TokenRefusal:
        """Ask for new tokens (RFC 6749 section 6).

        Raises:
            NeverSent: nothing was sent; the refresh token is as good as before. Paused: on purpose.
            Ambiguous: sent and unanswered; the provider may have rotated the refresh token.
            Fault: answered without a verdict.
        """
        return await self._issuers[provider].refresh(refresh_token)

    def rests(self, provider: str, refresh_token: str) -> float:
        """Return for how many seconds a refresh would be refused a call, after failures; 0 for none."""
        issuer = self._issuers.get(provider)
        return 0.0 if issuer is None else issuer.rests(refresh_token)

    async def refreshed_userinfo(self, need: UserInfo) -> dict[str, Json] | None:
        """As ``userinfo``, for a session that is being refreshed: logins do not stand in its way."""
        return await self._userinfo(need, "refresh")

    async def userinfo(self, need: UserInfo) -> dict[str, Json] | None:
        """Return the UserInfo claims, or None when the provider refused the access token.

        Raises:
            Fault: neither.
        """
        return await self._userinfo(need, "login")

    async def _userinfo(self, need: UserInfo, pool: Literal["login", "refresh"]) -> dict[str, Json] | None:
        status, claims = await self._issuers[need.provider].call_userinfo(need.access_token, pool)
        if claims is None:
            self.on_refused(need.provider, status)
        return claims

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
        try:
            url = logout.build_request(
                metadata,
                issuer.settings,
                redirect_uri=need.redirect_uri,
                state=need.state,
                id_token_hint=need.id_token_hint,
            )
        except MessageError as error:
            return to_fault(error)
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
            name: IssuerStats(issuer.keys.age, dict(issuer.calls), issuer.is_up, *issuer.key_counts())
            for name, issuer in self._issuers.items()
        }


class _ByName(dict[str, Issuer]):
    def __missing__(self, name: str) -> Issuer:
        # a request that began before the configuration was reloaded
        raise Fault("issuer", Reason.ISSUER_MISCONFIGURED, "the provider is no longer configured")
