"""Whether each provider is found, has keys, knows the client and its redirect URIs, and has the same time."""

import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from gateway.cli.online.asking import NotSeenError, see
from gateway.cli.online.findings import Check, Finding
from gateway.cli.online.names import Names
from gateway.cli.online.reaching import Place, reach
from gateway.cli.online.redirects import KNOWN, Dry
from gateway.config.callbacks import login_providers
from gateway.config.presets import endpoints_of
from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.root import Settings
from gateway.core.decision.needs import Keys, Metadata, RedeemCode
from gateway.core.fault import Fault
from gateway.core.provider import ProviderMetadata, TokenRefusal
from gateway.core.reasons import Reason
from gateway.core.runtime import compile_settings, redirect_uris
from gateway.edge.providers.check import told_of_client, told_of_keys
from gateway.edge.providers.providers import Providers
from gateway.edge.providers.proxy import proxy_for
from gateway.edge.providers.trust import Trust
from gateway.oauth.discovery import metadata_url
from gateway.syntax.urls import is_wild, port_of

_REACHED: Final = "is it reached"
_METADATA: Final = "does its metadata fit"
_KEYS: Final = "has it keys that can be used"
_CLIENT: Final = "does it take the client's credentials"
_CLOCK: Final = "has it the same time"
_NO_CODE: Final = "gateway-check-no-code"
_CODE_FAULTS: Final = frozenset({"invalid_grant", "bad_verification_code"})


