"""The port to the OpenID Connect providers: metadata, keys, tokens, claims."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from gateway.core.decision.needs import (
    EndSession,
    ExchangeToken,
    Introspect,
    Keys,
    Metadata,
    RedeemCode,
    RevokeToken,
    TokenUserInfo,
    UserInfo,
)
from gateway.core.fault import Fault
from gateway.core.provider import Exchanged, Provider, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.sessions.overage import GROUPS
from gateway.core.tokens.introspection import Introspection
from gateway.core.tokens.keys import KeySet
from gateway.edge.limits.strangers import Strangers
from gateway.edge.providers.calls import ProviderCalls
from gateway.edge.providers.faults import to_fault, unavailable
from gateway.edge.providers.stats import ProviderStats
from gateway.edge.tasks import Tasks
from gateway.oauth import logout
from gateway.oauth.errors import MessageError
from gateway.oauth.query import Parameters
from gateway.syntax.encoding import Json

_LOGOUT_PATIENCE = 3.0


class Providers:
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
        self._by_name = _ByName()
        self._retired: set[ProviderCalls] = set()
        self._retiring = Tasks()
        # a count goes on where the provider of that name had got to
        self._counts: dict[str, Counter[tuple[str, str]]] = {}
        self.on_refused: Callable[[str, int], None] = lambda _provider, _status: None
        """Told of each access token that a UserInfo endpoint refused: the provider's name, and the status."""
        self.strangers = Strangers()
        """Bounds what is asked about for each address; whoever has one that others use, too, sets it."""
        self.keys: Mapping[str, KeySet] = {}
        """A live view of the last good key sets by provider; ``KeySet.is_usable`` bounds their use."""
        self.configure(providers, allow_insecure_http=allow_insecure_http)

    def configure(self, providers: Mapping[str, Provider], *, allow_insecure_http: bool) -> None:
        """Go on with these providers; those that are the same keep what was learned from them.

        ``keys`` becomes another view, so that nobody who holds the old one takes a new provider's keys for
        the old one's.
        """
        view: dict[str, KeySet] = {}
        by_name = _ByName()
        for name, provider in providers.items():
            known = self._by_name.get(name)
            if known is not None and known.is_for(provider, allow_insecure_http=allow_insecure_http):
                if name in self.keys:
                    view[name] = self.keys[name]
                known.published.view = view
                by_name[name] = known
            else:
                counts = self._counts.setdefault(name, Counter())
                by_name[name] = ProviderCalls(
                    provider,
                    self._clock,
                    view,
                    counts,
                    allow_insecure_http=allow_insecure_http,
                    report=self._report,
                )
        for name, former in self._by_name.items():
            if by_name.get(name) is not former:
                self._retired.add(former)
                self._retiring.start(self._retire(former))
        self._by_name = by_name
        self.keys = MappingProxyType(view)
        if self._is_started:
            self._watch()

    async def _retire(self, former: ProviderCalls) -> None:
        await former.retire()
        self._retired.discard(former)

    async def start(self) -> None:
        """Begin to probe each provider, again and again; one that is down keeps nobody from starting."""
        self._is_started = True
        self._watch()

    def _watch(self) -> None:
        for each in self._by_name.values():
            each.published.watch()

    async def close(self) -> None:
        """Stop the background work and close connections."""
        await self._retiring.close()
        for each in (*self._retired, *self._by_name.values()):
            await each.close()

    async def metadata(self, need: Metadata) -> ProviderMetadata:
        """Return the provider's metadata, cached for an hour and renewed in the background.

        Raises:
            Fault: there is none yet and it cannot be fetched.
        """
        return await self._by_name[need.provider].published.metadata.get()

    async def keys_for(self, need: Keys) -> KeySet:
        """Return the provider's usable keys; refetched where they do not do, as who asks may have it.

        Raises:
            Fault: ``KEYS_UNAVAILABLE``.
        """
        return await self._by_name[need.provider].published.keys.find(need)

    async def authorization_url(
        self, provider: str, parameters: Parameters, admit: Callable[[], None]
    ) -> str:
        """Return where a browser logs in that asks for this: pushed first, where that is wanted (RFC 9126).

        Args:
            provider: its name.
            parameters: of the authorization request.
            admit: called before a call that anybody may cause; raises Fault where that is one too many.

        Raises:
            Fault: it cannot be pushed, or the provider's metadata cannot be had.
        """
        return await self._by_name[provider].authorization_url(parameters, admit)

    async def token_userinfo(self, need: TokenUserInfo) -> Introspection:
        """Return what UserInfo tells of who presents a bearer token, or told a moment ago.

        Raises:
            Fault: nothing of use.
        """
        return await self._by_name[need.provider].token_userinfo.ask(need)

    def said(self, need: Introspect | TokenUserInfo) -> Introspection | None:
        """Return what a provider said of a token a moment ago, or None; nothing is asked or changed."""
        parts = self._by_name[need.provider]
        asked = parts.introspection if isinstance(need, Introspect) else parts.token_userinfo
        return asked.known(need.token)

    async def introspect(self, need: Introspect) -> Introspection:
        """Return what the provider says of an opaque token.

        Raises:
            Fault: it says nothing of use, or who presents it has brought too many that were not active.
        """
        return await self._by_name[need.provider].introspection.ask(need, self.strangers)

    async def exchange(self, need: RedeemCode) -> TokenSet | TokenRefusal:
        """Redeem an authorization code.

        Raises:
            Fault: no verdict.
        """
        return await self._by_name[need.provider].tokens.redeem(need)

    async def refresh_call(self, provider: str, refresh_token: str) -> TokenSet | TokenRefusal:
        """Ask for new tokens (RFC 6749 section 6).

        Raises:
            NeverSent: nothing was sent; the refresh token is as good as before. Paused: on purpose.
            Ambiguous: sent and unanswered; the provider may have rotated the refresh token.
            Fault: answered without a verdict.
        """
        return await self._by_name[provider].tokens.refresh(refresh_token)

    async def exchange_token(self, need: ExchangeToken) -> Exchanged | TokenRefusal:
        """Exchange a caller's access token for an upstream's (RFC 8693).

        Raises:
            Fault: no verdict.
        """
        return await self._by_name[need.provider].exchange.ask(need)

    def rests(self, provider: str, refresh_token: str) -> float:
        """Return for how many seconds a refresh would be refused a call, after failures; 0 for none."""
        known = self._by_name.get(provider)
        return 0.0 if known is None else known.tokens.rests(refresh_token)

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
        asked = self._by_name[need.provider]
        claims: dict[str, Json] | None = {"sub": need.groups_of}
        if asked.settings.userinfo or not need.groups_of:
            status, claims = await asked.call_userinfo(need.access_token, pool)
            if claims is None:
                self.on_refused(need.provider, status)
        if claims is not None and need.groups_of:
            claims = {**claims, GROUPS: await asked.call_groups(need.access_token, pool)}
        return claims

    async def end_session(self, need: EndSession) -> str | Fault:
        """Return where a browser logs out there, "" where it cannot.

        The Fault is a value: the logout goes on without the provider. So it also waits less than others for
        metadata that nobody has fetched yet.
        """
        asked = self._by_name[need.provider]
        try:
            async with asyncio.timeout(_LOGOUT_PATIENCE):
                metadata = await asked.published.metadata.get()
        except Fault as fault:
            return fault
        except TimeoutError:
            return unavailable(Fault, "no metadata in time for a logout")
        try:
            url = logout.build_request(
                metadata,
                asked.settings,
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
        return await self._by_name[need.provider].call_revocation(need.refresh_token)

    def stats(self) -> dict[str, ProviderStats]:
        """Return the figures of each provider by name."""
        return {name: each.stats() for name, each in self._by_name.items()}


class _ByName(dict[str, ProviderCalls]):
    def __missing__(self, name: str) -> ProviderCalls:
        # a request that began before the configuration was reloaded
        raise Fault("issuer", Reason.ISSUER_MISCONFIGURED, "the provider is no longer configured")