class ProviderChecks:
    """The checks of every provider; ``close`` ends the connections.

    Args:
        settings: name them.
        names: looks names up.
        within: seconds for any check.
    """

    def __init__(self, settings: Settings, names: Names, within: float) -> None:
        self._settings = settings
        self._names = names
        self._within = within
        self._providers = _providers_of(settings)

    async def close(self) -> None:
        """End the connections."""
        await self._providers.close()

    def checks(self) -> list[Check]:
        """Return them all."""
        found: list[Check] = []
        uris = redirect_uris(self._settings)
        logins = login_providers(self._settings)
        for name, each in self._settings.providers.items():
            subject = f"providers.{name}"
            asks = [(_REACHED, self._reached), (_METADATA, self._metadata), (_CLOCK, self._clock)]
            if name in logins and each.client_auth != "none":
                asks.append((_CLIENT, self._client))
            for question, ask in asks:
                found.append(Check(subject, question, partial(ask, name, each), self._within))
            dry = Dry(name, each, self._providers, min(0.4 * self._within, each.timeout))
            # the others of the list are where logouts come back to, and of a wildcard there is not one
            logins_at = [each for each in uris.get(name, ()) if not each.endswith("/logged-out")]
            found += [
                Check(subject, f"{KNOWN} ({uri})", partial(dry.ask, uri), self._within)
                for uri in logins_at
                if not is_wild(uri)
            ]
        return found

    async def _reached(self, name: str, settings: ProviderSettings) -> Sequence[Finding]:
        subject, url = f"providers.{name}", _url_of(settings)
        if url is None:
            return []
        parts = urlsplit(url)
        proxy = None if settings.proxy is None else settings.proxy.get_secret_value()
        if proxy_for(url, proxy) is not None:
            return [Finding(subject, _REACHED, "cannot be told", "an HTTP proxy is in between", "see below")]
        try:
            context = Trust(settings).context() if parts.scheme == "https" else None
        except Fault as fault:
            return [Finding(subject, _REACHED, "no", fault.detail)]
        place = Place(parts.hostname or "", port_of(parts), context, authorities="its ca_file", name="")
        found = await reach(place, self._names, min(0.8 * self._within, settings.timeout))
        return [Finding(subject, _REACHED, found.answer, found.detail, found.advice)]

    async def _metadata(self, name: str, settings: ProviderSettings) -> Sequence[Finding]:
        subject = f"providers.{name}"
        try:
            metadata = await self._providers.metadata(Metadata(name))
        except Fault as fault:
            advice = "compare issuer with what the provider calls itself, to the last character"
            return [Finding(subject, _METADATA, "no", fault.detail, advice)]
        unusable = [detail for _, _, detail in metadata.unusable]
        wrong = [*told_of_client(metadata, settings), *(f"{each} (not used)" for each in unusable)]
        found = [Finding(subject, _METADATA, "no", each) for each in wrong] or [
            Finding(subject, _METADATA, "yes", f"issuer {metadata.issuer}")
        ]
        return [*found, *await self._keys(name, metadata)]

    async def _keys(self, name: str, metadata: ProviderMetadata) -> Sequence[Finding]:
        if not metadata.jwks_uri:
            return []
        subject = f"providers.{name}"
        try:
            keys = await self._providers.keys_for(Keys(name, None))
        except Fault as fault:
            return [Finding(subject, _KEYS, "no", fault.detail)]
        told = "; ".join(told_of_keys(keys))
        if not keys.keys:
            return [Finding(subject, _KEYS, "no", told, "compare algorithms with the keys that it publishes")]
        return [Finding(subject, _KEYS, "yes", f"{len(keys.keys)}" + (f"; {told}" if told else ""))]

    async def _clock(self, name: str, settings: ProviderSettings) -> Sequence[Finding]:
        subject, url = f"providers.{name}", _url_of(settings)
        if url is None:
            return []
        try:
            seen = await see(url, settings, min(0.8 * self._within, settings.timeout))
        except NotSeenError as error:
            return [Finding(subject, _CLOCK, "cannot be told", str(error))]
        if seen.ahead is None:
            return [Finding(subject, _CLOCK, "cannot be told", "its answers have no Date")]
        behind = "ahead of" if seen.ahead > 0 else "behind"
        away = abs(seen.ahead)
        if away <= seen.unsure + 1:
            return [Finding(subject, _CLOCK, "yes", f"within {seen.unsure + 1:.0f} s")]
        detail = f"this machine is {away:.0f} s {behind} it"
        if away - seen.unsure > settings.clock_skew:
            advice = f"synchronise the clocks (NTP): clock_skew forgives {settings.clock_skew:g} s"
            return [Finding(subject, _CLOCK, "no", detail, advice)]
        return [Finding(subject, _CLOCK, "yes", detail, "synchronise the clocks (NTP)")]

    async def _client(self, name: str, settings: ProviderSettings) -> Sequence[Finding]:
        """Redeem a code that nobody gave: who we are is judged before that."""
        subject = f"providers.{name}"
        try:
            await self._providers.metadata(Metadata(name))
        except Fault:
            return [Finding(subject, _CLIENT, "cannot be told", "its metadata cannot be had")]
        try:
            refused = await self._redeemed(self._providers, name)
        except Fault as fault:
            is_ours = fault.reason is Reason.ISSUER_MISCONFIGURED
            return [Finding(subject, _CLIENT, "no" if is_ours else "cannot be told", fault.detail)]
        if refused not in _CODE_FAULTS:
            return [Finding(subject, _CLIENT, "cannot be told", f"it answered {refused or 'nothing of use'}")]
        if settings.client_secret is not None and await self._takes_any(name, settings):
            detail = "it refuses a made-up code, whatever the secret is"
            return [Finding(subject, _CLIENT, "cannot be told", detail, "begin a login in a browser")]
        return [Finding(subject, _CLIENT, "yes", "it refuses a made-up code alone")]

    async def _takes_any(self, name: str, settings: ProviderSettings) -> bool:
        """Tell whether a secret that is surely wrong fares as ours did."""
        wrong = settings.model_copy(update={"client_secret": SecretStr(secrets.token_urlsafe(32))})
        others = {**self._settings.providers, name: wrong}
        providers = _providers_of(self._settings.model_copy(update={"providers": others}))
        try:
            return await self._redeemed(providers, name) in _CODE_FAULTS
        except Fault:
            return False
        finally:
            await providers.close()

    async def _redeemed(self, providers: Providers, name: str) -> str:
        """Return the error with which a made-up code is refused. Raises Fault."""
        uri = redirect_uris(self._settings)[name][0]
        answer = await providers.exchange(RedeemCode(name, _NO_CODE, secrets.token_urlsafe(32), uri))
        return answer.error if isinstance(answer, TokenRefusal) else ""


def _providers_of(settings: Settings) -> Providers:
    return Providers(
        compile_settings(settings).providers, time.time, allow_insecure_http=settings.allow_insecure_http
    )


def _url_of(settings: ProviderSettings) -> str | None:
    """Return the address that is asked first, None where there is none before a login."""
    if settings.kind == "oidc":
        return metadata_url(settings)
    return endpoints_of(settings).get("authorization_endpoint")
